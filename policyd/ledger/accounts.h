/* accounts.h - the accounts that the ledger knows
 *
 * Found by name in a hash table, and listed in the order of their numbers. Private to the ledger.
 */
#ifndef POST365_POLICYD_LEDGER_ACCOUNTS_H
#define POST365_POLICYD_LEDGER_ACCOUNTS_H

#include "policyd/ledger/history.h"
#include "policyd/ledger/pause.h"
#include "policyd/ledger/queue.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct account {
    struct account *next; /* in its bucket */
    uint64_t hash;
    int64_t retention; /* the longest period that was ever asked for */
    struct history history;
    uint32_t number;
    uint32_t open;                       /* reservations */
    uint32_t reserved[HISTORY_MEASURES]; /* by them */
    uint64_t last_sequence; /* of the last turn in the store in which it sent something */
    uint64_t turn_sequence; /* of this batch, where it has sent something */
    size_t place;           /* in the order of accounts */
    struct queue *queue;    /* NULL: nobody waits */
    struct account *next_unserved;
    struct pause *pause;        /* NULL: not paused */
    struct pause *pause_before; /* if is_pause_new: what it was when the batch began */
    bool is_touched;            /* is in the batch */
    bool is_stored;             /* its record in the store is up to date */
    bool has_sent;              /* in this batch: the last event of its history */
    bool is_pause_new;
    bool is_unserved; /* is on the list of those whose queue may move */
    char name[];
};

/* An account in the order of numbers; NULL where there was one. */
struct account_place {
    uint32_t number;
    struct account *account;
};

struct accounts {
    struct account **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    struct account_place *places;
    size_t place_count, place_room;
};

/* Release with accounts_free(), which releases the accounts, too. */
void accounts_init(struct accounts *accounts);
void accounts_free(struct accounts *accounts);

/* NULL if there is no such account. */
struct account *accounts_find(const struct accounts *accounts, const char *name);

/* Adds one that is not there yet. Numbers come in ascending order. */
struct account *accounts_add(struct accounts *accounts, const char *name, uint32_t number);

/* Takes one out and releases it. */
void accounts_remove(struct accounts *accounts, struct account *account);

/* The place of the first account above `number`; where there is none, accounts->place_count. */
size_t accounts_place_above(const struct accounts *accounts, uint32_t number);

/* The account with this number, or NULL. */
struct account *accounts_numbered(const struct accounts *accounts, uint32_t number);

#endif
