/* test_pair.c - a private key, and the certificate that is uploaded to Entra for it */
#include "ctl/oauth2/pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define NOW  ((time_t)1795000000)
#define HOUR 3600
#define DAY  86400

static X509 *read_certificate(const struct pair *pair)
{
    BIO *lines = BIO_new_mem_buf(pair->certificate.data, (int)pair->certificate.length);
    X509 *certificate = PEM_read_bio_X509(lines, NULL, NULL, NULL);
    BIO_free(lines);
    assert_non_null(certificate);
    return certificate;
}

static EVP_PKEY *read_key(const struct pair *pair)
{
    BIO *lines = BIO_new_mem_buf(secret_reveal(pair->key), (int)secret_length(pair->key));
    EVP_PKEY *key = PEM_read_bio_PrivateKey(lines, NULL, NULL, NULL);
    BIO_free(lines);
    assert_non_null(key);
    return key;
}

static void assert_made(const char *name, struct pair *pair)
{
    struct error error = {""};
    if (!pair_make(name, NOW, pair, &error))
        fail_msg("%s", error.text);
}

static void key_and_certificate_go_together(void **state)
{
    (void)state;
    struct pair pair;
    assert_made("relay", &pair);
    EVP_PKEY *key = read_key(&pair);
    X509 *certificate = read_certificate(&pair);
    assert_int_equal(EVP_PKEY_get_base_id(key), EVP_PKEY_RSA);
    assert_int_equal(EVP_PKEY_get_bits(key), 3072);
    assert_int_equal(X509_check_private_key(certificate, key), 1);
    assert_int_equal(X509_verify(certificate, key), 1);
    assert_memory_equal(secret_reveal(pair.key), "-----BEGIN PRIVATE KEY-----", 27);
    X509_free(certificate);
    EVP_PKEY_free(key);
    pair_release(&pair);
}

static void it_is_good_for_two_years_and_for_signing_alone(void **state)
{
    (void)state;
    struct pair pair;
    char name[100];
    time_t begins = NOW - HOUR, ends = NOW + (time_t)730 * DAY;
    assert_made("relay-2026", &pair);
    X509 *certificate = read_certificate(&pair);
    assert_int_equal(pair.ends, ends);
    assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notBefore(certificate), begins), 0);
    assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notAfter(certificate), ends), 0);
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                              sizeof(name));
    assert_string_equal(name, "post365 relay-2026");
    assert_int_equal(X509_get_extension_flags(certificate) & EXFLAG_CA, 0);
    assert_int_equal(X509_get_key_usage(certificate), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(certificate), XKU_SSL_CLIENT);
    X509_free(certificate);
    pair_release(&pair);
}

static void the_thumbprints_are_those_of_the_certificate(void **state)
{
    (void)state;
    static const char digits[] = "0123456789ABCDEF";
    struct pair pair;
    unsigned char octets[EVP_MAX_MD_SIZE];
    unsigned length;
    assert_made("relay", &pair);
    X509 *certificate = read_certificate(&pair);
    const struct {
        const char *text;
        const EVP_MD *digest;
    } thumbprints[] = {{pair.sha1, EVP_sha1()}, {pair.sha256, EVP_sha256()}};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(X509_digest(certificate, thumbprints[i].digest, octets, &length), 1);
        assert_int_equal(strlen(thumbprints[i].text), 2 * length);
        for (unsigned j = 0; j < length; j++) {
            assert_int_equal(thumbprints[i].text[2 * j], digits[octets[j] >> 4]);
            assert_int_equal(thumbprints[i].text[2 * j + 1], digits[octets[j] & 15]);
        }
    }
    X509_free(certificate);
    pair_release(&pair);
}

static void no_two_are_the_same_and_the_longest_name_fits(void **state)
{
    (void)state;
    struct pair one, other;
    char name[PAIR_NAME_MAX + 1];
    memset(name, 'n', PAIR_NAME_MAX);
    name[PAIR_NAME_MAX] = '\0';
    assert_made(name, &one);
    assert_made(name, &other);
    assert_string_not_equal(one.sha256, other.sha256);
    X509 *first = read_certificate(&one), *second = read_certificate(&other);
    assert_int_not_equal(
        ASN1_INTEGER_cmp(X509_get0_serialNumber(first), X509_get0_serialNumber(second)), 0);
    X509_free(first);
    X509_free(second);
    pair_release(&one);
    pair_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_and_certificate_go_together),
        cmocka_unit_test(it_is_good_for_two_years_and_for_signing_alone),
        cmocka_unit_test(the_thumbprints_are_those_of_the_certificate),
        cmocka_unit_test(no_two_are_the_same_and_the_longest_name_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
