/* claims.h - what an access token says of itself, for words alone
 *
 * Nothing is decided by it: to whom a token is of use is for Exchange to say, and Microsoft may
 * encrypt tokens at any time. The signature is not looked at. Pure.
 *
 * Sources: RFC 7519; Microsoft Learn, "Access token claims reference".
 */
#ifndef POST365_TOKEND_CLAIMS_H
#define POST365_TOKEND_CLAIMS_H

#include "common/error.h"
#include "common/secret.h"

#include <stdbool.h>
#include <stdint.h>

#define CLAIMS_TEXT_SIZE 256

/* Which of Exchange's ways to permit it the token shows. */
enum claims_model {
    CLAIMS_RBAC,     /* no role in the token: RBAC for Applications, or nothing at all */
    CLAIMS_CLASSIC,  /* the role SMTP.SendAsApp */
    CLAIMS_DELEGATED /* a user's, scope SMTP.Send */
};

/* Texts are cut at their size, harmless to show, and "" where the token has none. */
struct claims {
    char audience[CLAIMS_TEXT_SIZE];  /* aud */
    char tenant[CLAIMS_TEXT_SIZE];    /* tid */
    char app[CLAIMS_TEXT_SIZE];       /* appid, azp: the client id */
    char roles[CLAIMS_TEXT_SIZE];     /* with blanks between */
    char scopes[CLAIMS_TEXT_SIZE];    /* scp */
    char user[CLAIMS_TEXT_SIZE];      /* upn, unique_name, preferred_username: who logged in */
    char object_id[CLAIMS_TEXT_SIZE]; /* oid: of the user or the service principal */
    int64_t issued, begins, ends;     /* iat, nbf, exp: seconds since the epoch; 0: not said */
    enum claims_model model;
};

/* False with the reason: it is encrypted, or nothing that can be read. */
bool claims_read(const struct secret *token, struct claims *claims, struct error *error);

/* "rbac", "classic", "delegated" */
const char *claims_model_name(enum claims_model model);

#endif
