/*
 * transfer.c - the bytes of a message: DATA and BDAT
 *
 * Only <CRLF>.<CRLF> ends DATA. A dot behind a bare LF or a bare CR, or before one, is a part of
 * the message like any other byte, so that nothing can be smuggled past this program that Office
 * 365 would see as two messages.
 */
#include "transfer.h"

#include "allocate.h"
#include "dialogue.h"
#include "encoding.h"
#include "submission.h"

#include <string.h>

/* new_message - start hashing, and saving if that is wanted */
static struct message *new_message(struct session *session)
{
    const char *directory = session->server->settings->save_directory;
    char *path = NULL;
    struct problem problem = {""};
    struct message *message;

    session->messages++;
    if (directory != NULL)
        path = format("%s/%lld-%lld.eml", directory, (long long)session->id,
                      (long long)session->messages);
    message = message_create(path, &problem);
    if (message == NULL) {
        fprintf(stderr, "office365: %s\n", problem.text);
        message = message_create(NULL, &problem);
    }
    free(path);
    return message;
}

void transfer_begin(struct session *session, enum session_state state)
{
    struct transaction *transaction = &session->transaction;
    struct evbuffer *input = bufferevent_get_input(session->stream);

    session->state = state;
    transaction->message = new_message(session);
    transaction->chunked = state == SESSION_CHUNK;
    session->position = DATA_LINE_START;
    session->body_fault = session_fault(session, STAGE_BODY, NULL);
    if (state == SESSION_DATA && evbuffer_get_length(input) > 0)
        message_note(transaction->message, NOTE_EARLY_DATA);
}

/* spend_fault - a fault within the message fires once it is due */
static void spend_fault(struct session *session)
{
    struct fault *fault = session->body_fault;
    struct answer answer = {.manner = ANSWER_SILENT};

    if (fault == NULL || message_size(session->transaction.message) < fault->after)
        return;
    session->body_fault = NULL;
    answer_disturb(&answer, fault, session->server->faults, session_upn(session), NULL,
                   session->stamp);
    fault_release(fault);
    session_send(session, &answer);
}

/* portion - how many of these bytes may be taken before a fault is due */
static size_t portion(const struct session *session, size_t available)
{
    const struct fault *fault = session->body_fault;
    int64_t left;

    if (fault == NULL)
        return available;
    left = fault->after - message_size(session->transaction.message);
    return left < (int64_t)available ? (size_t)(left > 0 ? left : 1) : available;
}

/* step - one byte that is not in the midst of a line; true if it is part of the message */
static bool step(struct session *session, char byte, bool *ended)
{
    enum data_position before = session->position;

    switch (before) {
    case DATA_LINE_START:
        session->position = byte == '.' ? DATA_DOT : byte == '\r' ? DATA_TEXT_CR : DATA_TEXT;
        return byte != '.';
    case DATA_DOT:
        session->position = byte == '\r' ? DATA_DOT_CR : DATA_TEXT;
        return byte != '\r';
    case DATA_DOT_CR:
        *ended = byte == '\n';
        if (!*ended) /* the dot was stuffing after all, and the CR belongs to the text */
            message_add(session->transaction.message, "\r", 1);
        session->position = byte == '\r' ? DATA_TEXT_CR : DATA_TEXT;
        return !*ended;
    default:
        session->position = byte == '\r'                             ? DATA_TEXT_CR
                            : before == DATA_TEXT_CR && byte == '\n' ? DATA_LINE_START
                                                                     : DATA_TEXT;
        return true;
    }
}

/* scan - take bytes of DATA up to the end of the message; how many they were */
static size_t scan(struct session *session, const char *bytes, size_t length, bool *ended)
{
    struct message *message = session->transaction.message;
    size_t from = 0, at = 0;

    while (at < length && !*ended) {
        if (session->position == DATA_TEXT) { /* nothing matters before the next CR */
            const char *cr = memchr(bytes + at, '\r', length - at);
            at = cr != NULL ? (size_t)(cr - bytes) : length;
            if (cr == NULL)
                break;
        }
        if (!step(session, bytes[at], ended)) {
            message_add(message, bytes + from, at - from);
            from = at + 1;
        }
        at++;
    }
    message_add(message, bytes + from, at - from);
    return at;
}

/* front - the first bytes of the input, at least one; false if there is none. The first block of an
 * evbuffer may be empty although others follow. */
static bool front(struct evbuffer *input, struct evbuffer_iovec *block)
{
    return evbuffer_get_length(input) > 0 && evbuffer_pullup(input, 1) != NULL &&
           evbuffer_peek(input, -1, NULL, block, 1) >= 1;
}

bool transfer_data(struct session *session, struct evbuffer *input)
{
    struct evbuffer_iovec block;
    bool ended = false;
    size_t used;

    if (!front(input, &block))
        return false;
    used = scan(session, block.iov_base, portion(session, block.iov_len), &ended);
    evbuffer_drain(input, used);
    if (ended)
        submission_end(session);
    else
        spend_fault(session);
    return true;
}

/* ---- BDAT ---- */

/* refuse_chunk - the chunk has been read and thrown away, and with it the message */
static void refuse_chunk(struct session *session, struct answer *answer)
{
    session->transaction.failed = session->transaction.open;
    dialogue_refuse(session, STAGE_BODY, "data-refused", NULL, NULL, answer);
}

static void end_chunk(struct session *session)
{
    struct answer answer = session->chunk_answer;
    bool first = session->chunk_first;

    session->state = SESSION_COMMAND;
    session->chunk_first = false;
    session->chunk_answer = (struct answer){.manner = ANSWER_SILENT};
    if (!first)
        answer = answer_text(session->chunk_ignored ? "503 5.5.1 Bad sequence of commands"
                                                    : "250 2.6.0 CHUNK received OK");
    if (session->chunk_ignored) {
        refuse_chunk(session, &answer);
    } else if (session->chunk_last) {
        answer_clear(&answer);
        submission_end(session);
    } else if (message_size(session->transaction.message) >
               session->server->settings->message_size) {
        answer_clear(&answer);
        answer = answer_row(REPLY_TOO_LARGE, NULL, NULL, session->stamp);
        refuse_chunk(session, &answer);
    } else {
        session_send(session, &answer);
    }
}

/* begin_chunked - the first chunk of a message is what DATA is otherwise, for faults too */
static void begin_chunked(struct session *session)
{
    session->chunk_first = true;
    session->chunk_answer = answer_text("250 2.6.0 CHUNK received OK");
    session->chunk_ignored = !session_disturb(session, STAGE_DATA, NULL, &session->chunk_answer);
    session->transaction.chunked = true;
    if (!session->chunk_ignored)
        transfer_begin(session, SESSION_CHUNK);
}

void transfer_begin_chunk(struct session *session, int64_t size, bool last, bool out_of_order)
{
    session->chunk_left = size;
    session->chunk_last = last;
    session->chunk_ignored = out_of_order;
    session->state = SESSION_CHUNK;
    if (!out_of_order && session->transaction.message == NULL)
        begin_chunked(session);
}

bool transfer_chunk(struct session *session, struct evbuffer *input)
{
    struct evbuffer_iovec block;
    size_t length;

    if (session->chunk_left > 0) {
        if (!front(input, &block))
            return false;
        length = block.iov_len;
        if ((int64_t)length > session->chunk_left)
            length = (size_t)session->chunk_left;
        if (!session->chunk_ignored) {
            length = portion(session, length);
            message_add(session->transaction.message, block.iov_base, length);
        }
        session->chunk_left -= (int64_t)length;
        evbuffer_drain(input, length);
    }
    if (!session->chunk_ignored)
        spend_fault(session);
    if (session->chunk_left == 0 && session->state == SESSION_CHUNK && session->hold == HOLD_NONE)
        end_chunk(session);
    return true;
}
