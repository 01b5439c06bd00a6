/* identity.h - which account sends this message?
 *
 * None at all, if sender_dependent_relayhost_maps has the envelope sender's mail for another server
 * than Microsoft's or relayhost's, and post365_sender_upn_maps does not claim it. Else the first
 * that answers: post365_login_upn_maps[SASL login], post365_sender_upn_maps[envelope sender], the
 * SASL login itself if it has credentials, the envelope sender itself if it has credentials,
 * whoever has credentials for the server that sender_dependent_relayhost_maps has for the sender,
 * post365_upn. With post365_login_only the sender is not asked for an account: anybody may write
 * what he likes there. Shared by all who ask, so that they always name the same account.
 */
#ifndef POST365_COMMON_IDENTITY_H
#define POST365_COMMON_IDENTITY_H

#include "common/error.h"
#include "common/settings.h"
#include "common/table.h"

struct identities;

enum identity_source {
    IDENTITY_LOGIN_MAP,
    IDENTITY_SENDER_MAP,
    IDENTITY_LOGIN,
    IDENTITY_SENDER,
    IDENTITY_SERVER, /* whoever the password table has for the sender's own server */
    IDENTITY_DEFAULT,
    IDENTITY_ELSEWHERE, /* its mail is for another server, and no business of post365 */
};

struct identity {
    enum identity_source source;
    char *upn; /* as written where it was found, never empty; of IDENTITY_ELSEWHERE the sender */
};

/* Opens the tables that the settings name. `settings` must outlive the result. NULL with the
 * reason. */
struct identities *identities_open(const struct settings *settings, struct error *error);

/* The same for a reload, when root has been dropped: what can no longer be read is taken over from
 * `old` (may be NULL; it stays the caller's to close), see tables_reopen(). */
struct identities *identities_reopen(struct identities *old, const struct settings *settings,
                                     struct error *error);

/* Tries, as the final user, what must work for the look-ups. False with the reason. Call between
 * dropping root and reporting ready. */
bool identities_check(struct identities *identities, struct error *error);

/* `identities` may be NULL. */
void identities_close(struct identities *identities);

/*
 * `login` is the SASL login of the submitting client ("" if there is none), `sender` the envelope
 * sender in SMTP's form, however it was spelled: what is looked up is identity_sender() of it (""
 * is the null sender: it is no key in any table, so that only the login or post365_upn can answer).
 * TABLE_FOUND: `identity->upn` is the caller's to free(). TABLE_NONE: no source answered; `error`
 * says which parameter to set. TABLE_FAILED: a look-up failed, or a table gave something that is no
 * address; `error` says which. With IDENTITY_ELSEWHERE, a TABLE_FOUND, `error` says which server
 * the mail is for, who says so, and what main.cf must have for it. Thread-safe.
 *
 * Keys are tried in the order of tables_find_address(). "Has credentials" means that
 * post365_token_maps or post365_oauth2_maps has a line for this very address, or that
 * post365_password_maps knows it; in the latter case the account is the user name found there,
 * since that is who Microsoft will see. A line of the password table that is for another server
 * (destinations.h) is nobody's. An empty post365_upn means the user name that post365_password_maps
 * has for $relayhost: for its host name, then for the whole as written, which is how smtp(8) finds
 * it.
 */
enum table_answer identity_find(struct identities *identities, const char *login,
                                const char *sender, struct identity *identity, struct error *error);

/* The account of mail that no table claims: the last source alone. */
enum table_answer identity_find_default(struct identities *identities, struct identity *identity,
                                        struct error *error);

/* The envelope sender as Postfix's queue has it, of what was given in SMTP; see address_standard().
 * The caller's to free(). Thread-safe. */
char *identity_sender(const struct identities *identities, const char *given);

/* tables_refresh() for all the tables that identity_find() asks: true if as long as `*version` is
 * the same its answers are the same, too. Thread-safe. */
bool identities_refresh(struct identities *identities, uint64_t *version);

/*
 * Whether the account holds Send As for an address: post365_send_as_maps[upn] lists it or its
 * @domain (comma or white space between), upper or lower case, no subdomains, no extensions: an
 * address is covered only where Microsoft would accept it. The account's own UPN is always covered.
 * TABLE_FOUND, TABLE_NONE, or TABLE_FAILED with the reason; a list with an entry that is neither an
 * address nor a @domain is a failure for whatever it does not otherwise cover. Thread-safe.
 */
enum table_answer identity_covers(struct identities *identities, const char *upn,
                                  const char *address, struct error *error);

/* Calls `visit` with each account that post365_login_upn_maps and post365_sender_upn_maps name, as
 * far as they can be enumerated, folded, an account perhaps twice. `visit` must not use
 * `identities`. Thread-safe. */
void identities_each(struct identities *identities, void (*visit)(void *context, const char *upn),
                     void *context);

/* The addresses and @domains of post365_send_as_maps[upn], as written there: see above for what is
 * between them. The caller's to free(); NULL if there are none, or the look-up has failed.
 * Thread-safe. */
char *identity_send_as(struct identities *identities, const char *upn);

/* For log lines: "login map", "sender map", "login", "sender", "sender's relayhost", "post365_upn",
 * "elsewhere". */
const char *identity_source_name(enum identity_source source);

#endif
