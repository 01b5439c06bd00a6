/* main.c - post365-policyd: how much may this account send now?
 *
 * SYNOPSIS
 *     post365-policyd [-c DIR] [-o NAME=VALUE]... [-e] [-v] [-t]
 *
 * DESCRIPTION
 *     A policy service for Postfix (SMTPD_POLICY_README). It finds out which Microsoft 365 account
 *     a message would be sent with and counts, per account, recipients and messages in exact
 *     rolling windows. With post365_meter = submission it answers "not now" (450 4.7.1, with use,
 *     limit and time) when a window is full; name it in smtpd_end_of_data_restrictions, where
 *     messages are counted, and in smtpd_recipient_restrictions, where it looks ahead. With
 * post365_meter = delivery it only refuses what no period could hold. On post365_control_socket it
 * reserves for the transport, and tells what the ledger holds (common/control.h). On
 * post365_metrics_listen it answers HTTP: Prometheus metrics and health (common/metrics/http.h).
 *
 * SECURITY
 *     Started as root it opens lookup tables and its sockets, makes the ledger's directory, then
 *     changes to post365_user for good. Of password tables it keeps the user names only. The ledger
 *     is readable for that user alone.
 *
 * DIAGNOSTICS
 *     Logs to syslog facility mail as post365/policyd. What cannot be decided or stored is answered
 *     with 451 4.3.0; so is everything while the ledger is damaged or has no space (closed.h). Exit
 *     status 78 for a wrong configuration or a ledger that somebody else uses; 70 when Berkeley DB
 *     cannot go on, the next start recovers.
 *
 * CONFIGURATION
 *     post365_* parameters in main.cf: docs/PARAMETERS.md. SIGUSR1 reads them again; SIGTERM stops.
 *
 * BUGS
 *     A lookup table that is asked through postmap(1), and a table that is read again because it
 *     changed, hold up all requests meanwhile.
 */
#include "common/attr.h"
#include "common/clock.h"
#include "common/control.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/metrics/http.h"
#include "common/service.h"
#include "common/socket.h"
#include "common/table.h"
#include "policyd/closed.h"
#include "policyd/control.h"
#include "policyd/ledger/ledger.h"
#include "policyd/ledger/timescale.h"
#include "policyd/metrics.h"
#include "policyd/policy.h"
#include "policyd/server.h"
#include "policyd/store/bdb.h"
#include "policyd/store/directory.h"
#include "policyd/store/meter.h"

#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>

#define SOCKET_PARAMETER "post365_policy_socket"
#define QUOTA_MAPS       "post365_quota_maps"
#define METRICS          "post365_metrics_listen"
#define ACTION(text)     "action=" text "\n\n"
/* How often what time it is is kept in the ledger. */
#define KEEP_TIME (60 * CLOCK_SECOND)
#define TIDY_INTERVAL                                                                              \
    {                                                                                              \
        .tv_sec = 1                                                                                \
    }
#define SIGNALS 3

struct daemon {
    struct service service;
    struct identities *identities;
    struct tables *quota_maps;
    struct socket_place place, control_place;
    int listening, control_listening;
    int metrics_listening;
    struct store *store, *meter; /* the meter stands before the store */
    struct ledger *ledger;
    struct policy *policy;
    struct control *control;
    struct event_base *base;
    struct server *server;
    struct metrics *metrics; /* NULL: not wanted */
    struct server_protocol protocol;
    struct event *signals[SIGNALS];
    struct event *reload;
    struct event *tidy_timer;
    struct event *due_timer;    /* when somebody who waits is to be served */
    int64_t due;                /* what it is set to */
    struct timescale timescale; /* of the ledger */
    int64_t kept_at;            /* by boottime */
    uint64_t kept_volume;       /* written_volume() then */
    bool must_keep_time;
    bool is_untidy; /* background work failed the last time */
};

static void open_tables(struct daemon *daemon);
static void end_test(struct daemon *daemon);
static void open_metrics(struct daemon *daemon);
static void open_sockets(struct daemon *daemon);
static bool open_ledger(struct daemon *daemon);
static void work(struct daemon *daemon);
static void finish(struct daemon *daemon);
static void remove_sockets(struct daemon *daemon);
static void end(struct daemon *daemon);

int main(int argc, char *argv[])
{
    struct daemon daemon = {
        .service = {.name = "policyd",
                    .program = "post365-policyd",
                    .summary = "Count what each Microsoft 365 account sends (a policy service)."}};
    service_start(&daemon.service, argc, argv);
    open_tables(&daemon);
    if (daemon.service.test)
        end_test(&daemon);
    open_metrics(&daemon);
    open_sockets(&daemon);
    if (open_ledger(&daemon)) {
        work(&daemon);
        remove_sockets(&daemon);
        finish(&daemon);
    } else {
        remove_sockets(&daemon);
    }
    end(&daemon);
    return EX_OK;
}

/* --- starting ---------------------------------------------------------------- */

static void open_tables(struct daemon *daemon)
{
    struct error error;
    const struct settings *settings = daemon->service.settings;
    daemon->identities = identities_open(settings, &error);
    if (daemon->identities != NULL)
        daemon->quota_maps = tables_open(QUOTA_MAPS, settings->quota_maps,
                                         settings->config_directory, TABLE_VALUES, &error);
    if (daemon->quota_maps == NULL)
        service_refuse(&daemon->service, &error);
}

/* Becomes the final user, and tries the tables as that user. */
static bool drop_privileges(struct daemon *daemon, struct error *error)
{
    return service_drop_privileges(daemon->service.settings, error) &&
           identities_check(daemon->identities, error) && tables_check(daemon->quota_maps, error);
}

static void end_test(struct daemon *daemon)
{
    struct error error;
    const struct settings *settings = daemon->service.settings;
    if (!socket_prepare(SOCKET_PARAMETER, settings->policy_socket, settings, true, &daemon->place,
                        &error) ||
        !socket_prepare(CONTROL_PARAMETER, settings->control_socket, settings, true,
                        &daemon->control_place, &error) ||
        !http_check(METRICS, settings->metrics_listen, settings, &error) ||
        !store_directory_prepare(settings, true, &error) || !drop_privileges(daemon, &error) ||
        !store_directory_check(settings, &error))
        service_refuse(&daemon->service, &error);
    service_end_test(&daemon->service, daemon->identities);
}

static void open_sockets(struct daemon *daemon)
{
    struct error error;
    const struct settings *settings = daemon->service.settings;
    daemon->listening =
        socket_listen(SOCKET_PARAMETER, settings->policy_socket, settings, &daemon->place, &error);
    if (daemon->listening < 0)
        service_refuse(&daemon->service, &error);
    daemon->control_listening = socket_listen_for_group(CONTROL_PARAMETER, settings->control_socket,
                                                        settings, &daemon->control_place, &error);
    if (daemon->control_listening >= 0)
        return;
    socket_remove(&daemon->place);
    service_refuse(&daemon->service, &error);
}

static void open_metrics(struct daemon *daemon)
{
    struct error error;
    const struct settings *settings = daemon->service.settings;
    if (!http_listen(METRICS, settings->metrics_listen, settings, &daemon->metrics_listening,
                     &error))
        service_refuse(&daemon->service, &error);
}

static struct ledger_rules rules_of(const struct settings *settings)
{
    return (struct ledger_rules){.guard = settings->quota_guard,
                                 .retention = ledger_longest_period(&settings->quota)};
}

static void log_libevent(int severity, const char *message)
{
    if (severity >= EVENT_LOG_WARN)
        log_warning("libevent: %s", message);
}

/* Goes on with the time that the ledger has kept. */
static bool begin_time(struct daemon *daemon, struct error *error)
{
    char boot[STORE_BOOT_SIZE];
    struct store_clock kept;
    enum store_time time;
    if (!daemon->meter->operations->read_clock(daemon->meter, &kept, &time, error))
        return false;
    timescale_read_boot(boot);
    timescale_begin(&daemon->timescale, timescale_read_system, boot,
                    time == STORE_TIME_KEPT ? &kept : NULL, time == STORE_TIME_UNKNOWN);
    return true;
}

/* Grows with what requests write. */
static uint64_t written_volume(const struct daemon *daemon)
{
    return store_meter_counts(daemon->meter)->write_sizes.sum;
}

/* Past the meter: it is no request's. What fails is tried again a second later. */
static void keep_time(struct daemon *daemon)
{
    struct error error;
    struct store_change change = {.kind = STORE_PUT_CLOCK};
    timescale_keep(&daemon->timescale, &change.clock);
    daemon->must_keep_time = !daemon->store->operations->write(daemon->store, &change, 1, &error);
    daemon->kept_at = change.clock.boottime;
    daemon->kept_volume = written_volume(daemon);
}

/* The time is kept when the clock was set, and each minute in which the ledger was written: behind
 * a boot it does not begin earlier than that. */
static void look_at_time(struct daemon *daemon)
{
    clock_now(&daemon->timescale.clock); /* notices */
    int64_t step = timescale_take_step(&daemon->timescale);
    int64_t boottime = timescale_read_system(&daemon->timescale).boottime;
    if (step != 0)
        log_warning("the system's clock was set %s by %" PRId64 " s; the ledger counts time by "
                    "itself and forgets nothing for that",
                    step > 0 ? "forward" : "back",
                    ((step > 0 ? step : -step) + CLOCK_SECOND / 2) / CLOCK_SECOND);
    if (step != 0 || daemon->must_keep_time ||
        (daemon->kept_volume != written_volume(daemon) && boottime >= daemon->kept_at + KEEP_TIME))
        keep_time(daemon);
}

static bool try_ledger(void *context, struct error *error)
{
    struct daemon *daemon = context;
    const struct settings *settings = daemon->service.settings;
    const struct ledger_rules rules = rules_of(settings);
    daemon->store = store_bdb_open(settings, error);
    if (daemon->store == NULL)
        return false;
    daemon->meter = store_meter_new(daemon->store);
    if (begin_time(daemon, error))
        daemon->ledger = ledger_open(&daemon->timescale.clock, daemon->meter, &rules, error);
    if (daemon->ledger != NULL) {
        keep_time(daemon);
        return true;
    }
    daemon->meter->operations->close(daemon->meter);
    return false;
}

/* Waits for a ledger that cannot be used now. False if there is none in the end. */
static bool open_ledger(struct daemon *daemon)
{
    struct error error;
    const struct settings *settings = daemon->service.settings;
    if (!store_directory_prepare(settings, false, &error) || !drop_privileges(daemon, &error) ||
        !store_directory_is_free(settings, &error)) {
        remove_sockets(daemon);
        service_refuse(&daemon->service, &error);
    }
    event_set_log_callback(log_libevent);
    const struct closed_sockets sockets = {daemon->listening, daemon->control_listening,
                                           daemon->metrics_listening};
    return try_ledger(daemon, &error) ||
           closed_until(settings, &sockets, try_ledger, daemon, &error);
}

/* --- working ----------------------------------------------------------------- */

static struct policy_parts parts_of(struct daemon *daemon)
{
    return (struct policy_parts){.settings = daemon->service.settings,
                                 .identities = daemon->identities,
                                 .quota_maps = daemon->quota_maps,
                                 .ledger = daemon->ledger,
                                 .clock = &daemon->timescale.clock};
}

static struct control_parts control_parts_of(const struct daemon *daemon)
{
    return (struct control_parts){.settings = daemon->service.settings,
                                  .quota_maps = daemon->quota_maps,
                                  .ledger = daemon->ledger};
}

static struct metrics_parts metrics_parts_of(const struct daemon *daemon)
{
    return (struct metrics_parts){.settings = daemon->service.settings,
                                  .quota_maps = daemon->quota_maps,
                                  .policy = daemon->policy,
                                  .server = daemon->server,
                                  .ledger = daemon->ledger,
                                  .meter = daemon->meter,
                                  .store = daemon->store};
}

static void decide(void *context, struct connection *connection, const char *request, size_t length,
                   struct buffer *reply, struct server_verdict *verdict)
{
    (void)connection;
    struct policy_decision decision;
    policy_decide(context, request, length, &decision);
    attr_write(reply, "action", decision.action);
    attr_write_end(reply);
    verdict->needs_commit = decision.counted;
    verdict->is_last = decision.malformed;
}

/* Sees to it that who waits is served in time. The tidy timer looks, too: the clock may be set. */
static void set_due_timer(struct daemon *daemon)
{
    int64_t due = ledger_due(daemon->ledger);
    if (due == daemon->due)
        return;
    daemon->due = due;
    int64_t now = clock_now(&daemon->timescale.clock);
    int64_t left = due <= now ? 0 : due - now;
    if (left >= CLOCK_SECOND) {
        event_del(daemon->due_timer);
        return;
    }
    const struct timeval wait = {.tv_usec = (suseconds_t)left};
    if (event_add(daemon->due_timer, &wait) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

static void serve_waiters(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct daemon *daemon = argument;
    daemon->due = INT64_MAX;
    server_want_commit(daemon->server);
}

static bool commit(void *context, struct error *error)
{
    struct daemon *daemon = context;
    control_before_commit(daemon->control);
    bool written = policy_commit(daemon->policy, error);
    control_after_commit(daemon->control, written);
    set_due_timer(daemon);
    return written;
}

static void tidy(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct daemon *daemon = argument;
    struct error error;
    bool more = false;
    server_end_turn(daemon->server);
    look_at_time(daemon);
    bool tidied = ledger_tidy(daemon->ledger, &more, &error);
    if (!tidied && !daemon->is_untidy)
        log_error("%s; trying again every second", error.text);
    if (tidied && daemon->is_untidy)
        log_info("the ledger %s is fine again", daemon->service.settings->ledger);
    daemon->is_untidy = !tidied;
    daemon->due = INT64_MAX;
    server_want_commit(daemon->server);
    const struct timeval interval = TIDY_INTERVAL;
    const struct timeval soon = {.tv_usec = 1000}; /* requests that came meanwhile go first */
    if (event_add(daemon->tidy_timer, more ? &soon : &interval) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

static void stop(evutil_socket_t signal, short what, void *argument)
{
    (void)signal;
    (void)what;
    struct daemon *daemon = argument;
    server_stop(daemon->server);
}

/* Puts new settings in force. */
static void adopt(struct daemon *daemon, struct settings *settings, struct identities *identities,
                  struct tables *quota_maps)
{
    struct error error;
    struct settings *old = daemon->service.settings;
    struct identities *old_identities = daemon->identities;
    struct tables *old_quota_maps = daemon->quota_maps;
    const struct ledger_rules rules = rules_of(settings);
    service_warn_restart(old, settings);
    daemon->service.settings = settings;
    daemon->identities = identities;
    daemon->quota_maps = quota_maps;
    const struct policy_parts parts = parts_of(daemon);
    const struct control_parts control_parts = control_parts_of(daemon);
    const struct metrics_parts metrics_parts = metrics_parts_of(daemon);
    policy_configure(daemon->policy, &parts);
    metrics_configure(daemon->metrics, &metrics_parts);
    control_configure(daemon->control, &control_parts);
    ledger_configure(daemon->ledger, &rules);
    server_set_gathering(daemon->server, settings->ledger_sync);
    if (!store_bdb_set_sync(daemon->store, settings->ledger_sync, &error))
        log_error("%s", error.text);
    identities_close(old_identities);
    tables_close(old_quota_maps);
    settings_free(old);
}

/* libevent counts signals and calls back for each. A hundred of them are one reload, with requests
 * served before it. */
static void want_reload(evutil_socket_t signal, short what, void *argument)
{
    (void)signal;
    (void)what;
    struct daemon *daemon = argument;
    event_active(daemon->reload, 0, 0);
}

static void reload(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct daemon *daemon = argument;
    struct error error;
    server_end_turn(daemon->server);
    struct settings *settings = service_read_settings(&daemon->service, &error);
    struct identities *identities =
        settings != NULL ? identities_reopen(daemon->identities, settings, &error) : NULL;
    struct tables *quota_maps =
        identities != NULL ? tables_reopen(daemon->quota_maps, QUOTA_MAPS, settings->quota_maps,
                                           settings->config_directory, TABLE_VALUES, &error)
                           : NULL;
    if (quota_maps == NULL) {
        identities_close(identities);
        settings_free(settings);
        metrics_count_reload(daemon->metrics, false);
        log_error("reload failed, the old settings stay in force: %s", error.text);
        return;
    }
    adopt(daemon, settings, identities, quota_maps);
    metrics_count_reload(daemon->metrics, true);
    service_reloaded(&daemon->service, daemon->identities);
}

static void add_events(struct daemon *daemon)
{
    const struct timeval interval = TIDY_INTERVAL;
    daemon->signals[0] = evsignal_new(daemon->base, SIGTERM, stop, daemon);
    daemon->signals[1] = evsignal_new(daemon->base, SIGINT, stop, daemon);
    daemon->signals[2] = evsignal_new(daemon->base, SIGUSR1, want_reload, daemon);
    daemon->reload = event_new(daemon->base, -1, 0, reload, daemon);
    daemon->tidy_timer = event_new(daemon->base, -1, 0, tidy, daemon);
    daemon->due_timer = event_new(daemon->base, -1, 0, serve_waiters, daemon);
    daemon->due = INT64_MAX;
    bool added = daemon->reload != NULL && daemon->tidy_timer != NULL &&
                 daemon->due_timer != NULL && event_add(daemon->tidy_timer, &interval) == 0;
    for (size_t i = 0; i < SIGNALS && added; i++)
        added = daemon->signals[i] != NULL && event_add(daemon->signals[i], NULL) == 0;
    if (!added)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

static void start_metrics(struct daemon *daemon)
{
    struct error error;
    const struct metrics_parts parts = metrics_parts_of(daemon);
    if (daemon->service.settings->metrics_listen[0] == '\0')
        return;
    daemon->metrics = metrics_start(daemon->base, daemon->metrics_listening, &parts, &error);
    if (daemon->metrics == NULL)
        log_fatal(EX_OSERR, "%s", error.text);
}

static void work(struct daemon *daemon)
{
    const struct policy_parts parts = parts_of(daemon);
    const struct control_parts control_parts = control_parts_of(daemon);
    daemon->policy = policy_new(&parts);
    daemon->control = control_new(&control_parts);
    daemon->protocol = (struct server_protocol){.decide = decide,
                                                .context = daemon->policy,
                                                .malformed = ACTION(POLICY_MALFORMED),
                                                .not_stored = ACTION(POLICY_NOT_STORED)};
    daemon->base = event_base_new();
    if (daemon->base == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    daemon->server = server_new(daemon->base, commit, daemon);
    server_set_gathering(daemon->server, daemon->service.settings->ledger_sync);
    server_listen(daemon->server, daemon->listening, &daemon->protocol);
    control_listen(daemon->control, daemon->server, daemon->control_listening);
    add_events(daemon);
    start_metrics(daemon);
    service_ready(&daemon->service, daemon->identities);
    server_run(daemon->server);
}

/* --- stopping ---------------------------------------------------------------- */

static void finish(struct daemon *daemon)
{
    for (size_t i = 0; i < SIGNALS; i++)
        event_free(daemon->signals[i]);
    event_free(daemon->reload);
    event_free(daemon->tidy_timer);
    event_free(daemon->due_timer);
    metrics_stop(daemon->metrics);
    server_free(daemon->server);
    event_base_free(daemon->base);
    policy_free(daemon->policy);
    control_free(daemon->control);
    ledger_close(daemon->ledger);
}

static void remove_sockets(struct daemon *daemon)
{
    socket_remove(&daemon->place);
    socket_remove(&daemon->control_place);
}

static void end(struct daemon *daemon)
{
    identities_close(daemon->identities);
    tables_close(daemon->quota_maps);
    service_stopping(&daemon->service);
    settings_free(daemon->service.settings);
    free(daemon->service.overrides);
}
