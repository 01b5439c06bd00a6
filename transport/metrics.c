/* metrics.c - the transport's figures, published once a second */
#include "transport/metrics.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics/exposition.h"
#include "common/metrics/http.h"
#include "common/office365.h"
#include "transport/account_metrics.h"
#include "transport/ledger_health.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <sysexits.h>

struct transport_metrics {
    struct transport_metrics_parts parts;
    struct http *http;
    struct ledger_health *health;
    struct account_metrics *accounts;
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
    exposition_numbers(text, "transport_reloads_total", EXPOSITION_COUNTER,
                       "Reloads of the configuration.", "result",
                       (const char *const[]){"ok", "failed"},
                       (const uint64_t[]){metrics->reloads, metrics->failed_reloads}, 2);
}

static void write_messages(const struct delivery_counts *counts, struct buffer *text)
{
    static const char *const fates[DELIVERY_FATES] = {[DELIVERY_ACCEPTED] = "accepted",
                                                      [DELIVERY_DEFERRED] = "deferred",
                                                      [DELIVERY_REFUSED] = "refused"};
    const struct {
        const char *outcome;
        uint64_t count;
    } ends[] = {{"accepted", counts->accepted},    {"refused", counts->refused},
                {"deferred", counts->deferred},    {"no_room", counts->waiting},
                {"not_attempted", counts->failed}, {"unknown", counts->unknown},
                {"abandoned", counts->abandoned}};
    exposition_family(text, "transport_messages_total", EXPOSITION_COUNTER,
                      "Messages by what became of them; unknown: no reply to the final dot; "
                      "abandoned: Postfix has gone before it.");
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        exposition_integer(text, "transport_messages_total",
                           &(struct exposition_label){"outcome", ends[i].outcome}, 1,
                           ends[i].count);
    exposition_numbers(text, "transport_recipients_total", EXPOSITION_COUNTER,
                       "Recipients by what Postfix was told, those of abandoned messages left out.",
                       "outcome", fates, counts->recipients, DELIVERY_FATES);
    exposition_number(text, "transport_sent_bytes_total", EXPOSITION_COUNTER,
                      "Octets of messages that were handed to a connection.", counts->octets);
    exposition_distribution(text, "transport_room_duration_seconds",
                            "Time until the ledger had granted room, or not.", &counts->room_times,
                            true);
    exposition_distribution(text, "transport_message_duration_seconds",
                            "Time from DATA until Postfix had its last reply.", &counts->times,
                            true);
}

static void write_under_way(const struct deliveries *deliveries, struct buffer *text)
{
    static const char *const names[DELIVERY_STATES] = {
        [DELIVERY_LEDGER] = "ledger",     [DELIVERY_CONNECTING] = "connecting",
        [DELIVERY_ENVELOPE] = "envelope", [DELIVERY_BODY] = "body",
        [DELIVERY_HELD] = "held",         [DELIVERY_FINAL] = "final",
        [DELIVERY_SETTLING] = "settling"};
    uint64_t numbers[DELIVERY_STATES];
    deliveries_count_states(deliveries, numbers);
    exposition_numbers(text, "transport_messages_under_way", EXPOSITION_GAUGE,
                       "Messages between DATA and the last reply, by what is awaited.", "state",
                       names, numbers, DELIVERY_STATES);
}

static void write_connections(const struct transport_metrics_parts *parts, struct buffer *text)
{
    static const char *const failures[POOL_FAILURES] = {[POOL_NOT_CONNECTED] = "connection",
                                                        [POOL_NOT_SECURE] = "tls",
                                                        [POOL_NOT_LOGGED_IN] = "login",
                                                        [POOL_LOGIN_REFUSED] = "login_refused",
                                                        [POOL_NO_TOKEN] = "token"};
    const struct pool_counts *counts = pool_counts(parts->pool);
    exposition_number(text, "transport_sessions", EXPOSITION_GAUGE, "LMTP clients.",
                      lmtp_sessions(parts->lmtp));
    exposition_number(text, "transport_sessions_limit", EXPOSITION_GAUGE,
                      "LMTP clients that may be there at once.", parts->sessions_max);
    exposition_number(text, "transport_connections", EXPOSITION_GAUGE,
                      "Connections to Microsoft, of all accounts.", pool_count(parts->pool, NULL));
    exposition_numbers(text, "transport_connections_opened_total", EXPOSITION_COUNTER,
                       "Connections that were opened and logged in, by their TLS session.",
                       "tls_session", (const char *const[]){"new", "resumed"},
                       (const uint64_t[]){counts->opened - counts->resumed, counts->resumed}, 2);
    exposition_numbers(text, "transport_connections_failed_total", EXPOSITION_COUNTER,
                       "Connections that could not be opened, by what has failed.", "reason",
                       failures, counts->failed, POOL_FAILURES);
}

/* Every cause has its sample from the start, so that a rise from 0 is seen. */
static void write_pauses(const struct delivery_counts *counts, struct buffer *text)
{
    size_t count;
    const struct office365_row *rows = office365_rows(&count);
    const struct entra_row *rows_of_tokens;
    exposition_family(text, "transport_pauses_total", EXPOSITION_COUNTER,
                      "Pauses of an account that were asked for, by cause.");
    for (size_t i = 0; i < count; i++)
        if (rows[i].account != OFFICE365_ACCOUNT_NOTHING)
            exposition_integer(text, "transport_pauses_total",
                               &(struct exposition_label){"cause", rows[i].name}, 1,
                               counts->pauses[i]);
    rows_of_tokens = entra_rows(&count);
    for (size_t i = 0; i < count; i++)
        exposition_integer(text, "transport_pauses_total",
                           &(struct exposition_label){"cause", rows_of_tokens[i].name}, 1,
                           counts->token_pauses[i]);
    for (enum silence silence = SILENCE_NONE + 1; silence < SILENCES; silence++)
        exposition_integer(text, "transport_pauses_total",
                           &(struct exposition_label){"cause", silence_name(silence)}, 1,
                           counts->silences[silence]);
    exposition_number(text, "transport_turned_away_total", EXPOSITION_COUNTER,
                      "LMTP clients that were turned away since their account is paused.",
                      counts->turned_away);
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

/* Nothing where nobody uses OAuth2. */
static void write_tokens(const struct transport_metrics_parts *parts, struct buffer *text)
{
    if (!token_channel_is_used(parts->tokens))
        return;
    exposition_number(text, "transport_tokend_up", EXPOSITION_GAUGE,
                      "Whether post365-tokend answers.", token_channel_is_up(parts->tokens, NULL));
    token_subjects_write(parts->subjects, text);
}

/* Absent until somebody has looked. */
static void write_oldest(const struct wakeup *wakeup, struct buffer *text)
{
    int64_t arrival, age = 0;
    if (!wakeup_oldest(wakeup, &arrival))
        return;
    if (arrival > 0)
        age = clock_now(clock_system()) + clock_set_since() - arrival * CLOCK_SECOND;
    exposition_number(text, "transport_queue_oldest_seconds", EXPOSITION_GAUGE,
                      "Age of the oldest message in Postfix's queue that is not held, whichever "
                      "way it goes; 0: there is none. Looked for once a minute.",
                      age > 0 ? (uint64_t)(age / CLOCK_SECOND) : 0);
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
    write_under_way(metrics->parts.deliveries, &text);
    write_connections(&metrics->parts, &text);
    account_metrics_write(metrics->accounts, metrics->parts.pool, &text);
    write_pauses(deliveries_counts(metrics->parts.deliveries), &text);
    write_waiting(&metrics->parts, trouble[0] == '\0', &text);
    write_tokens(&metrics->parts, &text);
    write_oldest(metrics->parts.wakeup, &text);
    http_publish(metrics->http, &text, trouble);
}

struct transport_metrics *transport_metrics_start(struct event_base *base, int listening,
                                                  const struct transport_metrics_parts *parts,
                                                  struct credentials *credentials,
                                                  struct identities *identities,
                                                  struct error *error)
{
    const struct timeval interval = {.tv_sec = 1};
    struct transport_metrics *metrics = memory_zero(1, sizeof(*metrics));
    metrics->parts = *parts;
    metrics->health = ledger_health_new(parts->channel);
    metrics->accounts = account_metrics_new();
    account_metrics_list(metrics->accounts, credentials, identities);
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

void transport_metrics_list_accounts(struct transport_metrics *metrics,
                                     struct credentials *credentials, struct identities *identities)
{
    if (metrics != NULL)
        account_metrics_list(metrics->accounts, credentials, identities);
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
    account_metrics_free(metrics->accounts);
    free(metrics);
}
