/* test_ledger_channel.c - asking the ledger from an event loop; both ends live in one loop */
#include "common/ledger_channel.h"

#include "tests/unit/fake_policyd.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <time.h>
#include <unistd.h>

#define MANY  10000U
#define RELAY "relay@contoso.com"

/* What became of a request. */
struct outcome {
    size_t count;
    bool is_lost;
    struct ledger_reply reply;
    struct error error;
};

struct fixture {
    struct event_base *base;
    struct fake_policyd fake;
    struct ledger_channel *channel;
    size_t ups, downs;
    struct error reason; /* why it last went down */
    bool free_when_down;
};

static void note_change(void *context, bool is_up, const struct error *error)
{
    struct fixture *fixture = context;
    assert_int_equal(is_up, error == NULL);
    if (is_up) {
        fixture->ups++;
        return;
    }
    fixture->downs++;
    fixture->reason = *error;
    if (fixture->free_when_down) {
        ledger_channel_free(fixture->channel);
        fixture->channel = NULL;
    }
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->base = event_base_new();
    fake_policyd_open(&fixture->fake, fixture->base);
    fixture->channel =
        ledger_channel_new(fixture->base, &fixture->fake.place, note_change, fixture);
    assert_true(ledger_channel_is_up(fixture->channel, NULL));
    fake_policyd_accept(&fixture->fake);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    ledger_channel_free(fixture->channel);
    fake_policyd_close(&fixture->fake);
    event_base_free(fixture->base);
    free(fixture);
    return 0;
}

static void note_outcome(void *context, const struct ledger_reply *reply, const struct error *error)
{
    struct outcome *outcome = context;
    outcome->count++;
    outcome->is_lost = reply == NULL;
    assert_int_equal(reply == NULL, error != NULL);
    if (reply != NULL)
        outcome->reply = *reply;
    else
        outcome->error = *error;
}

static struct ledger_call *ask(struct fixture *fixture, enum ledger_command_kind kind,
                               uint64_t number, ledger_channel_done *done, void *context)
{
    const struct ledger_command command = {
        .kind = kind, .account = RELAY, .recipients = (uint32_t)number, .reservation = number};
    struct error error = {""};
    struct ledger_call *call =
        ledger_channel_ask(fixture->channel, &command, done, context, &error);
    if (call == NULL)
        fail_msg("%s", error.text);
    return call;
}

static struct ledger_call *reserve(struct fixture *fixture, uint32_t recipients,
                                   struct outcome *outcome)
{
    return ask(fixture, LEDGER_COMMAND_RESERVE, recipients, note_outcome, outcome);
}

static void expect_down(struct fixture *fixture, const char *want)
{
    static const struct ledger_command list = {.kind = LEDGER_COMMAND_LIST};
    struct outcome outcome = {0};
    struct error error = {""};
    assert_null(ledger_channel_ask(fixture->channel, &list, note_outcome, &outcome, &error));
    if (strstr(error.text, "post365-policyd is down: ") == NULL || strstr(error.text, want) == NULL)
        fail_msg("got \"%s\", want \"%s\"", error.text, want);
    assert_int_equal(outcome.count, 0);
}

/* Reads the next request, which begins so. Returns its tag. */
static uint64_t expect_request(struct fixture *fixture, const char *want)
{
    const char *got = fake_policyd_request(&fixture->fake);
    const char *tag = strstr(got, " tag=");
    if (strncmp(got, want, strlen(want)) != 0 || tag == NULL)
        fail_msg("got \"%s\", want \"%s\"", got, want);
    return strtoull(tag + strlen(" tag="), NULL, 10);
}

static void await(struct fixture *fixture, const struct outcome *outcome)
{
    fake_policyd_run_until(&fixture->fake, &outcome->count, 1);
    assert_int_equal(outcome->count, 1);
}

/* What is ready now happens. */
static void let_happen(struct fixture *fixture)
{
    for (int i = 0; i < 4; i++)
        event_base_loop(fixture->base, EVLOOP_NONBLOCK);
}

/* --- replies --- */

static void replies_find_their_requests_in_any_order(void **state)
{
    struct fixture *fixture = *state;
    struct outcome first = {0}, second = {0};
    reserve(fixture, 1, &first);
    reserve(fixture, 2, &second);
    uint64_t one = expect_request(fixture, "request=reserve");
    uint64_t two = expect_request(fixture, "request=reserve");
    assert_true(one != two);
    assert_int_equal(ledger_channel_calls(fixture->channel), 2);
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=granted reservation=22", two);
    await(fixture, &second);
    assert_int_equal(first.count, 0);
    assert_int_equal(second.reply.reservation, 22);
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=later earliest=5 measure=order",
                        one);
    await(fixture, &first);
    assert_int_equal(first.reply.result, LEDGER_REPLY_LATER);
    assert_int_equal(ledger_channel_calls(fixture->channel), 0);
}

static void replies_may_come_in_pieces(void **state)
{
    struct fixture *fixture = *state;
    char text[256];
    for (unsigned cut = 0; cut < 2; cut++) {
        struct outcome outcomes[2] = {0};
        uint64_t tags[2];
        for (unsigned i = 0; i < 2; i++) {
            reserve(fixture, 1, &outcomes[i]);
            tags[i] = expect_request(fixture, "request=reserve");
        }
        int length = snprintf(text, sizeof(text),
                              "tag=%" PRIu64 "\nresult=granted\nreservation=7\n\n"
                              "tag=%" PRIu64 "\nresult=granted\nreservation=8\n\n",
                              tags[0], tags[1]);
        size_t step = cut == 0 ? 1 : (size_t)length;
        for (size_t sent = 0; sent < (size_t)length; sent += step) {
            fake_policyd_send(&fixture->fake, text + sent, step);
            let_happen(fixture);
        }
        await(fixture, &outcomes[0]);
        await(fixture, &outcomes[1]);
        assert_int_equal(outcomes[0].reply.reservation, 7);
        assert_int_equal(outcomes[1].reply.reservation, 8);
    }
}

struct crowd {
    size_t count;
    struct member {
        struct crowd *crowd;
        uint32_t number;
        uint64_t reservation;
        bool is_lost;
    } members[MANY];
};

static void note_member(void *context, const struct ledger_reply *reply, const struct error *error)
{
    struct member *member = context;
    (void)error;
    assert_int_equal(member->reservation, 0);
    assert_false(member->is_lost);
    member->reservation = reply != NULL ? reply->reservation : 0;
    member->is_lost = reply == NULL;
    member->crowd->count++;
}

static struct crowd *ask_by_crowd(struct fixture *fixture)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    for (uint32_t i = 0; i < MANY; i++) {
        crowd->members[i] = (struct member){.crowd = crowd, .number = i + 1};
        ask(fixture, LEDGER_COMMAND_RESERVE, i + 1, note_member, &crowd->members[i]);
    }
    assert_int_equal(ledger_channel_calls(fixture->channel), MANY);
    return crowd;
}

static void ten_thousand_requests_are_answered_last_first(void **state)
{
    struct fixture *fixture = *state;
    struct crowd *crowd = ask_by_crowd(fixture);
    uint64_t *tags = calloc(MANY, sizeof(*tags));
    for (uint32_t i = 0; i < MANY; i++) {
        char want[64];
        tags[i] = expect_request(fixture, "request=reserve");
        snprintf(want, sizeof(want), " recipients=%u", i + 1);
        assert_non_null(strstr(fixture->fake.request, want));
    }
    for (uint32_t i = MANY; i > 0; i--)
        fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=granted reservation=%u",
                            tags[i - 1], i);
    fake_policyd_run_until(&fixture->fake, &crowd->count, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(crowd->members[i].reservation, i + 1);
    assert_int_equal(ledger_channel_calls(fixture->channel), 0);
    free(tags);
    free(crowd);
}

/* Asks again in the callback, as who has reserved and now settles. */
struct chain {
    struct fixture *fixture;
    size_t links, most;
};

static void ask_next(void *context, const struct ledger_reply *reply, const struct error *error)
{
    struct chain *chain = context;
    (void)error;
    assert_non_null(reply);
    if (++chain->links < chain->most)
        ask(chain->fixture, LEDGER_COMMAND_SETTLE, chain->links, ask_next, chain);
}

static void a_callback_may_ask(void **state)
{
    struct fixture *fixture = *state;
    struct chain chain = {fixture, 0, 300};
    ask(fixture, LEDGER_COMMAND_SETTLE, 0, ask_next, &chain);
    for (size_t i = 0; i < chain.most; i++) {
        uint64_t tag = expect_request(fixture, "request=settle");
        fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=done", tag);
    }
    fake_policyd_run_until(&fixture->fake, &chain.links, chain.most);
}

/* --- limits --- */

static void requests_under_way_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    static const struct ledger_command release = {.kind = LEDGER_COMMAND_RELEASE};
    struct outcome outcome = {0};
    struct error error = {""};
    for (uint32_t i = 0; i < LEDGER_CHANNEL_CALLS_MAX; i++)
        ask(fixture, LEDGER_COMMAND_RELEASE, i, note_outcome, &outcome);
    assert_null(ledger_channel_ask(fixture->channel, &release, note_outcome, &outcome, &error));
    assert_string_equal(error.text,
                        "16384 requests to post365-policyd are under way; try again later");
    uint64_t tag = expect_request(fixture, "request=release");
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=done", tag);
    await(fixture, &outcome);
    ask(fixture, LEDGER_COMMAND_RELEASE, 1, note_outcome, &outcome);
    fake_policyd_hang_up(&fixture->fake);
    fake_policyd_run_until(&fixture->fake, &outcome.count, LEDGER_CHANNEL_CALLS_MAX + 1);
}

static void what_policyd_does_not_read_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    static char cause[CONTROL_CAUSE_MAX + 1];
    memset(cause, 'x', CONTROL_CAUSE_MAX);
    const struct ledger_command pause = {
        .kind = LEDGER_COMMAND_PAUSE, .account = RELAY, .cause = cause, .until = LEDGER_FOREVER};
    struct outcome outcome = {0};
    struct error error = {""};
    size_t asked = 0;
    while (ledger_channel_ask(fixture->channel, &pause, note_outcome, &outcome, &error) != NULL)
        if (++asked % 64 == 0)
            let_happen(fixture);
    assert_string_equal(error.text,
                        "post365-policyd does not read what it is asked; try again later");
    assert_true(asked * CONTROL_CAUSE_MAX < LEDGER_CHANNEL_UNSENT_MAX + (1U << 20));
    for (size_t i = 0; i < asked; i++) {
        uint64_t tag = expect_request(fixture, "request=pause");
        fake_policyd_answer(&fixture->fake,
                            "tag=%" PRIu64 " result=done account=" RELAY " failures=0", tag);
    }
    fake_policyd_run_until(&fixture->fake, &outcome.count, asked);
    assert_false(outcome.is_lost);
}

static void what_makes_no_sense_is_not_asked(void **state)
{
    struct fixture *fixture = *state;
    static const struct ledger_command nobody = {.kind = LEDGER_COMMAND_STATUS};
    struct outcome outcome = {0};
    struct error error = {""};
    assert_null(ledger_channel_ask(fixture->channel, &nobody, note_outcome, &outcome, &error));
    assert_non_null(strstr(error.text, "is no account"));
    assert_int_equal(ledger_channel_calls(fixture->channel), 0);
    reserve(fixture, 1, &outcome);
    expect_request(fixture, "request=reserve");
}

/* --- losses --- */

static void a_lost_connection_ends_every_request_once(void **state)
{
    struct fixture *fixture = *state;
    struct crowd *crowd = ask_by_crowd(fixture);
    expect_request(fixture, "request=reserve");
    fake_policyd_hang_up(&fixture->fake);
    fake_policyd_run_until(&fixture->fake, &crowd->count, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_true(crowd->members[i].is_lost);
    assert_int_equal(fixture->downs, 1);
    assert_non_null(strstr(fixture->reason.text, "ended the connection"));
    expect_down(fixture, "ended the connection");
    free(crowd);
}

static void a_reply_that_was_cut_off_is_lost(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    char text[128];
    reserve(fixture, 1, &outcome);
    int length = snprintf(text, sizeof(text), "tag=%" PRIu64 "\nresult=granted\nreservation=1\n",
                          expect_request(fixture, "request=reserve"));
    fake_policyd_send(&fixture->fake, text, (size_t)length);
    fake_policyd_hang_up(&fixture->fake);
    await(fixture, &outcome);
    assert_true(outcome.is_lost);
}

/* Whatever of it: the connection is closed, the request lost, and the next connection works. */
static void expect_loss(struct fixture *fixture, const char *bytes, size_t length, const char *want)
{
    struct outcome outcome = {0}, next = {0};
    size_t downs = fixture->downs, ups = fixture->ups;
    reserve(fixture, 1, &outcome);
    expect_request(fixture, "request=reserve");
    fake_policyd_send(&fixture->fake, bytes, length);
    await(fixture, &outcome);
    assert_true(outcome.is_lost);
    assert_int_equal(fixture->downs, downs + 1);
    if (strstr(outcome.error.text, want) == NULL)
        fail_msg("got \"%s\", want \"%s\"", outcome.error.text, want);
    expect_down(fixture, want);
    fake_policyd_run_until(&fixture->fake, &fixture->ups, ups + 1);
    fake_policyd_accept(&fixture->fake);
    reserve(fixture, 1, &next);
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=granted reservation=3",
                        expect_request(fixture, "request=reserve"));
    await(fixture, &next);
    assert_int_equal(next.reply.reservation, 3);
}

static void garbage_closes_the_connection(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *bytes, *want;
    } cases[] = {
        {"hello\n", "not name=value"},
        {"\n", "result is missing"},
        {"result=done\n\n", "tag is missing"},
        {"tag=3\nresult=done\n\n", "its tag is of no request under way"},
        {"tag=18446744073709551615\nresult=done\n\n", "its tag is of no request under way"},
        {"result=error\nreason=malformed request\n\n", "could not read a request: malformed"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_loss(fixture, cases[i].bytes, strlen(cases[i].bytes), cases[i].want);
}

static void an_endless_reply_closes_the_connection(void **state)
{
    struct fixture *fixture = *state;
    static char line[ATTR_LINE_MAX + 1], much[ATTR_REQUEST_MAX];
    memset(line, 'x', sizeof(line));
    for (size_t i = 0; i < sizeof(much); i++)
        much[i] = i % 1024 == 1023 ? '\n' : '=' + (i % 1024 == 0);
    expect_loss(fixture, line, sizeof(line), "a line is too long");
    expect_loss(fixture, much, sizeof(much), "it is too long");
}

static void a_reply_that_makes_no_sense_closes_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0}, other = {0};
    reserve(fixture, 1, &outcome);
    reserve(fixture, 2, &other);
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=granted",
                        expect_request(fixture, "request=reserve"));
    await(fixture, &outcome);
    assert_true(outcome.is_lost);
    assert_non_null(strstr(outcome.error.text, "reservation is missing"));
    await(fixture, &other);
    assert_true(other.is_lost);
}

static int64_t milliseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void count_timer(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    ++*(size_t *)argument;
}

static void connecting_again_takes_longer_each_time_until_it_answers(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    for (int64_t delay = 100; delay <= 400; delay *= 2) {
        int64_t start = milliseconds();
        fake_policyd_hang_up(&fixture->fake);
        fake_policyd_accept(&fixture->fake);
        assert_true(milliseconds() - start >= delay * 9 / 10); /* the loop's clock is coarse */
    }
    fake_policyd_run_until(&fixture->fake, &fixture->ups, 3);
    reserve(fixture, 1, &outcome);
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=granted reservation=3",
                        expect_request(fixture, "request=reserve"));
    await(fixture, &outcome);
    /* Sooner than half of what it would have been: timers run in their order, however late. */
    const struct timeval half = {.tv_usec = 400000};
    size_t timers = 0;
    fake_policyd_hang_up(&fixture->fake);
    fake_policyd_run_until(&fixture->fake, &fixture->downs, 4);
    event_base_once(fixture->base, -1, EV_TIMEOUT, count_timer, &timers, &half);
    fake_policyd_run_until(&fixture->fake, &timers, 1);
    assert_int_equal(fixture->ups, 4);
}

static void a_policyd_that_starts_later_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    fake_policyd_deafen(&fixture->fake);
    fake_policyd_hang_up(&fixture->fake);
    fake_policyd_run_until(&fixture->fake, &fixture->downs, 1);
    ledger_channel_free(fixture->channel);
    fixture->channel =
        ledger_channel_new(fixture->base, &fixture->fake.place, note_change, fixture);
    expect_down(fixture,
                "post365-policyd is not running; run: systemctl enable --now post365-policyd");
    fake_policyd_listen(&fixture->fake);
    fake_policyd_accept(&fixture->fake);
    fake_policyd_run_until(&fixture->fake, &fixture->ups, 1);
    assert_int_equal(fixture->downs, 1);
    reserve(fixture, 1, &outcome);
    expect_request(fixture, "request=reserve");
}

/* --- cancelling --- */

static void a_cancelled_request_tells_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct outcome cancelled = {0}, other = {0};
    struct ledger_call *call = reserve(fixture, 1, &cancelled);
    reserve(fixture, 2, &other);
    uint64_t one = expect_request(fixture, "request=reserve");
    uint64_t two = expect_request(fixture, "request=reserve");
    ledger_channel_cancel(call);
    assert_int_equal(ledger_channel_calls(fixture->channel), 2);
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=later earliest=5 measure=order",
                        one);
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=granted reservation=9", two);
    await(fixture, &other);
    assert_int_equal(cancelled.count, 0);
    assert_int_equal(ledger_channel_calls(fixture->channel), 0);
    call = reserve(fixture, 1, &cancelled);
    ledger_channel_cancel(call);
    fake_policyd_hang_up(&fixture->fake);
    fake_policyd_run_until(&fixture->fake, &fixture->downs, 1);
    assert_int_equal(cancelled.count, 0);
    assert_int_equal(ledger_channel_calls(fixture->channel), 0);
}

static void what_is_granted_to_nobody_is_released(void **state)
{
    struct fixture *fixture = *state;
    struct outcome cancelled = {0}, other = {0};
    ledger_channel_cancel(reserve(fixture, 1, &cancelled));
    uint64_t tag = expect_request(fixture, "request=reserve");
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=granted reservation=77", tag);
    uint64_t release = expect_request(fixture, "request=release");
    assert_non_null(strstr(fixture->fake.request, " reservation=77"));
    assert_true(release != tag);
    assert_int_equal(ledger_channel_calls(fixture->channel), 1);
    reserve(fixture, 2, &other);
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=done", release);
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=granted reservation=78",
                        expect_request(fixture, "request=reserve"));
    await(fixture, &other);
    assert_int_equal(cancelled.count, 0);
    assert_int_equal(ledger_channel_calls(fixture->channel), 0);
}

struct canceller {
    size_t count;
    struct ledger_call *victim;
};

static void cancel_other(void *context, const struct ledger_reply *reply, const struct error *error)
{
    struct canceller *canceller = context;
    (void)reply;
    (void)error;
    canceller->count++;
    ledger_channel_cancel(canceller->victim);
}

static void a_callback_may_cancel_others(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    struct canceller canceller = {0, NULL};
    ask(fixture, LEDGER_COMMAND_RELEASE, 1, cancel_other, &canceller);
    canceller.victim = reserve(fixture, 1, &outcome);
    uint64_t tag = expect_request(fixture, "request=release");
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=done", tag);
    fake_policyd_run_until(&fixture->fake, &canceller.count, 1);
    fake_policyd_hang_up(&fixture->fake);
    fake_policyd_run_until(&fixture->fake, &fixture->downs, 1);
    assert_int_equal(outcome.count, 0);
}

/* --- releasing the channel --- */

struct liberator {
    struct fixture *fixture;
    size_t count;
};

static void free_channel(void *context, const struct ledger_reply *reply, const struct error *error)
{
    struct liberator *liberator = context;
    (void)error;
    liberator->count++;
    ledger_channel_free(liberator->fixture->channel);
    liberator->fixture->channel = NULL;
    if (reply != NULL) /* still there */
        assert_int_equal(reply->reservation, 5);
}

static void a_callback_may_release_the_channel(void **state)
{
    struct fixture *fixture = *state;
    struct liberator liberator = {fixture, 0};
    struct outcome other = {0};
    char text[128];
    ask(fixture, LEDGER_COMMAND_RESERVE, 1, free_channel, &liberator);
    reserve(fixture, 1, &other);
    uint64_t one = expect_request(fixture, "request=reserve");
    uint64_t two = expect_request(fixture, "request=reserve");
    int length = snprintf(text, sizeof(text),
                          "tag=%" PRIu64 "\nresult=granted\nreservation=5\n\n"
                          "tag=%" PRIu64 "\nresult=granted\nreservation=6\n\n",
                          one, two);
    fake_policyd_send(&fixture->fake, text, (size_t)length);
    fake_policyd_run_until(&fixture->fake, &liberator.count, 1);
    let_happen(fixture);
    assert_null(fixture->channel);
    assert_int_equal(other.count, 0);
}

static void the_channel_may_be_released_while_it_is_lost(void **state)
{
    struct fixture *fixture = *state;
    struct liberator liberators[2] = {{fixture, 0}, {fixture, 0}};
    ask(fixture, LEDGER_COMMAND_RESERVE, 1, free_channel, &liberators[0]);
    ask(fixture, LEDGER_COMMAND_RESERVE, 1, free_channel, &liberators[1]);
    fake_policyd_hang_up(&fixture->fake);
    fake_policyd_run_until(&fixture->fake, &fixture->downs, 1);
    assert_null(fixture->channel);
    assert_int_equal(liberators[0].count + liberators[1].count, 1);
}

static void the_channel_may_be_released_when_it_goes_down(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    fixture->free_when_down = true;
    reserve(fixture, 1, &outcome);
    fake_policyd_hang_up(&fixture->fake);
    fake_policyd_run_until(&fixture->fake, &fixture->downs, 1);
    assert_null(fixture->channel);
    assert_int_equal(outcome.count, 0);
}

static void a_released_channel_calls_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    reserve(fixture, 1, &outcome);
    expect_request(fixture, "request=reserve");
    reserve(fixture, 1, &outcome); /* not sent yet */
    ledger_channel_free(fixture->channel);
    fixture->channel = NULL;
    assert_int_equal(read(fixture->fake.peer, (char[1]){0}, 1), 0);
    assert_int_equal(outcome.count, 0);
    assert_int_equal(fixture->downs, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(replies_find_their_requests_in_any_order),
        TEST(replies_may_come_in_pieces),
        TEST(ten_thousand_requests_are_answered_last_first),
        TEST(a_callback_may_ask),
        TEST(requests_under_way_are_bounded),
        TEST(what_policyd_does_not_read_is_bounded),
        TEST(what_makes_no_sense_is_not_asked),
        TEST(a_lost_connection_ends_every_request_once),
        TEST(a_reply_that_was_cut_off_is_lost),
        TEST(garbage_closes_the_connection),
        TEST(an_endless_reply_closes_the_connection),
        TEST(a_reply_that_makes_no_sense_closes_the_connection),
        TEST(connecting_again_takes_longer_each_time_until_it_answers),
        TEST(a_policyd_that_starts_later_is_found),
        TEST(a_cancelled_request_tells_nobody),
        TEST(what_is_granted_to_nobody_is_released),
        TEST(a_callback_may_cancel_others),
        TEST(a_callback_may_release_the_channel),
        TEST(the_channel_may_be_released_while_it_is_lost),
        TEST(the_channel_may_be_released_when_it_goes_down),
        TEST(a_released_channel_calls_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
