/* pause.h - how long an account is not used, and why
 *
 * Two kinds: by hand, until a time or until resumed; and growing, which is twice as long each time
 * it follows one without success in between. After a growing pause the account is probed.
 */
#ifndef POST365_POLICYD_LEDGER_PAUSE_H
#define POST365_POLICYD_LEDGER_PAUSE_H

#include <stdbool.h>
#include <stdint.h>

struct pause {
    int64_t since;
    int64_t until;     /* INT64_MAX: until somebody resumes it */
    uint32_t failures; /* in a row; 0: by hand */
    char cause[];
};

/* A cause is cut off at STORE_CAUSE_MAX bytes, between characters. Release with free(). */
struct pause *pause_new(int64_t since, int64_t until, uint32_t failures, const char *cause);

/* How long a growing pause lasts after so many failures in a row: `least`, twice that, ... `most`.
 * Microseconds. */
int64_t pause_length(uint32_t failures, int64_t least, int64_t most);

/* Whether it has this cause, cut off as above. */
bool pause_is_for(const struct pause *pause, const char *cause);

/* NULL is no pause. */
bool pause_is_in_force(const struct pause *pause, int64_t now);

/* The pause is over, but nothing has been sent since. */
bool pause_is_probing(const struct pause *pause, int64_t now);

/* A growing pause that began in the future begins now: the clock was set back. */
void pause_clamp(struct pause *pause, int64_t now);

#endif
