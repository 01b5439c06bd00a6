/* batch.h - what changed since the last commit
 *
 * The accounts and reservations that were touched: enough to write them to the store in one go, and
 * enough to take it all back if the store refuses. Private to the ledger.
 */
#ifndef POST365_POLICYD_LEDGER_BATCH_H
#define POST365_POLICYD_LEDGER_BATCH_H

#include "policyd/ledger/accounts.h"
#include "policyd/ledger/reservations.h"
#include "policyd/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batch {
    bool is_open;
    int64_t now; /* the clock stands still in it */
    struct account **accounts;
    size_t account_count, account_room;
    struct reservation **reservations;
    size_t reservation_count, reservation_room;
    struct store_sent *sent;
    size_t sent_room;
    struct store_change *changes;
    size_t change_count, change_room;
};

/* Makes the account part of the batch, so that what changed of it is written. */
void batch_touch(struct batch *batch, struct account *account);

/* The account sent this. */
void batch_count(struct batch *batch, struct account *account, uint32_t recipients,
                 uint32_t messages);

/* The account is paused like that from now on; NULL: not. The pause becomes the account's. */
void batch_pause(struct batch *batch, struct account *account, struct pause *pause);

/* A reservation was made, or has ended. */
void batch_add_reservation(struct batch *batch, struct reservation *reservation);

/* One more change for the store, to be filled in. */
struct store_change *batch_add_change(struct batch *batch, enum store_change_kind kind);

/* Adds the changes that the store has to make; turns are numbered from `*sequence` on. */
void batch_make_changes(struct batch *batch, uint64_t *sequence);

/* The store has made them. */
void batch_keep(struct batch *batch, struct reservations *reservations);

/* It has not: everything becomes again as it was, but that accounts which were added stay. */
void batch_undo(struct batch *batch, struct reservations *reservations);

/* Forgets what is in it; it is open no more. */
void batch_close(struct batch *batch);

/* Releases the memory. */
void batch_free(struct batch *batch);

#endif
