/* test_forecast.c - when waiting messages go, against a search of every time that could be one */
#include "ctl/queue/forecast.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND  1000000
#define EVENTS  200
#define ROUNDS  3000
#define WAITING 12

struct event {
    int64_t when;
    uint32_t recipients, messages;
};

struct world {
    struct event events[EVENTS];
    size_t count;
    struct quota quota;
    int64_t guard, now;
};

static uint64_t next_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

/* Whether one more has room at that time, by counting all that is in the windows then. */
static bool fits(const struct world *world, int64_t when, uint32_t recipients)
{
    uint64_t sent_recipients = recipients, sent_messages = 1;
    for (size_t i = 0; i < world->count; i++) {
        const struct event *event = &world->events[i];
        if (event->when > when - world->quota.recipients.period - world->guard)
            sent_recipients += event->recipients;
        if (event->when > when - world->quota.messages.period - world->guard)
            sent_messages += event->messages;
    }
    return sent_recipients <= world->quota.recipients.limit &&
           sent_messages <= world->quota.messages.limit;
}

/* Room only comes when something leaves a window. */
static int64_t search(const struct world *world, uint32_t recipients)
{
    int64_t best = fits(world, world->now, recipients) ? world->now : INT64_MAX;
    const int64_t spans[] = {world->quota.recipients.period + world->guard,
                             world->quota.messages.period + world->guard};
    for (size_t i = 0; i < 2 * world->count; i++) {
        int64_t when = world->events[i / 2].when + spans[i % 2];
        if (when >= world->now && when < best && fits(world, when, recipients))
            best = when;
    }
    return best;
}

static void it_is_the_earliest_time_with_room(void **state)
{
    (void)state;
    uint64_t random = 365;
    unsigned waited = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct world world = {
            .quota = {.recipients = {(uint32_t)(5 + next_random(&random) % 20), 20 * SECOND},
                      .messages = {(uint32_t)(1 + next_random(&random) % 6), 5 * SECOND},
                      .recipients_per_message = 100},
            .guard = (int64_t)(next_random(&random) % SECOND),
            .now = 100 * SECOND};
        struct forecast *forecast = forecast_new(&world.quota, world.guard, world.now);
        for (int64_t when = 75 * SECOND; when < world.now;
             when += (int64_t)(next_random(&random) % (5 * SECOND))) {
            struct event event = {when, (uint32_t)(next_random(&random) % 4), 1};
            world.events[world.count++] = event;
            forecast_sent(forecast, event.when, event.recipients, event.messages);
            if (world.count == EVENTS - WAITING)
                break;
        }
        for (int i = 0; i < WAITING; i++) {
            uint32_t recipients = (uint32_t)(1 + next_random(&random) % 5);
            int64_t expected = search(&world, recipients);
            assert_true(forecast_next(forecast, recipients) == expected);
            assert_true(expected != INT64_MAX);
            waited += expected > world.now;
            world.events[world.count++] = (struct event){expected, recipients, 1};
            world.now = expected;
        }
        forecast_free(forecast);
    }
    assert_true(waited > ROUNDS);
}

static void what_is_more_than_the_quota_never_goes(void **state)
{
    (void)state;
    const struct quota quota = {.recipients = {10, 60 * SECOND},
                                .messages = {QUOTA_UNLIMITED, 0},
                                .recipients_per_message = 100};
    struct forecast *forecast = forecast_new(&quota, 0, SECOND);
    assert_true(forecast_next(forecast, 11) == INT64_MAX);
    assert_true(forecast_next(forecast, 10) == SECOND);
    assert_true(forecast_next(forecast, 1) == 61 * SECOND);
    forecast_free(forecast);
}

static void many_recipients_go_in_several_messages(void **state)
{
    (void)state;
    const struct quota quota = {.recipients = {QUOTA_UNLIMITED, 0},
                                .messages = {2, 60 * SECOND},
                                .recipients_per_message = 100};
    struct forecast *forecast = forecast_new(&quota, SECOND, 0);
    assert_true(forecast_next(forecast, 250) == 61 * SECOND);
    assert_true(forecast_next(forecast, 1) == 61 * SECOND);
    assert_true(forecast_next(forecast, 1) == 122 * SECOND);
    forecast_free(forecast);
}

static void without_limits_all_goes_at_once(void **state)
{
    (void)state;
    const struct quota quota = {.recipients = {QUOTA_UNLIMITED, 0},
                                .messages = {QUOTA_UNLIMITED, 0},
                                .recipients_per_message = QUOTA_UNLIMITED};
    struct forecast *forecast = forecast_new(&quota, SECOND, 7);
    for (int i = 0; i < 1000; i++)
        assert_true(forecast_next(forecast, 100000) == 7);
    forecast_free(forecast);
}

static void a_message_without_recipients_by_the_quota_is_not_divided_for_ever(void **state)
{
    (void)state;
    const struct quota quota = {.recipients = {10, 60 * SECOND},
                                .messages = {QUOTA_UNLIMITED, 0},
                                .recipients_per_message = 0};
    struct forecast *forecast = forecast_new(&quota, 0, SECOND);
    assert_true(forecast_next(forecast, 10) == SECOND);
    assert_true(forecast_next(forecast, 11) == INT64_MAX);
    forecast_free(forecast);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_earliest_time_with_room),
        cmocka_unit_test(what_is_more_than_the_quota_never_goes),
        cmocka_unit_test(many_recipients_go_in_several_messages),
        cmocka_unit_test(without_limits_all_goes_at_once),
        cmocka_unit_test(a_message_without_recipients_by_the_quota_is_not_divided_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
