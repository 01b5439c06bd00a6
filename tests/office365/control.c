/* control.c - the tests' hand on the running program */
#include "control.h"

#include "allocate.h"
#include "clock.h"
#include "encoding.h"
#include "session.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LONGEST_LINE ((size_t)4 * 1024 * 1024)

struct client {
    struct control *control;
    struct bufferevent *stream;
    LIST_ENTRY(client) entry;
};

struct control {
    struct server *server;
    char *path;
    struct evconnlistener *socket;
    LIST_HEAD(client_list, client) clients;
};

/* a command: takes the request, fills in the answer; false with the problem */
typedef bool command(struct server *server, const json_t *request, json_t *answer,
                     struct problem *problem);

/* find_mailbox - the one that "mailbox" names; *mailbox is NULL if the request names none */
static bool find_mailbox(struct server *server, const json_t *request, struct mailbox **mailbox,
                         struct problem *problem)
{
    const json_t *name = json_object_get(request, "mailbox");

    *mailbox = NULL;
    if (name == NULL)
        return true;
    if (json_is_string(name))
        *mailbox = mailboxes_find(server->mailboxes, json_string_value(name));
    return *mailbox != NULL || problem_set(problem, "there is no such mailbox");
}

static bool do_ping(struct server *server, const json_t *request, json_t *answer,
                    struct problem *problem)
{
    (void)server;
    (void)request;
    (void)answer;
    (void)problem;
    return true;
}

static bool do_add_fault(struct server *server, const json_t *request, json_t *answer,
                         struct problem *problem)
{
    int64_t id = faults_add(server->faults, json_object_get(request, "fault"), problem);

    encoding_set(answer, "id", json_integer(id));
    return id > 0;
}

static bool do_remove_fault(struct server *server, const json_t *request, json_t *answer,
                            struct problem *problem)
{
    json_int_t id = json_integer_value(json_object_get(request, "id"));

    (void)answer;
    return faults_remove(server->faults, id) || problem_set(problem, "there is no such fault");
}

static bool do_clear_faults(struct server *server, const json_t *request, json_t *answer,
                            struct problem *problem)
{
    (void)request;
    (void)answer;
    (void)problem;
    faults_clear(server->faults);
    return true;
}

static bool do_faults(struct server *server, const json_t *request, json_t *answer,
                      struct problem *problem)
{
    (void)request;
    (void)problem;
    encoding_set(answer, "faults", faults_describe(server->faults));
    return true;
}

static bool do_replies(struct server *server, const json_t *request, json_t *answer,
                       struct problem *problem)
{
    (void)server;
    (void)request;
    (void)problem;
    encoding_set(answer, "replies", reply_table());
    return true;
}

static bool do_set(struct server *server, const json_t *request, json_t *answer,
                   struct problem *problem)
{
    (void)answer;
    return settings_apply(server->settings, json_object_get(request, "settings"), false, problem);
}

static bool do_set_mailbox(struct server *server, const json_t *request, json_t *answer,
                           struct problem *problem)
{
    const char *upn = json_string_value(json_object_get(request, "mailbox"));
    const json_t *value = json_object_get(request, "settings");

    (void)answer;
    if (upn == NULL)
        return problem_set(problem, "\"mailbox\" must be a UPN");
    return mailboxes_apply(server->mailboxes, upn, value, problem);
}

static bool do_reset(struct server *server, const json_t *request, json_t *answer,
                     struct problem *problem)
{
    struct mailbox *mailbox;

    (void)answer;
    if (!find_mailbox(server, request, &mailbox, problem))
        return false;
    if (mailbox != NULL) {
        mailbox_reset(mailbox);
        return true;
    }
    for (mailbox = mailboxes_first(server->mailboxes); mailbox != NULL; mailbox = mailbox->next)
        mailbox_reset(mailbox);
    tally_clear(&server->tally);
    server->connections.most = server->connections.now;
    return true;
}

static bool do_drop_connections(struct server *server, const json_t *request, json_t *answer,
                                struct problem *problem)
{
    struct mailbox *mailbox;

    if (!find_mailbox(server, request, &mailbox, problem))
        return false;
    encoding_set(answer, "dropped", json_integer(session_drop_all(server, mailbox, "dropped")));
    return true;
}

static json_t *describe_mailbox(struct server *server, struct mailbox *mailbox)
{
    struct limits limits = limits_merge(&server->settings->limits, &mailbox->own);

    return mailbox_describe(mailbox, &limits, clock_monotonic());
}

static bool do_stats(struct server *server, const json_t *request, json_t *answer,
                     struct problem *problem)
{
    json_t *mailboxes = json_object(), *connections = json_object();
    struct mailbox *mailbox;

    encoding_set(answer, "mailboxes", mailboxes);
    encoding_set(answer, "connections", connections);
    encoding_set(answer, "unauthenticated", tally_describe(&server->tally));
    encoding_set(connections, "now", json_integer(server->connections.now));
    encoding_set(connections, "max", json_integer(server->connections.most));
    encoding_set(connections, "total", json_integer(server->last_connection));
    if (!find_mailbox(server, request, &mailbox, problem))
        return false;
    if (mailbox != NULL) {
        encoding_set(mailboxes, mailbox->upn, describe_mailbox(server, mailbox));
        return true;
    }
    for (mailbox = mailboxes_first(server->mailboxes); mailbox != NULL; mailbox = mailbox->next)
        encoding_set(mailboxes, mailbox->upn, describe_mailbox(server, mailbox));
    return true;
}

static bool do_flush_journal(struct server *server, const json_t *request, json_t *answer,
                             struct problem *problem)
{
    (void)request;
    (void)answer;
    return journal_sync(server->journal) ||
           problem_set(problem, "cannot sync the journal: %s", strerror(errno));
}

static const struct {
    const char *name;
    command *run;
} commands[] = {
    {"ping", do_ping},
    {"add_fault", do_add_fault},
    {"remove_fault", do_remove_fault},
    {"clear_faults", do_clear_faults},
    {"faults", do_faults},
    {"replies", do_replies},
    {"set", do_set},
    {"set_mailbox", do_set_mailbox},
    {"reset", do_reset},
    {"drop_connections", do_drop_connections},
    {"stats", do_stats},
    {"flush_journal", do_flush_journal},
};

static bool run(struct server *server, const json_t *request, json_t *answer,
                struct problem *problem)
{
    const char *name = json_string_value(json_object_get(request, "command"));

    if (name == NULL)
        return problem_set(problem, "a request must be an object with a \"command\"");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run(server, request, answer, problem);
    }
    return problem_set(problem, "there is no command \"%s\"", name);
}

static void handle_line(struct client *client, const char *line, size_t length)
{
    struct problem problem = {""};
    json_error_t error;
    json_t *request = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
    json_t *answer = json_object();
    char *text;

    if (request == NULL)
        problem_set(&problem, "not JSON: %s", error.text);
    if (request == NULL || !run(client->control->server, request, answer, &problem)) {
        json_object_clear(answer);
        encoding_set(answer, "ok", json_false());
        encoding_set(answer, "error", json_string(problem.text));
    } else {
        encoding_set(answer, "ok", json_true());
    }
    text = json_dumps(answer, JSON_COMPACT);
    evbuffer_add_printf(bufferevent_get_output(client->stream), "%s\n", text);
    free(text);
    json_decref(answer);
    json_decref(request);
}

static void client_free(struct client *client)
{
    LIST_REMOVE(client, entry);
    bufferevent_free(client->stream);
    free(client);
}

static void on_read(struct bufferevent *stream, void *context)
{
    struct evbuffer *input = bufferevent_get_input(stream);
    size_t length;
    char *line;

    while ((line = evbuffer_readln(input, &length, EVBUFFER_EOL_LF)) != NULL) {
        handle_line(context, line, length);
        free(line);
    }
    if (evbuffer_get_length(input) > LONGEST_LINE)
        client_free(context);
}

static void on_written(struct bufferevent *stream, void *context)
{
    (void)stream;
    client_free(context);
}

/* on_event - a client that has only ended its side still gets what it asked for */
static void on_event(struct bufferevent *stream, short events, void *context)
{
    if ((events & BEV_EVENT_EOF) && evbuffer_get_length(bufferevent_get_output(stream)) > 0)
        bufferevent_setcb(stream, NULL, on_written, on_event, context);
    else
        client_free(context);
}

static void on_accept(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *address,
                      int length, void *context)
{
    struct control *control = context;
    struct client *client = allocate(sizeof *client);

    (void)socket;
    (void)address;
    (void)length;
    client->control = control;
    client->stream = bufferevent_socket_new(control->server->base, fd,
                                            BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (client->stream == NULL)
        abort();
    LIST_INSERT_HEAD(&control->clients, client, entry);
    bufferevent_setcb(client->stream, on_read, NULL, on_event, client);
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
}

/* remove_stale - a socket on which nobody listens any more may go; a live one may not */
static bool remove_stale(const struct sockaddr_un *address, struct problem *problem)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool live = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;

    if (fd >= 0)
        close(fd);
    if (live)
        return problem_set(problem, "the control socket %s is in use", address->sun_path);
    unlink(address->sun_path);
    return true;
}

struct control *control_create(struct server *server, const char *path, struct problem *problem)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct control *control;
    mode_t mask;

    if (strlen(path) >= sizeof address.sun_path) {
        problem_set(problem, "\"control_socket\": %s is longer than %zu bytes", path,
                    sizeof address.sun_path - 1);
        return NULL;
    }
    strcpy(address.sun_path, path);
    if (!remove_stale(&address, problem))
        return NULL;
    control = allocate(sizeof *control);
    control->server = server;
    control->path = duplicate(path);
    mask = umask(0177);
    control->socket = evconnlistener_new_bind(server->base, on_accept, control,
                                              LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 16,
                                              (struct sockaddr *)&address, sizeof address);
    umask(mask);
    if (control->socket == NULL) {
        problem_set(problem, "cannot make the control socket %s: %s", path, strerror(errno));
        free(control->path);
        free(control);
        return NULL;
    }
    return control;
}

void control_free(struct control *control)
{
    struct client *client, *next;

    if (control == NULL)
        return;
    for (client = LIST_FIRST(&control->clients); client != NULL; client = next) {
        next = LIST_NEXT(client, entry);
        client_free(client);
    }
    evconnlistener_free(control->socket);
    unlink(control->path);
    free(control->path);
    free(control);
}
