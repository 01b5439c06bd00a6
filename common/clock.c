/* clock.c - what time it is */
#include "common/clock.h"

#include <stdbool.h>
#include <time.h>

/* The system's clock less this is CLOCK_BOOTTIME: see clock_make_steady(). */
static int64_t steady_ahead;
static bool is_steady;

static int64_t microseconds(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * CLOCK_SECOND + time.tv_nsec / 1000;
}

static int64_t system_now(struct clock *self)
{
    (void)self;
    return is_steady ? microseconds(CLOCK_BOOTTIME) + steady_ahead : microseconds(CLOCK_REALTIME);
}

struct clock *clock_system(void)
{
    static struct clock system_clock = {.now = system_now};
    return &system_clock;
}

void clock_make_steady(void)
{
    steady_ahead = microseconds(CLOCK_REALTIME) - microseconds(CLOCK_BOOTTIME);
    is_steady = true;
}

int64_t clock_set_since(void)
{
    if (!is_steady)
        return 0;
    int64_t ahead = microseconds(CLOCK_REALTIME) - microseconds(CLOCK_BOOTTIME) - steady_ahead;
    return ahead > -CLOCK_SECOND / 10 && ahead < CLOCK_SECOND / 10 ? 0 : ahead;
}
