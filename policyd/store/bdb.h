/* bdb.h - the ledger's store in Berkeley DB, in the directory of directory.h */
#ifndef POST365_POLICYD_STORE_BDB_H
#define POST365_POLICYD_STORE_BDB_H

#include "common/error.h"
#include "common/metrics/distribution.h"
#include "common/settings.h"
#include "policyd/store/store.h"

#include <stdbool.h>

/*
 * Locks the directory, recovers what a crash left, opens the databases. With
 * post365_ledger_sync a write is on the disk when it returns; without, the operating system has it.
 * NULL with the reason and the remedy: in use by another process (which is named), not ours, not
 * readable, a file of it is lost, its log ends too early, written by another version, no space.
 * Nothing that is on the disk is deleted.
 *
 * When Berkeley DB itself finds that it cannot go on, or the disk does not flush, the program is
 * ended with a log line; the next start recovers.
 */
struct store *store_bdb_open(const struct settings *settings, struct error *error);

/* What the ledger's files take on the disk, in bytes. False if they cannot be looked at. */
struct store_bdb_size {
    uint64_t data, logs;
};
bool store_bdb_size(const struct store *store, struct store_bdb_size *size);

/* Microseconds of each checkpoint, during which everybody waits. Valid until the store is closed.
 */
const struct distribution *store_bdb_checkpoint_times(const struct store *store);

/* Another value of post365_ledger_sync, as after a reload. */
bool store_bdb_set_sync(struct store *store, bool sync, struct error *error);

#endif
