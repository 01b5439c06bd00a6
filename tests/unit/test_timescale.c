/* test_timescale.c - the ledger's time passes, whatever the wall clock does */
#include "policyd/ledger/timescale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND CLOCK_SECOND
#define HOUR   (3600 * SECOND)
#define START  (INT64_C(1700000000) * SECOND)

/* The system's clocks. */
static struct timescale_reading clocks;

static struct timescale_reading read_clocks(struct timescale *self)
{
    (void)self;
    return clocks;
}

static void pass(int64_t time)
{
    clocks.wall += time;
    clocks.boottime += time;
}

static void begin(struct timescale *timescale, const char *boot, const struct store_clock *kept)
{
    timescale_begin(timescale, read_clocks, boot, kept, false);
}

static int64_t now(struct timescale *timescale)
{
    return clock_now(&timescale->clock);
}

static void set_up(struct timescale *timescale, struct store_clock *kept)
{
    clocks = (struct timescale_reading){START, 100 * SECOND};
    begin(timescale, "first", NULL);
    timescale_keep(timescale, kept);
}

static void a_wall_clock_that_is_set_moves_what_is_shown_alone(void **state)
{
    (void)state;
    static const int64_t steps[] = {HOUR, -HOUR, 3 * SECOND, -3 * SECOND, 400 * 24 * HOUR};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct timescale timescale;
        struct store_clock kept;
        set_up(&timescale, &kept);
        pass(10 * SECOND);
        assert_int_equal(now(&timescale), START + 10 * SECOND);
        clocks.wall += steps[i];
        assert_int_equal(now(&timescale), START + 10 * SECOND);
        assert_int_equal(clock_passed(&timescale.clock), START + 10 * SECOND);
        assert_int_equal(clock_offset(&timescale.clock), steps[i]);
        assert_int_equal(timescale_take_step(&timescale), steps[i]);
        assert_int_equal(timescale_take_step(&timescale), 0);
        clocks.wall -= steps[i];
        pass(SECOND);
        assert_int_equal(now(&timescale), START + 11 * SECOND);
        assert_int_equal(clock_offset(&timescale.clock), 0);
    }
}

static void small_differences_are_no_step(void **state)
{
    (void)state;
    struct timescale timescale;
    struct store_clock kept;
    set_up(&timescale, &kept);
    for (int i = 0; i < 30; i++) {
        clocks.wall += i % 2 == 0 ? 50000 : -50000;
        now(&timescale);
        assert_int_equal(clock_offset(&timescale.clock), 0);
        assert_int_equal(timescale_take_step(&timescale), 0);
    }
}

/* Whatever the wall clock shows, and however old what was kept is. */
static void over_a_restart_in_the_same_boot_no_time_is_lost(void **state)
{
    (void)state;
    static const int64_t steps[] = {0, HOUR, -HOUR, 3 * SECOND, -30 * 24 * HOUR};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct timescale timescale;
        struct store_clock kept;
        set_up(&timescale, &kept);
        pass(HOUR);
        clocks.wall += steps[i];
        begin(&timescale, "first", &kept);
        assert_int_equal(now(&timescale), START + HOUR);
        assert_int_equal(clock_passed(&timescale.clock), START + HOUR);
        assert_int_equal(timescale_take_step(&timescale), steps[i]);
    }
}

static void behind_a_boot_the_wall_clock_tells(void **state)
{
    (void)state;
    struct timescale timescale;
    struct store_clock kept;
    set_up(&timescale, &kept);
    pass(HOUR);
    clocks.boottime = SECOND;
    begin(&timescale, "second", &kept);
    assert_int_equal(now(&timescale), START + HOUR);
    assert_int_equal(clock_passed(&timescale.clock), START); /* it might be wrong */
    pass(TIMESCALE_SETTLES);
    assert_int_equal(now(&timescale), START + HOUR + TIMESCALE_SETTLES);
    assert_int_equal(clock_passed(&timescale.clock), now(&timescale));
}

/* Set back by NTP some seconds later: nothing may be forgotten till then. */
static void a_clock_that_was_ahead_at_a_boot_takes_the_time_back(void **state)
{
    (void)state;
    struct timescale timescale;
    struct store_clock kept;
    set_up(&timescale, &kept);
    pass(10 * SECOND);
    clocks = (struct timescale_reading){clocks.wall + 48 * HOUR, SECOND};
    begin(&timescale, "second", &kept);
    assert_int_equal(now(&timescale), START + 10 * SECOND + 48 * HOUR);
    pass(3 * SECOND);
    assert_int_equal(clock_passed(&timescale.clock), START + 3 * SECOND);
    clocks.wall -= 48 * HOUR;
    assert_int_equal(now(&timescale), START + 13 * SECOND);
    assert_int_equal(timescale_take_step(&timescale), -48 * HOUR);
    /* Later it is somebody's mistake. */
    pass(TIMESCALE_SETTLES);
    clocks.wall -= HOUR;
    assert_int_equal(now(&timescale), START + 13 * SECOND + TIMESCALE_SETTLES);
}

/* The time that was kept has come; what was sent must not look older when the clock is set right.
 */
static void a_clock_that_was_behind_at_a_boot_makes_nothing_older(void **state)
{
    (void)state;
    struct timescale timescale;
    struct store_clock kept;
    set_up(&timescale, &kept);
    pass(HOUR);
    clocks = (struct timescale_reading){1000 * SECOND, SECOND};
    begin(&timescale, "second", &kept);
    assert_int_equal(now(&timescale), START);
    pass(3 * SECOND);
    clocks.wall = START + 2 * HOUR;
    assert_int_equal(now(&timescale), START + 3 * SECOND);
    assert_int_equal(clock_offset(&timescale.clock), 2 * HOUR - 3 * SECOND);
}

static void of_a_version_that_kept_no_time_nothing_is_forgotten_for_an_hour(void **state)
{
    (void)state;
    struct timescale timescale;
    clocks = (struct timescale_reading){START + HOUR, 100 * SECOND};
    timescale_begin(&timescale, read_clocks, "first", NULL, true);
    assert_int_equal(now(&timescale), START + HOUR);
    assert_true(clock_passed(&timescale.clock) < HOUR);
    clocks.wall -= HOUR;
    assert_int_equal(now(&timescale), START);
    pass(TIMESCALE_SETTLES);
    assert_int_equal(now(&timescale), START + TIMESCALE_SETTLES);
    assert_int_equal(clock_passed(&timescale.clock), now(&timescale));
}

static void a_boot_without_a_name_is_another_one(void **state)
{
    (void)state;
    struct timescale timescale;
    struct store_clock kept;
    clocks = (struct timescale_reading){START, 100 * SECOND};
    begin(&timescale, "", NULL);
    timescale_keep(&timescale, &kept);
    pass(SECOND);
    begin(&timescale, "", &kept);
    assert_true(timescale.follows);
    /* Nor is it the same if less time has passed since the boot. */
    set_up(&timescale, &kept);
    clocks.boottime = 5 * SECOND;
    begin(&timescale, "first", &kept);
    assert_true(timescale.follows);
}

static void the_system_s_clocks_can_be_read(void **state)
{
    (void)state;
    char boot[STORE_BOOT_SIZE];
    timescale_read_boot(boot);
    assert_int_equal(strlen(boot), 36);
    const struct timescale_reading one = timescale_read_system(NULL);
    const struct timescale_reading other = timescale_read_system(NULL);
    assert_true(one.wall > START && other.boottime >= one.boottime && one.boottime > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wall_clock_that_is_set_moves_what_is_shown_alone),
        cmocka_unit_test(small_differences_are_no_step),
        cmocka_unit_test(over_a_restart_in_the_same_boot_no_time_is_lost),
        cmocka_unit_test(behind_a_boot_the_wall_clock_tells),
        cmocka_unit_test(a_clock_that_was_ahead_at_a_boot_takes_the_time_back),
        cmocka_unit_test(a_clock_that_was_behind_at_a_boot_makes_nothing_older),
        cmocka_unit_test(of_a_version_that_kept_no_time_nothing_is_forgotten_for_an_hour),
        cmocka_unit_test(a_boot_without_a_name_is_another_one),
        cmocka_unit_test(the_system_s_clocks_can_be_read),
    };
    return cmocka_run_group_tests_name("timescale", tests, NULL, NULL);
}
