/* store_memory.h - a store in memory, for tests
 *
 * It can be told to fail, and it outlives the ledger: close() does nothing, so that a test opens a
 * second ledger on what the first one wrote, as after a restart.
 */
#ifndef POST365_TESTS_UNIT_STORE_MEMORY_H
#define POST365_TESTS_UNIT_STORE_MEMORY_H

#include "policyd/store/store.h"

/* Release with store_memory_free(). */
struct store *store_memory_new(void);
void store_memory_free(struct store *store);

/* The next `count` writes fail and change nothing; -1: all, 0: none. */
void store_memory_fail_writes(struct store *store, int count);

/* What it holds, and how many writes succeeded. */
size_t store_memory_turns(const struct store *store);
size_t store_memory_reservations(const struct store *store);
size_t store_memory_accounts(const struct store *store);
size_t store_memory_writes(const struct store *store);

#endif
