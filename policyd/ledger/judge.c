/* judge.c - does this fit into an account's windows now, and if not, when?
 *
 * What an account sends is seen as one sequence: its events, then its open reservations (taken to
 * be sent now), then who waits (taken to be sent when each will be granted). A window holds the end
 * of that sequence; there is room when enough of its beginning has left it.
 */
#include "policyd/ledger/judge.h"

int64_t judge_span(const struct ledger *ledger, const struct account *account,
                   const struct quota_rate *rate)
{
    int64_t period = rate->limit == QUOTA_UNLIMITED ? account->retention : rate->period;
    return period + ledger->rules.guard;
}

/* When `amount` of the sequence will have left the window. */
static int64_t when_left(struct account *account, enum history_measure measure, int64_t span,
                         int64_t now, uint64_t amount)
{
    uint32_t used = history_used(&account->history, measure, span, now);
    if (amount <= used)
        return history_when_left(&account->history, measure, span, now, (uint32_t)amount);
    amount -= used;
    if (amount <= account->reserved[measure])
        return now + span;
    amount -= account->reserved[measure];
    const struct waiter *waiter = account->queue != NULL ? account->queue->first : NULL;
    while (waiter != NULL && amount > waiter->amount[measure]) {
        amount -= waiter->amount[measure];
        waiter = waiter->next;
    }
    int64_t sent = waiter != NULL ? waiter->promise : now;
    return sent < INT64_MAX ? sent + span : now; /* never: the pause will say so */
}

/* One window's opinion. */
struct opinion {
    enum ledger_verdict verdict;
    int64_t earliest;
    uint32_t used;
};

static struct opinion judge_window(const struct ledger *ledger, struct account *account,
                                   enum history_measure measure, const struct quota_rate *rate,
                                   uint32_t wanted, uint64_t ahead, int64_t now)
{
    uint32_t limit = rate->limit < LEDGER_LIMIT_MAX ? rate->limit : LEDGER_LIMIT_MAX;
    int64_t span = account != NULL ? judge_span(ledger, account, rate) : 0;
    struct opinion opinion = {.verdict = LEDGER_GRANTED, .earliest = now};
    if (account != NULL && span > 0)
        opinion.used =
            history_used(&account->history, measure, span, now) + account->reserved[measure];
    uint64_t taken = opinion.used + ahead;
    if (wanted > limit) {
        opinion.verdict = LEDGER_NEVER;
    } else if (wanted > 0 && account != NULL && taken > limit - wanted) {
        opinion.verdict = LEDGER_LATER;
        opinion.earliest = when_left(account, measure, span, now, taken - (limit - wanted));
    }
    return opinion;
}

static void take_opinion(const struct opinion *opinion, enum ledger_measure measure,
                         const struct quota_rate *rate, struct ledger_answer *answer)
{
    bool longer = opinion->verdict > answer->verdict ||
                  (opinion->verdict == LEDGER_LATER && answer->verdict == LEDGER_LATER &&
                   opinion->earliest > answer->earliest);
    if (!longer)
        return;
    answer->verdict = opinion->verdict;
    answer->earliest = opinion->earliest;
    answer->measure = measure;
    answer->used = opinion->used;
    answer->rate = *rate;
    if (answer->rate.limit > LEDGER_LIMIT_MAX)
        answer->rate.limit = LEDGER_LIMIT_MAX;
}

/* Not before `time`, for another reason than a window. */
static void put_off(struct ledger_answer *answer, int64_t time, enum ledger_obstacle obstacle)
{
    if (answer->verdict == LEDGER_NEVER ||
        (answer->verdict == LEDGER_LATER && answer->earliest >= time))
        return;
    answer->verdict = LEDGER_LATER;
    answer->earliest = time;
    answer->obstacle = obstacle;
}

static void judge_pause(const struct account *account, const struct judge_ahead *ahead,
                        struct ledger_answer *answer)
{
    const struct pause *pause = account->pause;
    if (pause_is_in_force(pause, answer->now))
        put_off(answer, pause->until, LEDGER_PAUSE);
    else if (pause_is_probing(pause, answer->now) && (account->open > 0 || ahead->is_somebody))
        put_off(answer, answer->now + LEDGER_PROBE, LEDGER_PAUSE);
    if (answer->obstacle == LEDGER_PAUSE)
        answer->cause = pause->cause;
}

void judge(struct ledger *ledger, struct account *account, const struct ledger_request *request,
           const struct judge_ahead *ahead, struct ledger_answer *answer)
{
    const struct quota_rate *rates[] = {&request->quota->recipients, &request->quota->messages};
    const uint32_t wanted[] = {request->recipients, request->messages};
    int64_t now = ledger_now(ledger);
    *answer = (struct ledger_answer){.verdict = LEDGER_GRANTED, .now = now, .earliest = now};
    for (size_t i = 0; i < HISTORY_MEASURES; i++) {
        struct opinion opinion = judge_window(ledger, account, (enum history_measure)i, rates[i],
                                              wanted[i], ahead->amount[i], now);
        take_opinion(&opinion, (enum ledger_measure)i, rates[i], answer);
    }
    if (account != NULL)
        judge_pause(account, ahead, answer);
    if (ahead->is_somebody)
        put_off(answer, ahead->floor, LEDGER_ORDER);
}

/* --- the queue ---------------------------------------------------------------- */

void judge_waiter(struct ledger *ledger, struct waiter *waiter, const struct judge_ahead *ahead,
                  struct ledger_answer *answer)
{
    const struct ledger_request request = {.quota = &waiter->quota,
                                           .recipients = waiter->amount[HISTORY_RECIPIENTS],
                                           .messages = waiter->amount[HISTORY_MESSAGES]};
    judge(ledger, waiter->queue->account, &request, ahead, answer);
    waiter->promise = answer->earliest;
}

void judge_add_waiter(struct judge_ahead *ahead, const struct waiter *waiter)
{
    for (size_t i = 0; i < HISTORY_MEASURES; i++)
        ahead->amount[i] += waiter->amount[i];
    ahead->floor = waiter->promise;
    ahead->is_somebody = true;
}

/* The promises hold until something happens to the account, or their time has come. As long as now
 * plays a part in them - reservations are taken to be sent, a probe to begin - they hold until now
 * is later. */
static bool promises_hold(const struct queue *queue, int64_t now)
{
    const struct account *account = queue->account;
    return queue->promised == now ||
           (queue->promised != INT64_MIN && account->open == 0 && queue->first->promise >= now &&
            !pause_is_probing(account->pause, now));
}

static void renew_promises(struct ledger *ledger, struct queue *queue, int64_t now)
{
    struct judge_ahead ahead = {.floor = now};
    struct ledger_answer answer;
    if (promises_hold(queue, now))
        return;
    for (struct waiter *waiter = queue->first; waiter != NULL; waiter = waiter->next) {
        judge_waiter(ledger, waiter, &ahead, &answer);
        judge_add_waiter(&ahead, waiter);
    }
    queue->promised = now;
}

void judge_newcomer(struct ledger *ledger, struct account *account,
                    const struct ledger_request *request, struct ledger_answer *answer)
{
    struct judge_ahead ahead = {.floor = ledger_now(ledger)};
    if (account != NULL)
        ledger_refresh(ledger, account, request->quota, ahead.floor);
    const struct queue *queue = account != NULL ? account->queue : NULL;
    if (queue != NULL) {
        renew_promises(ledger, account->queue, ahead.floor);
        for (size_t i = 0; i < HISTORY_MEASURES; i++)
            ahead.amount[i] = queue->waiting[i];
        ahead.floor = queue->last->promise > ahead.floor ? queue->last->promise : ahead.floor;
        ahead.is_somebody = true;
    }
    judge(ledger, account, request, &ahead, answer);
}
