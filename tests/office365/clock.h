/* clock.h - the two clocks: one for windows, one for people */
#ifndef OFFICE365_CLOCK_H
#define OFFICE365_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#define CLOCK_SECOND INT64_C(1000000000)

/* clock_monotonic - nanoseconds on the clock that never jumps (CLOCK_MONOTONIC) */
int64_t clock_monotonic(void);

/* clock_real - nanoseconds since 1970 (CLOCK_REALTIME) */
int64_t clock_real(void);

/* clock_nanoseconds - seconds as nanoseconds; what is negative or not a number is 0 */
int64_t clock_nanoseconds(double seconds);

/* clock_timeval - seconds as libevent wants them, at least one microsecond */
struct timeval clock_timeval(double seconds);

/* clock_iso - "2023-09-12T20:59:57.214Z" for a time of clock_real; buffer of 32 bytes or more */
void clock_iso(int64_t real, char *buffer, size_t size);

/* clock_mail - "Sun, 15 Nov 2020 13:08:20 +0000" for a time of clock_real; 40 bytes or more */
void clock_mail(int64_t real, char *buffer, size_t size);

#endif
