/*
 * main.c - office365, a stand-in for smtp.office365.com:587
 *
 * Reads one JSON file, makes its certificates, listens, says so in one line of JSON on standard
 * output (and in the ready file), and serves until SIGTERM or SIGINT. One process, one thread.
 *
 * It judges the programs of this repository, and therefore uses none of their code.
 */
#include "allocate.h"
#include "clock.h"
#include "control.h"
#include "encoding.h"
#include "listener.h"
#include "server.h"
#include "session.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static const char usage[] =
    "usage: office365 -c config.json\n"
    "\n"
    "A stand-in for smtp.office365.com:587, for tests. It behaves as Exchange Online does on SMTP\n"
    "AUTH client submission: STARTTLS, AUTH LOGIN and XOAUTH2, sender checks and limits at the "
    "end\n"
    "of DATA, and faults on demand. Every message is journalled as a line of JSON.\n"
    "\n"
    "  -c, --config FILE   the configuration (tests/office365/README.md)\n"
    "  -h, --help          this text\n"
    "\n"
    "When it listens it prints one line of JSON with the port. SIGTERM or SIGINT ends it.\n";

static void complain(const char *text)
{
    fprintf(stderr, "office365: %s\n", text);
}

/* ---- configuration ---- */

static bool add_mailboxes(struct server *server, const json_t *config, struct problem *problem)
{
    const json_t *mailboxes = json_object_get(config, "mailboxes");
    const char *upn;
    json_t *value;

    if (mailboxes != NULL && !json_is_object(mailboxes))
        return problem_set(problem, "\"mailboxes\" must be {upn: {...}}");
    json_object_foreach((json_t *)mailboxes, upn, value)
    {
        if (!mailboxes_apply(server->mailboxes, upn, value, problem))
            return false;
    }
    return true;
}

static bool add_faults(struct server *server, const json_t *config, struct problem *problem)
{
    const json_t *faults = json_object_get(config, "faults");
    size_t index;
    json_t *value;

    if (faults != NULL && !json_is_array(faults))
        return problem_set(problem, "\"faults\" must be a list");
    json_array_foreach(faults, index, value)
    {
        if (faults_add(server->faults, value, problem) == 0)
            return false;
    }
    return true;
}

static bool configure(struct server *server, const char *path, struct problem *problem)
{
    json_error_t error;
    json_t *config = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    bool sound;

    if (config == NULL)
        return problem_set(problem, "line %d: %s", error.line, error.text);
    server->settings = settings_create();
    server->mailboxes = mailboxes_create();
    sound = settings_apply(server->settings, config, true, problem) &&
            settings_complete(server->settings, problem) && add_mailboxes(server, config, problem);
    server->faults = faults_create((uint64_t)server->settings->seed);
    sound = sound && add_faults(server, config, problem);
    json_decref(config);
    return sound;
}

/* ---- readiness ---- */

/* write_ready_file - whole or not at all: a reader may be waiting for it */
static bool write_ready_file(const char *path, const char *text, struct problem *problem)
{
    char *fresh = format("%s.new", path);
    FILE *stream = fopen(fresh, "we");
    bool written = stream != NULL && fprintf(stream, "%s\n", text) > 0;

    if (stream != NULL && fclose(stream) != 0)
        written = false;
    if (!written || rename(fresh, path) != 0)
        written = problem_set(problem, "cannot write %s: %s", path, strerror(errno));
    free(fresh);
    return written;
}

static bool announce(const struct server *server, const struct listener *listener,
                     struct problem *problem)
{
    json_t *entry = journal_event("ready");
    json_t *listen = listener_describe(listener);
    char *text;
    bool announced = true;

    encoding_set(entry, "pid", json_integer(getpid()));
    encoding_set(entry, "port", json_incref(json_object_get(json_array_get(listen, 0), "port")));
    encoding_set(entry, "listen", listen);
    encoding_set(entry, "ca_file", json_string(tls_authority(server->tls)));
    text = json_dumps(entry, JSON_COMPACT);
    journal_write(server->journal, entry);
    if (server->settings->ready_file != NULL)
        announced = write_ready_file(server->settings->ready_file, text, problem);
    printf("%s\n", text);
    if (fflush(stdout) != 0)
        announced = problem_set(problem, "cannot write to standard output: %s", strerror(errno));
    free(text);
    return announced;
}

/* ---- life ---- */

static void on_signal(evutil_socket_t number, short events, void *context)
{
    (void)number;
    (void)events;
    event_base_loopbreak(context);
}

/* raise_descriptors - as many connections as the system lets us have */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* serve - until a signal ends it */
static bool serve(struct server *server, struct problem *problem)
{
    const char *path = server->settings->control_socket;
    struct event *terminate = evsignal_new(server->base, SIGTERM, on_signal, server->base);
    struct event *interrupt = evsignal_new(server->base, SIGINT, on_signal, server->base);
    struct control *control = NULL;
    struct listener *listener = listener_create(server, problem);
    bool served = listener != NULL;

    event_add(terminate, NULL);
    event_add(interrupt, NULL);
    if (served && path != NULL) {
        control = control_create(server, path, problem);
        served = control != NULL;
    }
    served = served && announce(server, listener, problem);
    if (served) {
        event_base_dispatch(server->base);
        session_drop_all(server, NULL, "shutdown");
        journal_write(server->journal, journal_event("stopped"));
    }
    control_free(control);
    listener_free(listener);
    event_free(terminate);
    event_free(interrupt);
    event_base_loop(server->base, EVLOOP_NONBLOCK); /* libevent closes streams in the loop */
    return served;
}

/* open_all - everything but the sockets */
static bool open_all(struct server *server, struct problem *problem)
{
    const struct settings *settings = server->settings;

    if (settings->save_directory != NULL && mkdir(settings->save_directory, 0700) != 0 &&
        errno != EEXIST)
        return problem_set(problem, "cannot make %s: %s", settings->save_directory,
                           strerror(errno));
    server->tls =
        tls_create(settings->state_directory, &settings->hostnames, settings->legacy_tls, problem);
    if (server->tls == NULL)
        return false;
    server->journal = journal_open(settings->journal, problem);
    if (server->journal == NULL)
        return false;
    server->base = event_base_new();
    return server->base != NULL || problem_set(problem, "libevent cannot start");
}

static void close_all(struct server *server)
{
    if (server->base != NULL)
        event_base_free(server->base);
    journal_close(server->journal);
    tls_free(server->tls);
    faults_free(server->faults);
    mailboxes_free(server->mailboxes);
    tally_clear(&server->tally);
    settings_free(server->settings);
}

static int run(const char *path)
{
    struct server server = {.base = NULL};
    struct problem problem = {"unknown"};
    int status = EX_OK;

    LIST_INIT(&server.sessions);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    if (!configure(&server, path, &problem)) {
        fprintf(stderr, "office365: %s: %s\n", path, problem.text);
        status = EX_CONFIG;
    } else if (!open_all(&server, &problem) || !serve(&server, &problem)) {
        complain(problem.text);
        status = EX_CANTCREAT;
    }
    close_all(&server);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *path = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return EX_OK;
        }
        if (option != 'c') {
            fputs(usage, stderr);
            return EX_USAGE;
        }
        path = optarg;
    }
    if (path == NULL || optind != argc) {
        fputs(usage, stderr);
        return EX_USAGE;
    }
    return run(path);
}
