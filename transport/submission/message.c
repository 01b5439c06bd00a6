/* message.c - one message over an opened connection
 *
 * MAIL, RCPT... and DATA go together where the server takes that (RFC 2920). A message that nobody
 * is to get is ended so that both sides agree that there is none.
 */
#include "transport/submission/parts.h"

#include <event2/bufferevent.h>

/* Seconds for the first reply on a connection that lay idle: a firewall that has forgotten it says
 * nothing, and a fresh one is soon made. */
#define STALE_TIMEOUT 30

static const struct smtp_timeouts *timeouts_of(const struct submission *submission)
{
    return &submission->parts->smtp->timeouts;
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

/* For the reply that comes next. */
static time_t envelope_timeout(const struct submission *submission)
{
    const struct smtp_timeouts *timeouts = timeouts_of(submission);
    if (submission->answered > submission->envelope->recipient_count)
        return timeouts->data_init;
    if (submission->answered > 0)
        return timeouts->rcpt;
    return submission->was_used && timeouts->mail > STALE_TIMEOUT ? STALE_TIMEOUT : timeouts->mail;
}

void submission_send(struct submission *submission, const struct envelope *envelope,
                     const char *sender, enum submission_reports reports,
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
    ask_on(submission);
    submission_wait(submission, SUBMISSION_ENVELOPE, envelope_timeout(submission));
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

/* While the body goes the peer has nothing to say, but has to take it. */
static void watch_writing(struct submission *submission, time_t seconds)
{
    const struct timeval timeout = {.tv_sec = seconds};
    bufferevent_set_timeouts(submission->connection, NULL, seconds > 0 ? &timeout : NULL);
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
        watch_writing(submission, timeouts_of(submission)->data_xfer);
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
    submission_wait(submission, SUBMISSION_ENVELOPE, envelope_timeout(submission));
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

void submission_end_body(struct submission *submission)
{
    bool is_whole = submission->last[0] == '\r' && submission->last[1] == '\n';
    submission_say(submission, is_whole ? ".\r\n" : "\r\n.\r\n");
    watch_writing(submission, 0);
    submission_wait(submission, SUBMISSION_FINAL, timeouts_of(submission)->data_done);
}
