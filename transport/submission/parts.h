/* parts.h - what the files of a connection share: submission.c, opening.c, message.c */
#ifndef POST365_TRANSPORT_SUBMISSION_PARTS_H
#define POST365_TRANSPORT_SUBMISSION_PARTS_H

#include "common/upstream/sasl.h"
#include "transport/submission/submission.h"

#include <time.h>

#define SUBMISSION_TEXT_SIZE 640

enum submission_state {
    SUBMISSION_DIALLING,
    SUBMISSION_GREETING,
    SUBMISSION_EHLO,
    SUBMISSION_STARTTLS,
    SUBMISSION_HANDSHAKE,
    SUBMISSION_EHLO_SECURE,
    SUBMISSION_AUTH,
    SUBMISSION_IDLE,
    SUBMISSION_ENVELOPE, /* MAIL, RCPT..., DATA are under way */
    SUBMISSION_BODY,
    SUBMISSION_FINAL,
    SUBMISSION_QUIT,
    SUBMISSION_CLOSED,
};

/* What the server offers. */
enum submission_extension {
    EXTENSION_STARTTLS = 1 << 0,
    EXTENSION_PIPELINING = 1 << 1,
    EXTENSION_8BITMIME = 1 << 2,
    EXTENSION_SMTPUTF8 = 1 << 3,
    EXTENSION_DSN = 1 << 4,
    EXTENSION_SIZE = 1 << 5,
    EXTENSION_LOGIN = 1 << 6,
    EXTENSION_XOAUTH2 = 1 << 7,
};

struct submission {
    const struct submission_parts *parts;
    struct destination destination;
    struct credential credential; /* until it is logged in */
    const struct submission_handler *handler;
    void *context;
    enum submission_state state;
    struct dial *dial; /* while there is no connection */
    struct bufferevent *connection;
    struct event *deadline; /* of the reply that is awaited */
    struct event *stall;    /* when the silence before it is told */
    bool is_held;           /* it must not be released below our feet */
    bool was_used;          /* it has carried a message: nobody knows whether it still lives */
    unsigned extensions;
    struct reply reply;
    struct sasl sasl;
    char text[SUBMISSION_TEXT_SIZE]; /* what went wrong */
    /* the message */
    const struct envelope *envelope;
    const char *sender;
    enum submission_reports reports;
    const struct submission_message_handler *message;
    void *message_context;
    size_t asked, answered; /* of MAIL, RCPT..., DATA */
    size_t accepted;        /* recipients */
    bool mail_refused;
    bool is_void;     /* nobody to send to: the answer is known, the end is not yet */
    bool was_refused; /* `refusal` is MAIL's or DATA's, or the last recipient's */
    struct reply refusal;
    enum reply_stage refusal_stage;
    char last[2]; /* of the body */
    unsigned doublings;
    bool is_stalled, is_impatient; /* told; the end is for want of patience */
    uint64_t given, taken;         /* octets of the body: to the connection; by the peer, at last */
    time_t not_taken;              /* for so many seconds nothing was taken */
    struct event *dot;             /* when it is looked whether the final dot may go */
    int unacknowledged;            /* octets, at the last look */
    unsigned looks;                /* with the same result */
};

/* --- submission.c --- */

/* What is heard and what happens on this connection is the submission's from now on. */
void submission_watch(struct submission *submission, struct bufferevent *connection);

/* Says something. */
__attribute__((format(printf, 2, 3))) void submission_say(struct submission *submission,
                                                          const char *format, ...);

/* Goes into a state in which the whole reply has to come within so many seconds, however slowly;
 * 0: for ever. */
void submission_wait(struct submission *submission, enum submission_state state, time_t seconds);
void submission_set_deadline(struct submission *submission, time_t seconds);

/* Tells the message that it does not go on, or does again. */
void submission_tell_stalled(struct submission *submission, bool is_stalled);

/* Opened, and without a message. */
void submission_become_idle(struct submission *submission);

bool submission_is_class(const struct submission *submission, unsigned class);

/* The message has come to its end, if there is one. */
void submission_end_message(struct submission *submission, const struct submission_end *end);

/* The connection ends: without a reply that says why; with the reply that was read; in any way. */
__attribute__((format(printf, 2, 3))) void submission_lose(struct submission *submission,
                                                           const char *format, ...);
void submission_refuse(struct submission *submission);
void submission_finish(struct submission *submission, const struct submission_end *end);

/* Between these two a connection that ends is not released: something still looks at it. */
void submission_hold(struct submission *submission);
void submission_let_go(struct submission *submission);

/* --- opening.c --- */

/* Begins with the name. */
void submission_dial(struct submission *submission);
/* TLS is there. */
void submission_connected(struct submission *submission);
/* A line of the reply to EHLO, behind its code: a keyword and its parameters. */
void submission_note_extension(struct submission *submission, const char *line, size_t length);
void submission_take_opening_reply(struct submission *submission);

/* --- message.c --- */

/* The peer has taken nothing of the body for a while. */
void submission_note_not_taken(struct submission *submission);

/* A look before the final dot. */
void submission_look_before_dot(struct submission *submission);

void submission_take_envelope_reply(struct submission *submission);
void submission_take_final_reply(struct submission *submission);

#endif
