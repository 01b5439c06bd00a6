/* main.c - post365-tokend: access tokens for Microsoft 365
 *
 * SYNOPSIS
 *     post365-tokend [-c DIR] [-o NAME=VALUE]... [-e] [-v] [-t]
 *
 * DESCRIPTION
 *     Gets OAuth2 access tokens from Microsoft Entra for the accounts that post365_oauth2_maps
 *     knows, renews them in time, and hands them out on post365_oauth2_socket (common/oauth2/
 *     tokens.h): the transport logs in with them, the post365 command shows how things stand. It
 *     alone reads client secrets and keys, and it keeps the refresh tokens of users who have logged
 *     in (`post365 login`). There is one request to the endpoint for all accounts that share a
 *     registration, and nobody waits for a renewal while a token is good.
 *
 * SECURITY
 *     Never works as root: started as root it makes its directories and becomes
 *     post365_oauth2_user. Clients are judged by the kernel's word (SO_PEERCRED): root and
 *     post365_user get tokens, the group of post365_user sees how things stand. Secrets are in
 *     memory that is in no core file, and wiped. No verbosity shows them.
 *
 * DIAGNOSTICS
 *     Logs to syslog facility mail as post365/tokend. Why there is no token is named as in
 *     docs/ENTRA_ERRORS.md. Exit status 78 for a wrong configuration; 0, at once, where
 *     post365_oauth2_maps is empty.
 *
 * CONFIGURATION
 *     post365_oauth2_* parameters in main.cf: docs/PARAMETERS.md; registration files:
 *     post365_oauth2(5). SIGUSR1 reads main.cf again; registrations, secrets and keys are watched.
 *     SIGTERM stops.
 *
 * BUGS
 *     A lookup table that is asked through postmap(1) holds up all requests meanwhile.
 */
#include "common/clock.h"
#include "common/destinations.h"
#include "common/log.h"
#include "common/oauth2/registrations.h"
#include "common/service.h"
#include "common/socket.h"
#include "common/table_helper.h"
#include "tokend/answer.h"
#include "tokend/clients.h"
#include "tokend/desk.h"
#include "tokend/fetch.h"
#include "tokend/place.h"
#include "tokend/stock.h"
#include "tokend/vault.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define SIGNALS 3

struct daemon {
    struct service service;
    struct registrations *registrations;
    struct destinations *destinations; /* NULL: their tables cannot be read */
    struct vault *vault;
    struct socket_place place;
    int listening;
    struct event_base *base;
    struct fetcher *fetcher;
    struct stock *stock;
    struct desk *desk;
    struct clients *clients;
    struct event *signals[SIGNALS];
    struct event *reload;
};

static void leave_if_idle(const struct daemon *daemon);
static void settle(struct daemon *daemon);
static void end_test(struct daemon *daemon);
static void work(struct daemon *daemon);
static void finish(struct daemon *daemon);

int main(int argc, char *argv[])
{
    struct daemon daemon = {
        .service = {.name = "tokend",
                    .program = "post365-tokend",
                    .summary = "Get and renew access tokens for Microsoft 365 (OAuth2).",
                    .has_workers = true}};
    fetch_prepare();
    answer_prepare();
    service_start(&daemon.service, argc, argv);
    leave_if_idle(&daemon);
    settle(&daemon);
    if (daemon.service.test)
        end_test(&daemon);
    work(&daemon);
    finish(&daemon);
    return EX_OK;
}

/* --- starting ---------------------------------------------------------------- */

static void leave_if_idle(const struct daemon *daemon)
{
    if (registrations_in_use(daemon->service.settings))
        return;
    if (daemon->service.test)
        service_end_test(&daemon->service, NULL);
    log_info("nothing to do: post365_oauth2_maps is empty");
    sd_notify(0, "READY=1");
    exit(EX_OK);
}

/* How long tokens must be good for depends on the server; without these tables relayhost tells. */
static struct destinations *open_destinations(struct destinations *old,
                                              const struct settings *settings)
{
    struct error error;
    struct destinations *destinations = destinations_reopen(old, settings, &error);
    if (destinations == NULL)
        log_info("the tables of servers cannot be read, all accounts count as relayhost's: %s",
                 error.text);
    return destinations;
}

/* As root nothing is opened: the tables are tried as the user that the program has become. */
static void settle(struct daemon *daemon)
{
    struct error error;
    const struct settings *settings = daemon->service.settings;
    if (!place_settle(settings, daemon->service.test, &error))
        service_refuse(&daemon->service, &error);
    clock_make_steady();
    table_helper_forgo();
    daemon->registrations = registrations_reopen(NULL, settings, &error);
    if (daemon->registrations == NULL || !registrations_check(daemon->registrations, &error))
        service_refuse(&daemon->service, &error);
    daemon->destinations = open_destinations(NULL, settings);
}

static void test_file(void *context, const char *path)
{
    const char *reason = "";
    bool *is_fine = context;
    struct app *app = app_new(path);
    const struct entra_row *row = app_trouble(app, &reason);
    if (row == NULL)
        row = proof_complaint(app->proof, &reason);
    if (row != NULL)
        log_error("registration %s: %s: %s", path, row->name, reason);
    *is_fine = *is_fine && row == NULL;
    app_free(app);
}

/* A directory that is missing is made by root, or by the service manager. */
static bool test_vault(const struct settings *settings, struct error *error)
{
    if (access(settings->oauth2_directory, F_OK) != 0)
        return true;
    struct vault *vault = vault_open(settings->oauth2_directory, error);
    vault_close(vault);
    return vault != NULL;
}

static void test_value(void *context, const struct error *error)
{
    bool *is_fine = context;
    log_error("%s", error->text);
    *is_fine = false;
}

static void end_test(struct daemon *daemon)
{
    struct error error;
    bool is_fine = true;
    registrations_each_wrong(daemon->registrations, test_value, &is_fine);
    registrations_each_file(daemon->registrations, test_file, &is_fine);
    if (!place_check(daemon->service.settings, &error) ||
        !test_vault(daemon->service.settings, &error))
        service_refuse(&daemon->service, &error);
    if (!is_fine) {
        error_set(&error, "a registration cannot be used, see above");
        service_refuse(&daemon->service, &error);
    }
    service_end_test(&daemon->service, NULL);
}

static void open_all(struct daemon *daemon)
{
    struct error error;
    const struct settings *settings = daemon->service.settings;
    daemon->vault = vault_open(settings->oauth2_directory, &error);
    if (daemon->vault == NULL) {
        error_prefix(&error, "%s/main.cf: post365_oauth2_directory", settings->config_directory);
        service_refuse(&daemon->service, &error);
    }
    daemon->listening = place_listen(settings, &daemon->place, &error);
    if (daemon->listening < 0)
        service_refuse(&daemon->service, &error);
}

/* --- working ----------------------------------------------------------------- */

static struct stock_parts parts_of(const struct daemon *daemon)
{
    return (struct stock_parts){.base = daemon->base,
                                .fetcher = daemon->fetcher,
                                .vault = daemon->vault,
                                .settings = daemon->service.settings,
                                .registrations = daemon->registrations,
                                .destinations = daemon->destinations};
}

static void stop(evutil_socket_t signal, short what, void *argument)
{
    (void)signal;
    (void)what;
    const struct daemon *daemon = argument;
    event_base_loopbreak(daemon->base);
}

static void want_reload(evutil_socket_t signal, short what, void *argument)
{
    (void)signal;
    (void)what;
    const struct daemon *daemon = argument;
    event_active(daemon->reload, 0, 0);
}

static void adopt(struct daemon *daemon, struct settings *settings,
                  struct registrations *registrations)
{
    struct settings *old = daemon->service.settings;
    struct registrations *old_registrations = daemon->registrations;
    struct destinations *old_destinations = daemon->destinations;
    service_warn_restart(old, settings);
    daemon->service.settings = settings;
    daemon->registrations = registrations;
    daemon->destinations = open_destinations(old_destinations, settings);
    const struct stock_parts parts = parts_of(daemon);
    fetcher_configure(daemon->fetcher, settings);
    clients_configure(daemon->clients, settings);
    stock_configure(daemon->stock, &parts);
    registrations_close(old_registrations);
    destinations_close(old_destinations);
    settings_free(old);
}

static void reload(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct daemon *daemon = argument;
    struct error error;
    struct settings *settings = service_read_settings(&daemon->service, &error);
    struct registrations *registrations =
        settings != NULL ? registrations_reopen(daemon->registrations, settings, &error) : NULL;
    if (registrations == NULL) {
        settings_free(settings);
        log_error("reload failed, the old settings stay in force: %s", error.text);
        return;
    }
    adopt(daemon, settings, registrations);
    service_reloaded(&daemon->service, NULL);
    if (!registrations_in_use(settings))
        log_warning("post365_oauth2_maps is empty now: nobody gets a token");
}

static void add_events(struct daemon *daemon)
{
    daemon->signals[0] = evsignal_new(daemon->base, SIGTERM, stop, daemon);
    daemon->signals[1] = evsignal_new(daemon->base, SIGINT, stop, daemon);
    daemon->signals[2] = evsignal_new(daemon->base, SIGUSR1, want_reload, daemon);
    daemon->reload = event_new(daemon->base, -1, 0, reload, daemon);
    bool added = daemon->reload != NULL;
    for (size_t i = 0; i < SIGNALS && added; i++)
        added = daemon->signals[i] != NULL && event_add(daemon->signals[i], NULL) == 0;
    if (!added)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

static void work(struct daemon *daemon)
{
    struct error error;
    open_all(daemon);
    daemon->base = event_base_new();
    if (daemon->base == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    daemon->fetcher = fetcher_new(daemon->base, daemon->service.settings);
    const struct stock_parts parts = parts_of(daemon);
    daemon->stock = stock_new(&parts);
    daemon->desk = desk_new(daemon->base, daemon->stock, daemon->fetcher, daemon->vault);
    const struct clients_handler handler = desk_handler(daemon->desk);
    daemon->clients =
        clients_new(daemon->base, daemon->listening, &handler, daemon->service.settings, &error);
    if (daemon->clients == NULL)
        log_fatal(EX_OSERR, "%s", error.text);
    add_events(daemon);
    service_ready(&daemon->service, NULL);
    event_base_dispatch(daemon->base);
}

/* --- stopping ---------------------------------------------------------------- */

static void finish(struct daemon *daemon)
{
    for (size_t i = 0; i < SIGNALS; i++)
        event_free(daemon->signals[i]);
    event_free(daemon->reload);
    clients_free(daemon->clients);
    desk_free(daemon->desk);
    stock_free(daemon->stock);
    fetcher_free(daemon->fetcher);
    event_base_free(daemon->base);
    socket_remove(&daemon->place);
    vault_close(daemon->vault);
    registrations_close(daemon->registrations);
    destinations_close(daemon->destinations);
    service_stopping(&daemon->service);
    settings_free(daemon->service.settings);
    free(daemon->service.overrides);
}
