/*
 * dialogue.c - the commands of SMTP
 *
 * A line ends with CRLF and with nothing else; a line that holds a bare CR, a bare LF or NUL is no
 * command. Each command finds its ordinary answer, lets faults change it, and has its effect only
 * if the client is told yes.
 */
#include "dialogue.h"

#include "allocate.h"
#include "auth.h"
#include "clock.h"
#include "encoding.h"
#include "submission.h"
#include "transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_COMMAND   2048
#define LONGEST_AUTH      16384  /* a token in base64; RFC 4954 section 4 asks for 12288 */
#define MOST_RECIPIENTS   100000 /* whatever the limits say */
#define MOST_REFUSED      1000   /* refused recipients remembered with a message */
#define UNRECOGNIZED      "500 5.3.3 Unrecognized command"
#define HELLO_FIRST       "503 5.5.2 Send hello first"
#define NEED_MAIL         "503 5.5.2 Need mail command"
#define NEED_RCPT         "503 5.5.2 Need rcpt command"
#define INVALID_ARGUMENTS "501 5.5.4 Invalid arguments"
#define BAD_SEQUENCE      "503 5.5.1 Bad sequence of commands"

struct answer dialogue_banner(const struct session *session)
{
    char now[48];
    char *text;
    struct answer answer;

    clock_mail(clock_real(), now, sizeof now);
    text = format("220 %s Microsoft ESMTP MAIL Service ready at %s [%016llX]", reply_banner_host(),
                  now, (unsigned long long)session->stamp);
    answer = answer_text(text);
    free(text);
    return answer;
}

void dialogue_reply(struct session *session, const char *text)
{
    struct answer answer = answer_text(text);

    if (!answer_positive(&answer))
        tally_refuse(session_tally(session), answer.text);
    session_send(session, &answer);
}

/* journal_refusal - write down and count what is about to be said, if anything is */
static void journal_refusal(struct session *session, enum stage stage, const char *event,
                            const char *name, json_t *detail, const struct answer *answer)
{
    char *line = answer_line(answer);
    json_t *entry;

    if (line == NULL) {
        json_decref(detail);
        return;
    }
    entry = session_event(session, event);
    encoding_set(entry, "stage", json_string(stage_name(stage)));
    encoding_set(entry, "reply", encoding_json(line, strlen(line)));
    if (name != NULL)
        encoding_set(entry, name, detail);
    tally_refuse(session_tally(session), line);
    journal_write(session->server->journal, entry);
    free(line);
}

void dialogue_refuse(struct session *session, enum stage stage, const char *event, const char *name,
                     json_t *detail, struct answer *answer)
{
    session_disturb(session, stage, NULL, answer);
    journal_refusal(session, stage, event, name, detail, answer);
    session_send(session, answer);
}

/* ---- EHLO, HELO, STARTTLS ---- */

static char *hello_text(const struct session *session, bool extended)
{
    const char *host = reply_banner_host();

    if (!extended)
        return format("250 %s Hello [%s]", host, session->peer);
    return format("250-%s Hello [%s]\n"
                  "250-SIZE %lld\n"
                  "250-PIPELINING\n"
                  "250-DSN\n"
                  "250-ENHANCEDSTATUSCODES\n"
                  "250-%s\n"
                  "250-8BITMIME\n"
                  "250-BINARYMIME\n"
                  "250-CHUNKING\n"
                  "250 SMTPUTF8",
                  host, session->peer, (long long)session->server->settings->message_size,
                  session->ssl != NULL ? "AUTH LOGIN XOAUTH2" : "STARTTLS");
}

static void hello(struct session *session, const char *arguments, bool extended)
{
    struct answer answer;
    char *text;

    if (*arguments == '\0') {
        dialogue_reply(session, "501 5.5.4 Invalid domain name");
        return;
    }
    text = hello_text(session, extended);
    answer = answer_text(text);
    free(text);
    if (session_disturb(session, STAGE_EHLO, NULL, &answer)) {
        transaction_reset(session);
        session->greeted = true;
        session->extended = extended;
    }
    session_send(session, &answer);
}

static void do_ehlo(struct session *session, const char *arguments)
{
    hello(session, arguments, true);
}

static void do_helo(struct session *session, const char *arguments)
{
    hello(session, arguments, false);
}

static void do_starttls(struct session *session, const char *arguments)
{
    struct answer answer;

    if (session->ssl != NULL || !session->greeted) {
        dialogue_reply(session, session->ssl != NULL ? BAD_SEQUENCE : HELLO_FIRST);
        return;
    }
    if (*arguments != '\0') {
        dialogue_reply(session, INVALID_ARGUMENTS);
        return;
    }
    answer = answer_text("220 2.0.0 SMTP server ready");
    if (session_disturb(session, STAGE_STARTTLS, NULL, &answer) && answer.then == THEN_CONTINUE)
        answer.then = THEN_STARTTLS;
    session_send(session, &answer);
}

/* ---- MAIL ---- */

/* mail_objection - what Office 365 has against MAIL from this client at all */
static enum reply_row mail_objection(const struct session *session)
{
    if (session->ssl == NULL)
        return REPLY_STARTTLS_REQUIRED;
    if (SSL_version(session->ssl) < TLS1_2_VERSION)
        return REPLY_OLD_TLS;
    if (session->mailbox == NULL)
        return session->server->settings->unauthenticated;
    return REPLY_NONE;
}

/* envelope_objection - what it has against this envelope */
static enum reply_row envelope_objection(const struct session *session,
                                         const struct envelope *envelope)
{
    const struct settings *settings = session->server->settings;

    if (envelope->size > settings->message_size)
        return REPLY_TOO_LARGE;
    if (settings->messages_over == REPLY_RATE && submission_rate_reached(session))
        return REPLY_RATE;
    return REPLY_NONE;
}

static void refuse_mail(struct session *session, enum reply_row row, const char *arguments)
{
    struct answer answer = answer_row(row, session_upn(session), NULL, session->stamp);

    if (session->ssl != NULL && session->mailbox == NULL)
        answer.delay = session->server->settings->late_answer;
    dialogue_refuse(session, STAGE_MAIL, "mail-refused", "arguments",
                    encoding_json(arguments, strlen(arguments)), &answer);
}

static void begin_transaction(struct session *session, struct envelope *envelope)
{
    struct answer answer = answer_text("250 2.1.0 Sender OK");
    struct transaction *transaction = &session->transaction;

    transaction->sender = *envelope; /* so that faults can see it */
    if (session_disturb(session, STAGE_MAIL, NULL, &answer)) {
        transaction->open = true;
        transaction->recipients = json_array();
        gauge_up(&session->mailbox->sending);
    } else {
        journal_refusal(session, STAGE_MAIL, "mail-refused", "sender",
                        encoding_json(envelope->raw, strlen(envelope->raw)), &answer);
        transaction_reset(session);
    }
    session_send(session, &answer);
}

static void do_mail(struct session *session, const char *arguments)
{
    struct envelope envelope;
    const char *wrong;
    enum reply_row row;

    if (!session->greeted || session->transaction.open) {
        dialogue_reply(session,
                       session->greeted ? "503 5.5.2 Sender already specified" : HELLO_FIRST);
        return;
    }
    row = mail_objection(session);
    if (row != REPLY_NONE) {
        refuse_mail(session, row, arguments);
        return;
    }
    wrong = envelope_parse_mail(arguments, &envelope);
    if (wrong != NULL) {
        struct answer answer = answer_text(wrong);
        dialogue_refuse(session, STAGE_MAIL, "mail-refused", "arguments",
                        encoding_json(arguments, strlen(arguments)), &answer);
        return;
    }
    row = envelope_objection(session, &envelope);
    if (row == REPLY_NONE) {
        begin_transaction(session, &envelope);
        return;
    }
    refuse_mail(session, row, arguments);
    envelope_clear(&envelope);
}

/* ---- RCPT ---- */

static enum reply_row recipient_objection(const struct session *session, const char *address)
{
    const struct settings *settings = session->server->settings;
    struct limits limits = limits_merge(&settings->limits, &session->mailbox->own);
    int64_t most = limits.value[LIMIT_PER_MESSAGE];
    int64_t accepted = (int64_t)session->transaction.accepted;

    for (int i = 0; i < REPLY_ROWS; i++) {
        if (list_covers(&settings->unknown_recipients.patterns[i], address))
            return (enum reply_row)i;
    }
    if ((most != LIMIT_UNLIMITED && accepted >= most) || accepted >= MOST_RECIPIENTS)
        return REPLY_TOO_MANY_RECIPIENTS;
    return REPLY_NONE;
}

/* remember_recipient - for the journal */
static json_t *remember_recipient(struct transaction *transaction, const struct envelope *envelope,
                                  bool accepted)
{
    json_t *recipient = json_object();
    size_t refused = json_array_size(transaction->recipients) - transaction->accepted;

    encoding_set(recipient, "address", encoding_json(envelope->raw, strlen(envelope->raw)));
    encoding_set(recipient, "parameters", json_incref(envelope->parameters));
    encoding_set(recipient, "accepted", json_boolean(accepted));
    if (accepted || refused < MOST_REFUSED)
        encoding_append(transaction->recipients, json_incref(recipient));
    return recipient;
}

static void accept_recipient(struct transaction *transaction, const struct envelope *envelope)
{
    json_decref(remember_recipient(transaction, envelope, true));
    transaction->addresses = allocate_again(transaction->addresses, transaction->accepted + 1,
                                            sizeof *transaction->addresses);
    transaction->addresses[transaction->accepted++] = duplicate(envelope->address);
}

static void refuse_recipient(struct session *session, const struct envelope *envelope,
                             const struct answer *answer)
{
    json_t *recipient = remember_recipient(&session->transaction, envelope, false);
    char *line = answer_line(answer);

    if (line != NULL)
        encoding_set(recipient, "reply", encoding_json(line, strlen(line)));
    journal_refusal(session, STAGE_RCPT, "rcpt-refused", "recipient", recipient, answer);
    free(line);
}

static void judge_recipient(struct session *session, const struct envelope *envelope)
{
    enum reply_row row = recipient_objection(session, envelope->address);
    struct answer answer = row == REPLY_NONE ? answer_text("250 2.1.5 Recipient OK")
                                             : answer_row(row, session->mailbox->upn,
                                                          envelope->address, session->stamp);

    if (session_disturb(session, STAGE_RCPT, envelope->address, &answer))
        accept_recipient(&session->transaction, envelope);
    else
        refuse_recipient(session, envelope, &answer);
    session_send(session, &answer);
}

static void do_rcpt(struct session *session, const char *arguments)
{
    struct transaction *transaction = &session->transaction;
    struct envelope envelope;
    const char *wrong;

    if (!transaction->open || transaction->chunked) {
        dialogue_reply(session, transaction->open ? BAD_SEQUENCE : NEED_MAIL);
        return;
    }
    wrong = envelope_parse_rcpt(arguments, transaction->sender.utf8, &envelope);
    if (wrong != NULL) {
        struct answer answer = answer_text(wrong);
        dialogue_refuse(session, STAGE_RCPT, "rcpt-refused", "arguments",
                        encoding_json(arguments, strlen(arguments)), &answer);
        return;
    }
    judge_recipient(session, &envelope);
    envelope_clear(&envelope);
}

/* ---- DATA, BDAT ---- */

/* content_objection - is it the time for a message? */
static const char *content_objection(const struct session *session)
{
    if (!session->transaction.open)
        return NEED_MAIL;
    if (session->transaction.accepted == 0)
        return NEED_RCPT;
    return session->transaction.failed ? BAD_SEQUENCE : NULL;
}

static void do_data(struct session *session, const char *arguments)
{
    const struct transaction *transaction = &session->transaction;
    const char *objection = *arguments != '\0' ? INVALID_ARGUMENTS : content_objection(session);
    struct answer answer;

    if (objection == NULL && (transaction->chunked || transaction->sender.body == BODY_BINARYMIME))
        objection = BAD_SEQUENCE;
    if (objection != NULL) {
        dialogue_reply(session, objection);
        return;
    }
    answer = answer_text("354 Start mail input; end with <CRLF>.<CRLF>");
    if (session_disturb(session, STAGE_DATA, NULL, &answer)) {
        transfer_begin(session, SESSION_DATA);
    } else {
        journal_refusal(session, STAGE_DATA, "data-refused", NULL, NULL, &answer);
        if (answer.manner != ANSWER_SILENT)
            transaction_reset(session);
    }
    session_send(session, &answer);
}

/* parse_chunk - "1234" or "1234 LAST" */
static bool parse_chunk(const char *arguments, int64_t *size, bool *last)
{
    size_t digits = strspn(arguments, "0123456789");

    if (digits == 0 || digits > 18)
        return false;
    *size = strtoll(arguments, NULL, 10);
    *last = strcasecmp(arguments + digits, " LAST") == 0;
    return *last || arguments[digits] == '\0';
}

static void do_bdat(struct session *session, const char *arguments)
{
    int64_t size;
    bool last;

    if (!parse_chunk(arguments, &size, &last)) {
        dialogue_reply(session, INVALID_ARGUMENTS);
        return;
    }
    transfer_begin_chunk(session, size, last, content_objection(session) != NULL);
}

/* ---- the rest ---- */

static void do_rset(struct session *session, const char *arguments)
{
    struct answer answer = answer_text("250 2.0.0 Resetting");

    (void)arguments;
    if (session_disturb(session, STAGE_RSET, NULL, &answer))
        transaction_reset(session);
    session_send(session, &answer);
}

static void do_noop(struct session *session, const char *arguments)
{
    (void)arguments;
    dialogue_reply(session, "250 2.0.0 OK");
}

static void do_vrfy(struct session *session, const char *arguments)
{
    (void)arguments;
    dialogue_reply(session, "252 2.1.5 Cannot VRFY user");
}

static void do_quit(struct session *session, const char *arguments)
{
    struct answer answer = answer_text("221 2.0.0 Service closing transmission channel");

    (void)arguments;
    answer.then = THEN_CLOSE;
    transaction_reset(session);
    session_disturb(session, STAGE_QUIT, NULL, &answer);
    session_send(session, &answer);
    if (session->state == SESSION_ENDING)
        session->end = "quit";
}

static const struct command {
    const char *verb;
    void (*run)(struct session *session, const char *arguments);
} commands[] = {
    {"MAIL", do_mail}, {"RCPT", do_rcpt}, {"DATA", do_data},         {"BDAT", do_bdat},
    {"RSET", do_rset}, {"NOOP", do_noop}, {"EHLO", do_ehlo},         {"HELO", do_helo},
    {"QUIT", do_quit}, {"VRFY", do_vrfy}, {"STARTTLS", do_starttls}, {"AUTH", auth_begin},
};

static void run_command(struct session *session, const char *line)
{
    size_t length = strcspn(line, " ");
    const char *arguments = line[length] == ' ' ? line + length + 1 : line + length;

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strlen(commands[i].verb) == length &&
            strncasecmp(commands[i].verb, line, length) == 0) {
            commands[i].run(session, arguments);
            return;
        }
    }
    dialogue_reply(session, UNRECOGNIZED);
}

/* is_whole - no NUL, no bare CR, no bare LF: nothing that another reader would take for an end */
static bool is_whole(const char *line, size_t length)
{
    return memchr(line, '\0', length) == NULL && memchr(line, '\r', length) == NULL &&
           memchr(line, '\n', length) == NULL;
}

static void take_line(struct session *session, const char *line, size_t length)
{
    if (!is_whole(line, length)) {
        auth_cancel(session);
        dialogue_reply(session, UNRECOGNIZED);
    } else if (session->state == SESSION_COMMAND) {
        run_command(session, line);
    } else {
        auth_continue(session, line);
    }
}

/* line_limit - how long the line in the input may be; those of AUTH carry tokens */
static size_t line_limit(const struct session *session, struct evbuffer *input)
{
    char verb[5] = "";

    if (session->state != SESSION_COMMAND)
        return LONGEST_AUTH;
    evbuffer_copyout(input, verb, 4);
    return strcasecmp(verb, "AUTH") == 0 ? LONGEST_AUTH : LONGEST_COMMAND;
}

/* skip_overlong - throw a line away that is too long, as it comes in; keep a CR that may end it */
static void skip_overlong(struct session *session, struct evbuffer *input)
{
    session->overlong = true;
    evbuffer_drain(input, evbuffer_get_length(input) - 1);
}

static bool advance_line(struct session *session, struct evbuffer *input)
{
    size_t limit = line_limit(session, input);
    struct evbuffer_ptr end = evbuffer_search_eol(input, NULL, NULL, EVBUFFER_EOL_CRLF_STRICT);
    size_t length;
    char *line;

    if (end.pos < 0) {
        if (evbuffer_get_length(input) > limit)
            skip_overlong(session, input);
        return false;
    }
    line = evbuffer_readln(input, &length, EVBUFFER_EOL_CRLF_STRICT);
    if (line == NULL)
        return false;
    if (session->overlong || length > limit) {
        session->overlong = false;
        auth_cancel(session);
        dialogue_reply(session, "500 5.5.2 Line too long");
    } else {
        take_line(session, line, length);
    }
    OPENSSL_cleanse(line, length); /* it may have been a password */
    free(line);
    return true;
}

bool dialogue_advance(struct session *session, struct evbuffer *input)
{
    switch (session->state) {
    case SESSION_DATA:
        return transfer_data(session, input);
    case SESSION_CHUNK:
        return transfer_chunk(session, input);
    default:
        return evbuffer_get_length(input) > 0 && advance_line(session, input);
    }
}
