/* store.h - where the ledger keeps what must not be forgotten
 *
 * A store keeps three kinds of records: accounts, turns (what was sent at one time, by whom) and
 * reservations; and what time it was when it was last asked to note that. It knows nothing of
 * windows or quotas. The ledger writes in batches, each of which is on disk as a whole or not at
 * all, and reads everything once, at its start.
 *
 * Sequence numbers grow with every turn, so that a store is written at its end and expires at its
 * beginning. Times are microseconds since the epoch. A store is used by one thread.
 */
#ifndef POST365_POLICYD_STORE_STORE_H
#define POST365_POLICYD_STORE_STORE_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As long as the longest name of an account (ADDRESS_MAX). */
#define STORE_NAME_MAX  1024
#define STORE_CAUSE_MAX 512
/* So that a record is no larger than what a page has room for several of. */
#define STORE_TURN_MAX 80

/* Until when an account is not used, and why. All zero: it is not paused. */
struct store_pause {
    int64_t since;
    int64_t until;     /* INT64_MAX: until somebody resumes it */
    uint32_t failures; /* in a row */
    const char *cause; /* at most STORE_CAUSE_MAX bytes; NULL: not paused */
};

struct store_account {
    uint32_t number;
    int64_t retention; /* how long what it sent is needed */
    const char *name;  /* the folded UPN */
    struct store_pause pause;
};

/* A boot's name, a NUL behind it. */
#define STORE_BOOT_SIZE 40

/* What time it was by the ledger, and by the system's clocks (policyd/ledger/timescale.h). */
struct store_clock {
    char boot[STORE_BOOT_SIZE]; /* which boot it was */
    int64_t boottime, wall, time;
};

/* What one account sent in a turn. */
struct store_sent {
    uint32_t account;
    uint32_t recipients;
    uint32_t messages;
};

/* What was sent at one time. */
struct store_turn {
    uint64_t sequence;
    int64_t time;
    const struct store_sent *sent;
    size_t count; /* at most STORE_TURN_MAX */
};

/* Granted, outcome not known yet. */
struct store_reservation {
    uint64_t id;
    uint32_t account;
    int64_t time;
    uint32_t recipients;
    uint32_t messages;
};

enum store_change_kind {
    STORE_PUT_ACCOUNT, /* new, or changed */
    STORE_REMOVE_ACCOUNT,
    STORE_PUT_TURN, /* new, or in place of the one with this sequence */
    STORE_PUT_RESERVATION,
    STORE_REMOVE_RESERVATION,
    STORE_PUT_CLOCK, /* in place of the one before */
};

struct store_change {
    enum store_change_kind kind;
    union {
        struct store_account account; /* to remove it: its number */
        struct store_turn turn;
        struct store_reservation reservation; /* to remove it: its id */
        struct store_clock clock;
    };
};

/* Takes what a store holds: accounts in the order of their number, turns in the order of their
 * sequence, reservations in the order of their id. What is pointed to is valid during the call.
 * False with the reason ends the reading. */
struct store_reader {
    /* Asked when all accounts have been taken: turns that are older than this are of no use. A
     * record that cannot be read is skipped, with a warning, if a later one is older than that, for
     * then so is it. */
    int64_t (*horizon)(void *context);
    bool (*account)(void *context, const struct store_account *account, struct error *error);
    bool (*turn)(void *context, const struct store_turn *turn, struct error *error);
    bool (*reservation)(void *context, const struct store_reservation *reservation,
                        struct error *error);
    void *context;
};

/* What an expiry has left. */
struct store_rest {
    uint64_t first; /* the lowest sequence of a turn, UINT64_MAX if there is none */
    bool more;      /* it ended because it had removed as much as it might */
};

/* What a store knows of the time. */
enum store_time {
    STORE_TIME_EMPTY,   /* it has no records at all */
    STORE_TIME_UNKNOWN, /* it has, of a version that kept no time */
    STORE_TIME_KEPT,
};

struct store;

struct store_operations {
    /* Reads what time it was, before anything else: `clock` is set for STORE_TIME_KEPT. False with
     * the reason. */
    bool (*read_clock)(struct store *store, struct store_clock *clock, enum store_time *time,
                       struct error *error);

    /* Reads everything. False with the reason if something cannot be read or the reader refused. */
    bool (*read)(struct store *store, const struct store_reader *reader, struct error *error);

    /* Makes all changes, or none: false with the reason. Returns when they will survive what
     * post365_ledger_sync promises. */
    bool (*write)(struct store *store, const struct store_change *changes, size_t count,
                  struct error *error);

    /* Removes turns older than `before`, at most `most`, beginning with the lowest sequence and
     * ending at the first that is not older. False with the reason; what was removed may be back
     * after a crash. */
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
