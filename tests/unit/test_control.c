/* test_control.c - what the control socket answers, without a socket */
#include "common/attr.h"
#include "common/buffer.h"
#include "common/ledger_message.h"
#include "common/memory.h"
#include "common/parameter.h"
#include "policyd/control.h"
#include "tests/unit/hand_clock.h"
#include "tests/unit/store_memory.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND CLOCK_SECOND
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define START  (INT64_C(1700000000) * SECOND)

/* The postponed replies that were delivered, one behind the other, with blanks for line ends. */
static char delivered[4096];

struct fixture {
    struct hand_clock clock;
    struct settings settings;
    struct store *store;
    struct control_parts parts;
    struct control *control;
    struct control_client *owner, *reader;
    struct buffer reply;
    bool needs_commit;
};

static void fill_settings(struct settings *settings)
{
    static const char *const values[][2] = {
        {"post365_recipient_quota", "10/1d"},
        {"post365_password_maps", "inline:{ x@contoso.com=x@contoso.com:secret }"},
        {"post365_quota_maps",
         "inline:{ { small@contoso.com = messages=2/10s recipients=5/1h }, "
         "{ broken@contoso.com = messages=many }, { free@contoso.com = messages=none } }"}};
    static char queue[] = "/queue";
    struct error error;
    settings->queue_directory = queue;
    for (size_t i = 0; i < parameter_count(); i++) {
        const struct parameter *parameter = parameter_at(i);
        const char *value = parameter->initial;
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++)
            if (strcmp(parameter->name, values[j][0]) == 0)
                value = values[j][1];
        if (!parameter_parse(parameter, value, settings, &error))
            fail_msg("%s: %s", parameter->name, error.text);
    }
}

/* What policyd writes is what its clients read. */
static void expect_readable(const char *request, const struct buffer *reply)
{
    static const char *const names[LEDGER_COMMANDS] = {
        [LEDGER_COMMAND_RESERVE] = "request=reserve",
        [LEDGER_COMMAND_SETTLE] = "request=settle",
        [LEDGER_COMMAND_RELEASE] = "request=release",
        [LEDGER_COMMAND_PAUSE] = "request=pause",
        [LEDGER_COMMAND_RESUME] = "request=resume",
        [LEDGER_COMMAND_STATUS] = "request=status",
        [LEDGER_COMMAND_NOTE] = "request=note",
        [LEDGER_COMMAND_LIST] = "request=list",
        [LEDGER_COMMAND_HISTORY] = "request=history",
        [LEDGER_COMMAND_SETTINGS] = "request=settings"};
    struct ledger_reply read;
    struct error error;
    for (enum ledger_command_kind kind = 0; kind < LEDGER_COMMANDS && reply->length > 0; kind++)
        if (strncmp(request, names[kind], strlen(names[kind])) == 0 &&
            !ledger_reply_read(&read, kind, reply->data, reply->length, &error))
            fail_msg("%s: %s: \"%s\"", request, error.text, reply->data);
}

static void deliver(void *peer, const struct buffer *reply, const struct server_verdict *verdict)
{
    size_t length = strlen(delivered);
    expect_readable("request=reserve", reply);
    snprintf(delivered + length, sizeof(delivered) - length, "%s%s: %s", (const char *)peer,
             verdict->needs_commit ? " if stored" : "", reply->data);
    for (char *end = delivered; (end = strchr(end, '\n')) != NULL;)
        *end = ' ';
}

static int set_up(void **state)
{
    static char owner[] = "owner";
    struct fixture *fixture = memory_zero(1, sizeof(*fixture));
    fixture->clock = (struct hand_clock){{.now = read_hand_clock}, START};
    fill_settings(&fixture->settings);
    struct error error = {""};
    static const struct ledger_rules rules = {SECOND, DAY};
    fixture->store = store_memory_new();
    fixture->parts.settings = &fixture->settings;
    fixture->parts.ledger = ledger_open(&fixture->clock.clock, fixture->store, &rules, &error);
    fixture->parts.quota_maps = tables_open("post365_quota_maps", fixture->settings.quota_maps,
                                            "/etc/postfix", TABLE_VALUES, &error);
    if (fixture->parts.quota_maps == NULL)
        fail_msg("%s", error.text);
    fixture->control = control_new(&fixture->parts);
    control_on_delivery(fixture->control, deliver);
    delivered[0] = '\0';
    fixture->owner = control_open_client(fixture->control, owner, true);
    fixture->reader = control_open_client(fixture->control, NULL, false);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->owner != NULL)
        control_close_client(fixture->control, fixture->owner);
    control_close_client(fixture->control, fixture->reader);
    control_free(fixture->control);
    ledger_close(fixture->parts.ledger);
    store_memory_free(fixture->store);
    tables_close(fixture->parts.quota_maps);
    buffer_free(&fixture->reply);
    for (size_t i = 0; i < parameter_count(); i++)
        parameter_free(parameter_at(i), &fixture->settings);
    free(fixture);
    return 0;
}

/* A request as blank-separated attributes; returns the reply with blanks for line ends. The batch
 * stays open. */
static const char *put(struct fixture *fixture, struct control_client *client, const char *text)
{
    struct server_verdict verdict = {0};
    char request[1024];
    snprintf(request, sizeof(request), "%s\n\n", text);
    for (char *blank = request; (blank = strchr(blank, ' ')) != NULL;)
        *blank = '\n';
    buffer_clear(&fixture->reply);
    control_answer(fixture->control, client, request, strlen(request), &fixture->reply, &verdict);
    fixture->needs_commit = verdict.needs_commit;
    expect_readable(text, &fixture->reply);
    for (char *end = fixture->reply.data; (end = strchr(end, '\n')) != NULL;)
        *end = ' ';
    return fixture->reply.data;
}

static bool end_batch(struct fixture *fixture)
{
    struct error error;
    control_before_commit(fixture->control);
    bool written = ledger_commit(fixture->parts.ledger, &error);
    control_after_commit(fixture->control, written);
    return written;
}

static void expect(struct fixture *fixture, struct control_client *client, const char *text,
                   const char *want)
{
    const char *got = put(fixture, client, text);
    if (strstr(got, want) == NULL)
        fail_msg("%s: got \"%s\", want \"%s\"", text, got, want);
    assert_true(end_batch(fixture));
}

/* Reserves and gives the number. */
static uint64_t reserve(struct fixture *fixture, const char *account, unsigned recipients)
{
    char text[256];
    snprintf(text, sizeof(text), "request=reserve account=%s recipients=%u", account, recipients);
    expect(fixture, fixture->owner, text, "result=granted reservation=");
    assert_true(fixture->needs_commit);
    return strtoull(strstr(fixture->reply.data, "reservation=") + 12, NULL, 10);
}

static void what_is_reserved_is_settled_or_released_once(void **state)
{
    struct fixture *fixture = *state;
    char text[128];
    uint64_t id = reserve(fixture, "relay@contoso.com", 6);
    snprintf(text, sizeof(text), "request=settle reservation=%" PRIu64 " recipients=4", id);
    expect(fixture, fixture->owner, text, "result=done");
    expect(fixture, fixture->owner, text, "result=unknown");
    assert_false(fixture->needs_commit);
    expect(fixture, fixture->reader, "request=status account=relay@contoso.com",
           "recipients_used=4 recipients_reserved=0 recipients_limit=10");
    id = reserve(fixture, "Relay@Contoso.com", 6);
    expect(fixture, fixture->reader, "request=status account=relay@contoso.com",
           "recipients_used=10 recipients_reserved=6 recipients_limit=10");
    expect(fixture, fixture->owner, "request=reserve account=relay@contoso.com recipients=1",
           "result=later earliest=1700086401000000 measure=recipients used=10 limit=10 "
           "period=86400000000");
    snprintf(text, sizeof(text), "request=release reservation=%" PRIu64, id);
    expect(fixture, fixture->owner, text, "result=done");
    expect(fixture, fixture->reader, "request=status account=RELAY@contoso.com",
           "recipients_used=4 recipients_reserved=0");
    expect(fixture, fixture->owner, "request=reserve account=relay@contoso.com recipients=11",
           "result=never measure=recipients limit=10");
}

static void a_note_is_told_until_it_is_taken_back_or_its_owner_goes(void **state)
{
    struct fixture *fixture = *state;
    struct control_client *other = control_open_client(fixture->control, NULL, true);
    static const char status[] = "request=status account=relay@contoso.com";
    expect(fixture, fixture->reader, "request=note account=relay@contoso.com cause=x",
           "result=refused reason=only root");
    expect(fixture, other, "request=note account=Relay@contoso.com cause=connection-stalled",
           "result=done account=relay@contoso.com");
    expect(fixture, fixture->reader, status, "note_cause=connection-stalled");
    expect(fixture, other, "request=note account=relay@contoso.com", "result=done");
    assert_null(strstr(fixture->reply.data, "note"));
    expect(fixture, fixture->reader, status, "waiting=0");
    assert_null(strstr(fixture->reply.data, "note_"));
    expect(fixture, other, "request=note account=relay@contoso.com cause=y", "result=done");
    expect(fixture, fixture->reader, status, "note_cause=y");
    control_close_client(fixture->control, other);
    expect(fixture, fixture->reader, status, "waiting=0");
    assert_null(strstr(fixture->reply.data, "note_"));
}

static void what_may_have_been_sent_counts_and_ends_no_row_of_failures(void **state)
{
    struct fixture *fixture = *state;
    static const char pause[] =
        "request=pause account=relay@contoso.com cause=5.7.139 least=60000000 most=200000000";
    char text[128];
    expect(fixture, fixture->owner, pause, "failures=1");
    fixture->clock.now = START + 60 * SECOND;
    uint64_t probe = reserve(fixture, "relay@contoso.com", 6);
    snprintf(text, sizeof(text), "request=settle reservation=%" PRIu64 " recipients=6 doubtful=1",
             probe);
    expect(fixture, fixture->owner, pause, "failures=2");
    expect(fixture, fixture->owner, text, "result=done");
    expect(fixture, fixture->reader, "request=status account=relay@contoso.com",
           "recipients_used=6 recipients_reserved=0");
    fixture->clock.now = START + 180 * SECOND;
    expect(fixture, fixture->owner, pause, "failures=3");
}

static void nobody_settles_what_another_connection_reserved(void **state)
{
    struct fixture *fixture = *state;
    struct control_client *other = control_open_client(fixture->control, NULL, true);
    char text[128];
    uint64_t id = reserve(fixture, "relay@contoso.com", 6);
    snprintf(text, sizeof(text), "request=release reservation=%" PRIu64, id);
    expect(fixture, other, text, "result=unknown");
    expect(fixture, fixture->owner, text, "result=done");
    control_close_client(fixture->control, other);
}

static void who_may_only_read_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    static const char *const requests[] = {"request=reserve account=relay@contoso.com recipients=1",
                                           "request=settle reservation=1 recipients=1",
                                           "request=release reservation=1",
                                           "request=pause account=relay@contoso.com cause=x",
                                           "request=resume account=relay@contoso.com"};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        expect(fixture, fixture->reader, requests[i], "result=refused reason=only root");
    assert_int_equal(store_memory_writes(fixture->store), 0);
}

static void what_a_vanished_owner_reserved_counts_as_sent(void **state)
{
    struct fixture *fixture = *state;
    reserve(fixture, "relay@contoso.com", 6);
    reserve(fixture, "small@contoso.com", 5);
    fixture->clock.now += 10 * SECOND;
    control_close_client(fixture->control, fixture->owner);
    fixture->owner = NULL;
    store_memory_fail_writes(fixture->store, 1);
    assert_false(end_batch(fixture));
    assert_int_equal(ledger_reservation_count(fixture->parts.ledger), 2);
    fixture->clock.now += SECOND;
    assert_true(end_batch(fixture));
    assert_int_equal(ledger_reservation_count(fixture->parts.ledger), 0);
    expect(fixture, fixture->reader, "request=status account=relay@contoso.com",
           "recipients_used=6 recipients_reserved=0");
    fixture->clock.now = START + 11 * SECOND + HOUR + SECOND - 1;
    expect(fixture, fixture->reader, "request=status account=small@contoso.com",
           "recipients_used=5");
    fixture->clock.now++;
    expect(fixture, fixture->reader, "request=status account=small@contoso.com",
           "recipients_used=0");
}

/* Says what comes when somebody who waits is served. */
static void expect_delivered(struct fixture *fixture, const char *want)
{
    delivered[0] = '\0';
    assert_true(end_batch(fixture));
    if (want[0] == '\0' ? delivered[0] != '\0' : strstr(delivered, want) == NULL)
        fail_msg("delivered \"%s\", want \"%s\"", delivered, want);
}

static void who_waits_is_answered_when_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    char text[128];
    uint64_t id = reserve(fixture, "small@contoso.com", 1);
    snprintf(text, sizeof(text), "request=settle reservation=%" PRIu64 " recipients=1", id);
    expect(fixture, fixture->owner, text, "result=done");
    reserve(fixture, "small@contoso.com", 1);
    put(fixture, fixture->owner,
        "request=reserve account=small@contoso.com recipients=1 wait=11000000 tag=a");
    assert_int_equal(fixture->reply.length, 0);
    expect_delivered(fixture, "");
    assert_true(ledger_due(fixture->parts.ledger) == START + 11 * SECOND);
    expect(fixture, fixture->owner, "request=reserve account=small@contoso.com recipients=1",
           "result=later earliest=1700000011000000 measure=messages used=2 limit=2");
    expect(fixture, fixture->reader, "request=status account=small@contoso.com", "waiting=1");
    fixture->clock.now = START + 11 * SECOND - 1;
    expect_delivered(fixture, "");
    fixture->clock.now++;
    expect_delivered(fixture, "owner if stored: tag=a result=granted reservation=");
    assert_true(ledger_due(fixture->parts.ledger) == INT64_MAX);
}

static void who_waits_too_long_is_told_when(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, fixture->owner,
           "request=pause account=small@contoso.com cause=Test until=1700000005000000",
           "result=done account=small@contoso.com until=1700000005000000 failures=0");
    put(fixture, fixture->owner,
        "request=reserve account=small@contoso.com recipients=1 wait=6000000");
    expect_delivered(fixture, "");
    expect(fixture, fixture->owner,
           "request=reserve account=small@contoso.com recipients=1 wait=4999999",
           "result=later earliest=1700000005000000 measure=pause cause=Test ");
    put(fixture, fixture->owner,
        "request=pause account=small@contoso.com cause=Longer until=1700000009000000");
    expect_delivered(fixture,
                     "owner: result=later earliest=1700000009000000 measure=pause cause=Longer");
}

static void a_vanished_owner_waits_no_more(void **state)
{
    struct fixture *fixture = *state;
    reserve(fixture, "small@contoso.com", 1);
    reserve(fixture, "small@contoso.com", 1);
    put(fixture, fixture->owner,
        "request=reserve account=small@contoso.com recipients=1 wait=60000000");
    put(fixture, fixture->owner,
        "request=reserve account=small@contoso.com recipients=1 wait=60000000");
    assert_int_equal(ledger_waiter_count(fixture->parts.ledger), 2);
    control_close_client(fixture->control, fixture->owner);
    fixture->owner = NULL;
    expect_delivered(fixture, "");
    assert_int_equal(ledger_waiter_count(fixture->parts.ledger), 0);
    fixture->clock.now += 30 * SECOND;
    expect_delivered(fixture, "");
}

static void a_pause_lasts_until_it_is_resumed(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, fixture->owner, "request=resume account=relay@contoso.com", "result=unknown");
    expect(fixture, fixture->owner, "request=pause account=Relay@contoso.com cause=By=hand",
           "result=done account=relay@contoso.com failures=0");
    fixture->clock.now += 10 * DAY;
    expect(fixture, fixture->reader, "request=status account=relay@contoso.com",
           "waiting=0 pause_since=1700000000000000 pause_failures=0 pause_cause=By=hand");
    assert_null(strstr(fixture->reply.data, "earliest"));
    assert_null(strstr(fixture->reply.data, "pause_until"));
    expect(fixture, fixture->reader, "request=list",
           "account=relay@contoso.com recipients=0/10 messages=0/30 waiting=0 paused");
    expect(fixture, fixture->owner, "request=reserve account=relay@contoso.com recipients=1",
           "result=later measure=pause cause=By=hand");
    expect(fixture, fixture->owner, "request=resume account=relay@contoso.com", "result=done");
    reserve(fixture, "relay@contoso.com", 1);
}

static void only_the_pause_that_is_meant_is_resumed(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, fixture->owner, "request=resume account=relay@contoso.com cause=secret-expired",
           "result=unknown");
    expect(fixture, fixture->owner, "request=pause account=relay@contoso.com cause=By=hand",
           "result=done");
    expect(fixture, fixture->owner, "request=resume account=relay@contoso.com cause=secret-expired",
           "result=unknown");
    expect(fixture, fixture->owner, "request=resume account=relay@contoso.com cause=By=hand2",
           "result=unknown");
    expect(fixture, fixture->owner, "request=reserve account=relay@contoso.com recipients=1",
           "result=later measure=pause cause=By=hand");
    expect(fixture, fixture->owner, "request=resume account=relay@contoso.com cause=By=hand",
           "result=done");
    reserve(fixture, "relay@contoso.com", 1);
}

static void a_growing_pause_is_twice_as_long_each_time(void **state)
{
    struct fixture *fixture = *state;
    static const char pause[] =
        "request=pause account=relay@contoso.com cause=5.7.139 least=60000000 most=200000000";
    expect(fixture, fixture->owner, pause, "until=1700000060000000 failures=1");
    fixture->clock.now = START + 59 * SECOND;
    expect(fixture, fixture->owner, pause, "until=1700000060000000 failures=1");
    fixture->clock.now = START + 60 * SECOND;
    expect(fixture, fixture->reader, "request=list",
           "account=relay@contoso.com recipients=0/10 messages=0/30 waiting=0 probed");
    uint64_t probe = reserve(fixture, "relay@contoso.com", 1);
    expect(fixture, fixture->owner, "request=reserve account=relay@contoso.com recipients=1",
           "result=later earliest=1700000065000000 measure=pause cause=5.7.139");
    char text[128];
    snprintf(text, sizeof(text), "request=release reservation=%" PRIu64, probe);
    expect(fixture, fixture->owner, pause, "until=1700000180000000 failures=2");
    expect(fixture, fixture->owner, text, "result=done");
    fixture->clock.now = START + 180 * SECOND;
    expect(fixture, fixture->owner, pause, "until=1700000380000000 failures=3");
    fixture->clock.now = START + 380 * SECOND;
    probe = reserve(fixture, "relay@contoso.com", 1);
    snprintf(text, sizeof(text), "request=settle reservation=%" PRIu64 " recipients=1", probe);
    expect(fixture, fixture->owner, text, "result=done");
    reserve(fixture, "relay@contoso.com", 1);
    reserve(fixture, "relay@contoso.com", 1);
    expect(fixture, fixture->owner, pause, "failures=1");
}

static void what_could_not_be_written_was_not_reserved(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, fixture->owner, "request=reserve account=relay@contoso.com recipients=6 tag=7");
    store_memory_fail_writes(fixture->store, 1);
    assert_false(end_batch(fixture));
    expect(fixture, fixture->reader, "request=status account=relay@contoso.com",
           "recipients_used=0 recipients_reserved=0");
    uint64_t id = reserve(fixture, "relay@contoso.com", 6);
    char text[128];
    snprintf(text, sizeof(text), "request=settle reservation=%" PRIu64 " recipients=6", id);
    put(fixture, fixture->owner, text);
    store_memory_fail_writes(fixture->store, 1);
    assert_false(end_batch(fixture));
    expect(fixture, fixture->owner, text, "result=done");
}

static void a_tag_comes_back_first(void **state)
{
    struct fixture *fixture = *state;
    const char *got = put(fixture, fixture->owner, "tag=a=b request=list");
    assert_true(strncmp(got, "tag=a=b result=done ", 20) == 0);
}

static void what_makes_no_sense_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *request, *reason;
    } cases[] = {
        {"request=destroy", "unknown request"},
        {"account=a@b.example", "unknown request"},
        {"request=reserve recipients=1", "no account is named"},
        {"request=reserve account=relay recipients=1", "no address"},
        {"request=reserve account=a@b.example", "an attribute is missing"},
        {"request=reserve account=a@b.example recipients=", "a number"},
        {"request=reserve account=a@b.example recipients=-1", "a number"},
        {"request=reserve account=a@b.example recipients=4294967296", "a number"},
        {"request=release reservation=18446744073709551616", "a number"},
        {"request=history account=a@b.example per=year", "per is neither"},
        {"request=status account=broken@contoso.com", "post365_quota_maps"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect(fixture, fixture->owner, cases[i].request, "result=error reason=");
        expect(fixture, fixture->owner, cases[i].request, cases[i].reason);
    }
}

static void accounts_are_listed_in_pages(void **state)
{
    struct fixture *fixture = *state;
    char name[80];
    unsigned listed = 0;
    for (unsigned i = 0; i < 250; i++) {
        snprintf(name, sizeof(name), "user%u@contoso.com", i);
        reserve(fixture, name, 1);
    }
    char request[128] = "request=list count=100";
    for (const char *more = ""; more != NULL;) {
        const char *got = put(fixture, fixture->reader, request);
        for (const char *one = got; (one = strstr(one, " account=")) != NULL; one++, listed++) {
            snprintf(name, sizeof(name),
                     " account=user%u@contoso.com recipients=1/10 messages=1/30 waiting=0 ",
                     listed);
            assert_true(strncmp(one, name, strlen(name)) == 0);
        }
        more = strstr(got, " after=");
        if (more != NULL)
            snprintf(request, sizeof(request), "request=list count=100%.*s",
                     (int)strcspn(more + 1, " ") + 1, more);
    }
    assert_int_equal(listed, 250);
}

static void the_list_closes_up_behind_accounts_that_are_gone(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    bool more;
    char name[64];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "user%u@contoso.com", i);
        uint64_t id = reserve(fixture, name, 1);
        if (i % 4 != 3) {
            assert_true(ledger_release(fixture->parts.ledger, id));
            assert_true(end_batch(fixture));
        }
    }
    fixture->clock.now += 2 * DAY;
    assert_true(ledger_tidy(fixture->parts.ledger, &more, &error));
    expect(fixture, fixture->reader, "request=list count=4 after=4",
           "result=done account=user7@contoso.com recipients=1/10 messages=1/30 waiting=0 "
           "account=user11@contoso.com");
    reserve(fixture, "new@contoso.com", 1);
    expect(fixture, fixture->reader, "request=list count=4 after=16",
           "account=user19@contoso.com recipients=1/10 messages=1/30 waiting=0 "
           "account=new@contoso.com");
}

static void history_is_told_by_hour_minute_or_event(void **state)
{
    struct fixture *fixture = *state;
    char text[128];
    for (unsigned i = 0; i < 4; i++) {
        uint64_t id = reserve(fixture, "free@contoso.com", i + 1);
        snprintf(text, sizeof(text), "request=settle reservation=%" PRIu64 " recipients=%u", id,
                 i + 1);
        expect(fixture, fixture->owner, text, "result=done");
        fixture->clock.now += i == 1 ? HOUR : 20 * SECOND;
    }
    expect(fixture, fixture->reader, "request=history account=free@contoso.com",
           "result=done account=free@contoso.com slot=1699999200000000 3 2 "
           "slot=1700002800000000 7 2  ");
    expect(fixture, fixture->reader, "request=history account=free@contoso.com per=minute count=1",
           "slot=1699999980000000 3 2 from=1700000040000000");
    expect(fixture, fixture->reader,
           "request=history account=free@contoso.com per=minute from=1700000040000000",
           "account=free@contoso.com slot=1700003580000000 3 1 slot=1700003640000000 4 1  ");
    expect(fixture, fixture->reader,
           "request=history account=free@contoso.com per=event from=1700000000000001",
           "account=free@contoso.com slot=1700000020000000 2 1 slot=1700003620000000 3 1 "
           "slot=1700003640000000 4 1  ");
    expect(fixture, fixture->reader, "request=history account=free@contoso.com per=day",
           "result=error reason=per is neither hour, minute nor event");
    expect(fixture, fixture->reader, "request=history account=nobody@contoso.com",
           "result=done account=nobody@contoso.com  ");
}

static void settings_are_told_without_passwords(void **state)
{
    struct fixture *fixture = *state;
    const char *got = put(fixture, fixture->reader, "request=settings");
    assert_non_null(strstr(got, "result=done "));
    assert_non_null(strstr(got, " post365_recipient_quota=10/1d "));
    assert_null(strstr(got, "secret"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_reserved_is_settled_or_released_once),
        TEST(a_note_is_told_until_it_is_taken_back_or_its_owner_goes),
        TEST(what_may_have_been_sent_counts_and_ends_no_row_of_failures),
        TEST(nobody_settles_what_another_connection_reserved),
        TEST(who_may_only_read_changes_nothing),
        TEST(what_a_vanished_owner_reserved_counts_as_sent),
        TEST(who_waits_is_answered_when_there_is_room),
        TEST(who_waits_too_long_is_told_when),
        TEST(a_vanished_owner_waits_no_more),
        TEST(a_pause_lasts_until_it_is_resumed),
        TEST(only_the_pause_that_is_meant_is_resumed),
        TEST(a_growing_pause_is_twice_as_long_each_time),
        TEST(what_could_not_be_written_was_not_reserved),
        TEST(a_tag_comes_back_first),
        TEST(what_makes_no_sense_is_an_error),
        TEST(accounts_are_listed_in_pages),
        TEST(the_list_closes_up_behind_accounts_that_are_gone),
        TEST(history_is_told_by_hour_minute_or_event),
        TEST(settings_are_told_without_passwords),
    };
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
