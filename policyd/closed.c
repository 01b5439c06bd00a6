/* closed.c - what policyd does while its ledger cannot be used */
#include "policyd/closed.h"

#include "common/attr.h"
#include "common/control.h"
#include "common/log.h"
#include "common/metrics/http.h"
#include "policyd/policy.h"
#include "policyd/server.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define FIRST_PAUSE 1 /* seconds */
#define LAST_PAUSE  60
#define SIGNALS     3
#define PUBLISH     1 /* seconds */

struct closed {
    const struct settings *settings;
    closed_attempt *attempt;
    void *context;
    struct error reason;
    bool is_open; /* an attempt has succeeded */
    time_t pause;
    struct server *server;
    struct http *http; /* or NULL */
    struct event *timer, *publish;
    struct event *signals[SIGNALS];
};

static void answer_policy(void *context, struct connection *connection, const char *request,
                          size_t length, struct buffer *reply, struct server_verdict *verdict)
{
    (void)connection;
    (void)request;
    (void)length;
    (void)verdict;
    const struct closed *closed = context;
    attr_write(reply, "action",
               closed->settings->meter == METER_DELIVERY ? "DUNNO" : POLICY_NOT_STORED);
    attr_write_end(reply);
}

static void answer_control(void *context, struct connection *connection, const char *request,
                           size_t length, struct buffer *reply, struct server_verdict *verdict)
{
    (void)connection;
    (void)verdict;
    const struct closed *closed = context;
    struct attr attr;
    size_t position = 0;
    while (attr_next(request, length, &position, &attr))
        if (attr_is(&attr, CONTROL_TAG) && attr.value_length <= CONTROL_TAG_MAX)
            buffer_format(reply, CONTROL_TAG "=%.*s\n", (int)attr.value_length, attr.value);
    attr_write(reply, CONTROL_RESULT, CONTROL_ERROR);
    attr_write(reply, CONTROL_REASON, closed->reason.text);
    attr_write_end(reply);
}

static bool commit_nothing(void *context, struct error *error)
{
    (void)context;
    (void)error;
    return true;
}

static void complain(const struct closed *closed)
{
    log_error("%s; %s until that is mended", closed->reason.text,
              closed->settings->meter == METER_DELIVERY ? "the transport leaves mail in the queue"
                                                        : "mail gets a temporary failure");
    sd_notifyf(0, "STATUS=%s", closed->reason.text);
}

static void wait_for_next(struct closed *closed)
{
    const struct timeval pause = {.tv_sec = closed->pause};
    closed->pause = closed->pause * 2 < LAST_PAUSE ? closed->pause * 2 : LAST_PAUSE;
    if (event_add(closed->timer, &pause) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

static void try_again(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct closed *closed = argument;
    struct error error;
    if (closed->attempt(closed->context, &error)) {
        closed->is_open = true;
        server_stop(closed->server);
        return;
    }
    bool is_new = strcmp(error.text, closed->reason.text) != 0;
    closed->reason = error;
    if (is_new)
        complain(closed);
    wait_for_next(closed);
}

static void stop(evutil_socket_t signal, short what, void *argument)
{
    (void)signal;
    (void)what;
    struct closed *closed = argument;
    server_stop(closed->server);
}

static void refuse_reload(evutil_socket_t signal, short what, void *argument)
{
    (void)signal;
    (void)what;
    (void)argument;
    log_warning("the configuration is not read again while the ledger cannot be used; restart "
                "post365-policyd");
}

/* Health, and why not. */
static void publish(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    const struct closed *closed = argument;
    struct buffer figures = {0};
    if (closed->http != NULL)
        http_publish(closed->http, &figures, closed->reason.text);
}

/* A descriptor that the server may close. */
static int copy_of(int descriptor)
{
    int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        log_fatal(EX_OSERR, "cannot copy a descriptor: %m");
    return copy;
}

static void add_events(struct closed *closed, struct event_base *base)
{
    const struct timeval often = {.tv_sec = PUBLISH};
    closed->timer = evtimer_new(base, try_again, closed);
    closed->publish = event_new(base, -1, EV_PERSIST, publish, closed);
    closed->signals[0] = evsignal_new(base, SIGTERM, stop, closed);
    closed->signals[1] = evsignal_new(base, SIGINT, stop, closed);
    closed->signals[2] = evsignal_new(base, SIGUSR1, refuse_reload, closed);
    bool added =
        closed->timer != NULL && closed->publish != NULL && event_add(closed->publish, &often) == 0;
    for (size_t i = 0; i < SIGNALS && added; i++)
        added = closed->signals[i] != NULL && event_add(closed->signals[i], NULL) == 0;
    if (!added)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

static void start_health(struct closed *closed, int listening)
{
    struct error error;
    if (listening < 0)
        return;
    closed->http = http_start(copy_of(listening), "post365-policyd", &error);
    if (closed->http == NULL)
        log_warning("%s", error.text);
    publish(-1, 0, closed);
}

static void serve(struct closed *closed, struct event_base *base,
                  const struct closed_sockets *sockets)
{
    const struct server_protocol policy_protocol = {
        .decide = answer_policy, .context = closed, .malformed = "action=" POLICY_MALFORMED "\n\n"};
    const struct server_protocol control_protocol = {.decide = answer_control,
                                                     .context = closed,
                                                     .malformed =
                                                         "result=error\nreason=malformed\n\n"};
    closed->server = server_new(base, commit_nothing, NULL);
    server_listen(closed->server, copy_of(sockets->policy), &policy_protocol);
    server_listen(closed->server, copy_of(sockets->control), &control_protocol);
    add_events(closed, base);
    start_health(closed, sockets->metrics);
    complain(closed);
    wait_for_next(closed);
    sd_notify(0, "READY=1");
    server_run(closed->server);
    server_free(closed->server);
    http_stop(closed->http);
    event_free(closed->timer);
    event_free(closed->publish);
    for (size_t i = 0; i < SIGNALS; i++)
        event_free(closed->signals[i]);
}

bool closed_until(const struct settings *settings, const struct closed_sockets *sockets,
                  closed_attempt *attempt, void *context, const struct error *reason)
{
    struct closed closed = {.settings = settings,
                            .attempt = attempt,
                            .context = context,
                            .reason = *reason,
                            .pause = FIRST_PAUSE};
    struct event_base *base = event_base_new();
    if (base == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    serve(&closed, base, sockets);
    event_base_free(base);
    sd_notify(0, "STATUS=");
    return closed.is_open;
}
