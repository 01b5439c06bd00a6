/* hand_clock.h - a clock that a test moves by hand */
#ifndef TESTS_UNIT_HAND_CLOCK_H
#define TESTS_UNIT_HAND_CLOCK_H

#include "common/clock.h"

struct hand_clock {
    struct clock clock;
    int64_t now; /* microseconds since the epoch */
};

static inline int64_t read_hand_clock(struct clock *clock)
{
    return ((struct hand_clock *)(void *)clock)->now;
}

#endif
