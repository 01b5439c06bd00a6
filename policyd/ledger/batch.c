/* batch.c - what changed since the last commit */
#include "policyd/ledger/batch.h"

#include "common/memory.h"

#include <stdlib.h>

/* An array of `count` elements of `size` bytes, with room for at least one more. */
static void *with_room(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    *room = *room > 0 ? *room * 2 : 16;
    return memory_grow(array, *room * size);
}

/* --- what happens ------------------------------------------------------------- */

void batch_touch(struct batch *batch, struct account *account)
{
    if (account->is_touched)
        return;
    account->is_touched = true;
    batch->accounts = with_room(batch->accounts, batch->account_count, &batch->account_room,
                                sizeof(struct account *));
    batch->accounts[batch->account_count++] = account;
}

/* What an account sends in a batch is one event. */
void batch_count(struct batch *batch, struct account *account, uint32_t recipients,
                 uint32_t messages)
{
    if (account->has_sent) {
        history_add_to_last(&account->history, recipients, messages);
        return;
    }
    batch_touch(batch, account);
    account->has_sent = true;
    history_add(&account->history, batch->now, recipients, messages);
}

void batch_pause(struct batch *batch, struct account *account, struct pause *pause)
{
    batch_touch(batch, account);
    account->is_stored = false;
    if (account->is_pause_new) {
        free(account->pause);
    } else {
        account->is_pause_new = true;
        account->pause_before = account->pause;
    }
    account->pause = pause;
}

void batch_add_reservation(struct batch *batch, struct reservation *reservation)
{
    batch->reservations = with_room(batch->reservations, batch->reservation_count,
                                    &batch->reservation_room, sizeof(struct reservation *));
    batch->reservations[batch->reservation_count++] = reservation;
}

/* --- for the store ------------------------------------------------------------ */

struct store_change *batch_add_change(struct batch *batch, enum store_change_kind kind)
{
    batch->changes = with_room(batch->changes, batch->change_count, &batch->change_room,
                               sizeof(struct store_change));
    struct store_change *change = &batch->changes[batch->change_count++];
    *change = (struct store_change){.kind = kind};
    return change;
}

static struct store_account record_of(const struct account *account)
{
    struct store_account record = {
        .number = account->number, .retention = account->retention, .name = account->name};
    const struct pause *pause = account->pause;
    if (pause != NULL)
        record.pause = (struct store_pause){.since = pause->since,
                                            .until = pause->until,
                                            .failures = pause->failures,
                                            .cause = pause->cause};
    return record;
}

static struct store_sent sent_by(const struct account *account)
{
    const struct history *history = &account->history;
    uint64_t last = history->end - 1;
    return (struct store_sent){account->number,
                               history_sum(history, HISTORY_RECIPIENTS, last, history->end),
                               history_sum(history, HISTORY_MESSAGES, last, history->end)};
}

/* One turn, or as many as it takes: a record has a largest size. The array of what was sent must
 * not move any more. */
static void add_turns(struct batch *batch, uint64_t *sequence)
{
    struct store_turn *turn = NULL;
    struct store_sent *sent = batch->sent;
    for (size_t i = 0; i < batch->account_count; i++) {
        struct account *account = batch->accounts[i];
        if (!account->has_sent)
            continue;
        if (turn == NULL || turn->count == STORE_TURN_MAX) {
            turn = &batch_add_change(batch, STORE_PUT_TURN)->turn;
            *turn = (struct store_turn){(*sequence)++, batch->now, sent, 0};
        }
        *sent++ = sent_by(account);
        turn->count++;
        account->turn_sequence = turn->sequence;
    }
}

static void add_reservation(struct batch *batch, const struct reservation *reservation)
{
    if (reservation->state == RESERVATION_NEW && !reservation->is_ended)
        batch_add_change(batch, STORE_PUT_RESERVATION)->reservation =
            (struct store_reservation){.id = reservation->id,
                                       .account = reservation->account->number,
                                       .time = batch->now,
                                       .recipients = reservation->amount[HISTORY_RECIPIENTS],
                                       .messages = reservation->amount[HISTORY_MESSAGES]};
    else if (reservation->state == RESERVATION_WRITTEN)
        batch_add_change(batch, STORE_REMOVE_RESERVATION)->reservation.id = reservation->id;
}

void batch_make_changes(struct batch *batch, uint64_t *sequence)
{
    if (batch->sent_room < batch->account_count) {
        batch->sent_room = batch->account_room;
        batch->sent = memory_grow(batch->sent, batch->sent_room * sizeof(struct store_sent));
    }
    for (size_t i = 0; i < batch->account_count; i++)
        if (!batch->accounts[i]->is_stored)
            batch_add_change(batch, STORE_PUT_ACCOUNT)->account = record_of(batch->accounts[i]);
    add_turns(batch, sequence);
    for (size_t i = 0; i < batch->reservation_count; i++)
        add_reservation(batch, batch->reservations[i]);
}

/* --- the end ------------------------------------------------------------------ */

void batch_keep(struct batch *batch, struct reservations *reservations)
{
    for (size_t i = 0; i < batch->account_count; i++) {
        struct account *account = batch->accounts[i];
        account->is_stored = true;
        if (account->has_sent)
            account->last_sequence = account->turn_sequence;
        free(account->pause_before);
        account->pause_before = NULL;
        account->is_touched = account->has_sent = account->is_pause_new = false;
    }
    for (size_t i = 0; i < batch->reservation_count; i++) {
        struct reservation *reservation = batch->reservations[i];
        reservation->state = RESERVATION_WRITTEN;
        if (reservation->is_ended)
            reservations_remove(reservations, reservation);
    }
}

static void undo_account(struct account *account)
{
    if (account->has_sent)
        history_drop_last(&account->history);
    if (account->is_pause_new) {
        free(account->pause);
        account->pause = account->pause_before;
        account->pause_before = NULL;
    }
    account->is_touched = account->has_sent = account->is_pause_new = false;
}

void batch_undo(struct batch *batch, struct reservations *reservations)
{
    for (size_t i = 0; i < batch->account_count; i++)
        undo_account(batch->accounts[i]);
    for (size_t i = 0; i < batch->reservation_count; i++) {
        struct reservation *reservation = batch->reservations[i];
        if (reservation->state == RESERVATION_WRITTEN) {
            reservation_reopen(reservation);
            continue;
        }
        if (!reservation->is_ended)
            reservation_end(reservation);
        reservations_remove(reservations, reservation);
    }
}

void batch_close(struct batch *batch)
{
    batch->is_open = false;
    batch->account_count = batch->reservation_count = batch->change_count = 0;
}

void batch_free(struct batch *batch)
{
    free(batch->accounts);
    free(batch->reservations);
    free(batch->sent);
    free(batch->changes);
}
