/* directory.h - the directory that the ledger lies in
 *
 * One directory, one owner: it belongs to the user that the program runs as, is closed to everybody
 * else (Berkeley DB obeys a DB_CONFIG file in it), and is locked by one process at a time. It must
 * be on a local file system.
 */
#ifndef POST365_POLICYD_STORE_DIRECTORY_H
#define POST365_POLICYD_STORE_DIRECTORY_H

#include "common/error.h"
#include "common/settings.h"

#include <stdbool.h>
#include <stdint.h>

#define STORE_ACCOUNTS     "accounts.db"
#define STORE_TURNS        "turns.db"
#define STORE_RESERVATIONS "reservations.db"
#define STORE_LOG_PREFIX   "log."

/*
 * Makes the directory that post365_ledger names, mode 0700, owned by post365_user (if the caller is
 * root) or the caller, unless it is there. With `only_check` nothing is made. Call before
 * privileges are dropped. False with the reason and the remedy: no such parent directory, not
 * permitted, not a directory, another owner (of the directory or a file in it), open to others.
 */
bool store_directory_prepare(const struct settings *settings, bool only_check, struct error *error);

/* Tries what the final user needs in the directory, without disturbing who may be using it. A
 * directory that is not there yet is fine. False with the reason and the remedy. */
bool store_directory_check(const struct settings *settings, struct error *error);

/* Whether the directory is fit to be used, and no other process uses it. False with the reason and
 * the remedy: nothing that passes by itself. */
bool store_directory_is_free(const struct settings *settings, struct error *error);

/* Checks and locks the directory. Returns a descriptor that holds the lock until any descriptor of
 * the lock file is closed; -1 with the reason and the remedy. */
int store_directory_lock(const struct settings *settings, struct error *error);

/* Whether there is a file of this name, or a log file. */
bool store_directory_has(const char *directory, const char *name);
bool store_directory_has_log(const char *directory);

/* What the ledger's files take on the disk, in bytes. False if they cannot be looked at. */
bool store_directory_size(const char *directory, uint64_t *data, uint64_t *logs);

#endif
