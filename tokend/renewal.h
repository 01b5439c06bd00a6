/* renewal.h - when an access token is asked for, how long one is used
 *
 * A state machine for one subject: one request under way at most; who needs a token waits for it
 * only if there is none that is good. Pure: times are microseconds of a clock that nobody sets,
 * given by the caller (CLOCK_BOOTTIME, so that sleep counts), chance comes from a seed.
 *
 * A token is good until a margin before its end, so that no login begins with one that ends under
 * way: 60 s, for High Volume Email 600 s (cloud_margin()); at most a quarter of its life, since
 * a margin that is longer than the life would make every token useless. It is renewed at
 * `refresh_in`, where the endpoint says that, else at half of its life, ten per cent earlier or
 * later, so that many hosts do not ask together; never in the margin, and not within a minute
 * (or half of a life that is shorter than two), so that no endpoint has itself asked without end.
 *
 * What passes by itself (ENTRA_RETRY) is tried again after 1 s, doubling up to 5 min; what somebody
 * must mend, after 1 min, doubling up to 1 h, and at once when a file of the registration has
 * changed. A wait that the endpoint asks for is kept in any case, up to 1 h.
 *
 * Renewed are: an application's token while somebody has asked for one within a day, or always
 * where the registration stands in the tables, since a secret that no longer works shall be known
 * before mail needs it; a user's grant likewise while it is used, and once a day otherwise, since
 * one that nobody uses for 90 days ends.
 *
 * Sources: RFC 6749 section 5.1, RFC 9110 section 10.2.3; Microsoft Learn, "Access tokens in the
 * Microsoft identity platform", "Refresh tokens in the Microsoft identity platform".
 */
#ifndef POST365_TOKEND_RENEWAL_H
#define POST365_TOKEND_RENEWAL_H

#include "common/agenda.h"
#include "common/entra/cause.h"

#include <stdbool.h>
#include <stdint.h>

#define RENEWAL_NEVER AGENDA_NEVER

enum renewal_state {
    RENEWAL_EMPTY,    /* nothing has been asked for */
    RENEWAL_ASKING,   /* a request is under way, and there is no token that is good */
    RENEWAL_FRESH,    /* the last request gave a token */
    RENEWAL_RENEWING, /* a request is under way, and the token is good meanwhile */
    RENEWAL_WAITING,  /* the last request failed; the next one follows by itself */
    RENEWAL_STOPPED   /* the same, and somebody must act */
};

enum renewal_need {
    RENEWAL_WHEN_WANTED, /* while somebody has asked within a day */
    RENEWAL_ALWAYS,
    RENEWAL_DAILY /* once a day at least */
};

struct renewal {
    uint64_t chance;
    enum renewal_state state;
    enum renewal_need need;
    int64_t margin;
    bool has_token;
    int64_t asked_at;  /* of the request that is under way */
    int64_t got_at;    /* when the token was asked for; 0: never */
    int64_t life;      /* of the token, from then on */
    int64_t renew_at;  /* while fresh */
    int64_t wanted_at; /* when somebody last asked; 0: never */
    int64_t next;      /* while waiting or stopped */
    int64_t failed_since;
    int64_t forced_at;      /* RENEWAL_NEVER: never */
    uint32_t failures;      /* in a row */
    uint32_t steps;         /* of the delay, which begins anew more often */
    enum entra_class class; /* of the last failure */
};

/* `margin` in seconds. */
void renewal_begin(struct renewal *renewal, enum renewal_need need, unsigned margin, uint64_t seed);
/* They have changed. */
void renewal_set_need(struct renewal *renewal, enum renewal_need need);
void renewal_set_margin(struct renewal *renewal, unsigned margin);

/* Whether a token is good now, and for how many seconds more. */
bool renewal_is_good(const struct renewal *renewal, int64_t now);
uint32_t renewal_left(const struct renewal *renewal, int64_t now);

/* The state as it is to be told: a token that has ended since is none. */
enum renewal_state renewal_state(const struct renewal *renewal, int64_t now);

/* When a request is to be begun; RENEWAL_NEVER: not by itself, or one is under way. */
int64_t renewal_due(const struct renewal *renewal, int64_t now);

/* Somebody needs a token. True: one is asked for, or will be at once; false: it failed, and the
 * next attempt is at renewal_next(). Not to be called while the token is good. */
bool renewal_want(struct renewal *renewal, int64_t now);
/* Somebody got one: it goes on being renewed. */
void renewal_use(struct renewal *renewal, int64_t now);
/* When the next attempt is after a failure. */
int64_t renewal_next(const struct renewal *renewal);

/* A request has begun. */
void renewal_asked(struct renewal *renewal, int64_t now);
/* It gave a token for so many seconds since it began; `refresh_in` as answered, 0: not said. */
void renewal_got(struct renewal *renewal, uint32_t life, uint32_t refresh_in);
/* It did not; `wait` seconds are asked for. */
void renewal_failed(struct renewal *renewal, int64_t now, enum entra_class class, uint32_t wait);
/* It was given up: as if it had never been. */
void renewal_abandon(struct renewal *renewal, int64_t now);

/* What the requests are made with has changed: the next one is at once. */
void renewal_change(struct renewal *renewal, int64_t now);

/* Somebody wants a new one whether there is one or not; at most once a minute. False: not now. */
bool renewal_force(struct renewal *renewal, int64_t now);

/* The token is of no use to anybody: a user's grant was given up, or the registration is another.
 */
void renewal_forget(struct renewal *renewal);

#endif
