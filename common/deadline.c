/* deadline.c - how long is still to be waited */
#include "common/deadline.h"

#include "common/clock.h"

#include <limits.h>
#include <time.h>

#define MILLISECOND INT64_C(1000)

static int64_t monotonic_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * CLOCK_SECOND + time.tv_nsec / 1000;
}

int64_t deadline_after(int64_t time)
{
    int64_t now = monotonic_now();
    return time < INT64_MAX - now ? now + time : INT64_MAX;
}

int deadline_left(int64_t deadline)
{
    int64_t now = monotonic_now();
    int64_t left = deadline > now ? (deadline - now - 1) / MILLISECOND + 1 : 0;
    return left < INT_MAX ? (int)left : INT_MAX;
}
