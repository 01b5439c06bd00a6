/* test_ledger_message.c - requests to the ledger and its replies, as text and as C */
#include "common/ledger_message.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STATUS                                                                                     \
    "result=done|account=a@b.example|now=1700000000000000|"                                        \
    "recipients_used=7|recipients_reserved=2|recipients_limit=10000|"                              \
    "recipients_period=86400000000|"                                                               \
    "messages_used=3|messages_reserved=1|messages_limit=none|"                                     \
    "recipients_per_message=500|waiting=4"

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

static void expect_reply(enum ledger_command_kind kind, const char *from,
                         struct ledger_reply *reply)
{
    struct error error = {""};
    if (!ledger_reply_read(reply, kind, text, lines(text, sizeof(text), from), &error))
        fail_msg("%s: got error \"%s\"", from, error.text);
}

/* --- requests --- */

static void a_request_is_written_as_the_protocol_says(void **state)
{
    (void)state;
    static const struct {
        struct ledger_command command;
        uint64_t tag;
        const char *want;
    } cases[] = {
        {{.kind = LEDGER_COMMAND_RESERVE, .account = "a@b.example", .recipients = 3},
         7,
         "request=reserve|tag=7|account=a@b.example|recipients=3"},
        {{.kind = LEDGER_COMMAND_RESERVE,
          .account = "a@b.example",
          .recipients = 3,
          .messages = 2,
          .wait = 60000000},
         0,
         "request=reserve|account=a@b.example|recipients=3|messages=2|wait=60000000"},
        {{.kind = LEDGER_COMMAND_SETTLE, .reservation = UINT64_MAX, .recipients = 0},
         UINT64_MAX,
         "request=settle|tag=18446744073709551615|reservation=18446744073709551615|recipients=0"},
        {{.kind = LEDGER_COMMAND_RELEASE, .reservation = 1}, 0, "request=release|reservation=1"},
        {{.kind = LEDGER_COMMAND_PAUSE,
          .account = "a@b.example",
          .cause = "554\r\n5.2.0",
          .until = 5},
         0,
         "request=pause|account=a@b.example|cause=554  5.2.0|until=5"},
        {{.kind = LEDGER_COMMAND_PAUSE, .account = "a@b.example", .least = 1, .most = 9},
         0,
         "request=pause|account=a@b.example|cause=|least=1|most=9"},
        {{.kind = LEDGER_COMMAND_PAUSE,
          .account = "a@b.example",
          .cause = "by hand",
          .until = LEDGER_FOREVER},
         0,
         "request=pause|account=a@b.example|cause=by hand"},
        {{.kind = LEDGER_COMMAND_RESUME, .account = "a@b.example"},
         0,
         "request=resume|account=a@b.example"},
        {{.kind = LEDGER_COMMAND_RESUME, .account = "a@b.example", .cause = "secret-expired: x"},
         0,
         "request=resume|account=a@b.example|cause=secret-expired: x"},
        {{.kind = LEDGER_COMMAND_STATUS, .account = "a@b.example"},
         0,
         "request=status|account=a@b.example"},
        {{.kind = LEDGER_COMMAND_LIST}, 0, "request=list"},
        {{.kind = LEDGER_COMMAND_LIST, .after = 9, .count = 100},
         0,
         "request=list|after=9|count=100"},
        {{.kind = LEDGER_COMMAND_HISTORY, .account = "a@b.example"},
         0,
         "request=history|account=a@b.example|per=hour"},
        {{.kind = LEDGER_COMMAND_HISTORY,
          .account = "a@b.example",
          .per = LEDGER_PER_MINUTE,
          .from = 60000000,
          .count = 200},
         0,
         "request=history|account=a@b.example|per=minute|from=60000000|count=200"},
        {{.kind = LEDGER_COMMAND_SETTINGS}, 0, "request=settings"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer got = {0};
        struct error error = {""};
        if (!ledger_command_write(&got, cases[i].tag, &cases[i].command, &error))
            fail_msg("%s: got error %s", cases[i].want, error.text);
        lines(text, sizeof(text), cases[i].want);
        assert_string_equal(got.data, text);
        buffer_free(&got);
    }
}

static void what_is_no_account_is_not_asked_for(void **state)
{
    (void)state;
    static const char *const accounts[] = {NULL, "", "relay", "a@b.example\nrequest=list",
                                           "\"a\"@b.example"};
    for (size_t i = 0; i < sizeof(accounts) / sizeof(accounts[0]); i++) {
        struct buffer got = {0};
        struct error error = {""};
        const struct ledger_command command = {.kind = LEDGER_COMMAND_STATUS,
                                               .account = accounts[i]};
        assert_false(ledger_command_write(&got, 0, &command, &error));
        assert_non_null(strstr(error.text, "is no account; write user@domain"));
        assert_int_equal(got.length, 0);
    }
}

static void a_long_cause_is_cut_off_between_characters(void **state)
{
    (void)state;
    char cause[2 * CONTROL_CAUSE_MAX];
    struct buffer got = {0};
    struct ledger_command command = {
        .kind = LEDGER_COMMAND_PAUSE, .account = "a@b.example", .cause = cause};
    memset(cause, 'x', sizeof(cause) - 1);
    cause[sizeof(cause) - 1] = '\0';
    memcpy(cause + CONTROL_CAUSE_MAX - 1, "\xc3\xa4", 2);
    assert_true(ledger_command_write(&got, 0, &command, NULL));
    const char *line = strstr(got.data, "cause=") + strlen("cause=");
    assert_int_equal(strcspn(line, "\n"), CONTROL_CAUSE_MAX - 1);
    assert_int_equal(line[CONTROL_CAUSE_MAX - 2], 'x');
    buffer_free(&got);
}

/* --- replies --- */

static void a_reservation_is_granted(void **state)
{
    (void)state;
    struct ledger_reply reply;
    expect_reply(LEDGER_COMMAND_RESERVE,
                 "tag=5|result=granted|reservation=18446744073709551615|limit=later versions",
                 &reply);
    assert_int_equal(reply.result, LEDGER_REPLY_GRANTED);
    assert_true(reply.reservation == UINT64_MAX);
}

static void a_time_later_than_any_clock_is_cut(void **state)
{
    (void)state;
    struct ledger_reply reply;
    expect_reply(LEDGER_COMMAND_RESERVE,
                 "result=later|earliest=9223372036854775807|used=10|measure=messages|limit=30|"
                 "period=9223372036854775807",
                 &reply);
    assert_true(reply.earliest < INT64_MAX - 2 * reply.rate.period);
    assert_true(reply.earliest != LEDGER_FOREVER);
}

static void later_says_when_and_what_stands_in_the_way(void **state)
{
    (void)state;
    struct ledger_reply reply;
    expect_reply(LEDGER_COMMAND_RESERVE,
                 "result=later|earliest=1700086401000000|used=10|measure=messages|limit=30|"
                 "period=60000000",
                 &reply);
    assert_int_equal(reply.result, LEDGER_REPLY_LATER);
    assert_int_equal(reply.measure, LEDGER_REPLY_MESSAGES);
    assert_int_equal(reply.earliest, 1700086401000000);
    assert_int_equal(reply.used, 10);
    assert_int_equal(reply.rate.limit, 30);
    assert_int_equal(reply.rate.period, 60000000);
    expect_reply(LEDGER_COMMAND_RESERVE,
                 "result=later|earliest=5|measure=pause|cause=554 5.2.0 quota = exceeded", &reply);
    assert_int_equal(reply.measure, LEDGER_REPLY_PAUSE);
    assert_int_equal(reply.earliest, 5);
    assert_string_equal(reply.pause.cause, "554 5.2.0 quota = exceeded");
    expect_reply(LEDGER_COMMAND_RESERVE, "result=later|measure=pause|cause=by hand", &reply);
    assert_int_equal(reply.earliest, LEDGER_FOREVER);
    expect_reply(LEDGER_COMMAND_RESERVE, "result=later|earliest=6|measure=order", &reply);
    assert_int_equal(reply.measure, LEDGER_REPLY_ORDER);
}

static void never_names_the_limit(void **state)
{
    (void)state;
    struct ledger_reply reply;
    expect_reply(LEDGER_COMMAND_RESERVE,
                 "result=never|measure=recipients|limit=10000|period=86400000000", &reply);
    assert_int_equal(reply.result, LEDGER_REPLY_NEVER);
    assert_int_equal(reply.measure, LEDGER_REPLY_RECIPIENTS);
    assert_int_equal(reply.rate.limit, 10000);
}

static void a_refusal_and_an_error_say_why(void **state)
{
    (void)state;
    struct ledger_reply reply;
    for (enum ledger_command_kind kind = 0; kind < LEDGER_COMMANDS; kind++) {
        expect_reply(kind, "tag=1|result=refused|reason=only\troot", &reply);
        assert_int_equal(reply.result, LEDGER_REPLY_REFUSED);
        assert_string_equal(reply.reason, "only root");
        expect_reply(kind, "result=error|reason=", &reply);
        assert_int_equal(reply.result, LEDGER_REPLY_ERROR);
    }
}

static void a_pause_says_until_when(void **state)
{
    (void)state;
    struct ledger_reply reply;
    expect_reply(LEDGER_COMMAND_PAUSE, "result=done|account=a@b.example|until=9|failures=3",
                 &reply);
    assert_string_equal(reply.account, "a@b.example");
    assert_int_equal(reply.pause.until, 9);
    assert_int_equal(reply.pause.failures, 3);
    expect_reply(LEDGER_COMMAND_PAUSE, "result=done|account=a@b.example|failures=0", &reply);
    assert_int_equal(reply.pause.until, LEDGER_FOREVER);
    expect_reply(LEDGER_COMMAND_RESUME, "result=unknown", &reply);
    assert_int_equal(reply.result, LEDGER_REPLY_UNKNOWN);
}

static void a_status_tells_windows_waiters_and_pause(void **state)
{
    (void)state;
    struct ledger_reply reply;
    expect_reply(LEDGER_COMMAND_STATUS,
                 STATUS "|earliest=1700000000000000|pause_since=1|pause_until=2|pause_failures=3|"
                        "pause_cause=535",
                 &reply);
    assert_int_equal(reply.now, 1700000000000000);
    assert_int_equal(reply.recipients.used, 7);
    assert_int_equal(reply.recipients.reserved, 2);
    assert_int_equal(reply.recipients.rate.limit, 10000);
    assert_int_equal(reply.recipients.rate.period, 86400000000);
    assert_int_equal(reply.messages.used, 3);
    assert_int_equal(reply.messages.reserved, 1);
    assert_int_equal(reply.messages.rate.limit, QUOTA_UNLIMITED);
    assert_int_equal(reply.recipients_per_message, 500);
    assert_int_equal(reply.earliest, 1700000000000000);
    assert_int_equal(reply.waiting, 4);
    assert_true(reply.pause.is_there);
    assert_int_equal(reply.pause.since, 1);
    assert_int_equal(reply.pause.until, 2);
    assert_int_equal(reply.pause.failures, 3);
    assert_string_equal(reply.pause.cause, "535");
    expect_reply(LEDGER_COMMAND_STATUS,
                 STATUS "|pause_since=1|pause_failures=0|pause_cause=", &reply);
    assert_int_equal(reply.earliest, LEDGER_FOREVER);
    assert_int_equal(reply.pause.until, LEDGER_FOREVER);
    expect_reply(LEDGER_COMMAND_STATUS, STATUS, &reply);
    assert_false(reply.pause.is_there);
}

static void a_list_is_walked_over(void **state)
{
    (void)state;
    struct ledger_reply reply;
    struct ledger_reply_account account;
    size_t position = 0;
    expect_reply(LEDGER_COMMAND_LIST,
                 "result=done|account=a@b.example recipients=1/10 messages=2/none waiting=3|"
                 "color=blue|account=c@d.example more=1 waiting=0 paused messages=4/30 since "
                 "recipients=5/6|account=e@f.example recipients=0/1 messages=0/1 waiting=0 probed|"
                 "after=17",
                 &reply);
    assert_int_equal(reply.after, 17);
    assert_true(ledger_reply_next_account(&reply, &position, &account));
    assert_string_equal(account.name, "a@b.example");
    assert_int_equal(account.recipients_used, 1);
    assert_int_equal(account.recipients_limit, 10);
    assert_int_equal(account.messages_used, 2);
    assert_int_equal(account.messages_limit, QUOTA_UNLIMITED);
    assert_int_equal(account.waiting, 3);
    assert_false(account.is_paused);
    assert_true(ledger_reply_next_account(&reply, &position, &account));
    assert_string_equal(account.name, "c@d.example");
    assert_int_equal(account.recipients_limit, 6);
    assert_true(account.is_paused);
    assert_false(account.is_probed);
    assert_true(ledger_reply_next_account(&reply, &position, &account));
    assert_false(account.is_paused);
    assert_true(account.is_probed);
    assert_false(ledger_reply_next_account(&reply, &position, &account));
    expect_reply(LEDGER_COMMAND_LIST, "result=done", &reply);
    assert_int_equal(reply.after, 0);
}

static void a_history_is_walked_over(void **state)
{
    (void)state;
    struct ledger_reply reply;
    struct ledger_reply_slot slot;
    size_t position = 0;
    expect_reply(LEDGER_COMMAND_HISTORY,
                 "result=done|account=a@b.example|slot=1699999200000000 3 2|slot=5 4294967295 0|"
                 "from=7",
                 &reply);
    assert_int_equal(reply.from, 7);
    assert_true(ledger_reply_next_slot(&reply, &position, &slot));
    assert_int_equal(slot.begin, 1699999200000000);
    assert_int_equal(slot.recipients, 3);
    assert_int_equal(slot.messages, 2);
    assert_true(ledger_reply_next_slot(&reply, &position, &slot));
    assert_int_equal(slot.recipients, UINT32_MAX);
    assert_false(ledger_reply_next_slot(&reply, &position, &slot));
    expect_reply(LEDGER_COMMAND_HISTORY, "result=done|account=a@b.example", &reply);
    assert_int_equal(reply.from, LEDGER_FOREVER);
}

static void settings_are_walked_over(void **state)
{
    (void)state;
    struct ledger_reply reply;
    struct attr setting;
    size_t position = 0;
    expect_reply(LEDGER_COMMAND_SETTINGS, "result=done|post365_upn=|other=1|post365_ledger=/a=b",
                 &reply);
    assert_true(ledger_reply_next_setting(&reply, &position, &setting));
    assert_true(attr_is(&setting, "post365_upn") && attr_has_value(&setting, ""));
    assert_true(ledger_reply_next_setting(&reply, &position, &setting));
    assert_true(attr_is(&setting, "post365_ledger") && attr_has_value(&setting, "/a=b"));
    assert_false(ledger_reply_next_setting(&reply, &position, &setting));
}

static void what_is_wrong_with_a_reply_is_named(void **state)
{
    (void)state;
    static const struct {
        enum ledger_command_kind kind;
        const char *reply, *want;
    } cases[] = {
        {LEDGER_COMMAND_RESERVE, "reservation=1", "result is missing"},
        {LEDGER_COMMAND_RESERVE, "result=grant|reservation=1", "result is not known"},
        {LEDGER_COMMAND_RESERVE, "result=done", "done is no answer to reserve"},
        {LEDGER_COMMAND_STATUS, "result=granted|reservation=1", "granted is no answer to status"},
        {LEDGER_COMMAND_PAUSE, "result=unknown", "unknown is no answer to pause"},
        {LEDGER_COMMAND_RESERVE, "result=granted", "reservation is missing"},
        {LEDGER_COMMAND_RESERVE, "result=granted|reservation=", "reservation is no number"},
        {LEDGER_COMMAND_RESERVE, "result=granted|reservation=-1", "reservation is no number"},
        {LEDGER_COMMAND_RESERVE, "result=granted|reservation=18446744073709551616",
         "reservation is no number"},
        {LEDGER_COMMAND_RESERVE, "result=granted|reservation=1|reservation=2",
         "reservation is there twice"},
        {LEDGER_COMMAND_RESERVE, "result=later|earliest=1", "measure is missing"},
        {LEDGER_COMMAND_RESERVE, "result=later|earliest=1|measure=weather", "measure is not known"},
        {LEDGER_COMMAND_RESERVE, "result=later|measure=messages|used=1|limit=1|period=1",
         "earliest is missing"},
        {LEDGER_COMMAND_RESERVE, "result=later|earliest=1|measure=messages|limit=1|period=1",
         "used is missing"},
        {LEDGER_COMMAND_RESERVE, "result=later|earliest=1|measure=messages|used=1|limit=1",
         "period is missing"},
        {LEDGER_COMMAND_RESERVE,
         "result=later|earliest=1|measure=messages|used=1|limit=none|period=1",
         "limit refuses nothing"},
        {LEDGER_COMMAND_RESERVE,
         "result=later|earliest=1|measure=messages|used=4294967296|limit=1|period=1",
         "used is no number"},
        {LEDGER_COMMAND_RESERVE, "result=later|earliest=9223372036854775808|measure=order",
         "earliest is no time"},
        {LEDGER_COMMAND_RESERVE, "result=later|earliest=1|measure=pause", "cause is missing"},
        {LEDGER_COMMAND_RESERVE, "result=never|measure=pause|limit=1|period=1",
         "measure is no window"},
        {LEDGER_COMMAND_SETTLE, "result=error", "reason is missing"},
        {LEDGER_COMMAND_SETTLE, "result=done|result=done", "result is there twice"},
        {LEDGER_COMMAND_PAUSE, "result=done|failures=1", "account is missing"},
        {LEDGER_COMMAND_PAUSE, "result=done|account=a@b|failures=x", "failures is no number"},
        {LEDGER_COMMAND_STATUS, "result=done|account=|now=1", "account is empty or too long"},
        {LEDGER_COMMAND_STATUS, STATUS "|pause_since=1", "pause_failures is missing"},
        {LEDGER_COMMAND_STATUS, STATUS "|earliest=soon", "earliest is no time"},
        {LEDGER_COMMAND_LIST, "result=done|account=a@b recipients=1/2 messages=1/2",
         "account is no UPN"},
        {LEDGER_COMMAND_LIST, "result=done|account= recipients=1/2 messages=1/2 waiting=0",
         "account is no UPN"},
        {LEDGER_COMMAND_LIST, "result=done|account=a@b recipients=12 messages=1/2 waiting=0",
         "account is no UPN"},
        {LEDGER_COMMAND_LIST, "result=done|after=x", "after is no number"},
        {LEDGER_COMMAND_HISTORY, "result=done|account=a@b|slot=1 2", "slot is no time"},
        {LEDGER_COMMAND_HISTORY, "result=done|account=a@b|slot=1 2 3 4", "slot is no time"},
        {LEDGER_COMMAND_HISTORY, "result=done|account=a@b|slot=-1 2 3", "slot is no time"},
        {LEDGER_COMMAND_HISTORY, "result=done|slot=1 2 3", "account is missing"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ledger_reply reply;
        struct error error = {""};
        size_t length = lines(text, sizeof(text), cases[i].reply);
        if (ledger_reply_read(&reply, cases[i].kind, text, length, &error))
            fail_msg("%s: was taken", cases[i].reply);
        if (strncmp(error.text, "malformed reply: ", 17) != 0 ||
            strstr(error.text, cases[i].want) == NULL)
            fail_msg("%s: got \"%s\", want \"%s\"", cases[i].reply, error.text, cases[i].want);
    }
}

static void every_attribute_of_a_status_is_needed(void **state)
{
    (void)state;
    static const char *const names[] = {"account",          "now",
                                        "recipients_used",  "recipients_reserved",
                                        "recipients_limit", "recipients_period",
                                        "messages_used",    "messages_reserved",
                                        "messages_limit",   "recipients_per_message",
                                        "waiting"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct ledger_reply reply;
        struct error error = {""};
        char want[64], line[64];
        size_t length = lines(text, sizeof(text), STATUS);
        snprintf(line, sizeof(line), "\n%s=", names[i]);
        snprintf(want, sizeof(want), "malformed reply: %s is missing", names[i]);
        strstr(text, line)[1] = '!';
        assert_false(ledger_reply_read(&reply, LEDGER_COMMAND_STATUS, text, length, &error));
        assert_string_equal(error.text, want);
    }
}

static void a_page_has_at_most_what_the_protocol_allows(void **state)
{
    (void)state;
    struct buffer page = {0};
    struct ledger_reply reply;
    struct error error = {""};
    buffer_append_string(&page, "result=done\n");
    for (unsigned i = 0; i < CONTROL_LIST_MAX + 1; i++) {
        buffer_format(&page, "account=u%u@b recipients=1/2 messages=1/2 waiting=0\n", i);
        attr_write_end(&page);
        assert_int_equal(
            ledger_reply_read(&reply, LEDGER_COMMAND_LIST, page.data, page.length, &error),
            i < CONTROL_LIST_MAX);
        page.length--;
    }
    assert_string_equal(error.text, "malformed reply: account is there too often");
    buffer_clear(&page);
    buffer_append_string(&page, "result=done\naccount=a@b\n");
    for (unsigned i = 0; i < CONTROL_HISTORY_MAX + 1; i++) {
        buffer_format(&page, "slot=%u 1 1\n", i);
        attr_write_end(&page);
        assert_int_equal(
            ledger_reply_read(&reply, LEDGER_COMMAND_HISTORY, page.data, page.length, &error),
            i < CONTROL_HISTORY_MAX);
        page.length--;
    }
    assert_string_equal(error.text, "malformed reply: slot is there too often");
    buffer_free(&page);
}

static void text_for_people_is_cut_off_and_one_line(void **state)
{
    (void)state;
    struct buffer long_reply = {0};
    struct ledger_reply reply;
    struct error error = {""};
    buffer_append_string(&long_reply, "result=error\nreason=\x1b[31m");
    for (unsigned i = 0; i < 3000; i++)
        buffer_append_string(&long_reply, "\xc3\xa4");
    buffer_append_string(&long_reply, "\n\n");
    assert_true(
        ledger_reply_read(&reply, LEDGER_COMMAND_LIST, long_reply.data, long_reply.length, &error));
    assert_memory_equal(reply.reason, " [31m\xc3\xa4", 7);
    assert_true(strlen(reply.reason) >= ERROR_TEXT_SIZE - 2);
    assert_int_equal((strlen(reply.reason) - 5) % 2, 0);
    buffer_free(&long_reply);
}

static void a_tag_stands_first(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        bool has_tag;
        uint64_t tag;
    } cases[] = {{"tag=12|result=done", true, 12}, {"result=done|tag=12", false, 0},
                 {"tag=|result=done", false, 0},   {"tag=x|result=done", false, 0},
                 {"tag=0|result=done", true, 0},   {"", false, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t tag = 0;
        size_t length = lines(text, sizeof(text), cases[i].reply);
        assert_int_equal(ledger_reply_tag(text, length, &tag), cases[i].has_tag);
        if (cases[i].has_tag)
            assert_int_equal(tag, cases[i].tag);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_written_as_the_protocol_says),
        cmocka_unit_test(what_is_no_account_is_not_asked_for),
        cmocka_unit_test(a_long_cause_is_cut_off_between_characters),
        cmocka_unit_test(a_reservation_is_granted),
        cmocka_unit_test(a_time_later_than_any_clock_is_cut),
        cmocka_unit_test(later_says_when_and_what_stands_in_the_way),
        cmocka_unit_test(never_names_the_limit),
        cmocka_unit_test(a_refusal_and_an_error_say_why),
        cmocka_unit_test(a_pause_says_until_when),
        cmocka_unit_test(a_status_tells_windows_waiters_and_pause),
        cmocka_unit_test(a_list_is_walked_over),
        cmocka_unit_test(a_history_is_walked_over),
        cmocka_unit_test(settings_are_walked_over),
        cmocka_unit_test(what_is_wrong_with_a_reply_is_named),
        cmocka_unit_test(every_attribute_of_a_status_is_needed),
        cmocka_unit_test(a_page_has_at_most_what_the_protocol_allows),
        cmocka_unit_test(text_for_people_is_cut_off_and_one_line),
        cmocka_unit_test(a_tag_stands_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
