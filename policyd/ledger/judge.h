/* judge.h - does this fit into an account's windows now, and if not, when?
 *
 * Private to the ledger. Changes nothing but where windows begin.
 */
#ifndef POST365_POLICYD_LEDGER_JUDGE_H
#define POST365_POLICYD_LEDGER_JUDGE_H

#include "policyd/ledger/parts.h"

/* What comes before a request: it is taken to be granted and sent by `floor`. */
struct judge_ahead {
    uint64_t amount[HISTORY_MEASURES];
    int64_t floor;
    bool is_somebody;
};

/* The window that a rate looks back on; what is not limited is looked at for as long as it is kept.
 * Microseconds. */
int64_t judge_span(const struct ledger *ledger, const struct account *account,
                   const struct quota_rate *rate);

/* `account` is up to date (ledger_refresh), or NULL if it is not known. LEDGER_GRANTED, _LATER or
 * _NEVER. */
void judge(struct ledger *ledger, struct account *account, const struct ledger_request *request,
           const struct judge_ahead *ahead, struct ledger_answer *answer);

/* The same for somebody in the queue of an account. */
void judge_waiter(struct ledger *ledger, struct waiter *waiter, const struct judge_ahead *ahead,
                  struct ledger_answer *answer);

/* Adds him, with his promise, to what comes before others. */
void judge_add_waiter(struct judge_ahead *ahead, const struct waiter *waiter);

/* The same for somebody who comes behind the account's queue; brings the account up to date. */
void judge_newcomer(struct ledger *ledger, struct account *account,
                    const struct ledger_request *request, struct ledger_answer *answer);

#endif
