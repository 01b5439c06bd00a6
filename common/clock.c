/* clock.c - what time it is */
#include "common/clock.h"

#include <time.h>

static int64_t system_now(struct clock *self)
{
    (void)self;
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * CLOCK_SECOND + time.tv_nsec / 1000;
}

struct clock *clock_system(void)
{
    static struct clock system_clock = {.now = system_now};
    return &system_clock;
}
