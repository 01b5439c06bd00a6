/* assertion.h - a JWT by which an application proves who it is, signed with its certificate's key
 *
 * PS256 (RSA-PSS, SHA-256, a salt as long as the digest), `x5t#S256`. One is made for each request:
 * Microsoft Entra refuses one that it has seen. Pure: time and randomness are arguments.
 *
 * Sources: RFC 7515, RFC 7518 section 3.5, RFC 7523 section 3; Microsoft Learn, "Microsoft identity
 * platform application authentication certificate credentials".
 */
#ifndef POST365_TOKEND_ASSERTION_H
#define POST365_TOKEND_ASSERTION_H

#include "common/error.h"
#include "common/oauth2/key_pair.h"
#include "common/secret.h"

#include <stdint.h>

#define ASSERTION_RANDOM 16  /* octets */
#define ASSERTION_LIFE   600 /* seconds, the longest that Microsoft takes */

struct assertion {
    const char *audience;  /* the token endpoint's URL, the tenant in it as configured */
    const char *client_id; /* GUID */
    int64_t now;           /* seconds since the epoch, by the endpoint's clock if ours is off */
    unsigned char random[ASSERTION_RANDOM]; /* fresh for each */
};

/* The JWT, the caller's to secret_free(). NULL with the reason if OpenSSL cannot sign. */
struct secret *assertion_make(const struct assertion *assertion, const struct key_pair *pair,
                              struct error *error);

#endif
