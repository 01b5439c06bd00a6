/* store.h - where the ledger keeps its events
 *
 * A store keeps two kinds of records: accounts (number, name, how long its events are needed) and
 * events (a sequence number, the account's number, a time, what was sent). It knows nothing of
 * windows or quotas. The ledger writes in batches, each of which is on disk as a whole or not at
 * all, and reads everything once, at its start.
 *
 * Sequence numbers grow with every event, so that a store is written at its end and expires at its
 * beginning. Times are microseconds since the epoch. A store is used by one thread.
 */
#ifndef POST365_POLICYD_STORE_H
#define POST365_POLICYD_STORE_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As long as the longest name of an account (ADDRESS_MAX). */
#define STORE_NAME_MAX 1024

struct store_account {
    uint32_t number;
    int64_t retention; /* how long its events are needed */
    const char *name;  /* the folded UPN */
};

struct store_event {
    uint64_t sequence;
    uint32_t account;
    int64_t time;
    uint32_t recipients;
    uint32_t messages;
    bool reserved; /* granted, outcome not known yet; counted as sent if nobody ever settles it */
};

enum store_change_kind {
    STORE_PUT_ACCOUNT, /* new, or a changed retention */
    STORE_REMOVE_ACCOUNT,
    STORE_PUT_EVENT,
    STORE_REMOVE_EVENT, /* only account.number, event.sequence are looked at */
};

struct store_change {
    enum store_change_kind kind;
    struct store_account account;
    struct store_event event;
};

/* Takes what a store holds: accounts in the order of their number, then events in the order of
 * their sequence. The name is valid during the call. False with the reason ends the reading. */
struct store_reader {
    bool (*account)(void *context, const struct store_account *account, struct error *error);
    bool (*event)(void *context, const struct store_event *event, struct error *error);
    void *context;
};

/* What an expiry has left. */
struct store_rest {
    uint64_t first; /* the lowest sequence, UINT64_MAX if there is none */
    bool more;      /* it ended because it had removed as much as it might */
};

struct store;

struct store_operations {
    /* Reads everything. False with the reason if something cannot be read or the reader refused. */
    bool (*read)(struct store *store, const struct store_reader *reader, struct error *error);

    /* Makes all changes, or none: false with the reason. Returns when they will survive what
     * post365_ledger_sync promises. */
    bool (*write)(struct store *store, const struct store_change *changes, size_t count,
                  struct error *error);

    /* Removes events older than `before`, at most `most`, beginning with the lowest sequence and
     * ending at the first that is not older or still reserved. False with the reason; what was
     * removed may be back after a crash. */
    bool (*expire)(struct store *store, int64_t before, size_t most, struct store_rest *rest,
                   struct error *error);

    /* Background work that falls due with time and volume (checkpoint, removal of log files). */
    bool (*maintain)(struct store *store, struct error *error);

    /* Writes everything out and releases the store. */
    void (*close)(struct store *store);
};

/* Every store begins with this. */
struct store {
    const struct store_operations *operations;
};

#endif
