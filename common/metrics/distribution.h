/* distribution.h - how often a figure was how large
 *
 * Plain counters per range, cheap enough for the way of every request.
 */
#ifndef POST365_COMMON_METRICS_DISTRIBUTION_H
#define POST365_COMMON_METRICS_DISTRIBUTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISTRIBUTION_BOUNDS_MAX 20

/* The upper bounds of the ranges, ascending; whatever is above the last is in one more. */
struct distribution_scale {
    size_t count; /* at most DISTRIBUTION_BOUNDS_MAX */
    uint64_t bounds[DISTRIBUTION_BOUNDS_MAX];
};

/* 10 microseconds to 5 seconds, for work; 1 millisecond to 10 minutes, for others' answers; 1 to
 * 4096. */
extern const struct distribution_scale distribution_times;
extern const struct distribution_scale distribution_waits;
extern const struct distribution_scale distribution_sizes;

/* Set `scale`, the rest zero. */
struct distribution {
    const struct distribution_scale *scale;
    uint64_t counts[DISTRIBUTION_BOUNDS_MAX + 1];
    uint64_t sum;
};

/* Microseconds of a clock that only goes forward, to take times with. */
uint64_t distribution_clock(void);

static inline void distribution_add(struct distribution *distribution, uint64_t value)
{
    size_t i = 0;
    while (i < distribution->scale->count && value > distribution->scale->bounds[i])
        i++;
    distribution->counts[i]++;
    distribution->sum += value;
}

#endif
