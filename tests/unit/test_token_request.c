/* test_token_request.c - forms for the token endpoint; the requests of a managed identity */
#include "tokend/metadata.h"
#include "tokend/request.h"

#include "common/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define APP                                                                                        \
    "tenant = contoso.com\nclient_id = 0b5a0ce7-1234-4abc-9def-00112233aabb\n"                     \
    "client_secret_file = /s\n"
#define USER "grant = user\n"

static struct registration *registration_of(const char *text)
{
    struct registration *registration =
        registration_parse("/r.cf", text, strlen(text), &(struct error){""});
    assert_non_null(registration);
    return registration;
}

static struct secret *secret_of(const char *text)
{
    return secret_copy(text, strlen(text));
}

/* Takes the form over. */
static void expect(struct secret *form, const char *want)
{
    assert_string_equal(secret_reveal(form), want);
    secret_free(form);
}

static void expect_text(char *text, const char *want)
{
    assert_string_equal(text, want);
    free(text);
}

static void urls_have_the_tenant_as_configured(void **state)
{
    (void)state;
    struct registration *app = registration_of(APP "authority = https://127.0.0.1:8443");
    expect_text(request_token_url(app), "https://127.0.0.1:8443/contoso.com/oauth2/v2.0/token");
    expect_text(request_device_url(app),
                "https://127.0.0.1:8443/contoso.com/oauth2/v2.0/devicecode");
    expect_text(request_configuration_url(app),
                "https://127.0.0.1:8443/contoso.com/v2.0/.well-known/openid-configuration");
    registration_free(app);
}

static void each_octet_of_a_secret_arrives(void **state)
{
    (void)state;
    char all[255], *want = memory_zero(1, 255 * 3 + 1), *at = want;
    for (int i = 0; i < 255; i++) {
        unsigned char byte = (unsigned char)(i + 1);
        bool kept = byte < 128 && byte > 0 &&
                    strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~",
                           byte) != NULL;
        all[i] = (char)byte;
        at += sprintf(at, kept ? "%c" : "%%%02X", byte);
    }
    struct registration *app = registration_of(APP);
    struct secret *value = secret_copy(all, sizeof(all));
    struct secret *form = request_app(app, &(struct request_proof){.client_secret = value});
    const char *behind = strstr(secret_reveal(form), "&client_secret=");
    assert_non_null(behind);
    assert_string_equal(behind + strlen("&client_secret="), want);
    secret_free(form);
    secret_free(value);
    registration_free(app);
    free(want);
}

static void forms_are_as_microsoft_writes_them(void **state)
{
    (void)state;
    struct registration *app = registration_of(APP), *user = registration_of(APP USER);
    struct secret *value = secret_of("a~b c+/="), *jwt = secret_of("a.b-c_d"),
                  *code = secret_of("C&C");
    const struct request_proof none = {0}, with_secret = {.client_secret = value},
                               with_assertion = {.assertion = jwt};
    expect(request_app(app, &with_secret),
           "grant_type=client_credentials&client_id=0b5a0ce7-1234-4abc-9def-00112233aabb&scope="
           "https%3A%2F%2Foutlook.office365.com%2F.default&client_secret=a~b%20c%2B%2F%3D");
    expect(request_app(app, &with_assertion),
           "grant_type=client_credentials&client_id=0b5a0ce7-1234-4abc-9def-00112233aabb&scope="
           "https%3A%2F%2Foutlook.office365.com%2F.default&client_assertion_type=urn%3Aietf%3A"
           "params%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=a.b-c_d");
    expect(request_device_begin(user),
           "client_id=0b5a0ce7-1234-4abc-9def-00112233aabb&scope=https%3A%2F%2Foutlook.office.com"
           "%2FSMTP.Send%20offline_access");
    expect(request_device_poll(user, code, &none),
           "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=0b5a0ce7-"
           "1234-4abc-9def-00112233aabb&device_code=C%26C");
    expect(request_refresh(user, code, &none),
           "grant_type=refresh_token&client_id=0b5a0ce7-1234-4abc-9def-00112233aabb&scope=https%3A"
           "%2F%2Foutlook.office.com%2FSMTP.Send%20offline_access&refresh_token=C%26C");
    struct secret *form = request_refresh(user, code, &with_secret);
    assert_non_null(strstr(secret_reveal(form), "&client_secret=a~b"));
    secret_free(form);
    secret_free(value);
    secret_free(jwt);
    secret_free(code);
    registration_free(app);
    registration_free(user);
}

/* --- managed identities --- */

static void metadata_is_asked_for_the_resource(void **state)
{
    (void)state;
    struct registration *vm = registration_of("managed_identity = vm");
    struct registration *arc =
        registration_of("managed_identity = arc\nclient_id = 0b5a0ce7-1234-4abc-9def-00112233aabb\n"
                        "cloud = usgov\nauthority = http://127.0.0.1:1234");
    expect_text(metadata_url(vm), "http://169.254.169.254/metadata/identity/oauth2/token?"
                                  "api-version=2018-02-01&resource=https%3A%2F%2Foutlook."
                                  "office365.com");
    expect_text(metadata_url(arc), "http://127.0.0.1:1234/metadata/identity/oauth2/token?"
                                   "api-version=2020-06-01&resource=https%3A%2F%2Foutlook."
                                   "office365.us&client_id=0b5a0ce7-1234-4abc-9def-00112233aabb");
    registration_free(vm);
    registration_free(arc);
}

static void a_key_lies_in_its_directory_alone(void **state)
{
    (void)state;
    static const struct {
        const char *header, *path;
    } cases[] = {
        {"Basic realm=/t/a1-b.key", "/t/a1-b.key"},
        {"basic  Realm=\"/t/x.key\"", "/t/x.key"},
        {"Basic realm=/t/x.key, charset=\"UTF-8\"", "/t/x.key"},
        {NULL, NULL},
        {"", NULL},
        {"Bearer realm=/t/x.key", NULL},
        {"Basicrealm=/t/x.key", NULL},
        {"Basic realm=", NULL},
        {"Basic realm=/t/.key", NULL},
        {"Basic realm=/t/..key", NULL},
        {"Basic realm=/t/x.pem", NULL},
        {"Basic realm=/t/", NULL},
        {"Basic realm=/t", NULL},
        {"Basic realm=/tx/x.key", NULL},
        {"Basic realm=/t/../etc/x.key", NULL},
        {"Basic realm=/t/sub/x.key", NULL},
        {"Basic realm=/t//x.key", NULL},
        {"Basic realm=/etc/shadow", NULL},
        {"Basic realm=\"/t/x y.key\"", NULL},
        {"Basic realm=\"/t/x\n.key\"", NULL},
        {"Basic realm=x.key", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = {""};
        char *path = metadata_key_path(cases[i].header, "/t", &error);
        if (cases[i].path == NULL)
            assert_null(path);
        else
            assert_string_equal(path, cases[i].path);
        assert_int_equal(path == NULL, error.text[0] != '\0');
        free(path);
    }
    char *longest = memory_format("Basic realm=/t/%0300d.key", 1);
    assert_null(metadata_key_path(longest, "/t", NULL));
    free(longest);
}

static void a_key_becomes_a_header_of_one_line(void **state)
{
    (void)state;
    struct secret *key = secret_of("abc123==\n"), *two = secret_of("abc\r\nX: y"),
                  *nothing = secret_of("\n"), *large = secret_new(METADATA_KEY_MAX + 1);
    for (size_t i = 0; i <= METADATA_KEY_MAX; i++)
        secret_append(large, "x", 1);
    expect(metadata_authorization(key, NULL), "Authorization: Basic abc123==");
    assert_null(metadata_authorization(two, NULL));
    assert_null(metadata_authorization(nothing, NULL));
    assert_null(metadata_authorization(large, NULL));
    secret_free(key);
    secret_free(two);
    secret_free(nothing);
    secret_free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_have_the_tenant_as_configured),
        cmocka_unit_test(each_octet_of_a_secret_arrives),
        cmocka_unit_test(forms_are_as_microsoft_writes_them),
        cmocka_unit_test(metadata_is_asked_for_the_resource),
        cmocka_unit_test(a_key_lies_in_its_directory_alone),
        cmocka_unit_test(a_key_becomes_a_header_of_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
