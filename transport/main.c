/* main.c - post365-transport: each message goes when it may, and not before
 *
 * SYNOPSIS
 *     post365-transport [-c DIR] [-o NAME=VALUE]... [-e] [-v] [-t]
 *
 * DESCRIPTION
 *     An LMTP server for Postfix's lmtp(8), and an SMTP client of Microsoft 365. For each message
 * it asks post365-policyd's ledger for room, waits for it up to post365_max_wait, sends the message
 *     to $relayhost over a verified and authenticated connection, and gives Postfix Microsoft's
 *     answer. What has no room in time stays in Postfix's queue, and is woken up when it will have.
 *
 *     On post365_transport_metrics_listen it answers HTTP: Prometheus metrics and health.
 *
 *     It listens on post365_transport_socket, and beside it on accounts/<UPN> for each account that
 *     has credentials, so that Postfix can keep the accounts apart.
 *
 * SECURITY
 *     Started as root it reads the password tables and binds its sockets, then changes to
 *     post365_user for good. Passwords lie in locked memory and are in no log line. Who may connect
 *     to the sockets may send as the accounts: Postfix's group alone.
 *
 * DIAGNOSTICS
 *     Logs to syslog facility mail as post365/transport, a line for each message. Exit status 78
 * for a wrong configuration.
 *
 * CONFIGURATION
 *     post365_* parameters in main.cf: docs/PARAMETERS.md. SIGUSR1 reads them again; SIGTERM ends
 *     when the messages that Microsoft is reading have their answer, after 30 seconds at the
 * latest.
 *
 * BUGS
 *     Destinations are used by their addresses, whether in brackets or not. A lookup table that is
 *     asked through postmap(1) holds up all messages meanwhile.
 */
#include "common/clock.h"
#include "common/control.h"
#include "common/destination.h"
#include "common/identity.h"
#include "common/ledger_channel.h"
#include "common/ledger_socket.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/metrics/http.h"
#include "common/oauth2/token_channel.h"
#include "common/oauth2/token_socket.h"
#include "common/service.h"
#include "common/socket.h"
#include "common/table.h"
#include "common/upstream/accounts.h"
#include "common/upstream/dial.h"
#include "common/upstream/lookup.h"
#include "common/upstream/tls.h"
#include "common/upstream/verify.h"
#include "transport/account_sockets.h"
#include "transport/delivery/delivery.h"
#include "transport/lmtp/server.h"
#include "transport/metrics.h"
#include "transport/queue/master.h"
#include "transport/queue/wakeup.h"
#include "transport/submission/pool.h"
#include "transport/token_subjects.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define SOCKET_PARAMETER "post365_transport_socket"
#define QUOTA_MAPS       "post365_quota_maps"
#define METRICS          "post365_transport_metrics_listen"
#define SIGNALS          3
#define SESSIONS_MAX     1000
#define SIZE_LIMIT       157286400 /* octets, what Office 365 says */
#define IDLE_SECONDS     60
#define AGE_SECONDS      600
#define AGE_FOR_TESTS    "POST365_TEST_CONNECTION_AGE" /* in the environment: seconds */
#define FAREWELL_SECONDS 30
#define TICKS            20 /* looks a second at who is still there */
#define WATCH_SECONDS    2

struct daemon {
    struct service service;
    struct identities *identities;
    struct sealer *sealer;
    struct tables *quota_maps;
    struct credentials *credentials;
    uint64_t credentials_version;
    uint64_t messages_seen; /* the last time that Postfix was looked for */
    bool was_postfix_away, is_lock_hidden;
    struct socket_place place, control_place, token_place;
    int listening;
    struct account_sockets *accounts;
    struct tls *tls;
    struct event_base *base;
    struct evdns_base *dns;
    struct ledger_channel *channel;
    struct token_channel *tokens;
    struct token_subjects *subjects;
    struct dial_settings dialling;
    struct submission_parts submission_parts;
    struct pool *pool;
    struct wakeup *wakeup;
    struct deliveries *deliveries;
    struct lmtp *lmtp;
    int metrics_listening;
    struct transport_metrics *metrics; /* NULL: not wanted */
    struct event *signals[SIGNALS];
    struct event *watch, *farewell;
};

static void open_tables(struct daemon *daemon);
static void end_test(struct daemon *daemon);
static void open_sockets(struct daemon *daemon);
static void work(struct daemon *daemon);
static void finish(struct daemon *daemon);

int main(int argc, char *argv[])
{
    struct daemon daemon = {
        .service = {.name = "transport",
                    .program = "post365-transport",
                    .needs_passwords = true,
                    .summary = "Deliver mail to Microsoft 365 when its limits allow it (LMTP)."}};
    clock_make_steady();
    service_start(&daemon.service, argc, argv);
    open_tables(&daemon);
    if (daemon.service.test)
        end_test(&daemon);
    open_sockets(&daemon);
    work(&daemon);
    finish(&daemon);
    return EX_OK;
}

/* --- starting ---------------------------------------------------------------- */

static void open_tables(struct daemon *daemon)
{
    struct error error;
    struct destination destination;
    const struct settings *settings = daemon->service.settings;
    bool fine = destination_parse(settings, &destination, &error) &&
                (daemon->identities = identities_open(settings, &error)) != NULL &&
                (daemon->quota_maps =
                     tables_open(QUOTA_MAPS, settings->quota_maps, settings->config_directory,
                                 TABLE_VALUES, &error)) != NULL &&
                (daemon->credentials = credentials_open(settings, &error)) != NULL &&
                (daemon->tls = tls_new(settings, &error)) != NULL &&
                ledger_socket_find(settings, &daemon->control_place, &error) &&
                token_socket_find(settings, &daemon->token_place, &error);
    if (!fine)
        service_refuse(&daemon->service, &error);
}

/* Becomes the final user, and tries the tables as that user. */
static bool drop_privileges(struct daemon *daemon, struct error *error)
{
    return service_drop_privileges(daemon->service.settings, error) &&
           identities_check(daemon->identities, error) && tables_check(daemon->quota_maps, error) &&
           credentials_check(daemon->credentials, error);
}

/* What smtp(8)'s settings say of connections, and what cannot be kept of them. */
static void read_smtp(struct daemon *daemon, const struct settings *settings)
{
    struct error error;
    dial_settings_read(&settings->smtp, &daemon->dialling);
    daemon->submission_parts.smtp = &settings->smtp;
    for (size_t i = 0; i < settings->smtp.note_count; i++)
        log_warning("%s/main.cf: %s", settings->config_directory, settings->smtp.notes[i]);
    for (size_t i = 0; i < ADDRESS_FAMILIES; i++)
        if (!dial_source_works(&daemon->dialling, (enum address_family)i, &error))
            log_warning("%s/main.cf: %s", settings->config_directory, error.text);
    if (!verify_ciphers(settings, &error))
        log_warning("%s/main.cf: %s", settings->config_directory, error.text);
}

static void end_test(struct daemon *daemon)
{
    struct error error;
    const struct settings *settings = daemon->service.settings;
    if (!socket_prepare(SOCKET_PARAMETER, settings->transport_socket, settings, true,
                        &daemon->place, &error) ||
        !http_check(METRICS, settings->transport_metrics_listen, settings, &error) ||
        !drop_privileges(daemon, &error))
        service_refuse(&daemon->service, &error);
    read_smtp(daemon, settings);
    service_end_test(&daemon->service, daemon->identities);
}

static void open_sockets(struct daemon *daemon)
{
    struct error error;
    const struct settings *settings = daemon->service.settings;
    sealer_prepare(settings);
    if (!http_listen(METRICS, settings->transport_metrics_listen, settings,
                     &daemon->metrics_listening, &error))
        service_refuse(&daemon->service, &error);
    daemon->listening = socket_listen(SOCKET_PARAMETER, settings->transport_socket, settings,
                                      &daemon->place, &error);
    if (daemon->listening < 0)
        service_refuse(&daemon->service, &error);
    daemon->accounts = account_sockets_listen(daemon->credentials, daemon->identities, settings,
                                              &daemon->place, &error);
    if (daemon->accounts != NULL && drop_privileges(daemon, &error))
        return;
    account_sockets_remove(daemon->accounts);
    socket_remove(&daemon->place);
    service_refuse(&daemon->service, &error);
}

/* --- working ----------------------------------------------------------------- */

/* One that no table lists gets its socket now. */
static void account_worked(void *accounts, const char *upn)
{
    account_sockets_add(accounts, upn);
}

static struct delivery_parts parts_of(const struct daemon *daemon)
{
    return (struct delivery_parts){.base = daemon->base,
                                   .settings = daemon->service.settings,
                                   .identities = daemon->identities,
                                   .sealer = daemon->sealer,
                                   .quota_maps = daemon->quota_maps,
                                   .channel = daemon->channel,
                                   .pool = daemon->pool,
                                   .wakeup = daemon->wakeup,
                                   .worked = account_worked,
                                   .context = daemon->accounts};
}

static void wake_account(void *context, const char *upn)
{
    wakeup_put_account(context, upn, clock_now(clock_system()) + CLOCK_SECOND);
}

/* What could not be decided waits in Postfix's queue, for hours where Postfix has tried often. */
static void channel_changed(void *context, bool is_up, const struct error *error)
{
    struct daemon *daemon = context;
    if (is_up) {
        log_info("the ledger answers");
        deliveries_ledger_up(daemon->deliveries);
        accounts_each(daemon->credentials, daemon->identities, wake_account, daemon->wakeup);
    } else {
        log_warning("%s; mail waits in Postfix's queue", error->text);
    }
}

/* --- access tokens --- */

static void tokens_changed(void *context, bool is_up, const struct error *error)
{
    struct daemon *daemon = context;
    token_subjects_lose(daemon->subjects);
    if (is_up) {
        log_info("post365-tokend answers");
        deliveries_tokens_up(daemon->deliveries);
    } else {
        log_warning("%s; mail of accounts that have no connection waits in Postfix's queue",
                    error->text);
    }
}

static void token_told(void *context, const struct token_subject *subject)
{
    struct daemon *daemon = context;
    int64_t now = clock_now(clock_system()) + clock_set_since();
    enum token_news news = token_subjects_note(daemon->subjects, subject, now);
    if (news != TOKEN_NEWS_NONE)
        deliveries_token_fresh(daemon->deliveries, subject->registration, subject->account,
                               news == TOKEN_NEWS_ANOTHER);
}

static void token_gone(void *context, const char *registration, const char *account)
{
    const struct daemon *daemon = context;
    token_subjects_forget(daemon->subjects, registration, account);
}

/* At the start and after each reload. What is down at the start is told, since nothing changes. */
static void use_tokens(struct daemon *daemon)
{
    struct error error;
    bool is_used = credentials_use_oauth2(daemon->credentials);
    bool was_used = token_channel_is_used(daemon->tokens);
    token_channel_use(daemon->tokens, is_used);
    if (is_used && !was_used && !token_channel_is_up(daemon->tokens, &error))
        log_warning("%s; mail of accounts in post365_oauth2_maps waits in Postfix's queue",
                    error.text);
}

/* Again after a reload: a laptop's, or a container's, change. */
static void find_name_servers(struct daemon *daemon)
{
    if (!lookup_read_system(daemon->dns))
        log_warning("/etc/resolv.conf names no name server: names other than those in /etc/hosts "
                    "cannot be resolved");
}

static char *send_as(void *context, const char *account)
{
    const struct daemon *daemon = context;
    return identity_send_as(daemon->identities, account);
}

static bool is_under_way(void *context, const char *queue_id)
{
    const struct daemon *daemon = context;
    return deliveries_have(daemon->deliveries, queue_id);
}

static bool is_doubtful(void *context, const char *queue_id)
{
    const struct daemon *daemon = context;
    return deliveries_doubt(daemon->deliveries, queue_id);
}

/* Whoever hands on a message does run, wherever its lock is: then that says nothing until it is
 * seen. */
static bool has_postfix(void *context)
{
    struct daemon *daemon = context;
    uint64_t messages = deliveries_counts(daemon->deliveries)->messages;
    bool is_locked = master_runs(daemon->service.settings->queue_directory);
    daemon->is_lock_hidden = daemon->is_lock_hidden && !is_locked;
    bool runs = is_locked || daemon->is_lock_hidden;
    if (!runs && daemon->was_postfix_away && messages != daemon->messages_seen)
        daemon->is_lock_hidden = runs = true;
    daemon->was_postfix_away = !runs;
    daemon->messages_seen = messages;
    return runs;
}

static int64_t connection_age(void)
{
    const char *seconds = getenv(AGE_FOR_TESTS);
    return (seconds != NULL ? atoi(seconds) : AGE_SECONDS) * CLOCK_SECOND;
}

static void open_upstream(struct daemon *daemon)
{
    static const struct token_watcher token_watcher = {
        .changed = tokens_changed, .told = token_told, .gone = token_gone};
    const struct settings *settings = daemon->service.settings;
    const struct pool_limits limits = {.idle = IDLE_SECONDS * CLOCK_SECOND,
                                       .age = connection_age()};
    const struct wakeup_knowledge knowledge = {.send_as = send_as,
                                               .is_under_way = is_under_way,
                                               .is_doubtful = is_doubtful,
                                               .has_postfix = has_postfix,
                                               .context = daemon};
    daemon->submission_parts = (struct submission_parts){.base = daemon->base,
                                                         .dns = daemon->dns,
                                                         .tls = daemon->tls,
                                                         .dialling = &daemon->dialling,
                                                         .smtp = &settings->smtp};
    read_smtp(daemon, settings);
    daemon->subjects = token_subjects_new();
    daemon->tokens = token_channel_new(daemon->base, &daemon->token_place, &token_watcher, daemon);
    daemon->pool =
        pool_new(&daemon->submission_parts, daemon->credentials, daemon->tokens, &limits);
    char *postqueue = memory_format("%s/postqueue", settings->command_directory);
    daemon->wakeup = wakeup_new(daemon->base, postqueue, settings->config_directory, &knowledge);
    free(postqueue);
    daemon->channel =
        ledger_channel_new(daemon->base, &daemon->control_place, channel_changed, daemon);
}

static void open_downstream(struct daemon *daemon)
{
    const struct lmtp_settings settings = {.hostname = daemon->service.settings->myhostname,
                                           .size_limit = SIZE_LIMIT,
                                           .sessions_max = SESSIONS_MAX,
                                           .timeout = {.tv_sec = LMTP_TIMEOUT}};
    const struct delivery_parts parts = parts_of(daemon);
    struct lmtp_handler handler = delivery_handler;
    daemon->deliveries = deliveries_new(&parts);
    use_tokens(daemon);
    handler.context = daemon->deliveries;
    daemon->lmtp = lmtp_new(daemon->base, &settings, &handler);
    lmtp_listen(daemon->lmtp, daemon->listening, NULL);
    account_sockets_serve(daemon->accounts, daemon->lmtp);
}

static void start_metrics(struct daemon *daemon)
{
    struct error error;
    const struct transport_metrics_parts parts = {.deliveries = daemon->deliveries,
                                                  .lmtp = daemon->lmtp,
                                                  .sessions_max = SESSIONS_MAX,
                                                  .pool = daemon->pool,
                                                  .wakeup = daemon->wakeup,
                                                  .channel = daemon->channel,
                                                  .tokens = daemon->tokens,
                                                  .subjects = daemon->subjects};
    if (daemon->metrics_listening < 0)
        return;
    daemon->metrics = transport_metrics_start(daemon->base, daemon->metrics_listening, &parts,
                                              daemon->credentials, daemon->identities, &error);
    if (daemon->metrics == NULL)
        log_error("%s: %s", METRICS, error.text);
    else
        wakeup_watch_age(daemon->wakeup);
}

/* lmtp(8) takes a 421 at the beginning of a session for a server that is down, and sets all mail of
 * the destination aside: who has connected just now is served, who connects from now on waits for
 * the next process, where that gets the socket. Then it ends when nothing is lost by it, or after a
 * while. */
static void say_farewell(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct daemon *daemon = argument;
    const struct timeval again = {.tv_usec = 1000000 / TICKS};
    static int left = FAREWELL_SECONDS * TICKS, last_moments = TICKS;
    if (last_moments > 0 && (lmtp_sessions(daemon->lmtp) == 0 || --last_moments == 0)) {
        last_moments = 0;
        lmtp_stop(daemon->lmtp);
        deliveries_stop(daemon->deliveries);
    }
    bool is_idle =
        lmtp_busy(daemon->lmtp) == 0 && deliveries_counts(daemon->deliveries)->under_way == 0;
    if ((last_moments == 0 && is_idle) || left-- <= 0)
        event_base_loopbreak(daemon->base);
    else
        event_add(daemon->farewell, &again);
}

static void stop(evutil_socket_t signal, short what, void *argument)
{
    (void)signal;
    (void)what;
    struct daemon *daemon = argument;
    lmtp_close_listeners(daemon->lmtp);
    deliveries_stop(daemon->deliveries);
    event_active(daemon->farewell, 0, 0);
}

/* An account whose login failed is tried again at once when its credentials have changed. */
static void watch_credentials(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct daemon *daemon = argument;
    uint64_t version = credentials_version(daemon->credentials);
    if (version == daemon->credentials_version)
        return;
    daemon->credentials_version = version;
    account_sockets_update(daemon->accounts, daemon->credentials, daemon->identities,
                           daemon->service.settings);
    pool_renew(daemon->pool);
    deliveries_credentials_changed(daemon->deliveries);
    transport_metrics_list_accounts(daemon->metrics, daemon->credentials, daemon->identities);
}

/* Puts new settings in force. */
static void adopt(struct daemon *daemon, struct settings *settings, struct identities *identities,
                  struct tables *quota_maps, struct credentials *credentials, struct tls *tls)
{
    struct settings *old = daemon->service.settings;
    struct identities *old_identities = daemon->identities;
    struct tables *old_quota_maps = daemon->quota_maps;
    struct credentials *old_credentials = daemon->credentials;
    service_warn_restart(old, settings);
    daemon->service.settings = settings;
    daemon->identities = identities;
    daemon->quota_maps = quota_maps;
    daemon->credentials = credentials;
    if (tls != daemon->tls)
        tls_free(daemon->tls);
    daemon->tls = daemon->submission_parts.tls = tls;
    read_smtp(daemon, settings);
    const struct delivery_parts parts = parts_of(daemon);
    deliveries_configure(daemon->deliveries, &parts);
    pool_configure(daemon->pool, credentials);
    use_tokens(daemon);
    account_sockets_update(daemon->accounts, credentials, identities, settings);
    transport_metrics_list_accounts(daemon->metrics, credentials, identities);
    find_name_servers(daemon);
    identities_close(old_identities);
    tables_close(old_quota_maps);
    credentials_close(old_credentials);
    settings_free(old);
}

/* Authorities as they are now. Those that only root may read stay as they were read at the start,
 * as long as main.cf names the same. */
static struct tls *renew_tls(struct daemon *daemon, const struct settings *settings,
                             struct error *error)
{
    const struct settings *old = daemon->service.settings;
    const char *file = settings->tls_ca_file, *path = settings->tls_ca_path;
    struct tls *tls = tls_new(settings, error);
    bool is_same = strcmp(file, old->tls_ca_file) == 0 && strcmp(path, old->tls_ca_path) == 0;
    bool is_closed = (file[0] != '\0' && access(file, R_OK) != 0 && errno == EACCES) ||
                     (path[0] != '\0' && access(path, R_OK | X_OK) != 0 && errno == EACCES);
    if (tls != NULL || !is_same || !is_closed)
        return tls;
    log_warning("%s%s%s: %s may not read it; what was read at the start stays in force, until a "
                "restart: let everybody read certificates of authorities",
                file, file[0] != '\0' && path[0] != '\0' ? ", " : "", path, settings->user);
    return daemon->tls;
}

static void reload(evutil_socket_t signal, short what, void *argument)
{
    (void)signal;
    (void)what;
    struct daemon *daemon = argument;
    struct error error;
    struct identities *identities = NULL;
    struct tables *quota_maps = NULL;
    struct credentials *credentials = NULL;
    struct destination destination;
    struct settings *settings = service_read_settings(&daemon->service, &error);
    if (settings != NULL && destination_parse(settings, &destination, &error))
        identities = identities_reopen(daemon->identities, settings, &error);
    if (identities != NULL)
        quota_maps = tables_reopen(daemon->quota_maps, QUOTA_MAPS, settings->quota_maps,
                                   settings->config_directory, TABLE_VALUES, &error);
    if (quota_maps != NULL)
        credentials = credentials_reopen(daemon->credentials, settings, &error);
    struct tls *tls = credentials != NULL ? renew_tls(daemon, settings, &error) : NULL;
    if (tls != NULL) {
        adopt(daemon, settings, identities, quota_maps, credentials, tls);
        service_reloaded(&daemon->service, daemon->identities);
        transport_metrics_count_reload(daemon->metrics, true);
        return;
    }
    credentials_close(credentials);
    tables_close(quota_maps);
    identities_close(identities);
    settings_free(settings);
    transport_metrics_count_reload(daemon->metrics, false);
    log_error("reload failed, the old settings stay in force: %s", error.text);
}

static void log_libevent(int severity, const char *message)
{
    if (severity >= EVENT_LOG_WARN)
        log_warning("libevent: %s", message);
}

static void add_events(struct daemon *daemon)
{
    const struct timeval often = {.tv_sec = WATCH_SECONDS};
    daemon->signals[0] = evsignal_new(daemon->base, SIGTERM, stop, daemon);
    daemon->signals[1] = evsignal_new(daemon->base, SIGINT, stop, daemon);
    daemon->signals[2] = evsignal_new(daemon->base, SIGUSR1, reload, daemon);
    daemon->watch = event_new(daemon->base, -1, EV_PERSIST, watch_credentials, daemon);
    daemon->farewell = event_new(daemon->base, -1, 0, say_farewell, daemon);
    bool added =
        daemon->watch != NULL && daemon->farewell != NULL && event_add(daemon->watch, &often) == 0;
    for (size_t i = 0; i < SIGNALS && added; i++)
        added = daemon->signals[i] != NULL && event_add(daemon->signals[i], NULL) == 0;
    if (!added)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

static void work(struct daemon *daemon)
{
    event_set_log_callback(log_libevent);
    daemon->base = event_base_new();
    daemon->dns = daemon->base != NULL
                      ? evdns_base_new(daemon->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE)
                      : NULL;
    if (daemon->dns == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    find_name_servers(daemon);
    daemon->credentials_version = credentials_version(daemon->credentials);
    daemon->sealer = sealer_new(daemon->service.settings);
    sealer_look(daemon->sealer);
    open_upstream(daemon);
    open_downstream(daemon);
    add_events(daemon);
    start_metrics(daemon);
    /* Whoever was to be woken up by the one before. */
    accounts_each(daemon->credentials, daemon->identities, wake_account, daemon->wakeup);
    service_ready(&daemon->service, daemon->identities);
    event_base_dispatch(daemon->base);
}

/* --- stopping ---------------------------------------------------------------- */

static void finish(struct daemon *daemon)
{
    account_sockets_remove(daemon->accounts);
    socket_remove(&daemon->place);
    for (size_t i = 0; i < SIGNALS; i++)
        event_free(daemon->signals[i]);
    event_free(daemon->watch);
    event_free(daemon->farewell);
    transport_metrics_stop(daemon->metrics);
    lmtp_free(daemon->lmtp);
    deliveries_free(daemon->deliveries);
    pool_free(daemon->pool);
    token_channel_free(daemon->tokens);
    token_subjects_free(daemon->subjects);
    ledger_channel_free(daemon->channel);
    wakeup_free(daemon->wakeup);
    evdns_base_free(daemon->dns, 0);
    event_base_free(daemon->base);
    tls_free(daemon->tls);
    credentials_close(daemon->credentials);
    identities_close(daemon->identities);
    sealer_free(daemon->sealer);
    tables_close(daemon->quota_maps);
    service_stopping(&daemon->service);
    settings_free(daemon->service.settings);
    free(daemon->service.overrides);
}
