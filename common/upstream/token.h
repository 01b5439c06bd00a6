/* token.h - OAuth2 access tokens, from files that something else keeps fresh
 *
 * post365_token_maps gives an account the path of a file whose first line is its bearer token. The
 * file is read whenever the token is asked for, by post365_user, also where the program is root,
 * and nothing of it is kept. Whoever renews a token writes another file and renames it, so that
 * nobody reads half of one. Not thread-safe.
 *
 * Sources: RFC 6750 (2.1: what a token is made of).
 */
#ifndef POST365_COMMON_UPSTREAM_TOKEN_H
#define POST365_COMMON_UPSTREAM_TOKEN_H

#include "common/error.h"
#include "common/secret.h"
#include "common/settings.h"
#include "common/table.h"

#include <stdbool.h>
#include <stdint.h>

#define TOKEN_FILE_MAX ((size_t)16 * 1024) /* bytes */

struct tokens;

/* Opens post365_token_maps; files are not read yet. `settings` must outlive the result. With `old`
 * (may be NULL, stays the caller's) it is a reload, see tables_reopen(). NULL with the reason. */
struct tokens *tokens_reopen(struct tokens *old, const struct settings *settings,
                             struct error *error);
/* tables_check() */
bool tokens_check(struct tokens *tokens, struct error *error);
/* `tokens` may be NULL. */
void tokens_close(struct tokens *tokens);

/* The account's token, the caller's to secret_free(). TABLE_NONE: post365_token_maps does not know
 * it. TABLE_FAILED: the look-up failed; the file is missing, unreadable, larger than
 * TOKEN_FILE_MAX, open to other users of the host, or its first line is no token; `error` says
 * which, with the remedy. */
enum table_answer tokens_find(struct tokens *tokens, const char *upn, struct secret **token,
                              struct error *error);

/* Goes up when the tables or a file that was asked for have changed since the last call, readable
 * or not. Takes a stat(2) for each file. */
uint64_t tokens_version(struct tokens *tokens);

/* Calls `visit` with each UPN in the tables that can be enumerated, see tables_each_key(). True:
 * there are no others. */
bool tokens_each(struct tokens *tokens, void (*visit)(void *context, const char *upn),
                 void *context);

#endif
