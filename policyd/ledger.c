/* ledger.c - may this account send this much now, and if not, when?
 *
 * Accounts are found by name in a hash table; each has its history (history.c). Reservations are
 * found by number in another. A batch is the list of accounts and reservations that were touched
 * since the last commit: enough to write them to the store in one go, and enough to take it all
 * back if the store refuses.
 *
 * Sequence numbers of turns and numbers of reservations come from one counter. It starts at the
 * time in microseconds, so that a number is not given twice even over restarts, and whoever still
 * holds an old one cannot settle somebody else's reservation with it.
 */
#include "policyd/ledger.h"

#include "common/log.h"
#include "common/memory.h"
#include "policyd/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How much background work is done at a time, so that nobody waits for it. */
#define TIDY_TURNS   1000
#define TIDY_BUCKETS 256

struct account {
    struct account *next; /* in its bucket */
    uint64_t hash;
    uint32_t number;
    int64_t retention; /* the longest period that was ever asked for */
    struct history history;
    uint32_t reserved[HISTORY_MEASURES]; /* by open reservations */
    struct store_pause pause;
    uint64_t last_sequence;  /* of its latest turn in the store */
    uint64_t batch_sequence; /* of its turn in this batch, once that is being written */
    bool has_sent;           /* in this batch: its history's last event */
    size_t place;            /* in the order of accounts */
    bool touched;            /* is in the batch */
    bool stored;             /* its record in the store is up to date */
    char name[];
};

enum reservation_state {
    RESERVATION_NEW,     /* of this batch */
    RESERVATION_WRITTEN, /* in the store */
};

struct reservation {
    struct reservation *next; /* in its bucket */
    uint64_t id;
    struct account *account;
    struct ledger_owner *owner;                 /* or NULL */
    struct reservation *next_owned, **owned_by; /* the link that points here */
    uint32_t amount[HISTORY_MEASURES];
    enum reservation_state state;
    bool ended; /* settled or released in this batch */
};

/* An account in the order of numbers; NULL where there was one. */
struct place {
    uint32_t number;
    struct account *account;
};

struct batch {
    bool open;
    int64_t now;
    struct account **accounts;
    size_t account_count, account_room;
    struct reservation **reservations;
    size_t reservation_count, reservation_room;
    struct store_sent *sent; /* of all turns */
    size_t sent_room;
    struct store_change *changes;
    size_t change_count, change_room;
};

struct ledger {
    struct clock *clock;
    struct store *store;
    struct ledger_rules rules;
    int64_t retention; /* of the account that needs the longest */
    uint64_t next_sequence;
    uint32_t next_number;
    struct account **accounts;
    size_t account_buckets, account_count;
    struct place *places;
    size_t place_count, place_room;
    struct reservation **reservations;
    size_t reservation_buckets, reservation_count;
    size_t tidy_bucket;
    struct batch batch;
};

static int64_t batch_now(struct ledger *ledger);
static struct account *find_account(struct ledger *ledger, const char *name);
static void bring_up_to_date(struct ledger *ledger, struct account *account,
                             const struct quota *quota, int64_t now);
static struct account *add_account(struct ledger *ledger, const char *name);
static void touch_account(struct ledger *ledger, struct account *account);
static int64_t retained(const struct ledger *ledger, const struct account *account);
static void need_retention(struct ledger *ledger, struct account *account, int64_t retention);
static void judge(struct ledger *ledger, struct account *account,
                  const struct ledger_request *request, struct ledger_answer *answer);
static void count_event(struct ledger *ledger, struct account *account, uint32_t recipients,
                        uint32_t messages);
static struct reservation *find_reservation(const struct ledger *ledger, uint64_t id);
static struct reservation *add_reservation(struct ledger *ledger, struct account *account,
                                           uint32_t recipients, uint32_t messages);
static bool end_reservation(struct ledger *ledger, uint64_t id, struct reservation **ended);

/* An array of `count` elements of `size` bytes, with room for at least one more. */
static void *with_room(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    *room = *room > 0 ? *room * 2 : 16;
    return memory_grow(array, *room * size);
}

/* --- deciding ---------------------------------------------------------------- */

void ledger_ask(struct ledger *ledger, const struct ledger_request *request,
                struct ledger_answer *answer)
{
    judge(ledger, find_account(ledger, request->account), request, answer);
}

int64_t ledger_longest_period(const struct quota *quota)
{
    int64_t recipients = quota->recipients.limit != QUOTA_UNLIMITED ? quota->recipients.period : 0;
    int64_t messages = quota->messages.limit != QUOTA_UNLIMITED ? quota->messages.period : 0;
    return recipients > messages ? recipients : messages;
}

/* The account that pays, which is now part of the batch if it is new; NULL if the answer is no. */
static struct account *grant(struct ledger *ledger, const struct ledger_request *request,
                             struct ledger_answer *answer)
{
    struct account *account = find_account(ledger, request->account);
    judge(ledger, account, request, answer);
    if (answer->verdict != LEDGER_GRANTED)
        return NULL;
    if (account == NULL)
        account = add_account(ledger, request->account);
    need_retention(ledger, account, ledger_longest_period(request->quota));
    if (!account->stored)
        touch_account(ledger, account);
    return account;
}

void ledger_reserve(struct ledger *ledger, const struct ledger_request *request,
                    struct ledger_answer *answer)
{
    struct account *account = grant(ledger, request, answer);
    if (account != NULL)
        answer->id = add_reservation(ledger, account, request->recipients, request->messages)->id;
}

void ledger_count(struct ledger *ledger, const struct ledger_request *request,
                  struct ledger_answer *answer)
{
    struct account *account = grant(ledger, request, answer);
    if (account != NULL)
        count_event(ledger, account, request->recipients, request->messages);
}

bool ledger_settle(struct ledger *ledger, uint64_t id, uint32_t recipients)
{
    struct reservation *reservation;
    if (!end_reservation(ledger, id, &reservation))
        return false;
    uint32_t reserved = reservation->amount[HISTORY_RECIPIENTS];
    if (recipients > 0)
        count_event(ledger, reservation->account, recipients < reserved ? recipients : reserved,
                    reservation->amount[HISTORY_MESSAGES]);
    return true;
}

bool ledger_release(struct ledger *ledger, uint64_t id)
{
    struct reservation *reservation;
    return end_reservation(ledger, id, &reservation);
}

void ledger_give(struct ledger *ledger, uint64_t id, struct ledger_owner *owner)
{
    struct reservation *reservation = find_reservation(ledger, id);
    if (reservation == NULL || reservation->owner != NULL)
        return;
    reservation->owner = owner;
    reservation->next_owned = owner->first;
    reservation->owned_by = &owner->first;
    if (owner->first != NULL)
        owner->first->owned_by = &reservation->next_owned;
    owner->first = reservation;
}

bool ledger_owns(const struct ledger *ledger, const struct ledger_owner *owner, uint64_t id)
{
    const struct reservation *reservation = find_reservation(ledger, id);
    return reservation != NULL && reservation->owner == owner;
}

void ledger_abandon(struct ledger *ledger, struct ledger_owner *owner)
{
    for (struct reservation *one = owner->first; one != NULL; one = one->next_owned)
        ledger_settle(ledger, one->id, one->amount[HISTORY_RECIPIENTS]);
}

/* --- looking ----------------------------------------------------------------- */

/* The window of a rate; what is not limited is looked at for as long as it is kept. */
static int64_t span_of(const struct ledger *ledger, const struct account *account,
                       const struct quota_rate *rate)
{
    int64_t period = rate->limit == QUOTA_UNLIMITED ? account->retention : rate->period;
    return period + ledger->rules.guard;
}

void ledger_use(struct ledger *ledger, const char *name, const struct quota *quota,
                struct ledger_use *use)
{
    const struct quota_rate *rates[] = {&quota->recipients, &quota->messages};
    struct account *account = find_account(ledger, name);
    *use = (struct ledger_use){.now = batch_now(ledger)};
    if (account == NULL)
        return;
    bring_up_to_date(ledger, account, quota, use->now);
    for (size_t i = 0; i < HISTORY_MEASURES; i++) {
        use->reserved[i] = account->reserved[i];
        use->used[i] =
            account->reserved[i] + history_used(&account->history, (enum history_measure)i,
                                                span_of(ledger, account, rates[i]), use->now);
    }
}

size_t ledger_list(const struct ledger *ledger, uint32_t after, struct ledger_entry *entries,
                   size_t most)
{
    size_t low = 0, high = ledger->place_count, count = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ledger->places[middle].number > after)
            high = middle;
        else
            low = middle + 1;
    }
    for (; low < ledger->place_count && count < most; low++)
        if (ledger->places[low].account != NULL)
            entries[count++] = (struct ledger_entry){ledger->places[low].number,
                                                     ledger->places[low].account->name};
    return count;
}

size_t ledger_history(struct ledger *ledger, const char *name, int64_t *from, int64_t width,
                      struct ledger_slot *slots, size_t most)
{
    const struct account *account = find_account(ledger, name);
    const struct history *history = account != NULL ? &account->history : NULL;
    uint64_t next = history != NULL ? history_find(history, *from) : 0;
    size_t count = 0;
    for (; history != NULL && next < history->end && count < most; count++) {
        int64_t time = history->events[next & (history->capacity - 1)].time;
        int64_t begin = time - time % width;
        uint64_t end = history_find(history, begin + width);
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

/* --- judging ----------------------------------------------------------------- */

/* Before anything is forgotten: the quota may have become longer. */
static void bring_up_to_date(struct ledger *ledger, struct account *account,
                             const struct quota *quota, int64_t now)
{
    need_retention(ledger, account, ledger_longest_period(quota));
    history_clamp(&account->history, now);
    history_prune(&account->history, retained(ledger, account), now);
}

/* One window's opinion. */
struct opinion {
    enum ledger_verdict verdict;
    int64_t earliest;
    uint32_t used;
};

static struct opinion judge_window(const struct ledger *ledger, struct account *account,
                                   enum history_measure measure, const struct quota_rate *rate,
                                   uint32_t wanted, int64_t now)
{
    uint32_t limit = rate->limit < LEDGER_LIMIT_MAX ? rate->limit : LEDGER_LIMIT_MAX;
    int64_t span = account != NULL ? span_of(ledger, account, rate) : 0;
    struct opinion opinion = {.verdict = LEDGER_GRANTED, .earliest = now};
    if (account != NULL && span > 0)
        opinion.used =
            history_used(&account->history, measure, span, now) + account->reserved[measure];
    if (wanted > limit) {
        opinion.verdict = LEDGER_NEVER;
    } else if (wanted > 0 && account != NULL && opinion.used > limit - wanted) {
        opinion.verdict = LEDGER_LATER;
        opinion.earliest = history_when_left(&account->history, measure, span, now,
                                             opinion.used - (limit - wanted));
        if (opinion.earliest == INT64_MAX)
            opinion.earliest = now + span;
    }
    return opinion;
}

static void judge(struct ledger *ledger, struct account *account,
                  const struct ledger_request *request, struct ledger_answer *answer)
{
    const struct quota_rate *rates[] = {&request->quota->recipients, &request->quota->messages};
    const uint32_t wanted[] = {request->recipients, request->messages};
    int64_t now = batch_now(ledger);
    *answer = (struct ledger_answer){.verdict = LEDGER_GRANTED, .now = now, .earliest = now};
    if (account != NULL)
        bring_up_to_date(ledger, account, request->quota, now);
    for (size_t i = 0; i < 2; i++) {
        struct opinion opinion =
            judge_window(ledger, account, (enum history_measure)i, rates[i], wanted[i], now);
        bool longer = opinion.verdict > answer->verdict ||
                      (opinion.verdict == LEDGER_LATER && answer->verdict == LEDGER_LATER &&
                       opinion.earliest > answer->earliest);
        if (!longer)
            continue;
        answer->verdict = opinion.verdict;
        answer->earliest = opinion.earliest;
        answer->measure = (enum ledger_measure)i;
        answer->used = opinion.used;
        answer->rate = *rates[i];
        if (answer->rate.limit > LEDGER_LIMIT_MAX)
            answer->rate.limit = LEDGER_LIMIT_MAX;
    }
}

/* --- accounts ---------------------------------------------------------------- */

/* FNV-1a. The names are those of mailboxes that the configuration knows, not a stranger's choice.
 */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return hash ^ (hash >> 32);
}

static struct account *find_account(struct ledger *ledger, const char *name)
{
    uint64_t hash = hash_name(name);
    struct account *account = ledger->accounts[hash & (ledger->account_buckets - 1)];
    while (account != NULL && (account->hash != hash || strcmp(account->name, name) != 0))
        account = account->next;
    return account;
}

static void link_account(struct account **buckets, size_t count, struct account *account)
{
    struct account **bucket = &buckets[account->hash & (count - 1)];
    account->next = *bucket;
    *bucket = account;
}

static void grow_accounts(struct ledger *ledger)
{
    size_t count = ledger->account_buckets * 2;
    struct account **buckets = memory_zero(count, sizeof(struct account *));
    for (size_t i = 0; i < ledger->account_buckets; i++) {
        struct account *next;
        for (struct account *account = ledger->accounts[i]; account != NULL; account = next) {
            next = account->next;
            link_account(buckets, count, account);
        }
    }
    free(ledger->accounts);
    ledger->accounts = buckets;
    ledger->account_buckets = count;
}

/* Accounts come in the order of their numbers: from the store, and then new ones. */
static void add_place(struct ledger *ledger, struct account *account)
{
    ledger->places =
        with_room(ledger->places, ledger->place_count, &ledger->place_room, sizeof(struct place));
    account->place = ledger->place_count;
    ledger->places[ledger->place_count++] = (struct place){account->number, account};
}

/* Gaps are closed when they are more than what is left. */
static void remove_place(struct ledger *ledger, const struct account *account)
{
    ledger->places[account->place].account = NULL;
    if (ledger->place_count <= 2 * ledger->account_count)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < ledger->place_count; i++) {
        if (ledger->places[i].account == NULL)
            continue;
        ledger->places[i].account->place = kept;
        ledger->places[kept++] = ledger->places[i];
    }
    ledger->place_count = kept;
}

static struct account *insert_account(struct ledger *ledger, const char *name, uint32_t number,
                                      int64_t retention)
{
    if (ledger->account_count >= ledger->account_buckets)
        grow_accounts(ledger);
    size_t length = strlen(name);
    struct account *account = memory_zero(1, sizeof(*account) + length + 1);
    memcpy(account->name, name, length + 1);
    account->hash = hash_name(name);
    account->number = number;
    account->retention = retention;
    link_account(ledger->accounts, ledger->account_buckets, account);
    add_place(ledger, account);
    ledger->account_count++;
    return account;
}

static void free_account(struct account *account)
{
    history_free(&account->history);
    free((char *)account->pause.cause);
    free(account);
}

static struct account *add_account(struct ledger *ledger, const char *name)
{
    struct account *account =
        insert_account(ledger, name, ledger->next_number++, ledger->rules.retention);
    return account;
}

/* Makes the account part of the batch, so that what changed of it is written. */
static void touch_account(struct ledger *ledger, struct account *account)
{
    struct batch *batch = &ledger->batch;
    if (account->touched)
        return;
    account->touched = true;
    batch->accounts = with_room(batch->accounts, batch->account_count, &batch->account_room,
                                sizeof(struct account *));
    batch->accounts[batch->account_count++] = account;
}

/* How far back the account's events may be asked about: rules that came with a reload hold for
 * those, too, that have not been asked about since. */
static int64_t retained(const struct ledger *ledger, const struct account *account)
{
    int64_t retention =
        account->retention > ledger->rules.retention ? account->retention : ledger->rules.retention;
    return retention + ledger->rules.guard;
}

/* The store learns of it when the account is next touched. */
static void need_retention(struct ledger *ledger, struct account *account, int64_t retention)
{
    if (retention > account->retention) {
        account->retention = retention;
        account->stored = false;
    }
    if (account->retention > ledger->retention)
        ledger->retention = account->retention;
}

/* Counts what was sent, in the account's one event of this batch. */
static void count_event(struct ledger *ledger, struct account *account, uint32_t recipients,
                        uint32_t messages)
{
    if (account->has_sent) {
        history_add_to_last(&account->history, recipients, messages);
        return;
    }
    touch_account(ledger, account);
    account->has_sent = true;
    history_add(&account->history, batch_now(ledger), recipients, messages);
}

/* --- reservations ------------------------------------------------------------ */

static struct reservation **reservation_bucket(const struct ledger *ledger, uint64_t id)
{
    return &ledger->reservations[id & (ledger->reservation_buckets - 1)];
}

static struct reservation *find_reservation(const struct ledger *ledger, uint64_t id)
{
    struct reservation *reservation = *reservation_bucket(ledger, id);
    while (reservation != NULL && reservation->id != id)
        reservation = reservation->next;
    return reservation;
}

static void grow_reservations(struct ledger *ledger)
{
    size_t count = ledger->reservation_buckets;
    struct reservation **old = ledger->reservations;
    ledger->reservations = memory_zero(count * 2, sizeof(struct reservation *));
    ledger->reservation_buckets = count * 2;
    for (size_t i = 0; i < count; i++) {
        struct reservation *next;
        for (struct reservation *one = old[i]; one != NULL; one = next) {
            next = one->next;
            one->next = *reservation_bucket(ledger, one->id);
            *reservation_bucket(ledger, one->id) = one;
        }
    }
    free(old);
}

/* The account holds what is reserved, or (with -1 as sign) does so no longer. */
static void hold(const struct reservation *reservation, int sign)
{
    for (size_t i = 0; i < HISTORY_MEASURES; i++) {
        if (sign > 0)
            reservation->account->reserved[i] += reservation->amount[i];
        else
            reservation->account->reserved[i] -= reservation->amount[i];
    }
}

static void remember_reservation(struct batch *batch, struct reservation *reservation)
{
    batch->reservations = with_room(batch->reservations, batch->reservation_count,
                                    &batch->reservation_room, sizeof(struct reservation *));
    batch->reservations[batch->reservation_count++] = reservation;
}

static struct reservation *add_reservation(struct ledger *ledger, struct account *account,
                                           uint32_t recipients, uint32_t messages)
{
    if (ledger->reservation_count >= ledger->reservation_buckets)
        grow_reservations(ledger);
    struct reservation *reservation = memory_alloc(sizeof(*reservation));
    *reservation = (struct reservation){
        .id = ledger->next_sequence++, .account = account, .amount = {recipients, messages}};
    struct reservation **bucket = reservation_bucket(ledger, reservation->id);
    reservation->next = *bucket;
    *bucket = reservation;
    ledger->reservation_count++;
    hold(reservation, +1);
    remember_reservation(&ledger->batch, reservation);
    return reservation;
}

/* Takes an open reservation out of the account. It stays known until the batch ends. */
static bool end_reservation(struct ledger *ledger, uint64_t id, struct reservation **ended)
{
    struct reservation *reservation = find_reservation(ledger, id);
    if (reservation == NULL || reservation->ended)
        return false;
    batch_now(ledger);
    reservation->ended = true;
    hold(reservation, -1);
    if (reservation->state == RESERVATION_WRITTEN)
        remember_reservation(&ledger->batch, reservation);
    *ended = reservation;
    return true;
}

static void remove_reservation(struct ledger *ledger, struct reservation *reservation)
{
    struct reservation **link = reservation_bucket(ledger, reservation->id);
    while (*link != reservation)
        link = &(*link)->next;
    *link = reservation->next;
    if (reservation->owner != NULL) {
        *reservation->owned_by = reservation->next_owned;
        if (reservation->next_owned != NULL)
            reservation->next_owned->owned_by = reservation->owned_by;
    }
    ledger->reservation_count--;
    free(reservation);
}

/* --- batches ----------------------------------------------------------------- */

/* The time of the batch, which begins with the first question. */
static int64_t batch_now(struct ledger *ledger)
{
    if (!ledger->batch.open) {
        ledger->batch.open = true;
        ledger->batch.now = clock_now(ledger->clock);
    }
    return ledger->batch.now;
}

static struct store_change *add_change(struct batch *batch, enum store_change_kind kind)
{
    batch->changes = with_room(batch->changes, batch->change_count, &batch->change_room,
                               sizeof(struct store_change));
    struct store_change *change = &batch->changes[batch->change_count++];
    *change = (struct store_change){.kind = kind};
    return change;
}

static struct store_account record_of(const struct account *account)
{
    return (struct store_account){.number = account->number,
                                  .retention = account->retention,
                                  .name = account->name,
                                  .pause = account->pause};
}

/* What the account sent in this batch. */
static struct store_sent sent_by(const struct account *account)
{
    const struct history *history = &account->history;
    const struct history_event *last = &history->events[(history->end - 1) % history->capacity];
    const uint32_t *before = history->dropped;
    if (history->end - history->first > 1)
        before = history->events[(history->end - 2) % history->capacity].total;
    return (struct store_sent){.account = account->number,
                               .recipients = last->total[0] - before[0],
                               .messages = last->total[1] - before[1]};
}

/* All that was sent in the batch is one turn, or as many as its size makes necessary. */
static void change_turns(struct ledger *ledger)
{
    struct batch *batch = &ledger->batch;
    struct store_turn *turn = NULL;
    if (batch->sent_room < batch->account_count) {
        batch->sent_room = batch->account_room;
        batch->sent = memory_grow(batch->sent, batch->sent_room * sizeof(struct store_sent));
    }
    struct store_sent *sent = batch->sent;
    for (size_t i = 0; i < batch->account_count; i++) {
        struct account *account = batch->accounts[i];
        if (!account->has_sent)
            continue;
        if (turn == NULL || turn->count == STORE_TURN_MAX) {
            turn = &add_change(batch, STORE_PUT_TURN)->turn;
            *turn = (struct store_turn){ledger->next_sequence++, batch->now, sent, 0};
        }
        account->batch_sequence = turn->sequence;
        *sent++ = sent_by(account);
        turn->count++;
    }
}

static void change_reservation(struct batch *batch, const struct reservation *reservation)
{
    if (reservation->state == RESERVATION_NEW && !reservation->ended)
        add_change(batch, STORE_PUT_RESERVATION)->reservation =
            (struct store_reservation){.id = reservation->id,
                                       .account = reservation->account->number,
                                       .time = batch->now,
                                       .recipients = reservation->amount[HISTORY_RECIPIENTS],
                                       .messages = reservation->amount[HISTORY_MESSAGES]};
    else if (reservation->state == RESERVATION_WRITTEN)
        add_change(batch, STORE_REMOVE_RESERVATION)->reservation.id = reservation->id;
}

static void keep_batch(struct ledger *ledger)
{
    struct batch *batch = &ledger->batch;
    for (size_t i = 0; i < batch->account_count; i++) {
        struct account *account = batch->accounts[i];
        account->touched = false;
        account->stored = true;
        if (account->has_sent)
            account->last_sequence = account->batch_sequence;
        account->has_sent = false;
    }
    for (size_t i = 0; i < batch->reservation_count; i++) {
        struct reservation *reservation = batch->reservations[i];
        reservation->state = RESERVATION_WRITTEN;
        if (reservation->ended)
            remove_reservation(ledger, reservation);
    }
}

static void undo_batch(struct ledger *ledger)
{
    struct batch *batch = &ledger->batch;
    for (size_t i = 0; i < batch->account_count; i++) {
        struct account *account = batch->accounts[i];
        account->touched = false;
        if (account->has_sent)
            history_drop_last(&account->history);
        account->has_sent = false;
    }
    for (size_t i = 0; i < batch->reservation_count; i++) {
        struct reservation *reservation = batch->reservations[i];
        if (reservation->state == RESERVATION_WRITTEN) {
            reservation->ended = false;
            hold(reservation, +1);
        } else {
            if (!reservation->ended)
                hold(reservation, -1);
            remove_reservation(ledger, reservation);
        }
    }
}

static void close_batch(struct batch *batch)
{
    batch->open = false;
    batch->account_count = batch->reservation_count = batch->change_count = 0;
}

bool ledger_commit(struct ledger *ledger, struct error *error)
{
    struct batch *batch = &ledger->batch;
    for (size_t i = 0; i < batch->account_count; i++)
        if (!batch->accounts[i]->stored)
            add_change(batch, STORE_PUT_ACCOUNT)->account = record_of(batch->accounts[i]);
    change_turns(ledger);
    for (size_t i = 0; i < batch->reservation_count; i++)
        change_reservation(batch, batch->reservations[i]);
    bool written =
        batch->change_count == 0 ||
        ledger->store->operations->write(ledger->store, batch->changes, batch->change_count, error);
    if (written)
        keep_batch(ledger);
    else
        undo_batch(ledger);
    close_batch(batch);
    return written;
}

/* --- background -------------------------------------------------------------- */

/* Whether nothing in memory or in the store refers to the account: its turns are older than the
 * first that the store still has. */
static bool is_idle(const struct account *account, uint64_t first_sequence)
{
    return history_is_empty(&account->history) && account->reserved[HISTORY_RECIPIENTS] == 0 &&
           account->reserved[HISTORY_MESSAGES] == 0 && account->last_sequence < first_sequence;
}

/* Puts the idle accounts of one bucket on the batch's list. */
static void find_idle(struct ledger *ledger, size_t bucket, uint64_t first_sequence, int64_t now)
{
    struct batch *batch = &ledger->batch;
    struct account *account = ledger->accounts[bucket];
    for (; account != NULL; account = account->next) {
        history_clamp(&account->history, now);
        history_prune(&account->history, retained(ledger, account), now);
        if (!is_idle(account, first_sequence))
            continue;
        touch_account(ledger, account);
        add_change(batch, STORE_REMOVE_ACCOUNT)->account.number = account->number;
    }
}

static void remove_account(struct ledger *ledger, struct account *account)
{
    struct account **link = &ledger->accounts[account->hash & (ledger->account_buckets - 1)];
    while (*link != account)
        link = &(*link)->next;
    *link = account->next;
    ledger->account_count--;
    remove_place(ledger, account);
    free_account(account);
}

static bool remove_idle(struct ledger *ledger, uint64_t first_sequence, int64_t now,
                        struct error *error)
{
    struct batch *batch = &ledger->batch;
    for (size_t i = 0; i < TIDY_BUCKETS && i < ledger->account_buckets; i++)
        find_idle(ledger, ledger->tidy_bucket++ & (ledger->account_buckets - 1), first_sequence,
                  now);
    bool written =
        batch->change_count == 0 ||
        ledger->store->operations->write(ledger->store, batch->changes, batch->change_count, error);
    for (size_t i = 0; i < batch->account_count; i++) {
        if (written)
            remove_account(ledger, batch->accounts[i]);
        else
            batch->accounts[i]->touched = false;
    }
    close_batch(batch);
    return written;
}

bool ledger_tidy(struct ledger *ledger, bool *more, struct error *error)
{
    const struct store_operations *operations = ledger->store->operations;
    *more = false;
    if (ledger->batch.open)
        return true;
    int64_t now = clock_now(ledger->clock);
    struct store_rest rest = {0};
    bool tidied = operations->expire(ledger->store, now - ledger->retention - ledger->rules.guard,
                                     TIDY_TURNS, &rest, error) &&
                  remove_idle(ledger, rest.first, now, error) &&
                  operations->maintain(ledger->store, error);
    *more = tidied && rest.more;
    return tidied;
}

/* --- opening and closing ----------------------------------------------------- */

/* What is only needed while the store is read. */
struct opening {
    struct ledger *ledger;
    int64_t now;
    struct account **accounts; /* by number, ascending */
    size_t account_count, account_room;
    struct store_reservation *reserved;
    size_t reserved_count, reserved_room;
    struct store_turn *future; /* with what was sent in them */
    size_t future_count, future_room;
};

static bool take_account(void *context, const struct store_account *record, struct error *error)
{
    struct opening *opening = context;
    struct ledger *ledger = opening->ledger;
    if (record->retention < 0 || find_account(ledger, record->name) != NULL)
        return error_set(error, "account %" PRIu32 " (%s) makes no sense", record->number,
                         record->name);
    int64_t retention =
        record->retention > ledger->rules.retention ? record->retention : ledger->rules.retention;
    struct account *account = insert_account(ledger, record->name, record->number, retention);
    account->stored = retention == record->retention;
    account->pause = record->pause;
    account->pause.cause = memory_copy(record->pause.cause);
    if (account->retention > ledger->retention)
        ledger->retention = account->retention;
    if (record->number >= ledger->next_number)
        ledger->next_number = record->number + 1;
    opening->accounts = with_room(opening->accounts, opening->account_count, &opening->account_room,
                                  sizeof(struct account *));
    opening->accounts[opening->account_count++] = account;
    return true;
}

static struct account *account_by_number(const struct opening *opening, uint32_t number)
{
    size_t low = 0;
    size_t high = opening->account_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (opening->accounts[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < opening->account_count && opening->accounts[low]->number == number
               ? opening->accounts[low]
               : NULL;
}

static int64_t horizon(void *context)
{
    const struct opening *opening = context;
    const struct ledger *ledger = opening->ledger;
    return opening->now - (ledger->retention + ledger->rules.guard);
}

/* Takes note of a turn that was written by a clock that was ahead. */
static void keep_future(struct opening *opening, const struct store_turn *turn)
{
    struct store_sent *sent = memory_zero(turn->count, sizeof(*sent));
    for (size_t i = 0; i < turn->count; i++)
        sent[i] = turn->sent[i];
    opening->future = with_room(opening->future, opening->future_count, &opening->future_room,
                                sizeof(struct store_turn));
    opening->future[opening->future_count++] =
        (struct store_turn){turn->sequence, opening->now, sent, turn->count};
}

static bool take_sent(struct opening *opening, const struct store_turn *turn,
                      const struct store_sent *sent, struct error *error)
{
    int64_t time = turn->time < opening->now ? turn->time : opening->now;
    struct account *account = account_by_number(opening, sent->account);
    if (account == NULL)
        return error_set(error,
                         "turn %" PRIu64 " belongs to account %" PRIu32 ", which is not there",
                         turn->sequence, sent->account);
    account->last_sequence = turn->sequence;
    if (time > opening->now - retained(opening->ledger, account))
        history_add(&account->history, time, sent->recipients, sent->messages);
    return true;
}

static bool take_turn(void *context, const struct store_turn *turn, struct error *error)
{
    struct opening *opening = context;
    if (turn->sequence >= opening->ledger->next_sequence)
        opening->ledger->next_sequence = turn->sequence + 1;
    if (turn->time > opening->now)
        keep_future(opening, turn);
    bool taken = true;
    for (size_t i = 0; i < turn->count && taken; i++)
        taken = take_sent(opening, turn, &turn->sent[i], error);
    return taken;
}

static bool take_reservation(void *context, const struct store_reservation *reservation,
                             struct error *error)
{
    struct opening *opening = context;
    if (account_by_number(opening, reservation->account) == NULL)
        return error_set(
            error, "reservation %" PRIu64 " belongs to account %" PRIu32 ", which is not there",
            reservation->id, reservation->account);
    if (reservation->id >= opening->ledger->next_sequence)
        opening->ledger->next_sequence = reservation->id + 1;
    opening->reserved = with_room(opening->reserved, opening->reserved_count,
                                  &opening->reserved_room, sizeof(struct store_reservation));
    opening->reserved[opening->reserved_count++] = *reservation;
    return true;
}

/* Turns that were written by a clock that was ahead. Left alone they would never expire, nor would
 * what is behind them, and every start would count them again. */
static bool bring_back_future(struct opening *opening, struct error *error)
{
    struct ledger *ledger = opening->ledger;
    if (opening->future_count > 0)
        log_warning("%zu turns in the ledger lie in the future: the clock was set back; what was "
                    "sent in them counts as sent now",
                    opening->future_count);
    bool written = true;
    for (size_t i = 0; i < opening->future_count && written; i++) {
        add_change(&ledger->batch, STORE_PUT_TURN)->turn = opening->future[i];
        if (ledger->batch.change_count == TIDY_TURNS)
            written = ledger_commit(ledger, error);
    }
    return written && ledger_commit(ledger, error);
}

/* Nobody can settle these any more: what is unknown is counted. */
static bool settle_abandoned(struct opening *opening, struct error *error)
{
    struct ledger *ledger = opening->ledger;
    for (size_t i = 0; i < opening->reserved_count; i++) {
        const struct store_reservation *reservation = &opening->reserved[i];
        count_event(ledger, account_by_number(opening, reservation->account),
                    reservation->recipients, reservation->messages);
        add_change(&ledger->batch, STORE_REMOVE_RESERVATION)->reservation.id = reservation->id;
    }
    if (opening->reserved_count > 0)
        log_warning("%zu reservations were open when the ledger was last used; their outcome is "
                    "unknown, they count as sent now",
                    opening->reserved_count);
    return ledger_commit(ledger, error);
}

static void free_opening(struct opening *opening)
{
    for (size_t i = 0; i < opening->future_count; i++)
        free((struct store_sent *)opening->future[i].sent);
    free(opening->accounts);
    free(opening->future);
    free(opening->reserved);
}

struct ledger *ledger_open(struct clock *clock, struct store *store,
                           const struct ledger_rules *rules, struct error *error)
{
    struct ledger *ledger = memory_zero(1, sizeof(*ledger));
    ledger->clock = clock;
    ledger->store = store;
    ledger->account_buckets = ledger->reservation_buckets = 64;
    ledger->accounts = memory_zero(ledger->account_buckets, sizeof(struct account *));
    ledger->reservations = memory_zero(ledger->reservation_buckets, sizeof(struct reservation *));
    ledger->next_number = 1;
    ledger_configure(ledger, rules);
    struct opening opening = {.ledger = ledger, .now = clock_now(clock)};
    ledger->next_sequence = opening.now > 1 ? (uint64_t)opening.now : 1;
    const struct store_reader reader = {.horizon = horizon,
                                        .account = take_account,
                                        .turn = take_turn,
                                        .reservation = take_reservation,
                                        .context = &opening};
    bool opened = store->operations->read(store, &reader, error) &&
                  bring_back_future(&opening, error) && settle_abandoned(&opening, error);
    free_opening(&opening);
    if (!opened) {
        ledger->store = NULL;
        ledger_close(ledger);
        return NULL;
    }
    return ledger;
}

void ledger_configure(struct ledger *ledger, const struct ledger_rules *rules)
{
    ledger->rules = *rules;
    /* An event outlives its own batch, whatever the quotas are. */
    if (ledger->rules.retention < CLOCK_SECOND)
        ledger->rules.retention = CLOCK_SECOND;
    if (ledger->rules.retention > ledger->retention)
        ledger->retention = ledger->rules.retention;
}

size_t ledger_account_count(const struct ledger *ledger)
{
    return ledger->account_count;
}

size_t ledger_reservation_count(const struct ledger *ledger)
{
    return ledger->reservation_count;
}

static void free_tables(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->account_buckets; i++) {
        struct account *next;
        for (struct account *account = ledger->accounts[i]; account != NULL; account = next) {
            next = account->next;
            free_account(account);
        }
    }
    for (size_t i = 0; i < ledger->reservation_buckets; i++) {
        struct reservation *next;
        for (struct reservation *one = ledger->reservations[i]; one != NULL; one = next) {
            next = one->next;
            free(one);
        }
    }
    free(ledger->accounts);
    free(ledger->places);
    free(ledger->reservations);
}

void ledger_close(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    if (ledger->store != NULL)
        ledger->store->operations->close(ledger->store);
    free_tables(ledger);
    free(ledger->batch.accounts);
    free(ledger->batch.reservations);
    free(ledger->batch.sent);
    free(ledger->batch.changes);
    free(ledger);
}
