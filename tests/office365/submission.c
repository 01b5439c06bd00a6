/*
 * submission.c - the verdict on a whole message
 *
 * Identity first, then the state of the mailbox, then the limits. An accepted message is written to
 * the windows at the moment of the verdict; a refused one nowhere. Verdict and counting are one
 * step of one thread: no two connections can both take the last free place.
 */
#include "submission.h"

#include "allocate.h"
#include "clock.h"
#include "encoding.h"
#include "identity.h"

#include <stdlib.h>
#include <string.h>

static struct limits effective_limits(const struct session *session)
{
    return limits_merge(&session->server->settings->limits, &session->mailbox->own);
}

/* exceeds - would so much more be too much? */
static bool exceeds(struct window *window, int64_t now, const struct limits *limits,
                    enum limit limit, int64_t more)
{
    int64_t most = limits->value[limit];
    int64_t used = window_used(window, now, limits->value[limit + 1]);

    return most != LIMIT_UNLIMITED && used + more > most;
}

bool submission_rate_reached(const struct session *session)
{
    const struct limits limits = effective_limits(session);

    return exceeds(&session->mailbox->messages, clock_monotonic(), &limits, LIMIT_MESSAGES, 1);
}

static enum reply_row content_objection(const struct session *session)
{
    const struct settings *settings = session->server->settings;
    const struct message *message = session->transaction.message;

    if (message_size(message) > settings->message_size)
        return REPLY_TOO_LARGE;
    if (message_header_too_long(message))
        return REPLY_HEADER_TOO_LARGE;
    return REPLY_NONE;
}

static enum reply_row limit_objection(const struct session *session, const struct limits *limits,
                                      int64_t now)
{
    const struct settings *settings = session->server->settings;
    struct mailbox *mailbox = session->mailbox;
    int64_t connections = limits->value[LIMIT_CONNECTIONS];

    if (connections != LIMIT_UNLIMITED && mailbox->sending.now > connections)
        return settings->connections_over;
    if (exceeds(&mailbox->messages, now, limits, LIMIT_MESSAGES, 1))
        return settings->messages_over;
    if (exceeds(&mailbox->recipients, now, limits, LIMIT_RECIPIENTS,
                (int64_t)session->transaction.accepted))
        return settings->recipients_over;
    return REPLY_NONE;
}

/* verdict - the first objection, with the address it is about in *other (new string or NULL) */
static enum reply_row verdict(const struct session *session, const struct limits *limits,
                              int64_t now, char **other)
{
    const struct transaction *transaction = &session->transaction;
    const struct mailbox *mailbox = session->mailbox;
    enum reply_row row = content_objection(session);

    if (row == REPLY_NONE)
        row = identity_check(session->server->settings, mailbox, transaction->sender.address,
                             transaction->message, other);
    if (row == REPLY_NONE && reply_stage(mailbox->state) == STAGE_DOT)
        row = mailbox->state;
    if (row == REPLY_NONE && session->bearer.locked_out)
        row = REPLY_LOGON_FAILURE;
    if (row == REPLY_NONE)
        row = limit_objection(session, limits, now);
    return row;
}

/* refused_note - the first note on the message that the settings do not forgive, or NULL */
static const char *refused_note(const struct session *session)
{
    const struct list *refused = &session->server->settings->refuse_notes;

    for (int i = 0; i < NOTE_COUNT; i++) {
        const char *name = message_note_name((enum message_note)i);
        if (message_has_note(session->transaction.message, (enum message_note)i) &&
            list_has(refused, name))
            return name;
    }
    return NULL;
}

/* accepting_answer - 250 with the Message-ID, if that can be repeated, or with a number */
static struct answer accepting_answer(const struct session *session)
{
    struct message_field field;
    char *text, *id = NULL;
    struct answer answer;

    if (message_field(session->transaction.message, "Message-ID", 0, &field)) {
        const char *at = memchr(field.value, '<', field.length);
        size_t left = at != NULL ? field.length - (size_t)(at - field.value) : 0;
        const char *end = at != NULL ? memchr(at, '>', left < 200 ? left : 200) : NULL;
        id = end != NULL ? duplicate_bytes(at, (size_t)(end - at) + 1) : NULL;
        for (char *byte = id; byte != NULL && *byte != '\0'; byte++) {
            if (*byte <= ' ' || *byte >= 0x7f)
                *byte = '?';
        }
    }
    if (id == NULL)
        id = format("<%lld.%lld@%s>", (long long)session->id, (long long)session->messages,
                    reply_host());
    text = format("250 2.0.0 OK %s [Hostname=%s]", id, reply_host());
    answer = answer_text(text);
    free(text);
    free(id);
    return answer;
}

static struct answer ordinary_answer(const struct session *session, const struct limits *limits,
                                     int64_t now, bool *accepted)
{
    char *other = NULL;
    enum reply_row row = verdict(session, limits, now, &other);
    const char *note = row == REPLY_NONE ? refused_note(session) : NULL;
    struct answer answer;

    *accepted = row == REPLY_NONE && note == NULL;
    if (*accepted) {
        answer = accepting_answer(session);
    } else if (note != NULL) {
        char *text = format("554 5.6.0 Message content not acceptable: %s", note);
        answer = answer_text(text);
        free(text);
    } else {
        answer = answer_row(row, session->mailbox->upn, other, session->stamp);
    }
    free(other);
    return answer;
}

static json_t *accepted_recipients(const struct transaction *transaction)
{
    json_t *list = json_array();
    size_t index;
    json_t *recipient;

    json_array_foreach(transaction->recipients, index, recipient)
    {
        if (json_is_true(json_object_get(recipient, "accepted")))
            encoding_append(list, json_incref(json_object_get(recipient, "address")));
    }
    return list;
}

void submission_describe(const struct session *session, json_t *entry)
{
    const struct transaction *transaction = &session->transaction;
    const struct envelope *sender = &transaction->sender;

    encoding_set(entry, "mechanism", json_string(session->mechanism));
    encoding_set(entry, "tls", json_string(SSL_get_version(session->ssl)));
    encoding_set(entry, "sender", encoding_json(sender->raw, strlen(sender->raw)));
    encoding_set(entry, "parameters", json_incref(sender->parameters));
    encoding_set(entry, "recipients", accepted_recipients(transaction));
    encoding_set(entry, "rcpt", json_incref(transaction->recipients));
}

json_t *submission_name(const struct session *session)
{
    return json_sprintf("%lld-%lld", (long long)session->id, (long long)session->messages);
}

static json_t *describe_outcome(const struct session *session, int64_t now, bool accepted,
                                const struct answer *answer)
{
    json_t *entry = session_event(session, accepted ? "accepted" : "refused");
    char *line = answer_line(answer);

    /* the very moment that went into the windows */
    encoding_set(entry, "mono", json_real((double)now / (double)CLOCK_SECOND));
    submission_describe(session, entry);
    encoding_set(entry, "message", submission_name(session));
    encoding_set(entry, "stage", json_string(stage_name(STAGE_DOT)));
    encoding_set(entry, "chunked", json_boolean(session->transaction.chunked));
    encoding_set(entry, "reply",
                 line != NULL ? encoding_json(line, answer->length - 2) : json_null());
    message_describe(session->transaction.message, entry);
    free(line);
    return entry;
}

static void count(struct session *session, const struct limits *limits, int64_t now, bool accepted,
                  const struct answer *answer)
{
    struct mailbox *mailbox = session->mailbox;

    if (accepted) {
        mailbox_accept(mailbox, limits, now, (int64_t)session->transaction.accepted);
        return;
    }
    mailbox->tally.refused++;
    if (answer->text != NULL)
        tally_refuse(&mailbox->tally, answer->text);
}

/* disturb - what a fault makes of answer and verdict */
static void disturb(struct session *session, struct answer *answer, bool *accepted)
{
    struct fault *fault = session->dot_fault;

    if (fault == NULL)
        return;
    answer_disturb(answer, fault, session->server->faults, session->mailbox->upn,
                   session->transaction.sender.address, session->stamp);
    if (fault->action == FAULT_REPLY || fault->action == FAULT_ROW)
        *accepted = answer_positive(answer);
    if (fault->commit == COMMIT_NEVER)
        *accepted = false;
    if (fault->commit == COMMIT_AFTER)
        answer->delay = 0; /* it is over */
}

/*
 * decide - the journal has the verdict before the client has it, so that a test which got a reply
 * finds it there. Should the reply not get out, another entry says so.
 */
static void decide(struct session *session)
{
    const struct limits limits = effective_limits(session);
    int64_t now = clock_monotonic();
    bool accepted, known;
    struct answer answer = ordinary_answer(session, &limits, now, &accepted);
    json_t *entry;

    disturb(session, &answer, &accepted);
    known = answer.manner == ANSWER_PLAIN || answer.manner == ANSWER_TRICKLE;
    entry = describe_outcome(session, now, accepted, &answer);
    encoding_set(entry, "known", json_boolean(known));
    journal_write(session->server->journal, entry);
    count(session, &limits, now, accepted, &answer);
    session->unanswered = known;
    if (!known)
        transaction_reset(session);
    session_send(session, &answer);
}

static void add_notes(struct session *session)
{
    struct message *message = session->transaction.message;
    const struct envelope *sender = &session->transaction.sender;

    if (message_has_note(message, NOTE_EIGHT_BIT) && sender->body == BODY_7BIT)
        message_note(message, NOTE_UNDECLARED);
    if (message_has_note(message, NOTE_EIGHT_BIT_HEADER) && !sender->utf8)
        message_note(message, NOTE_UNDECLARED_UTF8);
}

void submission_end(struct session *session)
{
    struct fault *fault;

    session->state = SESSION_COMMAND;
    message_finish(session->transaction.message);
    add_notes(session);
    fault_release(session->body_fault);
    session->body_fault = NULL;
    fault = session_fault(session, STAGE_DOT, NULL);
    session->dot_fault = fault;
    if (fault != NULL && fault->commit == COMMIT_AFTER && fault->delay > 0)
        session_wait(session, fault->delay, decide);
    else
        decide(session);
}
