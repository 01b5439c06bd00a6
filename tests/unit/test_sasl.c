/* test_sasl.c - the client's side of AUTH LOGIN and AUTH XOAUTH2 */
#include "common/upstream/sasl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINES_MAX 5

struct dialogue {
    enum sasl_mechanism mechanism;
    const char *user, *secret;
    size_t line_max;
    const char *challenges[LINES_MAX]; /* NULL behind the last */
    const char *lines[LINES_MAX];      /* ours, the AUTH command first; NULL: none comes */
    enum sasl_state end;
};

static void expect_line(const char *what, struct secret *line, const char *want)
{
    if (line == NULL || want == NULL) {
        if (line != NULL || want != NULL)
            fail_msg("%s: got %s, want %s", what, line != NULL ? secret_reveal(line) : "(none)",
                     want != NULL ? want : "(none)");
        return;
    }
    if (strcmp(secret_reveal(line), want) != 0)
        fail_msg("%s: got \"%s\", want \"%s\"", what, secret_reveal(line), want);
    secret_free(line);
}

static void hold(const struct dialogue *dialogue)
{
    struct sasl sasl;
    struct error error;
    struct secret *secret = secret_copy(dialogue->secret, strlen(dialogue->secret));
    sasl_start(&sasl, dialogue->mechanism, dialogue->user, secret);
    assert_int_equal(sasl.state, SASL_IDLE);
    expect_line("first", sasl_first(&sasl, dialogue->line_max), dialogue->lines[0]);
    for (size_t i = 0; dialogue->challenges[i] != NULL; i++)
        expect_line(dialogue->challenges[i], sasl_next(&sasl, dialogue->challenges[i], &error),
                    dialogue->lines[i + 1]);
    assert_int_equal(sasl.state, dialogue->end);
    secret_free(secret);
}

static void login_gives_user_and_password_when_asked(void **state)
{
    (void)state;
    static const struct dialogue dialogues[] = {
        {SASL_LOGIN,
         "relay@contoso.com",
         "pass:word",
         SASL_COMMAND_MAX,
         {"VXNlcm5hbWU6", "UGFzc3dvcmQ6"},
         {"AUTH LOGIN", "cmVsYXlAY29udG9zby5jb20=", "cGFzczp3b3Jk"},
         SASL_OUTCOME_WANTED},
        /* Other servers, other words. */
        {SASL_LOGIN,
         "u@x",
         "p",
         0,
         {"VXNlciBOYW1lAA==", ""},
         {"AUTH LOGIN", "dUB4", "cA=="},
         SASL_OUTCOME_WANTED},
        {SASL_LOGIN, "u@x", "p", SASL_COMMAND_MAX, {NULL}, {"AUTH LOGIN"}, SASL_USER_WANTED},
        {SASL_LOGIN,
         "u@x",
         "p",
         SASL_COMMAND_MAX,
         {"VXNlcm5hbWU6"},
         {"AUTH LOGIN", "dUB4"},
         SASL_SECRET_WANTED},
        {SASL_LOGIN,
         "u@x",
         "p",
         SASL_COMMAND_MAX,
         {"", "", "", ""},
         {"AUTH LOGIN", "dUB4", "cA==", "*", NULL},
         SASL_CANCELLED},
    };
    for (size_t i = 0; i < sizeof(dialogues) / sizeof(dialogues[0]); i++)
        hold(&dialogues[i]);
}

static void every_byte_of_a_password_is_encoded(void **state)
{
    (void)state;
    /* RFC 4648, section 10, and what makes '+' and '/'. */
    static const char *const vectors[][2] = {{"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"},
                                             {"\xfb\xff\xfe", "+//+"},
                                             {"p\xc3\xa4ss", "cMOkc3M="}};
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const struct dialogue dialogue = {SASL_LOGIN,         "u@x",
                                          vectors[i][0],      0,
                                          {"", ""},           {"AUTH LOGIN", "dUB4", vectors[i][1]},
                                          SASL_OUTCOME_WANTED};
        hold(&dialogue);
    }
}

/* Of Google's page on XOAUTH2, which Microsoft's follows. */
#define GOOGLE_TOKEN "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"
#define GOOGLE_LINE                                                                                \
    "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJo" \
    "ZG"                                                                                           \
    "1semRHRXVZMjl0Q2cBAQ=="
/* {"status":"401","schemes":"bearer"} */
#define REASONS "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0="

static void xoauth2_gives_the_token_at_once_or_when_asked(void **state)
{
    (void)state;
    static const struct dialogue dialogues[] = {
        {SASL_XOAUTH2,
         "someuser@example.com",
         GOOGLE_TOKEN,
         SASL_COMMAND_MAX,
         {NULL},
         {"AUTH XOAUTH2 " GOOGLE_LINE},
         SASL_OUTCOME_WANTED},
        {SASL_XOAUTH2,
         "someuser@example.com",
         GOOGLE_TOKEN,
         SASL_COMMAND_MAX,
         {REASONS},
         {"AUTH XOAUTH2 " GOOGLE_LINE, ""},
         SASL_REFUSED},
        {SASL_XOAUTH2,
         "someuser@example.com",
         GOOGLE_TOKEN,
         0,
         {""},
         {"AUTH XOAUTH2", GOOGLE_LINE},
         SASL_OUTCOME_WANTED},
        {SASL_XOAUTH2,
         "someuser@example.com",
         GOOGLE_TOKEN,
         0,
         {"", REASONS, "", ""},
         {"AUTH XOAUTH2", GOOGLE_LINE, "", "*", NULL},
         SASL_CANCELLED},
    };
    for (size_t i = 0; i < sizeof(dialogues) / sizeof(dialogues[0]); i++)
        hold(&dialogues[i]);
}

static void a_long_token_waits_until_it_is_asked_for(void **state)
{
    (void)state;
    struct sasl sasl;
    struct error error;
    for (size_t length = 300; length < 400; length++) {
        char token[401] = "";
        memset(token, 't', length);
        struct secret *secret = secret_copy(token, length);
        sasl_start(&sasl, SASL_XOAUTH2, "u@x", secret);
        struct secret *line = sasl_first(&sasl, SASL_COMMAND_MAX);
        size_t whole = strlen("AUTH XOAUTH2 ") +
                       (strlen("user=u@x1auth=Bearer 11") + length + 2) / 3 * 4 + strlen("\r\n");
        if (whole <= SASL_COMMAND_MAX) {
            assert_int_equal(secret_length(line) + 2, whole);
            assert_int_equal(sasl.state, SASL_OUTCOME_WANTED);
        } else {
            assert_string_equal(secret_reveal(line), "AUTH XOAUTH2");
            secret_free(line);
            line = sasl_next(&sasl, "", &error);
            assert_int_equal(secret_length(line), whole - strlen("AUTH XOAUTH2 \r\n"));
        }
        secret_free(line);
        secret_free(secret);
    }
}

static void what_the_server_says_about_a_token_is_kept_for_people(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {REASONS, "{\"status\":\"401\",\"schemes\":\"bearer\"}"},
        {"bm8KdG9rZW4=", "no?token"}, /* a line end */
        {"w6Q", "??"},
        {"bm8 not base64", "no"},
        {"", ""},
    };
    struct sasl sasl;
    struct error error;
    struct secret *token = secret_copy("t", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sasl_start(&sasl, SASL_XOAUTH2, "u@x", token);
        assert_string_equal(sasl.problem, "");
        secret_free(sasl_first(&sasl, SASL_COMMAND_MAX));
        secret_free(sasl_next(&sasl, cases[i][0], &error));
        assert_string_equal(sasl.problem, cases[i][1]);
    }
    char long_text[4096];
    memset(long_text, 'Q', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    sasl_start(&sasl, SASL_XOAUTH2, "u@x", token);
    secret_free(sasl_first(&sasl, SASL_COMMAND_MAX));
    secret_free(sasl_next(&sasl, long_text, &error));
    assert_int_equal(strlen(sasl.problem), SASL_PROBLEM_SIZE - 1);
    secret_free(token);
}

static void a_server_that_goes_on_asking_is_named(void **state)
{
    (void)state;
    struct sasl sasl;
    struct error error = {.text = ""};
    struct secret *password = secret_copy("geheim", 6);
    sasl_start(&sasl, SASL_LOGIN, "u@x", password);
    secret_free(sasl_first(&sasl, 0));
    for (int i = 0; i < 3; i++)
        secret_free(sasl_next(&sasl, "", &error));
    assert_string_equal(error.text, "");
    assert_null(sasl_next(&sasl, "", &error));
    assert_non_null(strstr(error.text, "AUTH LOGIN: the server goes on asking (334)"));
    secret_free(password);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login_gives_user_and_password_when_asked),
        cmocka_unit_test(every_byte_of_a_password_is_encoded),
        cmocka_unit_test(xoauth2_gives_the_token_at_once_or_when_asked),
        cmocka_unit_test(a_long_token_waits_until_it_is_asked_for),
        cmocka_unit_test(what_the_server_says_about_a_token_is_kept_for_people),
        cmocka_unit_test(a_server_that_goes_on_asking_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
