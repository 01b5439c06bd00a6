/* parts.h - what the ledger is made of
 *
 * Private to this folder, whose contract is ledger.h: ledger.c decides and commits, judge.c
 * compares with the quotas, waiting.c serves who waits, opening.c reads the store, tidying.c does
 * the work in the background.
 */
#ifndef POST365_POLICYD_LEDGER_PARTS_H
#define POST365_POLICYD_LEDGER_PARTS_H

#include "common/agenda.h"
#include "policyd/ledger/accounts.h"
#include "policyd/ledger/batch.h"
#include "policyd/ledger/ledger.h"
#include "policyd/ledger/queue.h"
#include "policyd/ledger/reservations.h"

struct ledger {
    struct clock *clock;
    struct store *store;
    struct ledger_rules rules;
    int64_t retention; /* of the account that needs the longest */
    /* Of turns and of reservations alike. It starts at the time in microseconds, so that a number
     * is not given twice even over restarts, and whoever still holds an old one cannot settle
     * somebody else's reservation with it. */
    uint64_t next_sequence;
    uint32_t next_number; /* of accounts */
    struct accounts accounts;
    struct reservations reservations;
    struct batch batch;
    int64_t last_now; /* of the batch before */
    int64_t passed;   /* has come in any case: what may be forgotten is judged by it */
    size_t tidy_bucket;
    /* who waits */
    ledger_answered *answered;
    struct queue *queues;
    struct account *unserved;       /* whose queue may move */
    struct agenda heads, deadlines; /* of queues, of waiters */
    size_t waiter_count;
};

/* The time of the batch, which begins with the first question. */
int64_t ledger_now(struct ledger *ledger);
/* Outside a batch; notices that the clock was set back. */
int64_t ledger_read_clock(struct ledger *ledger);

/* Reserves what was granted, in an account that need not be known yet. */
struct reservation *ledger_take(struct ledger *ledger, struct account *account,
                                const struct ledger_request *request);

/* The longest that the account's events may be asked about. The store learns of it with the batch:
 * the next start must not forget what a longer period still needs. */
void ledger_need_retention(struct ledger *ledger, struct account *account, int64_t retention);

/* How far back an account's events matter: rules that came with a reload hold for those, too, that
 * have not been asked about since. */
int64_t ledger_retained(const struct ledger *ledger, const struct account *account);

/* Brings an account up to the present, with a quota that may look back further than any before. */
void ledger_refresh(struct ledger *ledger, struct account *account, const struct quota *quota,
                    int64_t now);

/* Something happened that may move the account's queue. */
void ledger_want_service(struct ledger *ledger, struct account *account);

/* What the owner waits for is forgotten. */
void ledger_forget_waiters(struct ledger *ledger, struct ledger_owner *owner);

/* The clock was set back. */
void ledger_rewind_queues(struct ledger *ledger, int64_t now);

/* Everybody is forgotten, at the end. */
void ledger_drop_queues(struct ledger *ledger);

#endif
