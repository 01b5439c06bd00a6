/* histogram.h - many durations in little memory
 *
 * Counters whose width grows with the value: 128 for every doubling, so that what is read from them
 * is less than 1 % off. All zero is an empty histogram. Values are nanoseconds.
 */
#ifndef POST365_TESTS_BENCH_HISTOGRAM_H
#define POST365_TESTS_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_FINE  128U /* counters for a doubling */
#define HISTOGRAM_COUNT ((64U - 7U + 1U) * HISTOGRAM_FINE)

struct histogram {
    uint64_t counts[HISTOGRAM_COUNT];
    uint64_t total;
    uint64_t largest; /* exact */
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* The value that `share` (0 to 1) of all do not exceed; 0 if there is none. */
uint64_t histogram_at(const struct histogram *histogram, double share);

void histogram_clear(struct histogram *histogram);

#endif
