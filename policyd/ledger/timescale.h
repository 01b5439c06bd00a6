/* timescale.h - the time by which the ledger counts: it only passes, whatever the wall clock does
 *
 * A window of 24 hours must be 24 hours. The wall clock does not say when they are over: somebody,
 * or NTP, sets it forward and back. So the ledger's time is the wall clock's once, and from then on
 * goes with CLOCK_BOOTTIME, which nobody sets and which goes on while the machine sleeps. It is
 * kept in the store with the boot to which it belongs:
 *
 *   - the same boot: CLOCK_BOOTTIME tells how much time has passed, to the microsecond;
 *   - another boot: only the wall clock can tell, and right behind a boot it is often wrong, until
 *     NTP has set it. It is believed, though never to before the time that was kept. If it was
 * ahead and is set back within an hour, the time goes back, too; meanwhile nothing is forgotten
 * that may still count (`passed`). If it was behind, the time stays so: what was sent counts
 * longer, by no more than the machine was off.
 *
 * What is shown to people, and to the other programs, is the wall clock's time: `offset` is what to
 * add. A step of the wall clock changes the offset alone.
 *
 * Pure: both clocks are read through `read`.
 */
#ifndef POST365_POLICYD_LEDGER_TIMESCALE_H
#define POST365_POLICYD_LEDGER_TIMESCALE_H

#include "common/clock.h"
#include "policyd/store/store.h"

#include <stdbool.h>
#include <stdint.h>

/* How long the wall clock is followed behind a boot. */
#define TIMESCALE_SETTLES (3600 * CLOCK_SECOND)

/* Microseconds; of CLOCK_REALTIME since the epoch, of CLOCK_BOOTTIME since the boot. */
struct timescale_reading {
    int64_t wall, boottime;
};

struct timescale {
    struct clock clock; /* of the ledger */
    struct timescale_reading (*read)(struct timescale *self);
    char boot[STORE_BOOT_SIZE];
    struct timescale_reading base; /* when the time was `base_time` */
    int64_t base_time;
    bool follows;    /* the wall clock when that is set back, behind a boot */
    int64_t settles; /* until then, by boottime */
    int64_t ahead;   /* what it has added to what has passed for certain */
    int64_t offset;  /* of the wall clock to the time */
    int64_t step;    /* see timescale_take_step() */
};

/* Goes on with what the store has kept; `kept` is NULL if there is nothing. With `has_history`
 * there are records, of a version that kept no time. `boot` names the running boot, `read` is how
 * both clocks are read. */
void timescale_begin(struct timescale *timescale,
                     struct timescale_reading (*read)(struct timescale *self), const char *boot,
                     const struct store_clock *kept, bool has_history);

/* What is to be kept: at the start, and when the clock was set. */
void timescale_keep(struct timescale *timescale, struct store_clock *kept);

/* How far the wall clock was set since the last call, by a second or more; 0: it was not. */
int64_t timescale_take_step(struct timescale *timescale);

/* The system's clocks and boot, for timescale_begin(). */
struct timescale_reading timescale_read_system(struct timescale *self);
void timescale_read_boot(char boot[STORE_BOOT_SIZE]);

#endif
