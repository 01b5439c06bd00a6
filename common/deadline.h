/* deadline.h - how long is still to be waited
 *
 * For whoever waits with poll(2) for no longer than he said. Times are microseconds of
 * CLOCK_MONOTONIC, which nobody sets. Thread-safe.
 */
#ifndef POST365_COMMON_DEADLINE_H
#define POST365_COMMON_DEADLINE_H

#include <stdint.h>

/* So many microseconds from now. */
int64_t deadline_after(int64_t time);

/* Milliseconds for poll(2), rounded up; 0 when it is over. */
int deadline_left(int64_t deadline);

#endif
