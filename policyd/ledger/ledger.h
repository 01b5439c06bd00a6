/* ledger.h - may this account send this much now, and if not, when?
 *
 * One ledger holds the accounts' exact sliding windows over recipients and messages. What was
 * granted is in the store before anybody is told: calls between two ledger_commit()s form one batch
 * (a turn of the event loop), and nothing of it may be answered before ledger_commit() returned
 * true. In a batch the time stands still, so that what one account does in it is one event.
 *
 * Invariants: no interval as long as a quota's period ever holds more than its limit, and nothing
 * is turned away that an exact log would admit, to within the guard. Asking and being refused
 * change nothing. If the clock is set back, events that lie in the future are moved to the present,
 * never lost. An event is forgotten when its time has passed by clock_passed().
 *
 * All times are the ledger's own, which need not be those of the wall clock (timescale.h), but for
 * ledger_history(): ledger_shown() and ledger_meant() turn one into the other.
 *
 * A ledger belongs to one thread. It neither sleeps nor reads the clock but through its `clock`.
 */
#ifndef POST365_POLICYD_LEDGER_LEDGER_H
#define POST365_POLICYD_LEDGER_LEDGER_H

#include "common/clock.h"
#include "common/error.h"
#include "common/quota.h"
#include "policyd/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A limit above this is this: no account sends two thousand million messages in a period. */
#define LEDGER_LIMIT_MAX ((uint32_t)INT32_MAX)

struct ledger;

struct ledger_rules {
    int64_t guard;     /* microseconds, added to every period */
    int64_t retention; /* keep events at least that long, even if an account's own periods are
                          shorter */
};

/* What somebody wants to send. */
struct ledger_request {
    const char *account; /* the folded UPN */
    const struct quota *quota;
    uint32_t recipients;
    uint32_t messages;
};

enum ledger_verdict {
    LEDGER_GRANTED,
    LEDGER_WAITING, /* from ledger_wait() alone: it will be answered */
    LEDGER_LATER,   /* at `earliest` */
    LEDGER_NEVER,   /* more than the quota itself */
};

enum ledger_measure { LEDGER_RECIPIENTS, LEDGER_MESSAGES };

/* How long a probe of an account is taken to be under way, where a time must be named: Microsoft
 * answers a failed AUTH about 5 s late. */
#define LEDGER_PROBE (5 * CLOCK_SECOND)

/* What stands in the way of a request. */
enum ledger_obstacle {
    LEDGER_QUOTA, /* a window, see `measure` */
    LEDGER_PAUSE, /* the account is paused, or is being probed */
    LEDGER_ORDER, /* there would be room, but others of the account wait for more of it */
};

struct ledger_answer {
    enum ledger_verdict verdict;
    int64_t now;      /* the time it was decided at */
    uint64_t id;      /* LEDGER_GRANTED by ledger_reserve(): the reservation */
    int64_t earliest; /* LEDGER_WAITING, LEDGER_LATER: when it will be granted, if nobody comes
                         between, open reservations turn out as sent now, and who waits before it
                         sends at once; while an account is probed it may be earlier. INT64_MAX:
                         when somebody ends the pause. */
    enum ledger_obstacle obstacle; /* LEDGER_WAITING, LEDGER_LATER: the one that lasts longest */
    /* LEDGER_QUOTA, LEDGER_NEVER: the window that refuses; of two the one that refuses longer */
    enum ledger_measure measure;
    uint32_t used; /* in it now, by events and open reservations */
    struct quota_rate rate;
    const char *cause; /* LEDGER_PAUSE: why; valid until the ledger is next changed */
};

/*
 * Opens a ledger on what the store holds. Reservations that were open when the last one ended, and
 * events that lie in the future, count as sent, now. The store is used until ledger_close() and is
 * closed by it; it stays the caller's if NULL is returned. NULL with the reason if the store cannot
 * be read or makes no sense: the ledger does not guess.
 */
struct ledger *ledger_open(struct clock *clock, struct store *store,
                           const struct ledger_rules *rules, struct error *error);

/* Other rules from now on, as after a reload. What was counted stays counted, and what a longer
 * period still finds it holds on to. */
void ledger_configure(struct ledger *ledger, const struct ledger_rules *rules);

/* Would it be granted now? Changes nothing, but that a quota which looks back further than any
 * before is minded from now on. */
void ledger_ask(struct ledger *ledger, const struct ledger_request *request,
                struct ledger_answer *answer);

/* A time of the ledger's by the wall clock, and back; INT64_MAX stays what it is. */
int64_t ledger_shown(const struct ledger *ledger, int64_t time);
int64_t ledger_meant(const struct ledger *ledger, int64_t shown);

/* Takes what is wanted out of the quota until ledger_settle() or ledger_release(). Who asks while
 * others of the account wait comes behind them. */
void ledger_reserve(struct ledger *ledger, const struct ledger_request *request,
                    struct ledger_answer *answer);

/* ledger_reserve() and ledger_settle() in one: it is sent now. */
void ledger_count(struct ledger *ledger, const struct ledger_request *request,
                  struct ledger_answer *answer);

/* It was sent now, to that many recipients (at most those reserved). To none is ledger_release().
 * False if there is no such reservation (any more). */
bool ledger_settle(struct ledger *ledger, uint64_t id, uint32_t recipients);

/* The same, but nobody has said that it was sent: it counts, and ends no row of failures. */
bool ledger_settle_doubtful(struct ledger *ledger, uint64_t id, uint32_t recipients);

/*
 * Whom reservations, and places in a queue, belong to: all zero owns none. The owner stays where it
 * is for as long as ledger_owns_any(). A reservation that was given away in this batch goes with it
 * if the batch is not written; one that was ended in it is the owner's again.
 */
struct ledger_owner {
    struct reservation *first;
    struct waiter *waiting;
};

/* Gives a reservation that nobody owns to an owner. */
void ledger_give(struct ledger *ledger, uint64_t id, struct ledger_owner *owner);

bool ledger_owns(const struct ledger *ledger, const struct ledger_owner *owner, uint64_t id);
static inline bool ledger_owns_any(const struct ledger_owner *owner)
{
    return owner->first != NULL || owner->waiting != NULL;
}

/* The owner is no more: what he has reserved counts as sent now, what he waits for is forgotten. */
void ledger_abandon(struct ledger *ledger, struct ledger_owner *owner);

/* --- waiting ---
 *
 * The waiters of an account are served first come, first served: nobody is granted anything while
 * somebody waits before him. Places in a queue are no part of a batch: who was answered, or was
 * abandoned, is out of it even if the batch is not written. */

/* Who may wait for an account at once. */
#define LEDGER_QUEUE_MAX 1000

/* Answers who waited: LEDGER_GRANTED, with a reservation that was given to his owner and is part of
 * the batch, LEDGER_LATER, when his time is up or it has become clear that it will not do, or
 * LEDGER_NEVER. `context` is that of ledger_wait(). It must not call the ledger. */
typedef void ledger_answered(void *context, const struct ledger_answer *answer);
void ledger_on_answer(struct ledger *ledger, ledger_answered *answered);

/*
 * As ledger_reserve(), with the reservation given to `owner`. What has no room now but will have
 * within `wait` microseconds (0: nobody waits) gets a place in the account's queue, as long as
 * fewer than LEDGER_QUEUE_MAX are in it (LEDGER_WAITING), and exactly one
 * call of `answered` from a later ledger_serve(), unless the owner is abandoned before. A waiter
 * keeps the quota with which he came.
 */
void ledger_wait(struct ledger *ledger, const struct ledger_request *request, int64_t wait,
                 struct ledger_owner *owner, void *context, struct ledger_answer *answer);

/* As ledger_reserve(), with the reservation given to `owner`, whether there is room or not: what is
 * under way cannot be stopped any more, and its reservation was lost (counted as sent) with an
 * owner or a process that is no more. It may turn out as sent a second time; less would be too
 * little. */
void ledger_insist(struct ledger *ledger, const struct ledger_request *request,
                   struct ledger_owner *owner, struct ledger_answer *answer);

/* Grants what has room now, then answers whose time is up. To be called before each
 * ledger_commit(), and when ledger_due() has come; costs nothing if neither a waiting account was
 * touched nor anything is due. */
void ledger_serve(struct ledger *ledger);

/* When ledger_serve() will next have something to do; INT64_MAX if nobody waits. */
int64_t ledger_due(const struct ledger *ledger);

/* Who waits, of all accounts. */
size_t ledger_waiter_count(const struct ledger *ledger);

/* --- pausing ---
 *
 * Microsoft has said no: its limits are shared with others who use the mailbox, so that the
 * ledger's own count is only a lower bound. */

/* How long a pause lasts. */
struct ledger_pause {
    const char *cause; /* for people; cut off at STORE_CAUSE_MAX bytes */
    /* With most == 0: by hand, which ends a row of failures. INT64_MAX: until ledger_resume(). */
    int64_t until;
    /* With most > 0 the pause is `least` long, and twice that, four times that, ... each time it
     * follows one without success in between, but at most `most`. When it is over, a reservation is
     * granted as a probe where none is open, the next when it was settled with a recipient
     * (success, which ends the row) or released, or the next pause is over. An owner who vanishes
     * is no success. A pause that began in the future begins now: the clock was set back. */
    int64_t least, most;
};

/* Grants nothing more until the pause is over; part of the batch. Open reservations stay. A growing
 * pause changes nothing while another one is in force: several messages may have been under way
 * when the first began, and what somebody paused by hand stays paused. */
void ledger_pause(struct ledger *ledger, const char *account, const struct ledger_pause *pause);

/* Ends a pause and its row of failures; part of the batch. False if it is neither paused nor
 * probed, or not for this cause (NULL: any), cut off as that is. */
bool ledger_resume(struct ledger *ledger, const char *account, const char *cause);

/* What is known about an account's pause. */
struct ledger_pause_state {
    bool is_paused;  /* now */
    bool is_probing; /* the pause is over, success is still to come */
    int64_t since, until;
    uint32_t failures;
    const char *cause; /* valid until the ledger is next changed */
};
/* False: neither paused nor probed. */
bool ledger_pause_of(struct ledger *ledger, const char *account, struct ledger_pause_state *state);

/* It was not sent and costs nothing. False if there is no such reservation (any more). */
bool ledger_release(struct ledger *ledger, uint64_t id);

/*
 * Ends the batch. True: everything since the last commit is in the store, and may be told. False
 * with the reason: none of it has happened - nothing is reserved, settled or released - and whoever
 * waits for it must be told to try again later. A batch without changes writes nothing.
 */
bool ledger_commit(struct ledger *ledger, struct error *error);

/* Background work between batches (does nothing inside one): expired events and idle accounts go,
 * the store is maintained. Bounded; meant to be called about once a second, and again soon if there
 * is `more` to do. False with the reason; nothing is lost by that. */
bool ledger_tidy(struct ledger *ledger, bool *more, struct error *error);

/* What an account has of its quota. */
struct ledger_use {
    int64_t now;
    uint32_t used[2];     /* by enum ledger_measure; open reservations included */
    uint32_t reserved[2]; /* by open reservations */
    size_t waiting;       /* requests */
};

/* Nothing used if the account is not known. With an unlimited rate: as long as its events are kept.
 */
void ledger_use(struct ledger *ledger, const char *account, const struct quota *quota,
                struct ledger_use *use);

struct ledger_entry {
    uint32_t number;
    const char *name; /* valid until the ledger is next changed */
};

/* The next accounts in the order of their numbers, those above `after`. Returns how many there are,
 * at most `most`. */
size_t ledger_list(const struct ledger *ledger, uint32_t after, struct ledger_entry *entries,
                   size_t most);

/* What an account sent within `width` microseconds from `begin`. */
struct ledger_slot {
    int64_t begin;
    uint32_t sent[2]; /* by enum ledger_measure */
};

/* The slots from `*from` on in which something was sent, at most `most`; each begins at a multiple
 * of `width`, all by the wall clock. `*from` becomes where to go on, INT64_MAX at the end. Costs
 * O(log n) a slot. */
size_t ledger_history(struct ledger *ledger, const char *account, int64_t *from, int64_t width,
                      struct ledger_slot *slots, size_t most);

/* How long a quota looks back: the longer of its limited periods, 0 if there is none. */
int64_t ledger_longest_period(const struct quota *quota);

/* Accounts and reservations that are held in memory. */
size_t ledger_account_count(const struct ledger *ledger);
size_t ledger_reservation_count(const struct ledger *ledger);

/* Commits nothing more; closes the store. */
void ledger_close(struct ledger *ledger);

#endif
