/* accounts.h - which accounts there are
 *
 * One answer for all who must mean the same by "each account": the transport, which gives each a
 * socket; setup, which sends mail there; the doctor; metrics.
 */
#ifndef POST365_COMMON_UPSTREAM_ACCOUNTS_H
#define POST365_COMMON_UPSTREAM_ACCOUNTS_H

#include "common/identity.h"
#include "common/upstream/credentials.h"

/* Calls `visit` once with each account whose mail goes to a server of ours, folded, in no order:
 * those of credentials_each(), the account of mail that no table claims, and, where the tables of
 * credentials cannot be listed, those that post365_login_upn_maps and post365_sender_upn_maps name.
 * What else a table that cannot be listed knows is found when a message names it. `visit` must not
 * use `credentials` or `identities`. */
void accounts_each(struct credentials *credentials, struct identities *identities,
                   void (*visit)(void *context, const char *upn), void *context);

#endif
