/* parts.h - what the files of the LMTP server share: server.c, dialogue.c, data.c
 *
 * A session is worked on in steps, from events of the loop alone: server.c calls the step of the
 * session's state until nothing more can be done. What the handler calls only leaves a note and
 * wakes the session.
 */
#ifndef POST365_TRANSPORT_LMTP_PARTS_H
#define POST365_TRANSPORT_LMTP_PARTS_H

#include "transport/lmtp/body.h"
#include "transport/lmtp/server.h"

#include <event2/bufferevent.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <time.h>

enum lmtp_state {
    LMTP_AT_COMMAND,   /* waits for a command */
    LMTP_AT_LONG_LINE, /* throws away a line that is too long */
    LMTP_AT_DECISION,  /* DATA was said: the handler decides */
    LMTP_AT_BODY,      /* the message is coming */
    LMTP_AT_REST,      /* it has come, but the handler has not drained all of it */
    LMTP_AT_REPLIES,   /* the handler has all of it: replies leave in their order */
    LMTP_CLOSING,      /* closes when the last reply has been sent */
    LMTP_CLOSED,       /* is released when the event is over */
};

enum lmtp_decision {
    LMTP_UNDECIDED,
    LMTP_WELCOME,
    LMTP_REFUSED,
};

struct lmtp_transaction {
    struct lmtp_session *session;
    void *message; /* the handler's */
    enum lmtp_decision decision;
    char *refusal;
    struct body body;
    struct evbuffer *bytes; /* what the handler has not drained */
    bool is_resumed;        /* the handler wants what it left */
    size_t lately;          /* octets that have come since the client's time began */
    char **replies;         /* one for each recipient, NULL if not given yet */
    size_t reply_count, given, sent;
};

struct lmtp_session {
    struct lmtp_session *next, *previous;
    struct lmtp *server;
    char *account; /* or NULL */
    struct bufferevent *stream;
    enum lmtp_state state;
    bool is_greeted;     /* LHLO was said */
    bool is_hurried;     /* the server stops: his time is short */
    bool has_progressed; /* in this event: the client's time begins anew */
    unsigned garbage;    /* lines that were no command */
    struct envelope envelope;
    struct lmtp_transaction *transaction; /* from LMTP_AT_DECISION to LMTP_AT_REPLIES */
    struct event wake_event;
    struct event timeout_event;
};

struct lmtp {
    struct event_base *base;
    struct lmtp_settings settings;
    struct lmtp_handler handler;
    char *hostname;
    struct lmtp_listener *listeners;
    struct lmtp_session *sessions;
    size_t session_count;
    bool is_stopping;
    /* Set while the handler may be called: then what it releases has to stay until it returns. */
    bool is_busy;
    bool is_released;
    /* log lines that are not repeated all the time */
    time_t minute;
    unsigned complaints; /* in that minute */
    char line[LMTP_LINE_MAX + 1];
};

/* --- server.c --- */

/* Sends one line. */
void lmtp_say(struct lmtp_session *session, const char *reply);
/* Sends the last one, and closes the connection behind it. */
void lmtp_say_last(struct lmtp_session *session, const char *reply);
/* Logs what the client was told for a mistake of his, but not more than some a minute. */
void lmtp_complain(struct lmtp_session *session, const char *reply);
/* Lets the session go on from the event loop. */
void lmtp_wake(struct lmtp_session *session);

/* --- dialogue.c: each step tells whether there may be more to do --- */

bool lmtp_step_command(struct lmtp_session *session);
bool lmtp_step_long_line(struct lmtp_session *session);

/* --- data.c --- */

/* DATA with an envelope that has recipients. */
void lmtp_transaction_begin(struct lmtp_session *session);
bool lmtp_step_decision(struct lmtp_session *session);
bool lmtp_step_body(struct lmtp_session *session);
bool lmtp_step_rest(struct lmtp_session *session);
bool lmtp_step_replies(struct lmtp_session *session);
/* Whether it is the client from whom something is awaited, in these states. */
bool lmtp_transaction_waits_for_client(const struct lmtp_session *session);
/* The client is gone. */
void lmtp_transaction_abandon(struct lmtp_session *session);
/* Releases the transaction, if any, and what the envelope holds. */
void lmtp_transaction_forget(struct lmtp_session *session);

#endif
