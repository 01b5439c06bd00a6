/* main.c - post365-milter: make the sender the authenticated mailbox
 *
 * SYNOPSIS
 *     post365-milter [-c DIR] [-o NAME=VALUE]... [-e] [-v] [-t]
 *
 * DESCRIPTION
 *     A milter for Postfix (MILTER_README). It finds out which Microsoft 365 account a message
 *     belongs to, makes the envelope sender and From: that account's UPN, and keeps the person in
 *     the display name and Reply-To:. It never touches the body.
 *
 * SECURITY
 *     Started as root it opens lookup tables and its socket, then changes to post365_user for good.
 *     Of password tables it keeps the user names only.
 *
 * DIAGNOSTICS
 *     Logs to syslog facility mail as post365/milter, one line a message. What cannot be decided is
 *     answered with 451 4.7.1, so that no mail is lost. Exit status 78 for a wrong configuration.
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

#include <errno.h>
#include <libmilter/mfapi.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* libmilter's own limit on a silent MTA is two hours; Postfix's milter_content_timeout is 300 s. */
#define IDLE_SECONDS 3600

struct daemon {
    struct service *service;
    struct socket_place place;
};

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
    service_reloaded(service, identities);
}

/* Set by the signal handler, for the main thread. */
static volatile sig_atomic_t reload_wanted, stop_wanted;
static sem_t signal_arrived;

static void note_signal(int number)
{
    int reason = errno;
    *(number == SIGUSR1 ? &reload_wanted : &stop_wanted) = 1;
    sem_post(&signal_arrived);
    errno = reason;
}

/* smfi_stop() waits up to five seconds for the listener and then ends the program with its sessions
 * all the same: so long a restart would leave Postfix without a milter. Messages that are under way
 * get a temporary failure. Not exit(3): at exit libmilter destroys a lock that its threads use. */
__attribute__((noreturn)) static void end(const struct daemon *daemon, int status)
{
    socket_remove(&daemon->place);
    service_stopping(daemon->service);
    _exit(status);
}

static void *run_libmilter(void *argument)
{
    bool fine = smfi_main() == MI_SUCCESS;
    if (!fine)
        log_error("libmilter gave up; see its own messages in the mail log, and start again");
    end(argument, fine ? EX_OK : EX_SOFTWARE);
}

/* libmilter has a thread that waits for signals, too. The kernel gives a signal to the main thread
 * if that does not block it, and so the main thread never does; all other threads, which inherit
 * their mask, always do. */
static bool start_libmilter(struct daemon *daemon, struct error *error)
{
    static const int numbers[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP};
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    sigset_t handled;
    pthread_t thread;
    sigemptyset(&handled);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(&handled, numbers[i]);
    bool started =
        sem_init(&signal_arrived, 0, 0) == 0 && pthread_sigmask(SIG_BLOCK, &handled, NULL) == 0 &&
        pthread_create(&thread, NULL, run_libmilter, daemon) == 0 && pthread_detach(thread) == 0;
    for (size_t i = 0; started && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        started = sigaction(numbers[i], &action, NULL) == 0;
    started = started && pthread_sigmask(SIG_UNBLOCK, &handled, NULL) == 0;
    return started || error_set(error, "cannot start a thread; see the limit on tasks (ulimit -u)");
}

__attribute__((noreturn)) static void obey_signals(const struct daemon *daemon)
{
    for (;;) {
        while (sem_wait(&signal_arrived) != 0)
            ;
        if (stop_wanted != 0)
            end(daemon, EX_OK);
        if (reload_wanted != 0) {
            reload_wanted = 0;
            reload(daemon->service);
        }
    }
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
        error_set(error,
                  "%s/main.cf: post365_milter_socket = %s: libmilter cannot listen there; its own "
                  "message in the mail log says why",
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
    service_end_test(service, identities);
}

/* Without the transport nobody would read what is sealed. */
static struct sealer *open_sealer(const struct settings *settings)
{
    struct sealer *sealer = sealer_new(settings);
    if (settings->meter == METER_DELIVERY)
        sealer_look(sealer);
    return sealer;
}

int main(int argc, char *argv[])
{
    struct service service = {
        .name = "milter",
        .program = "post365-milter",
        .summary =
            "Make the sender of mail for Microsoft 365 the authenticated mailbox (a milter).",
    };
    struct daemon daemon = {.service = &service};
    struct error error;
    service_start(&service, argc, argv);
    struct identities *identities = identities_open(service.settings, &error);
    if (identities == NULL)
        service_refuse(&service, &error);
    if (service.test)
        end_test(&service, identities);
    sealer_prepare(service.settings);
    if (!open_socket(service.settings, &daemon.place, &error) ||
        !service_drop_privileges(service.settings, &error) || !identities_check(identities, &error))
        service_refuse(&service, &error);
    configuration_install(service.settings, identities);
    configuration_keep_sealer(open_sealer(service.settings));
    smfi_settimeout(IDLE_SECONDS);
    if (!start_libmilter(&daemon, &error))
        service_refuse(&service, &error);
    service_ready(&service, identities);
    obey_signals(&daemon);
}
