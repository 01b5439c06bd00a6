/*
 * session.c - one connection: its bytes, its waits, its end
 *
 * Callbacks of libevent are deferred, so none of them runs inside another. A session that has ended
 * is marked and unlinked at once, and freed when the callback that ended it returns.
 *
 * STARTTLS: reading stops with the command, what the client sent behind it in plain text is thrown
 * away once the reply has been written, and only then does OpenSSL get the socket. Nothing said
 * before the handshake counts after it.
 */
#include "session.h"

#include "allocate.h"
#include "clock.h"
#include "dialogue.h"
#include "encoding.h"
#include "submission.h"

#include <event2/bufferevent_ssl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_HIGH ((size_t)256 * 1024) /* bytes read ahead at most */
#define OUTPUT_HIGH                                                                                \
    ((size_t)64 * 1024)    /* unwritten bytes at which a client is no longer listened to */
#define LINGER       1.0   /* seconds for the client to close first */
#define LOOK         0.1   /* seconds in a wait after which the client is looked for again */
#define WRITE_TIME   300.0 /* seconds for the client to take some output */
#define ENDLESS_LINE "250-this reply has no last line, and there is nothing to be done about it\r\n"

static void on_read(struct bufferevent *stream, void *context);
static void on_write(struct bufferevent *stream, void *context);
static void on_event(struct bufferevent *stream, short events, void *context);
static void on_timer(evutil_socket_t fd, short events, void *context);
static void transmit(struct session *session);

struct tally *session_tally(struct session *session)
{
    return session->mailbox != NULL ? &session->mailbox->tally : &session->server->tally;
}

const char *session_upn(const struct session *session)
{
    return session->mailbox != NULL ? session->mailbox->upn : NULL;
}

json_t *session_event(const struct session *session, const char *event)
{
    json_t *entry = journal_event(event);

    encoding_set(entry, "connection", json_integer(session->id));
    if (session->mailbox != NULL)
        encoding_set(entry, "mailbox", json_string(session->mailbox->upn));
    return entry;
}

void transaction_reset(struct session *session)
{
    struct transaction *transaction = &session->transaction;

    if (transaction->open)
        gauge_down(&session->mailbox->sending);
    for (size_t i = 0; i < transaction->accepted; i++)
        free(transaction->addresses[i]);
    free(transaction->addresses);
    envelope_clear(&transaction->sender);
    json_decref(transaction->recipients);
    message_free(transaction->message);
    *transaction = (struct transaction){.open = false};
    fault_release(session->body_fault);
    fault_release(session->dot_fault);
    session->body_fault = session->dot_fault = NULL;
}

/* ---- the end ---- */

static void session_free(struct session *session)
{
    if (session->stream != NULL) {
        bufferevent_setcb(session->stream, NULL, NULL, NULL, NULL);
        bufferevent_free(session->stream);
    }
    event_free(session->timer);
    answer_clear(&session->answer);
    answer_clear(&session->chunk_answer);
    free(session->username);
    free(session);
}

/* reap - free a session that ended during this callback */
static void reap(struct session *session)
{
    if (session->state == SESSION_GONE)
        session_free(session);
}

/* journal_lost_reply - the journal says what became of a message, and the client will not know */
static void journal_lost_reply(struct session *session)
{
    json_t *entry = session_event(session, "reply-lost");

    encoding_set(entry, "message", submission_name(session));
    journal_write(session->server->journal, entry);
}

static void journal_aborted(struct session *session)
{
    json_t *entry = session_event(session, "aborted");
    const struct transaction *transaction = &session->transaction;

    submission_describe(session, entry);
    encoding_set(
        entry, "size",
        json_integer(transaction->message != NULL ? message_size(transaction->message) : 0));
    journal_write(session->server->journal, entry);
}

void session_drop(struct session *session, const char *reason)
{
    json_t *entry;

    if (session->state == SESSION_GONE)
        return;
    if (session->unanswered)
        journal_lost_reply(session);
    else if (session->transaction.open)
        journal_aborted(session);
    entry = session_event(session, "disconnect");
    encoding_set(entry, "reason", json_string(session->end != NULL ? session->end : reason));
    journal_write(session->server->journal, entry);
    transaction_reset(session);
    if (session->mailbox != NULL)
        gauge_down(&session->mailbox->connections);
    gauge_down(&session->server->connections);
    event_del(session->timer);
    LIST_REMOVE(session, entry);
    session->state = SESSION_GONE;
}

int64_t session_drop_all(struct server *server, const struct mailbox *mailbox, const char *reason)
{
    struct session *session, *next;
    int64_t count = 0;

    for (session = LIST_FIRST(&server->sessions); session != NULL; session = next) {
        next = LIST_NEXT(session, entry);
        if (mailbox != NULL && session->mailbox != mailbox)
            continue;
        session_drop(session, reason);
        reap(session);
        count++;
    }
    return count;
}

static void drop_lingering(struct session *session)
{
    session_drop(session, "lingered");
}

/* reset_connection - close with a RST instead of a FIN */
static void reset_connection(struct session *session)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};

    setsockopt(bufferevent_getfd(session->stream), SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    session_drop(session, "reset");
}

/*
 * finish_ending - all is written: say goodbye in TLS and TCP, and give the client a moment to close
 * first. Closing at once with input unread would make the kernel send a RST, which may overtake the
 * last reply.
 */
static void finish_ending(struct session *session)
{
    if (session->client_closed) {
        session_drop(session, "client-closed");
        return;
    }
    if (session->ssl != NULL)
        SSL_shutdown(session->ssl);
    ERR_clear_error();
    shutdown(bufferevent_getfd(session->stream), SHUT_WR);
    session_wait(session, LINGER, drop_lingering);
}

static void begin_ending(struct session *session, const char *reason)
{
    session->end = reason;
    session->state = SESSION_ENDING;
    if (evbuffer_get_length(bufferevent_get_output(session->stream)) == 0)
        finish_ending(session);
}

/* ---- waits and answers ---- */

/* wait_on - a part of the wait */
static void wait_on(struct session *session)
{
    double part = session->wait < LOOK ? session->wait : LOOK;
    struct timeval interval = clock_timeval(part);

    session->wait -= part;
    event_add(session->timer, &interval);
}

void session_wait(struct session *session, double seconds, void (*resume)(struct session *session))
{
    session->hold = HOLD_DELAY;
    session->wait = seconds;
    session->resume = resume;
    wait_on(session);
}

/*
 * is_client_gone - whether the connection has ended at the other side. The stream would not say so:
 * while so much input waits that no more is read, it does not look.
 */
static bool is_client_gone(const struct session *session)
{
    struct pollfd look = {.fd = bufferevent_getfd(session->stream), .events = POLLRDHUP};

    return poll(&look, 1, 0) == 1 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static size_t unwritten(const struct session *session)
{
    return evbuffer_get_length(bufferevent_get_output(session->stream));
}

/* listen_on - process input until it is used up, the session is on hold, or the client is slow */
static void listen_on(struct session *session)
{
    while (session->state < SESSION_ENDING && session->hold == HOLD_NONE &&
           unwritten(session) < OUTPUT_HIGH) {
        if (!dialogue_advance(session, bufferevent_get_input(session->stream)))
            break;
    }
    if (session->state == SESSION_ENDING) {
        struct evbuffer *input = bufferevent_get_input(session->stream);
        evbuffer_drain(input, evbuffer_get_length(input));
    }
}

/* conclude - the answer has been handed over: what comes next? */
static void conclude(struct session *session)
{
    enum answer_then then = session->answer.then;

    answer_clear(&session->answer);
    session->hold = session->unanswered ? HOLD_OUTCOME : HOLD_NONE;
    switch (then) {
    case THEN_CONTINUE:
        break;
    case THEN_CLOSE:
        begin_ending(session, "closed");
        break;
    case THEN_DROP:
        session_drop(session, "dropped");
        break;
    case THEN_RESET:
        reset_connection(session);
        break;
    case THEN_STARTTLS:
        session->hold = HOLD_STARTTLS;
        break;
    }
}

static void trickle(struct session *session)
{
    bufferevent_write(session->stream, session->answer.text + session->answered++, 1);
    if (session->answered == session->answer.length) {
        conclude(session);
        return;
    }
    session_wait(session, session->answer.interval, trickle);
}

static void refill(struct session *session)
{
    struct evbuffer *output = bufferevent_get_output(session->stream);

    if (session->answer.bytes > 0 && (int64_t)session->answered >= session->answer.bytes) {
        conclude(session);
        return;
    }
    while (evbuffer_get_length(output) < 4096) {
        bufferevent_write(session->stream, ENDLESS_LINE, sizeof ENDLESS_LINE - 1);
        session->answered += sizeof ENDLESS_LINE - 1;
    }
}

static void transmit(struct session *session)
{
    session->hold = HOLD_NONE;
    session->answered = 0;
    switch (session->answer.manner) {
    case ANSWER_PLAIN:
    case ANSWER_GARBAGE:
        bufferevent_write(session->stream, session->answer.text, session->answer.length);
        conclude(session);
        break;
    case ANSWER_SILENT:
        conclude(session);
        break;
    case ANSWER_TRICKLE:
        trickle(session);
        break;
    case ANSWER_ENDLESS:
        session->hold = HOLD_ENDLESS;
        refill(session);
        break;
    }
}

void session_send(struct session *session, struct answer *answer)
{
    answer_clear(&session->answer);
    session->answer = *answer;
    *answer = (struct answer){.manner = ANSWER_SILENT};
    if (session->answer.then == THEN_STARTTLS)
        bufferevent_disable(session->stream, EV_READ);
    if (session->answer.delay > 0)
        session_wait(session, session->answer.delay, transmit);
    else
        transmit(session);
}

/* ---- faults ---- */

struct fault *session_fault(struct session *session, enum stage stage, char *recipient)
{
    const struct transaction *transaction = &session->transaction;
    const struct fault_occasion occasion = {
        .stage = stage,
        .secure = session->ssl != NULL,
        .mailbox = session_upn(session),
        .sender = transaction->sender.address,
        .recipients = recipient != NULL ? &recipient : transaction->addresses,
        .recipient_count = recipient != NULL ? 1 : transaction->accepted,
    };
    struct fault *fault = faults_match(session->server->faults, &occasion);

    if (fault != NULL) {
        json_t *entry = session_event(session, "fault");
        encoding_set(entry, "fault", json_integer(fault->id));
        encoding_set(entry, "stage", json_string(stage_name(stage)));
        encoding_set(entry, "action", json_string(fault_action_name(fault->action)));
        encoding_set(entry, "delay", json_real(fault->delay));
        journal_write(session->server->journal, entry);
    }
    return fault;
}

bool session_disturb(struct session *session, enum stage stage, char *recipient,
                     struct answer *answer)
{
    struct fault *fault = session_fault(session, stage, recipient);

    if (fault != NULL) {
        answer_disturb(answer, fault, session->server->faults, session_upn(session),
                       session->transaction.sender.address, session->stamp);
        fault_release(fault);
    }
    return answer_positive(answer);
}

/* after_reply - the client has the reply to its message; is there more in store for it? */
static void after_reply(struct session *session)
{
    struct answer answer = {.manner = ANSWER_SILENT};
    struct fault *fault = session_fault(session, STAGE_AFTER_REPLY, NULL);

    transaction_reset(session);
    if (fault == NULL)
        return;
    answer_disturb(&answer, fault, session->server->faults, session_upn(session), NULL,
                   session->stamp);
    fault_release(fault);
    session_send(session, &answer);
}

/* ---- TLS ---- */

/* set_stream - attach callbacks and timeouts to a new stream */
static void set_stream(struct session *session, struct bufferevent *stream)
{
    double seconds = session->server->settings->idle_timeout;
    struct timeval idle_time = clock_timeval(seconds);
    struct timeval write_time = clock_timeval(WRITE_TIME);

    session->stream = stream;
    bufferevent_setcb(stream, on_read, on_write, on_event, session);
    bufferevent_setwatermark(stream, EV_READ, 0, INPUT_HIGH);
    bufferevent_set_timeouts(stream, seconds > 0 ? &idle_time : NULL, &write_time);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
}

static void handshake(struct session *session)
{
    int fd = bufferevent_getfd(session->stream);

    bufferevent_setcb(session->stream, NULL, NULL, NULL, NULL);
    bufferevent_setfd(session->stream, -1);
    bufferevent_free(session->stream);
    session->ssl = tls_session(session->server->tls, session->identity);
    if (session->ssl == NULL)
        abort();
    session->stream = bufferevent_openssl_socket_new(
        session->server->base, fd, session->ssl, BUFFEREVENT_SSL_ACCEPTING,
        BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (session->stream == NULL)
        abort();
    session->hold = HOLD_HANDSHAKE;
    set_stream(session, session->stream);
}

/* disturb_handshake - a fault at the handshake: another certificate, a delay, or something else */
static void disturb_handshake(struct session *session, struct fault *fault)
{
    struct answer answer = {.manner = ANSWER_SILENT};

    if (fault->action == FAULT_CERTIFICATE || fault->action == FAULT_NONE) {
        if (fault->action == FAULT_CERTIFICATE)
            session->identity = fault->certificate;
        session_wait(session, fault->delay, handshake);
        return;
    }
    answer_disturb(&answer, fault, session->server->faults, NULL, NULL, session->stamp);
    if (answer.then == THEN_CONTINUE)
        answer.then = THEN_CLOSE;
    session_send(session, &answer);
}

/* start_tls - the reply to STARTTLS has been written */
static void start_tls(struct session *session)
{
    struct evbuffer *input = bufferevent_get_input(session->stream);
    size_t length = evbuffer_get_length(input);
    struct fault *fault;

    if (length > 0) {
        json_t *entry = session_event(session, "plaintext-discarded");
        encoding_set(entry, "size", json_integer((json_int_t)length));
        journal_write(session->server->journal, entry);
        evbuffer_drain(input, length);
    }
    fault = session_fault(session, STAGE_TLS, NULL);
    if (fault == NULL) {
        handshake(session);
        return;
    }
    disturb_handshake(session, fault);
    fault_release(fault);
}

static void journal_tls(struct session *session)
{
    json_t *entry = session_event(session, "tls");

    encoding_set(entry, "tls", json_string(SSL_get_version(session->ssl)));
    encoding_set(entry, "cipher", json_string(SSL_get_cipher_name(session->ssl)));
    journal_write(session->server->journal, entry);
}

static void tls_failed(struct session *session)
{
    json_t *entry = session_event(session, "tls-failed");
    unsigned long error = bufferevent_get_openssl_error(session->stream);
    const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;

    encoding_set(entry, "reason", json_string(reason != NULL ? reason : "connection closed"));
    journal_write(session->server->journal, entry);
    session_drop(session, "tls-failed");
}

/* ---- callbacks ---- */

static void on_timer(evutil_socket_t fd, short events, void *context)
{
    struct session *session = context;

    (void)fd;
    (void)events;
    if (is_client_gone(session)) {
        session_drop(session, "client-closed");
    } else if (session->wait > 0) {
        wait_on(session);
    } else {
        session->hold = HOLD_NONE;
        session->resume(session);
        listen_on(session);
    }
    reap(session);
}

static void on_read(struct bufferevent *stream, void *context)
{
    struct session *session = context;

    (void)stream;
    listen_on(session);
    reap(session);
}

/* written - all output has gone to the kernel */
static void written(struct session *session)
{
    switch (session->hold) {
    case HOLD_ENDLESS:
        refill(session);
        return;
    case HOLD_STARTTLS:
        start_tls(session);
        return;
    case HOLD_OUTCOME:
        session->hold = HOLD_NONE;
        session->unanswered = false;
        if (session->state == SESSION_ENDING)
            finish_ending(session);
        else
            after_reply(session);
        return;
    case HOLD_NONE:
        if (session->state == SESSION_ENDING)
            finish_ending(session);
        return;
    case HOLD_DELAY:
    case HOLD_HANDSHAKE:
        return;
    }
}

static void on_write(struct bufferevent *stream, void *context)
{
    struct session *session = context;

    (void)stream;
    if (session->state == SESSION_GONE || unwritten(session) > 0)
        return;
    written(session);
    listen_on(session);
    reap(session);
}

/* idle - nothing was heard for too long, or nothing could be written */
static void idle(struct session *session, short events)
{
    struct answer answer;

    if (events & BEV_EVENT_WRITING) {
        session_drop(session, "write-timeout");
    } else if (session->hold != HOLD_NONE || session->state >= SESSION_ENDING) {
        if (session->hold == HOLD_HANDSHAKE)
            session_drop(session, "tls-timeout");
        else if (session->hold != HOLD_STARTTLS)
            bufferevent_enable(session->stream, EV_READ);
    } else {
        answer = answer_row(REPLY_TIMED_OUT, NULL, NULL, session->stamp);
        session_send(session, &answer);
        if (session->state == SESSION_ENDING)
            session->end = "timeout";
    }
}

/*
 * client_closed - end of file. A client that only shut down its sending side still gets what is
 * being written; but a reply to a message that was not out before counts as not received.
 */
static void client_closed(struct session *session)
{
    if (session->state == SESSION_ENDING || session->hold != HOLD_NONE || unwritten(session) == 0) {
        session_drop(session, "client-closed");
        return;
    }
    session->client_closed = true;
    begin_ending(session, "client-closed");
}

static void on_event(struct bufferevent *stream, short events, void *context)
{
    struct session *session = context;

    (void)stream;
    if (events & BEV_EVENT_CONNECTED) {
        session->hold = HOLD_NONE;
        session->greeted = session->extended = false;
        journal_tls(session);
        listen_on(session);
    } else if (events & BEV_EVENT_TIMEOUT) {
        idle(session, events);
    } else if (session->hold == HOLD_HANDSHAKE) {
        tls_failed(session);
    } else if (events & BEV_EVENT_EOF) {
        client_closed(session);
    } else {
        session_drop(session, "connection-lost");
    }
    reap(session);
}

/* ---- the beginning ---- */

static void describe_peer(struct session *session, const struct sockaddr *address, int length)
{
    if (getnameinfo(address, (socklen_t)length, session->peer, sizeof session->peer, NULL, 0,
                    NI_NUMERICHOST) != 0)
        strcpy(session->peer, "unknown");
}

static struct session *session_create(struct server *server, int fd)
{
    const int yes = 1, room = (int)server->settings->receive_buffer;
    struct session *session = allocate(sizeof *session);

    session->server = server;
    session->id = ++server->last_connection;
    session->stamp = reply_stamp();
    session->answer.manner = ANSWER_SILENT;
    session->transaction.sender.size = -1;
    session->timer = event_new(server->base, -1, 0, on_timer, session);
    session->stream =
        bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (session->timer == NULL || session->stream == NULL)
        abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (room > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    LIST_INSERT_HEAD(&server->sessions, session, entry);
    gauge_up(&server->connections);
    return session;
}

void session_open(struct server *server, int fd, const struct sockaddr *address, int length)
{
    struct session *session = session_create(server, fd);
    struct answer banner = dialogue_banner(session);
    struct fault *fault;
    json_t *entry;

    describe_peer(session, address, length);
    entry = session_event(session, "connect");
    encoding_set(entry, "peer", json_string(session->peer));
    journal_write(server->journal, entry);
    set_stream(session, session->stream);
    fault = session_fault(session, STAGE_CONNECT, NULL);
    if (fault == NULL)
        fault = session_fault(session, STAGE_BANNER, NULL);
    if (fault != NULL) {
        answer_disturb(&banner, fault, server->faults, NULL, NULL, session->stamp);
        fault_release(fault);
    }
    session_send(session, &banner);
    reap(session);
}
