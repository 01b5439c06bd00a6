/* key_pair.h - an application's certificate and its private key
 *
 * The key proves to Microsoft Entra that it is the application: see tokend/assertion.h. It stays in
 * memory of OpenSSL's, which is cleansed when the pair is released.
 *
 * Sources: Microsoft Learn, "Microsoft identity platform application authentication certificate
 * credentials"; RFC 7517 and 7515 (x5t#S256).
 */
#ifndef POST365_COMMON_OAUTH2_KEY_PAIR_H
#define POST365_COMMON_OAUTH2_KEY_PAIR_H

#include "common/entra/cause.h"
#include "common/error.h"
#include "common/secret.h"

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_PAIR_BITS_MIN 2048 /* of RSA; Entra takes no other kind */
#define KEY_PAIR_SHA1     20
#define KEY_PAIR_SHA256   32
/* Two hexadecimal digits for each octet, and the NUL. */
#define KEY_PAIR_THUMBPRINT_SIZE (2 * KEY_PAIR_SHA256 + 1)

struct key_pair;

/* Of a certificate in PEM (the first one counts) or DER and a key in PEM without a passphrase. NULL
 * with the reason, which names neither file, and in `*cause` (may be NULL) its row: the key is not
 * the certificate's, it is no RSA key or too short, what is there is no certificate, no key, or
 * a key with a passphrase. Whether it is valid now is for the caller to ask. `key` stays the
 * caller's; it may be NULL: then the certificate alone is looked at. Release with key_pair_free().
 */
struct key_pair *key_pair_new(const char *certificate, size_t length, const struct secret *key,
                              const struct entra_row **cause, struct error *error);
/* `pair` may be NULL. */
void key_pair_free(struct key_pair *pair);

/* The certificate is valid from and up to, seconds since the epoch. */
int64_t key_pair_begins(const struct key_pair *pair);
int64_t key_pair_ends(const struct key_pair *pair);

/* The key, which stays the pair's; NULL where it was made without one. */
EVP_PKEY *key_pair_key(const struct key_pair *pair);

/* The digest of the certificate's DER, KEY_PAIR_SHA256 octets. */
const unsigned char *key_pair_sha256(const struct key_pair *pair);

/* The thumbprints as the Entra admin centre shows them, in upper-case hexadecimal digits. */
void key_pair_thumbprints(const struct key_pair *pair, char sha1[KEY_PAIR_THUMBPRINT_SIZE],
                          char sha256[KEY_PAIR_THUMBPRINT_SIZE]);

#endif
