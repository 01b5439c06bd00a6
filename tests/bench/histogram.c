/* histogram.c - many durations in little memory */
#include "tests/bench/histogram.h"

#include <string.h>

/* Below 128 every value has a counter; above, the leading eight bits choose it. */
static unsigned index_of(uint64_t value)
{
    if (value < HISTOGRAM_FINE)
        return (unsigned)value;
    unsigned doublings = 63U - (unsigned)__builtin_clzll(value) - 7U;
    return (doublings + 1) * HISTOGRAM_FINE + (unsigned)(value >> doublings) - HISTOGRAM_FINE;
}

/* The middle of what a counter counts. */
static uint64_t value_of(unsigned i)
{
    if (i < HISTOGRAM_FINE)
        return i;
    unsigned doublings = i / HISTOGRAM_FINE - 1;
    uint64_t low = (uint64_t)(i % HISTOGRAM_FINE + HISTOGRAM_FINE) << doublings;
    return low + ((UINT64_C(1) << doublings) >> 1);
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[index_of(value)]++;
    histogram->total++;
    if (value > histogram->largest)
        histogram->largest = value;
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->total + 0.5);
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_COUNT && histogram->total > 0; i++) {
        seen += histogram->counts[i];
        if (seen >= wanted && seen > 0)
            return value_of(i) < histogram->largest ? value_of(i) : histogram->largest;
    }
    return histogram->largest;
}

void histogram_clear(struct histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
}
