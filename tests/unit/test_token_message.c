/* test_token_message.c - requests to post365-tokend and its replies, as text and as C */
#include "common/oauth2/token_message.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PLACE "/etc/postfix/post365/contoso.cf"
#define TOKEN "token=eyJ0eXAi.eyJhdWQi.c2ln_-~+/==|id=0a1b2c3d|left=3539|registration=" PLACE
#define SUBJECT                                                                                    \
    "registration=" PLACE                                                                          \
    "|state=renewing|grant=app|credential=certificate|tenant=contoso.example"                      \
    "|client_id=11111111-2222-3333-4444-555555555555|cloud=global|left=1700|id=0a1b2c3d"           \
    "|issued=1700000000|renewed=1700000001|next=1700001800|cause=endpoint-unreachable"             \
    "|reason=connect to 192.0.2.1:443: timed out|failed_since=1700001700|failures=3"               \
    "|credential_ends=1800000000|credential_cause=key|credential_reason=no"                        \
    "|requests=12|refused=2|accounts=10|accepted_for=a@b.example"                                  \
    "|accepted_at=1700000009|skew=-420|model=rbac"

/* Lines are written with | for their ends; the empty line is added. */
static size_t lines(char *text, size_t size, const char *from)
{
    int length = snprintf(text, size, "%s\n\n", from);
    assert_true((size_t)length < size);
    for (char *bar = text; (bar = strchr(bar, '|')) != NULL;)
        *bar = '\n';
    return (size_t)length;
}

static char text[65536];

static void expect_reply(enum token_command_kind kind, const char *from, struct token_reply *reply)
{
    struct error error = {""};
    if (!token_reply_read(reply, kind, text, lines(text, sizeof(text), from), &error))
        fail_msg("%s: got error \"%s\"", from, error.text);
}

/* --- requests --- */

static void a_request_is_written_as_the_protocol_says(void **state)
{
    (void)state;
    static const struct {
        struct token_command command;
        uint64_t tag;
        const char *want;
    } cases[] = {
        {{.kind = TOKEN_COMMAND_TOKEN, .account = "a@b.example"},
         7,
         "request=token|tag=7|account=a@b.example"},
        {{.kind = TOKEN_COMMAND_VERDICT, .account = "a@b.example", .id = "0a1b2c3d"},
         0,
         "request=verdict|account=a@b.example|id=0a1b2c3d"},
        {{.kind = TOKEN_COMMAND_VERDICT,
          .account = "a@b.example",
          .id = "0a1b2c3d",
          .reply = "535 5.7.3\r\nunsuccessful"},
         UINT64_MAX,
         "request=verdict|tag=18446744073709551615|account=a@b.example|id=0a1b2c3d"
         "|reply=535 5.7.3  unsuccessful"},
        {{.kind = TOKEN_COMMAND_WATCH}, 1, "request=watch|tag=1"},
        {{.kind = TOKEN_COMMAND_LIST}, 0, "request=list"},
        {{.kind = TOKEN_COMMAND_LIST, .after = PLACE}, 0, "request=list|after=" PLACE},
        {{.kind = TOKEN_COMMAND_STATUS, .account = "a@b.example", .registration = PLACE},
         0,
         "request=status|account=a@b.example"},
        {{.kind = TOKEN_COMMAND_STATUS, .registration = PLACE},
         0,
         "request=status|registration=" PLACE},
        {{.kind = TOKEN_COMMAND_RENEW, .registration = PLACE},
         0,
         "request=renew|registration=" PLACE},
        {{.kind = TOKEN_COMMAND_CHECK, .account = "a@b.example", .registration = PLACE},
         0,
         "request=check|registration=" PLACE},
        {{.kind = TOKEN_COMMAND_LOGIN, .account = "a@b.example"},
         0,
         "request=login|account=a@b.example"},
        {{.kind = TOKEN_COMMAND_LOGOUT, .account = "a@b.example"},
         0,
         "request=logout|account=a@b.example"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer got = {0};
        struct error error = {""};
        if (!token_command_write(&got, cases[i].tag, &cases[i].command, &error))
            fail_msg("%s: got error %s", cases[i].want, error.text);
        lines(text, sizeof(text), cases[i].want);
        assert_string_equal(got.data, text);
        buffer_free(&got);
    }
}

static void what_names_nothing_is_not_asked_for(void **state)
{
    (void)state;
    static const struct {
        struct token_command command;
        const char *want;
    } cases[] = {
        {{.kind = TOKEN_COMMAND_TOKEN}, "\"\" is no account"},
        {{.kind = TOKEN_COMMAND_TOKEN, .account = "relay"}, "\"relay\" is no account"},
        {{.kind = TOKEN_COMMAND_STATUS, .account = "a@b.example\nrequest=list"}, "is no account"},
        {{.kind = TOKEN_COMMAND_STATUS}, "\"\" is no registration"},
        {{.kind = TOKEN_COMMAND_CHECK, .registration = "contoso.cf"},
         "\"contoso.cf\" is no registration; write the absolute path"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer got = {0};
        struct error error = {""};
        assert_false(token_command_write(&got, 1, &cases[i].command, &error));
        if (strstr(error.text, cases[i].want) == NULL)
            fail_msg("got \"%s\", want \"%s\"", error.text, cases[i].want);
        assert_int_equal(got.length, 0);
        buffer_free(&got);
    }
}

/* --- replies --- */

static void a_token_becomes_a_secret(void **state)
{
    (void)state;
    struct token_reply reply;
    expect_reply(TOKEN_COMMAND_TOKEN, "tag=9|result=done|" TOKEN "|later=more", &reply);
    assert_int_equal(reply.result, TOKEN_REPLY_DONE);
    assert_string_equal(secret_reveal(reply.token), "eyJ0eXAi.eyJhdWQi.c2ln_-~+/==");
    assert_string_equal(reply.id, "0a1b2c3d");
    assert_int_equal(reply.left, 3539);
    assert_string_equal(reply.registration, PLACE);
    token_reply_release(&reply);
    assert_null(reply.token);
    token_reply_release(&reply);
    expect_reply(TOKEN_COMMAND_RENEW, "result=done|id=0a1b2c3d|left=1|registration=" PLACE, &reply);
    assert_null(reply.token);
}

static void the_longest_token_fits(void **state)
{
    (void)state;
    static char from[TOKENS_TOKEN_MAX + 200];
    struct token_reply reply;
    struct error error = {""};
    for (size_t more = 0; more < 2; more++) {
        size_t length = TOKENS_TOKEN_MAX + more, whole = 0;
        struct attr_reader reader = {0};
        memset(from, 'a', length);
        snprintf(from + length, sizeof(from) - length,
                 "|result=done|id=0a1b2c3d|left=1|registration=" PLACE);
        char *line = malloc(sizeof(from) + 10);
        snprintf(line, sizeof(from) + 10, "token=%s", from);
        size_t available = lines(text, sizeof(text), line);
        free(line);
        assert_int_equal(attr_read(&reader, text, available, &whole, &error), ATTR_REQUEST);
        assert_int_equal(token_reply_read(&reply, TOKEN_COMMAND_TOKEN, text, whole, &error),
                         more == 0);
        if (more == 0)
            token_reply_release(&reply);
    }
    assert_string_equal(error.text, "malformed reply: token is too long");
}

static void a_failure_has_cause_reason_and_time(void **state)
{
    (void)state;
    struct token_reply reply;
    expect_reply(TOKEN_COMMAND_TOKEN,
                 "result=later|cause=endpoint-unreachable|reason=timed out|until=1700000060"
                 "|registration=" PLACE,
                 &reply);
    assert_int_equal(reply.result, TOKEN_REPLY_LATER);
    assert_string_equal(reply.cause, "endpoint-unreachable");
    assert_string_equal(reply.reason, "timed out");
    assert_int_equal(reply.until, 1700000060);
    assert_string_equal(reply.registration, PLACE);
    expect_reply(TOKEN_COMMAND_LOGIN, "result=stopped|cause=grant-of-another|reason=b@c.example",
                 &reply);
    assert_int_equal(reply.result, TOKEN_REPLY_STOPPED);
    assert_int_equal(reply.until, 0);
    expect_reply(TOKEN_COMMAND_TOKEN, "result=none|reason=post365_oauth2_maps has no line", &reply);
    assert_int_equal(reply.result, TOKEN_REPLY_NONE);
    assert_string_equal(reply.reason, "post365_oauth2_maps has no line");
    expect_reply(TOKEN_COMMAND_LOGOUT, "result=none", &reply);
    assert_string_equal(reply.reason, "");
}

static void a_reason_is_cut_between_characters(void **state)
{
    (void)state;
    struct token_reply reply;
    char from[1000] = "result=later|cause=x|until=1|registration=" PLACE "|reason=a";
    for (size_t i = 0; i < TOKENS_REASON_MAX; i++)
        strcat(from, i % 2 == 0 ? "\xc3" : "\xa4");
    expect_reply(TOKEN_COMMAND_TOKEN, from, &reply);
    assert_int_equal(strlen(reply.reason), TOKENS_REASON_MAX - 1);
}

static void a_subject_tells_everything(void **state)
{
    (void)state;
    struct token_reply reply;
    expect_reply(TOKEN_COMMAND_WATCH, "tag=1|result=subject|" SUBJECT, &reply);
    const struct token_subject *subject = &reply.subject;
    assert_int_equal(reply.result, TOKEN_REPLY_SUBJECT);
    assert_string_equal(subject->registration, PLACE);
    assert_string_equal(subject->account, "");
    assert_string_equal(token_state_name(subject->state), "renewing");
    assert_string_equal(token_grant_name(subject->grant), "app");
    assert_string_equal(token_credential_name(subject->credential), "certificate");
    assert_string_equal(subject->tenant, "contoso.example");
    assert_string_equal(subject->client_id, "11111111-2222-3333-4444-555555555555");
    assert_string_equal(subject->cloud, "global");
    assert_true(subject->has_token);
    assert_int_equal(subject->left, 1700);
    assert_string_equal(subject->id, "0a1b2c3d");
    assert_int_equal(subject->issued, 1700000000);
    assert_int_equal(subject->renewed, 1700000001);
    assert_int_equal(subject->next, 1700001800);
    assert_string_equal(subject->cause, "endpoint-unreachable");
    assert_string_equal(subject->reason, "connect to 192.0.2.1:443: timed out");
    assert_int_equal(subject->failed_since, 1700001700);
    assert_int_equal(subject->failures, 3);
    assert_int_equal(subject->credential_ends, 1800000000);
    assert_string_equal(subject->credential_cause, "key");
    assert_string_equal(subject->credential_reason, "no");
    assert_int_equal(subject->grant_since, 0);
    assert_int_equal(subject->requests, 12);
    assert_int_equal(subject->refused, 2);
    assert_int_equal(subject->accounts, 10);
    assert_string_equal(subject->accepted_for, "a@b.example");
    assert_int_equal(subject->accepted_at, 1700000009);
    assert_true(subject->has_skew);
    assert_int_equal(subject->skew, -420);
    assert_string_equal(token_model_name(subject->model), "rbac");
}

static void a_subject_may_be_all_new(void **state)
{
    (void)state;
    struct token_reply reply;
    expect_reply(
        TOKEN_COMMAND_STATUS,
        "result=done|registration=" PLACE "|account=a@b.example|state=empty|grant=user"
        "|credential=none|tenant=t|client_id=c|cloud=china|requests=0|refused=0|accounts=0",
        &reply);
    assert_string_equal(reply.subject.account, "a@b.example");
    assert_false(reply.subject.has_token);
    assert_false(reply.subject.has_skew);
    assert_string_equal(reply.subject.cause, "");
    assert_string_equal(token_model_name(reply.subject.model), "");
    expect_reply(TOKEN_COMMAND_WATCH, "result=gone|registration=" PLACE "|account=a@b.example",
                 &reply);
    assert_int_equal(reply.result, TOKEN_REPLY_GONE);
    assert_string_equal(reply.account, "a@b.example");
}

static void a_status_has_claims(void **state)
{
    (void)state;
    struct token_reply reply;
    struct token_claim claim;
    size_t position = 0;
    expect_reply(
        TOKEN_COMMAND_STATUS,
        "result=done|" SUBJECT "|claim_aud=https://outlook.office365.com|claim_roles=", &reply);
    assert_true(token_reply_next_claim(&reply, &position, &claim));
    assert_string_equal(claim.name, "aud");
    assert_string_equal(claim.value, "https://outlook.office365.com");
    assert_true(token_reply_next_claim(&reply, &position, &claim));
    assert_string_equal(claim.name, "roles");
    assert_string_equal(claim.value, "");
    assert_false(token_reply_next_claim(&reply, &position, &claim));
}

static void a_list_has_pages(void **state)
{
    (void)state;
    struct token_reply reply;
    char path[PATH_MAX];
    size_t position = 0;
    expect_reply(TOKEN_COMMAND_LIST,
                 "result=done|registration=/a.cf|registration=/b.cf|after=/b.cf", &reply);
    assert_true(token_reply_next_registration(&reply, &position, path));
    assert_string_equal(path, "/a.cf");
    assert_true(token_reply_next_registration(&reply, &position, path));
    assert_string_equal(path, "/b.cf");
    assert_false(token_reply_next_registration(&reply, &position, path));
    assert_string_equal(reply.after, "/b.cf");
}

static void a_check_has_steps(void **state)
{
    (void)state;
    struct token_reply reply;
    struct token_step step;
    size_t position = 0;
    expect_reply(TOKEN_COMMAND_CHECK,
                 "result=done|step=file ok |step=clock wrong this clock is 7 min slow", &reply);
    assert_true(token_reply_next_step(&reply, &position, &step));
    assert_string_equal(step.name, "file");
    assert_int_equal(step.result, TOKEN_STEP_OK);
    assert_string_equal(step.text, "");
    assert_true(token_reply_next_step(&reply, &position, &step));
    assert_string_equal(step.name, "clock");
    assert_int_equal(step.result, TOKEN_STEP_WRONG);
    assert_string_equal(step.text, "this clock is 7 min slow");
    assert_false(token_reply_next_step(&reply, &position, &step));
}

static void a_login_has_several_replies(void **state)
{
    (void)state;
    struct token_reply reply;
    expect_reply(TOKEN_COMMAND_LOGIN,
                 "result=code|user_code=ABCD1234|verification_uri=https://microsoft.example/device"
                 "|expires=1700000900",
                 &reply);
    assert_string_equal(reply.user_code, "ABCD1234");
    assert_string_equal(reply.verification_uri, "https://microsoft.example/device");
    assert_int_equal(reply.expires, 1700000900);
    assert_false(token_reply_is_last(&reply, TOKEN_COMMAND_LOGIN));
    expect_reply(TOKEN_COMMAND_LOGIN, "result=waiting|expires=1700000900", &reply);
    assert_false(token_reply_is_last(&reply, TOKEN_COMMAND_LOGIN));
    expect_reply(TOKEN_COMMAND_LOGIN, "result=done|user=a@b.example|registration=" PLACE, &reply);
    assert_string_equal(reply.user, "a@b.example");
    assert_true(token_reply_is_last(&reply, TOKEN_COMMAND_LOGIN));
}

static void a_watch_goes_on(void **state)
{
    (void)state;
    struct token_reply reply;
    expect_reply(TOKEN_COMMAND_WATCH, "result=done", &reply);
    assert_false(token_reply_is_last(&reply, TOKEN_COMMAND_WATCH));
    expect_reply(TOKEN_COMMAND_WATCH, "result=error|reason=later", &reply);
    assert_true(token_reply_is_last(&reply, TOKEN_COMMAND_WATCH));
}

static void a_verdict_asks_once_more_or_not(void **state)
{
    (void)state;
    struct token_reply reply;
    expect_reply(TOKEN_COMMAND_VERDICT, "result=done|again=1", &reply);
    assert_true(reply.again);
    expect_reply(TOKEN_COMMAND_VERDICT, "result=done|again=0", &reply);
    assert_false(reply.again);
}

/* --- what is none --- */

static void what_makes_no_sense_is_told(void **state)
{
    (void)state;
    static const struct {
        enum token_command_kind kind;
        const char *from, *want;
    } cases[] = {
        {TOKEN_COMMAND_TOKEN, TOKEN, "result is missing"},
        {TOKEN_COMMAND_TOKEN, "result=granted", "result is not known"},
        {TOKEN_COMMAND_TOKEN, "result=subject|" SUBJECT, "subject is no answer to token"},
        {TOKEN_COMMAND_VERDICT, "result=later", "later is no answer to verdict"},
        {TOKEN_COMMAND_TOKEN, "result=done|result=done|" TOKEN, "result is there twice"},
        {TOKEN_COMMAND_TOKEN, "result=done|" TOKEN "|token=b", "token is there twice"},
        {TOKEN_COMMAND_TOKEN, "result=done|id=0a1b2c3d|left=1|registration=/a", "token is missing"},
        {TOKEN_COMMAND_TOKEN, "result=done|token=|id=0a1b2c3d|left=1|registration=/a",
         "token is no bearer token"},
        {TOKEN_COMMAND_TOKEN, "result=done|token==a|id=0a1b2c3d|left=1|registration=/a",
         "token is no bearer token"},
        {TOKEN_COMMAND_TOKEN, "result=done|token=a b|id=0a1b2c3d|left=1|registration=/a",
         "token is no bearer token"},
        {TOKEN_COMMAND_TOKEN, "result=done|token=a\x01|id=0a1b2c3d|left=1|registration=/a",
         "token is no bearer token"},
        {TOKEN_COMMAND_TOKEN, "result=done|token=a|id=0A1B2C3D|left=1|registration=/a",
         "id makes no sense"},
        {TOKEN_COMMAND_TOKEN, "result=done|token=a|id=0a1b2c3|left=1|registration=/a",
         "id is too short"},
        {TOKEN_COMMAND_TOKEN, "result=done|token=a|id=0a1b2c3d4|left=1|registration=/a",
         "id is empty or too long"},
        {TOKEN_COMMAND_TOKEN, "result=done|token=a|id=0a1b2c3d|left=-1|registration=/a",
         "left is no number"},
        {TOKEN_COMMAND_TOKEN, "result=done|token=a|id=0a1b2c3d|left=1|registration=a",
         "registration is no absolute path"},
        {TOKEN_COMMAND_TOKEN, "result=later|cause=No Such|reason=x|until=1|registration=/a",
         "cause makes no sense"},
        {TOKEN_COMMAND_TOKEN, "result=stopped|cause=x|reason=x|registration=/a",
         "until is missing"},
        {TOKEN_COMMAND_VERDICT, "result=done", "again is missing"},
        {TOKEN_COMMAND_VERDICT, "result=done|again=2", "again is no number"},
        {TOKEN_COMMAND_WATCH, "result=subject|" SUBJECT "|state=stopped", "state is there twice"},
        {TOKEN_COMMAND_STATUS, "result=done|registration=/a|state=gone", "state is not known"},
        {TOKEN_COMMAND_LIST, "result=done|registration=a.cf", "registration is no absolute path"},
        {TOKEN_COMMAND_CHECK, "result=done|step=file", "step is no name, result and text"},
        {TOKEN_COMMAND_CHECK, "result=done|step=file fine", "step is no name, result and text"},
        {TOKEN_COMMAND_LOGIN, "result=code|user_code=A|expires=1", "verification_uri is missing"},
        {TOKEN_COMMAND_RENEW, "result=refused", "reason is missing"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct token_reply reply;
        struct error error = {""};
        size_t length = lines(text, sizeof(text), cases[i].from);
        if (token_reply_read(&reply, cases[i].kind, text, length, &error))
            fail_msg("%s: is read, want \"%s\"", cases[i].from, cases[i].want);
        assert_null(reply.token);
        if (strstr(error.text, cases[i].want) == NULL)
            fail_msg("%s: got \"%s\", want \"%s\"", cases[i].from, error.text, cases[i].want);
    }
}

static void a_list_is_bounded(void **state)
{
    (void)state;
    char from[4096] = "result=done";
    struct token_reply reply;
    struct error error = {""};
    for (size_t i = 0; i <= TOKENS_LIST_MAX; i++)
        strcat(from, "|registration=/a.cf");
    assert_false(token_reply_read(&reply, TOKEN_COMMAND_LIST, text, lines(text, sizeof(text), from),
                                  &error));
    assert_string_equal(error.text, "malformed reply: registration is there too often");
}

static void a_tag_comes_first(void **state)
{
    (void)state;
    uint64_t tag = 0;
    assert_true(token_reply_tag(text, lines(text, sizeof(text), "tag=12|result=done"), &tag));
    assert_int_equal(tag, 12);
    assert_false(token_reply_tag(text, lines(text, sizeof(text), "result=done|tag=12"), &tag));
    assert_false(token_reply_tag(text, lines(text, sizeof(text), "tag=x|result=done"), &tag));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_written_as_the_protocol_says),
        cmocka_unit_test(what_names_nothing_is_not_asked_for),
        cmocka_unit_test(a_token_becomes_a_secret),
        cmocka_unit_test(the_longest_token_fits),
        cmocka_unit_test(a_failure_has_cause_reason_and_time),
        cmocka_unit_test(a_reason_is_cut_between_characters),
        cmocka_unit_test(a_subject_tells_everything),
        cmocka_unit_test(a_subject_may_be_all_new),
        cmocka_unit_test(a_status_has_claims),
        cmocka_unit_test(a_list_has_pages),
        cmocka_unit_test(a_check_has_steps),
        cmocka_unit_test(a_login_has_several_replies),
        cmocka_unit_test(a_watch_goes_on),
        cmocka_unit_test(a_verdict_asks_once_more_or_not),
        cmocka_unit_test(what_makes_no_sense_is_told),
        cmocka_unit_test(a_list_is_bounded),
        cmocka_unit_test(a_tag_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
