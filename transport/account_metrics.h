/* account_metrics.h - the figures of each account, and of which accounts
 *
 * Those that have credentials are shown, the first METRICS_ACCOUNTS_MAX by name, so that the series
 * stay the same ones; post365_transport_accounts_omitted says how many are not. One whose
 * credentials cannot be listed (ldap:) is shown from its first connection on.
 */
#ifndef POST365_TRANSPORT_ACCOUNT_METRICS_H
#define POST365_TRANSPORT_ACCOUNT_METRICS_H

#include "common/buffer.h"
#include "common/upstream/accounts.h"
#include "transport/submission/pool.h"

struct account_metrics;

/* Release with account_metrics_free(); NULL is allowed there. */
struct account_metrics *account_metrics_new(void);
void account_metrics_free(struct account_metrics *accounts);

/* The accounts of accounts.h, now and instead of those before. */
void account_metrics_list(struct account_metrics *accounts, struct credentials *credentials,
                          struct identities *identities);

void account_metrics_write(struct account_metrics *accounts, const struct pool *pool,
                           struct buffer *text);

#endif
