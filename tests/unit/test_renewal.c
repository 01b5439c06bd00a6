/* test_renewal.c - when an access token is asked for, how long one is used */
#include "tokend/renewal.h"

#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND CLOCK_SECOND
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define NOW    (1000 * DAY)
#define SEEDS  200

static struct renewal begin(enum renewal_need need, uint64_t seed)
{
    struct renewal renewal;
    renewal_begin(&renewal, need, 60, seed);
    return renewal;
}

/* One that has had its token for no time. */
static struct renewal fresh(enum renewal_need need, uint32_t life, uint64_t seed)
{
    struct renewal renewal = begin(need, seed);
    renewal_asked(&renewal, NOW);
    renewal_got(&renewal, life, 0);
    return renewal;
}

static void what_is_always_needed_is_asked_for_at_once(void **state)
{
    (void)state;
    struct renewal renewal = begin(RENEWAL_ALWAYS, 1);
    assert_true(renewal_due(&renewal, NOW) <= NOW);
    renewal = begin(RENEWAL_DAILY, 1);
    assert_true(renewal_due(&renewal, NOW) <= NOW);
    renewal = begin(RENEWAL_WHEN_WANTED, 1);
    assert_true(renewal_due(&renewal, NOW) == RENEWAL_NEVER);
    assert_true(renewal_want(&renewal, NOW));
    assert_true(renewal_due(&renewal, NOW) <= NOW);
}

static void one_request_is_under_way_at_most(void **state)
{
    (void)state;
    struct renewal renewal = begin(RENEWAL_ALWAYS, 1);
    renewal_asked(&renewal, NOW);
    assert_true(renewal_due(&renewal, NOW) == RENEWAL_NEVER);
    assert_int_equal(renewal_state(&renewal, NOW), RENEWAL_ASKING);
    renewal_change(&renewal, NOW);
    assert_true(renewal_due(&renewal, NOW) == RENEWAL_NEVER);
}

static void a_token_is_good_until_a_minute_before_its_end(void **state)
{
    (void)state;
    struct renewal renewal = fresh(RENEWAL_ALWAYS, 3600, 1);
    assert_true(renewal_is_good(&renewal, NOW + 3540 * SECOND - 1));
    assert_false(renewal_is_good(&renewal, NOW + 3540 * SECOND));
    assert_int_equal(renewal_left(&renewal, NOW), 3540);
    assert_int_equal(renewal_left(&renewal, NOW + HOUR), 0);
}

static void the_life_begins_with_the_question(void **state)
{
    (void)state;
    struct renewal renewal = begin(RENEWAL_ALWAYS, 1);
    renewal_asked(&renewal, NOW);
    /* The answer took a minute. */
    renewal_got(&renewal, 3600, 0);
    assert_false(renewal_is_good(&renewal, NOW + 3540 * SECOND));
}

static void the_margin_is_a_quarter_of_a_short_life(void **state)
{
    (void)state;
    struct renewal renewal = fresh(RENEWAL_ALWAYS, 20, 1);
    assert_true(renewal_is_good(&renewal, NOW + 15 * SECOND - 1));
    assert_false(renewal_is_good(&renewal, NOW + 15 * SECOND));
    renewal = fresh(RENEWAL_ALWAYS, 3600, 1);
    renewal_set_margin(&renewal, 600);
    assert_int_equal(renewal_left(&renewal, NOW), 3000);
}

static void it_is_renewed_about_half_way(void **state)
{
    (void)state;
    int64_t earliest = INT64_MAX, latest = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct renewal renewal = fresh(RENEWAL_ALWAYS, 3600, seed);
        int64_t due = renewal_due(&renewal, NOW) - NOW;
        earliest = due < earliest ? due : earliest;
        latest = due > latest ? due : latest;
    }
    assert_true(earliest >= 27 * MINUTE && latest <= 33 * MINUTE);
    assert_true(latest - earliest > 5 * MINUTE);
}

static void the_endpoint_may_say_when(void **state)
{
    (void)state;
    struct renewal renewal = begin(RENEWAL_ALWAYS, 1);
    renewal_asked(&renewal, NOW);
    renewal_got(&renewal, 86400, 1000);
    int64_t due = renewal_due(&renewal, NOW) - NOW;
    assert_true(due >= 900 * SECOND && due <= 1100 * SECOND);
    /* But never behind what the token is used for. */
    renewal_asked(&renewal, NOW);
    renewal_got(&renewal, 1000, 999);
    assert_true(renewal_due(&renewal, NOW) <= NOW + 940 * SECOND);
}

static void but_not_at_once_again(void **state)
{
    (void)state;
    static const struct {
        uint32_t life, refresh_in;
        int64_t least;
    } told[] = {{3600, 1, 54 * SECOND}, {20, 1, 9 * SECOND}, {1, 0, SECOND * 45 / 100}};
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        struct renewal renewal = begin(RENEWAL_ALWAYS, i);
        renewal_asked(&renewal, NOW);
        renewal_got(&renewal, told[i].life, told[i].refresh_in);
        assert_true(renewal_due(&renewal, NOW) >= NOW + told[i].least);
    }
}

static void the_old_token_serves_while_a_new_one_is_asked_for(void **state)
{
    (void)state;
    struct renewal renewal = fresh(RENEWAL_ALWAYS, 3600, 1);
    int64_t now = NOW + 30 * MINUTE;
    renewal_asked(&renewal, now);
    assert_int_equal(renewal_state(&renewal, now), RENEWAL_RENEWING);
    assert_true(renewal_is_good(&renewal, now));
    renewal_failed(&renewal, now, ENTRA_RETRY, 0);
    assert_int_equal(renewal_state(&renewal, now), RENEWAL_WAITING);
    assert_true(renewal_is_good(&renewal, now));
    assert_false(renewal_is_good(&renewal, NOW + HOUR));
}

/* How long after the failure number `failures` of a class. */
static int64_t delay_of(enum entra_class class, uint32_t failures, uint32_t wait, uint64_t seed)
{
    struct renewal renewal = begin(RENEWAL_ALWAYS, seed);
    for (uint32_t i = 0; i < failures; i++) {
        renewal_asked(&renewal, NOW);
        renewal_failed(&renewal, NOW, class, wait);
    }
    return renewal_due(&renewal, NOW) - NOW;
}

static void assert_about(int64_t delay, int64_t want)
{
    assert_true(delay >= want - want / 10 && delay <= want + want / 10);
}

static void what_passes_is_tried_again_soon_then_later(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        assert_about(delay_of(ENTRA_RETRY, 1, 0, seed), SECOND);
        assert_about(delay_of(ENTRA_RETRY, 2, 0, seed), 2 * SECOND);
        assert_about(delay_of(ENTRA_RETRY, 5, 0, seed), 16 * SECOND);
        assert_about(delay_of(ENTRA_RETRY, 1000, 0, seed), 5 * MINUTE);
    }
}

static void what_somebody_must_mend_is_tried_from_time_to_time(void **state)
{
    (void)state;
    assert_about(delay_of(ENTRA_ADMIN, 1, 0, 1), MINUTE);
    assert_about(delay_of(ENTRA_ADMIN, 3, 0, 1), 4 * MINUTE);
    assert_about(delay_of(ENTRA_LOGIN, 1000, 0, 1), HOUR);
}

static void a_wait_that_is_asked_for_is_kept(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        int64_t delay = delay_of(ENTRA_RETRY, 1, 60, seed);
        assert_true(delay >= MINUTE && delay <= 66 * SECOND);
        delay = delay_of(ENTRA_RETRY, 1, UINT32_MAX, seed);
        assert_true(delay >= HOUR && delay <= HOUR + 6 * MINUTE);
        /* A shorter one than ours changes nothing. */
        assert_about(delay_of(ENTRA_RETRY, 1000, 1, seed), 5 * MINUTE);
    }
}

static void nobody_can_hurry_it_but_a_change(void **state)
{
    (void)state;
    struct renewal renewal = begin(RENEWAL_ALWAYS, 1);
    renewal_asked(&renewal, NOW);
    renewal_failed(&renewal, NOW, ENTRA_ADMIN, 0);
    assert_int_equal(renewal_state(&renewal, NOW), RENEWAL_STOPPED);
    assert_false(renewal_want(&renewal, NOW + SECOND));
    assert_true(renewal_want(&renewal, NOW + 2 * MINUTE));
    renewal_change(&renewal, NOW + SECOND);
    assert_true(renewal_due(&renewal, NOW + SECOND) <= NOW + SECOND);
}

static void a_change_renews_a_token_that_is_good(void **state)
{
    (void)state;
    struct renewal renewal = fresh(RENEWAL_ALWAYS, 3600, 1);
    renewal_change(&renewal, NOW + MINUTE);
    assert_true(renewal_due(&renewal, NOW + MINUTE) <= NOW + MINUTE);
    assert_true(renewal_is_good(&renewal, NOW + MINUTE));
}

static void by_hand_once_a_minute(void **state)
{
    (void)state;
    struct renewal renewal = fresh(RENEWAL_WHEN_WANTED, 3600, 1);
    assert_true(renewal_force(&renewal, NOW + SECOND));
    assert_true(renewal_due(&renewal, NOW + SECOND) <= NOW + SECOND);
    assert_false(renewal_force(&renewal, NOW + MINUTE));
    assert_true(renewal_force(&renewal, NOW + SECOND + MINUTE));
}

static void what_nobody_wants_is_not_renewed(void **state)
{
    (void)state;
    struct renewal renewal = fresh(RENEWAL_WHEN_WANTED, 3600, 1);
    renewal_use(&renewal, NOW);
    assert_true(renewal_due(&renewal, NOW + 23 * HOUR) != RENEWAL_NEVER);
    assert_true(renewal_due(&renewal, NOW + 25 * HOUR) == RENEWAL_NEVER);
    /* Nor is it tried again after a failure. */
    renewal_asked(&renewal, NOW);
    renewal_failed(&renewal, NOW, ENTRA_RETRY, 0);
    assert_true(renewal_due(&renewal, NOW + 25 * HOUR) == RENEWAL_NEVER);
}

static void a_users_grant_is_used_once_a_day(void **state)
{
    (void)state;
    struct renewal renewal = fresh(RENEWAL_DAILY, 3600, 1);
    assert_true(renewal_due(&renewal, NOW + HOUR) == NOW + DAY);
    renewal_use(&renewal, NOW + HOUR);
    assert_true(renewal_due(&renewal, NOW + HOUR) < NOW + HOUR);
}

static void success_forgets_failures(void **state)
{
    (void)state;
    struct renewal renewal = begin(RENEWAL_ALWAYS, 1);
    for (int i = 0; i < 8; i++) {
        renewal_asked(&renewal, NOW);
        renewal_failed(&renewal, NOW, ENTRA_RETRY, 0);
    }
    assert_int_equal(renewal.failures, 8);
    assert_true(renewal.failed_since == NOW);
    renewal_asked(&renewal, NOW);
    renewal_got(&renewal, 3600, 0);
    assert_int_equal(renewal.failures, 0);
    assert_int_equal(renewal_state(&renewal, NOW), RENEWAL_FRESH);
    renewal_asked(&renewal, NOW + HOUR);
    renewal_failed(&renewal, NOW + HOUR, ENTRA_RETRY, 0);
    assert_about(renewal_due(&renewal, NOW + HOUR) - NOW - HOUR, SECOND);
}

static void what_was_given_up_begins_anew(void **state)
{
    (void)state;
    struct renewal renewal = begin(RENEWAL_ALWAYS, 1);
    renewal_asked(&renewal, NOW);
    renewal_abandon(&renewal, NOW);
    assert_int_equal(renewal_state(&renewal, NOW), RENEWAL_EMPTY);
    assert_true(renewal_due(&renewal, NOW) <= NOW);
    renewal = fresh(RENEWAL_ALWAYS, 3600, 1);
    renewal_asked(&renewal, NOW + MINUTE);
    renewal_abandon(&renewal, NOW + MINUTE);
    assert_true(renewal_is_good(&renewal, NOW + MINUTE));
    assert_true(renewal_due(&renewal, NOW + MINUTE) <= NOW + MINUTE);
    renewal_forget(&renewal);
    assert_false(renewal_is_good(&renewal, NOW + MINUTE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_always_needed_is_asked_for_at_once),
        cmocka_unit_test(one_request_is_under_way_at_most),
        cmocka_unit_test(a_token_is_good_until_a_minute_before_its_end),
        cmocka_unit_test(the_life_begins_with_the_question),
        cmocka_unit_test(the_margin_is_a_quarter_of_a_short_life),
        cmocka_unit_test(it_is_renewed_about_half_way),
        cmocka_unit_test(the_endpoint_may_say_when),
        cmocka_unit_test(but_not_at_once_again),
        cmocka_unit_test(the_old_token_serves_while_a_new_one_is_asked_for),
        cmocka_unit_test(what_passes_is_tried_again_soon_then_later),
        cmocka_unit_test(what_somebody_must_mend_is_tried_from_time_to_time),
        cmocka_unit_test(a_wait_that_is_asked_for_is_kept),
        cmocka_unit_test(nobody_can_hurry_it_but_a_change),
        cmocka_unit_test(a_change_renews_a_token_that_is_good),
        cmocka_unit_test(by_hand_once_a_minute),
        cmocka_unit_test(what_nobody_wants_is_not_renewed),
        cmocka_unit_test(a_users_grant_is_used_once_a_day),
        cmocka_unit_test(success_forgets_failures),
        cmocka_unit_test(what_was_given_up_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
