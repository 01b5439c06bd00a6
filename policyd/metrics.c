/* metrics.c - the daemon's figures, published once a second */
#include "policyd/metrics.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics/http.h"
#include "common/quotas.h"
#include "policyd/neighbours.h"
#include "policyd/store/bdb.h"
#include "policyd/store/meter.h"

#include <db.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define INTERVAL                                                                                   \
    {                                                                                              \
        .tv_sec = 1                                                                                \
    }
/* Quotas of accounts are looked up for this long at a time: a table may be one that is asked
 * through postmap(1). Where that is not enough the others follow a second later. */
#define LOOKUP_TIME (2 * (CLOCK_SECOND / 1000))
#define QUOTA_LIFE  (60 * CLOCK_SECOND)

/* An account that is shown. */
struct shown {
    uint32_t number;
    bool has_quota;
    int64_t looked_up; /* when its quota was; 0: never */
    struct quota quota;
    struct ledger_use use;
    struct ledger_pause_state pause;
};

struct metrics {
    struct metrics_parts parts;
    struct http *http;
    struct event *timer;
    int64_t started;
    uint64_t reloads, failed_reloads;
    struct shown *shown; /* by number, ascending */
    size_t shown_count;
    size_t next_lookup; /* where the last round of look-ups ended */
    struct neighbours neighbours;
};

static void publish(struct metrics *metrics);

/* --- writing ----------------------------------------------------------------- */

static void write_build(const struct metrics *metrics, struct buffer *text)
{
    int major, minor, patch;
    char database[32];
    db_version(&major, &minor, &patch);
    snprintf(database, sizeof(database), "%d.%d.%d", major, minor, patch);
    const struct exposition_label labels[] = {
        {"version", POST365_VERSION}, {"libevent", event_get_version()}, {"berkeley_db", database}};
    exposition_family(text, "build_info", EXPOSITION_GAUGE, "Versions; always 1.");
    exposition_integer(text, "build_info", labels, 3, 1);
    exposition_family(text, "start_time_seconds", EXPOSITION_GAUGE,
                      "When the service started, since the epoch.");
    exposition_seconds(text, "start_time_seconds", NULL, 0, metrics->started);
    exposition_numbers(text, "reloads_total", EXPOSITION_COUNTER, "Reloads of the configuration.",
                       "result", (const char *const[]){"ok", "failed"},
                       (const uint64_t[]){metrics->reloads, metrics->failed_reloads}, 2);
}

static void write_decisions(const struct metrics *metrics, struct buffer *text)
{
    static const char *const stages[POLICY_STAGES] = {[POLICY_STAGE_OTHER] = "other",
                                                      [POLICY_STAGE_RCPT] = "rcpt",
                                                      [POLICY_STAGE_DATA] = "data",
                                                      [POLICY_STAGE_END_OF_MESSAGE] =
                                                          "end_of_message"};
    static const char *const outcomes[POLICY_OUTCOMES] = {
        [POLICY_PASSED] = "passed",     [POLICY_COUNTED] = "counted",
        [POLICY_DEFERRED] = "deferred", [POLICY_REJECTED] = "rejected",
        [POLICY_FAILED] = "failed",     [POLICY_SENSELESS] = "malformed"};
    const struct policy_counts *counts = policy_counts(metrics->parts.policy);
    exposition_family(text, "decisions_total", EXPOSITION_COUNTER,
                      "Policy requests decided, by protocol stage and outcome.");
    for (size_t stage = 0; stage < POLICY_STAGES; stage++) {
        for (size_t outcome = 0; outcome < POLICY_OUTCOMES; outcome++) {
            const struct exposition_label labels[] = {{"stage", stages[stage]},
                                                      {"outcome", outcomes[outcome]}};
            exposition_integer(text, "decisions_total", labels, 2,
                               counts->decisions[stage][outcome]);
        }
    }
}

static void write_server(const struct metrics *metrics, struct buffer *text)
{
    struct server_counts counts;
    server_count(metrics->parts.server, &counts);
    exposition_number(text, "decisions_not_stored_total", EXPOSITION_COUNTER,
                      "Decisions that could not be written and became a temporary failure.",
                      counts.not_stored);
    exposition_number(text, "connections", EXPOSITION_GAUGE, "Open connections.",
                      counts.connections);
    exposition_number(text, "connections_limit", EXPOSITION_GAUGE,
                      "Connections that may be open before the one idle for longest is closed.",
                      counts.capacity);
    exposition_number(text, "connections_accepted_total", EXPOSITION_COUNTER,
                      "Connections accepted.", counts.accepted);
    exposition_numbers(text, "connections_evicted_total", EXPOSITION_COUNTER,
                       "Idle connections closed to make room, by what was scarce.", "scarce",
                       (const char *const[]){"descriptors", "memory"},
                       (const uint64_t[]){counts.evicted, counts.evicted_for_memory}, 2);
    exposition_number(text, "protocol_errors_total", EXPOSITION_COUNTER,
                      "Connections closed because what arrived was no request.", counts.malformed);
    exposition_number(text, "buffered_bytes", EXPOSITION_GAUGE,
                      "Memory of unfinished requests and unread replies.", counts.held);
    exposition_distribution(text, "turn_replies", "Replies in one turn of the event loop.",
                            &counts.turn_size, false);
}

static void write_store(const struct metrics *metrics, struct buffer *text)
{
    const struct store_counts *counts = store_meter_counts(metrics->parts.meter);
    struct store_bdb_size size;
    exposition_distribution(text, "commit_duration_seconds",
                            "Time that writing a batch to the ledger took.", &counts->write_times,
                            true);
    exposition_distribution(text, "commit_records", "Records written in one batch.",
                            &counts->write_sizes, false);
    exposition_distribution(text, "checkpoint_duration_seconds",
                            "Time that a checkpoint of the ledger took; decisions wait for it.",
                            store_bdb_checkpoint_times(metrics->parts.store), true);
    exposition_distribution(text, "expiry_duration_seconds",
                            "Time that removing old events from the ledger took, a few at a time.",
                            &counts->expiry_times, true);
    exposition_numbers(text, "store_failures_total", EXPOSITION_COUNTER,
                       "Times that the ledger could not be written, by work.", "work",
                       (const char *const[]){"commit", "upkeep"},
                       (const uint64_t[]){counts->failed_writes, counts->failed_upkeep}, 2);
    if (store_bdb_size(metrics->parts.store, &size))
        exposition_numbers(text, "store_size_bytes", EXPOSITION_GAUGE,
                           "What the ledger takes on the disk, by kind of file.", "kind",
                           (const char *const[]){"data", "log"},
                           (const uint64_t[]){size.data, size.logs}, 2);
}

static void write_neighbours(const struct metrics *metrics, struct buffer *text)
{
    exposition_family(text, "up", EXPOSITION_GAUGE,
                      "Whether somebody takes connections on that program's socket.");
    for (size_t i = 0; i < NEIGHBOURS; i++) {
        const struct neighbour *neighbour = &metrics->neighbours.each[i];
        if (neighbour->is_wanted)
            exposition_integer(text, "up",
                               &(struct exposition_label){"program", neighbour->program}, 1,
                               neighbour->is_up);
    }
}

static void find_trouble(const struct metrics *metrics, struct error *trouble)
{
    const struct store_counts *counts = store_meter_counts(metrics->parts.meter);
    const char *lost = neighbours_lost(&metrics->neighbours);
    if (counts->write_error.text[0] != '\0')
        *trouble = counts->write_error;
    else if (counts->upkeep_error.text[0] != '\0')
        *trouble = counts->upkeep_error;
    else if (lost != NULL)
        error_set(trouble, "%s does not answer any more", lost);
    else
        trouble->text[0] = '\0';
}

/* --- accounts ---------------------------------------------------------------- */

/* Who is shown now; what is known of those who were shown before is kept. Both lists ascend. */
static void choose_accounts(struct metrics *metrics, const struct ledger_entry *entries,
                            size_t count)
{
    struct shown *chosen = memory_zero(METRICS_ACCOUNTS_MAX, sizeof(*chosen));
    size_t old = 0;
    for (size_t i = 0; i < count; i++) {
        while (old < metrics->shown_count && metrics->shown[old].number < entries[i].number)
            old++;
        if (old < metrics->shown_count && metrics->shown[old].number == entries[i].number)
            chosen[i] = metrics->shown[old];
        else
            chosen[i].number = entries[i].number;
    }
    free(metrics->shown);
    metrics->shown = chosen;
    metrics->shown_count = count;
}

static void look_up(struct metrics *metrics, struct shown *shown, const char *name, int64_t now)
{
    struct error error;
    struct quota quota;
    const struct metrics_parts *parts = &metrics->parts;
    shown->looked_up = now;
    if (quotas_find(parts->settings, parts->quota_maps, name, &quota, &error) == TABLE_FAILED)
        return; /* decisions say so in the log */
    shown->quota = quota;
    shown->has_quota = true;
}

/* Begins where the last round had to end. */
static void look_up_quotas(struct metrics *metrics, const struct ledger_entry *entries)
{
    int64_t begin = clock_now(clock_system());
    for (size_t i = 0; i < metrics->shown_count; i++) {
        size_t place = (metrics->next_lookup + i) % metrics->shown_count;
        struct shown *shown = &metrics->shown[place];
        int64_t now = clock_now(clock_system());
        if (now - begin > LOOKUP_TIME || now < begin) {
            metrics->next_lookup = place;
            return;
        }
        if (shown->looked_up == 0 || now - shown->looked_up > QUOTA_LIFE || now < shown->looked_up)
            look_up(metrics, shown, entries[place].name, now);
    }
}

/* Between batches, so that nothing of one is told that is not in the store. */
static void read_use(struct metrics *metrics, const struct ledger_entry *entries)
{
    struct error error;
    struct ledger *ledger = metrics->parts.ledger;
    for (size_t i = 0; i < metrics->shown_count; i++) {
        struct shown *shown = &metrics->shown[i];
        ledger_pause_of(ledger, entries[i].name, &shown->pause);
        if (shown->has_quota)
            ledger_use(ledger, entries[i].name, &shown->quota, &shown->use);
    }
    if (!ledger_commit(ledger, &error))
        log_error("%s", error.text);
}

enum column { COLUMN_USED, COLUMN_RESERVED, COLUMN_LIMIT };

static void write_account(struct buffer *text, const char *family, enum column column,
                          const char *name, const struct shown *shown)
{
    static const char *const measures[] = {"recipients", "messages"};
    const struct quota_rate *rates[] = {&shown->quota.recipients, &shown->quota.messages};
    for (size_t i = 0; i < 2; i++) {
        bool unlimited = rates[i]->limit == QUOTA_UNLIMITED;
        char window[32] = "unlimited";
        if (!unlimited)
            quota_format_period(rates[i]->period, window, sizeof(window));
        const struct exposition_label labels[] = {
            {"account", name}, {"measure", measures[i]}, {"window", window}};
        if (column == COLUMN_USED)
            exposition_integer(text, family, labels, 3, shown->use.used[i]);
        else if (column == COLUMN_RESERVED)
            exposition_integer(text, family, labels, 3, shown->use.reserved[i]);
        else if (!unlimited)
            exposition_integer(text, family, labels, 3, rates[i]->limit);
    }
}

static void write_column(const struct metrics *metrics, struct buffer *text, const char *family,
                         const char *help, enum column column, const struct ledger_entry *entries)
{
    exposition_family(text, family, EXPOSITION_GAUGE, help);
    for (size_t i = 0; i < metrics->shown_count; i++)
        if (metrics->shown[i].has_quota)
            write_account(text, family, column, entries[i].name, &metrics->shown[i]);
}

/* Who waits, and who is paused. */
static void write_state(const struct metrics *metrics, struct buffer *text,
                        const struct ledger_entry *entries)
{
    exposition_family(text, "account_waiting", EXPOSITION_GAUGE, "Requests that wait for room.");
    for (size_t i = 0; i < metrics->shown_count; i++)
        if (metrics->shown[i].has_quota)
            exposition_integer(text, "account_waiting",
                               &(struct exposition_label){"account", entries[i].name}, 1,
                               metrics->shown[i].use.waiting);
    exposition_family(text, "account_paused", EXPOSITION_GAUGE,
                      "Whether an account is paused now.");
    for (size_t i = 0; i < metrics->shown_count; i++)
        exposition_integer(text, "account_paused",
                           &(struct exposition_label){"account", entries[i].name}, 1,
                           metrics->shown[i].pause.is_paused);
    exposition_family(text, "account_failures", EXPOSITION_GAUGE,
                      "Failures in a row that each made an account's pause longer.");
    for (size_t i = 0; i < metrics->shown_count; i++)
        exposition_integer(text, "account_failures",
                           &(struct exposition_label){"account", entries[i].name}, 1,
                           metrics->shown[i].pause.failures);
}

static void write_accounts(struct metrics *metrics, struct buffer *text)
{
    struct ledger_entry *entries = memory_zero(METRICS_ACCOUNTS_MAX, sizeof(*entries));
    struct ledger *ledger = metrics->parts.ledger;
    size_t count = ledger_list(ledger, 0, entries, METRICS_ACCOUNTS_MAX), written = 0;
    choose_accounts(metrics, entries, count);
    look_up_quotas(metrics, entries);
    read_use(metrics, entries);
    for (size_t i = 0; i < count; i++)
        written += metrics->shown[i].has_quota;
    exposition_number(text, "accounts", EXPOSITION_GAUGE, "Accounts that the ledger holds.",
                      ledger_account_count(ledger));
    exposition_number(text, "accounts_omitted", EXPOSITION_GAUGE,
                      "Accounts that have no samples here: too many, or quota not yet looked up.",
                      ledger_account_count(ledger) - written);
    exposition_number(text, "reservations", EXPOSITION_GAUGE, "Open reservations.",
                      ledger_reservation_count(ledger));
    exposition_number(text, "waiters", EXPOSITION_GAUGE, "Requests that wait for room.",
                      ledger_waiter_count(ledger));
    write_column(metrics, text, "account_used",
                 "What an account has used of its rolling window, open reservations included.",
                 COLUMN_USED, entries);
    write_column(metrics, text, "account_reserved", "What open reservations hold of it.",
                 COLUMN_RESERVED, entries);
    write_column(metrics, text, "account_limit",
                 "What an account may use of its rolling window; absent if there is no limit.",
                 COLUMN_LIMIT, entries);
    write_state(metrics, text, entries);
    free(entries);
}

/* --- publishing -------------------------------------------------------------- */

static void publish(struct metrics *metrics)
{
    struct buffer text = {0};
    struct error trouble;
    server_end_turn(metrics->parts.server);
    neighbours_look(&metrics->neighbours, metrics->parts.settings);
    write_build(metrics, &text);
    write_decisions(metrics, &text);
    write_server(metrics, &text);
    write_store(metrics, &text);
    write_accounts(metrics, &text);
    write_neighbours(metrics, &text);
    find_trouble(metrics, &trouble);
    http_publish(metrics->http, &text, trouble.text);
}

static void publish_again(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    publish(argument);
}

struct metrics *metrics_start(struct event_base *base, int listening,
                              const struct metrics_parts *parts, struct error *error)
{
    const struct timeval interval = INTERVAL;
    struct metrics *metrics = memory_zero(1, sizeof(*metrics));
    metrics->parts = *parts;
    metrics->started = clock_now(clock_system());
    metrics->timer = event_new(base, -1, EV_PERSIST, publish_again, metrics);
    if (metrics->timer == NULL || event_add(metrics->timer, &interval) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    metrics->http = http_start(listening, "post365-policyd", error);
    if (metrics->http == NULL) {
        metrics_stop(metrics);
        return NULL;
    }
    publish(metrics);
    return metrics;
}

void metrics_configure(struct metrics *metrics, const struct metrics_parts *parts)
{
    if (metrics == NULL)
        return;
    metrics->parts = *parts;
    for (size_t i = 0; i < metrics->shown_count; i++)
        metrics->shown[i].looked_up = 0;
}

void metrics_count_reload(struct metrics *metrics, bool worked)
{
    if (metrics == NULL)
        return;
    if (worked)
        metrics->reloads++;
    else
        metrics->failed_reloads++;
}

void metrics_stop(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    event_free(metrics->timer);
    http_stop(metrics->http);
    free(metrics->shown);
    free(metrics);
}
