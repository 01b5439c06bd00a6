/* test_token_channel.c - asking post365-tokend from an event loop; both ends live in one loop */
#include "common/oauth2/token_channel.h"

#include "tests/unit/fake_policyd.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RELAY "relay@contoso.com"
#define PLACE "/etc/postfix/post365/contoso.cf"
#define SUBJECT                                                                                    \
    "registration=" PLACE " state=%s grant=app credential=secret tenant=t client_id=c "            \
    "cloud=global requests=1 refused=0 accounts=0"

/* What became of a request. */
struct outcome {
    size_t count;
    bool is_lost;
    struct token_reply reply;
    struct secret *token;
    struct error error;
};

struct fixture {
    struct event_base *base;
    struct fake_policyd fake;
    struct token_channel *channel;
    size_t ups, downs, told, gone;
    struct error reason; /* why it last went down */
    enum token_state state;
    bool stop_when_told;
};

static void note_change(void *context, bool is_up, const struct error *error)
{
    struct fixture *fixture = context;
    assert_int_equal(is_up, error == NULL);
    fixture->ups += is_up;
    fixture->downs += !is_up;
    if (!is_up)
        fixture->reason = *error;
}

static void note_subject(void *context, const struct token_subject *subject)
{
    struct fixture *fixture = context;
    assert_string_equal(subject->registration, PLACE);
    fixture->state = subject->state;
    fixture->told++;
    if (fixture->stop_when_told)
        token_channel_use(fixture->channel, false);
}

static void note_gone(void *context, const char *registration, const char *account)
{
    struct fixture *fixture = context;
    assert_string_equal(registration, PLACE);
    assert_string_equal(account, RELAY);
    fixture->gone++;
}

static const struct token_watcher watcher = {
    .changed = note_change, .told = note_subject, .gone = note_gone};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->base = event_base_new();
    fake_policyd_open(&fixture->fake, fixture->base);
    fixture->channel = token_channel_new(fixture->base, &fixture->fake.place, &watcher, fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    token_channel_free(fixture->channel);
    fake_policyd_close(&fixture->fake);
    event_base_free(fixture->base);
    free(fixture);
    return 0;
}

static void note_outcome(void *context, struct token_reply *reply, const struct error *error)
{
    struct outcome *outcome = context;
    outcome->count++;
    outcome->is_lost = reply == NULL;
    assert_int_equal(reply == NULL, error != NULL);
    if (reply == NULL) {
        outcome->error = *error;
        return;
    }
    outcome->reply = *reply;
    outcome->token = reply->token;
    reply->token = NULL;
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

/* Returns the tag of the watch. */
static uint64_t come_up(struct fixture *fixture)
{
    token_channel_use(fixture->channel, true);
    assert_true(token_channel_is_up(fixture->channel, NULL));
    fake_policyd_accept(&fixture->fake);
    uint64_t tag = expect_request(fixture, "request=watch");
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=done", tag);
    return tag;
}

static struct token_call *ask(struct fixture *fixture, struct outcome *outcome)
{
    const struct token_command command = {.kind = TOKEN_COMMAND_TOKEN, .account = RELAY};
    struct error error = {""};
    struct token_call *call =
        token_channel_ask(fixture->channel, &command, note_outcome, outcome, &error);
    if (call == NULL)
        fail_msg("%s", error.text);
    return call;
}

static void expect_refusal(struct fixture *fixture, const char *want)
{
    const struct token_command command = {.kind = TOKEN_COMMAND_TOKEN, .account = RELAY};
    struct error error = {""};
    assert_null(token_channel_ask(fixture->channel, &command, NULL, NULL, &error));
    if (strstr(error.text, want) == NULL)
        fail_msg("got \"%s\", want \"%s\"", error.text, want);
}

static void give_token(struct fixture *fixture, uint64_t tag)
{
    fake_policyd_answer(&fixture->fake,
                        "tag=%" PRIu64 " result=done token=abc id=0a1b2c3d left=60 "
                        "registration=" PLACE,
                        tag);
}

/* What is ready now happens. */
static void let_happen(struct fixture *fixture)
{
    for (int i = 0; i < 4; i++)
        event_base_loop(fixture->base, EVLOOP_NONBLOCK);
}

/* --- asking --- */

static void without_use_nobody_connects(void **state)
{
    struct fixture *fixture = *state;
    expect_refusal(fixture, "post365-tokend is not asked: post365_oauth2_maps is empty");
    assert_false(token_channel_is_up(fixture->channel, NULL));
    assert_true(event_base_get_num_events(fixture->base, EVENT_BASE_COUNT_ADDED) == 0);
    token_channel_use(fixture->channel, false);
}

static void a_token_is_taken(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    come_up(fixture);
    ask(fixture, &outcome);
    give_token(fixture, expect_request(fixture, "request=token"));
    fake_policyd_run_until(&fixture->fake, &outcome.count, 1);
    assert_string_equal(secret_reveal(outcome.token), "abc");
    assert_string_equal(outcome.reply.id, "0a1b2c3d");
    secret_free(outcome.token);
}

static void a_cancelled_request_is_not_answered(void **state)
{
    struct fixture *fixture = *state;
    struct outcome cancelled = {0}, outcome = {0};
    come_up(fixture);
    token_channel_cancel(ask(fixture, &cancelled));
    ask(fixture, &outcome);
    give_token(fixture, expect_request(fixture, "request=token"));
    give_token(fixture, expect_request(fixture, "request=token"));
    fake_policyd_run_until(&fixture->fake, &outcome.count, 1);
    assert_int_equal(cancelled.count, 0);
    secret_free(outcome.token);
}

static void a_loss_is_told_and_mended(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    come_up(fixture);
    ask(fixture, &outcome);
    expect_request(fixture, "request=token");
    fake_policyd_hang_up(&fixture->fake);
    fake_policyd_run_until(&fixture->fake, &outcome.count, 1);
    assert_true(outcome.is_lost);
    assert_non_null(strstr(outcome.error.text, "post365-tokend has ended the connection"));
    assert_int_equal(fixture->downs, 1);
    expect_refusal(fixture, "post365-tokend is down: post365-tokend has ended the connection");
    fake_policyd_run_until(&fixture->fake, &fixture->ups, 1);
    fake_policyd_accept(&fixture->fake);
    expect_request(fixture, "request=watch");
}

static void what_is_no_reply_ends_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    come_up(fixture);
    ask(fixture, &outcome);
    uint64_t tag = expect_request(fixture, "request=token");
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=done id=0a1b2c3d", tag);
    fake_policyd_run_until(&fixture->fake, &outcome.count, 1);
    assert_non_null(strstr(outcome.error.text,
                           "what answers on post365_oauth2_socket does not speak as this version "
                           "of post365 (after an upgrade, restart post365-tokend): malformed "
                           "reply: left is missing"));
}

/* --- watching --- */

static void what_changes_is_told(void **state)
{
    struct fixture *fixture = *state;
    uint64_t tag = come_up(fixture);
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=subject " SUBJECT, tag, "asking");
    fake_policyd_run_until(&fixture->fake, &fixture->told, 1);
    assert_int_equal(fixture->state, TOKEN_STATE_ASKING);
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=subject " SUBJECT, tag, "stopped");
    fake_policyd_run_until(&fixture->fake, &fixture->told, 2);
    assert_int_equal(fixture->state, TOKEN_STATE_STOPPED);
    fake_policyd_answer(&fixture->fake,
                        "tag=%" PRIu64 " result=gone registration=" PLACE " account=" RELAY, tag);
    fake_policyd_run_until(&fixture->fake, &fixture->gone, 1);
}

static void a_refused_watch_leaves_the_rest(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    token_channel_use(fixture->channel, true);
    fake_policyd_accept(&fixture->fake);
    uint64_t tag = expect_request(fixture, "request=watch");
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=refused reason=no", tag);
    ask(fixture, &outcome);
    give_token(fixture, expect_request(fixture, "request=token"));
    fake_policyd_run_until(&fixture->fake, &outcome.count, 1);
    assert_int_equal(fixture->downs, 0);
    secret_free(outcome.token);
}

static void who_uses_it_no_more_is_told_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    come_up(fixture);
    ask(fixture, &outcome);
    token_channel_use(fixture->channel, false);
    assert_true(outcome.is_lost);
    assert_string_equal(outcome.error.text, "post365_oauth2_maps is empty now");
    expect_refusal(fixture, "post365_oauth2_maps is empty");
    let_happen(fixture);
    assert_int_equal(event_base_get_num_events(fixture->base, EVENT_BASE_COUNT_ADDED), 0);
}

static void it_may_end_while_it_tells(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    uint64_t tag = come_up(fixture);
    fixture->stop_when_told = true;
    ask(fixture, &outcome);
    fake_policyd_answer(&fixture->fake, "tag=%" PRIu64 " result=subject " SUBJECT, tag, "fresh");
    fake_policyd_run_until(&fixture->fake, &outcome.count, 1);
    assert_true(outcome.is_lost);
    fixture->stop_when_told = false;
    come_up(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_use_nobody_connects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_token_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cancelled_request_is_not_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_loss_is_told_and_mended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_reply_ends_the_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_changes_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refused_watch_leaves_the_rest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_uses_it_no_more_is_told_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_may_end_while_it_tells, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
