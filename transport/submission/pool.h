/* pool.h - the connections of each account
 *
 * An account has at most so many connections at once, Microsoft's limit (three by default). A
 * connection carries message after message; one that is idle for long, or old, is closed. Who asks
 * while all are busy waits his turn, first come first served.
 *
 * While none is logged in only one is opened: a wrong password is not sent three times. Where an
 * access token is refused post365-tokend may think that another one is worth a try: then there is
 * one more, before who waits is refused. When all
 * that may be there stall, one more is tried: what holds them up may stand between here and
 * Microsoft. If that gets through another one may be, up to twice as many as else.
 */
#ifndef POST365_TRANSPORT_SUBMISSION_POOL_H
#define POST365_TRANSPORT_SUBMISSION_POOL_H

#include "common/oauth2/token_channel.h"
#include "transport/submission/submission.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;
struct pool_request;

struct pool_limits {
    int64_t idle; /* microseconds without a message after which a connection is closed */
    int64_t age;  /* and after which it takes no further message */
};

/* How a request is answered, once. */
struct pool_handler {
    /* A connection that is opened and has no message: the caller's until pool_put() or until its
     * message has ended with the connection (is_connection_lost). `is_fresh`: nobody has used it.
     */
    void (*granted)(void *context, struct submission *submission, bool is_fresh);
    /* There is none: it could not be opened, or the account has no credentials (`end` without a
     * reply at the stage AUTH). */
    void (*refused)(void *context, const struct submission_end *end);
};

/* `parts`, `credentials` and `tokens`, where access tokens come from, outlive the pool. Release
 * with pool_free(). */
struct pool *pool_new(const struct submission_parts *parts, struct credentials *credentials,
                      struct token_channel *tokens, const struct pool_limits *limits);

/* Closes everything at once; who waits is told nothing. */
void pool_free(struct pool *pool);

/* Other credentials from now on, as after a reload. */
void pool_configure(struct pool *pool, struct credentials *credentials);

/* Asks for a connection of an account (folded UPN), of which there may be `limit` at once. With
 * `wants_fresh` an idle one will not do. The answer comes from the event loop. */
struct pool_request *pool_take(struct pool *pool, const char *account, size_t limit,
                               bool wants_fresh, const struct pool_handler *handler, void *context);

/* The request is not wanted any more; it is not answered. */
void pool_cancel(struct pool_request *request);

/* Gives a connection back whose message has ended and which is idle. */
void pool_put(struct pool *pool, struct submission *submission);

/* What connections were opened by, credentials and the servers that they are for among it, has
 * changed: each is closed as soon as it is idle, and none of them gets another message. */
void pool_renew(struct pool *pool);

/* The message on this connection does not go on, or does again: see above. */
void pool_note_stalled(struct pool *pool, struct submission *submission, bool is_stalled);

/* Microsoft counts those that stall: one more is not tried while some do. False: none does. */
bool pool_refuse_spare(struct pool *pool, const char *account);

/* Closes the idle connections of an account. */
void pool_shrink(struct pool *pool, const char *account);

/* Why a connection could not be opened: trouble on the way, an answer to AUTH, or no access token
 * to log in with. */
enum pool_failure {
    POOL_NOT_CONNECTED,
    POOL_NOT_SECURE,
    POOL_NOT_LOGGED_IN,
    POOL_LOGIN_REFUSED,
    POOL_NO_TOKEN,
    POOL_FAILURES,
};

/* Since the start. */
struct pool_counts {
    uint64_t opened;  /* up to the login */
    uint64_t resumed; /* of these, with a TLS session of before */
    uint64_t failed[POOL_FAILURES];
};
const struct pool_counts *pool_counts(const struct pool *pool);

/* How many connections an account has, busy ones included; of all accounts with NULL. */
size_t pool_count(const struct pool *pool, const char *account);

/* An account that has a connection or a request. */
struct pool_use {
    const char *account;
    size_t connections; /* those that are being opened included */
    size_t limit;       /* as the last request had it */
    size_t waiting;     /* requests without a connection */
};
void pool_each(const struct pool *pool, void (*visit)(void *context, const struct pool_use *use),
               void *context);

#endif
