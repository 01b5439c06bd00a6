/* vault.h - refresh tokens on disk
 *
 * post365_oauth2_directory has two files for each grant: the refresh token that there is, and
 * beside it (".previous") the one before, since an endpoint may not have taken the last exchange
 * for done. A new one is written aside, flushed, given its name, and the directory is flushed:
 * whenever the program or the machine dies there is one whole file. Nothing is deleted but by
 * vault_remove().
 *
 * A file is text: name=value lines, the token last. It is named by a digest of whose grant it is
 * (application and account), so that no name can lead elsewhere. Not thread-safe.
 *
 * Sources: rename(2), fsync(2); RFC 6749 section 6 (a new refresh token takes the old one's place).
 */
#ifndef POST365_TOKEND_VAULT_H
#define POST365_TOKEND_VAULT_H

#include "common/error.h"
#include "common/secret.h"

#include <stdbool.h>
#include <stdint.h>

struct vault;

struct registration;

/* Whose grant it is. */
struct vault_key {
    const char *authority; /* https://login.microsoftonline.com */
    const char *tenant;
    const char *client_id;
    const char *account; /* folded UPN */
};

/* That of an account of a registration; both outlive it. */
struct vault_key vault_key_of(const struct registration *registration, const char *account);

/* All zero: none. */
struct vault_grant {
    struct secret *token;    /* NULL: that file is not whole, `previous` is */
    struct secret *previous; /* NULL: there is none */
    int64_t since;           /* seconds since the epoch: when the user logged in */
    int64_t written;         /* when the token came */
};

enum vault_answer { VAULT_FOUND, VAULT_NONE, VAULT_FAILED };

/* The directory must be there, the program's own, and closed to all others. NULL with the reason
 * and the remedy. Release with vault_close(). */
struct vault *vault_open(const char *directory, struct error *error);
/* NULL is allowed. */
void vault_close(struct vault *vault);

/* Reads a grant, the caller's to vault_release(). VAULT_FAILED: there is one that cannot be used,
 * with the reason. */
enum vault_answer vault_read(const struct vault *vault, const struct vault_key *key,
                             struct vault_grant *grant, struct error *error);
/* Wipes and releases what is in it. */
void vault_release(struct vault_grant *grant);

/* Stores a token in place of the one that is there, which becomes the previous one. Returns when it
 * is on the disk. False with the reason: then what was there is there. */
bool vault_write(const struct vault *vault, const struct vault_key *key, const struct secret *token,
                 int64_t since, int64_t now, struct error *error);

/* Deletes a grant. True as well if there was none: `*was_there` says. */
bool vault_remove(const struct vault *vault, const struct vault_key *key, bool *was_there,
                  struct error *error);

/* Calls `visit` with the account of each grant that there is; of several applications it may come
 * more than once. */
void vault_each(const struct vault *vault, void (*visit)(void *context, const char *account),
                void *context);

#endif
