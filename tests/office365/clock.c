/* clock.c - the two clocks: one for windows, one for people */
#include "clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t which)
{
    struct timespec now;

    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * CLOCK_SECOND + now.tv_nsec;
}

int64_t clock_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_real(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_nanoseconds(double seconds)
{
    const double most = 1e9; /* thirty years: far from overflow */

    if (!(seconds > 0))
        return 0;
    return (int64_t)((seconds < most ? seconds : most) * (double)CLOCK_SECOND);
}

struct timeval clock_timeval(double seconds)
{
    int64_t microseconds = clock_nanoseconds(seconds) / 1000;
    struct timeval value;

    if (microseconds < 1)
        microseconds = 1;
    value.tv_sec = microseconds / 1000000;
    value.tv_usec = microseconds % 1000000;
    return value;
}

void clock_iso(int64_t real, char *buffer, size_t size)
{
    time_t seconds = real / CLOCK_SECOND;
    struct tm parts;
    char date[24];

    gmtime_r(&seconds, &parts);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(buffer, size, "%s.%03dZ", date, (int)(real % CLOCK_SECOND / 1000000));
}

void clock_mail(int64_t real, char *buffer, size_t size)
{
    time_t seconds = real / CLOCK_SECOND;
    struct tm parts;

    /* the C locale is never changed, so day and month are English */
    gmtime_r(&seconds, &parts);
    if (strftime(buffer, size, "%a, %d %b %Y %H:%M:%S +0000", &parts) == 0)
        buffer[0] = '\0';
}
