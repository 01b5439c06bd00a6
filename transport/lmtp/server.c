/* server.c - the server that Postfix's lmtp(8) delivers to: sockets, sessions, life
 *
 * Every event of a session goes the same way: steps until nothing more can be done, then the
 * timeout is set for what is awaited now, then what was closed is released.
 *
 * Security: whoever may connect may send anything, and as much as he likes.
 */
#include "transport/lmtp/parts.h"

#include "common/log.h"
#include "common/memory.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MAX             65536U /* what is read ahead of a client */
#define ACCEPTS_PER_TURN      16
#define COMPLAINTS_PER_MINUTE 5
#define DISCARD_MAX           (1U << 20) /* what is read from somebody who is sent away */
#define DISCARD_SIZE          4096
#define STOPPING              "421 4.3.2 Service is closing"
#define SILENCE               "421 4.4.2 Timeout"
static const char too_many_sessions[] = "421 4.3.2 Too many connections";
/* When no descriptor is left for a client. */
static const struct timeval accept_pause = {.tv_sec = 1};
static const struct timeval stopping_timeout = {.tv_sec = LMTP_STOPPING_TIMEOUT};

struct lmtp_listener {
    struct lmtp_listener *next;
    struct lmtp *server;
    char *account; /* or NULL */
    int descriptor;
    struct event accept_event;
    struct event resume_event;
};

static void accept_ready(evutil_socket_t descriptor, short what, void *argument);
static void resume_accepting(evutil_socket_t descriptor, short what, void *argument);
static void stream_ready(struct bufferevent *stream, void *argument);
static void stream_changed(struct bufferevent *stream, short what, void *argument);
static void time_is_over(evutil_socket_t descriptor, short what, void *argument);
static void woken(evutil_socket_t descriptor, short what, void *argument);
static void release_session(struct lmtp_session *session);
static void destroy(struct lmtp *server);

/* --- saying ----------------------------------------------------------------------- */

void lmtp_say(struct lmtp_session *session, const char *reply)
{
    evbuffer_add_printf(bufferevent_get_output(session->stream), "%s\r\n", reply);
}

void lmtp_say_last(struct lmtp_session *session, const char *reply)
{
    lmtp_say(session, reply);
    session->state = LMTP_CLOSING;
    session->has_progressed = true;
}

static bool may_complain(struct lmtp *server)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_sec / 60 != server->minute) {
        server->minute = now.tv_sec / 60;
        server->complaints = 0;
    }
    return server->complaints++ < COMPLAINTS_PER_MINUTE;
}

void lmtp_complain(struct lmtp_session *session, const char *reply)
{
    const char *queue_id = envelope_queue_id(&session->envelope);
    if (may_complain(session->server))
        log_warning("%s%sthe LMTP client was told: %s", queue_id, *queue_id != '\0' ? ": " : "",
                    reply);
}

/* To somebody for whom there is no session. His socket's buffer is empty. */
static void turn_away(int descriptor, const char *reply)
{
    char line[LMTP_REPLY_MAX + 3];
    int length = snprintf(line, sizeof(line), "%.*s\r\n", (int)LMTP_REPLY_MAX, reply);
    (void)send(descriptor, line, (size_t)length, MSG_NOSIGNAL);
    close(descriptor);
}

/* --- sessions ---------------------------------------------------------------------- */

static size_t unsent(const struct lmtp_session *session)
{
    return evbuffer_get_length(bufferevent_get_output(session->stream));
}

/* As the one that has been heard last. */
static void link_session(struct lmtp_session *session)
{
    struct lmtp *server = session->server;
    session->previous = NULL;
    session->next = server->sessions;
    if (session->next != NULL)
        session->next->previous = session;
    server->sessions = session;
    server->session_count++;
}

static void unlink_session(struct lmtp_session *session)
{
    struct lmtp *server = session->server;
    if (session->previous != NULL)
        session->previous->next = session->next;
    else
        server->sessions = session->next;
    if (session->next != NULL)
        session->next->previous = session->previous;
    server->session_count--;
}

/* Does what can be done next. Returns whether there may be more. */
static bool step(struct lmtp_session *session)
{
    bool is_between = session->state == LMTP_AT_COMMAND || session->state == LMTP_AT_LONG_LINE;
    if (session->server->is_stopping && is_between)
        lmtp_say_last(session, STOPPING);
    if (unsent(session) >= LMTP_UNSENT_MAX)
        return false;
    switch (session->state) {
    case LMTP_AT_COMMAND:
        return lmtp_step_command(session);
    case LMTP_AT_LONG_LINE:
        return lmtp_step_long_line(session);
    case LMTP_AT_DECISION:
        return lmtp_step_decision(session);
    case LMTP_AT_BODY:
        return lmtp_step_body(session);
    case LMTP_AT_REST:
        return lmtp_step_rest(session);
    case LMTP_AT_REPLIES:
        return lmtp_step_replies(session);
    case LMTP_CLOSING:
    case LMTP_CLOSED:
        break;
    }
    return false;
}

static bool waits_for_client(const struct lmtp_session *session)
{
    switch (session->state) {
    case LMTP_AT_COMMAND:
    case LMTP_AT_LONG_LINE:
    case LMTP_CLOSING:
        return true;
    default:
        return unsent(session) >= LMTP_UNSENT_MAX || lmtp_transaction_waits_for_client(session);
    }
}

/* A line is awaited as a whole: who sends it octet by octet has no more time for it. */
static void set_timeout(struct lmtp_session *session)
{
    if (session->has_progressed) {
        unlink_session(session);
        link_session(session);
    }
    bool is_hurried = session->server->is_stopping && !session->is_hurried;
    session->is_hurried = session->server->is_stopping;
    if (!waits_for_client(session))
        event_del(&session->timeout_event);
    else if (session->has_progressed || is_hurried ||
             !event_pending(&session->timeout_event, EV_TIMEOUT, NULL))
        event_add(&session->timeout_event, session->server->is_stopping
                                               ? &stopping_timeout
                                               : &session->server->settings.timeout);
    session->has_progressed = false;
}

/* Reads ahead, so that a client who goes is noticed, but not without end. This is not left to a
 * watermark of libevent: beyond it the callback would be called again and again until somebody
 * takes something (bufferevent_inbuf_wm_check in its bufferevent.c). */
static void set_reading(struct lmtp_session *session)
{
    if (session->state == LMTP_CLOSING ||
        evbuffer_get_length(bufferevent_get_input(session->stream)) >= INPUT_MAX)
        bufferevent_disable(session->stream, EV_READ);
    else
        bufferevent_enable(session->stream, EV_READ);
}

/* Every event is handled between these two. */
static void begin_event(struct lmtp *server)
{
    server->is_busy = true;
}

static void end_event(struct lmtp *server)
{
    server->is_busy = false;
    if (server->is_released)
        destroy(server);
}

/* The end of every event of a session. */
static void go_on(struct lmtp_session *session)
{
    struct lmtp *server = session->server;
    while (!server->is_released && step(session)) {
    }
    if (server->is_released) {
        end_event(server);
        return;
    }
    if (session->state == LMTP_CLOSED) {
        release_session(session);
    } else {
        set_reading(session);
        set_timeout(session);
    }
    end_event(server);
}

/* Closing a socket with input that was not read would take back what was said last. */
static void discard_input(struct lmtp_session *session)
{
    char octets[DISCARD_SIZE];
    size_t discarded = 0;
    ssize_t length;
    int descriptor = bufferevent_getfd(session->stream);
    shutdown(descriptor, SHUT_WR);
    while (discarded < DISCARD_MAX &&
           (length = recv(descriptor, octets, sizeof(octets), MSG_DONTWAIT)) > 0)
        discarded += (size_t)length;
}

/* Octets have come, or gone. */
static void stream_ready(struct bufferevent *stream, void *argument)
{
    (void)stream;
    struct lmtp_session *session = argument;
    begin_event(session->server);
    if (session->state == LMTP_CLOSING && unsent(session) == 0) {
        discard_input(session);
        session->state = LMTP_CLOSED;
    }
    go_on(session);
}

static void stream_wrote(struct bufferevent *stream, void *argument)
{
    ((struct lmtp_session *)argument)->has_progressed = true;
    stream_ready(stream, argument);
}

static void stream_changed(struct bufferevent *stream, short what, void *argument)
{
    (void)stream;
    struct lmtp_session *session = argument;
    begin_event(session->server);
    log_debug("an LMTP client is gone: %s",
              (what & BEV_EVENT_ERROR) != 0 ? strerror(errno) : "it has closed the connection");
    session->state = LMTP_CLOSED;
    lmtp_transaction_abandon(session);
    go_on(session);
}

static void time_is_over(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct lmtp_session *session = argument;
    begin_event(session->server);
    if (session->state == LMTP_CLOSING || unsent(session) >= LMTP_UNSENT_MAX) {
        session->state = LMTP_CLOSED; /* nobody reads what is said */
    } else {
        lmtp_complain(session, SILENCE);
        lmtp_say_last(session, SILENCE);
    }
    lmtp_transaction_abandon(session);
    go_on(session);
}

static void woken(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct lmtp_session *session = argument;
    begin_event(session->server);
    go_on(session);
}

void lmtp_wake(struct lmtp_session *session)
{
    event_active(&session->wake_event, EV_READ, 0);
}

static void release_session(struct lmtp_session *session)
{
    unlink_session(session);
    event_del(&session->wake_event);
    event_del(&session->timeout_event);
    bufferevent_free(session->stream);
    lmtp_transaction_forget(session);
    free(session->account);
    free(session);
}

static void add_session(struct lmtp_listener *listener, int descriptor)
{
    struct lmtp *server = listener->server;
    struct bufferevent *stream =
        bufferevent_socket_new(server->base, descriptor, BEV_OPT_CLOSE_ON_FREE);
    if (stream == NULL) {
        close(descriptor);
        return;
    }
    struct lmtp_session *session = memory_zero(1, sizeof(*session));
    session->server = server;
    session->account = memory_copy(listener->account);
    session->stream = stream;
    link_session(session);
    event_assign(&session->wake_event, server->base, -1, 0, woken, session);
    event_assign(&session->timeout_event, server->base, -1, 0, time_is_over, session);
    bufferevent_setcb(stream, stream_ready, stream_wrote, stream_changed, session);
    bufferevent_setwatermark(stream, EV_WRITE, LMTP_UNSENT_MAX / 2, 0);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
    evbuffer_add_printf(bufferevent_get_output(stream), "220 %s LMTP post365\r\n",
                        server->hostname);
    set_timeout(session);
    log_debug("an LMTP client has connected%s%s", session->account != NULL ? " for " : "",
              session->account != NULL ? session->account : "");
}

/* --- accepting ----------------------------------------------------------------------- */

/* Makes room for a client: the one between two commands who has been silent for longest has to go.
 * False if all are in the middle of a message. */
static bool send_one_away(struct lmtp *server)
{
    struct lmtp_session *longest = NULL;
    for (struct lmtp_session *session = server->sessions; session != NULL; session = session->next)
        if (session->state == LMTP_AT_COMMAND || session->state == LMTP_AT_LONG_LINE)
            longest = session;
    if (longest == NULL)
        return false;
    lmtp_complain(longest, too_many_sessions);
    if (unsent(longest) > 0)
        longest->state = LMTP_CLOSED; /* he does not even read */
    else
        lmtp_say_last(longest, too_many_sessions);
    lmtp_wake(longest);
    return true;
}

static void welcome(struct lmtp_listener *listener, int descriptor)
{
    struct lmtp *server = listener->server;
    const struct lmtp_handler *handler = &server->handler;
    const char *refusal = NULL;
    int one = 1;
    /* Fails on a UNIX socket, which has no need of it. */
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (server->session_count >= server->settings.sessions_max && !send_one_away(server))
        refusal = too_many_sessions;
    else if (listener->account != NULL && handler->greet != NULL)
        refusal = handler->greet(handler->context, listener->account);
    if (refusal == too_many_sessions && may_complain(server))
        log_warning("an LMTP client is turned away, all others are in a message: %s", refusal);
    if (refusal != NULL)
        turn_away(descriptor, refusal);
    else if (server->is_released || server->is_stopping)
        turn_away(descriptor, STOPPING);
    else
        add_session(listener, descriptor);
}

static void pause_accepting(struct lmtp_listener *listener, int reason)
{
    log_error("cannot accept an LMTP client: %s; trying again in a second", strerror(reason));
    event_del(&listener->accept_event);
    event_add(&listener->resume_event, &accept_pause);
}

static void resume_accepting(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct lmtp_listener *listener = argument;
    event_add(&listener->accept_event, NULL);
}

/* The listener is not touched any more once the handler has stopped the server. */
static void accept_ready(evutil_socket_t descriptor, short what, void *argument)
{
    (void)what;
    struct lmtp_listener *listener = argument;
    struct lmtp *server = listener->server;
    begin_event(server);
    for (int i = 0; i < ACCEPTS_PER_TURN && !server->is_stopping && !server->is_released; i++) {
        int accepted = accept4(descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int reason = errno;
        if (accepted >= 0) {
            welcome(listener, accepted);
        } else if (reason == EMFILE || reason == ENFILE || reason == ENOBUFS || reason == ENOMEM) {
            pause_accepting(listener, reason);
            break;
        } else if (reason != EINTR && reason != ECONNABORTED) {
            break;
        }
    }
    end_event(server);
}

void lmtp_listen(struct lmtp *server, int descriptor, const char *account)
{
    struct lmtp_listener *listener = memory_zero(1, sizeof(*listener));
    listener->server = server;
    listener->account = memory_copy(account);
    listener->descriptor = descriptor;
    listener->next = server->listeners;
    server->listeners = listener;
    event_assign(&listener->accept_event, server->base, descriptor, EV_READ | EV_PERSIST,
                 accept_ready, listener);
    event_assign(&listener->resume_event, server->base, -1, 0, resume_accepting, listener);
    event_add(&listener->accept_event, NULL);
}

void lmtp_close_listeners(struct lmtp *server)
{
    struct lmtp_listener *next;
    for (struct lmtp_listener *listener = server->listeners; listener != NULL; listener = next) {
        next = listener->next;
        event_del(&listener->accept_event);
        event_del(&listener->resume_event);
        close(listener->descriptor);
        free(listener->account);
        free(listener);
    }
    server->listeners = NULL;
}

/* --- life ------------------------------------------------------------------------------ */

struct lmtp *lmtp_new(struct event_base *base, const struct lmtp_settings *settings,
                      const struct lmtp_handler *handler)
{
    struct lmtp *server = memory_zero(1, sizeof(*server));
    server->base = base;
    server->settings = *settings;
    server->handler = *handler;
    server->hostname = memory_copy(settings->hostname);
    return server;
}

void lmtp_stop(struct lmtp *server)
{
    server->is_stopping = true;
    lmtp_close_listeners(server);
    for (struct lmtp_session *session = server->sessions; session != NULL; session = session->next)
        lmtp_wake(session);
}

size_t lmtp_busy(const struct lmtp *server)
{
    size_t busy = 0;
    for (const struct lmtp_session *session = server->sessions; session != NULL;
         session = session->next)
        if (session->transaction != NULL || unsent(session) > 0)
            busy++;
    return busy;
}

size_t lmtp_sessions(const struct lmtp *server)
{
    return server->session_count;
}

static void destroy(struct lmtp *server)
{
    lmtp_close_listeners(server);
    struct lmtp_session *next;
    for (struct lmtp_session *session = server->sessions; session != NULL; session = next) {
        next = session->next;
        release_session(session);
    }
    free(server->hostname);
    free(server);
}

void lmtp_free(struct lmtp *server)
{
    if (server == NULL)
        return;
    server->is_released = true;
    if (!server->is_busy)
        destroy(server);
}
