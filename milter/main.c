/* main.c - post365-milter: make the sender the authenticated mailbox
 *
 * SYNOPSIS
 *     post365-milter [-c DIR] [-o NAME=VALUE]... [-e] [-v] [-t]
 *
 * DESCRIPTION
 *     A milter for Postfix (MILTER_README). It finds out which Microsoft 365 account a message
 * belongs to, makes the envelope sender and From: that account's UPN, and keeps the person in the
 * display name and Reply-To:. It never touches the body.
 *
 * SECURITY
 *     Started as root it opens lookup tables and its socket, then changes to post365_user for good.
 * Of password tables it keeps the user names only.
 *
 * DIAGNOSTICS
 *     Logs to syslog facility mail as post365/milter, one line a message. What cannot be decided is
 * answered with 451 4.7.1, so that no mail is lost. Exit status 78 for a wrong configuration.
 *
 * CONFIGURATION
 *     post365_* parameters in main.cf: docs/PARAMETERS.md. SIGUSR1 reads them again; SIGTERM stops.
 */
#include "common/identity.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/service.h"
#include "common/socket.h"
#include "milter/configuration.h"
#include "milter/session.h"

#include <libmilter/mfapi.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* libmilter's own limit on a silent MTA is two hours; Postfix's milter_content_timeout is 300 s. */
#define IDLE_SECONDS 3600

static void reload(struct service *service)
{
    struct error error;
    struct settings *settings = service_read_settings(service, &error);
    struct configuration *old = configuration_acquire();
    struct identities *identities =
        settings != NULL ? identities_reopen(configuration_identities(old), settings, &error)
                         : NULL;
    configuration_release(old);
    if (identities == NULL) {
        settings_free(settings);
        log_error("reload failed, the old settings stay in force: %s", error.text);
        return;
    }
    service_warn_restart(service->settings, settings);
    service->settings = settings;
    configuration_install(settings, identities);
    service_reloaded(service);
}

struct signal_thread {
    struct service *service;
    struct socket_place place;
    sigset_t signals;
};

/* smfi_stop() waits up to five seconds for the listener and then ends the program with its sessions
 * all the same: so long a restart would leave Postfix without a milter. Messages that are under way
 * get a temporary failure. */
static void stop(const struct signal_thread *thread)
{
    socket_remove(&thread->place);
    service_stopping(thread->service);
    exit(EX_OK);
}

static void *handle_signals(void *argument)
{
    const struct signal_thread *thread = argument;
    for (;;) {
        int received = 0;
        if (sigwait(&thread->signals, &received) != 0)
            continue;
        if (received == SIGUSR1)
            reload(thread->service);
        else
            stop(thread);
    }
    return NULL;
}

/* The thread is there before libmilter's own, which makes it the one that the kernel asks first;
 * should the other get a SIGTERM, the program stops as well, a little later. All threads of
 * libmilter inherit the mask that is left behind here. */
static bool start_signal_thread(struct service *service, const struct socket_place *place,
                                struct error *error)
{
    static struct signal_thread argument;
    argument = (struct signal_thread){.service = service, .place = *place};
    sigemptyset(&argument.signals);
    sigaddset(&argument.signals, SIGUSR1);
    sigaddset(&argument.signals, SIGTERM);
    sigaddset(&argument.signals, SIGINT);
    sigset_t all;
    pthread_t thread;
    sigfillset(&all);
    bool started = pthread_sigmask(SIG_SETMASK, &all, NULL) == 0 &&
                   pthread_create(&thread, NULL, handle_signals, &argument) == 0 &&
                   pthread_detach(thread) == 0;
    pthread_sigmask(SIG_SETMASK, &argument.signals, NULL);
    return started || error_set(error, "cannot start a thread");
}

static char *connection_name(const struct socket_place *place)
{
    if (place->family == SOCKET_UNIX)
        return memory_format("unix:%s", place->path);
    return memory_format("%s:%s@%s", strchr(place->host, ':') != NULL ? "inet6" : "inet",
                         place->port, place->host);
}

static bool open_socket(const struct settings *settings, struct socket_place *place,
                        struct error *error)
{
    if (!socket_prepare("post365_milter_socket", settings->milter_socket, settings, false, place,
                        error))
        return false;
    struct socket_owner saved;
    if (!socket_owner_begin(settings, &saved, error))
        return false;
    char *name = connection_name(place);
    bool opened = smfi_setconn(name) == MI_SUCCESS && session_register() &&
                  smfi_opensocket(false) == MI_SUCCESS;
    socket_owner_end(&saved);
    if (!opened)
        error_set(error, "%s/main.cf: post365_milter_socket = %s: libmilter cannot listen there",
                  settings->config_directory, settings->milter_socket);
    free(name);
    return opened;
}

static void end_test(struct service *service, struct identities *identities)
{
    struct socket_place place;
    struct error error;
    if (!socket_prepare("post365_milter_socket", service->settings->milter_socket,
                        service->settings, true, &place, &error) ||
        !service_drop_privileges(service->settings, &error) ||
        !identities_check(identities, &error))
        service_refuse(service, &error);
    service_end_test(service);
}

int main(int argc, char *argv[])
{
    struct service service = {
        .name = "milter",
        .program = "post365-milter",
        .summary =
            "Make the sender of mail for Microsoft 365 the authenticated mailbox (a milter).",
    };
    struct socket_place place;
    struct error error;
    service_start(&service, argc, argv);
    struct identities *identities = identities_open(service.settings, &error);
    if (identities == NULL)
        service_refuse(&service, &error);
    if (service.test)
        end_test(&service, identities);
    if (!open_socket(service.settings, &place, &error) ||
        !service_drop_privileges(service.settings, &error) ||
        !identities_check(identities, &error) || !start_signal_thread(&service, &place, &error))
        service_refuse(&service, &error);
    configuration_install(service.settings, identities);
    smfi_settimeout(IDLE_SECONDS);
    service_ready(&service);
    bool fine = smfi_main() == MI_SUCCESS;
    socket_remove(&place);
    service_stopping(&service);
    return fine ? EX_OK : EX_SOFTWARE;
}
