/* scan.c - which messages of an account wait in Postfix's queue */
#include "transport/scan.h"

#include "common/log.h"
#include "common/memory.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* A message with a thousand recipients and their reasons; what is longer is passed over. */
#define LINE_MAX_OCTETS ((size_t)1 << 20)

struct found {
    char *id;
    json_int_t arrival;
};

struct scan {
    char *account;
    scan_done *done;
    void *context;
    struct bufferevent *output;
    struct found found[SCAN_MOST]; /* the oldest first */
    size_t count;
    bool skipping; /* the rest of a line that is too long */
};

static void release(struct scan *scan)
{
    for (size_t i = 0; i < scan->count; i++)
        free(scan->found[i].id);
    if (scan->output != NULL)
        bufferevent_free(scan->output);
    free(scan->account);
    free(scan);
}

/* Keeps it if it is among the oldest. */
static void keep(struct scan *scan, const char *id, json_int_t arrival)
{
    size_t place = scan->count;
    while (place > 0 && scan->found[place - 1].arrival > arrival)
        place--;
    if (place == SCAN_MOST)
        return;
    if (scan->count == SCAN_MOST)
        free(scan->found[--scan->count].id);
    memmove(&scan->found[place + 1], &scan->found[place],
            (scan->count - place) * sizeof(struct found));
    scan->found[place] = (struct found){memory_copy(id), arrival};
    scan->count++;
}

static bool is_word(const char *id)
{
    return id[0] != '\0' && id[strspn(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "abcdefghijklmnopqrstuvwxyz")] == '\0';
}

static void take_line(struct scan *scan, const char *line, size_t length)
{
    json_t *message = json_loadb(line, length, 0, NULL);
    const char *queue = json_string_value(json_object_get(message, "queue_name"));
    const char *id = json_string_value(json_object_get(message, "queue_id"));
    const char *sender = json_string_value(json_object_get(message, "sender"));
    const json_t *arrival = json_object_get(message, "arrival_time");
    if (queue != NULL && id != NULL && sender != NULL && strcmp(queue, "deferred") == 0 &&
        is_word(id) &&
        (sender[0] == '\0' || strcmp(sender, "MAILER-DAEMON") == 0 ||
         strcasecmp(sender, scan->account) == 0))
        keep(scan, id, json_integer_value(arrival));
    json_decref(message);
}

static void read_lines(struct bufferevent *output, void *argument)
{
    struct scan *scan = argument;
    struct evbuffer *input = bufferevent_get_input(output);
    size_t length;
    char *line;
    while ((line = evbuffer_readln(input, &length, EVBUFFER_EOL_LF)) != NULL) {
        if (!scan->skipping)
            take_line(scan, line, length);
        scan->skipping = false;
        free(line);
    }
    if (evbuffer_get_length(input) > LINE_MAX_OCTETS) {
        evbuffer_drain(input, evbuffer_get_length(input));
        scan->skipping = true;
    }
}

static void ended(struct bufferevent *output, short what, void *argument)
{
    (void)what;
    struct scan *scan = argument;
    const char *ids[SCAN_MOST];
    read_lines(output, scan);
    for (size_t i = 0; i < scan->count; i++)
        ids[i] = scan->found[i].id;
    scan->done(scan->context, ids, scan->count);
    release(scan);
}

/* The child's output, or -1. The child is collected by whoever handles SIGCHLD. */
static int spawn(const char *program, const char *config_directory)
{
    int pipe[2];
    pid_t child;
    posix_spawn_file_actions_t actions;
    char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    char *const environment[] = {path, NULL};
    char *directory = memory_copy(config_directory), *name = memory_copy(program);
    char *const arguments[] = {name, (char[]){"-c"}, directory, (char[]){"-j"}, NULL};
    int code = pipe2(pipe, O_CLOEXEC) == 0 ? 0 : errno;
    if (code == 0) {
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
        code = posix_spawn(&child, program, &actions, NULL, arguments, environment);
        posix_spawn_file_actions_destroy(&actions);
        close(pipe[1]);
        if (code != 0)
            close(pipe[0]);
    }
    if (code != 0)
        log_warning("%s cannot be run: %s", program, strerror(code));
    free(directory);
    free(name);
    return code == 0 ? pipe[0] : -1;
}

struct scan *scan_start(struct event_base *base, const char *program, const char *config_directory,
                        const char *account, scan_done *done, void *context)
{
    int descriptor = spawn(program, config_directory);
    if (descriptor < 0)
        return NULL;
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    struct scan *scan = memory_zero(1, sizeof(*scan));
    scan->account = memory_copy(account);
    scan->done = done;
    scan->context = context;
    scan->output = bufferevent_socket_new(base, descriptor, BEV_OPT_CLOSE_ON_FREE);
    if (scan->output == NULL) {
        close(descriptor);
        release(scan);
        return NULL;
    }
    bufferevent_setcb(scan->output, read_lines, NULL, ended, scan);
    bufferevent_enable(scan->output, EV_READ);
    return scan;
}

void scan_cancel(struct scan *scan)
{
    release(scan);
}
