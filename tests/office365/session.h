/*
 * session.h - one connection: its bytes, its waits, its end
 *
 * session.c moves bytes and knows when; dialogue.c, auth.c, transfer.c and submission.c know what
 * they mean. They share this structure, and nobody else looks into it.
 *
 * While something is to happen first (a delay, a reply that must be written, a handshake) the
 * session is on hold: input waits in its buffer, which is bounded, and then in the peer's.
 */
#ifndef OFFICE365_SESSION_H
#define OFFICE365_SESSION_H

#include "answer.h"
#include "bearer.h"
#include "envelope.h"
#include "message.h"
#include "server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <jansson.h>
#include <openssl/ssl.h>
#include <sys/queue.h>
#include <sys/socket.h>

enum session_state {
    SESSION_COMMAND,       /* the next line is a command */
    SESSION_AUTH_USERNAME, /* the next line answers a challenge of AUTH */
    SESSION_AUTH_PASSWORD,
    SESSION_AUTH_TOKEN,
    SESSION_DATA,   /* a message up to the lonely dot */
    SESSION_CHUNK,  /* the bytes of a BDAT */
    SESSION_ENDING, /* the last reply is on its way; what comes in is thrown away */
    SESSION_GONE    /* closed and journalled; freed at the end of the callback */
};

enum session_hold {
    HOLD_NONE,
    HOLD_DELAY,    /* the timer runs */
    HOLD_ENDLESS,  /* a reply goes out for ever */
    HOLD_OUTCOME,  /* the reply to a message must be written before anything else */
    HOLD_STARTTLS, /* the reply to STARTTLS must be written before the handshake */
    HOLD_HANDSHAKE
};

/* where in the dot-stuffed text of a message we are */
enum data_position {
    DATA_LINE_START,
    DATA_DOT,    /* a dot at the start of a line */
    DATA_DOT_CR, /* and a CR behind it */
    DATA_TEXT,
    DATA_TEXT_CR
};

/* what MAIL began */
struct transaction {
    bool open;
    struct envelope sender;
    json_t *recipients; /* each RCPT for the journal, accepted or refused */
    char **addresses;   /* the accepted ones */
    size_t accepted;
    bool chunked; /* BDAT was used */
    bool failed;  /* a BDAT was refused: only RSET helps */
    struct message *message;
};

struct session {
    struct server *server;
    LIST_ENTRY(session) entry;
    int64_t id;
    uint64_t stamp;
    char peer[64];
    struct bufferevent *stream;
    SSL *ssl; /* owned by the stream; NULL without TLS */
    enum session_state state;
    enum session_hold hold;
    struct event *timer;
    double wait;                             /* seconds that are left when the timer rings */
    void (*resume)(struct session *session); /* what happens then */
    const char *end;                         /* why it ended, once it has */
    bool client_closed;
    enum tls_identity identity; /* to be shown in the handshake */

    bool greeted;
    bool extended; /* by EHLO */
    bool overlong; /* the line that is coming in is too long */
    struct mailbox *mailbox;
    const char *mechanism;
    char *username;               /* of AUTH LOGIN, until the password is there */
    struct bearer_verdict bearer; /* on the token of the last AUTH XOAUTH2 */

    struct transaction transaction;
    int64_t messages; /* begun so far, to name them */
    enum data_position position;
    int64_t chunk_left;
    bool chunk_last;
    bool chunk_ignored;
    bool chunk_first;
    struct answer chunk_answer; /* to the first chunk of a message, once it has been read */
    struct fault *body_fault;
    struct fault *dot_fault;
    bool unanswered; /* a verdict is in the journal, and its reply is not yet written */

    struct answer answer; /* the one that is being given */
    size_t answered;      /* bytes of it (ANSWER_TRICKLE, ANSWER_ENDLESS) */
};

/* session_open - take over a connected socket, and greet */
void session_open(struct server *server, int fd, const struct sockaddr *address, int length);

/*
 * session_disturb - look for a fault at this stage (recipient: the one in question, or NULL for
 * those of the transaction), and let it change the answer. Returns whether the client will be told
 * yes, which is when the command has its effect.
 */
bool session_disturb(struct session *session, enum stage stage, char *recipient,
                     struct answer *answer);

/* session_fault - the fault that fires at this stage, already in the journal; or NULL */
struct fault *session_fault(struct session *session, enum stage stage, char *recipient);

/* session_send - give an answer; it belongs to the session then. Input waits until it is given. */
void session_send(struct session *session, struct answer *answer);

/* session_wait - hold the session for some seconds, then go on with resume; if the client goes away
 * meanwhile, the session ends */
void session_wait(struct session *session, double seconds, void (*resume)(struct session *session));

/* session_event - a new journal entry about this connection */
json_t *session_event(const struct session *session, const char *event);

/* session_drop - close at once, for this reason */
void session_drop(struct session *session, const char *reason);

/* session_drop_all - close at once all connections, or those of one mailbox; how many they were */
int64_t session_drop_all(struct server *server, const struct mailbox *mailbox, const char *reason);

/* session_tally - where replies to this client are counted */
struct tally *session_tally(struct session *session);

/* session_upn - the login, or NULL */
const char *session_upn(const struct session *session);

/* transaction_reset - forget MAIL, and all that came after it */
void transaction_reset(struct session *session);

#endif
