/* claims.h - what an access token says of itself, in words, and what of it is wrong
 *
 * post365-tokend has read the token; nobody else sees it. Pure.
 *
 * Source: learn.microsoft.com, "Access token claims reference", "Authenticate an IMAP, POP or SMTP
 * connection using OAuth", "Role Based Access Control for Applications in Exchange Online".
 */
#ifndef POST365_CTL_OAUTH2_CLAIMS_H
#define POST365_CTL_OAUTH2_CLAIMS_H

#include "common/buffer.h"
#include "common/oauth2/token_message.h"

#include <stdbool.h>

enum claim {
    CLAIM_AUDIENCE,
    CLAIM_TENANT,
    CLAIM_APP,
    CLAIM_ROLES,
    CLAIM_SCOPES,
    CLAIM_USER,
    CLAIM_OBJECT,
    CLAIM_END,
    CLAIMS,
};

/* Each as told, "" where it was not. All zero: none was. */
struct claims {
    bool are_there;
    char value[CLAIMS][TOKEN_VALUE_MAX + 1];
};

/* Takes them out of a reply to TOKEN_COMMAND_STATUS. */
void claims_take(struct claims *claims, const struct token_reply *reply);

/* As in the token: "aud". */
const char *claims_name(enum claim claim);

/* A line about the token of a subject: a word for what it is about, and a sentence, which has text
 * of others in it. What is wrong keeps mail from being sent. */
typedef void claims_tell(void *context, const char *label, const char *text, bool is_wrong);

/* Tells what is of use of each claim. */
void claims_explain(const struct claims *claims, const struct token_subject *subject,
                    claims_tell *tell, void *context);

/* Whether one of these lines is wrong. */
bool claims_are_wrong(const struct claims *claims, const struct token_subject *subject);

#endif
