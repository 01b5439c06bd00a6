/* message.c - one message over an opened connection
 *
 * MAIL, RCPT... and DATA go together where the server takes that (RFC 2920). A message that nobody
 * is to get is ended so that both sides agree that there is none.
 */
#include "transport/submission/parts.h"

#include <event2/bufferevent.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

/* Seconds without any progress. RFC 5321 4.5.3.2 grants minutes, for who gives up early may do so
 * before the other side is done. But up to the final dot nothing is lost by it: Postfix has the
 * message, and another connection may carry it at once, while this one keeps others waiting. So
 * there little patience is shown first, and more each time that it was in vain (submission_send()),
 * up to what smtp(8)'s settings grant. Behind the dot it is the other way round: giving up makes a
 * second copy, and all that they grant is waited. */
#define ENVELOPE_TIMEOUT 15
#define BODY_TIMEOUT     (2 * BODY_STALL)
#define BODY_STALL       5 /* nothing was taken for so long: the peer is looked at */

#define LOOK 20 /* milliseconds between two looks before the final dot */

static const struct smtp_timeouts *timeouts_of(const struct submission *submission)
{
    return &submission->parts->smtp->timeouts;
}

static time_t patience(const struct submission *submission, time_t least, time_t most)
{
    time_t seconds = least;
    for (unsigned i = 0; i < submission->doublings && seconds < most; i++)
        seconds *= 2;
    return seconds < most ? seconds : most;
}

/* While the body goes the peer has nothing to say, but has to take it. */
static void watch_writing(struct submission *submission, time_t seconds)
{
    const struct timeval timeout = {.tv_sec = seconds};
    bufferevent_set_timeouts(submission->connection, NULL, seconds > 0 ? &timeout : NULL);
}

/* --- sender and recipients ----------------------------------------------------- */

static bool speaks_of_reports(const struct submission *submission)
{
    return (submission->extensions & EXTENSION_DSN) != 0 &&
           submission->reports != SUBMISSION_REPORTS_LEFT_OUT;
}

static const char *notify_of(const struct submission *submission,
                             const struct envelope_recipient *recipient)
{
    return submission->reports == SUBMISSION_NO_REPORTS ? "NEVER" : recipient->notify;
}

bool submission_has_wishes(const struct submission *submission, size_t recipient)
{
    const struct envelope_recipient *to = &submission->envelope->recipients[recipient];
    return speaks_of_reports(submission) &&
           (notify_of(submission, to)[0] != '\0' || to->orcpt[0] != '\0');
}

static void say_mail(struct submission *submission)
{
    const struct envelope *envelope = submission->envelope;
    unsigned offered = submission->extensions;
    submission_say(submission, "MAIL FROM:<%s>", submission->sender);
    if (envelope->size > 0 && (offered & EXTENSION_SIZE))
        submission_say(submission, " SIZE=%llu", (unsigned long long)envelope->size);
    if (envelope->body == LMTP_BODY_8BITMIME && (offered & EXTENSION_8BITMIME))
        submission_say(submission, " BODY=8BITMIME");
    if (envelope->utf8)
        submission_say(submission, " SMTPUTF8");
    if (envelope->ret[0] != '\0' && speaks_of_reports(submission))
        submission_say(submission, " RET=%s", envelope->ret);
    if (envelope->envid[0] != '\0' && speaks_of_reports(submission))
        submission_say(submission, " ENVID=%s", envelope->envid);
    submission_say(submission, "\r\n");
}

static void say_rcpt(struct submission *submission, const struct envelope_recipient *recipient)
{
    const char *notify = notify_of(submission, recipient);
    submission_say(submission, "RCPT TO:<%s>", recipient->address);
    if (notify[0] != '\0' && speaks_of_reports(submission))
        submission_say(submission, " NOTIFY=%s", notify);
    if (recipient->orcpt[0] != '\0' && speaks_of_reports(submission))
        submission_say(submission, " ORCPT=%s", recipient->orcpt);
    submission_say(submission, "\r\n");
}

/* The next of MAIL, RCPT..., DATA; all of them where the server takes them together. */
static void ask_on(struct submission *submission)
{
    size_t recipients = submission->envelope->recipient_count;
    bool together = (submission->extensions & EXTENSION_PIPELINING) != 0;
    do {
        if (submission->asked == 0)
            say_mail(submission);
        else if (submission->asked <= recipients)
            say_rcpt(submission, &submission->envelope->recipients[submission->asked - 1]);
        else
            submission_say(submission, "DATA\r\n");
        submission->asked++;
    } while (together && submission->asked < recipients + 2);
}

/* What smtp(8) grants the reply that comes next. On a connection that lay idle the first one must
 * come soon: a firewall that has forgotten it says nothing, and a fresh one is soon made. */
static time_t most_patience(const struct submission *submission)
{
    const struct smtp_timeouts *timeouts = timeouts_of(submission);
    if (submission->answered > submission->envelope->recipient_count)
        return timeouts->data_init;
    if (submission->answered > 0)
        return timeouts->rcpt;
    return submission->was_used && timeouts->mail > ENVELOPE_TIMEOUT ? ENVELOPE_TIMEOUT
                                                                     : timeouts->mail;
}

static void await_envelope(struct submission *submission)
{
    submission_wait(submission, SUBMISSION_ENVELOPE,
                    patience(submission, ENVELOPE_TIMEOUT, most_patience(submission)));
}

void submission_send(struct submission *submission, const struct envelope *envelope,
                     const char *sender, enum submission_reports reports, unsigned doublings,
                     const struct submission_message_handler *handler, void *context)
{
    submission->envelope = envelope;
    submission->sender = sender;
    submission->reports = reports;
    submission->message = handler;
    submission->message_context = context;
    submission->asked = submission->answered = submission->accepted = 0;
    submission->mail_refused = submission->is_void = submission->was_refused = false;
    submission->last[0] = '\r';
    submission->last[1] = '\n';
    submission->doublings = doublings;
    submission->given = submission->taken = 0;
    submission->not_taken = 0;
    watch_writing(submission, 0);
    ask_on(submission);
    await_envelope(submission);
    submission->was_used = true;
}

/* --- replies ------------------------------------------------------------------- */

static void note_refusal(struct submission *submission, enum reply_stage stage)
{
    submission->was_refused = true;
    submission->refusal = submission->reply;
    submission->refusal_stage = stage;
}

/* The message is over, the connection goes on. */
static void tell_refusal(struct submission *submission)
{
    const struct submission_end end = {.stage = submission->refusal_stage,
                                       .host = submission->destination.host,
                                       .reply = &submission->refusal};
    submission_become_idle(submission);
    submission_end_message(submission, &end);
}

/* DATA was answered, and with it all that stood before it. */
static void begin_body(struct submission *submission)
{
    bool may_go = submission->reply.code / 100 == 3;
    if (submission->reply.code / 100 == 2) {
        submission_lose(submission, "answers DATA with %u", submission->reply.code);
        return;
    }
    if (may_go && submission->accepted > 0) {
        submission_wait(submission, SUBMISSION_BODY, 0);
        watch_writing(submission, BODY_STALL);
        if (submission->message != NULL)
            submission->message->wants_body(submission->message_context);
        return;
    }
    if (!may_go && !submission->was_refused)
        note_refusal(submission, REPLY_STAGE_DATA);
    else if (!may_go && submission->accepted > 0)
        note_refusal(submission, REPLY_STAGE_DATA);
    if (!may_go) {
        /* Something must end a transaction whose MAIL was taken. */
        submission_say(submission, "RSET\r\n");
    } else {
        submission_say(submission, ".\r\n");
    }
    submission->is_void = true;
    submission_wait(submission, SUBMISSION_FINAL, timeouts_of(submission)->rset);
}

static void take_recipient(struct submission *submission)
{
    if (submission->reply.code / 100 == 2) {
        submission->accepted++;
        return;
    }
    if (submission->mail_refused)
        return;
    note_refusal(submission, REPLY_STAGE_RCPT);
    if (submission->message != NULL)
        submission->message->refused(submission->message_context, submission->answered - 1,
                                     &submission->reply);
}

void submission_take_envelope_reply(struct submission *submission)
{
    size_t recipients = submission->envelope->recipient_count;
    size_t number = submission->answered;
    if (number == 0) {
        submission->mail_refused = submission->reply.code / 100 != 2;
        if (submission->mail_refused)
            note_refusal(submission, REPLY_STAGE_MAIL);
    } else if (number <= recipients) {
        take_recipient(submission);
    } else {
        begin_body(submission);
        return;
    }
    submission->answered++;
    if (submission->asked <= submission->answered)
        ask_on(submission);
    await_envelope(submission);
}

void submission_take_final_reply(struct submission *submission)
{
    const struct reply reply = submission->reply;
    const struct submission_end end = {
        .stage = REPLY_STAGE_END_OF_DATA, .reply = &reply, .host = submission->destination.host};
    bool is_expected = submission_is_class(submission, 2) || submission_is_class(submission, 5) ||
                       (!submission->is_void && submission_is_class(submission, 4));
    if (!is_expected) {
        /* Who answers that does not know where we are: it is no connection for the next message. */
        submission_lose(submission, "answers the end of the data with %u", reply.code);
        return;
    }
    if (submission->is_void) {
        tell_refusal(submission);
        return;
    }
    submission_become_idle(submission);
    submission_end_message(submission, &end);
}

/* --- the body ------------------------------------------------------------------ */

static void write_some(struct submission *submission, struct evbuffer *bytes, size_t length)
{
    struct evbuffer *output = bufferevent_get_output(submission->connection);
    if (length >= 2) {
        struct evbuffer_ptr end;
        evbuffer_ptr_set(bytes, &end, length - 2, EVBUFFER_PTR_SET);
        evbuffer_copyout_from(bytes, &end, submission->last, 2);
    } else if (length == 1) {
        submission->last[0] = submission->last[1];
        evbuffer_copyout(bytes, &submission->last[1], 1);
    }
    evbuffer_remove_buffer(bytes, output, length);
    submission->given += length;
}

bool submission_write(struct submission *submission, struct evbuffer *bytes)
{
    size_t pending = evbuffer_get_length(bufferevent_get_output(submission->connection));
    size_t length = evbuffer_get_length(bytes);
    size_t room = pending < SUBMISSION_ROOM ? SUBMISSION_ROOM - pending : 0;
    size_t taken = length < room ? length : room;
    write_some(submission, bytes, taken);
    return taken == length;
}

void submission_write_all(struct submission *submission, struct evbuffer *bytes)
{
    write_some(submission, bytes, evbuffer_get_length(bytes));
}

/* libevent stops writing when it says that; whether some was taken since the last time is seen from
 * what is left. */
void submission_note_not_taken(struct submission *submission)
{
    size_t left = evbuffer_get_length(bufferevent_get_output(submission->connection));
    uint64_t taken = submission->given > left ? submission->given - left : 0;
    submission->not_taken =
        taken == submission->taken ? submission->not_taken + BODY_STALL : BODY_STALL;
    submission->taken = taken;
    if (submission->not_taken >=
        patience(submission, BODY_TIMEOUT, timeouts_of(submission)->data_xfer)) {
        submission->is_impatient = true;
        submission_lose(submission, "does not take the message");
        return;
    }
    const struct timeval again = {.tv_sec = BODY_STALL};
    submission_tell_stalled(submission, true);
    bufferevent_enable(submission->connection, EV_WRITE);
    if (submission->state == SUBMISSION_FINAL)
        event_add(submission->stall, &again);
}

static void send_dot(struct submission *submission)
{
    bool is_whole = submission->last[0] == '\r' && submission->last[1] == '\n';
    submission_say(submission, is_whole ? ".\r\n" : "\r\n.\r\n");
    submission->given += is_whole ? 3 : 5;
    submission_wait(submission, SUBMISSION_FINAL, timeouts_of(submission)->data_done);
}

static void look_soon(struct submission *submission)
{
    static const struct timeval soon = {.tv_usec = LOOK * 1000};
    event_add(submission->dot, &soon);
}

/* Milliseconds for which the looks have shown the same. */
static time_t unchanged(const struct submission *submission)
{
    return (time_t)submission->looks * LOOK;
}

/* What this kernel has sent and the peer's does not have. */
static void note_not_acknowledged(struct submission *submission)
{
    if (unchanged(submission) >=
        1000 * patience(submission, BODY_TIMEOUT, timeouts_of(submission)->data_xfer)) {
        submission->is_impatient = true;
        submission_lose(submission, "does not take the message");
        return;
    }
    submission_tell_stalled(submission, unchanged(submission) >= 1000 * BODY_STALL);
    look_soon(submission);
}

void submission_look_before_dot(struct submission *submission)
{
    int before = submission->unacknowledged;
    if (evbuffer_get_length(bufferevent_get_output(submission->connection)) > 0) {
        submission->looks = 0; /* still here, where it is watched: submission_note_not_taken() */
        look_soon(submission);
        return;
    }
    if (ioctl(bufferevent_getfd(submission->connection), SIOCOUTQ, &submission->unacknowledged) !=
        0)
        submission->unacknowledged = 0;
    submission->looks = submission->unacknowledged == before ? submission->looks + 1 : 0;
    if (submission->unacknowledged > 0)
        note_not_acknowledged(submission);
    else if (unchanged(submission) < SUBMISSION_CARE)
        look_soon(submission);
    else
        send_dot(submission);
}

void submission_end_body(struct submission *submission, bool is_careful)
{
    if (!is_careful) {
        send_dot(submission);
        return;
    }
    submission->unacknowledged = -1;
    submission->looks = 0;
    look_soon(submission);
}
