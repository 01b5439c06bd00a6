/* test_entra.c - what Microsoft Entra answers gets its cause and class; the clouds */
#include "common/entra/cause.h"
#include "common/entra/cloud.h"
#include "common/office365.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One of each row that the endpoint's words lead to, and what is not in the table. */
static const struct {
    unsigned status;
    const char *error, *suberror;
    unsigned number;
    const char *row;
    enum entra_class of_app, of_user;
} answers[] = {
#define RETRY   ENTRA_RETRY
#define ADMIN   ENTRA_ADMIN
#define LOGIN   ENTRA_LOGIN
#define PENDING ENTRA_PENDING
    {401, "invalid_client", NULL, 7000215, "secret-wrong", ADMIN, ADMIN},
    {401, "invalid_client", NULL, 7000222, "secret-expired", ADMIN, ADMIN},
    {400, "unauthorized_client", NULL, 700016, "client-unknown", ADMIN, ADMIN},
    {401, "invalid_client", NULL, 7000229, "principal-missing", ADMIN, ADMIN},
    {400, "unauthorized_client", NULL, 7000112, "application-disabled", ADMIN, ADMIN},
    {400, "unauthorized_client", NULL, 70001, "application-disabled", ADMIN, ADMIN},
    {400, "invalid_request", NULL, 90002, "tenant-unknown", ADMIN, ADMIN},
    {400, "invalid_request", NULL, 900439, "cloud-wrong", ADMIN, ADMIN},
    {400, "invalid_request", NULL, 9001023, "tenant-common", ADMIN, ADMIN},
    {401, "invalid_client", NULL, 700027, "certificate-unknown", ADMIN, ADMIN},
    {401, "invalid_client", NULL, 700024, "clock-wrong", ADMIN, ADMIN},
    {401, "invalid_client", NULL, 50027, "assertion-wrong", ADMIN, ADMIN},
    {401, "invalid_client", NULL, 700023, "assertion-wrong", ADMIN, ADMIN},
    {400, "invalid_scope", NULL, 700023, "scope-wrong", ADMIN, ADMIN},
    {401, "invalid_client", NULL, 700211, "federation-mismatch", ADMIN, ADMIN},
    {401, "invalid_client", NULL, 700025, "client-public", ADMIN, ADMIN},
    {401, "invalid_client", NULL, 7000218, "client-confidential", ADMIN, ADMIN},
    {400, "invalid_scope", NULL, 70011, "scope-wrong", ADMIN, ADMIN},
    {400, "invalid_request", NULL, 900144, "request-incomplete", ADMIN, ADMIN},
    {400, "invalid_resource", NULL, 500011, "exchange-missing", ADMIN, ADMIN},
    {400, "invalid_grant", NULL, 501051, "assignment-required", ADMIN, LOGIN},
    {400, "invalid_grant", NULL, 65001, "consent-missing", ADMIN, LOGIN},
    {400, "access_denied", NULL, 53003, "sign-in-forbidden", ADMIN, ADMIN},
    {400, "invalid_grant", NULL, 53003, "sign-in-forbidden", ADMIN, LOGIN},
    {400, "interaction_required", NULL, 50076, "mfa-wanted", ADMIN, LOGIN},
    {400, "invalid_grant", "token_expired", 70043, "sign-in-frequency", ADMIN, LOGIN},
    {400, "invalid_grant", "token_expired", 0, "sign-in-frequency", ADMIN, LOGIN},
    {400, "invalid_grant", NULL, 700082, "grant-idle", ADMIN, LOGIN},
    {400, "invalid_grant", NULL, 50173, "grant-revoked", ADMIN, LOGIN},
    {400, "invalid_grant", NULL, 70000, "grant-unusable", ADMIN, LOGIN},
    {400, "invalid_grant", NULL, 7000012, "grant-of-another-tenant", ADMIN, LOGIN},
    {400, "invalid_grant", NULL, 50034, "user-unknown", ADMIN, LOGIN},
    {400, "invalid_grant", NULL, 50057, "user-disabled", ADMIN, LOGIN},
    {400, "invalid_grant", NULL, 50053, "user-locked", ADMIN, LOGIN},
    {400, "invalid_grant", NULL, 50055, "user-password", ADMIN, LOGIN},
    {400, "authorization_pending", NULL, 70016, "login-pending", PENDING, PENDING},
    {400, "slow_down", NULL, 0, "login-pending", PENDING, PENDING},
    {400, "authorization_declined", NULL, 0, "login-declined", LOGIN, LOGIN},
    {400, "authorization_declined", NULL, 70016, "login-declined", LOGIN, LOGIN},
    {400, "bad_verification_code", NULL, 70018, "login-code-wrong", LOGIN, LOGIN},
    {400, "expired_token", NULL, 70019, "login-code-expired", LOGIN, LOGIN},
    {400, "invalid_grant", NULL, 90120, "login-code-used", ADMIN, LOGIN},
    {400, "invalid_grant", NULL, 50134, "login-elsewhere", ADMIN, LOGIN},
    {400, "invalid_grant", NULL, 50196, "request-loop", ADMIN, LOGIN},
    {429, "temporarily_unavailable", NULL, 90055, "tenant-throttled", RETRY, RETRY},
    {503, "temporarily_unavailable", NULL, 90033, "endpoint-trouble", RETRY, RETRY},
    {400, "temporarily_unavailable", NULL, 0, "endpoint-trouble", RETRY, RETRY},
    /* numbers do not decide what is done */
    {400, "temporarily_unavailable", NULL, 7000222, "secret-expired", RETRY, RETRY},
    {500, "invalid_client", NULL, 0, "endpoint-trouble", RETRY, RETRY},
    {401, "invalid_client", NULL, 90033, "endpoint-trouble", ADMIN, ADMIN},
    /* what no row knows */
    {400, "invalid_grant", NULL, 987654, "login-again", ADMIN, LOGIN},
    {401, "invalid_client", NULL, 987654, "request-refused", ADMIN, ADMIN},
    {400, "something_new", NULL, 0, "request-refused", ADMIN, ADMIN},
    {400, "invalid_grant", "something_new", 0, "login-again", ADMIN, LOGIN},
    /* no word of OAuth2's */
    {429, NULL, NULL, 0, "endpoint-throttled", RETRY, RETRY},
    {401, NULL, NULL, 0, "answer-unintelligible", RETRY, RETRY},
    {200, NULL, NULL, 0, "answer-unintelligible", RETRY, RETRY},
    {302, NULL, NULL, 0, "endpoint-redirect", RETRY, RETRY},
    {407, NULL, NULL, 0, "proxy-refused", RETRY, RETRY},
    {502, NULL, NULL, 0, "endpoint-trouble", RETRY, RETRY},
    {408, NULL, NULL, 0, "endpoint-trouble", RETRY, RETRY},
    {0, NULL, NULL, 0, "answer-unintelligible", RETRY, RETRY},
};

static struct entra_answer answer_at(size_t i, bool is_user)
{
    return (struct entra_answer){.status = answers[i].status,
                                 .error = answers[i].error,
                                 .suberror = answers[i].suberror,
                                 .numbers = &answers[i].number,
                                 .number_count = answers[i].number != 0,
                                 .is_user = is_user};
}

static void an_answer_gets_its_cause(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(answers); i++) {
        const struct entra_answer of_app = answer_at(i, false), of_user = answer_at(i, true);
        const struct entra_row *row = entra_of_answer(&of_user);
        if (strcmp(row->name, answers[i].row) != 0)
            fail_msg("%u %s %u: %s, not %s", answers[i].status, answers[i].error, answers[i].number,
                     row->name, answers[i].row);
        if (entra_class_of_answer(&of_app) != answers[i].of_app ||
            entra_class_of_answer(&of_user) != answers[i].of_user)
            fail_msg("%u %s %u: another class", answers[i].status, answers[i].error,
                     answers[i].number);
    }
}

static void an_application_is_not_asked_to_log_in(void **state)
{
    (void)state;
    const struct entra_answer answer = {.status = 400, .error = "invalid_grant"};
    assert_string_equal(entra_of_answer(&answer)->name, ENTRA_REQUEST_REFUSED);
}

static void a_managed_identity_may_not_be_ready_yet(void **state)
{
    (void)state;
    static const unsigned passing[] = {404, 410, 429, 500};
    struct entra_answer answer = {.error = "invalid_request", .is_managed = true};
    for (size_t i = 0; i < COUNT(passing); i++) {
        answer.status = passing[i];
        assert_int_equal(entra_class_of_answer(&answer), ENTRA_RETRY);
    }
    answer.status = 400;
    assert_int_equal(entra_class_of_answer(&answer), ENTRA_ADMIN);
    assert_string_equal(entra_of_answer(&answer)->name, ENTRA_IDENTITY_MISSING);
}

static void the_first_number_that_is_known_counts(void **state)
{
    (void)state;
    static const unsigned numbers[] = {987654, 7000222, 90002};
    const struct entra_answer answer = {
        .status = 401, .error = "invalid_client", .numbers = numbers, .number_count = 3};
    assert_string_equal(entra_of_answer(&answer)->name, "secret-expired");
}

/* --- texts --- */

static const struct {
    const char *text, *row;
} texts[] = {
    {"AADSTS7000222: The provided client secret keys for app '0b5a' are expired.",
     "secret-expired"},
    {"aadsts90002: Tenant 'contoso' not found.", "tenant-unknown"},
    {"oauth2: token refresh failed (HTTP 400) invalid_grant AADSTS700082: The refresh token has "
     "expired due to inactivity.",
     "grant-idle"},
    {"{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client secret "
     "provided.\\r\\nTrace ID: 1\",\"error_codes\":[7000215]}",
     "secret-wrong"},
    {"{\"error\" : \"invalid_grant\", \"error_desc", "login-again"},
    {"{\\\"error\\\":\\\"authorization_declined\\\"}", "login-declined"},
    {"{\"error_uri\":\"x\",\"error\":\"invalid_scope\"}", "scope-wrong"},
    {"AADSTS7654321: what Microsoft invents tomorrow", "request-refused"},
    {"AADSTS7654321 and AADSTS50173", "grant-revoked"},
    {"secret-expired: status 401", "secret-expired"},
    {"451 4.7.0 no token for relay@contoso.com: status 400, invalid_client; cloud-wrong: Set",
     "cloud-wrong"},
    {"token-daemon-down: cannot connect", "token-daemon-down"},
    {"AADSTS", NULL},
    {"AADSTS: 50173", NULL},
    {"AADSTS99999999999999999999", NULL},
    {"{\"error\":\"not found\"}", NULL},
    {"{\"error\":\"invalid_clients\"}", NULL},
    {"secret-expired", NULL},
    {"my-secret-expired: x", NULL},
    {"535 5.7.3 Authentication unsuccessful", NULL},
    {"", NULL},
};

static void a_text_tells_its_cause(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        const struct entra_row *row = entra_of_text(texts[i].text, strlen(texts[i].text));
        const char *name = row != NULL ? row->name : "none";
        if (strcmp(name, texts[i].row != NULL ? texts[i].row : "none") != 0)
            fail_msg("\"%s\": %s", texts[i].text, name);
    }
}

/* --- the table --- */

static void expect_sentences(const char *text)
{
    assert_int_equal(text[strlen(text) - 1], '.');
    size_t ticks = 0;
    for (const char *at = text; *at != '\0'; at++)
        ticks += *at == '`';
    assert_int_equal(ticks % 2, 0);
    assert_null(strstr(text, "  "));
}

/* The transport writes as many whole sentences of it as have room in a reply. */
static void expect_short_beginning(const struct entra_row *row)
{
    const char *end = row->remedy;
    do
        end = strchr(end + 1, '.');
    while (end != NULL && end[1] != ' ' && end[1] != '\0');
    if (end == NULL || end - row->remedy >= 300)
        fail_msg("row %s: the first sentence of its remedy is too long for a reply", row->name);
}

static void the_table_is_whole(void **state)
{
    (void)state;
    size_t count, replies;
    const struct entra_row *rows = entra_rows(&count);
    const struct office365_row *others = office365_rows(&replies);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(strspn(rows[i].name, "abcdefghijklmnopqrstuvwxyz-"), strlen(rows[i].name));
        assert_ptr_equal(entra_named(rows[i].name), &rows[i]);
        expect_sentences(rows[i].meaning);
        expect_sentences(rows[i].remedy);
        expect_short_beginning(&rows[i]);
        assert_true(strlen(entra_class_words(rows[i].class)) > 0);
        for (size_t j = 0; j < replies; j++)
            assert_string_not_equal(rows[i].name, others[j].name);
        for (size_t j = 0; j < ENTRA_NUMBERS_MAX && rows[i].numbers[j] != 0; j++) {
            const struct entra_answer answer = {
                .error = rows[i].errors[0], .numbers = &rows[i].numbers[j], .number_count = 1};
            assert_ptr_equal(entra_of_answer(&answer), &rows[i]);
        }
        for (size_t j = 0; j < ENTRA_ERRORS_MAX && rows[i].errors[j] != NULL; j++) {
            const struct entra_answer answer = {.status = 400, .error = rows[i].errors[j]};
            assert_ptr_equal(entra_of_answer(&answer), &rows[i]);
        }
    }
    assert_null(entra_named("no-such-row"));
    assert_null(entra_named(""));
}

static void the_names_for_other_parts_are_there(void **state)
{
    (void)state;
    static const char *const names[] = {
        ENTRA_ENDPOINT_UNREACHABLE,
        ENTRA_ENDPOINT_UNRESOLVED,
        ENTRA_ENDPOINT_TIMEOUT,
        ENTRA_ENDPOINT_TROUBLE,
        ENTRA_ENDPOINT_THROTTLED,
        ENTRA_ENDPOINT_REDIRECT,
        ENTRA_ENDPOINT_UNTRUSTED,
        ENTRA_ENDPOINT_NAME,
        ENTRA_ENDPOINT_EXPIRED,
        ENTRA_ENDPOINT_TLS,
        ENTRA_PROXY_REFUSED,
        ENTRA_PROXY_UNREACHABLE,
        ENTRA_ANSWER_UNINTELLIGIBLE,
        ENTRA_TOKEN_UNUSABLE,
        ENTRA_LIFE_UNUSABLE,
        ENTRA_REFRESH_TOKEN_MISSING,
        ENTRA_CLOCK_WRONG,
        ENTRA_REGISTRATION_MISSING,
        ENTRA_REGISTRATION_WRONG,
        ENTRA_SECRET_FILE_MISSING,
        ENTRA_SECRET_FILE_UNREADABLE,
        ENTRA_SECRET_FILE_OPEN,
        ENTRA_SECRET_FILE_WRONG,
        ENTRA_CERTIFICATE_WRONG,
        ENTRA_KEY_MISMATCH,
        ENTRA_CERTIFICATE_EXPIRED,
        ENTRA_LOGIN_NEEDED,
        ENTRA_GRANT_LOST,
        ENTRA_GRANT_OF_ANOTHER,
        ENTRA_IDENTITY_MISSING,
        ENTRA_IDENTITY_KEY,
        ENTRA_DAEMON_DOWN,
        ENTRA_DAEMON_UNAWARE,
        ENTRA_REQUEST_REFUSED,
        ENTRA_LOGIN_REFUSED,
        ENTRA_LOGIN_PENDING,
    };
    for (size_t i = 0; i < COUNT(names); i++)
        assert_non_null(entra_named(names[i]));
}

/* --- clouds --- */

static void a_cloud_has_a_name_and_hosts(void **state)
{
    (void)state;
    size_t count = 0;
    for (; cloud_at(count) != NULL; count++) {
        const struct cloud *cloud = cloud_at(count);
        assert_ptr_equal(cloud_named(cloud->name), cloud);
        assert_non_null(strstr(cloud->user_scope, "offline_access"));
        assert_memory_equal(cloud->app_scope, cloud->resource, strlen(cloud->resource));
        for (size_t i = 0; cloud->hosts[i] != NULL; i++)
            assert_ptr_equal(cloud_of_host(cloud->hosts[i]), cloud);
    }
    assert_int_equal(count, 4);
    assert_string_equal(cloud_at(0)->name, "global");
    assert_null(cloud_named("germany"));
    assert_string_equal(cloud_of_host("SMTP.office365.US.")->name, "usgov");
    assert_null(cloud_of_host("smtp.office365.com.example"));
    assert_null(cloud_of_host("smtp.gmail.com"));
}

static void high_volume_email_wants_a_longer_margin(void **state)
{
    (void)state;
    assert_int_equal(cloud_margin("smtp-hve.office365.com"), 600);
    assert_int_equal(cloud_margin("SMTP.hve.mx.microsoft."), 600);
    assert_int_equal(cloud_margin("smtp.office365.com"), 60);
    assert_int_equal(cloud_margin(NULL), 60);
    assert_false(cloud_is_high_volume("smtp-hve.office365.com.example"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_gets_its_cause),
        cmocka_unit_test(an_application_is_not_asked_to_log_in),
        cmocka_unit_test(a_managed_identity_may_not_be_ready_yet),
        cmocka_unit_test(the_first_number_that_is_known_counts),
        cmocka_unit_test(a_text_tells_its_cause),
        cmocka_unit_test(the_table_is_whole),
        cmocka_unit_test(the_names_for_other_parts_are_there),
        cmocka_unit_test(a_cloud_has_a_name_and_hosts),
        cmocka_unit_test(high_volume_email_wants_a_longer_margin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
