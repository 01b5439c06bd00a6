/* acceptance.h - what servers say of an access token at AUTH, and whether a new one helps
 *
 * Exchange's `535 5.7.3` says that it does not take this login. A token that was revoked, or was
 * issued before a permission was given, is a possible reason, a wrong permission a likelier one. So
 * there is a new token only if this one is older than a minute, nobody else has logged in with it
 * within the last five minutes, and not more than once in ten minutes for an account. Of
 * `5.7.139` (SMTP AUTH is switched off) never: that has nothing to do with the token. High Volume
 * Email's answers about the token's end (`501 5.5.127`, `535 5.7.142`, `5.7.143`) want another one.
 *
 * Pure: times are microseconds of a clock that nobody sets.
 */
#ifndef POST365_TOKEND_ACCEPTANCE_H
#define POST365_TOKEND_ACCEPTANCE_H

#include "common/address.h"

#include <stdbool.h>
#include <stdint.h>

/* Who logged in with a token. All zero for a new one. */
struct acceptance {
    char last[ADDRESS_MAX + 1]; /* the account that did last; "": nobody */
    int64_t last_at;
    char other[ADDRESS_MAX + 1]; /* another than that one, before; "": nobody */
    int64_t other_at;
};

void acceptance_note(struct acceptance *acceptance, const char *account, int64_t now);

/* Whether somebody else than `account` logged in within the last five minutes. */
bool acceptance_by_others(const struct acceptance *acceptance, const char *account, int64_t now);

/* Whether a server's refusal may be about the token at all. */
bool acceptance_is_of_token(const char *reply);

/* Whether a new token may help after `reply`, a server's refusal. `got_at` is when the token was
 * asked for; `*renewed_at` when a new one was got for this account because of a refusal (0: never)
 * and is set to now where the answer is yes. */
bool acceptance_wants_new(const struct acceptance *acceptance, const char *account,
                          const char *reply, int64_t got_at, int64_t *renewed_at, int64_t now);

#endif
