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
#include "common/kept.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/service.h"
#include "common/socket.h"
#include "milter/configuration.h"
#include "milter/keeper.h"
#include "milter/session.h"

#include <errno.h>
#include <fcntl.h>
#include <libmilter/mfapi.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* libmilter's own limit on a silent MTA is two hours; Postfix's milter_content_timeout is 300 s. */
#define IDLE_SECONDS 3600

/* How long a worker that was told to end serves connections that are open, and how often it looks
 * (milliseconds). Some clients of smtpd(8) keep a session for good. */
#define FAREWELL_SECONDS 3600
#define FAREWELL_TICK    50

struct daemon {
    struct service *service;
    struct socket_place place;
    int listening;
    int channel; /* to the keeper, -1: there is none */
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

/* Set by the signal handler, for the main thread, which reads the pipe's other end. */
static volatile sig_atomic_t reload_wanted, stop_wanted;
static int signal_pipe[2];

static void note_signal(int number)
{
    int reason = errno;
    *(number == SIGUSR1 ? &reload_wanted : &stop_wanted) = 1;
    ssize_t written = write(signal_pipe[1], "", 1);
    (void)written; /* full: there is something to read in any case */
    errno = reason;
}

static void *run_libmilter(void *argument)
{
    (void)argument;
    bool fine = smfi_main() == MI_SUCCESS;
    if (!fine)
        log_error("libmilter gave up; see its own messages in the mail log");
    _exit(fine ? EX_OK : EX_SOFTWARE);
}

/* libmilter has a thread that waits for signals, too. The kernel gives a signal to the main thread
 * if that does not block it, and so the main thread never does; all other threads, which inherit
 * their mask, always do. */
static bool start_libmilter(struct error *error)
{
    static const int numbers[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP};
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    sigset_t handled;
    pthread_t thread;
    sigemptyset(&handled);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(&handled, numbers[i]);
    bool started = pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) == 0 &&
                   pthread_sigmask(SIG_BLOCK, &handled, NULL) == 0 &&
                   pthread_create(&thread, NULL, run_libmilter, NULL) == 0 &&
                   pthread_detach(thread) == 0;
    for (size_t i = 0; started && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        started = sigaction(numbers[i], &action, NULL) == 0;
    started = started && pthread_sigmask(SIG_UNBLOCK, &handled, NULL) == 0;
    return started || error_set(error, "cannot start a thread; see the limit on tasks (ulimit -u)");
}

/* From here on whoever connects waits for the next worker: in libmilter's hands is a socket that
 * nobody can know, in the place of the one that others listen on, too. */
static bool stop_listening(int listening)
{
    struct sockaddr_un unknown = {.sun_family = AF_UNIX};
    int nobody = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool stopped = nobody >= 0 &&
                   bind(nobody, (struct sockaddr *)&unknown, sizeof(unknown.sun_family)) == 0 &&
                   listen(nobody, 1) == 0 && dup3(nobody, listening, O_CLOEXEC) >= 0;
    if (!stopped)
        log_error("cannot let go of the socket: %s", strerror(errno));
    return stopped;
}

/* smtpd(8) keeps a connection for its client's whole session and makes no other one: what is cut
 * fails for the rest of that session. */
static void serve_to_the_end(const struct daemon *daemon)
{
    const struct timespec moment = {.tv_nsec = FAREWELL_TICK * 1000000L};
    if (!stop_listening(daemon->listening))
        return;
    stop_wanted = 0;
    int left = FAREWELL_SECONDS * 1000 / FAREWELL_TICK;
    /* A connection that was accepted just now is not counted yet. */
    for (int fresh = 1000 / FAREWELL_TICK;
         stop_wanted == 0 && left > 0 && (fresh > 0 || session_count() > 0); left--, fresh--)
        nanosleep(&moment, NULL);
    if (session_count() > 0)
        log_warning("%zu connections of Postfix are cut: their clients get a temporary failure",
                    session_count());
}

/* False when the keeper is gone. */
static bool hear_keeper(const struct daemon *daemon)
{
    char word = '\0';
    ssize_t length = read(daemon->channel, &word, 1);
    if (length == 1 && word == KEEPER_RELOAD)
        reload_wanted = 1;
    return length == 1 || (length < 0 && errno == EINTR);
}

static void obey(struct daemon *daemon)
{
    struct pollfd waits[] = {{.fd = signal_pipe[0], .events = POLLIN},
                             {.fd = daemon->channel, .events = POLLIN}};
    char bytes[64];
    while (stop_wanted == 0) {
        bool is_ready = poll(waits, 2, -1) > 0;
        if (is_ready && waits[1].revents != 0 && !hear_keeper(daemon))
            return;
        if (is_ready && waits[0].revents != 0 && read(signal_pipe[0], bytes, sizeof(bytes)) < 0)
            continue;
        if (reload_wanted != 0) {
            reload_wanted = 0;
            reload(daemon->service);
        }
    }
}

/* libmilter takes a descriptor for an address, in Debian. */
static bool give_socket(const struct daemon *daemon, const struct settings *settings,
                        struct error *error)
{
    struct socket_owner saved;
    if (!socket_owner_begin(settings, &saved, error))
        return false;
    char *name = memory_format("fd:%d", daemon->listening);
    bool given = smfi_setconn(name) == MI_SUCCESS && session_register() &&
                 smfi_setbacklog(SOCKET_BACKLOG) == MI_SUCCESS &&
                 smfi_opensocket(false) == MI_SUCCESS;
    socket_owner_end(&saved);
    if (!given)
        error_set(error,
                  "%s/main.cf: post365_milter_socket = %s: libmilter cannot listen there; its own "
                  "message in the mail log says why",
                  settings->config_directory, settings->milter_socket);
    free(name);
    return given;
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

/* A worker that follows another begins with the settings that are there now, if it can. */
static void refresh_settings(struct service *service)
{
    struct error error;
    struct settings *settings = service_read_settings(service, &error);
    if (settings == NULL)
        log_error("the settings cannot be read, the old ones stay in force: %s", error.text);
    else
        service->settings = settings;
}

/* Where sockets outlive us this goes on in a worker. */
static void open_socket(struct daemon *daemon)
{
    struct error error;
    bool is_first = true;
    const struct settings *settings = daemon->service->settings;
    daemon->channel = -1;
    daemon->listening = socket_listen("post365_milter_socket", settings->milter_socket, settings,
                                      &daemon->place, &error);
    if (daemon->listening < 0)
        service_refuse(daemon->service, &error);
    kept_end();
    if (!kept_is_possible())
        return;
    daemon->channel = keeper_start(daemon->service, &is_first);
    if (!is_first)
        refresh_settings(daemon->service);
}

/* Not by smfi_stop(), which waits up to five seconds for the listener and not at all for sessions.
 * Not exit(3): at exit libmilter destroys a lock that its threads use. */
__attribute__((noreturn)) static void end(const struct daemon *daemon)
{
    if (daemon->channel >= 0) {
        serve_to_the_end(daemon);
    } else {
        socket_remove(&daemon->place);
        service_stopping(daemon->service);
    }
    _exit(EX_OK);
}

__attribute__((noreturn)) static void work(struct daemon *daemon, struct identities *identities)
{
    struct error error;
    struct service *service = daemon->service;
    if (!give_socket(daemon, service->settings, &error) ||
        !service_drop_privileges(service->settings, &error) ||
        !identities_check(identities, &error))
        service_refuse(service, &error);
    configuration_install(service->settings, identities);
    configuration_keep_sealer(open_sealer(service->settings));
    smfi_settimeout(IDLE_SECONDS);
    if (!start_libmilter(&error))
        service_refuse(service, &error);
    service_ready(service, identities);
    if (daemon->channel >= 0)
        keeper_tell_ready(daemon->channel);
    obey(daemon);
    end(daemon);
}

int main(int argc, char *argv[])
{
    struct service service = {
        .name = "milter",
        .program = "post365-milter",
        .has_workers = true,
        .summary =
            "Make the sender of mail for Microsoft 365 the authenticated mailbox (a milter).",
    };
    struct daemon daemon = {.service = &service};
    struct error error;
    service_start(&service, argc, argv);
    if (!service.test)
        open_socket(&daemon);
    service_start_helper(&service);
    struct identities *identities = identities_open(service.settings, &error);
    if (identities == NULL)
        service_refuse(&service, &error);
    if (service.test)
        end_test(&service, identities);
    sealer_prepare(service.settings);
    work(&daemon, identities);
}
