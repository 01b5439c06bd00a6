/* credentials.h - where an account logs in, and with which user name and secret
 *
 * The server is that of common/destinations.h: what sender_dependent_relayhost_maps has for the
 * account, else relayhost. An account (UPN) that post365_token_maps knows authenticates with that
 * token (XOAUTH2); one that post365_oauth2_maps knows with a token that post365-tokend gets, which
 * is not found here (asking.h); any other with what post365_password_maps has (LOGIN): under the
 * UPN; under the server, where smtp(8) looks; under any other key of a table that can be
 * enumerated. A line counts only if it is for that server, by its key, and if its user name is the
 * UPN: Microsoft counts and trusts whoever logs in, so nobody else may do that for the account.
 * What is no password (mechanism.h) is not used as one. Passwords stay in memory (common/secret.h),
 * since most hosts let root alone read them; they are in no message. Not thread-safe.
 */
#ifndef POST365_COMMON_UPSTREAM_CREDENTIALS_H
#define POST365_COMMON_UPSTREAM_CREDENTIALS_H

#include "common/destination.h"
#include "common/error.h"
#include "common/oauth2/token_message.h"
#include "common/secret.h"
#include "common/settings.h"
#include "common/table.h"
#include "common/upstream/sasl.h"

#include <stdbool.h>
#include <stdint.h>

struct credentials;

struct credential {
    struct destination destination; /* whose secret it is: no other server may see it */
    enum sasl_mechanism mechanism;
    char *user;            /* as written in the table; with a token: as asked for */
    struct secret *secret; /* the password or the access token; NULL: see `registration` */
    /* The path of the registration file that a token is to be got with, or NULL. */
    char *registration;
    /* Of a token that was got so: its fingerprint, else "", and how long it is good, microseconds.
     */
    char token_id[TOKEN_ID_LENGTH + 1];
    int64_t token_left;
};

/* Opens the tables, while the program is still root. `settings` must outlive the result. NULL with
 * the reason. */
struct credentials *credentials_open(const struct settings *settings, struct error *error);
/* The same for a reload, when root has been dropped: what can no longer be read is taken over from
 * `old` (may be NULL; it stays the caller's to close), see tables_reopen(). */
struct credentials *credentials_reopen(struct credentials *old, const struct settings *settings,
                                       struct error *error);
/* Tries, as the final user, what must work for the look-ups, see tokens_check(), and warns of
 * accounts whose line, and of registrations whose file, is of no use. False with the reason. Call
 * between dropping root and reporting ready. */
bool credentials_check(struct credentials *credentials, struct error *error);
/* Wipes and releases. `credentials` may be NULL. */
void credentials_close(struct credentials *credentials);

/* TABLE_FOUND: the credential is the caller's to credential_release(). TABLE_NONE: there is none
 * for this account, or its mail is for a server that is not ours; `error` says what to write where.
 * TABLE_FAILED: a look-up failed or what it gave is of no use; `error` says what and the remedy.
 * The last two are temporary failures of a delivery. Changed tables and files are read again first;
 * what the program may no longer read serves on, with one warning. */
enum table_answer credentials_find(struct credentials *credentials, const char *upn,
                                   struct credential *credential, struct error *error);
/* Wipes and releases what is in it, if anything is; the struct stays the caller's. */
void credential_release(struct credential *credential);

/* Whether post365_oauth2_maps names anything: then post365-tokend is needed. */
bool credentials_use_oauth2(const struct credentials *credentials);

/* Another number than at the last call if a table was read again since, if a token or registration
 * file has changed, or after a reload: reason to try an account again whose login failed. It never
 * goes down. A table that has changed and may not be read is none: its old passwords serve on.
 * Takes a stat(2) for each file. Changes in what is asked through postmap(1) and has no file
 * (ldap:) are not seen. */
uint64_t credentials_version(struct credentials *credentials);

/* Calls `visit` once with each account that has credentials, folded to lower case, in no order: the
 * UPNs of post365_token_maps and post365_oauth2_maps (no @domain) and the user names of
 * post365_password_maps in lines for their server, of tables that can be enumerated (hash:, btree:,
 * texthash:, inline:); the user names for relayhost, of any table. True: these are all that there
 * are. accounts.h has those that are known otherwise. `visit` must not use `credentials`. */
bool credentials_each(struct credentials *credentials,
                      void (*visit)(void *context, const char *upn), void *context);

/* Whether mail of an account is for a server of ours, as far as is known; see destinations_find().
 */
bool credentials_is_ours(struct credentials *credentials, const char *upn);

#endif
