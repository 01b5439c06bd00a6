/* test_answer.c - what the token endpoint may answer, and what is made of it */
#include "tokend/answer.h"

#include "common/buffer.h"
#include "tests/unit/memory_search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW          1790000000 /* Mon, 21 Sep 2026 14:13:20 GMT */

static void read_body(struct answer *answer, struct answer_received received, const char *body,
                      size_t length)
{
    struct secret *secret = body != NULL ? secret_copy(body, length) : NULL;
    received.body = secret;
    received.now = NOW;
    answer_read(answer, &received);
    secret_free(secret);
}

static void read_text(struct answer *answer, enum answer_question question, unsigned status,
                      const char *body)
{
    read_body(answer, (struct answer_received){.question = question, .status = status}, body,
              body != NULL ? strlen(body) : 0);
}

static void expect_one_line(const struct answer *answer)
{
    assert_true(strlen(answer->reason) > 0 && strlen(answer->reason) <= TOKENS_REASON_MAX);
    for (const char *byte = answer->reason; *byte != '\0'; byte++)
        assert_true((unsigned char)*byte >= ' ' && *byte != 0x7f);
}

/* --- tokens --- */

#define TOKEN(more) "{\"token_type\":\"Bearer\",\"access_token\":\"eyJ.e-_~+/.x==\"" more "}"

static const struct {
    const char *body;
    uint32_t life, refresh_in;
    bool is_told;
} lives[] = {
    {TOKEN(",\"expires_in\":3599"), 3599, 0, true},
    {TOKEN(",\"expires_in\":\"3599\",\"ext_expires_in\":\"x\""), 3599, 0, true},
    {TOKEN(",\"expires_in\":86400,\"refresh_in\":43200"), 86400, 43200, true},
    {TOKEN(",\"expires_in\":3600.9,\"refresh_in\":\"1800\""), 3600, 1800, true},
    {TOKEN(",\"expires_in\":1"), 1, 0, true},
    /* a day is the most, whatever is said */
    {TOKEN(",\"expires_in\":100000"), ANSWER_LIFE_MAX, 0, true},
    {TOKEN(",\"expires_in\":1e18"), ANSWER_LIFE_MAX, 0, true},
    {TOKEN(",\"expires_in\":123456789012345678901234567890"), ANSWER_LIFE_MAX, 0, true},
    {TOKEN(",\"expires_in\":\"123456789012345678901234567890\""), ANSWER_LIFE_MAX, 0, true},
    /* it may be left out */
    {TOKEN(""), ANSWER_LIFE_DEFAULT, 0, false},
    {TOKEN(",\"expires_in\":null"), ANSWER_LIFE_DEFAULT, 0, false},
    /* what cannot be of refresh_in is none */
    {TOKEN(",\"expires_in\":60,\"refresh_in\":60"), 60, 0, true},
    {TOKEN(",\"expires_in\":60,\"refresh_in\":-5"), 60, 0, true},
    {TOKEN(",\"expires_in\":60,\"refresh_in\":[]"), 60, 0, true},
};

static void a_token_has_a_life(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lives); i++) {
        struct answer answer;
        read_text(&answer, ANSWER_APP, 200, lives[i].body);
        if (answer.outcome != ANSWER_TOKEN || answer.life != lives[i].life ||
            answer.refresh_in != lives[i].refresh_in || answer.is_life_told != lives[i].is_told)
            fail_msg("%s: outcome %d, life %u, refresh_in %u; %s", lives[i].body,
                     (int)answer.outcome, answer.life, answer.refresh_in, answer.reason);
        assert_string_equal(secret_reveal(answer.token), "eyJ.e-_~+/.x==");
        answer_free(&answer);
        assert_null(answer.token);
    }
}

static void the_type_is_compared_without_case(void **state)
{
    (void)state;
    struct answer answer;
    read_text(&answer, ANSWER_MANAGED, 200,
              "{\"access_token\":\"abc\",\"expires_in\":\"86399\",\"expires_on\":\"1790086399\","
              "\"not_before\":\"1790000000\",\"resource\":\"x\",\"token_type\":\"bearer\"}");
    assert_int_equal(answer.outcome, ANSWER_TOKEN);
    assert_int_equal(answer.life, 86399);
    answer_free(&answer);
}

#define REFRESHED TOKEN(",\"expires_in\":3599,\"refresh_token\":\"1.AX-new\"")

static void a_refresh_token_is_kept_where_one_is_asked_for(void **state)
{
    (void)state;
    struct answer answer;
    read_text(&answer, ANSWER_REFRESH, 200, REFRESHED);
    assert_string_equal(secret_reveal(answer.refresh_token), "1.AX-new");
    answer_free(&answer);
    read_text(&answer, ANSWER_DEVICE_POLL, 200, REFRESHED);
    assert_int_equal(answer.outcome, ANSWER_TOKEN);
    assert_non_null(answer.refresh_token);
    answer_free(&answer);
    read_text(&answer, ANSWER_APP, 200, REFRESHED);
    assert_null(answer.refresh_token);
    answer_free(&answer);
    /* an old one goes on where no new one came, or one that is none */
    read_text(&answer, ANSWER_REFRESH, 200, TOKEN(""));
    assert_int_equal(answer.outcome, ANSWER_TOKEN);
    assert_null(answer.refresh_token);
    answer_free(&answer);
    read_text(&answer, ANSWER_REFRESH, 200, TOKEN(",\"refresh_token\":\"a\\nb\""));
    assert_int_equal(answer.outcome, ANSWER_TOKEN);
    assert_null(answer.refresh_token);
    answer_free(&answer);
}

/* --- a token that is none --- */

static const struct {
    const char *body, *row;
} unusable[] = {
    {"{\"token_type\":\"Bearer\",\"access_token\":\"abc\\r\\nX\",\"expires_in\":1}",
     ENTRA_TOKEN_UNUSABLE},
    {"{\"token_type\":\"Bearer\",\"access_token\":\"a b\"}", ENTRA_TOKEN_UNUSABLE},
    {"{\"token_type\":\"Bearer\",\"access_token\":\"a=b\"}", ENTRA_TOKEN_UNUSABLE},
    {"{\"token_type\":\"Bearer\",\"access_token\":\"=\"}", ENTRA_TOKEN_UNUSABLE},
    {"{\"token_type\":\"Bearer\",\"access_token\":\"\"}", ENTRA_TOKEN_UNUSABLE},
    {"{\"token_type\":\"Bearer\",\"access_token\":\"\\u00e9\"}", ENTRA_TOKEN_UNUSABLE},
    {"{\"token_type\":\"pop\",\"access_token\":\"abc\"}", ENTRA_TOKEN_UNUSABLE},
    {"{\"access_token\":\"abc\"}", ENTRA_TOKEN_UNUSABLE},
    {"{\"token_type\":\"Bearer\",\"access_token\":7}", ENTRA_ANSWER_UNINTELLIGIBLE},
    {"{\"token_type\":\"Bearer\"}", ENTRA_ANSWER_UNINTELLIGIBLE},
    {"{}", ENTRA_ANSWER_UNINTELLIGIBLE},
    {TOKEN(",\"expires_in\":0"), ENTRA_LIFE_UNUSABLE},
    {TOKEN(",\"expires_in\":-3600"), ENTRA_LIFE_UNUSABLE},
    {TOKEN(",\"expires_in\":\"-1\""), ENTRA_LIFE_UNUSABLE},
    {TOKEN(",\"expires_in\":\"NaN\""), ENTRA_LIFE_UNUSABLE},
    {TOKEN(",\"expires_in\":\"1e3\""), ENTRA_LIFE_UNUSABLE},
    {TOKEN(",\"expires_in\":\"\""), ENTRA_LIFE_UNUSABLE},
    {TOKEN(",\"expires_in\":true"), ENTRA_LIFE_UNUSABLE},
    {TOKEN(",\"expires_in\":{}"), ENTRA_LIFE_UNUSABLE},
    /* no JSON, or not of ours */
    {TOKEN(",\"expires_in\":NaN"), ENTRA_ANSWER_UNINTELLIGIBLE},
    {TOKEN(",\"expires_in\":1e999"), ENTRA_ANSWER_UNINTELLIGIBLE},
    {TOKEN(",\"expires_in\":1,\"expires_in\":2"), ENTRA_ANSWER_UNINTELLIGIBLE},
    {"{\"token_type\":\"Bearer\",\"access_token\":\"a\\u0000b\"}", ENTRA_ANSWER_UNINTELLIGIBLE},
    {"{\"token_type\":\"Bearer\",\"access_tok", ENTRA_ANSWER_UNINTELLIGIBLE},
    {TOKEN("") "x", ENTRA_ANSWER_UNINTELLIGIBLE},
    {"[" TOKEN("") "]", ENTRA_ANSWER_UNINTELLIGIBLE},
    {"\xff\xfe{}", ENTRA_ANSWER_UNINTELLIGIBLE},
    {"<html><body>Welcome to the hotel</body></html>", ENTRA_ANSWER_UNINTELLIGIBLE},
    {"OK", ENTRA_ANSWER_UNINTELLIGIBLE},
    {"", ENTRA_ANSWER_UNINTELLIGIBLE},
    {NULL, ENTRA_ANSWER_UNINTELLIGIBLE},
};

static void what_cannot_be_used_is_a_failure(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(unusable); i++) {
        struct answer answer;
        read_text(&answer, ANSWER_REFRESH, 200, unusable[i].body);
        if (answer.outcome != ANSWER_FAILED || strcmp(answer.row->name, unusable[i].row) != 0)
            fail_msg("%s: %s", unusable[i].body, answer.row != NULL ? answer.row->name : "taken");
        assert_int_equal(answer.class, ENTRA_RETRY);
        assert_null(answer.token);
        assert_null(answer.refresh_token);
        assert_null(strstr(answer.reason, "abc"));
        assert_null(strstr(answer.reason, "hotel"));
        expect_one_line(&answer);
        answer_free(&answer);
    }
}

static void a_nul_is_no_json(void **state)
{
    (void)state;
    struct answer answer;
    static const char body[] = "{\"token_type\":\"Bearer\",\"access_token\":\"a\0b\"}";
    read_body(&answer, (struct answer_received){.status = 200}, body, sizeof(body) - 1);
    assert_string_equal(answer.row->name, ENTRA_ANSWER_UNINTELLIGIBLE);
    answer_free(&answer);
}

/* A body with an access token of so many bytes. */
static void read_long(struct answer *answer, size_t length, bool is_cut)
{
    struct buffer body = {0};
    buffer_append_string(&body, "{\"token_type\":\"Bearer\",\"access_token\":\"");
    for (size_t i = 0; i < length; i++)
        buffer_append_char(&body, 'x');
    buffer_append_string(&body, "\"}");
    read_body(answer, (struct answer_received){.status = 200, .is_cut = is_cut}, body.data,
              body.length);
    buffer_free(&body);
}

static void a_token_must_fit_a_line(void **state)
{
    (void)state;
    struct answer answer;
    read_long(&answer, ANSWER_TOKEN_MAX, false);
    assert_int_equal(answer.outcome, ANSWER_TOKEN);
    answer_free(&answer);
    read_long(&answer, ANSWER_TOKEN_MAX + 1, false);
    assert_string_equal(answer.row->name, ENTRA_TOKEN_UNUSABLE);
    answer_free(&answer);
    read_long(&answer, 10, true);
    assert_string_equal(answer.row->name, ENTRA_ANSWER_UNINTELLIGIBLE);
    answer_free(&answer);
}

static void a_login_without_a_refresh_token_is_none(void **state)
{
    (void)state;
    struct answer answer;
    read_text(&answer, ANSWER_DEVICE_POLL, 200, TOKEN(",\"expires_in\":3599"));
    assert_string_equal(answer.row->name, ENTRA_REFRESH_TOKEN_MISSING);
    assert_int_equal(answer.class, ENTRA_ADMIN);
    assert_null(answer.token);
    answer_free(&answer);
}

/* --- refusals --- */

#define EXPIRED                                                                                    \
    "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000222: The provided client "    \
    "secret keys for app '0b5a' are expired. Trace ID: 11aa Correlation ID: 22bb Timestamp: 2026-" \
    "11-28 22:00:00Z\",\"error_codes\":[7000222],\"timestamp\":\"2026-11-28 22:00:00Z\","          \
    "\"trace_id\":\"11aa-00\",\"correlation_id\":\"22bb-00\",\"error_uri\":\"https://x/\"}"

static void a_refusal_keeps_what_support_asks_for(void **state)
{
    (void)state;
    struct answer answer;
    read_text(&answer, ANSWER_APP, 401, EXPIRED);
    assert_int_equal(answer.outcome, ANSWER_FAILED);
    assert_string_equal(answer.row->name, "secret-expired");
    assert_int_equal(answer.class, ENTRA_ADMIN);
    assert_string_equal(answer.error, "invalid_client");
    assert_string_equal(answer.trace_id, "11aa-00");
    assert_string_equal(answer.correlation_id, "22bb-00");
    assert_string_equal(answer.reason, "status 401, invalid_client: AADSTS7000222: The provided "
                                       "client secret keys for app '0b5a' are expired.");
    answer_free(&answer);
}

static const struct {
    enum answer_question question;
    unsigned status;
    const char *body, *row;
    enum entra_class class;
} refusals[] = {
    /* the number may stand in the description alone */
    {ANSWER_APP, 400, "{\"error\":\"invalid_request\",\"error_description\":\"AADSTS90002: x\"}",
     "tenant-unknown", ENTRA_ADMIN},
    {ANSWER_APP, 400, "{\"error\":\"invalid_request\",\"error_codes\":[90002]}", "tenant-unknown",
     ENTRA_ADMIN},
    {ANSWER_REFRESH, 400, "{\"error\":\"invalid_grant\",\"suberror\":\"token_expired\"}",
     "sign-in-frequency", ENTRA_LOGIN},
    {ANSWER_REFRESH, 400, "{\"error\":\"invalid_grant\"}", "login-again", ENTRA_LOGIN},
    {ANSWER_APP, 400, "{\"error\":\"invalid_grant\"}", "request-refused", ENTRA_ADMIN},
    {ANSWER_DEVICE_POLL, 400, "{\"error\":\"authorization_pending\",\"error_codes\":[70016]}",
     "login-pending", ENTRA_PENDING},
    {ANSWER_DEVICE_POLL, 400, "{\"error\":\"expired_token\"}", "login-code-expired", ENTRA_LOGIN},
    {ANSWER_DEVICE_BEGIN, 401, "{\"error\":\"invalid_client\",\"error_codes\":[7000218]}",
     "client-confidential", ENTRA_ADMIN},
    {ANSWER_APP, 400, "{\"error\":\"tomorrow\",\"error_codes\":[1,\"x\",-3,1e99]}",
     "request-refused", ENTRA_ADMIN},
    /* an error with 200 is one, and a token with 400 none */
    {ANSWER_APP, 200, "{\"error\":\"invalid_client\",\"access_token\":\"abc\"}", "request-refused",
     ENTRA_ADMIN},
    {ANSWER_APP, 400, TOKEN(""), ENTRA_ANSWER_UNINTELLIGIBLE, ENTRA_RETRY},
    {ANSWER_APP, 201, TOKEN(""), ENTRA_ANSWER_UNINTELLIGIBLE, ENTRA_RETRY},
    {ANSWER_APP, 400, "{\"error\":{\"code\":\"x\"}}", ENTRA_ANSWER_UNINTELLIGIBLE, ENTRA_RETRY},
    {ANSWER_APP, 401, "Unauthorized", ENTRA_ANSWER_UNINTELLIGIBLE, ENTRA_RETRY},
    {ANSWER_APP, 429, "Too many requests", "endpoint-throttled", ENTRA_RETRY},
    {ANSWER_APP, 302, "<html>", "endpoint-redirect", ENTRA_RETRY},
    {ANSWER_APP, 503, "<html>", "endpoint-trouble", ENTRA_RETRY},
    {ANSWER_APP, 500, "{\"error\":\"invalid_client\"}", "endpoint-trouble", ENTRA_RETRY},
    {ANSWER_APP, 0, NULL, ENTRA_ANSWER_UNINTELLIGIBLE, ENTRA_RETRY},
    {ANSWER_MANAGED, 400,
     "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}",
     ENTRA_IDENTITY_MISSING, ENTRA_ADMIN},
    {ANSWER_MANAGED, 404, "{\"error\":\"not_found\"}", ENTRA_IDENTITY_MISSING, ENTRA_RETRY},
    {ANSWER_MANAGED, 410, NULL, ENTRA_IDENTITY_MISSING, ENTRA_RETRY},
};

static void a_refusal_has_a_cause_and_a_class(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct answer answer;
        read_text(&answer, refusals[i].question, refusals[i].status, refusals[i].body);
        if (answer.outcome != ANSWER_FAILED || strcmp(answer.row->name, refusals[i].row) != 0 ||
            answer.class != refusals[i].class)
            fail_msg("%u %s: %s, %s", refusals[i].status, refusals[i].body,
                     answer.row != NULL ? answer.row->name : "taken",
                     entra_class_words(answer.class));
        assert_null(answer.token);
        assert_null(strstr(answer.reason, "abc"));
        expect_one_line(&answer);
        answer_free(&answer);
    }
}

static void what_is_shown_is_harmless(void **state)
{
    (void)state;
    struct answer answer;
    struct secret *hidden = secret_copy("Sv~8Q~hunter2", 13);
    static const char body[] =
        "{\"error\":\"bad\\u001b[31m\",\"trace_id\":\"a\\nb\",\"error_description\":"
        "\"secret Sv~8Q~hunter2\\u009b2J is\\u202e wrong\\r\\nTrace ID: x\"}";
    read_body(&answer, (struct answer_received){.status = 400, .hidden = hidden}, body,
              sizeof(body) - 1);
    expect_one_line(&answer);
    assert_string_equal(answer.reason,
                        "status 400, an unknown error: secret ************* 2J is  wrong");
    assert_string_equal(answer.error, "");
    assert_string_equal(answer.trace_id, "");
    answer_free(&answer);
    secret_free(hidden);
}

/* An endpoint, or a proxy before it, that says again what it was sent. */
static void nothing_of_what_was_sent_is_shown(void **state)
{
    (void)state;
    static const char *const shown[] = {"Sv~8Q~hunter+2", "Sv~8Q~hunter%2B2", "8Q~hunter%",
                                        "r3fresh+/token", "r3fresh%2B%2Ftok", "eyJhbGciOi",
                                        "dev1ceC0de"};
    struct secret *form =
        secret_copy("client_id=c0ffee00-365a&client_secret=Sv~8Q~hunter%2B2&refresh_token="
                    "r3fresh%2B%2Ftoken&client_assertion=eyJhbGciOi.J9&device_code=dev1ceC0de%2",
                    143);
    for (size_t i = 0; i < COUNT(shown); i++) {
        struct answer answer;
        char body[200];
        int length =
            snprintf(body, sizeof(body),
                     "{\"error\":\"x\",\"error_description\":\"c0ffee00-365a: <%s>\"}", shown[i]);
        read_body(&answer, (struct answer_received){.status = 400, .form = form}, body,
                  (size_t)length);
        if (strstr(answer.reason, shown[i]) != NULL || strstr(answer.reason, "***") == NULL ||
            strstr(answer.reason, "c0ffee00-365a: <") == NULL)
            fail_msg("%s", answer.reason);
        answer_free(&answer);
    }
    secret_free(form);
}

static void a_long_description_is_cut(void **state)
{
    (void)state;
    struct answer answer;
    struct buffer body = {0};
    struct secret *hidden = secret_copy("hunter2", 7);
    buffer_append_string(&body, "{\"error\":\"invalid_client\",\"error_description\":\"");
    for (size_t i = 0; i < 300; i++)
        buffer_append_string(&body, "hunter2\xc3\xa9");
    buffer_append_string(&body, "\"}");
    read_body(&answer, (struct answer_received){.status = 400, .hidden = hidden}, body.data,
              body.length);
    expect_one_line(&answer);
    assert_null(strstr(answer.reason, "hunt"));
    answer_free(&answer);
    buffer_free(&body);
    secret_free(hidden);
}

static void slow_down_is_told(void **state)
{
    (void)state;
    struct answer answer;
    read_text(&answer, ANSWER_DEVICE_POLL, 400, "{\"error\":\"slow_down\"}");
    assert_true(answer.is_slow_down);
    assert_int_equal(answer.class, ENTRA_PENDING);
    answer_free(&answer);
}

static void a_failure_of_ours_has_its_row(void **state)
{
    (void)state;
    struct answer answer = {0};
    answer_fail(&answer, ENTRA_ENDPOINT_TIMEOUT, "no answer within %d s\r\n", 30);
    assert_int_equal(answer.outcome, ANSWER_FAILED);
    assert_string_equal(answer.row->name, ENTRA_ENDPOINT_TIMEOUT);
    assert_int_equal(answer.class, ENTRA_RETRY);
    expect_one_line(&answer);
    answer_free(&answer);
}

/* --- device codes --- */

static void a_login_begins_with_a_code(void **state)
{
    (void)state;
    struct answer answer;
    read_text(&answer, ANSWER_DEVICE_BEGIN, 200,
              "{\"user_code\":\"FJ7-KLMN\",\"device_code\":\"GAB~x\",\"verification_uri\":"
              "\"https://microsoft.com/devicelogin\",\"expires_in\":900,\"interval\":5,"
              "\"message\":\"To sign in\"}");
    assert_int_equal(answer.outcome, ANSWER_CODE);
    assert_string_equal(secret_reveal(answer.device_code), "GAB~x");
    assert_string_equal(answer.user_code, "FJ7-KLMN");
    assert_string_equal(answer.verification_uri, "https://microsoft.com/devicelogin");
    assert_int_equal(answer.code_life, 900);
    assert_int_equal(answer.interval, 5);
    answer_free(&answer);
}

static void the_times_of_a_code_have_bounds(void **state)
{
    (void)state;
    struct answer answer;
    read_text(&answer, ANSWER_DEVICE_BEGIN, 200,
              "{\"user_code\":\"A\",\"device_code\":\"B\",\"verification_uri\":\"https://x\","
              "\"expires_in\":1,\"interval\":9999}");
    assert_int_equal(answer.code_life, 60);
    assert_int_equal(answer.interval, 60);
    answer_free(&answer);
    read_text(&answer, ANSWER_DEVICE_BEGIN, 200,
              "{\"user_code\":\"A\",\"device_code\":\"B\",\"verification_uri\":\"https://x\","
              "\"interval\":0}");
    assert_int_equal(answer.code_life, 900);
    assert_int_equal(answer.interval, 5);
    answer_free(&answer);
}

static void a_code_that_cannot_be_shown_is_none(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{}",
        "{\"user_code\":\"A\",\"device_code\":\"B\"}",
        "{\"user_code\":\"A\",\"verification_uri\":\"https://x\"}",
        "{\"user_code\":\"A\\u001b\",\"device_code\":\"B\",\"verification_uri\":\"https://x\"}",
        "{\"user_code\":\"A\",\"device_code\":\"B\",\"verification_uri\":\"http://x\"}",
        "{\"user_code\":\"A\",\"device_code\":\"B\",\"verification_uri\":\"https://x y\"}",
        ("{\"user_code\":\"01234567890123456789012345678901\",\"device_code\":\"B\","
         "\"verification_uri\":\"https://x\"}"),
        "{\"user_code\":\"A\",\"device_code\":\"B\\n\",\"verification_uri\":\"https://x\"}",
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct answer answer;
        read_text(&answer, ANSWER_DEVICE_BEGIN, 200, bodies[i]);
        assert_int_equal(answer.outcome, ANSWER_FAILED);
        assert_string_equal(answer.row->name, ENTRA_ANSWER_UNINTELLIGIBLE);
        assert_null(answer.device_code);
        answer_free(&answer);
    }
}

/* --- memory --- */

#ifdef MEMORY_CAN_BE_SEARCHED
#define LENGTH 40

static struct secret *body_with(const unsigned char *disguised)
{
    static const char before[] = "{\"token_type\":\"Bearer\",\"access_token\":\"", after[] = "\"}";
    struct secret *body = secret_new(sizeof(before) + LENGTH + sizeof(after));
    char token[LENGTH + 1];
    memory_reveal(disguised, LENGTH, token);
    secret_append(body, before, strlen(before));
    secret_append(body, token, LENGTH);
    secret_append(body, after, strlen(after));
    explicit_bzero(token, sizeof(token));
    return body;
}

static void nothing_of_a_token_stays_behind(void **state)
{
    (void)state;
    unsigned char disguised[LENGTH];
    struct answer answer;
    memory_make_disguise(disguised, LENGTH, 365);
    struct secret *body = body_with(disguised);
    answer_read(&answer, &(struct answer_received){.status = 200, .body = body});
    assert_int_equal(answer.outcome, ANSWER_TOKEN);
    secret_free(body);
    assert_int_equal(memory_count(disguised, LENGTH), 1);
    answer_free(&answer);
    assert_int_equal(memory_count(disguised, LENGTH), 0);
}
#endif

/* --- headers --- */

static void dates_come_in_three_forms(void **state)
{
    (void)state;
    static const char *const dates[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    int64_t seconds = 0;
    for (size_t i = 0; i < COUNT(dates); i++) {
        assert_true(answer_date(dates[i], &seconds));
        assert_int_equal(seconds, 784111777);
    }
    assert_false(answer_date("", &seconds));
    assert_false(answer_date("Sun, 06 Nov 1994 08:49:37 CET", &seconds));
    assert_false(answer_date("Sun, 06 Nov 1994 08:49:37 GMT x", &seconds));
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t wait; /* -1: none */
    } cases[] = {
        {"0", 0},
        {"60", 60},
        {"60 ", 60},
        {"3600", 3600},
        {"3601", 3600},
        {"99999999999999999999999", 3600},
        {"Mon, 21 Sep 2026 14:13:50 GMT", 30},
        {"Mon, 21 Sep 2026 14:13:00 GMT", 0},
        {"Mon, 21 Sep 2027 14:13:00 GMT", 3600},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"", -1},
        {"-5", -1},
        {"1.5", -1},
        {"soon", -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t wait = 7;
        bool fine = answer_retry_after(cases[i].value, NOW, &wait);
        if (fine != (cases[i].wait >= 0) || (fine && wait != cases[i].wait))
            fail_msg("\"%s\": %u", cases[i].value, wait);
    }
}

static void the_endpoints_clock_is_compared(void **state)
{
    (void)state;
    struct answer answer;
    const struct answer_received received = {.status = 429,
                                             .date = "Mon, 21 Sep 2026 14:33:20 GMT",
                                             .retry_after = "Mon, 21 Sep 2026 14:34:20 GMT"};
    read_body(&answer, received, "", 0);
    assert_true(answer.has_skew);
    assert_int_equal(answer.skew, 1200);
    assert_int_equal(answer.wait, 60);
    answer_free(&answer);
    read_text(&answer, ANSWER_APP, 429, "");
    assert_false(answer.has_skew);
    assert_int_equal(answer.wait, 0);
    answer_free(&answer);
}

int main(void)
{
    answer_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_has_a_life),
        cmocka_unit_test(the_type_is_compared_without_case),
        cmocka_unit_test(a_refresh_token_is_kept_where_one_is_asked_for),
        cmocka_unit_test(what_cannot_be_used_is_a_failure),
        cmocka_unit_test(a_nul_is_no_json),
        cmocka_unit_test(a_token_must_fit_a_line),
        cmocka_unit_test(a_login_without_a_refresh_token_is_none),
        cmocka_unit_test(a_refusal_keeps_what_support_asks_for),
        cmocka_unit_test(a_refusal_has_a_cause_and_a_class),
        cmocka_unit_test(what_is_shown_is_harmless),
        cmocka_unit_test(nothing_of_what_was_sent_is_shown),
        cmocka_unit_test(a_long_description_is_cut),
        cmocka_unit_test(slow_down_is_told),
        cmocka_unit_test(a_failure_of_ours_has_its_row),
        cmocka_unit_test(a_login_begins_with_a_code),
        cmocka_unit_test(the_times_of_a_code_have_bounds),
        cmocka_unit_test(a_code_that_cannot_be_shown_is_none),
#ifdef MEMORY_CAN_BE_SEARCHED
        cmocka_unit_test(nothing_of_a_token_stays_behind),
#endif
        cmocka_unit_test(dates_come_in_three_forms),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(the_endpoints_clock_is_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
