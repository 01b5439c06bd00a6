/* metrics.h - the daemon's figures, published once a second
 *
 * Everybody counts for himself, in plain numbers; this reads them, writes them down in Prometheus'
 * text format and hands the page to http.h. That costs the same however often somebody asks.
 *
 * Of accounts the first METRICS_ACCOUNTS_MAX are shown, those that have been known for longest, so
 * that the series stay the same ones; post365_accounts_omitted says how many are not.
 */
#ifndef POST365_POLICYD_METRICS_H
#define POST365_POLICYD_METRICS_H

#include "common/error.h"
#include "common/metrics/exposition.h"
#include "common/settings.h"
#include "common/table.h"
#include "policyd/ledger/ledger.h"
#include "policyd/policy.h"
#include "policyd/server.h"
#include "policyd/store/store.h"

#include <event2/event.h>

struct metrics;

/* What is reported on. All of it belongs to the caller and outlives its use here. */
struct metrics_parts {
    const struct settings *settings;
    struct tables *quota_maps; /* post365_quota_maps */
    struct policy *policy;
    struct server *server;
    struct ledger *ledger;
    const struct store *meter; /* store/meter.h */
    const struct store *store; /* store/bdb.h */
};

/* Starts to answer on a listening descriptor, which becomes its own. NULL with the reason. */
struct metrics *metrics_start(struct event_base *base, int listening,
                              const struct metrics_parts *parts, struct error *error);

/* Other settings and tables from now on. */
void metrics_configure(struct metrics *metrics, const struct metrics_parts *parts);

/* A reload has ended. */
void metrics_count_reload(struct metrics *metrics, bool worked);

/* `metrics` may be NULL, here and in the two before. */
void metrics_stop(struct metrics *metrics);

#endif
