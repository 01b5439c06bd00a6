/* test_verify.c - whom TLS believes, by handshakes with certificates of our own making */
#include "common/upstream/verify.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HOST "smtp.upstream.example"

static char ca_file[] = "/tmp/post365-verify-XXXXXX";
static EVP_PKEY *ca_key;
static X509 *ca;
static struct settings settings;
static char empty[] = "";

/* --- certificates --- */

static void add_extension(X509 *certificate, int name, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, ca != NULL ? ca : certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, name, value);
    assert_non_null(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/* `names` as in openssl.cnf(5), NULL: none. */
static X509 *certify(EVP_PKEY *key, const char *common_name, const char *names)
{
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1 + (names != NULL));
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)common_name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(ca != NULL ? ca : certificate));
    if (ca == NULL)
        add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    if (names != NULL)
        add_extension(certificate, NID_subject_alt_name, names);
    assert_true(X509_sign(certificate, ca_key, EVP_sha256()) > 0);
    return certificate;
}

static int make_authority(void **state)
{
    (void)state;
    ca_key = EVP_EC_gen("P-256");
    ca = certify(ca_key, "Authority of the tests", NULL);
    FILE *file = fdopen(mkstemp(ca_file), "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, ca), 1);
    assert_int_equal(fclose(file), 0);
    return 0;
}

static int forget_authority(void **state)
{
    (void)state;
    unlink(ca_file);
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    return 0;
}

static int defaults(void **state)
{
    (void)state;
    settings = (struct settings){
        .tls_ca_file = ca_file,
        .tls_ca_path = empty,
        .smtp = {.tls_1_2 = true, .tls_1_3 = true, .ciphers = empty},
    };
    return 0;
}

/* --- handshakes --- */

struct handshake {
    SSL_CTX *server_context, *client_context;
    SSL *server, *client;
    EVP_PKEY *key;
    X509 *certificate;
};

static void begin(struct handshake *handshake, const char *host, const char *common_name,
                  const char *names)
{
    struct error error;
    BIO *ours, *theirs;
    *handshake = (struct handshake){.key = EVP_EC_gen("P-256")};
    handshake->certificate = certify(handshake->key, common_name, names);
    handshake->server_context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(handshake->server_context, handshake->certificate);
    SSL_CTX_use_PrivateKey(handshake->server_context, handshake->key);
    handshake->client_context = verify_context(&settings, &error);
    assert_non_null(handshake->client_context);
    BIO_new_bio_pair(&ours, 0, &theirs, 0);
    handshake->server = SSL_new(handshake->server_context);
    handshake->client = SSL_new(handshake->client_context);
    SSL_set_bio(handshake->client, ours, ours);
    SSL_set_bio(handshake->server, theirs, theirs);
    SSL_set_accept_state(handshake->server);
    SSL_set_connect_state(handshake->client);
    assert_true(verify_expect(handshake->client, host));
}

/* Whether both sides came to an end. */
static bool shake(struct handshake *handshake)
{
    ERR_clear_error();
    for (int i = 0; i < 20; i++) {
        int client = SSL_do_handshake(handshake->client);
        if (client != 1 && SSL_get_error(handshake->client, client) == SSL_ERROR_SSL)
            return false;
        int server = SSL_do_handshake(handshake->server);
        if (server != 1 && SSL_get_error(handshake->server, server) == SSL_ERROR_SSL)
            return false;
        if (client == 1 && server == 1)
            return true;
    }
    return false;
}

static void end(struct handshake *handshake)
{
    SSL_free(handshake->client);
    SSL_free(handshake->server);
    SSL_CTX_free(handshake->client_context);
    SSL_CTX_free(handshake->server_context);
    X509_free(handshake->certificate);
    EVP_PKEY_free(handshake->key);
    ERR_clear_error();
}

static void the_name_must_be_among_the_alternative_names(void **state)
{
    (void)state;
    static const struct {
        const char *host, *common_name, *names;
        bool is_believed;
    } cases[] = {
        {HOST, "anything", "DNS:" HOST, true},
        {HOST, HOST, "DNS:" HOST, true},
        {HOST, HOST, NULL, false},
        {HOST, HOST, "email:postmaster@upstream.example", false},
        {HOST, HOST, "IP:192.0.2.1", false},
        {HOST, HOST, "DNS:other.example", false},
        {HOST, "x", "DNS:*.upstream.example", true},
        {HOST, "x", "DNS:s*.upstream.example", false},
        {HOST, "x", "DNS:*.example", false},
        {"192.0.2.1", "x", "IP:192.0.2.1", true},
        {"192.0.2.1", "192.0.2.1", NULL, false},
        {"2001:db8::1", "x", "IP:2001:db8::1", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct handshake handshake;
        struct error error;
        begin(&handshake, cases[i].host, cases[i].common_name, cases[i].names);
        if (shake(&handshake) != cases[i].is_believed)
            fail_msg("%s, CN %s, %s", cases[i].host, cases[i].common_name,
                     cases[i].names != NULL ? cases[i].names : "no other name");
        if (!cases[i].is_believed) {
            verify_explain(handshake.client, ERR_peek_error(), cases[i].host, &error);
            assert_non_null(strstr(error.text, "another name"));
        }
        end(&handshake);
    }
}

static void versions_are_those_of_main_cf(void **state)
{
    (void)state;
    static const struct {
        bool tls_1_2, tls_1_3;
        int server; /* speaks nothing else */
        bool is_agreed;
    } cases[] = {
        {true, true, TLS1_2_VERSION, true},   {true, true, TLS1_3_VERSION, true},
        {true, true, TLS1_1_VERSION, false},  {true, false, TLS1_2_VERSION, true},
        {true, false, TLS1_3_VERSION, false}, {false, true, TLS1_2_VERSION, false},
        {false, true, TLS1_3_VERSION, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct handshake handshake;
        settings.smtp.tls_1_2 = cases[i].tls_1_2;
        settings.smtp.tls_1_3 = cases[i].tls_1_3;
        begin(&handshake, HOST, "x", "DNS:" HOST);
        SSL_set_security_level(handshake.server, 0);
        SSL_set_min_proto_version(handshake.server, cases[i].server);
        SSL_set_max_proto_version(handshake.server, cases[i].server);
        if (shake(&handshake) != cases[i].is_agreed)
            fail_msg("case %zu", i);
        end(&handshake);
    }
}

static void ciphers_are_those_of_main_cf(void **state)
{
    (void)state;
    static const struct {
        const char *ciphers, *server;
        bool is_agreed, is_known;
    } cases[] = {
        {"", "ECDHE-ECDSA-AES128-SHA", true, true},
        {"DEFAULT:!SHA1", "ECDHE-ECDSA-AES128-SHA", false, true},
        {"HIGH:!aNULL:!eNULL", "ECDHE-ECDSA-AES256-GCM-SHA384", true, true},
        {"DEFAULT:!ALL", "ECDHE-ECDSA-AES128-SHA", true, false}, /* OpenSSL's own */
        {"DEFAULT:!ECDHE", "ECDHE-ECDSA-AES128-SHA", false, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct handshake handshake;
        struct error error;
        settings.smtp.ciphers = (char *)cases[i].ciphers;
        settings.smtp.tls_1_3 = false;
        assert_true(verify_ciphers(&settings, &error) == cases[i].is_known);
        begin(&handshake, HOST, "x", "DNS:" HOST);
        SSL_set_cipher_list(handshake.server, cases[i].server);
        if (shake(&handshake) != cases[i].is_agreed)
            fail_msg("%s against %s", cases[i].ciphers, cases[i].server);
        end(&handshake);
    }
}

static void another_authority_is_not_believed(void **state)
{
    (void)state;
    struct handshake handshake;
    struct error error;
    begin(&handshake, HOST, "x", "DNS:" HOST);
    SSL_CTX_set_cert_store(handshake.client_context, X509_STORE_new());
    assert_false(shake(&handshake));
    verify_explain(handshake.client, ERR_peek_error(), HOST, &error);
    assert_non_null(strstr(error.text, "not trusted"));
    end(&handshake);
}

/* Whatever ended the handshake. */
static void there_is_always_a_reason(void **state)
{
    (void)state;
    static const struct {
        unsigned long code;
        const char *text;
    } cases[] = {
        {ERR_PACK(ERR_LIB_SSL, 0, SSL_R_WRONG_VERSION_NUMBER), "wrong version number"},
        {ERR_PACK(ERR_LIB_SSL, 0, 3999), "error:"},
        {ERR_PACK(99, 0, 77), "error:"},
        {ERR_SYSTEM_FLAG | ECONNRESET, "Connection reset by peer"},
        {ERR_SYSTEM_FLAG | EPIPE, "Broken pipe"},
        {ERR_SYSTEM_FLAG | ETIMEDOUT, "Connection timed out"},
        {0, "the connection was lost"},
    };
    struct handshake handshake;
    begin(&handshake, HOST, "x", "DNS:" HOST);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error;
        verify_explain(handshake.client, cases[i].code, HOST, &error);
        if (strstr(error.text, cases[i].text) == NULL || strstr(error.text, "(null)") != NULL)
            fail_msg("%s", error.text);
    }
    end(&handshake);
}

static void authorities_that_cannot_be_read_are_told(void **state)
{
    (void)state;
    static char *const files[] = {"/nonexistent/ca.pem", "/dev/null"};
    for (size_t i = 0; i < 2; i++) {
        struct error error;
        settings.tls_ca_file = files[i];
        assert_null(verify_context(&settings, &error));
        assert_non_null(strstr(error.text, files[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_name_must_be_among_the_alternative_names, defaults),
        cmocka_unit_test_setup(versions_are_those_of_main_cf, defaults),
        cmocka_unit_test_setup(ciphers_are_those_of_main_cf, defaults),
        cmocka_unit_test_setup(another_authority_is_not_believed, defaults),
        cmocka_unit_test_setup(there_is_always_a_reason, defaults),
        cmocka_unit_test_setup(authorities_that_cannot_be_read_are_told, defaults),
    };
    return cmocka_run_group_tests_name("verify", tests, make_authority, forget_authority);
}
