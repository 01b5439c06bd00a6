/* clock.c - a wall clock that is wrong, for one program: loaded before everything else (LD_PRELOAD)
 *
 * POST365_CLOCK names a file of eight bytes: by how many microseconds CLOCK_REALTIME is ahead. Who
 * has the file may change it at any time. All other clocks are the system's.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MICROSECONDS INT64_C(1000000)
#define PUBLIC       __attribute__((visibility("default")))

static const volatile int64_t *ahead;
static int (*system_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("POST365_CLOCK");
    *(void **)&system_clock = dlsym(RTLD_NEXT, "clock_gettime");
    int descriptor = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (descriptor < 0)
        return;
    void *page = mmap(NULL, sizeof(*ahead), PROT_READ, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (page != MAP_FAILED)
        ahead = page;
}

PUBLIC int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (system_clock == NULL)
        begin();
    int result = system_clock(clock, time);
    if (result != 0 || ahead == NULL || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return result;
    int64_t now = (int64_t)time->tv_sec * MICROSECONDS + time->tv_nsec / 1000 + *ahead;
    time->tv_sec = (time_t)(now / MICROSECONDS);
    time->tv_nsec = (long)(now % MICROSECONDS) * 1000;
    return 0;
}

PUBLIC time_t time(time_t *place)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (place != NULL)
        *place = now.tv_sec;
    return now.tv_sec;
}

PUBLIC int gettimeofday(struct timeval *restrict place, void *restrict zone)
{
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    place->tv_sec = now.tv_sec;
    place->tv_usec = now.tv_nsec / 1000;
    return 0;
}
