/* metrics.h - the transport's figures, published once a second
 *
 * As policyd/metrics: everybody counts for himself, this reads and writes it down, common/metrics
 * answers.
 */
#ifndef POST365_TRANSPORT_METRICS_H
#define POST365_TRANSPORT_METRICS_H

#include "common/error.h"
#include "common/ledger_channel.h"
#include "common/oauth2/token_channel.h"
#include "common/upstream/credentials.h"
#include "transport/delivery/delivery.h"
#include "transport/lmtp/server.h"
#include "transport/queue/wakeup.h"
#include "transport/submission/pool.h"
#include "transport/token_subjects.h"

#include <event2/event.h>

struct transport_metrics;

/* What is reported on. All of it belongs to the caller and outlives its use here. */
struct transport_metrics_parts {
    const struct deliveries *deliveries;
    const struct lmtp *lmtp;
    size_t sessions_max;
    const struct pool *pool;
    const struct wakeup *wakeup;
    struct ledger_channel *channel;
    const struct token_channel *tokens;
    const struct token_subjects *subjects;
};

/* Starts to answer on a listening descriptor, which becomes its own. NULL with the reason. */
struct transport_metrics *transport_metrics_start(struct event_base *base, int listening,
                                                  const struct transport_metrics_parts *parts,
                                                  struct credentials *credentials,
                                                  struct identities *identities,
                                                  struct error *error);

/* The accounts that have credentials may be others. They are not kept. */
void transport_metrics_list_accounts(struct transport_metrics *metrics,
                                     struct credentials *credentials,
                                     struct identities *identities);

/* A reload has ended. */
void transport_metrics_count_reload(struct transport_metrics *metrics, bool worked);

/* Before the parts are released. `metrics` may be NULL, here and in the two before. */
void transport_metrics_stop(struct transport_metrics *metrics);

#endif
