/* opening.c - what the store holds becomes the ledger */
#include "common/log.h"
#include "common/memory.h"
#include "policyd/ledger/parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What is rewritten at a time. */
#define CHANGES_MAX 1000

/* A turn that a clock wrote which was ahead. */
struct future_turn {
    uint64_t sequence;
    size_t count;
    struct store_sent *sent;
};

/* What is only needed while the store is read. */
struct opening {
    struct ledger *ledger;
    int64_t now, passed;
    struct future_turn *future;
    size_t future_count;
    struct store_reservation *open;
    size_t open_count;
};

/* An array with room for one more; rarely needed. */
static void *with_one_more(void *array, size_t count, size_t size)
{
    bool is_full = (count & (count - 1)) == 0;
    return is_full ? memory_grow(array, (count > 0 ? count * 2 : 1) * size) : array;
}

/* --- reading ------------------------------------------------------------------ */

static bool take_account(void *context, const struct store_account *record, struct error *error)
{
    const struct opening *opening = context;
    struct ledger *ledger = opening->ledger;
    const struct store_pause *pause = &record->pause;
    if (record->retention < 0 || accounts_find(&ledger->accounts, record->name) != NULL)
        return error_set(error, "account %" PRIu32 " (%s) makes no sense", record->number,
                         record->name);
    struct account *account = accounts_add(&ledger->accounts, record->name, record->number);
    account->retention = record->retention;
    account->is_stored = true;
    if (pause->cause != NULL)
        account->pause = pause_new(pause->since, pause->until, pause->failures, pause->cause);
    if (account->retention > ledger->retention)
        ledger->retention = account->retention;
    if (record->number >= ledger->next_number)
        ledger->next_number = record->number + 1;
    return true;
}

static int64_t horizon(void *context)
{
    const struct opening *opening = context;
    return opening->passed - opening->ledger->retention - opening->ledger->rules.guard;
}

static struct account *find_account(const struct opening *opening, uint32_t number,
                                    uint64_t sequence, struct error *error)
{
    struct account *account = accounts_numbered(&opening->ledger->accounts, number);
    if (account == NULL)
        error_set(error, "record %" PRIu64 " belongs to account %" PRIu32 ", which is not there",
                  sequence, number);
    return account;
}

static void note_sequence(struct ledger *ledger, uint64_t sequence)
{
    if (sequence >= ledger->next_sequence)
        ledger->next_sequence = sequence + 1;
}

static void keep_future(struct opening *opening, const struct store_turn *turn)
{
    opening->future =
        with_one_more(opening->future, opening->future_count, sizeof(struct future_turn));
    struct future_turn *future = &opening->future[opening->future_count++];
    *future = (struct future_turn){turn->sequence, turn->count,
                                   memory_alloc(turn->count * sizeof(struct store_sent))};
    memcpy(future->sent, turn->sent, turn->count * sizeof(struct store_sent));
}

static bool take_turn(void *context, const struct store_turn *turn, struct error *error)
{
    struct opening *opening = context;
    struct ledger *ledger = opening->ledger;
    bool is_future = turn->time > opening->now;
    int64_t time = is_future ? opening->now : turn->time;
    note_sequence(ledger, turn->sequence);
    if (is_future)
        keep_future(opening, turn);
    for (size_t i = 0; i < turn->count; i++) {
        const struct store_sent *sent = &turn->sent[i];
        struct account *account = find_account(opening, sent->account, turn->sequence, error);
        if (account == NULL)
            return false;
        account->last_sequence = turn->sequence;
        if (time > opening->passed - ledger_retained(ledger, account))
            history_add(&account->history, time, sent->recipients, sent->messages);
    }
    return true;
}

static bool take_reservation(void *context, const struct store_reservation *reservation,
                             struct error *error)
{
    struct opening *opening = context;
    note_sequence(opening->ledger, reservation->id);
    if (find_account(opening, reservation->account, reservation->id, error) == NULL)
        return false;
    opening->open =
        with_one_more(opening->open, opening->open_count, sizeof(struct store_reservation));
    opening->open[opening->open_count++] = *reservation;
    return true;
}

/* --- mending ------------------------------------------------------------------ */

/* Turns that were written by a clock that was ahead. Left alone they would never expire, nor would
 * what is behind them, and every start would count them again. */
static bool bring_back_future(struct opening *opening, struct error *error)
{
    struct ledger *ledger = opening->ledger;
    if (opening->future_count > 0)
        log_warning("%zu records in the ledger lie in the future: the clock was set back; they "
                    "count as sent now",
                    opening->future_count);
    bool written = true;
    for (size_t i = 0; i < opening->future_count && written; i++) {
        const struct future_turn *future = &opening->future[i];
        batch_add_change(&ledger->batch, STORE_PUT_TURN)->turn =
            (struct store_turn){future->sequence, opening->now, future->sent, future->count};
        if (ledger->batch.change_count == CHANGES_MAX)
            written = ledger_commit(ledger, error);
    }
    return written && ledger_commit(ledger, error);
}

/* Nobody can settle these any more: what is unknown is counted. */
static bool settle_abandoned(struct opening *opening, struct error *error)
{
    struct ledger *ledger = opening->ledger;
    ledger_now(ledger);
    for (size_t i = 0; i < opening->open_count; i++) {
        const struct store_reservation *one = &opening->open[i];
        batch_count(&ledger->batch, accounts_numbered(&ledger->accounts, one->account),
                    one->recipients, one->messages);
        batch_add_change(&ledger->batch, STORE_REMOVE_RESERVATION)->reservation.id = one->id;
    }
    if (opening->open_count > 0)
        log_warning("%zu reservations were open when the ledger was last used; their outcome is "
                    "unknown, they count as sent now",
                    opening->open_count);
    return ledger_commit(ledger, error);
}

/* --- opening ------------------------------------------------------------------ */

static struct ledger *ledger_new(struct clock *clock, struct store *store,
                                 const struct ledger_rules *rules, int64_t now)
{
    struct ledger *ledger = memory_zero(1, sizeof(*ledger));
    ledger->clock = clock;
    ledger->store = store;
    accounts_init(&ledger->accounts);
    reservations_init(&ledger->reservations);
    ledger->next_number = 1;
    ledger->next_sequence = now > 1 ? (uint64_t)now : 1;
    ledger_configure(ledger, rules);
    return ledger;
}

static void free_opening(struct opening *opening)
{
    for (size_t i = 0; i < opening->future_count; i++)
        free(opening->future[i].sent);
    free(opening->future);
    free(opening->open);
}

struct ledger *ledger_open(struct clock *clock, struct store *store,
                           const struct ledger_rules *rules, struct error *error)
{
    struct opening opening = {.now = clock_now(clock), .passed = clock_passed(clock)};
    opening.ledger = ledger_new(clock, store, rules, opening.now);
    const struct store_reader reader = {.horizon = horizon,
                                        .account = take_account,
                                        .turn = take_turn,
                                        .reservation = take_reservation,
                                        .context = &opening};
    bool opened = store->operations->read(store, &reader, error) &&
                  bring_back_future(&opening, error) && settle_abandoned(&opening, error);
    free_opening(&opening);
    if (opened)
        return opening.ledger;
    opening.ledger->store = NULL;
    ledger_close(opening.ledger);
    return NULL;
}
