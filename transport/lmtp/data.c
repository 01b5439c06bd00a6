/* data.c - a message between its client and its handler
 *
 * The handler's notes (decision, replies, resume) are acted on in steps of the session. A
 * transaction is over for the handler when it has refused it or given all replies; nothing is
 * called for it from then on.
 */
#include "transport/lmtp/parts.h"

#include "common/harmless.h"
#include "common/log.h"
#include "common/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SEND_IT     "354 End data with <CR><LF>.<CR><LF>"
#define NO_REPLY    "451 4.3.0 Internal error"
#define MARK_LENGTH 4 /* of a code and the blank behind it */

/* --- what the handler says ------------------------------------------------------ */

static bool is_reply(const char *reply, const char *classes)
{
    return reply[0] != '\0' && strchr(classes, reply[0]) != NULL &&
           isdigit((unsigned char)reply[1]) && isdigit((unsigned char)reply[2]) && reply[3] == ' ';
}

/* A copy that is one line. The text of a reply may come from a server that means no good. */
static char *copy_reply(const char *reply, const char *classes)
{
    if (!is_reply(reply, classes)) {
        log_error("\"%.100s\" is no reply to Postfix: it is told \"%s\"", reply, NO_REPLY);
        return memory_copy(NO_REPLY);
    }
    char *line = memory_copy_bytes(reply, strnlen(reply, LMTP_REPLY_MAX));
    harmless_make(line + MARK_LENGTH, '?');
    return line;
}

static bool is_over(const struct lmtp_transaction *transaction)
{
    return transaction->decision == LMTP_REFUSED || transaction->given == transaction->reply_count;
}

static bool decide(struct lmtp_transaction *transaction, enum lmtp_decision decision)
{
    if (transaction->decision != LMTP_UNDECIDED) {
        log_error("a message was decided about already: the second decision is dropped");
        return false;
    }
    transaction->decision = decision;
    lmtp_wake(transaction->session);
    return true;
}

void lmtp_go_on(struct lmtp_transaction *transaction)
{
    decide(transaction, LMTP_WELCOME);
}

void lmtp_refuse(struct lmtp_transaction *transaction, const char *reply)
{
    if (decide(transaction, LMTP_REFUSED))
        transaction->refusal = copy_reply(reply, "45");
}

void lmtp_resume(struct lmtp_transaction *transaction)
{
    transaction->is_resumed = true;
    lmtp_wake(transaction->session);
}

void lmtp_reply(struct lmtp_transaction *transaction, size_t recipient, const char *reply)
{
    if (recipient >= transaction->reply_count || transaction->replies[recipient] != NULL) {
        log_error("recipient %zu of %zu has a reply already, or is none: \"%.100s\" is dropped",
                  recipient, transaction->reply_count, reply);
        return;
    }
    transaction->replies[recipient] = copy_reply(reply, "245");
    transaction->given++;
    lmtp_wake(transaction->session);
}

/* --- life ------------------------------------------------------------------------ */

void lmtp_transaction_begin(struct lmtp_session *session)
{
    const struct lmtp_handler *handler = &session->server->handler;
    struct lmtp_transaction *transaction = memory_zero(1, sizeof(*transaction));
    transaction->session = session;
    transaction->bytes = evbuffer_new();
    transaction->reply_count = session->envelope.recipient_count;
    transaction->replies = memory_zero(transaction->reply_count, sizeof(*transaction->replies));
    session->transaction = transaction;
    session->state = LMTP_AT_DECISION;
    transaction->message =
        handler->begin(handler->context, transaction, &session->envelope, session->account);
}

void lmtp_transaction_forget(struct lmtp_session *session)
{
    struct lmtp_transaction *transaction = session->transaction;
    envelope_clear(&session->envelope);
    if (transaction == NULL)
        return;
    for (size_t i = transaction->sent; i < transaction->reply_count; i++)
        free(transaction->replies[i]);
    free(transaction->replies);
    free(transaction->refusal);
    evbuffer_free(transaction->bytes);
    free(transaction);
    session->transaction = NULL;
}

void lmtp_transaction_abandon(struct lmtp_session *session)
{
    const struct lmtp_transaction *transaction = session->transaction;
    if (transaction != NULL && !is_over(transaction))
        session->server->handler.gone(transaction->message);
    lmtp_transaction_forget(session);
}

bool lmtp_transaction_waits_for_client(const struct lmtp_session *session)
{
    const struct lmtp_transaction *transaction = session->transaction;
    return session->state == LMTP_AT_BODY &&
           evbuffer_get_length(transaction->bytes) < LMTP_UNCONSUMED_MAX;
}

/* --- steps ------------------------------------------------------------------------ */

bool lmtp_step_decision(struct lmtp_session *session)
{
    struct lmtp_transaction *transaction = session->transaction;
    if (transaction->decision == LMTP_UNDECIDED)
        return false;
    session->has_progressed = true;
    if (transaction->decision == LMTP_WELCOME) {
        lmtp_say(session, SEND_IT);
        session->state = LMTP_AT_BODY;
    } else {
        lmtp_say(session, transaction->refusal);
        lmtp_transaction_forget(session);
        session->state = LMTP_AT_COMMAND;
    }
    return true;
}

/* The octets at the beginning of the input, in one piece: as many as lie together, but enough for
 * the reader to tell what they are, if there are so many. */
static char *look_at_input(struct evbuffer *input, size_t *length)
{
    size_t there = evbuffer_get_length(input);
    size_t enough = there < BODY_UNDECIDED_MAX + 1 ? there : BODY_UNDECIDED_MAX + 1;
    *length = evbuffer_get_contiguous_space(input);
    if (*length >= enough)
        return (char *)evbuffer_pullup(input, (ev_ssize_t)*length);
    char *octets = (char *)evbuffer_pullup(input, (ev_ssize_t)enough);
    *length = evbuffer_get_contiguous_space(input);
    return octets;
}

/* Moves the message's octets from the input to `bytes` until that is full, or nothing can be told
 * about what is left. They are worked on where the socket put them and move without being copied.
 */
static size_t take_input(struct lmtp_transaction *transaction, struct evbuffer *input)
{
    struct body *body = &transaction->body;
    size_t taken = 0, took = 1;
    while (took > 0 && !body->has_ended &&
           evbuffer_get_length(transaction->bytes) < LMTP_UNCONSUMED_MAX &&
           evbuffer_get_length(input) > 0) {
        size_t length;
        char *octets = look_at_input(input, &length);
        took = body_take(body, octets, length);
        evbuffer_remove_buffer(input, transaction->bytes, took);
        if (is_over(transaction))
            evbuffer_drain(transaction->bytes, took);
        taken += took;
    }
    if (body->has_ended)
        evbuffer_drain(input, BODY_END_LENGTH);
    return taken;
}

/* Gives the handler what there is, if that is more than the last time or it has asked for it.
 * Returns whether it has drained some. */
static bool hand_over(struct lmtp_session *session, bool is_more)
{
    struct lmtp_transaction *transaction = session->transaction;
    size_t before = evbuffer_get_length(transaction->bytes);
    bool is_wanted = is_more || transaction->is_resumed;
    transaction->is_resumed = false;
    if (is_over(transaction))
        evbuffer_drain(transaction->bytes, before);
    else if (is_wanted && before > 0)
        session->server->handler.body(transaction->message, transaction->bytes);
    return evbuffer_get_length(transaction->bytes) < before;
}

bool lmtp_step_body(struct lmtp_session *session)
{
    struct lmtp_transaction *transaction = session->transaction;
    size_t taken = take_input(transaction, bufferevent_get_input(session->stream));
    transaction->lately += taken;
    if (transaction->lately >= LMTP_LEAST || transaction->body.has_ended) {
        transaction->lately = 0;
        session->has_progressed = true;
    }
    if (transaction->body.has_ended)
        session->state = LMTP_AT_REST;
    return hand_over(session, taken > 0) || taken > 0 || session->state == LMTP_AT_REST;
}

bool lmtp_step_rest(struct lmtp_session *session)
{
    struct lmtp_transaction *transaction = session->transaction;
    bool has_drained = hand_over(session, false);
    if (evbuffer_get_length(transaction->bytes) > 0)
        return has_drained;
    session->state = LMTP_AT_REPLIES;
    if (!is_over(transaction))
        session->server->handler.end(transaction->message, transaction->body.replaced);
    return true;
}

bool lmtp_step_replies(struct lmtp_session *session)
{
    struct lmtp_transaction *transaction = session->transaction;
    char *reply = transaction->replies[transaction->sent];
    if (reply == NULL)
        return false;
    session->has_progressed = true;
    lmtp_say(session, reply);
    free(reply);
    transaction->sent++;
    if (transaction->sent == transaction->reply_count) {
        lmtp_transaction_forget(session);
        session->state = LMTP_AT_COMMAND;
    }
    return true;
}
