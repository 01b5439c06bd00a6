/* store_bdb.h - the ledger's store in Berkeley DB
 *
 * One directory, one owner: the directory belongs to the user that the program runs as, is closed
 * to everybody else (Berkeley DB obeys a DB_CONFIG file in it), and is locked by one process at a
 * time. It must be on a local file system.
 */
#ifndef POST365_POLICYD_STORE_BDB_H
#define POST365_POLICYD_STORE_BDB_H

#include "common/error.h"
#include "common/settings.h"
#include "policyd/store.h"

#include <stdbool.h>

/*
 * Makes the directory that post365_ledger names, mode 0700, owned by post365_user (if the caller is
 * root) or the caller, unless it is there. With `only_check` nothing is made. Call before
 * privileges are dropped. False with the reason and the remedy: no such parent directory, not
 * permitted, not a directory, another owner (of the directory or a file in it), open to others.
 */
bool store_bdb_prepare(const struct settings *settings, bool only_check, struct error *error);

/* Tries what the final user needs in the directory, without disturbing who may be using it. A
 * directory that is not there yet is fine. False with the reason and the remedy. */
bool store_bdb_check(const struct settings *settings, struct error *error);

/* Whether the directory is fit to be used, and no other process uses it. False with the reason and
 * the remedy: nothing that passes by itself. */
bool store_bdb_is_free(const struct settings *settings, struct error *error);

/*
 * Locks the directory, recovers what a crash left, opens the databases. With
 * post365_ledger_sync a write is on the disk when it returns; without, the operating system has it.
 * NULL with the reason and the remedy: in use by another process (which is named), not ours, not
 * readable, a file of it is lost, written by another version, no space. Nothing that is on the disk
 * is deleted.
 *
 * When Berkeley DB itself finds that it cannot go on, the program is ended with a log line; the
 * next start recovers.
 */
struct store *store_bdb_open(const struct settings *settings, struct error *error);

/* What the ledger's files take on the disk, in bytes. False if they cannot be looked at. */
struct store_bdb_size {
    uint64_t data, logs;
};
bool store_bdb_size(const struct store *store, struct store_bdb_size *size);

/* Another value of post365_ledger_sync, as after a reload. */
bool store_bdb_set_sync(struct store *store, bool sync, struct error *error);

#endif
