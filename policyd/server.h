/* server.h - sockets on which requests arrive and replies leave
 *
 * Any number of listeners and connections speak the name=value protocol of attr.h. All requests
 * that are ready in one turn of the event loop are decided, then committed together, then answered.
 *
 * What a peer can do is bounded: a request by attr.h, the replies of one connection in a turn by a
 * constant; who does not read his replies is not read from either. The memory of unfinished
 * requests and unread replies is bounded for all together: beyond it, who holds some and has been
 * idle for longest is disconnected, who has reservations or waits last of all. When there is no
 * descriptor left for a new connection, the one that has been idle for longest is closed (Postfix
 * connects again when it has something to ask), unless it has reservations or waits. Who speaks
 * something else is told so and disconnected.
 *
 * Raw events, not bufferevents: a request is decided where recv(2) put it and a reply is sent from
 * where it was written, so that an idle connection holds no buffer and a busy one copies nothing.
 */
#ifndef POST365_POLICYD_SERVER_H
#define POST365_POLICYD_SERVER_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/metrics/distribution.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct server;
struct connection;

struct server_verdict {
    bool needs_commit; /* to be told only if the turn's commit succeeds */
    bool is_last;      /* close the connection behind it */
    bool is_postponed; /* there is no reply yet: server_reply() will be called */
    size_t kept;       /* with needs_commit: so much of the reply's beginning is told anyhow */
};

/* What is spoken on a listener. */
struct server_protocol {
    /* Decides about one whole request and appends the reply, its empty line included. */
    void (*decide)(void *context, struct connection *connection, const char *request, size_t length,
                   struct buffer *reply, struct server_verdict *verdict);
    /* A connection that has a client (server_set_client) is gone. */
    void (*closed)(void *context, void *client);
    /* Whether a client loses something if his idle connection makes room for another one. */
    bool (*must_stay)(const void *client);
    void *context;
    const char *malformed; /* the reply to what is no request; the connection is closed behind it */
    const char *not_stored; /* instead of a reply that needed a commit which failed */
};

/* Ends a batch: true if what was decided since the last call may be told. */
typedef bool (*server_commit)(void *context, struct error *error);

/* As many connections as the limit of open files allows. `base` must outlive the server. Release
 * with server_free(). */
struct server *server_new(struct event_base *base, server_commit commit, void *context);

/* Accepts connections on a listening, non-blocking descriptor, which becomes the server's. */
void server_listen(struct server *server, int descriptor, const struct server_protocol *protocol);

/* What the protocol keeps about a connection; NULL at first. `closed` and `must_stay` are called
 * where it is not NULL. */
void server_set_client(struct connection *connection, void *client);
void *server_client(const struct connection *connection);

/* Who has opened the connection, by the kernel's word. False unless it is a UNIX socket. */
bool server_peer(const struct connection *connection, uid_t *user);

/* Gives a postponed reply, its empty line included, which becomes part of the turn. To be called no
 * later than in the turn's commit. */
void server_reply(struct connection *connection, const struct buffer *reply,
                  const struct server_verdict *verdict);

/* There is something to commit at the end of the turn, though perhaps nobody to be told. */
void server_want_commit(struct server *server);

/* Where a commit takes long: a turn also takes in who asks while it lasts, so that there are fewer
 * and larger ones. Not so at first. */
void server_set_gathering(struct server *server, bool gathers);

/* Works until server_stop() is called from one of the base's events. */
void server_run(struct server *server);
void server_stop(struct server *server);

/* Ends the turn early: commits and answers what was decided so far. For work in an event of the
 * base that must not happen inside a batch. */
void server_end_turn(struct server *server);

struct server_counts {
    size_t connections, capacity;
    size_t held;                   /* bytes of unfinished requests and unread replies */
    uint64_t accepted;             /* connections */
    uint64_t evicted;              /* for want of descriptors */
    uint64_t evicted_for_memory;   /* for want of room for what they held */
    uint64_t malformed;            /* requests that are none */
    uint64_t not_stored;           /* replies that became "try again later" */
    struct distribution turn_size; /* replies in a turn */
};
void server_count(const struct server *server, struct server_counts *counts);

/* Closes everything. */
void server_free(struct server *server);

#endif
