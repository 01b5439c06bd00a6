/* reservations.h - what was granted, and is not settled or released yet
 *
 * Found by number in a hash table. Private to the ledger.
 */
#ifndef POST365_POLICYD_LEDGER_RESERVATIONS_H
#define POST365_POLICYD_LEDGER_RESERVATIONS_H

#include "policyd/ledger/history.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct account;
struct ledger_owner;

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
    bool is_ended; /* settled or released in this batch */
};

struct reservations {
    struct reservation **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
};

/* Release with reservations_free(), which releases the reservations, too. */
void reservations_init(struct reservations *reservations);
void reservations_free(struct reservations *reservations);

/* NULL if there is none with this number. */
struct reservation *reservations_find(const struct reservations *reservations, uint64_t id);

/* Adds a new one that nobody owns. The account holds what it takes. */
struct reservation *reservations_add(struct reservations *reservations, uint64_t id,
                                     struct account *account, const uint32_t *amount);

/* The account holds what it takes no longer, or does so again. */
void reservation_end(struct reservation *reservation);
void reservation_reopen(struct reservation *reservation);

void reservation_give(struct reservation *reservation, struct ledger_owner *owner);

/* Takes one out, from its owner, too, and releases it. It has ended. */
void reservations_remove(struct reservations *reservations, struct reservation *reservation);

#endif
