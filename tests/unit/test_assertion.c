/* test_assertion.c - an application's certificate and key, and what is signed with them */
#include "tokend/assertion.h"

#include "common/buffer.h"
#include "common/memory.h"

#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define BEGINS   1790000000
#define ENDS     1800000000
#define CLIENT   "0b5a0ce7-1234-4abc-9def-00112233aabb"
#define AUDIENCE "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"

/* Made once: keys take a while. */
static EVP_PKEY *rsa, *other_rsa, *short_rsa, *curve;

static int make_keys(void **state)
{
    (void)state;
    rsa = EVP_RSA_gen(2048);
    other_rsa = EVP_RSA_gen(2048);
    short_rsa = EVP_RSA_gen(1024);
    curve = EVP_EC_gen("P-256");
    return rsa == NULL || other_rsa == NULL || short_rsa == NULL || curve == NULL;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(other_rsa);
    EVP_PKEY_free(short_rsa);
    EVP_PKEY_free(curve);
    return 0;
}

static char *take_bio(BIO *bio, size_t *length)
{
    char *bytes;
    *length = (size_t)BIO_get_mem_data(bio, &bytes);
    char *copy = memory_copy_bytes(bytes, *length);
    BIO_free(bio);
    return copy;
}

/* A certificate for the key, signed by itself, in PEM or DER. */
static char *certificate_of(EVP_PKEY *key, bool as_pem, size_t *length)
{
    X509 *certificate = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7);
    ASN1_TIME_set(X509_getm_notBefore(certificate), BEGINS);
    ASN1_TIME_set(X509_getm_notAfter(certificate), ENDS);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)"post365", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    if (as_pem)
        PEM_write_bio_X509(bio, certificate);
    else
        i2d_X509_bio(bio, certificate);
    X509_free(certificate);
    return take_bio(bio, length);
}

static struct secret *key_in_pem(EVP_PKEY *key, const char *passphrase)
{
    size_t length;
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, passphrase != NULL ? EVP_aes_128_cbc() : NULL,
                             (const unsigned char *)passphrase,
                             passphrase != NULL ? (int)strlen(passphrase) : 0, NULL, NULL);
    char *text = take_bio(bio, &length);
    struct secret *secret = secret_copy(text, length);
    free(text);
    return secret;
}

static struct key_pair *pair_of(EVP_PKEY *of_certificate, EVP_PKEY *key,
                                const struct entra_row **cause, struct error *error)
{
    size_t length;
    char *certificate = certificate_of(of_certificate, true, &length);
    struct secret *text = key != NULL ? key_in_pem(key, NULL) : NULL;
    struct key_pair *pair = key_pair_new(certificate, length, text, cause, error);
    secret_free(text);
    free(certificate);
    return pair;
}

/* --- pairs --- */

static void a_pair_tells_its_times_and_thumbprints(void **state)
{
    (void)state;
    size_t length;
    unsigned char digest[KEY_PAIR_SHA256];
    char sha1[KEY_PAIR_THUMBPRINT_SIZE], sha256[KEY_PAIR_THUMBPRINT_SIZE];
    char *der = certificate_of(rsa, false, &length);
    struct secret *key = key_in_pem(rsa, NULL);
    struct key_pair *pair = key_pair_new(der, length, key, NULL, NULL);
    assert_non_null(pair);
    assert_int_equal(key_pair_begins(pair), BEGINS);
    assert_int_equal(key_pair_ends(pair), ENDS);
    EVP_Digest(der, length, digest, NULL, EVP_sha256(), NULL);
    assert_memory_equal(key_pair_sha256(pair), digest, sizeof(digest));
    key_pair_thumbprints(pair, sha1, sha256);
    assert_int_equal(strlen(sha1), 40);
    assert_int_equal(strspn(sha256, "0123456789ABCDEF"), 64);
    key_pair_free(pair);
    key_pair_free(NULL);
    secret_free(key);
    free(der);
}

static void a_certificate_may_come_alone(void **state)
{
    (void)state;
    struct key_pair *pair = pair_of(rsa, NULL, NULL, NULL);
    assert_non_null(pair);
    assert_null(key_pair_key(pair));
    key_pair_free(pair);
}

static void expect_no_pair(EVP_PKEY *of_certificate, EVP_PKEY *key, const char *row,
                           const char *words)
{
    const struct entra_row *cause = NULL;
    struct error error = {"?"};
    assert_null(pair_of(of_certificate, key, &cause, &error));
    assert_string_equal(cause->name, row);
    assert_non_null(strstr(error.text, words));
}

static void what_cannot_be_used_is_said(void **state)
{
    (void)state;
    expect_no_pair(rsa, other_rsa, ENTRA_KEY_MISMATCH, "is not the certificate's");
    expect_no_pair(rsa, curve, ENTRA_KEY_MISMATCH, "is not the certificate's");
    expect_no_pair(curve, curve, ENTRA_CERTIFICATE_WRONG, "not for an RSA key");
    expect_no_pair(short_rsa, short_rsa, ENTRA_CERTIFICATE_WRONG, "fewer than 2048 bits");
}

static void expect_no_text(const char *certificate, size_t length, const struct secret *key,
                           const char *words)
{
    const struct entra_row *cause = NULL;
    struct error error = {"?"};
    assert_null(key_pair_new(certificate, length, key, &cause, &error));
    assert_string_equal(cause->name, ENTRA_CERTIFICATE_WRONG);
    if (strstr(error.text, words) == NULL)
        fail_msg("no \"%s\" in: %s", words, error.text);
}

static void what_is_no_certificate_or_key_is_said(void **state)
{
    (void)state;
    size_t length;
    char *certificate = certificate_of(rsa, true, &length);
    struct secret *locked = key_in_pem(rsa, "hunter2"), *key = key_in_pem(rsa, NULL);
    struct secret *junk = secret_copy("junk", 4), *nothing = secret_copy("", 0);
    expect_no_text("", 0, key, "no certificate");
    expect_no_text("junk", 4, key, "no certificate");
    expect_no_text(certificate, length / 2, key, "no certificate");
    expect_no_text(secret_reveal(key), secret_length(key), key, "no certificate");
    expect_no_text(certificate, length, locked, "has a passphrase");
    expect_no_text(certificate, length, junk, "no private key");
    expect_no_text(certificate, length, nothing, "no private key");
    secret_free(locked);
    secret_free(key);
    secret_free(junk);
    secret_free(nothing);
    free(certificate);
}

/* --- assertions --- */

/* base64url without padding. */
static size_t decode(const char *text, size_t length, unsigned char *octets)
{
    struct buffer base64 = {0};
    for (size_t i = 0; i < (length + 3) / 4 * 4; i++) {
        char byte = i < length ? text[i] : '=';
        assert_true(i >= length || (byte != '+' && byte != '/' && byte != '='));
        buffer_append_char(&base64, byte == '-' ? '+' : byte == '_' ? '/' : byte);
    }
    int count = EVP_DecodeBlock(octets, (const unsigned char *)base64.data, (int)base64.length);
    assert_true(count > 0);
    count -= (int)(base64.length - length);
    buffer_free(&base64);
    return (size_t)count;
}

struct jwt {
    json_t *header, *claims;
    bool is_signed;
};

static json_t *part(const char *text, size_t length)
{
    unsigned char octets[4096];
    size_t count = decode(text, length, octets);
    json_t *object = json_loadb((const char *)octets, count, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    return object;
}

static bool verify(EVP_PKEY *key, const char *text, size_t length, const unsigned char *signature,
                   size_t size)
{
    EVP_PKEY_CTX *with;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(context, &with, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(with, RSA_PKCS1_PSS_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(with, 32), 1);
    bool fine =
        EVP_DigestVerify(context, signature, size, (const unsigned char *)text, length) == 1;
    EVP_MD_CTX_free(context);
    return fine;
}

static struct jwt take_apart(const struct secret *secret, EVP_PKEY *key)
{
    const char *text = secret_reveal(secret), *first = strchr(text, '.');
    const char *second = strchr(first + 1, '.');
    unsigned char signature[1024];
    size_t size = decode(second + 1, strlen(second + 1), signature);
    return (struct jwt){.header = part(text, (size_t)(first - text)),
                        .claims = part(first + 1, (size_t)(second - first - 1)),
                        .is_signed = verify(key, text, (size_t)(second - text), signature, size)};
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static long long number_of(const json_t *object, const char *name)
{
    assert_true(json_is_integer(json_object_get(object, name)));
    return json_integer_value(json_object_get(object, name));
}

static void an_assertion_is_what_microsoft_wants(void **state)
{
    (void)state;
    unsigned char thumbprint[64];
    struct assertion assertion = {.audience = AUDIENCE, .client_id = CLIENT, .now = BEGINS + 1000};
    memset(assertion.random, 0xff, sizeof(assertion.random));
    struct key_pair *pair = pair_of(rsa, rsa, NULL, NULL);
    struct secret *secret = assertion_make(&assertion, pair, NULL);
    assert_non_null(secret);
    struct jwt jwt = take_apart(secret, rsa);
    assert_true(jwt.is_signed);
    assert_string_equal(text_of(jwt.header, "alg"), "PS256");
    assert_string_equal(text_of(jwt.header, "typ"), "JWT");
    const char *digest = text_of(jwt.header, "x5t#S256");
    assert_int_equal(strlen(digest), 43);
    assert_int_equal(decode(digest, 43, thumbprint), KEY_PAIR_SHA256);
    assert_memory_equal(thumbprint, key_pair_sha256(pair), KEY_PAIR_SHA256);
    assert_string_equal(text_of(jwt.claims, "aud"), AUDIENCE);
    assert_string_equal(text_of(jwt.claims, "iss"), CLIENT);
    assert_string_equal(text_of(jwt.claims, "sub"), CLIENT);
    assert_string_equal(text_of(jwt.claims, "jti"), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assert_int_equal(number_of(jwt.claims, "nbf"), BEGINS + 1000);
    assert_int_equal(number_of(jwt.claims, "iat"), BEGINS + 1000);
    assert_int_equal(number_of(jwt.claims, "exp"), BEGINS + 1600);
    json_decref(jwt.header);
    json_decref(jwt.claims);
    secret_free(secret);
    key_pair_free(pair);
}

static void another_key_does_not_verify_it(void **state)
{
    (void)state;
    const struct assertion assertion = {.audience = AUDIENCE, .client_id = CLIENT, .now = 1};
    struct key_pair *pair = pair_of(rsa, rsa, NULL, NULL);
    struct secret *secret = assertion_make(&assertion, pair, NULL);
    struct jwt jwt = take_apart(secret, other_rsa);
    assert_false(jwt.is_signed);
    json_decref(jwt.header);
    json_decref(jwt.claims);
    secret_free(secret);
    key_pair_free(pair);
}

static void without_a_key_nothing_is_signed(void **state)
{
    (void)state;
    struct error error = {"?"};
    const struct assertion assertion = {.audience = AUDIENCE, .client_id = CLIENT, .now = 1};
    struct key_pair *pair = pair_of(rsa, NULL, NULL, NULL);
    assert_null(assertion_make(&assertion, pair, &error));
    assert_non_null(strstr(error.text, "nothing can be signed"));
    key_pair_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_tells_its_times_and_thumbprints),
        cmocka_unit_test(a_certificate_may_come_alone),
        cmocka_unit_test(what_cannot_be_used_is_said),
        cmocka_unit_test(what_is_no_certificate_or_key_is_said),
        cmocka_unit_test(an_assertion_is_what_microsoft_wants),
        cmocka_unit_test(another_key_does_not_verify_it),
        cmocka_unit_test(without_a_key_nothing_is_signed),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
