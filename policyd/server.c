/* server.c - sockets on which requests arrive and replies leave
 *
 * A turn: the event loop calls read_ready() for every connection that has something. Requests are
 * decided at once, their replies collected in one buffer. When all have been called, or, gathering,
 * nobody new asks, the turn ends: one commit, then every connection gets its part of the buffer.
 *
 * Security: whoever may connect may send anything, and as much as he likes.
 */
#include "policyd/server.h"

#include "common/attr.h"
#include "common/log.h"
#include "common/memory.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE 65536U
/* What the kernel keeps for a peer that does not read: some dozens of replies. By default it would
 * take hundreds of decisions before it turns out that nobody reads them. */
#define UNREAD_SIZE       32768
#define REPLIES_PER_READ  16   /* then the others have their turn */
#define REPLIES_PER_TURN  4096 /* then they are committed, whoever else is waiting */
#define TEXT_PER_TURN     (1U << 20)
#define TURN_MILLISECONDS 20
#define ACCEPTS_PER_TURN  64
#define LAST_TURNS        16 /* before the end, while somebody asks */
#define CONNECTIONS_MAX   50000
#define CONNECTIONS_MIN   16
#define DESCRIPTORS_SPARE 64          /* for everything that is no connection */
#define HELD_MAX          (64U << 20) /* memory of unfinished requests and unread replies */
#define HELD_ENOUGH       (48U << 20) /* what is left of it when it was too much */
#define DISCARD_MAX       (1U << 20)  /* what is read from somebody who is sent away */
#define ACCEPT_PAUSE                                                                               \
    {                                                                                              \
        .tv_sec = 1                                                                                \
    }                         /* when not even eviction helps */
#define COMPLAINT_INTERVAL 60 /* seconds between two log lines about one trouble */

enum connection_state {
    CONNECTION_OPEN,
    CONNECTION_CLOSING, /* closes when its last reply has been sent */
    CONNECTION_CLOSED,  /* released when the turn no longer names it */
};

struct connection {
    struct connection *newer, *older; /* in the order of their last activity */
    struct server *server;
    const struct server_protocol *protocol;
    void *client; /* the protocol's */
    int descriptor;
    enum connection_state state;
    bool has_backlog; /* `input` may hold whole requests */
    size_t parts;     /* of this turn: while it has some, what it asks belongs to the next */
    size_t held;      /* the memory of both buffers, as it was last added up */
    struct attr_reader reader;
    struct buffer input;  /* what arrived of a request that is not complete */
    struct buffer output; /* what the peer has not read yet */
    struct event read_event;
    struct event write_event;
};

struct listener {
    struct listener *next;
    struct server *server;
    const struct server_protocol *protocol;
    int descriptor;
    struct event accept_event;
    struct event resume_event;
};

/* A reply in the turn's buffer. */
struct reply {
    size_t start, end;
    size_t kept;
    bool needs_commit;
};

/* The replies first..end-1 belong to one connection. */
struct part {
    struct connection *connection;
    size_t first, end;
};

struct server {
    struct event_base *base;
    server_commit commit;
    void *context;
    struct listener *listeners;
    struct event *wake; /* makes the loop go round once */
    struct connection *newest, *oldest;
    size_t connection_count, capacity;
    size_t held;
    bool stopping;
    struct server_counts counts; /* but for its gauges */
    /* the turn */
    bool gathers; /* whoever asks while it lasts */
    bool wants_commit;
    int64_t turn_began; /* with its first reply, milliseconds */
    struct buffer text;
    struct reply *replies;
    size_t reply_count, reply_room;
    struct part *parts;
    size_t part_count, part_room;
    /* log lines that are not repeated all the time */
    time_t commit_complaint, accept_complaint, evict_complaint, request_complaint, held_complaint;
    char scratch[READ_SIZE];
};

/* Whether a connection is there to be accepted. accept(2) looks for a free descriptor first, and
 * fails for want of one even where nobody waits. */
static bool somebody_waits(int descriptor)
{
    struct pollfd waiting = {.fd = descriptor, .events = POLLIN};
    return poll(&waiting, 1, 0) > 0;
}

static void accept_ready(evutil_socket_t descriptor, short what, void *argument);
static bool make_place(struct server *server);
static void read_ready(evutil_socket_t descriptor, short what, void *argument);
static void write_ready(evutil_socket_t descriptor, short what, void *argument);
static size_t take_requests(struct connection *connection, const char *bytes, size_t length);
static void send_bytes(struct connection *connection, const char *bytes, size_t length);
static void close_connection(struct connection *connection);
static void release_connection(struct connection *connection);
static void go_on(struct connection *connection);
static bool is_turn_full(const struct server *server);

/* Of a clock that only goes on, about. */
static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whether a trouble may be logged again. */
static bool may_complain(time_t *last)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (*last != 0 && now.tv_sec < *last + COMPLAINT_INTERVAL)
        return false;
    *last = now.tv_sec;
    return true;
}

/* --- connections by activity ------------------------------------------------- */

static void link_newest(struct connection *connection)
{
    struct server *server = connection->server;
    connection->newer = NULL;
    connection->older = server->newest;
    if (server->newest != NULL)
        server->newest->newer = connection;
    else
        server->oldest = connection;
    server->newest = connection;
}

static void unlink_connection(struct connection *connection)
{
    struct server *server = connection->server;
    if (connection->newer != NULL)
        connection->newer->older = connection->older;
    else
        server->newest = connection->older;
    if (connection->older != NULL)
        connection->older->newer = connection->newer;
    else
        server->oldest = connection->newer;
}

static void mark_active(struct connection *connection)
{
    if (connection->newer == NULL)
        return;
    unlink_connection(connection);
    link_newest(connection);
}

/* --- accepting --------------------------------------------------------------- */

static void add_connection(struct listener *listener, int descriptor)
{
    struct server *server = listener->server;
    struct connection *connection = memory_zero(1, sizeof(*connection));
    int one = 1, unread = UNREAD_SIZE;
    /* Fails on a UNIX socket, which has no need of it. */
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &unread, sizeof(unread));
    connection->server = server;
    connection->protocol = listener->protocol;
    connection->descriptor = descriptor;
    link_newest(connection);
    server->connection_count++;
    server->counts.accepted++;
    event_assign(&connection->read_event, server->base, descriptor, EV_READ | EV_PERSIST,
                 read_ready, connection);
    event_assign(&connection->write_event, server->base, descriptor, EV_WRITE | EV_PERSIST,
                 write_ready, connection);
    if (event_add(&connection->read_event, NULL) != 0)
        close_connection(connection);
}

static bool must_stay(const struct connection *connection)
{
    return connection->client != NULL && connection->protocol->must_stay(connection->client);
}

/* Closes the connection that has been idle for longest. */
static bool make_place(struct server *server)
{
    struct connection *victim = server->oldest;
    /* clang's analyzer does not see that a connection leaves the list before it is released. */
    while (victim != NULL &&
           (victim->parts > 0 || must_stay(victim))) // NOLINT(clang-analyzer-unix.Malloc)
        victim = victim->newer;
    if (victim == NULL)
        return false;
    if (may_complain(&server->evict_complaint))
        log_warning("%zu connections are open: closing those that have been idle for longest; "
                    "raise the limit of open files if these are all Postfix's",
                    server->connection_count);
    server->counts.evicted++;
    close_connection(victim);
    return true;
}

static void resume_accepting(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct listener *listener = argument;
    event_add(&listener->accept_event, NULL);
}

static void pause_accepting(struct listener *listener, int reason)
{
    const struct timeval pause = ACCEPT_PAUSE;
    if (may_complain(&listener->server->accept_complaint))
        log_error("cannot accept a connection: %s; trying again every second", strerror(reason));
    event_del(&listener->accept_event);
    event_add(&listener->resume_event, &pause);
}

static void accept_ready(evutil_socket_t descriptor, short what, void *argument)
{
    (void)what;
    struct listener *listener = argument;
    struct server *server = listener->server;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (server->connection_count >= server->capacity) {
            if (!somebody_waits(descriptor))
                return;
            if (!make_place(server)) {
                pause_accepting(listener, EMFILE);
                return;
            }
        }
        int accepted = accept4(descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int reason = errno;
        if (accepted >= 0) {
            add_connection(listener, accepted);
        } else if (reason == EMFILE || reason == ENFILE || reason == ENOBUFS || reason == ENOMEM) {
            if (!somebody_waits(descriptor))
                return;
            if (!make_place(server)) {
                pause_accepting(listener, reason);
                return;
            }
        } else if (reason != EINTR && reason != ECONNABORTED) {
            return;
        }
    }
}

/* --- reading ----------------------------------------------------------------- */

static void add_up(struct connection *connection)
{
    size_t held = connection->input.capacity + connection->output.capacity;
    connection->server->held = connection->server->held - connection->held + held;
    connection->held = held;
}

/* Those that lose something by it only if the others do not suffice. */
static void close_idle(struct server *server, const struct connection *connection, bool all)
{
    struct connection *newer;
    for (struct connection *one = server->oldest; one != NULL && server->held > HELD_ENOUGH;
         one = newer) {
        newer = one->newer;
        if (one != connection && one->parts == 0 && one->held > 0 && (all || !must_stay(one))) {
            server->counts.evicted_for_memory++;
            close_connection(one);
        }
    }
}

/* Closes those who hold something and have been idle for longest, but not `connection`, which is
 * being served. */
static void make_room(struct server *server, const struct connection *connection)
{
    if (may_complain(&server->held_complaint))
        log_warning("more than %u MB of unfinished requests and unread replies are held: closing "
                    "connections that have been idle for longest",
                    HELD_MAX >> 20);
    close_idle(server, connection, false);
    if (server->held > HELD_MAX)
        close_idle(server, connection, true);
}

/* Keeps the memory of all connections' buffers together within its bound. False if that cannot be
 * done but by closing this connection. */
static bool hold(struct connection *connection)
{
    struct server *server = connection->server;
    add_up(connection);
    if (server->held > HELD_MAX)
        make_room(server, connection);
    return server->held <= HELD_MAX;
}

/* Keeps what is left of the input, in no more memory than it needs: `bytes` are either new, or the
 * end of what was kept before. */
static void keep_input(struct connection *connection, const char *bytes, size_t length)
{
    struct buffer *input = &connection->input;
    if (bytes != input->data || length == 0) {
        struct buffer left = {0};
        if (length > 0)
            buffer_append(&left, bytes, length);
        buffer_free(input);
        *input = left;
    }
    if (!hold(connection))
        connection->state = CONNECTION_CLOSING;
}

/* Reads once. False if the connection is no more. */
static bool receive(struct connection *connection, size_t *received)
{
    struct server *server = connection->server;
    ssize_t length = recv(connection->descriptor, server->scratch, READ_SIZE, 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        length = 0;
    else if (length <= 0)
        return false;
    *received = (size_t)length;
    return true;
}

static void read_ready(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct connection *connection = argument;
    struct server *server = connection->server;
    if (connection->parts > 0)
        return;
    mark_active(connection);
    size_t received = 0;
    if (!connection->has_backlog && !receive(connection, &received)) {
        close_connection(connection);
        return;
    }
    const char *bytes = server->scratch;
    size_t length = received;
    if (connection->input.length > 0) {
        buffer_append(&connection->input, bytes, received);
        bytes = connection->input.data;
        length = connection->input.length;
    }
    size_t taken = take_requests(connection, bytes, length);
    keep_input(connection, bytes + taken, length - taken);
    if (connection->parts == 0)
        go_on(connection);
    if (is_turn_full(server))
        server_end_turn(server); /* which may release the connection */
}

/* Nothing is to be said to the connection now. */
static void go_on(struct connection *connection)
{
    if (connection->state == CONNECTION_CLOSING)
        close_connection(connection);
    else if (connection->has_backlog)
        event_active(&connection->read_event, EV_READ, 0);
}

/* Others wait for their replies, and the time stands still in a turn. */
static bool is_turn_full(const struct server *server)
{
    return server->reply_count >= REPLIES_PER_TURN || server->text.length >= TEXT_PER_TURN ||
           (server->reply_count > 0 && milliseconds() - server->turn_began >= TURN_MILLISECONDS);
}

static void begin_part(struct connection *connection)
{
    struct server *server = connection->server;
    connection->parts++;
    if (server->part_count == server->part_room) {
        server->part_room = server->part_room > 0 ? server->part_room * 2 : 64;
        server->parts = memory_grow(server->parts, server->part_room * sizeof(struct part));
    }
    server->parts[server->part_count++] =
        (struct part){connection, server->reply_count, server->reply_count};
}

/* Makes what was written from `start` on a reply of the connection's. */
static void add_reply(struct connection *connection, size_t start,
                      const struct server_verdict *verdict)
{
    struct server *server = connection->server;
    if (server->part_count == 0 || server->parts[server->part_count - 1].connection != connection)
        begin_part(connection);
    if (server->reply_count == server->reply_room) {
        server->reply_room = server->reply_room > 0 ? server->reply_room * 2 : 64;
        server->replies = memory_grow(server->replies, server->reply_room * sizeof(struct reply));
    }
    if (server->reply_count == 0)
        server->turn_began = milliseconds();
    server->parts[server->part_count - 1].end++;
    server->replies[server->reply_count++] = (struct reply){.start = start,
                                                            .end = server->text.length,
                                                            .kept = verdict->kept,
                                                            .needs_commit = verdict->needs_commit};
}

static void decide(struct connection *connection, const char *request, size_t length)
{
    struct server *server = connection->server;
    struct server_verdict verdict = {0};
    size_t start = server->text.length;
    connection->protocol->decide(connection->protocol->context, connection, request, length,
                                 &server->text, &verdict);
    if (verdict.is_postponed)
        server->wants_commit = true; /* it has joined the batch */
    else
        add_reply(connection, start, &verdict);
    if (!verdict.is_last)
        return;
    if (may_complain(&server->request_complaint))
        log_warning("closing a connection: not a request that is answered here");
    connection->state = CONNECTION_CLOSING;
}

static void reject(struct connection *connection, const struct error *error)
{
    struct server *server = connection->server;
    if (may_complain(&server->request_complaint))
        log_warning("closing a connection: %s", error->text);
    server->counts.malformed++;
    size_t start = server->text.length;
    buffer_append_string(&server->text, connection->protocol->malformed);
    add_reply(connection, start, &(struct server_verdict){0});
    connection->state = CONNECTION_CLOSING;
}

/* Decides about the whole requests that are there. Returns how many bytes they had. */
static size_t take_requests(struct connection *connection, const char *bytes, size_t length)
{
    size_t taken = 0;
    connection->has_backlog = false;
    for (int i = 0; taken < length && connection->state == CONNECTION_OPEN; i++) {
        if (i == REPLIES_PER_READ) {
            connection->has_backlog = true;
            break;
        }
        size_t request = 0;
        struct error error;
        enum attr_progress progress =
            attr_read(&connection->reader, bytes + taken, length - taken, &request, &error);
        if (progress == ATTR_MORE)
            break;
        if (progress == ATTR_MALFORMED) {
            reject(connection, &error);
            break;
        }
        decide(connection, bytes + taken, request);
        taken += request;
    }
    return connection->state == CONNECTION_CLOSING ? length : taken;
}

void server_reply(struct connection *connection, const struct buffer *reply,
                  const struct server_verdict *verdict)
{
    struct server *server = connection->server;
    size_t start = server->text.length;
    buffer_append(&server->text, reply->data, reply->length);
    add_reply(connection, start, verdict);
}

/* --- writing ----------------------------------------------------------------- */

/* Replaces what was not stored. */
static void send_failed_part(struct server *server, const struct part *part)
{
    struct buffer text = {0};
    for (size_t i = part->first; i < part->end; i++) {
        const struct reply *reply = &server->replies[i];
        size_t told = reply->needs_commit ? reply->kept : reply->end - reply->start;
        buffer_append(&text, server->text.data + reply->start, told);
        if (reply->needs_commit) {
            buffer_append_string(&text, part->connection->protocol->not_stored);
            part->connection->server->counts.not_stored++;
        }
    }
    send_bytes(part->connection, text.data, text.length);
    buffer_free(&text);
}

static void send_part(struct server *server, const struct part *part)
{
    size_t start = server->replies[part->first].start;
    send_bytes(part->connection, server->text.data + start,
               server->replies[part->end - 1].end - start);
}

static void end_part(struct server *server, const struct part *part, bool committed)
{
    struct connection *connection = part->connection;
    connection->parts--;
    if (connection->state == CONNECTION_CLOSED)
        release_connection(connection);
    else if (committed)
        send_part(server, part);
    else
        send_failed_part(server, part);
}

void server_end_turn(struct server *server)
{
    struct error error;
    if (server->part_count == 0 && !server->wants_commit)
        return;
    server->wants_commit = false;
    bool committed = server->commit(server->context, &error);
    if (!committed && may_complain(&server->commit_complaint))
        log_error("%s; clients are told to try again later", error.text);
    if (server->reply_count > 0)
        distribution_add(&server->counts.turn_size, server->reply_count);
    for (size_t i = 0; i < server->part_count; i++)
        end_part(server, &server->parts[i], committed);
    server->part_count = server->reply_count = 0;
    if (server->text.capacity > TEXT_PER_TURN)
        buffer_free(&server->text);
    buffer_clear(&server->text);
}

/* Somebody who sends on and on would otherwise make the kernel drop our last reply (a TCP socket
 * that is closed with unread data resets). */
static void discard_input(struct connection *connection)
{
    ssize_t length;
    size_t discarded = 0;
    shutdown(connection->descriptor, SHUT_WR);
    while (discarded < DISCARD_MAX &&
           (length = recv(connection->descriptor, connection->server->scratch, READ_SIZE, 0)) > 0)
        discarded += (size_t)length;
}

/* Reading goes on when everything has been sent. */
static void all_sent(struct connection *connection)
{
    if (connection->parts > 0)
        return;
    if (connection->state == CONNECTION_CLOSING) {
        discard_input(connection);
        close_connection(connection);
    } else if (connection->has_backlog) {
        event_active(&connection->read_event, EV_READ, 0);
    }
}

/* Keeps what the peer does not take now, and stops reading from him until he does. */
static void keep_output(struct connection *connection, const char *bytes, size_t length)
{
    buffer_append(&connection->output, bytes, length);
    event_del(&connection->read_event);
    if (!hold(connection) || event_add(&connection->write_event, NULL) != 0)
        close_connection(connection);
}

static void send_bytes(struct connection *connection, const char *bytes, size_t length)
{
    ssize_t sent = connection->output.length > 0
                       ? 0
                       : send(connection->descriptor, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        close_connection(connection);
        return;
    }
    size_t done = sent > 0 ? (size_t)sent : 0;
    if (done == length)
        all_sent(connection);
    else
        keep_output(connection, bytes + done, length - done);
}

static void write_ready(evutil_socket_t descriptor, short what, void *argument)
{
    (void)what;
    struct connection *connection = argument;
    struct buffer *output = &connection->output;
    ssize_t sent = send(descriptor, output->data, output->length, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (sent < 0) {
        close_connection(connection);
        return;
    }
    mark_active(connection);
    size_t left = output->length - (size_t)sent;
    if (left > 0) {
        memmove(output->data, output->data + sent, left);
        output->length = left;
        return;
    }
    buffer_free(output);
    add_up(connection);
    event_del(&connection->write_event);
    event_add(&connection->read_event, NULL);
    all_sent(connection);
}

static void close_connection(struct connection *connection)
{
    struct server *server = connection->server;
    event_del(&connection->read_event);
    event_del(&connection->write_event);
    close(connection->descriptor);
    unlink_connection(connection);
    server->connection_count--;
    buffer_free(&connection->input);
    buffer_free(&connection->output);
    add_up(connection);
    if (connection->client != NULL) {
        connection->protocol->closed(connection->protocol->context, connection->client);
        event_active(server->wake, 0, 0); /* what he leaves is dealt with at once */
    }
    connection->state = CONNECTION_CLOSED;
    release_connection(connection);
}

static void release_connection(struct connection *connection)
{
    if (connection->parts == 0)
        free(connection);
}

/* --- for protocols ----------------------------------------------------------- */

void server_set_client(struct connection *connection, void *client)
{
    connection->client = client;
}

void *server_client(const struct connection *connection)
{
    return connection->client;
}

bool server_peer(const struct connection *connection, uid_t *user)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    if (getsockopt(connection->descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 ||
        peer.uid == (uid_t)-1)
        return false;
    *user = peer.uid;
    return true;
}

void server_want_commit(struct server *server)
{
    server->wants_commit = true;
}

/* --- life -------------------------------------------------------------------- */

/* As many connections as the limit on open files allows, which service_start() has raised. */
static size_t find_capacity(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return CONNECTIONS_MAX;
    if (limit.rlim_cur >= CONNECTIONS_MAX + DESCRIPTORS_SPARE)
        return CONNECTIONS_MAX;
    return limit.rlim_cur > DESCRIPTORS_SPARE + CONNECTIONS_MIN
               ? (size_t)limit.rlim_cur - DESCRIPTORS_SPARE
               : CONNECTIONS_MIN;
}

static void do_nothing(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    (void)argument;
}

struct server *server_new(struct event_base *base, server_commit commit, void *context)
{
    struct server *server = memory_zero(1, sizeof(*server));
    server->base = base;
    server->commit = commit;
    server->context = context;
    server->capacity = find_capacity();
    server->wake = event_new(base, -1, 0, do_nothing, NULL);
    if (server->wake == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    server->counts.turn_size.scale = &distribution_sizes;
    return server;
}

void server_listen(struct server *server, int descriptor, const struct server_protocol *protocol)
{
    struct listener *listener = memory_zero(1, sizeof(*listener));
    listener->server = server;
    listener->protocol = protocol;
    listener->descriptor = descriptor;
    listener->next = server->listeners;
    server->listeners = listener;
    event_assign(&listener->accept_event, server->base, descriptor, EV_READ | EV_PERSIST,
                 accept_ready, listener);
    event_assign(&listener->resume_event, server->base, -1, 0, resume_accepting, listener);
    event_add(&listener->accept_event, NULL);
}

static void loop_once(struct server *server, int flags)
{
    if (event_base_loop(server->base, flags) != 0)
        log_fatal(EX_OSERR, "the event loop has failed");
}

/* While some were read others have asked: they are in the same turn, as long as more come. */
static void gather(struct server *server)
{
    size_t before = 0;
    while (server->reply_count > before && !is_turn_full(server)) {
        before = server->reply_count;
        loop_once(server, EVLOOP_ONCE | EVLOOP_NONBLOCK); /* NONBLOCK alone goes on and on */
    }
}

/* Whoever has asked before the end gets his answer: a connection that is closed with something
 * unread resets, which Postfix's smtpd(8) takes for a failure. Those that nobody has accepted are
 * the successor's. Bounded, because some ask on and on. */
static void answer_the_last(struct server *server)
{
    for (struct listener *one = server->listeners; one != NULL; one = one->next) {
        event_del(&one->accept_event);
        event_del(&one->resume_event);
    }
    for (int i = 0; i < LAST_TURNS; i++) {
        loop_once(server, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        bool has_answered = server->reply_count > 0;
        server_end_turn(server);
        if (!has_answered)
            return;
    }
}

void server_run(struct server *server)
{
    while (!server->stopping) {
        loop_once(server, EVLOOP_ONCE);
        if (server->gathers)
            gather(server);
        server_end_turn(server);
    }
    answer_the_last(server);
}

void server_set_gathering(struct server *server, bool gathers)
{
    server->gathers = gathers;
}

void server_stop(struct server *server)
{
    server->stopping = true;
}

void server_count(const struct server *server, struct server_counts *counts)
{
    *counts = server->counts;
    counts->connections = server->connection_count;
    counts->capacity = server->capacity;
    counts->held = server->held;
}

static void close_listener(struct listener *listener)
{
    event_del(&listener->accept_event);
    event_del(&listener->resume_event);
    close(listener->descriptor);
    free(listener);
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    struct listener *next;
    for (struct listener *listener = server->listeners; listener != NULL; listener = next) {
        next = listener->next;
        close_listener(listener);
    }
    struct connection *newer;
    for (struct connection *connection = server->oldest; connection != NULL; connection = newer) {
        newer = connection->newer;
        close_connection(connection);
    }
    event_free(server->wake);
    buffer_free(&server->text);
    free(server->replies);
    free(server->parts);
    free(server);
}
