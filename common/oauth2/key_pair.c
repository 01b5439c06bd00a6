/* key_pair.c - an application's certificate and its private key
 *
 * Security: the key goes from a struct secret into OpenSSL's objects, which cleanse it, by way of a
 * BIO that reads the secret in place.
 */
#include "common/oauth2/key_pair.h"

#include "common/memory.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct key_pair {
    X509 *certificate;
    EVP_PKEY *key; /* NULL: it was made without */
    int64_t begins;
    int64_t ends;
    unsigned char sha1[KEY_PAIR_SHA1];
    unsigned char sha256[KEY_PAIR_SHA256];
};

/* Sets both and gives false. */
static bool fail(const struct entra_row **cause, const char *name, struct error *error,
                 const char *reason)
{
    *cause = entra_named(name);
    return error_set(error, "%s", reason);
}

/* --- reading ---------------------------------------------------------------------------------- */

static X509 *read_certificate(const char *bytes, size_t length)
{
    const unsigned char *der = (const unsigned char *)bytes;
    BIO *bio = length <= INT_MAX ? BIO_new_mem_buf(bytes, (int)length) : NULL;
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    if (certificate == NULL && length <= INT_MAX)
        certificate = d2i_X509(NULL, &der, (long)length);
    BIO_free(bio);
    ERR_clear_error();
    return certificate;
}

/* OpenSSL would ask the terminal for a passphrase; that it asks is all that is wanted. */
static int note_passphrase(char *buffer, int size, int is_write, void *is_asked)
{
    (void)buffer, (void)size, (void)is_write;
    *(bool *)is_asked = true;
    return -1;
}

static EVP_PKEY *read_key(const struct secret *text, bool *has_passphrase)
{
    *has_passphrase = false;
    size_t length = secret_length(text);
    BIO *bio = length <= INT_MAX ? BIO_new_mem_buf(secret_reveal(text), (int)length) : NULL;
    EVP_PKEY *key =
        bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, note_passphrase, has_passphrase) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return key;
}

/* --- checks ----------------------------------------------------------------------------------- */

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm broken;
    return ASN1_TIME_to_tm(time, &broken) == 1 ? (int64_t)timegm(&broken) : 0;
}

static bool look_at_certificate(struct key_pair *pair)
{
    const EVP_MD *digests[] = {EVP_sha1(), EVP_sha256()};
    unsigned char *places[] = {pair->sha1, pair->sha256};
    pair->begins = seconds_of(X509_get0_notBefore(pair->certificate));
    pair->ends = seconds_of(X509_get0_notAfter(pair->certificate));
    for (size_t i = 0; i < 2; i++)
        if (X509_digest(pair->certificate, digests[i], places[i], NULL) != 1)
            return false;
    return pair->ends > 0;
}

/* The public part says of what kind both are. */
static bool is_fit(const struct key_pair *pair, const struct entra_row **cause, struct error *error)
{
    const EVP_PKEY *public_key = X509_get0_pubkey(pair->certificate);
    if (public_key == NULL || EVP_PKEY_is_a(public_key, "RSA") != 1)
        return fail(cause, ENTRA_CERTIFICATE_WRONG, error,
                    "the certificate is not for an RSA key, and Microsoft Entra takes no other; "
                    "make a pair with post365 oauth2 certificate");
    if (EVP_PKEY_get_bits(public_key) < KEY_PAIR_BITS_MIN)
        return fail(cause, ENTRA_CERTIFICATE_WRONG, error,
                    "the certificate's key has fewer than 2048 bits; make a pair with post365 "
                    "oauth2 certificate");
    if (pair->key != NULL && EVP_PKEY_eq(public_key, pair->key) != 1)
        return fail(cause, ENTRA_KEY_MISMATCH, error,
                    "the key is not the certificate's; name two that were made together");
    return true;
}

static bool fill(struct key_pair *pair, const char *certificate, size_t length,
                 const struct secret *key, const struct entra_row **cause, struct error *error)
{
    bool has_passphrase = false;
    pair->certificate = read_certificate(certificate, length);
    if (pair->certificate == NULL || !look_at_certificate(pair))
        return fail(cause, ENTRA_CERTIFICATE_WRONG, error,
                    "no certificate; put one there in PEM, as post365 oauth2 certificate makes it");
    pair->key = key != NULL ? read_key(key, &has_passphrase) : NULL;
    if (has_passphrase)
        return fail(cause, ENTRA_CERTIFICATE_WRONG, error,
                    "the key has a passphrase, and there is nobody to enter it; store it without "
                    "one (openssl pkey -in OLD -out NEW), mode 0600");
    if (key != NULL && pair->key == NULL)
        return fail(cause, ENTRA_CERTIFICATE_WRONG, error,
                    "no private key; put it there in PEM, as post365 oauth2 certificate makes it");
    return is_fit(pair, cause, error);
}

struct key_pair *key_pair_new(const char *certificate, size_t length, const struct secret *key,
                              const struct entra_row **cause, struct error *error)
{
    const struct entra_row *unused;
    struct key_pair *pair = memory_zero(1, sizeof(*pair));
    if (fill(pair, certificate, length, key, cause != NULL ? cause : &unused, error))
        return pair;
    key_pair_free(pair);
    return NULL;
}

void key_pair_free(struct key_pair *pair)
{
    if (pair == NULL)
        return;
    X509_free(pair->certificate);
    EVP_PKEY_free(pair->key);
    free(pair);
}

/* --- what it is ------------------------------------------------------------------------------- */

int64_t key_pair_begins(const struct key_pair *pair)
{
    return pair->begins;
}

int64_t key_pair_ends(const struct key_pair *pair)
{
    return pair->ends;
}

EVP_PKEY *key_pair_key(const struct key_pair *pair)
{
    return pair->key;
}

const unsigned char *key_pair_sha256(const struct key_pair *pair)
{
    return pair->sha256;
}

static void write_digits(const unsigned char *octets, size_t count, char *text)
{
    for (size_t i = 0; i < count; i++)
        sprintf(text + 2 * i, "%02X", octets[i]);
}

void key_pair_thumbprints(const struct key_pair *pair, char sha1[KEY_PAIR_THUMBPRINT_SIZE],
                          char sha256[KEY_PAIR_THUMBPRINT_SIZE])
{
    write_digits(pair->sha1, sizeof(pair->sha1), sha1);
    write_digits(pair->sha256, sizeof(pair->sha256), sha256);
}
