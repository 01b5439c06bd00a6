/* pair.c - a private key, and the certificate that is uploaded to Entra for it */
#include "ctl/oauth2/pair.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdio.h>

#define BITS          3072
#define SERIAL_BITS   127 /* a positive number of at most 20 octets, RFC 5280, 4.1.2.2 */
#define BEFORE        3600
#define DAY           86400
#define ORGANISATION  "post365 "
#define SUBJECT_SIZE  (sizeof(ORGANISATION) + PAIR_NAME_MAX)
#define X509_VERSION3 2

/* OpenSSL's own words for what failed. */
static bool failed(const char *what, struct error *error)
{
    char reason[256] = "";
    ERR_error_string_n(ERR_get_error(), reason, sizeof(reason));
    return error_set(error, "cannot make %s: %s", what, reason);
}

/* --- the certificate ---------------------------------------------------------------- */

static bool set_serial(X509 *certificate)
{
    BIGNUM *number = BN_new();
    bool fine = number != NULL &&
                BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return fine;
}

static bool set_names(X509 *certificate, const char *name)
{
    char subject[SUBJECT_SIZE];
    X509_NAME *names = X509_get_subject_name(certificate);
    snprintf(subject, sizeof(subject), ORGANISATION "%s", name);
    return X509_NAME_add_entry_by_txt(names, "CN", MBSTRING_ASC, (const unsigned char *)subject, -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(certificate, names) == 1;
}

static bool add_extension(X509 *certificate, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    bool fine = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return fine;
}

static bool fill_in(X509 *certificate, EVP_PKEY *key, const char *name, time_t now, time_t ends)
{
    return X509_set_version(certificate, X509_VERSION3) == 1 && set_serial(certificate) &&
           ASN1_TIME_set(X509_getm_notBefore(certificate), now - BEFORE) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), ends) != NULL &&
           set_names(certificate, name) && X509_set_pubkey(certificate, key) == 1 &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_ext_key_usage, "clientAuth") &&
           add_extension(certificate, NID_subject_key_identifier, "hash") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

/* `size` is that of both digits of each octet, and a NUL. */
static bool write_thumbprint(const X509 *certificate, const EVP_MD *digest, char *text, size_t size)
{
    unsigned char octets[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (X509_digest(certificate, digest, octets, &length) != 1 || size != (size_t)2 * length + 1)
        return false;
    for (unsigned i = 0; i < length; i++)
        snprintf(text + (size_t)2 * i, 3, "%02X", octets[i]);
    return true;
}

/* --- as text -------------------------------------------------------------------------- */

static bool write_key(EVP_PKEY *key, struct pair *pair)
{
    BIO *lines = BIO_new(BIO_s_secmem()); /* wiped when it is released */
    char *bytes = NULL;
    bool fine =
        lines != NULL && PEM_write_bio_PrivateKey(lines, key, NULL, NULL, 0, NULL, NULL) == 1;
    long length = fine ? BIO_get_mem_data(lines, &bytes) : 0;
    if (fine)
        pair->key = secret_copy(bytes, (size_t)length);
    BIO_free(lines);
    return fine;
}

static bool write_certificate(X509 *certificate, struct pair *pair)
{
    BIO *lines = BIO_new(BIO_s_mem());
    char *bytes = NULL;
    bool fine = lines != NULL && PEM_write_bio_X509(lines, certificate) == 1;
    long length = fine ? BIO_get_mem_data(lines, &bytes) : 0;
    if (fine)
        buffer_append(&pair->certificate, bytes, (size_t)length);
    BIO_free(lines);
    return fine && write_thumbprint(certificate, EVP_sha1(), pair->sha1, sizeof(pair->sha1)) &&
           write_thumbprint(certificate, EVP_sha256(), pair->sha256, sizeof(pair->sha256));
}

bool pair_make(const char *name, time_t now, struct pair *pair, struct error *error)
{
    *pair = (struct pair){.ends = now + (time_t)PAIR_DAYS * DAY};
    EVP_PKEY *key = EVP_RSA_gen(BITS);
    X509 *certificate = X509_new();
    bool fine = true;
    if (key == NULL || !write_key(key, pair))
        fine = failed("an RSA key", error);
    else if (certificate == NULL || !fill_in(certificate, key, name, now, pair->ends) ||
             !write_certificate(certificate, pair))
        fine = failed("a certificate", error);
    X509_free(certificate);
    EVP_PKEY_free(key);
    if (!fine)
        pair_release(pair);
    return fine;
}

void pair_release(struct pair *pair)
{
    secret_free(pair->key);
    buffer_free(&pair->certificate);
    *pair = (struct pair){.key = NULL};
}
