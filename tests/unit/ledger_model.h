/* ledger_model.h - the ledger as simple as it can be written, to compare the real one with
 *
 * An exact log: every event in one list, every sum by adding them all up, every earliest time by
 * trying. It knows what happens to the log over a failed commit, a restart and a clock that was set
 * back.
 */
#ifndef POST365_TESTS_UNIT_LEDGER_MODEL_H
#define POST365_TESTS_UNIT_LEDGER_MODEL_H

#include "policyd/ledger.h"

#define MODEL_ACCOUNTS 3
#define MODEL_EVENTS   2000

struct model_event {
    int account;
    int64_t time;    /* as the ledger sees it now */
    int64_t written; /* as it is in the store */
    int64_t truth;   /* by a clock that is never set back */
    uint32_t amount[2];
    uint64_t id;      /* of an open reservation, else 0 */
    bool is_reserved; /* open */
    bool is_pruned;   /* out of every window as long as the ledger runs */
};

struct model {
    struct model_event events[MODEL_EVENTS];
    size_t count;
    bool asked[MODEL_ACCOUNTS];   /* in this batch */
    bool settled[MODEL_ACCOUNTS]; /* in this batch */
    int64_t guard, retention;
};

void model_judge(struct model *model, int account, const struct quota *quota,
                 const uint32_t *wanted, int64_t now, struct ledger_answer *answer);
void model_reserve(struct model *model, int account, const uint32_t *wanted, uint64_t id,
                   int64_t now);
void model_settle(struct model *model, uint64_t id, uint32_t recipients, int64_t now,
                  int64_t truth);
void model_release(struct model *model, uint64_t id);
void model_commit(struct model *model);
/* `before` is the model when the batch began. */
void model_undo(struct model *model, const struct model *before, int64_t now);
/* Background work: what is out of every window is forgotten. */
void model_tidy(struct model *model, int64_t now);
void model_restart(struct model *model, int64_t now, int64_t truth);

/* An open reservation's number, chosen by `nth`; 0 if there is none. */
uint64_t model_open_reservation(const struct model *model, unsigned nth);

/* The most that any interval as long as `period` truly held, by the clock that is never set back.
 */
uint64_t model_peak(const struct model *model, int account, enum ledger_measure measure,
                    int64_t period);

#endif
