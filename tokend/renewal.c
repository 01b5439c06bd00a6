/* renewal.c - when an access token is asked for, how long one is used */
#include "tokend/renewal.h"

#include "common/clock.h"

#define MINUTE       (60 * CLOCK_SECOND)
#define HOUR         (60 * MINUTE)
#define DAY          (24 * HOUR)
#define RETRY_FIRST  CLOCK_SECOND
#define RETRY_LAST   (5 * MINUTE)
#define STOP_FIRST   MINUTE
#define STOP_LAST    HOUR
#define WAIT_LAST    HOUR
#define FORCE_PAUSE  MINUTE
#define MARGIN_PARTS 4   /* the margin is at most this part of the life */
#define SPREAD       100 /* thousandths, earlier or later */

/* splitmix64 (Steele, Lea, Flood 2014): enough to keep hosts apart. */
static uint64_t next_chance(struct renewal *renewal)
{
    uint64_t value = renewal->chance += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* The same, ten per cent more or less. */
static int64_t spread(struct renewal *renewal, int64_t duration)
{
    int64_t thousandths = (int64_t)(next_chance(renewal) % (2 * SPREAD + 1)) - SPREAD;
    return duration + duration / 1000 * thousandths;
}

static int64_t least(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

void renewal_begin(struct renewal *renewal, enum renewal_need need, unsigned margin, uint64_t seed)
{
    *renewal = (struct renewal){.chance = seed, .forced_at = RENEWAL_NEVER};
    renewal_set_need(renewal, need);
    renewal_set_margin(renewal, margin);
}

void renewal_set_need(struct renewal *renewal, enum renewal_need need)
{
    renewal->need = need;
}

void renewal_set_margin(struct renewal *renewal, unsigned margin)
{
    renewal->margin = (int64_t)margin * CLOCK_SECOND;
}

/* The end of what the token is used for. */
static int64_t ends_at(const struct renewal *renewal)
{
    return renewal->got_at + renewal->life - least(renewal->margin, renewal->life / MARGIN_PARTS);
}

bool renewal_is_good(const struct renewal *renewal, int64_t now)
{
    return renewal->has_token && now < ends_at(renewal);
}

uint32_t renewal_left(const struct renewal *renewal, int64_t now)
{
    return renewal_is_good(renewal, now) ? (uint32_t)((ends_at(renewal) - now) / CLOCK_SECOND) : 0;
}

static bool is_under_way(const struct renewal *renewal)
{
    return renewal->state == RENEWAL_ASKING || renewal->state == RENEWAL_RENEWING;
}

enum renewal_state renewal_state(const struct renewal *renewal, int64_t now)
{
    if (is_under_way(renewal))
        return renewal_is_good(renewal, now) ? RENEWAL_RENEWING : RENEWAL_ASKING;
    if (renewal->state == RENEWAL_FRESH && !renewal_is_good(renewal, now))
        return RENEWAL_EMPTY;
    return renewal->state;
}

/* --- when ------------------------------------------------------------------- */

static bool is_wanted(const struct renewal *renewal, int64_t now)
{
    return renewal->wanted_at != 0 && now < renewal->wanted_at + DAY;
}

/* When it is needed by itself, where nothing has failed. */
static int64_t needed_at(const struct renewal *renewal, int64_t now)
{
    if (renewal->need == RENEWAL_ALWAYS || is_wanted(renewal, now))
        return renewal->has_token ? least(renewal->renew_at, ends_at(renewal)) : 0;
    if (renewal->need == RENEWAL_DAILY)
        return renewal->got_at != 0 ? renewal->got_at + DAY : 0;
    return RENEWAL_NEVER;
}

int64_t renewal_due(const struct renewal *renewal, int64_t now)
{
    switch (renewal->state) {
    case RENEWAL_ASKING:
    case RENEWAL_RENEWING:
        return RENEWAL_NEVER;
    case RENEWAL_WAITING:
    case RENEWAL_STOPPED:
        return renewal->need != RENEWAL_WHEN_WANTED || is_wanted(renewal, now) ? renewal->next
                                                                               : RENEWAL_NEVER;
    case RENEWAL_EMPTY:
    case RENEWAL_FRESH:
        break;
    }
    return needed_at(renewal, now);
}

bool renewal_want(struct renewal *renewal, int64_t now)
{
    renewal_use(renewal, now);
    if (renewal->state == RENEWAL_WAITING || renewal->state == RENEWAL_STOPPED)
        return now >= renewal->next;
    if (renewal->state == RENEWAL_FRESH)
        renewal->renew_at = least(renewal->renew_at, now);
    return true;
}

void renewal_use(struct renewal *renewal, int64_t now)
{
    renewal->wanted_at = now > 0 ? now : 1;
}

int64_t renewal_next(const struct renewal *renewal)
{
    return renewal->next;
}

/* --- requests ---------------------------------------------------------------- */

void renewal_asked(struct renewal *renewal, int64_t now)
{
    renewal->asked_at = now;
    renewal->state = renewal_is_good(renewal, now) ? RENEWAL_RENEWING : RENEWAL_ASKING;
}

void renewal_got(struct renewal *renewal, uint32_t life, uint32_t refresh_in)
{
    int64_t lasts = (int64_t)life * CLOCK_SECOND, soonest = least(lasts / 2, MINUTE);
    int64_t told = refresh_in > 0 ? (int64_t)refresh_in * CLOCK_SECOND : lasts / 2;
    renewal->state = RENEWAL_FRESH;
    renewal->has_token = true;
    renewal->got_at = renewal->asked_at;
    renewal->life = lasts;
    renewal->renew_at = renewal->asked_at + spread(renewal, told > soonest ? told : soonest);
    renewal->failures = renewal->steps = 0;
    renewal->failed_since = 0;
}

/* Doubles with each step. */
static int64_t delay_after(uint32_t steps, int64_t first, int64_t last)
{
    int64_t delay = first;
    for (uint32_t i = 1; i < steps && delay < last; i++)
        delay *= 2;
    return least(delay, last);
}

void renewal_failed(struct renewal *renewal, int64_t now, enum entra_class class, uint32_t wait)
{
    bool passes = class == ENTRA_RETRY || class == ENTRA_PENDING;
    /* Somebody has acted, or the trouble is another one: the delay begins anew. */
    if (class != renewal->class)
        renewal->steps = 0;
    renewal->class = class;
    renewal->steps++;
    renewal->failures++;
    if (renewal->failed_since == 0)
        renewal->failed_since = now;
    renewal->state = passes ? RENEWAL_WAITING : RENEWAL_STOPPED;
    int64_t delay = spread(renewal, delay_after(renewal->steps, passes ? RETRY_FIRST : STOP_FIRST,
                                                passes ? RETRY_LAST : STOP_LAST));
    int64_t asked_for = least((int64_t)wait * CLOCK_SECOND, WAIT_LAST);
    /* Not before it, and not all at once behind it. */
    if (delay < asked_for)
        delay = asked_for + asked_for / 1000 * (int64_t)(next_chance(renewal) % SPREAD);
    renewal->next = now + delay;
}

void renewal_abandon(struct renewal *renewal, int64_t now)
{
    if (!is_under_way(renewal))
        return;
    renewal->state = renewal->has_token ? RENEWAL_FRESH : RENEWAL_EMPTY;
    renewal->renew_at = now;
}

void renewal_change(struct renewal *renewal, int64_t now)
{
    if (renewal->state == RENEWAL_FRESH)
        renewal->renew_at = least(renewal->renew_at, now);
    renewal->next = least(renewal->next, now);
    renewal->steps = 0;
}

bool renewal_force(struct renewal *renewal, int64_t now)
{
    if (renewal->forced_at != RENEWAL_NEVER && now < renewal->forced_at + FORCE_PAUSE)
        return false;
    renewal->forced_at = now;
    renewal_use(renewal, now);
    renewal_change(renewal, now);
    return true;
}

void renewal_forget(struct renewal *renewal)
{
    renewal->has_token = false;
    renewal->failures = renewal->steps = 0;
    renewal->failed_since = 0;
    renewal->got_at = 0;
    if (!is_under_way(renewal))
        renewal->state = RENEWAL_EMPTY;
}
