/* registrations.h - which application registration an account logs in with
 *
 * post365_oauth2_maps gives an account the absolute path of a registration file (registration.h).
 * What is looked up first is the account itself, in tables that have lines of their own for keys,
 * then its @domain there, then what patterns and static: say. Only a line for the very address
 * makes it an account; the others say how accounts log in. The registration files are not opened
 * here. Not thread-safe.
 */
#ifndef POST365_COMMON_OAUTH2_REGISTRATIONS_H
#define POST365_COMMON_OAUTH2_REGISTRATIONS_H

#include "common/error.h"
#include "common/settings.h"
#include "common/table.h"

#include <stdbool.h>
#include <stdint.h>

struct registrations;

/* Whether post365_oauth2_maps names a table: else nothing of OAuth2 is asked for or shown. */
bool registrations_in_use(const struct settings *settings);

/* Opens post365_oauth2_maps. `settings` must outlive the result. With `old` (may be NULL, stays the
 * caller's) it is a reload, see tables_reopen(). NULL with the reason. */
struct registrations *registrations_reopen(struct registrations *old,
                                           const struct settings *settings, struct error *error);
/* tables_check() */
bool registrations_check(struct registrations *registrations, struct error *error);
/* `registrations` may be NULL. */
void registrations_close(struct registrations *registrations);

/* The path of the account's registration file, the caller's to free(). TABLE_NONE:
 * post365_oauth2_maps does not know the account. TABLE_FAILED: the look-up failed, or it gave no
 * absolute path; `error` says so, with the remedy. */
enum table_answer registrations_find(struct registrations *registrations, const char *upn,
                                     char **path, struct error *error);

/* The same for a line with this very address as its key alone: whether it makes an account. */
enum table_answer registrations_find_exact(struct registrations *registrations, const char *upn,
                                           char **path, struct error *error);

/* Goes up when the tables, or a registration file that was given out, have changed since the last
 * call, readable or not. Takes a stat(2) for each file. */
uint64_t registrations_version(struct registrations *registrations);

/* Calls `visit` with each UPN that is a key in a table that can be enumerated, see
 * tables_each_key(). True: there are no others. `visit` must not use `registrations`. */
bool registrations_each(struct registrations *registrations,
                        void (*visit)(void *context, const char *upn), void *context);

/* Calls `visit` once with each registration file that tables which can be enumerated and static:
 * name. */
void registrations_each_file(struct registrations *registrations,
                             void (*visit)(void *context, const char *path), void *context);

/* Calls `visit` with what is wrong with each value in these tables that is no absolute path. */
void registrations_each_wrong(struct registrations *registrations,
                              void (*visit)(void *context, const struct error *error),
                              void *context);

#endif
