/* smtp_parameter.h - what becomes of every parameter of smtp(8) in front of the transport
 *
 * The table is smtp_parameters.def, which says what the kinds mean.
 */
#ifndef POST365_COMMON_SMTP_PARAMETER_H
#define POST365_COMMON_SMTP_PARAMETER_H

#include <stdbool.h>
#include <stddef.h>

enum smtp_parameter_kind {
    SMTP_PARAMETER_KEPT,
    SMTP_PARAMETER_REPLACED,
    SMTP_PARAMETER_LMTP,
    SMTP_PARAMETER_OWN,
    SMTP_PARAMETER_TOLD,
    SMTP_PARAMETER_WARNED,
};

struct smtp_parameter {
    enum smtp_parameter_kind kind;
    const char *name;     /* with smtp_ */
    const char *harmless; /* values at which nothing is lost, "a|b" */
    const char *text;     /* a sentence or two; names between backticks */
};

size_t smtp_parameter_count(void);
const struct smtp_parameter *smtp_parameter_at(size_t index);

/* NULL: Postfix 3.7 to 3.12 do not know it. */
const struct smtp_parameter *smtp_parameter_find(const char *name);

/* Whether a value is one of those at which nothing is lost. Capitals do not matter. */
bool smtp_parameter_is_harmless(const struct smtp_parameter *parameter, const char *value);

#endif
