/* timescale.c - the time by which the ledger counts */
#include "policyd/ledger/timescale.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Both clocks are read one behind the other, and something may come between. */
#define JITTER (CLOCK_SECOND / 10)

static struct timescale *timescale_of(struct clock *clock)
{
    return (struct timescale *)(void *)clock;
}

/* --- what time it is -------------------------------------------------------------- */

static void note_offset(struct timescale *timescale, int64_t offset)
{
    int64_t step = offset - timescale->offset;
    if (step > -JITTER && step < JITTER)
        return;
    timescale->offset = offset;
    timescale->step += step;
}

/* Behind a boot: when the wall clock is set back it was ahead at the start, and the time goes back
 * with it. When it is set forward the time does not: what was sent would look older than it is, if
 * the clock was behind at the start and the ledger began with the time that was kept. */
static int64_t follow(struct timescale *timescale, const struct timescale_reading *now)
{
    int64_t passed = now->boottime - timescale->base.boottime;
    int64_t by_wall = now->wall - timescale->base.wall;
    int64_t ahead = by_wall > passed ? by_wall - passed : 0;
    int64_t step = ahead - timescale->ahead;
    if (step <= -JITTER) {
        timescale->ahead = ahead;
        timescale->step += step;
    }
    return timescale->base_time + passed + timescale->ahead;
}

static void settle(struct timescale *timescale)
{
    timescale->follows = false;
    timescale->base_time += timescale->ahead;
    timescale->ahead = 0;
}

static int64_t time_at(struct timescale *timescale, const struct timescale_reading *now)
{
    if (timescale->follows && now->boottime >= timescale->settles)
        settle(timescale);
    int64_t time = timescale->follows
                       ? follow(timescale, now)
                       : timescale->base_time + (now->boottime - timescale->base.boottime);
    note_offset(timescale, now->wall - time);
    return time;
}

static int64_t time_now(struct clock *clock)
{
    struct timescale *timescale = timescale_of(clock);
    const struct timescale_reading now = timescale->read(timescale);
    return time_at(timescale, &now);
}

/* Without what the wall clock alone has said. */
static int64_t time_passed(struct clock *clock)
{
    return time_now(clock) - timescale_of(clock)->ahead;
}

static int64_t wall_offset(struct clock *clock)
{
    return timescale_of(clock)->offset;
}

/* --- over a restart ----------------------------------------------------------------- */

static bool is_same_boot(const struct store_clock *kept, const char *boot, int64_t boottime)
{
    return kept != NULL && boot[0] != '\0' && strcmp(kept->boot, boot) == 0 &&
           kept->boottime <= boottime;
}

void timescale_begin(struct timescale *timescale,
                     struct timescale_reading (*read)(struct timescale *self), const char *boot,
                     const struct store_clock *kept, bool has_history)
{
    *timescale = (struct timescale){
        .clock = {.now = time_now, .passed = time_passed, .offset = wall_offset}, .read = read};
    snprintf(timescale->boot, sizeof(timescale->boot), "%s", boot);
    const struct timescale_reading now = read(timescale);
    timescale->base = now;
    timescale->base_time = now.wall;
    if (kept == NULL && !has_history)
        return;
    /* Of a version that kept no time nothing is certain. */
    timescale->base.wall = kept != NULL ? kept->wall : 0;
    timescale->base_time = kept != NULL ? kept->time : 0;
    if (is_same_boot(kept, boot, now.boottime)) {
        timescale->base.boottime = kept->boottime;
        timescale->offset = kept->wall - kept->time;
        return;
    }
    timescale->follows = true;
    timescale->settles = now.boottime + TIMESCALE_SETTLES;
    timescale->ahead = now.wall > timescale->base.wall ? now.wall - timescale->base.wall : 0;
    timescale->offset = now.wall - timescale->base_time - timescale->ahead;
}

void timescale_keep(struct timescale *timescale, struct store_clock *kept)
{
    const struct timescale_reading now = timescale->read(timescale);
    *kept = (struct store_clock){
        .boottime = now.boottime, .wall = now.wall, .time = time_at(timescale, &now)};
    memcpy(kept->boot, timescale->boot, sizeof(kept->boot));
}

int64_t timescale_take_step(struct timescale *timescale)
{
    int64_t step = timescale->step;
    if (step > -CLOCK_SECOND && step < CLOCK_SECOND)
        return 0;
    timescale->step = 0;
    return step;
}

/* --- the system's --------------------------------------------------------------------- */

static int64_t microseconds(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * CLOCK_SECOND + time.tv_nsec / 1000;
}

struct timescale_reading timescale_read_system(struct timescale *self)
{
    (void)self;
    return (struct timescale_reading){microseconds(CLOCK_REALTIME), microseconds(CLOCK_BOOTTIME)};
}

/* A random name that the kernel makes at each boot. Without it each start is one behind a boot. */
void timescale_read_boot(char boot[STORE_BOOT_SIZE])
{
    boot[0] = '\0';
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file == NULL)
        return;
    if (fgets(boot, STORE_BOOT_SIZE, file) == NULL)
        boot[0] = '\0';
    boot[strcspn(boot, "\n")] = '\0';
    fclose(file);
}
