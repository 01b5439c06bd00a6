/* submission.h - one connection to Microsoft: name, TLS, AUTH, and message after message
 *
 * It is opened once, carries one message at a time, and is closed once. Everything happens in the
 * event loop. No callback is called from inside a function of this header but `ended` and
 * `closed` from those that close the connection.
 *
 * Sources: RFC 5321, RFC 2920 (pipelining), RFC 3207 (what is behind STARTTLS's reply in plain text
 * is thrown away), RFC 4954, RFC 3461.
 */
#ifndef POST365_TRANSPORT_SUBMISSION_SUBMISSION_H
#define POST365_TRANSPORT_SUBMISSION_SUBMISSION_H

#include "common/entra/cause.h"
#include "common/reply.h"
#include "common/silence.h"
#include "common/upstream/credentials.h"
#include "common/upstream/dial.h"
#include "common/upstream/tls.h"
#include "transport/lmtp/envelope.h"

#include <event2/buffer.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

struct submission;

/* What is kept of a body before the peer must take some. */
#define SUBMISSION_ROOM ((size_t)64 * 1024)

/* Seconds without a reply that are told, though it is too early to give up; half of that where the
 * body is not taken. */
#define SUBMISSION_STALL 10

/* Milliseconds between a body and its final dot, where care is taken. */
#define SUBMISSION_CARE 100

/* How a connection or a message came to its end. */
struct submission_end {
    enum reply_stage stage;
    const struct reply *reply; /* Microsoft's, or NULL */
    const char *host;          /* whom it is about; NULL: nobody was asked */
    const char *text;          /* without a reply: what went wrong, with host and remedy */
    enum silence silence; /* without a reply: what it looks like; SILENCE_NONE on the way there */
    bool is_unknown;      /* the final dot was sent and no reply came: it may have been taken */
    /* Nobody was asked for want of an access token: why, or NULL; whether it does not pass by
     * itself; and when tokend tries again (microseconds since the epoch, of clock_system()), or 0.
     */
    const struct entra_row *token_cause;
    bool is_stopped;
    int64_t until;
    bool is_token; /* an access token was shown and refused, no password */
    /* At the stage AUTH: the path of the registration that the login's token is, or would be, of;
     * NULL: none. */
    const char *registration;
};

struct submission_handler {
    /* Ready for the first message. */
    void (*opened)(void *context);
    /* It is no more: it could not be opened, an idle one was closed by the peer, or behind `ended`.
     * `end` is NULL behind submission_close(). The connection is released when this returns. */
    void (*closed)(void *context, const struct submission_end *end);
};

/* What happens to a message. */
struct submission_message_handler {
    /* A recipient was refused; the others go on. */
    void (*refused)(void *context, size_t recipient, const struct reply *reply);
    /* The body may come. */
    void (*wants_body)(void *context);
    /* There is room for more of it. */
    void (*drained)(void *context);
    /* For SUBMISSION_STALL seconds nothing has come or gone that should have; or it goes on again.
     */
    void (*stalled)(void *context, bool is_stalled);
    /* Exactly once: it was accepted (a reply of class 2) for all recipients that were not refused,
     * or not. If all recipients were refused the stage is RCPT. */
    void (*ended)(void *context, const struct submission_end *end);
};

/* For all connections. All of it outlives them. */
struct submission_parts {
    struct event_base *base;
    struct evdns_base *dns;
    struct tls *tls;
    struct dial_settings *dialling;
    const struct smtp_settings *smtp;
};

/* Begins to open a connection to the server that these credentials are for; they become its own. */
struct submission *submission_open(const struct submission_parts *parts,
                                   struct credential *credential,
                                   const struct submission_handler *handler, void *context);

/* What is said of reports (DSN), where the server offers them. */
enum submission_reports {
    SUBMISSION_REPORTS,          /* what the envelope says */
    SUBMISSION_NO_REPORTS,       /* NOTIFY=NEVER for each recipient, whatever it says */
    SUBMISSION_REPORTS_LEFT_OUT, /* nothing: no parameter of RFC 3461 */
};

/* Sends what stands before a body. `sender` is the account's address in place of the envelope's.
 * The connection is opened and has no message; envelope and sender outlive `ended`. How long the
 * peer may say and take nothing, up to the final dot, is doubled `doublings` times, within bounds.
 */
void submission_send(struct submission *submission, const struct envelope *envelope,
                     const char *sender, enum submission_reports reports, unsigned doublings,
                     const struct submission_message_handler *handler, void *context);

/* Whether the server offers DSN, and the recipient has parameters of it that were said. */
bool submission_has_wishes(const struct submission *submission, size_t recipient);

/* Takes as much of the body as there is room for out of `bytes`, dot-stuffed, with CRLF. Between
 * `wants_body` and submission_end_body(). False if something was left: `drained` will be called. */
bool submission_write(struct submission *submission, struct evbuffer *bytes);

/* Whether submission_write() would take anything. If not, `drained` will be called. */
bool submission_has_room(const struct submission *submission);

/* The same with all of `bytes`, whether there is room or not: for what is held anyway. */
void submission_write_all(struct submission *submission, struct evbuffer *bytes);

/* The body is whole: sends the final dot, and CRLF before it where the body does not end so. With
 * `is_careful` not before the peer's kernel has the whole body and the connection has outlived that
 * by SUBMISSION_CARE: where it breaks or stalls in the body it is known that nothing was taken. */
void submission_end_body(struct submission *submission, bool is_careful);

/* Up to the final dot: ends the connection as if the peer's time were over. */
void submission_give_up(struct submission *submission);

/* The message is not wanted any more: the connection is closed, `ended` is not called. */
void submission_abandon(struct submission *submission);

/* Says QUIT to an idle connection, which closes soon; another one is dropped. */
void submission_close(struct submission *submission);

/* Closes it at once; what is under way ends as lost. */
void submission_drop(struct submission *submission);

/* The server's name; valid as long as the connection. */
const char *submission_host(const struct submission *submission);

bool submission_is_idle(const struct submission *submission);

/* Whether an opened connection has taken up a TLS session of before. */
bool submission_is_resumed(const struct submission *submission);

#endif
