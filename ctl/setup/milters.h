/* milters.h - lists of milters, in main.cf and behind -o in master.cf */
#ifndef POST365_CTL_SETUP_MILTERS_H
#define POST365_CTL_SETUP_MILTERS_H

#include "common/error.h"
#include "ctl/setup/relay.h"
#include "ctl/setup/text.h"

#include <stdbool.h>
#include <stddef.h>

struct milters {
    struct text_span value; /* the list */
    bool has_ours;
    bool has_others;
    bool has_signer;
    size_t signer; /* where the first one begins that signs */
    size_t end;    /* behind the last piece, or where the first would begin */
};

/* Looks at the list in a span of a text. False with the reason. */
bool milters_read(const struct relay *relay, const struct text *text, struct text_span value,
                  struct milters *milters, struct error *error);

/* Whether milter_protocol is new enough to change a sender. */
bool milters_can_change(const struct relay *relay);

/* How post365's milter is written into a list. Where there are others that shall not wait when
 * they are down, or speak an old protocol, what it needs is said of it alone. The caller's to
 * free(). */
char *milters_ours(const struct relay *relay, bool has_others);

/* A copy of `whole`, which holds the list, with `ours` (unless it is "") behind those that filter
 * and before those that sign, and with `behind` at the list's end. The caller's to free(). */
char *milters_insert(const struct text *text, struct text_span whole, const struct milters *milters,
                     const char *ours, const char *separator, const char *behind);

#endif
