/* clock.h - what time it is, injected everywhere
 *
 * Times are microseconds since the epoch, UTC, signed 64 bit. Whoever needs the time takes a
 * `struct clock *`; tests give one that they move by hand.
 */
#ifndef POST365_COMMON_CLOCK_H
#define POST365_COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_SECOND ((int64_t)1000000)

struct clock {
    int64_t (*now)(struct clock *self);
    /* A time that has come in any case, where `now` is not certain; NULL: now. */
    int64_t (*passed)(struct clock *self);
    /* What is to be added to show its times by the system's clock; NULL: 0. */
    int64_t (*offset)(struct clock *self);
};

/* The system's clock (CLOCK_REALTIME); shared, not to be released. */
struct clock *clock_system(void);

/* From now on clock_system() goes with CLOCK_BOOTTIME: what a program has planned comes neither
 * early nor late when somebody sets the clock. To be called once, before there are threads. */
void clock_make_steady(void);

/* How far the system's clock was set since then: to be added to times that are shown, and
 * subtracted from those that other programs name. 0 where clock_make_steady() was not called. */
int64_t clock_set_since(void);

static inline int64_t clock_now(struct clock *clock)
{
    return clock->now(clock);
}

static inline int64_t clock_passed(struct clock *clock)
{
    return clock->passed != NULL ? clock->passed(clock) : clock->now(clock);
}

static inline int64_t clock_offset(struct clock *clock)
{
    return clock->offset != NULL ? clock->offset(clock) : 0;
}

#endif
