/* clock.h - what time it is, injected everywhere
 *
 * Times are microseconds since the epoch, UTC, signed 64 bit. Whoever needs the time takes a
 * `struct clock *`; tests give one that they move by hand.
 */
#ifndef POST365_COMMON_CLOCK_H
#define POST365_COMMON_CLOCK_H

#include <stdint.h>

#define CLOCK_SECOND ((int64_t)1000000)

struct clock {
    int64_t (*now)(struct clock *self);
};

/* The system's clock (CLOCK_REALTIME); shared, not to be released. */
struct clock *clock_system(void);

static inline int64_t clock_now(struct clock *clock)
{
    return clock->now(clock);
}

#endif
