/* server.h - the server that Postfix's lmtp(8) delivers to
 *
 * Speaks LMTP (RFC 2033) on any number of listening sockets, with PIPELINING, 8BITMIME, SMTPUTF8,
 * ENHANCEDSTATUSCODES, DSN, SIZE and XFORWARD. MAIL and RCPT are answered as soon as they are
 * read; what is to become of a message is decided at DATA, by a handler, which then gets its data
 * and gives one reply for each recipient.
 *
 * What a client can do is bounded: a line, an envelope, the octets that are waiting for the handler
 * (LMTP_UNCONSUMED_MAX, beyond which nothing is read from the client), and the replies that he has
 * not read (LMTP_UNSENT_MAX, beyond which nothing is read from him either; that he does not read
 * has an end as any other silence has). His time is bounded, too: a line has to be whole, and so
 * much of a message (LMTP_LEAST) or its end has to be there, before it is over. If there are too
 * many clients, the one between two commands who has been silent for longest makes room. While a
 * decision or replies are awaited no further command is carried out. When the server stops, a
 * client who owes the rest of a message has LMTP_STOPPING_TIMEOUT for each piece of it. He who
 * closes the connection, or the half that he sends on, is gone.
 *
 * One thread, that of the event loop. The handler is called from the loop and never from within
 * a function of this file, so that it may call any of them wherever it is, lmtp_free() as well.
 */
#ifndef POST365_TRANSPORT_LMTP_SERVER_H
#define POST365_TRANSPORT_LMTP_SERVER_H

#include "transport/lmtp/envelope.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#define LMTP_TIMEOUT          300    /* seconds; what Postfix grants us for MAIL and RCPT */
#define LMTP_STOPPING_TIMEOUT 3      /* seconds */
#define LMTP_UNCONSUMED_MAX   65536U /* octets; what is read at once may come on top */
#define LMTP_UNSENT_MAX       65536U /* octets; one more reply may come on top */
#define LMTP_LEAST            65536U /* octets of a message that must come within LMTP_TIMEOUT */
#define LMTP_REPLY_MAX        1200U  /* octets; longer replies are cut */

struct lmtp;
struct lmtp_transaction; /* one message, from DATA to its last reply */

struct lmtp_settings {
    const char *hostname;   /* of this relay, for the greeting; copied */
    uint64_t size_limit;    /* octets of a message; 0 for no limit */
    size_t sessions_max;    /* clients at once; some more while others are sent away */
    struct timeval timeout; /* of silence, LMTP_TIMEOUT but for tests */
};

/* Whoever decides about messages and takes them further. */
struct lmtp_handler {
    /*
     * Somebody has connected to the socket of an account. Returns NULL, or the whole reply, with
     * the code 421, with which he is turned away: Postfix then leaves the account alone for a
     * while. The reply need not be there any longer than until the next call. NULL: all are
     * welcome.
     */
    const char *(*greet)(void *context, const char *account);

    /*
     * A message is announced: at once or later, lmtp_go_on() or lmtp_refuse() is to be called. What
     * is returned is given to the functions below. The envelope stays as it is until the
     * transaction is over; so does `account`, which is that of the socket, or NULL.
     */
    void *(*begin)(void *context, struct lmtp_transaction *transaction,
                   const struct envelope *envelope, const char *account);

    /*
     * Octets of the message, in addition to those that were left from the last time: dot-stuffed,
     * every line end a CRLF, without the dot at the end. What is not drained from `bytes`, now or
     * later, is kept; with LMTP_UNCONSUMED_MAX and more of it nothing comes until lmtp_resume().
     */
    void (*body)(void *message, struct evbuffer *bytes);

    /* The message has come to its end, and all of it was drained. `replaced` is the number of bare
     * CRs and LFs in it that became blanks. */
    void (*end)(void *message, uint64_t replaced);

    /* The client is gone, or was sent away for his silence, before all replies were given. The
     * transaction is over. */
    void (*gone)(void *message);

    void *context; /* of greet and begin */
};

/* Settings and handler are copied; base and context belong to the caller and outlive the server.
 * SIGPIPE is to be ignored, as service.h has it. Release with lmtp_free(). */
struct lmtp *lmtp_new(struct event_base *base, const struct lmtp_settings *settings,
                      const struct lmtp_handler *handler);

/* Accepts clients on a listening, non-blocking descriptor, which becomes the server's. `account`
 * (copied) is the one whose own socket it is, or NULL. */
void lmtp_listen(struct lmtp *server, int descriptor, const char *account);

/* --- for the handler ---------------------------------------------------------- */

/* The message may come. */
void lmtp_go_on(struct lmtp_transaction *transaction);

/* It may not, for this whole reply of one line without CRLF, such as "450 4.7.1 Tomorrow". The
 * transaction is over for the handler. */
void lmtp_refuse(struct lmtp_transaction *transaction, const char *reply);

/* Take up again what was left in `bytes`, if any, and read on. */
void lmtp_resume(struct lmtp_transaction *transaction);

/*
 * What became of the message for one recipient, counted from 0, as a reply like the one above; to
 * be called once for each, in any order, at any time behind lmtp_go_on(). The client is told in the
 * right order and after the end of the data. With the last one the transaction is over for the
 * handler; data that are still to come are dropped.
 */
void lmtp_reply(struct lmtp_transaction *transaction, size_t recipient, const char *reply);

/* --- ending ------------------------------------------------------------------- */

/* Closes the listeners, and nothing else: who is connected is served as before. */
void lmtp_close_listeners(struct lmtp *server);

/* The same, and an end: clients in a transaction behind DATA are served until its end; then, and
 * all others now, they are told 421 and the connection is closed. */
void lmtp_stop(struct lmtp *server);

/* The clients that lose something if the server ends now: those in a transaction behind DATA, and
 * those with replies that have not been sent. */
size_t lmtp_busy(const struct lmtp *server);

/* The clients that are connected. */
size_t lmtp_sessions(const struct lmtp *server);

/* Closes everything. The handler is not called any more; transactions are not to be used any more.
 * NULL is allowed. */
void lmtp_free(struct lmtp *server);

#endif
