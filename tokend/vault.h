/* vault.h - the refresh tokens of users' grants, on disk
 *
 * post365_oauth2_directory, mode 0700, the daemon's own, has a file for each grant: its name is the
 * SHA-256 of authority, tenant, client id and account, so that a registration file may be moved and
 * no address can lead out of the directory. It holds lines `name = value`: `account`, `tenant`,
 * `client_id`, `since` (when somebody logged in) and `stored` (both in seconds since the epoch),
 * and last `refresh_token`. Beside it, as NAME.previous, is the token before, for an endpoint's
 * answer that was lost on its way or with the machine.
 *
 * A new token is written aside, flushed, and put in place by rename(2), then the directory is
 * flushed: whenever the program or the machine dies, there is a whole file, with the token before
 * or with the new one. Nothing is deleted but by vault_delete().
 */
#ifndef POST365_TOKEND_VAULT_H
#define POST365_TOKEND_VAULT_H

#include "common/error.h"
#include "common/oauth2/registration.h"
#include "common/secret.h"

#include <stdbool.h>
#include <stdint.h>

struct vault;

enum vault_answer { VAULT_FOUND, VAULT_NONE, VAULT_FAILED };

struct vault_grant {
    struct secret *current;
    struct secret *previous; /* NULL: none, or the same */
    int64_t since;           /* seconds since the epoch */
};

/* Opens the directory, which must be there (private_directory_make()), the caller's and closed to
 * others. NULL with the reason and the remedy. */
struct vault *vault_open(const char *directory, struct error *error);
/* NULL is allowed. */
void vault_close(struct vault *vault);

/* The account's grant; release it with vault_release(). Where the file is damaged and there is one
 * from before, that counts. VAULT_FAILED: it cannot be read; `error` says why. */
enum vault_answer vault_find(struct vault *vault, const struct registration *registration,
                             const char *account, struct vault_grant *grant, struct error *error);
void vault_release(struct vault_grant *grant);

/* Stores a refresh token in place of the one that there is; `since` and `now` in seconds since the
 * epoch. When it returns true the disk has it. False with the reason: what was there is still
 * there. */
bool vault_store(struct vault *vault, const struct registration *registration, const char *account,
                 const struct secret *token, int64_t since, int64_t now, struct error *error);

/* Deletes the grant and the one before. VAULT_NONE: there was none. */
enum vault_answer vault_delete(struct vault *vault, const struct registration *registration,
                               const char *account, struct error *error);

/* Calls `visit` with the account of each grant; of several registrations it may come twice. */
void vault_each(struct vault *vault, void (*visit)(void *context, const char *account),
                void *context);

#endif
