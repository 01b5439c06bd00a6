/* pair.h - a private key, and the certificate that is uploaded to Entra for it
 *
 * An RSA key of 3072 bits (Entra takes RSA alone, of at least 2048) and a certificate signed by
 * itself: Entra compares it with what signed a request, no authority is asked. Its name says to
 * people whose it is.
 *
 * Source: learn.microsoft.com, "Microsoft identity platform application authentication certificate
 * credentials"; RFC 5280.
 */
#ifndef POST365_CTL_OAUTH2_PAIR_H
#define POST365_CTL_OAUTH2_PAIR_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/secret.h"

#include <stdbool.h>
#include <time.h>

#define PAIR_NAME_MAX 50 /* octets; a common name has 64, and "post365 " in front */
#define PAIR_DAYS     730

struct pair {
    struct secret *key;        /* PEM, PKCS #8 */
    struct buffer certificate; /* PEM */
    time_t ends;               /* the certificate's last second */
    /* Of the certificate's DER, in capitals without colons, as Entra's pages show the first one. */
    char sha1[41];
    char sha256[65];
};

/* Makes both; valid from an hour before `now`, since Microsoft's clock may be another, until
 * PAIR_DAYS after it. `name` has 1 to PAIR_NAME_MAX printable octets of ASCII. False with the
 * reason. Release with pair_release(). Takes about a second. */
bool pair_make(const char *name, time_t now, struct pair *pair, struct error *error);

/* Wipes the key. What was not made, or is all zero, is allowed. */
void pair_release(struct pair *pair);

#endif
