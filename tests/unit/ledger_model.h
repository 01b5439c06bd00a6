/* ledger_model.h - the ledger as simple as it can be written, to compare the real one with
 *
 * An exact log, written from the words of policyd/ledger/ledger.h alone: every event in one list,
 * every sum by adding them all up, every earliest time by trying. It knows what happens to the log,
 * to who waits and to pauses over a failed commit, a restart and a clock that was set.
 *
 * One thing it leaves open: how long an event is kept that no window needs. `horizon` is the time
 * up to which events may be gone; model_adopt() takes over what the ledger still has of them, and
 * what a restart made of events that a clock was set back behind, within what is allowed.
 */
#ifndef POST365_TESTS_UNIT_LEDGER_MODEL_H
#define POST365_TESTS_UNIT_LEDGER_MODEL_H

#include "policyd/ledger/ledger.h"

#define MODEL_ACCOUNTS 3
#define MODEL_EVENTS   2000
#define MODEL_OPEN     400
#define MODEL_NOBODY   (-1)

struct model_event {
    int account;
    int64_t time;    /* as the ledger sees it now */
    int64_t written; /* as it is in the store */
    int64_t truth;   /* by a clock that is never set */
    uint32_t amount[2];
    bool is_lost; /* the ledger has forgotten it, as it may */
};

struct model_reservation {
    uint64_t id; /* 0: not known yet, see model_identify() */
    int account, owner, ticket;
    uint32_t amount[2];
};

struct model_waiter {
    int account, owner, ticket;
    struct quota quota;
    uint32_t wanted[2];
    int64_t wait, deadline;
};

struct model_pause {
    bool is_set;
    int64_t since, until;
    int64_t written_since; /* before a clock that was set back moved it */
    uint32_t failures;
    char cause[STORE_CAUSE_MAX + 1];
};

/* Per account: what the ledger has promised to keep. */
struct model_memory {
    int64_t asked;   /* the longest period that it was asked for */
    int64_t saved;   /* and that a restart remembers */
    bool is_minded;  /* it was asked about, or sent, in this batch */
    bool is_longer;  /* in this batch it was asked for longer than that, known or not */
    int64_t horizon; /* events up to here may be gone */
};

struct model {
    int64_t guard, retention;
    int64_t now, truth; /* of the batch */
    struct model_pause pauses[MODEL_ACCOUNTS];
    struct model_memory memory[MODEL_ACCOUNTS];
    size_t event_count, reservation_count, waiter_count;
    struct model_event events[MODEL_EVENTS];
    struct model_reservation reservations[MODEL_OPEN];
    struct model_waiter waiters[MODEL_OPEN]; /* in the order in which they came */
};

struct model_request {
    int account;
    const struct quota *quota;
    uint32_t wanted[2];
};

/* What the ledger may answer: of things that last equally long it may name any. */
struct model_answer {
    int account, ticket; /* of model_serve() */
    enum ledger_verdict verdict;
    int64_t earliest;
    bool obstacle[3];
    bool measure[2];
    uint32_t used[2];
};

/* One time at which the ledger says that something was sent. */
struct model_slot {
    int64_t time;
    uint32_t sent[2];
};

void model_copy(struct model *to, const struct model *from);

/* A batch begins. */
/* The account, if it is known, was looked at with this quota: its events are kept for as long as
 * that looks back. */
void model_mind(struct model *model, int account, const struct quota *quota);
/* Whether the batch may make an account look back further than ever. */
bool model_looks_further(const struct model *model);
void model_begin(struct model *model, int64_t now, int64_t truth);
void model_commit(struct model *model);
/* `before` is the model when the batch began. */
void model_undo(struct model *model, const struct model *before);
/* The ledger was closed, or was killed outside a batch, and is opened again. */
void model_restart(struct model *model, int64_t now, int64_t truth);
void model_configure(struct model *model, const struct ledger_rules *rules);
/* Background work: idle accounts may be forgotten. */
void model_tidy(struct model *model);

void model_judge(struct model *model, const struct model_request *request,
                 struct model_answer *answer);
/* What follows from LEDGER_GRANTED and from LEDGER_WAITING. */
void model_reserve(struct model *model, const struct model_request *request, uint64_t id,
                   int owner);
void model_count(struct model *model, const struct model_request *request);
/* LEDGER_WAITING only if it can be granted in time. */
void model_judge_wait(struct model *model, const struct model_request *request, int64_t wait,
                      struct model_answer *answer);
void model_enqueue(struct model *model, const struct model_request *request, int64_t wait,
                   int owner, int ticket);

void model_give(struct model *model, uint64_t id, int owner);
void model_settle(struct model *model, uint64_t id, uint32_t recipients);
void model_release(struct model *model, uint64_t id);
void model_abandon(struct model *model, int owner);

/* Answers whom it can, at most `most`; returns how many. */
size_t model_serve(struct model *model, struct model_answer *answers, size_t most);
/* The reservation of who waited with this ticket. */
void model_identify(struct model *model, int ticket, uint64_t id);
/* When time alone makes model_serve() answer somebody. `exact` if there is no open reservation
 * whose end the ledger would have to guess. */
int64_t model_due(struct model *model, bool *exact);

void model_pause(struct model *model, int account, const struct ledger_pause *pause);
bool model_resume(struct model *model, int account);
bool model_pause_of(const struct model *model, int account, struct ledger_pause_state *state);
/* If it became `now`, a pause by hand that is over would begin again, if it is not forgotten. */
bool model_would_pause_again(const struct model *model, int64_t now);
/* A restart may find the pause as it was written before a clock that was set back moved it. */
void model_adopt_pause(struct model *model, int account, int64_t since);
bool model_is_probing(const struct model *model, int account);
/* A reservation keeps the next one from being granted as a probe. */
bool model_has_probe(const struct model *model, int account);

/* What the window holds, with and without open reservations. */
uint32_t model_used(const struct model *model, int account, int measure, int64_t period);
uint32_t model_reserved(const struct model *model, int account, int measure);
size_t model_waiting(const struct model *model, int account);
bool model_owns_any(const struct model *model, int owner);

/* Whether every event that could matter for these quotas, or for who waits, must still be there. */
bool model_is_certain(const struct model *model, const struct quota *quotas, size_t count,
                      int64_t now);
/* Takes over the times at which the ledger says something was sent. Returns what is wrong with
 * them, or NULL. */
const char *model_adopt(struct model *model, int account, const struct model_slot *slots,
                        size_t count, bool after_restart);

/* The most that any interval as long as `period` truly held, by the clock that is never set. */
uint64_t model_peak(const struct model *model, int account, int measure, int64_t period);

#endif
