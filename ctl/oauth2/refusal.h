/* refusal.h - why Exchange Online refuses a login whose token Microsoft Entra gave
 *
 * The reply is the same for half a dozen causes ("535 5.7.3 Authentication unsuccessful"). What
 * tells them apart is what else is known: what the token says of itself, and for whom else it
 * works. Pure.
 *
 * Sources: Microsoft Learn, "Role Based Access Control for Applications in Exchange Online" (its
 * cache: from 30 minutes to 2 hours), "Authenticate an IMAP, POP or SMTP connection using OAuth",
 * "Enable or disable authenticated client SMTP submission in Exchange Online".
 */
#ifndef POST365_CTL_OAUTH2_REFUSAL_H
#define POST365_CTL_OAUTH2_REFUSAL_H

#include "common/oauth2/token_message.h"

#include <stdbool.h>

/* What is known of a login that was refused. */
struct refusal {
    const char *cause; /* the name of the row of common/office365.h that the reply has */
    enum token_grant grant;
    enum token_model model;
    bool is_high_volume; /* the server takes the mail of High Volume Email */
    bool is_unfit;       /* the token is not for this: what it says of itself was told before */
    bool works_for_others;
};

/* What is to be typed (permissions.h). */
enum refusal_commands {
    REFUSAL_NOTHING,
    REFUSAL_GATE,        /* permissions_write_gate() */
    REFUSAL_SCOPE,       /* permissions_write_scope() */
    REFUSAL_PRINCIPAL,   /* permissions_write_principal(), then either model */
    REFUSAL_PERMISSION,  /* either model */
    REFUSAL_HIGH_VOLUME, /* PERMISSIONS_HIGH_VOLUME */
};

struct refusal_words {
    const char *name;    /* stable: "outside-scope" */
    const char *seen;    /* a few words */
    const char *meaning; /* a sentence or two; <UPN> is the account */
    const char *remedy;  /* likewise */
    enum refusal_commands commands;
};

/* NULL: it is not about the token, and the reply's own row says all. */
const struct refusal_words *refusal_explain(const struct refusal *refusal);

#endif
