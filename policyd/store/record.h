/* record.h - the ledger's records as bytes
 *
 * Numbers are big-endian, so that keys sort by value; within a turn they take as many bytes as they
 * need, seven bits in each.
 *
 *   account      key: number (4)
 *                value: version 1 (1), retention (8), pause: since (8), until (8), failures (4);
 *                length of the name (2), name, cause of the pause (the rest)
 *   clock        key: 0 (4), among the accounts, whose numbers begin at 1
 *                value: version 1 (1), boottime (8), wall clock (8), time (8), boot (the rest)
 *   turn         key: sequence (8)
 *                value: version 1 (1), time (8), then for each account that sent something its
 *                number, recipients, messages
 *   reservation  key: id (8)
 *                value: version 1 (1), account (4), time (8), recipients (4), messages (4)
 */
#ifndef POST365_POLICYD_STORE_RECORD_H
#define POST365_POLICYD_STORE_RECORD_H

#include "policyd/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_ACCOUNT_KEY     4
#define RECORD_CLOCK_NUMBER    0 /* of an account that is none */
#define RECORD_TURN_KEY        8
#define RECORD_RESERVATION_KEY 8

/* The longest is an account's; a turn has at most 9 + STORE_TURN_MAX * 15. */
#define RECORD_VALUE_MAX (31 + STORE_NAME_MAX + STORE_CAUSE_MAX)

struct record {
    unsigned char key[8];
    size_t key_size;
    unsigned char value[RECORD_VALUE_MAX];
    size_t value_size;
};

/* The key alone, `size` bytes of it. */
void record_key(struct record *record, uint64_t number, size_t size);

/* False if something in it is longer than it may be. */
bool record_of_account(struct record *record, const struct store_account *account);
void record_of_clock(struct record *record, const struct store_clock *clock);
bool record_of_turn(struct record *record, const struct store_turn *turn);
void record_of_reservation(struct record *record, const struct store_reservation *reservation);

/* Bytes that were read. */
struct record_view {
    const unsigned char *key;
    size_t key_size;
    const unsigned char *value;
    size_t value_size;
};

/* What an account's strings are read into. */
struct record_strings {
    char name[STORE_NAME_MAX + 1];
    char cause[STORE_CAUSE_MAX + 1];
};

/* False if it is no such record of this version, or holds what it cannot. */
bool record_read_account(const struct record_view *view, struct store_account *account,
                         struct record_strings *strings);

bool record_read_clock(const struct record_view *view, struct store_clock *clock);

/* `sent` has room for STORE_TURN_MAX; NULL: what was sent is not of interest. */
bool record_read_turn(const struct record_view *view, struct store_turn *turn,
                      struct store_sent *sent);
bool record_read_reservation(const struct record_view *view, struct store_reservation *reservation);

/* The number that a key is. */
uint64_t record_number(const struct record_view *view);

#endif
