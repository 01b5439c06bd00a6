/* metrics.c - the transport's figures, published once a second */
#include "transport/metrics.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics/exposition.h"
#include "common/metrics/http.h"
#include "transport/ledger_health.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <sysexits.h>

struct transport_metrics {
    struct transport_metrics_parts parts;
    struct http *http;
    struct ledger_health *health;
    struct event *timer;
    int64_t started;
    uint64_t reloads, failed_reloads;
};

static void write_build(const struct transport_metrics *metrics, struct buffer *text)
{
    const struct exposition_label labels[] = {{"version", POST365_VERSION},
                                              {"libevent", event_get_version()},
                                              {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)}};
    exposition_family(text, "transport_build_info", EXPOSITION_GAUGE, "Versions; always 1.");
    exposition_integer(text, "transport_build_info", labels, 3, 1);
    exposition_family(text, "transport_start_time_seconds", EXPOSITION_GAUGE,
                      "When the service started, since the epoch.");
    exposition_seconds(text, "transport_start_time_seconds", NULL, 0, metrics->started);
    exposition_pair(text, "transport_reloads_total", EXPOSITION_COUNTER,
                    "Reloads of the configuration.", "result",
                    (const char *const[]){"ok", "failed"},
                    (const uint64_t[]){metrics->reloads, metrics->failed_reloads});
}

static void write_messages(const struct delivery_counts *counts, struct buffer *text)
{
    const struct {
        const char *outcome;
        uint64_t count;
    } ends[] = {{"accepted", counts->accepted},    {"refused", counts->refused},
                {"deferred", counts->deferred},    {"no_room", counts->waiting},
                {"not_attempted", counts->failed}, {"unknown", counts->unknown}};
    exposition_family(text, "transport_messages_total", EXPOSITION_COUNTER,
                      "Messages by what became of them; unknown: no reply to the final dot.");
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        exposition_integer(text, "transport_messages_total",
                           &(struct exposition_label){"outcome", ends[i].outcome}, 1,
                           ends[i].count);
    exposition_number(text, "transport_recipients_accepted_total", EXPOSITION_COUNTER,
                      "Recipients that Microsoft has accepted.", counts->recipients);
    exposition_number(text, "transport_messages_under_way", EXPOSITION_GAUGE,
                      "Messages that wait for room or are being sent.", counts->under_way);
    exposition_distribution(text, "transport_room_duration_seconds",
                            "Time until the ledger had granted room, or not.", &counts->room_times,
                            true);
    exposition_distribution(text, "transport_message_duration_seconds",
                            "Time from DATA until Postfix had its last reply.", &counts->times,
                            true);
}

static void write_connections(const struct transport_metrics_parts *parts, struct buffer *text)
{
    const struct pool_counts *counts = pool_counts(parts->pool);
    exposition_number(text, "transport_sessions", EXPOSITION_GAUGE, "LMTP clients.",
                      lmtp_sessions(parts->lmtp));
    exposition_number(text, "transport_sessions_limit", EXPOSITION_GAUGE,
                      "LMTP clients that may be there at once.", parts->sessions_max);
    exposition_number(text, "transport_connections", EXPOSITION_GAUGE,
                      "Connections to Microsoft, of all accounts.", pool_count(parts->pool, NULL));
    exposition_pair(text, "transport_connections_opened_total", EXPOSITION_COUNTER,
                    "Connections that were opened and logged in, by their TLS session.",
                    "tls_session", (const char *const[]){"new", "resumed"},
                    (const uint64_t[]){counts->opened - counts->resumed, counts->resumed});
    exposition_pair(text, "transport_connections_failed_total", EXPOSITION_COUNTER,
                    "Connections that could not be opened, by reason.", "reason",
                    (const char *const[]){"login_refused", "other"},
                    (const uint64_t[]){counts->refused, counts->failed - counts->refused});
}

static void write_waiting(const struct transport_metrics_parts *parts, bool is_ledger_up,
                          struct buffer *text)
{
    exposition_number(text, "transport_accounts_troubled", EXPOSITION_GAUGE,
                      "Accounts that are paused, or that Microsoft did not answer at last.",
                      deliveries_troubled(parts->deliveries));
    exposition_number(text, "transport_wakeups_waiting", EXPOSITION_GAUGE,
                      "Messages and accounts of which deferred mail is to be woken up.",
                      wakeup_count(parts->wakeup));
    exposition_number(text, "transport_wakeups_total", EXPOSITION_COUNTER,
                      "Messages that were handed back to Postfix's queue manager.",
                      wakeup_woken(parts->wakeup));
    exposition_number(text, "transport_ledger_up", EXPOSITION_GAUGE,
                      "Whether post365-policyd answers, and has a ledger.", is_ledger_up);
}

static void publish(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    const struct transport_metrics *metrics = argument;
    struct buffer text = {0};
    ledger_health_check(metrics->health);
    const char *trouble = ledger_health_trouble(metrics->health);
    write_build(metrics, &text);
    write_messages(deliveries_counts(metrics->parts.deliveries), &text);
    write_connections(&metrics->parts, &text);
    write_waiting(&metrics->parts, trouble[0] == '\0', &text);
    http_publish(metrics->http, &text, trouble);
}

struct transport_metrics *transport_metrics_start(struct event_base *base, int listening,
                                                  const struct transport_metrics_parts *parts,
                                                  struct error *error)
{
    const struct timeval interval = {.tv_sec = 1};
    struct transport_metrics *metrics = memory_zero(1, sizeof(*metrics));
    metrics->parts = *parts;
    metrics->health = ledger_health_new(parts->channel);
    metrics->started = clock_now(clock_system());
    metrics->timer = event_new(base, -1, EV_PERSIST, publish, metrics);
    if (metrics->timer == NULL || event_add(metrics->timer, &interval) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    metrics->http = http_start(listening, "post365-transport", error);
    if (metrics->http == NULL) {
        transport_metrics_stop(metrics);
        return NULL;
    }
    publish(-1, 0, metrics);
    return metrics;
}

void transport_metrics_count_reload(struct transport_metrics *metrics, bool worked)
{
    if (metrics == NULL)
        return;
    if (worked)
        metrics->reloads++;
    else
        metrics->failed_reloads++;
}

void transport_metrics_stop(struct transport_metrics *metrics)
{
    if (metrics == NULL)
        return;
    event_free(metrics->timer);
    http_stop(metrics->http);
    ledger_health_free(metrics->health);
    free(metrics);
}
