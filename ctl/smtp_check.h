/* smtp_check.h - what main.cf and master.cf set of smtp(8), and what has no effect any more
 *
 * For setup and the doctor, so that both say the same. What counts is a value that differs from
 * Postfix's default; master.cf is looked at for the services that delivered to the relayhost:
 * `smtp`, and the one in default_transport.
 */
#ifndef POST365_CTL_SMTP_CHECK_H
#define POST365_CTL_SMTP_CHECK_H

#include "common/error.h"
#include "common/postconf.h"
#include "common/smtp_parameter.h"

#include <stdbool.h>

struct smtp_finding {
    const char *name;
    const char *service; /* "smtp/unix", of whose -o it is; NULL: main.cf */
    const char *value;   /* expanded */
    const char *text;    /* what is done instead */
    enum smtp_parameter_kind kind;
};

/* Calls `visit` for what has no effect. KEPT: it has one in main.cf, and not in master.cf. False
 * with the reason. */
bool smtp_check(const struct postconf *postconf,
                void (*visit)(void *context, const struct smtp_finding *finding), void *context,
                struct error *error);

#endif
