/* distribution.c - how often a figure was how large: the scales */
#include "common/metrics/distribution.h"

#include <time.h>

const struct distribution_scale distribution_times = {
    .count = 18,
    .bounds = {10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
               500000, 1000000, 2500000, 5000000}};

const struct distribution_scale distribution_waits = {
    .count = 17,
    .bounds = {1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,
               5000000, 10000000, 30000000, 60000000, 240000000, 600000000}};

const struct distribution_scale distribution_sizes = {
    .count = 13, .bounds = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096}};

uint64_t distribution_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
