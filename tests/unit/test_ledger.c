/* test_ledger.c - windows, reservations, batches
 *
 * Random schedules against an exact log are in test_ledger_model.c.
 */
#include "common/memory.h"
#include "policyd/ledger/ledger.h"
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
#define DAY    (24 * 60 * MINUTE)
#define START  (INT64_C(1700000000) * SECOND)

struct fixture {
    struct hand_clock clock;
    struct store *store;
    struct ledger *ledger;
    struct ledger_rules rules;
};

static const struct quota small = {
    .recipients = {10, DAY}, .messages = {3, MINUTE}, .recipients_per_message = 500};

static int set_up(void **state)
{
    struct fixture *fixture = memory_zero(1, sizeof(*fixture));
    fixture->clock = (struct hand_clock){{.now = read_hand_clock}, START};
    fixture->store = store_memory_new();
    fixture->rules = (struct ledger_rules){.guard = SECOND, .retention = DAY};
    struct error error;
    fixture->ledger = ledger_open(&fixture->clock.clock, fixture->store, &fixture->rules, &error);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    ledger_close(fixture->ledger);
    store_memory_free(fixture->store);
    free(fixture);
    return 0;
}

static void restart(struct fixture *fixture)
{
    struct error error = {""};
    ledger_close(fixture->ledger);
    fixture->ledger = ledger_open(&fixture->clock.clock, fixture->store, &fixture->rules, &error);
    if (fixture->ledger == NULL)
        fail_msg("the ledger does not open: %s", error.text);
}

static bool tidy_ledger(struct ledger *ledger)
{
    bool more;
    struct error error;
    return ledger_tidy(ledger, &more, &error);
}

static void commit(struct fixture *fixture)
{
    struct error error = {""};
    if (!ledger_commit(fixture->ledger, &error))
        fail_msg("commit: %s", error.text);
}

static struct ledger_answer ask(struct fixture *fixture, const struct quota *quota,
                                uint32_t recipients, uint32_t messages)
{
    const struct ledger_request request = {"relay@contoso.com", quota, recipients, messages};
    struct ledger_answer answer;
    ledger_ask(fixture->ledger, &request, &answer);
    return answer;
}

static struct ledger_answer reserve(struct fixture *fixture, const struct quota *quota,
                                    uint32_t recipients, uint32_t messages)
{
    const struct ledger_request request = {"relay@contoso.com", quota, recipients, messages};
    struct ledger_answer answer;
    ledger_reserve(fixture->ledger, &request, &answer);
    return answer;
}

/* Sends one message in a batch of its own. */
static void send_message(struct fixture *fixture, const struct quota *quota, uint32_t recipients)
{
    struct ledger_answer answer = reserve(fixture, quota, recipients, 1);
    assert_int_equal(answer.verdict, LEDGER_GRANTED);
    assert_true(ledger_settle(fixture->ledger, answer.id, recipients));
    commit(fixture);
}

static void expect_later(struct ledger_answer answer, enum ledger_measure measure, uint32_t used,
                         int64_t earliest)
{
    assert_int_equal(answer.verdict, LEDGER_LATER);
    assert_int_equal(answer.measure, measure);
    assert_int_equal(answer.used, used);
    assert_int_equal(answer.earliest - START, earliest - START);
}

static void the_fourth_message_of_a_minute_waits_for_the_first_to_leave(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3; i++) {
        send_message(fixture, &small, 1);
        fixture->clock.now += 10 * SECOND;
    }
    expect_later(reserve(fixture, &small, 1, 1), LEDGER_MESSAGES, 3, START + 61 * SECOND);
    commit(fixture);
    fixture->clock.now = START + 61 * SECOND - 1;
    assert_int_equal(reserve(fixture, &small, 1, 1).verdict, LEDGER_LATER);
    commit(fixture);
    fixture->clock.now = START + 61 * SECOND;
    send_message(fixture, &small, 1);
    expect_later(ask(fixture, &small, 1, 1), LEDGER_MESSAGES, 3, START + 71 * SECOND);
}

static void the_window_that_refuses_longer_is_named(void **state)
{
    struct fixture *fixture = *state;
    send_message(fixture, &small, 8);
    send_message(fixture, &small, 1);
    send_message(fixture, &small, 1);
    struct ledger_answer answer = ask(fixture, &small, 1, 1);
    expect_later(answer, LEDGER_RECIPIENTS, 10, START + DAY + SECOND);
    assert_int_equal(answer.rate.limit, 10);
    assert_true(answer.rate.period == DAY);
}

static void more_than_the_quota_itself_is_never_granted(void **state)
{
    struct fixture *fixture = *state;
    struct ledger_answer answer = reserve(fixture, &small, 11, 1);
    assert_int_equal(answer.verdict, LEDGER_NEVER);
    assert_int_equal(answer.measure, LEDGER_RECIPIENTS);
    answer = reserve(fixture, &small, 1, 4);
    assert_int_equal(answer.verdict, LEDGER_NEVER);
    assert_int_equal(answer.measure, LEDGER_MESSAGES);
    assert_int_equal(reserve(fixture, &small, 10, 3).verdict, LEDGER_GRANTED);
}

static void asking_and_being_refused_cost_nothing(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(ask(fixture, &small, 10, 3).verdict, LEDGER_GRANTED);
    commit(fixture);
    assert_int_equal(ledger_account_count(fixture->ledger), 0);
    assert_int_equal(store_memory_writes(fixture->store), 0);
    send_message(fixture, &small, 10);
    for (int i = 0; i < 100; i++)
        expect_later(reserve(fixture, &small, 1, 1), LEDGER_RECIPIENTS, 10, START + DAY + SECOND);
    commit(fixture);
    assert_int_equal(store_memory_writes(fixture->store), 1);
}

static void a_reservation_counts_until_it_is_released(void **state)
{
    struct fixture *fixture = *state;
    uint64_t id = reserve(fixture, &small, 10, 1).id;
    commit(fixture);
    fixture->clock.now += 2 * DAY;
    expect_later(reserve(fixture, &small, 1, 1), LEDGER_RECIPIENTS, 10, START + 3 * DAY + SECOND);
    assert_true(ledger_release(fixture->ledger, id));
    assert_false(ledger_release(fixture->ledger, id));
    assert_false(ledger_settle(fixture->ledger, id, 1));
    assert_int_equal(reserve(fixture, &small, 10, 1).verdict, LEDGER_GRANTED);
    commit(fixture);
    assert_int_equal(ledger_reservation_count(fixture->ledger), 1);
    assert_int_equal(store_memory_reservations(fixture->store), 1);
}

static void a_settled_reservation_counts_what_was_accepted_from_then_on(void **state)
{
    struct fixture *fixture = *state;
    uint64_t id = reserve(fixture, &small, 10, 1).id;
    commit(fixture);
    fixture->clock.now += 5 * SECOND;
    assert_true(ledger_settle(fixture->ledger, id, 4));
    commit(fixture);
    assert_int_equal(ask(fixture, &small, 6, 1).verdict, LEDGER_GRANTED);
    commit(fixture);
    expect_later(ask(fixture, &small, 7, 1), LEDGER_RECIPIENTS, 4,
                 START + 5 * SECOND + DAY + SECOND);
}

static void settling_with_nobody_accepted_is_a_release(void **state)
{
    struct fixture *fixture = *state;
    uint64_t id = reserve(fixture, &small, 10, 3).id;
    assert_true(ledger_settle(fixture->ledger, id, 0));
    commit(fixture);
    assert_int_equal(ask(fixture, &small, 10, 3).verdict, LEDGER_GRANTED);
    assert_int_equal(store_memory_turns(fixture->store), 0);
}

static void nothing_of_a_batch_that_was_not_written_has_happened(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    uint64_t earlier = reserve(fixture, &small, 5, 1).id;
    commit(fixture);
    store_memory_fail_writes(fixture->store, 1);
    assert_true(ledger_settle(fixture->ledger, earlier, 5));
    struct ledger_answer later = reserve(fixture, &small, 2, 1);
    assert_true(ledger_settle(fixture->ledger, reserve(fixture, &small, 3, 1).id, 3));
    assert_int_equal(reserve(fixture, &small, 1, 1).verdict, LEDGER_LATER);
    assert_false(ledger_commit(fixture->ledger, &error));
    assert_false(ledger_release(fixture->ledger, later.id));
    assert_int_equal(ledger_reservation_count(fixture->ledger), 1);
    assert_int_equal(ask(fixture, &small, 5, 2).verdict, LEDGER_GRANTED);
    expect_later(ask(fixture, &small, 6, 2), LEDGER_RECIPIENTS, 5, START + DAY + SECOND);
    assert_true(ledger_settle(fixture->ledger, earlier, 5));
    commit(fixture);
    assert_int_equal(ask(fixture, &small, 5, 2).verdict, LEDGER_GRANTED);
    assert_int_equal(ask(fixture, &small, 6, 2).verdict, LEDGER_LATER);
}

static void what_an_account_sends_in_a_batch_is_counted_in_one_turn(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3; i++)
        assert_true(ledger_settle(fixture->ledger, reserve(fixture, &small, 2, 1).id, 2));
    commit(fixture);
    assert_int_equal(store_memory_writes(fixture->store), 1);
    assert_int_equal(store_memory_turns(fixture->store), 1);
    restart(fixture);
    expect_later(ask(fixture, &small, 5, 0), LEDGER_RECIPIENTS, 6, START + DAY + SECOND);
}

static void counting_is_reserving_and_settling_in_one(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    struct ledger_answer answer;
    const struct ledger_request request = {"relay@contoso.com", &small, 6, 1};
    ledger_count(fixture->ledger, &request, &answer);
    assert_int_equal(answer.verdict, LEDGER_GRANTED);
    store_memory_fail_writes(fixture->store, 1);
    assert_false(ledger_commit(fixture->ledger, &error));
    ledger_count(fixture->ledger, &request, &answer);
    assert_int_equal(answer.verdict, LEDGER_GRANTED);
    ledger_count(fixture->ledger, &request, &answer);
    expect_later(answer, LEDGER_RECIPIENTS, 6, START + DAY + SECOND);
    commit(fixture);
    assert_int_equal(ledger_reservation_count(fixture->ledger), 0);
    assert_int_equal(store_memory_reservations(fixture->store), 0);
    assert_int_equal(store_memory_turns(fixture->store), 1);
    restart(fixture);
    expect_later(ask(fixture, &small, 5, 0), LEDGER_RECIPIENTS, 6, START + DAY + SECOND);
}

static void a_restart_keeps_the_counts(void **state)
{
    struct fixture *fixture = *state;
    send_message(fixture, &small, 4);
    fixture->clock.now += SECOND;
    send_message(fixture, &small, 5);
    fixture->clock.now += SECOND;
    restart(fixture);
    expect_later(ask(fixture, &small, 2, 1), LEDGER_RECIPIENTS, 9, START + DAY + SECOND);
}

static void reservations_open_at_a_restart_count_as_sent_then(void **state)
{
    struct fixture *fixture = *state;
    uint64_t id = reserve(fixture, &small, 7, 1).id;
    commit(fixture);
    fixture->clock.now += 10 * SECOND;
    restart(fixture);
    commit(fixture);
    assert_int_equal(ledger_reservation_count(fixture->ledger), 0);
    assert_false(ledger_release(fixture->ledger, id));
    expect_later(ask(fixture, &small, 4, 1), LEDGER_RECIPIENTS, 7,
                 START + 10 * SECOND + DAY + SECOND);
    restart(fixture);
    expect_later(ask(fixture, &small, 4, 1), LEDGER_RECIPIENTS, 7,
                 START + 10 * SECOND + DAY + SECOND);
}

/* Three messages are under way at a restart, and count from then; one of them is accepted later. */
static void what_is_under_way_is_granted_without_room_and_counts_from_its_acceptance(void **state)
{
    struct fixture *fixture = *state;
    const struct ledger_request request = {"relay@contoso.com", &small, 1, 1};
    struct ledger_owner owner = {.first = NULL};
    struct ledger_answer answer;
    for (int i = 0; i < 3; i++)
        reserve(fixture, &small, 1, 1);
    commit(fixture);
    restart(fixture);
    commit(fixture);
    ledger_insist(fixture->ledger, &request, &owner, &answer);
    commit(fixture);
    assert_int_equal(answer.verdict, LEDGER_GRANTED);
    assert_true(ledger_owns(fixture->ledger, &owner, answer.id));
    assert_int_equal(ask(fixture, &small, 1, 1).used, 4);
    commit(fixture);
    fixture->clock.now += 30 * SECOND;
    assert_true(ledger_settle(fixture->ledger, answer.id, 1));
    commit(fixture);
    expect_later(ask(fixture, &small, 1, 1), LEDGER_MESSAGES, 4, START + 61 * SECOND);
    commit(fixture);
    fixture->clock.now = START + 61 * SECOND;
    send_message(fixture, &small, 1);
    send_message(fixture, &small, 1);
    expect_later(ask(fixture, &small, 1, 1), LEDGER_MESSAGES, 3, START + 91 * SECOND);
    assert_false(ledger_owns_any(&owner));
}

static void numbers_of_reservations_are_not_given_twice(void **state)
{
    struct fixture *fixture = *state;
    uint64_t id = reserve(fixture, &small, 7, 1).id;
    commit(fixture);
    assert_true(ledger_release(fixture->ledger, id));
    commit(fixture);
    fixture->clock.now += 1000;
    restart(fixture);
    assert_true(reserve(fixture, &small, 7, 1).id > id);
}

static void another_quota_finds_the_whole_history(void **state)
{
    struct fixture *fixture = *state;
    struct quota minute = {.recipients = {10, MINUTE}, .messages = {30, MINUTE}};
    struct quota hour = {.recipients = {10, 60 * MINUTE}, .messages = {30, MINUTE}};
    for (int i = 0; i < 5; i++) {
        send_message(fixture, &minute, 10);
        fixture->clock.now += 2 * MINUTE;
    }
    assert_int_equal(ask(fixture, &minute, 10, 1).verdict, LEDGER_GRANTED);
    commit(fixture);
    expect_later(ask(fixture, &hour, 1, 1), LEDGER_RECIPIENTS, 50,
                 START + 8 * MINUTE + 60 * MINUTE + SECOND);
    hour.recipients.limit = 60;
    expect_later(ask(fixture, &hour, 11, 1), LEDGER_RECIPIENTS, 50, START + 60 * MINUTE + SECOND);
}

static void an_unlimited_account_is_counted_but_never_refused(void **state)
{
    struct fixture *fixture = *state;
    struct quota unlimited = {.recipients = {QUOTA_UNLIMITED, DAY},
                              .messages = {QUOTA_UNLIMITED, DAY}};
    for (int i = 0; i < 50; i++)
        send_message(fixture, &unlimited, 1000);
    expect_later(ask(fixture, &small, 1, 0), LEDGER_RECIPIENTS, 50000, START + DAY + SECOND);
}

static void a_clock_that_is_set_back_loses_nothing(void **state)
{
    struct fixture *fixture = *state;
    send_message(fixture, &small, 6);
    fixture->clock.now -= 60 * MINUTE;
    expect_later(ask(fixture, &small, 5, 1), LEDGER_RECIPIENTS, 6,
                 START - 60 * MINUTE + DAY + SECOND);
    send_message(fixture, &small, 1);
    restart(fixture);
    expect_later(ask(fixture, &small, 4, 1), LEDGER_RECIPIENTS, 7,
                 START - 60 * MINUTE + DAY + SECOND);
}

static void idle_accounts_and_expired_events_go(void **state)
{
    struct fixture *fixture = *state;
    send_message(fixture, &small, 6);
    assert_true(tidy_ledger(fixture->ledger));
    assert_int_equal(ledger_account_count(fixture->ledger), 1);
    fixture->clock.now += DAY + 2 * SECOND;
    store_memory_fail_writes(fixture->store, 1);
    assert_false(tidy_ledger(fixture->ledger));
    assert_int_equal(ledger_account_count(fixture->ledger), 1);
    assert_true(tidy_ledger(fixture->ledger));
    assert_int_equal(ledger_account_count(fixture->ledger), 0);
    assert_int_equal(store_memory_turns(fixture->store), 0);
    assert_int_equal(store_memory_accounts(fixture->store), 0);
    send_message(fixture, &small, 6);
    restart(fixture);
    assert_int_equal(ask(fixture, &small, 5, 1).verdict, LEDGER_LATER);
}

static void a_long_period_keeps_events_over_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct quota week = {.recipients = {10, 7 * DAY}, .messages = {3, MINUTE}};
    send_message(fixture, &week, 6);
    fixture->clock.now += 3 * DAY;
    restart(fixture);
    assert_true(tidy_ledger(fixture->ledger));
    assert_int_equal(ask(fixture, &week, 5, 1).verdict, LEDGER_LATER);
}

static void a_period_that_becomes_longer_keeps_events_over_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct quota week = {.recipients = {10, 7 * DAY}, .messages = {3, MINUTE}};
    send_message(fixture, &small, 3);
    fixture->clock.now += SECOND;
    send_message(fixture, &week, 3);
    fixture->clock.now += 3 * DAY;
    restart(fixture);
    assert_true(tidy_ledger(fixture->ledger));
    expect_later(ask(fixture, &week, 5, 1), LEDGER_RECIPIENTS, 6, START + 7 * DAY + SECOND);
}

static void a_period_that_a_reload_makes_longer_finds_what_is_there(void **state)
{
    struct fixture *fixture = *state;
    const struct quota minute = {.recipients = {10, MINUTE}, .messages = {30, MINUTE}};
    const struct quota day = {.recipients = {10, DAY}, .messages = {30, MINUTE}};
    fixture->rules.retention = MINUTE;
    restart(fixture);
    send_message(fixture, &minute, 6);
    fixture->clock.now += 30 * SECOND;
    fixture->rules.retention = DAY;
    ledger_configure(fixture->ledger, &fixture->rules);
    fixture->clock.now += 60 * MINUTE;
    assert_true(tidy_ledger(fixture->ledger));
    expect_later(reserve(fixture, &day, 5, 1), LEDGER_RECIPIENTS, 6, START + DAY + SECOND);
}

static void a_period_that_a_table_makes_longer_is_minded_from_the_first_question(void **state)
{
    struct fixture *fixture = *state;
    const struct quota minute = {.recipients = {10, MINUTE}, .messages = {30, MINUTE}};
    const struct quota day = {.recipients = {10, DAY}, .messages = {30, MINUTE}};
    fixture->rules.retention = MINUTE;
    restart(fixture);
    send_message(fixture, &minute, 6);
    fixture->clock.now += 30 * SECOND;
    assert_int_equal(ask(fixture, &day, 1, 1).verdict, LEDGER_GRANTED);
    commit(fixture);
    fixture->clock.now += 60 * MINUTE;
    assert_true(tidy_ledger(fixture->ledger));
    expect_later(reserve(fixture, &day, 5, 1), LEDGER_RECIPIENTS, 6, START + DAY + SECOND);
    commit(fixture);
    send_message(fixture, &day, 1);
    restart(fixture);
    expect_later(reserve(fixture, &day, 5, 1), LEDGER_RECIPIENTS, 7, START + DAY + SECOND);
}

static void a_clock_that_was_ahead_counts_its_events_for_one_period_only(void **state)
{
    struct fixture *fixture = *state;
    fixture->clock.now += 3650 * DAY;
    for (int i = 0; i < 3; i++)
        send_message(fixture, &small, 1);
    fixture->clock.now -= 3650 * DAY;
    restart(fixture);
    expect_later(ask(fixture, &small, 10, 0), LEDGER_RECIPIENTS, 3, START + DAY + SECOND);
    commit(fixture);
    fixture->clock.now += DAY / 2;
    restart(fixture);
    expect_later(ask(fixture, &small, 10, 0), LEDGER_RECIPIENTS, 3, START + DAY + SECOND);
    commit(fixture);
    fixture->clock.now = START + DAY + 2 * SECOND;
    assert_true(tidy_ledger(fixture->ledger));
    assert_int_equal(store_memory_turns(fixture->store), 0);
}

static void many_accounts_do_not_disturb_each_other(void **state)
{
    struct fixture *fixture = *state;
    char name[32];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) {
            snprintf(name, sizeof(name), "relay-%d@contoso.com", i);
            const struct ledger_request request = {name, &small, 5, 1};
            struct ledger_answer answer;
            ledger_reserve(fixture->ledger, &request, &answer);
            assert_int_equal(answer.verdict, LEDGER_GRANTED);
            if (i % 2 == 0)
                assert_true(ledger_settle(fixture->ledger, answer.id, 5));
        }
        commit(fixture);
    }
    assert_int_equal(ledger_account_count(fixture->ledger), 1000);
    assert_int_equal(ledger_reservation_count(fixture->ledger), 1000);
    assert_int_equal(store_memory_reservations(fixture->store), 1000);
    size_t turns_of_a_round = (500 + STORE_TURN_MAX - 1) / STORE_TURN_MAX;
    assert_int_equal(store_memory_turns(fixture->store), 2 * turns_of_a_round);
    restart(fixture);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "relay-%d@contoso.com", i);
        const struct ledger_request request = {name, &small, 1, 0};
        struct ledger_answer answer;
        ledger_ask(fixture->ledger, &request, &answer);
        assert_int_equal(answer.verdict, LEDGER_LATER);
        assert_int_equal(answer.used, 10);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_fourth_message_of_a_minute_waits_for_the_first_to_leave),
        TEST(the_window_that_refuses_longer_is_named),
        TEST(more_than_the_quota_itself_is_never_granted),
        TEST(asking_and_being_refused_cost_nothing),
        TEST(a_reservation_counts_until_it_is_released),
        TEST(a_settled_reservation_counts_what_was_accepted_from_then_on),
        TEST(settling_with_nobody_accepted_is_a_release),
        TEST(nothing_of_a_batch_that_was_not_written_has_happened),
        TEST(what_an_account_sends_in_a_batch_is_counted_in_one_turn),
        TEST(counting_is_reserving_and_settling_in_one),
        TEST(a_restart_keeps_the_counts),
        TEST(reservations_open_at_a_restart_count_as_sent_then),
        TEST(what_is_under_way_is_granted_without_room_and_counts_from_its_acceptance),
        TEST(numbers_of_reservations_are_not_given_twice),
        TEST(another_quota_finds_the_whole_history),
        TEST(an_unlimited_account_is_counted_but_never_refused),
        TEST(a_clock_that_is_set_back_loses_nothing),
        TEST(idle_accounts_and_expired_events_go),
        TEST(a_long_period_keeps_events_over_a_restart),
        TEST(a_period_that_becomes_longer_keeps_events_over_a_restart),
        TEST(a_period_that_a_reload_makes_longer_finds_what_is_there),
        TEST(a_period_that_a_table_makes_longer_is_minded_from_the_first_question),
        TEST(a_clock_that_was_ahead_counts_its_events_for_one_period_only),
        TEST(many_accounts_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
