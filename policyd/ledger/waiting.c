/* waiting.c - first come, first served
 *
 * The head of a queue alone is compared with the quota; the others are behind it. It is looked at
 * again when its time has come, and when something happens to the account that may let it go
 * earlier or later: a reservation ends, a pause begins or ends, somebody before it goes away, the
 * clock is set back. Nothing is looked at all the time.
 */
#include "policyd/ledger/judge.h"
#include "policyd/ledger/parts.h"

/* --- the queues ---------------------------------------------------------------- */

void ledger_want_service(struct ledger *ledger, struct account *account)
{
    if (account->queue == NULL)
        return;
    account->queue->promised = INT64_MIN;
    if (account->is_unserved)
        return;
    account->is_unserved = true;
    account->next_unserved = ledger->unserved;
    ledger->unserved = account;
}

/* Who is answered, or goes away. */
static void remove_waiter(struct ledger *ledger, struct waiter *waiter)
{
    agenda_set(&ledger->deadlines, &waiter->deadline, AGENDA_NEVER);
    ledger_want_service(ledger, waiter->queue->account);
    ledger->waiter_count--;
    queue_remove(waiter);
}

static void remove_if_empty(struct ledger *ledger, struct account *account)
{
    if (account->queue == NULL || account->queue->count > 0)
        return;
    agenda_set(&ledger->heads, &account->queue->head, AGENDA_NEVER);
    queue_free(account->queue);
    account->queue = NULL;
}

void ledger_forget_waiters(struct ledger *ledger, struct ledger_owner *owner)
{
    while (owner->waiting != NULL) {
        struct account *account = owner->waiting->queue->account;
        remove_waiter(ledger, owner->waiting);
        remove_if_empty(ledger, account);
    }
}

void ledger_rewind_queues(struct ledger *ledger, int64_t now)
{
    for (struct queue *queue = ledger->queues; queue != NULL; queue = queue->next) {
        ledger_want_service(ledger, queue->account);
        for (struct waiter *waiter = queue->first; waiter != NULL; waiter = waiter->next)
            if (waiter->deadline.due > now + waiter->wait)
                agenda_set(&ledger->deadlines, &waiter->deadline, now + waiter->wait);
    }
}

void ledger_drop_queues(struct ledger *ledger)
{
    while (ledger->queues != NULL)
        queue_free(ledger->queues);
    agenda_free(&ledger->heads);
    agenda_free(&ledger->deadlines);
}

/* --- waiting ------------------------------------------------------------------- */

static void join(struct ledger *ledger, struct account *account,
                 const struct ledger_request *request, int64_t wait, struct ledger_owner *owner,
                 void *context, struct ledger_answer *answer)
{
    const uint32_t amount[] = {request->recipients, request->messages};
    if (account->queue == NULL) {
        account->queue = queue_new(&ledger->queues, account);
        ledger_want_service(ledger, account);
    }
    struct waiter *waiter = queue_add(account->queue, owner, amount);
    waiter->context = context;
    waiter->quota = *request->quota;
    waiter->wait = wait;
    waiter->promise = answer->earliest;
    agenda_set(&ledger->deadlines, &waiter->deadline, answer->now + wait);
    ledger->waiter_count++;
    answer->verdict = LEDGER_WAITING;
}

/* Who looks at a queue looks at all of it. */
static bool is_crowded(const struct account *account)
{
    return account->queue != NULL && account->queue->count >= LEDGER_QUEUE_MAX;
}

void ledger_wait(struct ledger *ledger, const struct ledger_request *request, int64_t wait,
                 struct ledger_owner *owner, void *context, struct ledger_answer *answer)
{
    struct account *account = accounts_find(&ledger->accounts, request->account);
    judge_newcomer(ledger, account, request, answer);
    if (answer->verdict == LEDGER_GRANTED) {
        struct reservation *reservation = ledger_take(ledger, account, request);
        reservation_give(reservation, owner);
        answer->id = reservation->id;
    } else if (answer->verdict == LEDGER_LATER && wait > 0 &&
               answer->earliest - answer->now <= wait && !is_crowded(account)) {
        join(ledger, account, request, wait, owner, context, answer);
    }
}

/* --- serving ------------------------------------------------------------------- */

/* Puts down who has something to expect. */
static void collect_due(struct ledger *ledger, int64_t now)
{
    struct agenda_entry *entry;
    while ((entry = agenda_first(&ledger->heads)) != NULL && entry->due <= now) {
        struct queue *queue = queue_of_head(entry);
        agenda_set(&ledger->heads, entry, AGENDA_NEVER);
        ledger_want_service(ledger, queue->account);
    }
    while ((entry = agenda_first(&ledger->deadlines)) != NULL && entry->due <= now) {
        struct waiter *waiter = queue_waiter_of_deadline(entry);
        agenda_set(&ledger->deadlines, entry, AGENDA_NEVER);
        waiter->is_overdue = true;
        waiter->queue->has_overdue = true;
        ledger_want_service(ledger, waiter->queue->account);
    }
}

static void grant(struct ledger *ledger, struct waiter *waiter, struct ledger_answer *answer)
{
    const struct ledger_request request = {.quota = &waiter->quota,
                                           .recipients = waiter->amount[HISTORY_RECIPIENTS],
                                           .messages = waiter->amount[HISTORY_MESSAGES]};
    struct reservation *reservation = ledger_take(ledger, waiter->queue->account, &request);
    reservation_give(reservation, waiter->owner);
    answer->id = reservation->id;
    ledger->answered(waiter->context, answer);
    remove_waiter(ledger, waiter);
}

/* Grants from the beginning of the queue what has room. */
static void grant_heads(struct ledger *ledger, struct queue *queue, int64_t now)
{
    const struct judge_ahead nobody = {.floor = now};
    struct ledger_answer answer;
    while (queue->first != NULL) {
        ledger_refresh(ledger, queue->account, &queue->first->quota, now);
        judge_waiter(ledger, queue->first, &nobody, &answer);
        if (answer.verdict != LEDGER_GRANTED)
            break;
        grant(ledger, queue->first, &answer);
    }
}

/* Answers whose time is up, or who would wait for the end of a pause in vain; where that makes room
 * for those behind, grants it to them. */
static void turn_away(struct ledger *ledger, struct queue *queue, int64_t now)
{
    const struct pause *pause = queue->account->pause;
    int64_t until = pause_is_in_force(pause, now) ? pause->until : now;
    struct judge_ahead ahead = {.floor = now};
    struct ledger_answer answer;
    struct waiter *next;
    if (!queue->has_overdue && until == now)
        return;
    queue->has_overdue = false;
    for (struct waiter *waiter = queue->first; waiter != NULL; waiter = next) {
        next = waiter->next;
        judge_waiter(ledger, waiter, &ahead, &answer);
        if (answer.verdict == LEDGER_GRANTED) {
            grant(ledger, waiter, &answer);
        } else if (waiter->is_overdue || until > waiter->deadline.due) {
            ledger->answered(waiter->context, &answer);
            remove_waiter(ledger, waiter);
        } else {
            judge_add_waiter(&ahead, waiter);
        }
    }
}

/* When the head is to be looked at again. The end of a probe is an event, not a time. */
static int64_t head_due(const struct queue *queue, int64_t now)
{
    const struct account *account = queue->account;
    if (queue->first == NULL || (pause_is_probing(account->pause, now) && account->open > 0))
        return AGENDA_NEVER;
    return queue->first->promise;
}

static void serve_account(struct ledger *ledger, struct account *account, int64_t now)
{
    struct queue *queue = account->queue;
    if (queue == NULL)
        return;
    grant_heads(ledger, queue, now);
    turn_away(ledger, queue, now);
    agenda_set(&ledger->heads, &queue->head, head_due(queue, now));
    remove_if_empty(ledger, account);
}

void ledger_serve(struct ledger *ledger)
{
    if (ledger_due(ledger) == AGENDA_NEVER)
        return;
    int64_t now = ledger_now(ledger);
    collect_due(ledger, now);
    while (ledger->unserved != NULL) {
        struct account *account = ledger->unserved;
        ledger->unserved = account->next_unserved;
        serve_account(ledger, account, now);
        account->is_unserved = false;
    }
}

int64_t ledger_due(const struct ledger *ledger)
{
    const struct agenda_entry *head = agenda_first(&ledger->heads);
    const struct agenda_entry *deadline = agenda_first(&ledger->deadlines);
    int64_t due = head != NULL ? head->due : AGENDA_NEVER;
    if (ledger->unserved != NULL)
        return INT64_MIN;
    return deadline != NULL && deadline->due < due ? deadline->due : due;
}

size_t ledger_waiter_count(const struct ledger *ledger)
{
    return ledger->waiter_count;
}

void ledger_on_answer(struct ledger *ledger, ledger_answered *answered)
{
    ledger->answered = answered;
}
