/* parts.h - what the files of a delivery share: delivery.c, sender.c, room.c, content.c,
 * consequence.c */
#ifndef POST365_TRANSPORT_DELIVERY_PARTS_H
#define POST365_TRANSPORT_DELIVERY_PARTS_H

#include "common/buffer.h"
#include "common/quota.h"
#include "transport/delivery/delivery.h"
#include "transport/delivery/header.h"
#include "transport/delivery/verdict.h"

#include <stdbool.h>
#include <time.h>

#define SENDER_SHOWN 256 /* octets, in replies and in the log */

/* Seconds until DATA is answered; conf/master.cf grants 300. */
#define DELIVERY_DATA_TIMEOUT 240

struct delivery {
    struct deliveries *all;
    struct delivery *next, **linked_by;
    struct lmtp_transaction *transaction; /* NULL: nobody is to be told any more */
    enum delivery_state state;
    char *account; /* the folded UPN */
    char *sender;  /* on the wire */
    char *envid;   /* the client's own, where it stood before the milter's decision */
    char queue_id[64];
    bool is_id_sealed; /* the milter has told it: it may have changed since */
    struct quota quota;
    struct envelope sent; /* what is sent of the envelope, whose strings these are */
    size_t recipients;    /* of the whole envelope */
    char **refusals;      /* for each recipient, or NULL */
    size_t refused;
    size_t wishes_refused; /* of them: because of what they want reported */
    enum submission_reports reports;
    struct header *header; /* in DELIVERY_BODY, until it has been judged */
    struct ledger_call *call;
    bool has_reservation;
    uint64_t unheard; /* when it began to wait for the ledger, distribution_clock(), or 0 */
    bool is_claiming, is_to_settle; /* `call` asks for it anew; when it is there it is settled */
    uint64_t reservation;
    struct pool_request *request;
    struct submission *submission;
    bool is_fresh, was_retried;
    const char *obeyed;        /* the last cause's name that the account was paused for */
    const char *registration;  /* within delivery_note_end(): submission_end's */
    bool is_stalled;           /* its connection is */
    bool is_given_up;          /* its connection is, at the next turn */
    bool is_unknown;           /* it may have been delivered */
    struct event *timer;       /* the end of Postfix's patience */
    uint64_t begun, connected; /* microseconds of distribution_clock() */
    struct verdict verdict;
};

struct deliveries {
    struct delivery_parts parts;
    struct delivery_counts counts;
    struct delivery *first;
    struct dictionary *troubled;  /* accounts that are paused, as far as is known */
    struct dictionary *standings; /* how the last messages of each account ended: doubt.c */
    uint64_t ledger_lost;       /* when it was first missed, distribution_clock(); 0: it is there */
    struct dictionary *waiting; /* accounts of which mail waits for room: widening.c */
    struct dictionary *doubtful; /* queue ids of what may have been delivered */
    struct dictionary *stalls;   /* and how often those have stalled that have */
    struct buffer greeting;      /* for the one who was turned away last */
    struct event *look;
};

/* --- delivery.c --- */

/* The queue id, for the log; "NOQUEUE" if it is not known. */
const char *delivery_shown_id(const struct delivery *delivery);
/* How long the present state may take, in seconds. */
void delivery_set_timer(struct delivery *delivery, time_t seconds);
/* The ledger has granted room: asks for a connection. */
void delivery_take_connection(struct delivery *delivery);
/* Ends it with this reply, of one line without CRLF: at DATA, the whole message; or behind it, for
 * each recipient its refusal or the verdict. */
void delivery_refuse(struct delivery *delivery, const char *reply);
void delivery_reply(struct delivery *delivery);
/* Ends it with this temporary reply, wherever it is before its final dot. */
void delivery_put_off(struct delivery *delivery, const char *reply);
/* Sends the final dot. */
void delivery_finish(struct delivery *delivery);

/* --- doubt.c --- */

/* The body is whole: its final dot is sent, held back, or never, when that could make another copy
 * where copies are made already. */
void delivery_close_body(struct delivery *delivery);
/* What is held, and what has not begun yet, goes on or is put off: something of this account has
 * come to its end. */
void delivery_look_at_held(struct deliveries *all, const char *account);
/* Microsoft has told what became of a message. */
void delivery_note_known(struct delivery *delivery);
/* Nobody knows what became of it. */
void delivery_note_unknown(struct delivery *delivery);
/* The connection was lost before the final dot. */
void delivery_note_broken(struct delivery *delivery);
/* Other messages get through: those that stall are given up. */
void delivery_give_up_stalled(struct deliveries *all, const char *account);
/* Whether one has got through while this one had its connection. */
bool delivery_is_overtaken(const struct delivery *delivery);
/* Whether the connection is to be looked at before the final dot. */
bool delivery_is_careful(const struct delivery *delivery);

/* --- sender.c --- */

/* Finds the account: the one that the milter has sealed, or else that of the socket, or else of the
 * envelope's sender; who stands in MAIL FROM; the account's quota. Leaves out the recipients that
 * are too many at once. False with the reply. */
bool delivery_find_account(struct delivery *delivery, const char *socket_account,
                           struct buffer *reply);

/* --- content.c --- */

/* The content may come: its header is held back first. */
void delivery_begin_content(struct delivery *delivery);
/* lmtp_handler's body and end. */
void delivery_take_content(void *message, struct evbuffer *bytes);
void delivery_end_content(void *message, uint64_t replaced);

/* --- room.c --- */

/* Asks for room. False if the delivery is over already. */
bool delivery_ask_ledger(struct delivery *delivery);
/* Whether it waits for the ledger to come back, and the end of that. */
bool delivery_is_unheard(const struct delivery *delivery);
void delivery_tell_no_ledger(struct delivery *delivery);
/* It is to be tried again as soon as Postfix has put it off. */
void delivery_wake_soon(const struct delivery *delivery);
/* It was not sent. If policyd is not told, it counts: that is the safe side. */
void delivery_release(struct delivery *delivery);
/* What was reserved for it is lost, and it is being sent: reserves it again, room or not. */
void delivery_claim(struct delivery *delivery);
/* It was sent, or may have been, to those that were not refused; then Postfix is told. */
void delivery_settle(struct delivery *delivery);

/* --- widening.c --- */

/* It was told when there will be room. */
void delivery_note_waiting(const struct delivery *delivery, const struct ledger_reply *answer);
/* Asks the ledger whether there is more than was told. */
void delivery_look_for_width(struct deliveries *all);

/* --- consequence.c --- */

/* What the verdict says about the account. */
void delivery_obey(struct delivery *delivery);
/* The message, or the way there, has ended so. */
void delivery_note_end(struct delivery *delivery, const struct submission_end *end);
/* How often in a row connections of its account were lost before the final dot. */
unsigned delivery_losses(const struct delivery *delivery);
/* Whether its account is to be paused, or is in doubt: then nothing of it begins. */
bool delivery_must_wait(const struct delivery *delivery);
/* The 450 that says so, in `reply`. */
void delivery_write_paused(const struct delivery *delivery, struct buffer *reply);
/* Its connection stalls, or does no longer. */
void delivery_note_stalled(struct delivery *delivery, bool is_stalled);
/* The ledger has forgotten which do. */
void delivery_note_stalls_again(struct deliveries *all);
/* The ledger says that the account is paused, why, and until when (microseconds since the epoch).
 */
void delivery_note_pause(struct deliveries *all, const char *account, const char *cause,
                         int64_t until);
/* Microsoft has not answered, or the ledger cannot. */
void delivery_note_silence(struct deliveries *all, const char *account);
/* Of what is in deliveries.troubled. */
void delivery_release_trouble(void *trouble);
/* From now on it is noticed when somebody ends a pause. */
void delivery_look_begin(struct deliveries *all);
/* lmtp_handler's greet: 421 while the account is known to be paused. */
const char *delivery_greet(void *context, const char *account);

#endif
