/* ledger.c - may this account send this much now, and if not, when?
 *
 * Accounts, with their histories, are found by name, reservations by number. What one turn of the
 * event loop changes is a batch, which is written to the store as a whole or taken back as a whole.
 */
#include "policyd/ledger/ledger.h"

#include "common/memory.h"
#include "policyd/ledger/judge.h"
#include "policyd/ledger/parts.h"

#include <stdlib.h>

/* --- the present -------------------------------------------------------------- */

int64_t ledger_read_clock(struct ledger *ledger)
{
    int64_t now = clock_now(ledger->clock);
    if (now < ledger->last_now)
        ledger_rewind_queues(ledger, now);
    ledger->last_now = now;
    ledger->passed = clock_passed(ledger->clock);
    if (ledger->passed > now)
        ledger->passed = now;
    return now;
}

int64_t ledger_now(struct ledger *ledger)
{
    struct batch *batch = &ledger->batch;
    if (batch->is_open)
        return batch->now;
    batch->is_open = true;
    batch->now = ledger_read_clock(ledger);
    return batch->now;
}

int64_t ledger_longest_period(const struct quota *quota)
{
    int64_t recipients = quota->recipients.limit != QUOTA_UNLIMITED ? quota->recipients.period : 0;
    int64_t messages = quota->messages.limit != QUOTA_UNLIMITED ? quota->messages.period : 0;
    return recipients > messages ? recipients : messages;
}

int64_t ledger_retained(const struct ledger *ledger, const struct account *account)
{
    int64_t retention =
        account->retention > ledger->rules.retention ? account->retention : ledger->rules.retention;
    return retention + ledger->rules.guard;
}

void ledger_need_retention(struct ledger *ledger, struct account *account, int64_t retention)
{
    if (retention > account->retention) {
        account->retention = retention;
        account->is_stored = false;
    }
    if (!account->is_stored)
        batch_touch(&ledger->batch, account);
    if (account->retention > ledger->retention)
        ledger->retention = account->retention;
}

/* The quota comes first, before anything is forgotten: it may have become longer. */
void ledger_refresh(struct ledger *ledger, struct account *account, const struct quota *quota,
                    int64_t now)
{
    ledger_need_retention(ledger, account, ledger_longest_period(quota));
    history_clamp(&account->history, now);
    history_prune(&account->history, ledger_retained(ledger, account), ledger->passed);
    pause_clamp(account->pause, now);
}

/* --- deciding ----------------------------------------------------------------- */

void ledger_ask(struct ledger *ledger, const struct ledger_request *request,
                struct ledger_answer *answer)
{
    judge_newcomer(ledger, accounts_find(&ledger->accounts, request->account), request, answer);
}

static struct account *add_account(struct ledger *ledger, const char *name)
{
    struct account *account = accounts_add(&ledger->accounts, name, ledger->next_number++);
    account->retention = ledger->rules.retention;
    return account;
}

/* The account of a request that was granted; its record is written with the batch. */
static struct account *take_account(struct ledger *ledger, struct account *account,
                                    const struct ledger_request *request)
{
    if (account == NULL)
        account = add_account(ledger, request->account);
    ledger_need_retention(ledger, account, ledger_longest_period(request->quota));
    return account;
}

struct reservation *ledger_take(struct ledger *ledger, struct account *account,
                                const struct ledger_request *request)
{
    const uint32_t amount[] = {request->recipients, request->messages};
    account = take_account(ledger, account, request);
    struct reservation *reservation =
        reservations_add(&ledger->reservations, ledger->next_sequence++, account, amount);
    batch_add_reservation(&ledger->batch, reservation);
    return reservation;
}

void ledger_reserve(struct ledger *ledger, const struct ledger_request *request,
                    struct ledger_answer *answer)
{
    struct account *account = accounts_find(&ledger->accounts, request->account);
    judge_newcomer(ledger, account, request, answer);
    if (answer->verdict == LEDGER_GRANTED)
        answer->id = ledger_take(ledger, account, request)->id;
}

void ledger_insist(struct ledger *ledger, const struct ledger_request *request,
                   struct ledger_owner *owner, struct ledger_answer *answer)
{
    struct account *account = accounts_find(&ledger->accounts, request->account);
    *answer = (struct ledger_answer){.verdict = LEDGER_GRANTED, .now = ledger_now(ledger)};
    if (account != NULL)
        ledger_refresh(ledger, account, request->quota, answer->now);
    struct reservation *reservation = ledger_take(ledger, account, request);
    reservation_give(reservation, owner);
    answer->id = reservation->id;
    ledger_want_service(ledger, reservation->account);
}

/* Microsoft has taken something: it is the end of a row of failures. */
static void note_success(struct ledger *ledger, struct account *account)
{
    if (pause_is_probing(account->pause, ledger_now(ledger)))
        batch_pause(&ledger->batch, account, NULL);
}

void ledger_count(struct ledger *ledger, const struct ledger_request *request,
                  struct ledger_answer *answer)
{
    struct account *account = accounts_find(&ledger->accounts, request->account);
    judge_newcomer(ledger, account, request, answer);
    if (answer->verdict != LEDGER_GRANTED)
        return;
    account = take_account(ledger, account, request);
    batch_count(&ledger->batch, account, request->recipients, request->messages);
    note_success(ledger, account);
}

/* --- reservations ------------------------------------------------------------- */

/* Takes an open reservation out of the account. It stays known until the batch ends. */
static struct reservation *end_reservation(struct ledger *ledger, uint64_t id)
{
    struct reservation *reservation = reservations_find(&ledger->reservations, id);
    if (reservation == NULL || reservation->is_ended)
        return NULL;
    ledger_now(ledger);
    reservation_end(reservation);
    if (reservation->state == RESERVATION_WRITTEN)
        batch_add_reservation(&ledger->batch, reservation);
    ledger_want_service(ledger, reservation->account);
    return reservation;
}

/* It counts as sent, whether by Microsoft's word or for want of it. */
static bool count_reservation(struct ledger *ledger, uint64_t id, uint32_t recipients,
                              bool is_success)
{
    struct reservation *reservation = end_reservation(ledger, id);
    if (reservation == NULL)
        return false;
    const uint32_t *amount = reservation->amount;
    if (recipients == 0)
        return true;
    if (recipients > amount[HISTORY_RECIPIENTS])
        recipients = amount[HISTORY_RECIPIENTS];
    batch_count(&ledger->batch, reservation->account, recipients, amount[HISTORY_MESSAGES]);
    if (is_success)
        note_success(ledger, reservation->account);
    return true;
}

bool ledger_settle(struct ledger *ledger, uint64_t id, uint32_t recipients)
{
    return count_reservation(ledger, id, recipients, true);
}

bool ledger_settle_doubtful(struct ledger *ledger, uint64_t id, uint32_t recipients)
{
    return count_reservation(ledger, id, recipients, false);
}

bool ledger_release(struct ledger *ledger, uint64_t id)
{
    return end_reservation(ledger, id) != NULL;
}

void ledger_give(struct ledger *ledger, uint64_t id, struct ledger_owner *owner)
{
    struct reservation *reservation = reservations_find(&ledger->reservations, id);
    if (reservation != NULL && reservation->owner == NULL)
        reservation_give(reservation, owner);
}

bool ledger_owns(const struct ledger *ledger, const struct ledger_owner *owner, uint64_t id)
{
    const struct reservation *reservation = reservations_find(&ledger->reservations, id);
    return reservation != NULL && reservation->owner == owner;
}

void ledger_abandon(struct ledger *ledger, struct ledger_owner *owner)
{
    for (struct reservation *one = owner->first; one != NULL; one = one->next_owned)
        count_reservation(ledger, one->id, one->amount[HISTORY_RECIPIENTS], false);
    ledger_forget_waiters(ledger, owner);
}

/* --- pausing ------------------------------------------------------------------ */

static struct pause *begin_pause(const struct pause *old, const struct ledger_pause *wanted,
                                 int64_t now)
{
    if (wanted->most == 0)
        return pause_new(now, wanted->until, 0, wanted->cause);
    uint32_t failures = old != NULL && old->failures < UINT32_MAX ? old->failures + 1 : 1;
    int64_t length = pause_length(failures, wanted->least, wanted->most);
    return pause_new(now, now + length, failures, wanted->cause);
}

void ledger_pause(struct ledger *ledger, const char *name, const struct ledger_pause *wanted)
{
    int64_t now = ledger_now(ledger);
    struct account *account = accounts_find(&ledger->accounts, name);
    if (account == NULL)
        account = add_account(ledger, name);
    pause_clamp(account->pause, now);
    if (wanted->most > 0 && pause_is_in_force(account->pause, now))
        return;
    batch_pause(&ledger->batch, account, begin_pause(account->pause, wanted, now));
    ledger_want_service(ledger, account);
}

bool ledger_resume(struct ledger *ledger, const char *name, const char *cause)
{
    struct account *account = accounts_find(&ledger->accounts, name);
    int64_t now = ledger_now(ledger);
    if (account == NULL ||
        (!pause_is_in_force(account->pause, now) && !pause_is_probing(account->pause, now)) ||
        (cause != NULL && !pause_is_for(account->pause, cause)))
        return false;
    batch_pause(&ledger->batch, account, NULL);
    ledger_want_service(ledger, account);
    return true;
}

bool ledger_pause_of(struct ledger *ledger, const char *name, struct ledger_pause_state *state)
{
    const struct account *account = accounts_find(&ledger->accounts, name);
    int64_t now = ledger_now(ledger);
    *state = (struct ledger_pause_state){.is_paused = false};
    if (account == NULL || account->pause == NULL)
        return false;
    pause_clamp(account->pause, now);
    *state = (struct ledger_pause_state){.is_paused = pause_is_in_force(account->pause, now),
                                         .is_probing = pause_is_probing(account->pause, now),
                                         .since = account->pause->since,
                                         .until = account->pause->until,
                                         .failures = account->pause->failures,
                                         .cause = account->pause->cause};
    return state->is_paused || state->is_probing;
}

/* --- for people ---------------------------------------------------------------- */

int64_t ledger_shown(const struct ledger *ledger, int64_t time)
{
    return time == INT64_MAX ? time : time + clock_offset(ledger->clock);
}

int64_t ledger_meant(const struct ledger *ledger, int64_t shown)
{
    return shown == INT64_MAX ? shown : shown - clock_offset(ledger->clock);
}

/* --- looking ------------------------------------------------------------------ */

void ledger_use(struct ledger *ledger, const char *name, const struct quota *quota,
                struct ledger_use *use)
{
    const struct quota_rate *rates[] = {&quota->recipients, &quota->messages};
    struct account *account = accounts_find(&ledger->accounts, name);
    *use = (struct ledger_use){.now = ledger_now(ledger)};
    if (account == NULL)
        return;
    ledger_refresh(ledger, account, quota, use->now);
    use->waiting = account->queue != NULL ? account->queue->count : 0;
    for (size_t i = 0; i < HISTORY_MEASURES; i++) {
        use->reserved[i] = account->reserved[i];
        use->used[i] =
            account->reserved[i] + history_used(&account->history, (enum history_measure)i,
                                                judge_span(ledger, account, rates[i]), use->now);
    }
}

size_t ledger_list(const struct ledger *ledger, uint32_t after, struct ledger_entry *entries,
                   size_t most)
{
    const struct accounts *accounts = &ledger->accounts;
    size_t count = 0;
    size_t i = accounts_place_above(accounts, after);
    for (; i < accounts->place_count && count < most; i++)
        if (accounts->places[i].account != NULL)
            entries[count++] = (struct ledger_entry){accounts->places[i].number,
                                                     accounts->places[i].account->name};
    return count;
}

size_t ledger_history(struct ledger *ledger, const char *name, int64_t *from, int64_t width,
                      struct ledger_slot *slots, size_t most)
{
    ledger_now(ledger); /* as others that look: the clock may have been set */
    int64_t offset = clock_offset(ledger->clock);
    const struct account *account = accounts_find(&ledger->accounts, name);
    const struct history *history = account != NULL ? &account->history : NULL;
    uint64_t next = history != NULL ? history_find(history, *from - offset) : 0;
    size_t count = 0;
    for (; history != NULL && next < history->end && count < most; count++) {
        int64_t time = history->events[next & (history->capacity - 1)].time + offset;
        int64_t begin = time - time % width;
        uint64_t end = history_find(history, begin + width - offset);
        slots[count] = (struct ledger_slot){begin,
                                            {history_sum(history, HISTORY_RECIPIENTS, next, end),
                                             history_sum(history, HISTORY_MESSAGES, next, end)}};
        next = end;
        *from = begin + width;
    }
    if (history == NULL || next == history->end)
        *from = INT64_MAX;
    return count;
}

size_t ledger_account_count(const struct ledger *ledger)
{
    return ledger->accounts.count;
}

size_t ledger_reservation_count(const struct ledger *ledger)
{
    return ledger->reservations.count;
}

/* --- the end of a batch ------------------------------------------------------- */

/* None of it has happened: who waits may find more room, or less. */
static void take_back(struct ledger *ledger)
{
    struct batch *batch = &ledger->batch;
    for (size_t i = 0; i < batch->account_count; i++)
        ledger_want_service(ledger, batch->accounts[i]);
    for (size_t i = 0; i < batch->reservation_count; i++)
        ledger_want_service(ledger, batch->reservations[i]->account);
    batch_undo(batch, &ledger->reservations);
}

bool ledger_commit(struct ledger *ledger, struct error *error)
{
    struct batch *batch = &ledger->batch;
    batch_make_changes(batch, &ledger->next_sequence);
    bool written =
        batch->change_count == 0 ||
        ledger->store->operations->write(ledger->store, batch->changes, batch->change_count, error);
    if (written)
        batch_keep(batch, &ledger->reservations);
    else
        take_back(ledger);
    batch_close(batch);
    return written;
}

/* --- life --------------------------------------------------------------------- */

void ledger_configure(struct ledger *ledger, const struct ledger_rules *rules)
{
    ledger->rules = *rules;
    /* An event outlives its own batch, whatever the quotas are. */
    if (ledger->rules.retention < CLOCK_SECOND)
        ledger->rules.retention = CLOCK_SECOND;
    if (ledger->rules.retention > ledger->retention)
        ledger->retention = ledger->rules.retention;
    for (struct queue *queue = ledger->queues; queue != NULL; queue = queue->next)
        ledger_want_service(ledger, queue->account);
}

void ledger_close(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    if (ledger->store != NULL)
        ledger->store->operations->close(ledger->store);
    ledger_drop_queues(ledger);
    reservations_free(&ledger->reservations);
    accounts_free(&ledger->accounts);
    batch_free(&ledger->batch);
    free(ledger);
}
