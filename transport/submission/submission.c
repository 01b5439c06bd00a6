/* submission.c - one connection to Microsoft: its life, what it hears, how it ends
 *
 * A reply is read line by line; when it is whole, the state says what it answers: opening.c and
 * message.c go on from there. Whatever ends the connection goes through submission_finish(), which
 * tells the message, then the owner, once.
 */
#include "transport/submission/submission.h"

#include "common/log.h"
#include "common/memory.h"
#include "transport/submission/parts.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sysexits.h>

#define LINE_MAX_OCTETS 8192

static void deadline_passed(evutil_socket_t descriptor, short what, void *argument);

/* --- ends ---------------------------------------------------------------------- */

static enum reply_stage stage_of(const struct submission *submission)
{
    static const enum reply_stage stages[] = {[SUBMISSION_DIALLING] = REPLY_STAGE_CONNECT,
                                              [SUBMISSION_GREETING] = REPLY_STAGE_CONNECT,
                                              [SUBMISSION_EHLO] = REPLY_STAGE_CONNECT,
                                              [SUBMISSION_STARTTLS] = REPLY_STAGE_STARTTLS,
                                              [SUBMISSION_HANDSHAKE] = REPLY_STAGE_STARTTLS,
                                              [SUBMISSION_EHLO_SECURE] = REPLY_STAGE_CONNECT,
                                              [SUBMISSION_AUTH] = REPLY_STAGE_AUTH,
                                              [SUBMISSION_IDLE] = REPLY_STAGE_CONNECT,
                                              [SUBMISSION_ENVELOPE] = REPLY_STAGE_MAIL,
                                              [SUBMISSION_BODY] = REPLY_STAGE_DATA,
                                              [SUBMISSION_FINAL] = REPLY_STAGE_END_OF_DATA,
                                              [SUBMISSION_QUIT] = REPLY_STAGE_CONNECT,
                                              [SUBMISSION_CLOSED] = REPLY_STAGE_CONNECT};
    if (submission->state != SUBMISSION_ENVELOPE || submission->answered == 0)
        return stages[submission->state];
    return submission->answered <= submission->envelope->recipient_count ? REPLY_STAGE_RCPT
                                                                         : REPLY_STAGE_DATA;
}

void submission_end_message(struct submission *submission, const struct submission_end *end)
{
    const struct submission_message_handler *message = submission->message;
    submission->message = NULL;
    submission->envelope = NULL;
    if (message != NULL)
        message->ended(submission->message_context, end);
}

/* The reply that has decided about the message already, however the connection ends; NULL if there
 * is none. */
static const struct reply *known_refusal(const struct submission *submission)
{
    bool is_decided = submission->is_void ||
                      (submission->mail_refused && submission->state == SUBMISSION_ENVELOPE);
    return submission->message != NULL && is_decided ? &submission->refusal : NULL;
}

/* Whether something, and so the end of it all, is still here or in this kernel, which has never
 * sent it: the peer has no room for it. */
static bool has_unsent(const struct submission *submission)
{
    int unsent = 0;
    if (evbuffer_get_length(bufferevent_get_output(submission->connection)) > 0)
        return true;
    return ioctl(bufferevent_getfd(submission->connection), SIOCOUTQNSD, &unsent) == 0 &&
           unsent > 0;
}

/* Whether the peer may have taken the message, though it has not said so: the final dot has left.
 */
static bool is_unknown(const struct submission *submission)
{
    return submission->state == SUBMISSION_FINAL && !submission->is_void && !has_unsent(submission);
}

/* Else the kernel would go on to send what it has, when the socket is closed; and who takes nothing
 * would not hear that the connection has ended, and count it among the account's. */
static void take_back_unsent(const struct submission *submission)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    bool is_behind_data =
        submission->state == SUBMISSION_BODY || submission->state == SUBMISSION_FINAL;
    if (is_behind_data && has_unsent(submission))
        (void)setsockopt(bufferevent_getfd(submission->connection), SOL_SOCKET, SO_LINGER, &at_once,
                         sizeof(at_once));
}

/* What an end without a reply looks like. */
static enum silence silence_of(const struct submission *submission)
{
    if (submission->state == SUBMISSION_AUTH)
        return SILENCE_LOGIN;
    if (is_unknown(submission))
        return SILENCE_MAYBE_DELIVERED;
    if (submission->message == NULL)
        return SILENCE_NONE;
    return submission->is_impatient ? SILENCE_STALLED : SILENCE_LOST;
}

/* The end of the connection with that reply. */
static void finish_refused(struct submission *submission, const struct reply *refusal)
{
    const struct submission_end end = {
        .stage = submission->refusal_stage, .reply = refusal, .host = submission->destination.host};
    submission_finish(submission, &end);
}

void submission_lose(struct submission *submission, const char *format, ...)
{
    const struct reply *refusal = known_refusal(submission);
    if (refusal != NULL) {
        finish_refused(submission, refusal);
        return;
    }
    va_list arguments;
    char what[SUBMISSION_TEXT_SIZE / 2];
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    snprintf(submission->text, sizeof(submission->text), "%s:%s: %s", submission->destination.host,
             submission->destination.port, what);
    take_back_unsent(submission);
    const struct submission_end end = {.stage = stage_of(submission),
                                       .host = submission->destination.host,
                                       .text = submission->text,
                                       .silence = silence_of(submission),
                                       .is_unknown = is_unknown(submission)};
    submission_finish(submission, &end);
}

void submission_refuse(struct submission *submission)
{
    const struct reply *refusal = known_refusal(submission);
    if (refusal != NULL) {
        finish_refused(submission, refusal);
        return;
    }
    const struct submission_end end = {.stage = stage_of(submission),
                                       .reply = &submission->reply,
                                       .host = submission->destination.host,
                                       .is_token =
                                           submission->state == SUBMISSION_AUTH &&
                                           submission->credential.mechanism == SASL_XOAUTH2};
    submission_finish(submission, &end);
}

static void release(struct submission *submission)
{
    if (submission->dial != NULL)
        dial_end(submission->dial);
    if (submission->connection != NULL)
        bufferevent_free(submission->connection);
    event_free(submission->deadline);
    event_free(submission->stall);
    event_free(submission->dot);
    credential_release(&submission->credential);
    free(submission);
}

void submission_finish(struct submission *submission, const struct submission_end *end)
{
    bool was_quitting = submission->state == SUBMISSION_QUIT;
    if (submission->state == SUBMISSION_CLOSED)
        return;
    submission_tell_stalled(submission, false);
    event_del(submission->dot);
    submission->state = SUBMISSION_CLOSED;
    if (submission->message != NULL)
        submission_end_message(submission, end);
    submission->handler->closed(submission->context, was_quitting ? NULL : end);
    if (!submission->is_held)
        release(submission);
}

void submission_hold(struct submission *submission)
{
    submission->is_held = true;
}

void submission_let_go(struct submission *submission)
{
    submission->is_held = false;
    if (submission->state == SUBMISSION_CLOSED)
        release(submission);
}

/* --- speaking ------------------------------------------------------------------ */

void submission_set_deadline(struct submission *submission, time_t seconds)
{
    const struct timeval timeout = {.tv_sec = seconds};
    event_del(submission->deadline);
    if (seconds > 0)
        event_add(submission->deadline, &timeout);
}

void submission_say(struct submission *submission, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    evbuffer_add_vprintf(bufferevent_get_output(submission->connection), format, arguments);
    va_end(arguments);
}

void submission_tell_stalled(struct submission *submission, bool is_stalled)
{
    if (submission->is_stalled == is_stalled)
        return;
    submission->is_stalled = is_stalled;
    if (submission->message != NULL)
        submission->message->stalled(submission->message_context, is_stalled);
}

/* It goes on. While the body does, the peer is watched in another way. */
static void watch_silence(struct submission *submission)
{
    const struct timeval timeout = {.tv_sec = SUBMISSION_STALL};
    bool is_watched =
        submission->state == SUBMISSION_ENVELOPE || submission->state == SUBMISSION_FINAL;
    submission_tell_stalled(submission, false);
    event_del(submission->stall);
    if (is_watched)
        event_add(submission->stall, &timeout);
}

void submission_wait(struct submission *submission, enum submission_state state, time_t seconds)
{
    submission->state = state;
    submission_set_deadline(submission, seconds);
    watch_silence(submission);
    reply_begin(&submission->reply);
}

void submission_become_idle(struct submission *submission)
{
    submission_wait(submission, SUBMISSION_IDLE, 0);
}

bool submission_is_class(const struct submission *submission, unsigned class)
{
    return submission->reply.code / 100 == class;
}

/* --- what the peer says -------------------------------------------------------- */

static void take_reply(struct submission *submission)
{
    switch (submission->state) {
    case SUBMISSION_GREETING:
    case SUBMISSION_EHLO:
    case SUBMISSION_STARTTLS:
    case SUBMISSION_EHLO_SECURE:
    case SUBMISSION_AUTH:
        submission_take_opening_reply(submission);
        return;
    case SUBMISSION_ENVELOPE:
        if (submission->reply.code == 421)
            submission_refuse(submission);
        else
            submission_take_envelope_reply(submission);
        return;
    case SUBMISSION_FINAL:
        if (submission->reply.code == 421)
            submission_refuse(submission);
        else
            submission_take_final_reply(submission);
        return;
    case SUBMISSION_IDLE:
    case SUBMISSION_BODY:
        submission_refuse(submission); /* nobody has asked: it says farewell */
        return;
    case SUBMISSION_QUIT:
        submission_finish(submission, NULL);
        return;
    case SUBMISSION_DIALLING:
    case SUBMISSION_HANDSHAKE:
    case SUBMISSION_CLOSED:
        submission_lose(submission, "spoke before its turn");
        return;
    }
}

/* Reads one line of a reply. False: there is no whole one, or the connection is gone. */
static bool read_line(struct submission *submission)
{
    struct evbuffer *input = bufferevent_get_input(submission->connection);
    struct error error;
    size_t length;
    char *line = evbuffer_readln(input, &length, EVBUFFER_EOL_CRLF);
    if (line == NULL) {
        if (evbuffer_get_length(input) > LINE_MAX_OCTETS)
            submission_lose(submission, "sent a line of more than %d octets", LINE_MAX_OCTETS);
        return false;
    }
    if (submission->state == SUBMISSION_EHLO || submission->state == SUBMISSION_EHLO_SECURE)
        submission_note_extension(submission, length > 4 ? line + 4 : "",
                                  length > 4 ? length - 4 : 0);
    enum reply_progress progress = reply_add_line(&submission->reply, line, length, &error);
    free(line);
    if (progress == REPLY_MALFORMED)
        submission_lose(submission, "does not speak SMTP: %s", error.text);
    else if (progress == REPLY_COMPLETE)
        take_reply(submission);
    return progress != REPLY_MALFORMED;
}

/* A callback may close the connection: it is held until the reading has ended. */
static void read_replies(struct bufferevent *connection, void *argument)
{
    struct submission *submission = argument;
    submission_hold(submission);
    while (submission->state != SUBMISSION_CLOSED && submission->connection == connection &&
           read_line(submission))
        ;
    if (submission->state == SUBMISSION_IDLE &&
        (submission->reply.lines > 0 ||
         evbuffer_get_length(bufferevent_get_input(submission->connection)) > 0))
        submission_lose(submission, "spoke without being asked"); /* or it opens the next reply */
    submission_let_go(submission);
}

/* --- what happens to the connection -------------------------------------------- */

static void failed(struct submission *submission, short what)
{
    struct error error;
    if (submission->state == SUBMISSION_HANDSHAKE) {
        tls_explain(submission->connection, submission->destination.host, &error);
        submission_lose(submission, "%s", error.text);
    } else if ((what & BEV_EVENT_TIMEOUT) && submission->message != NULL) {
        submission_note_not_taken(submission);
    } else if (submission->state == SUBMISSION_QUIT) {
        submission_finish(submission, NULL);
    } else {
        bool has_reason = (what & BEV_EVENT_ERROR) != 0 && errno != 0; /* TLS has none */
        submission_lose(submission, "the connection was lost%s%s", has_reason ? ": " : "",
                        has_reason ? strerror(errno) : "");
    }
}

static void deadline_passed(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct submission *submission = argument;
    if (submission->state == SUBMISSION_QUIT) {
        submission_finish(submission, NULL);
        return;
    }
    submission->is_impatient = true;
    submission_lose(submission, "does not answer");
}

static void silence_lasts(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct submission *submission = argument;
    if (submission->state == SUBMISSION_FINAL && has_unsent(submission))
        submission_note_not_taken(submission);
    else
        submission_tell_stalled(submission, true);
}

static void look_before_dot(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    submission_look_before_dot(argument);
}

static void happened(struct bufferevent *connection, short what, void *argument)
{
    (void)connection;
    struct submission *submission = argument;
    if (what & BEV_EVENT_CONNECTED)
        submission_connected(submission);
    else
        failed(submission, what);
}

/* What was written has left. */
static void written(struct bufferevent *connection, void *argument)
{
    (void)connection;
    struct submission *submission = argument;
    if (submission->state != SUBMISSION_BODY || submission->message == NULL)
        return;
    submission_tell_stalled(submission, false);
    submission->message->drained(submission->message_context);
}

void submission_watch(struct submission *submission, struct bufferevent *connection)
{
    submission->connection = connection;
    bufferevent_setcb(connection, read_replies, written, happened, submission);
}

/* --- life ---------------------------------------------------------------------- */

struct submission *submission_open(const struct submission_parts *parts,
                                   struct credential *credential,
                                   const struct submission_handler *handler, void *context)
{
    struct submission *submission = memory_zero(1, sizeof(*submission));
    submission->parts = parts;
    submission->destination = credential->destination;
    submission->credential = *credential;
    *credential = (struct credential){.user = NULL};
    submission->handler = handler;
    submission->context = context;
    submission->deadline = evtimer_new(parts->base, deadline_passed, submission);
    submission->stall = evtimer_new(parts->base, silence_lasts, submission);
    submission->dot = evtimer_new(parts->base, look_before_dot, submission);
    if (submission->deadline == NULL || submission->stall == NULL || submission->dot == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    submission_dial(submission);
    return submission;
}

void submission_abandon(struct submission *submission)
{
    submission->message = NULL;
    submission_drop(submission);
}

void submission_give_up(struct submission *submission)
{
    submission->is_impatient = true;
    submission_lose(submission, submission->state == SUBMISSION_BODY ? "does not take the message"
                                                                     : "does not answer");
}

void submission_close(struct submission *submission)
{
    if (submission->state == SUBMISSION_IDLE) {
        submission_say(submission, "QUIT\r\n");
        submission_wait(submission, SUBMISSION_QUIT, submission->parts->smtp->timeouts.quit);
        return;
    }
    if (submission->state != SUBMISSION_QUIT)
        submission_drop(submission);
}

void submission_drop(struct submission *submission)
{
    submission_lose(submission, "closed by us");
}

const char *submission_host(const struct submission *submission)
{
    return submission->destination.host;
}

bool submission_is_idle(const struct submission *submission)
{
    return submission->state == SUBMISSION_IDLE;
}

bool submission_is_resumed(const struct submission *submission)
{
    return tls_is_resumed(submission->connection);
}
