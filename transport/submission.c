/* submission.c - one connection to Microsoft
 *
 * A reply is read line by line; when it is whole, the state says what it answers. Whatever ends the
 * connection goes through finish(), which tells the message, then the owner, once.
 *
 * Security: the peer is Microsoft only after TLS has said so. Before, what it says is bounded and
 * believed to be nobody's; what it sent in plain text behind STARTTLS's reply is thrown away.
 */
#include "transport/submission.h"

#include "common/log.h"
#include "common/memory.h"
#include "transport/sasl.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#define LINE_MAX_OCTETS 8192
#define TEXT_SIZE       512

/* Seconds. Those of RFC 5321 4.5.3.2 where a message is at stake, shorter where none is. */
#define CONNECT_TIMEOUT  30
#define OPEN_TIMEOUT     60
#define ENVELOPE_TIMEOUT 300
#define BODY_TIMEOUT     180
#define FINAL_TIMEOUT    600
#define QUIT_TIMEOUT     2

enum state {
    STATE_RESOLVING,
    STATE_CONNECTING,
    STATE_GREETING,
    STATE_EHLO,
    STATE_STARTTLS,
    STATE_HANDSHAKE,
    STATE_EHLO_SECURE,
    STATE_AUTH,
    STATE_IDLE,
    STATE_ENVELOPE, /* MAIL, RCPT..., DATA are under way */
    STATE_BODY,
    STATE_FINAL,
    STATE_QUIT,
    STATE_CLOSED,
};

/* What the server offers. */
enum extension {
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
    struct credential credential;
    const struct submission_handler *handler;
    void *context;
    enum state state;
    struct evdns_getaddrinfo_request *lookup;
    struct evutil_addrinfo *addresses, *next_address;
    struct bufferevent *connection;
    struct event *deferred; /* begins from the event loop */
    struct event *deadline; /* of the reply that is awaited */
    bool is_held;           /* it must not be released below our feet */
    unsigned extensions;
    struct reply reply;
    struct sasl sasl;
    char text[TEXT_SIZE]; /* what went wrong */
    /* the message */
    const struct envelope *envelope;
    const char *sender;
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
};

static void connect_next(struct submission *submission);
static void read_replies(struct bufferevent *connection, void *argument);
static void happened(struct bufferevent *connection, short what, void *argument);
static void written(struct bufferevent *connection, void *argument);
static void finish(struct submission *submission, const struct submission_end *end);
static void deadline_passed(evutil_socket_t descriptor, short what, void *argument);

/* --- ends ---------------------------------------------------------------------- */

static enum reply_stage stage_of(const struct submission *submission)
{
    static const enum reply_stage stages[] = {
        [STATE_RESOLVING] = REPLY_STAGE_CONNECT,   [STATE_CONNECTING] = REPLY_STAGE_CONNECT,
        [STATE_GREETING] = REPLY_STAGE_CONNECT,    [STATE_EHLO] = REPLY_STAGE_CONNECT,
        [STATE_STARTTLS] = REPLY_STAGE_STARTTLS,   [STATE_HANDSHAKE] = REPLY_STAGE_STARTTLS,
        [STATE_EHLO_SECURE] = REPLY_STAGE_CONNECT, [STATE_AUTH] = REPLY_STAGE_AUTH,
        [STATE_IDLE] = REPLY_STAGE_CONNECT,        [STATE_ENVELOPE] = REPLY_STAGE_MAIL,
        [STATE_BODY] = REPLY_STAGE_DATA,           [STATE_FINAL] = REPLY_STAGE_END_OF_DATA,
        [STATE_QUIT] = REPLY_STAGE_CONNECT,        [STATE_CLOSED] = REPLY_STAGE_CONNECT};
    if (submission->state != STATE_ENVELOPE || submission->answered == 0)
        return stages[submission->state];
    return submission->answered <= submission->envelope->recipient_count ? REPLY_STAGE_RCPT
                                                                         : REPLY_STAGE_DATA;
}

static void end_message(struct submission *submission, const struct submission_end *end)
{
    const struct submission_message_handler *message = submission->message;
    submission->message = NULL;
    submission->envelope = NULL;
    if (message != NULL)
        message->ended(submission->message_context, end);
}

/* The connection ended without a reply that says why. */
__attribute__((format(printf, 2, 3))) static void lose(struct submission *submission,
                                                       const char *format, ...)
{
    va_list arguments;
    char what[TEXT_SIZE / 2];
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    snprintf(submission->text, sizeof(submission->text), "%s:%s: %s", submission->parts->host,
             submission->parts->port, what);
    const struct submission_end end = {.stage = stage_of(submission),
                                       .text = submission->text,
                                       .is_unknown = submission->state == STATE_FINAL &&
                                                     !submission->is_void};
    finish(submission, &end);
}

/* The reply that was read ends the connection. */
static void refuse(struct submission *submission)
{
    const struct submission_end end = {.stage = stage_of(submission), .reply = &submission->reply};
    finish(submission, &end);
}

static void release(struct submission *submission)
{
    if (submission->lookup != NULL)
        evdns_getaddrinfo_cancel(submission->lookup);
    if (submission->addresses != NULL)
        evutil_freeaddrinfo(submission->addresses);
    if (submission->connection != NULL)
        bufferevent_free(submission->connection);
    event_free(submission->deferred);
    event_free(submission->deadline);
    credential_release(&submission->credential);
    free(submission);
}

static void finish(struct submission *submission, const struct submission_end *end)
{
    bool was_quitting = submission->state == STATE_QUIT;
    if (submission->state == STATE_CLOSED)
        return;
    submission->state = STATE_CLOSED;
    if (submission->message != NULL)
        end_message(submission, end);
    submission->handler->closed(submission->context, was_quitting ? NULL : end);
    if (!submission->is_held)
        release(submission);
}

/* --- speaking ------------------------------------------------------------------ */

/* For the whole reply, however slowly it comes; 0: for ever. */
static void set_deadline(struct submission *submission, time_t seconds)
{
    const struct timeval timeout = {.tv_sec = seconds};
    event_del(submission->deadline);
    if (seconds > 0)
        event_add(submission->deadline, &timeout);
}

__attribute__((format(printf, 2, 3))) static void say(struct submission *submission,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    evbuffer_add_vprintf(bufferevent_get_output(submission->connection), format, arguments);
    va_end(arguments);
}

static void wait_for(struct submission *submission, enum state state, time_t seconds)
{
    submission->state = state;
    set_deadline(submission, seconds);
    reply_begin(&submission->reply);
}

static void wipe(const void *bytes, size_t length, void *line)
{
    (void)bytes;
    (void)length;
    secret_free(line);
}

/* It is sent from where it lies, and wiped when that is done. */
static void say_secret(struct submission *submission, struct secret *line)
{
    struct evbuffer *output = bufferevent_get_output(submission->connection);
    if (secret_length(line) == 0 ||
        evbuffer_add_reference(output, secret_reveal(line), secret_length(line), wipe, line) != 0)
        secret_free(line);
    say(submission, "\r\n");
}

/* --- opening ------------------------------------------------------------------- */

static void resolved(int result, struct evutil_addrinfo *addresses, void *argument)
{
    struct submission *submission = argument;
    if (result == EVUTIL_EAI_CANCEL)
        return;
    submission->lookup = NULL;
    submission->addresses = submission->next_address = addresses;
    if (result != 0)
        lose(submission, "the name cannot be resolved: %s; check relayhost and DNS",
             evutil_gai_strerror(result));
    else
        connect_next(submission);
}

static void resolve(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct submission *submission = argument;
    const struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    /* It may answer at once, and that may end the connection. */
    submission->is_held = true;
    struct evdns_getaddrinfo_request *lookup =
        evdns_getaddrinfo(submission->parts->dns, submission->parts->host, submission->parts->port,
                          &hints, resolved, submission);
    submission->is_held = false;
    if (submission->state == STATE_CLOSED)
        release(submission);
    else
        submission->lookup = lookup;
}

/* Tries the next address. */
static void connect_next(struct submission *submission)
{
    if (submission->connection != NULL)
        bufferevent_free(submission->connection);
    submission->connection = NULL;
    const struct evutil_addrinfo *address = submission->next_address;
    if (address == NULL) {
        lose(submission, "no address answers: %s", strerror(errno));
        return;
    }
    submission->next_address = address->ai_next;
    submission->state = STATE_CONNECTING;
    int descriptor =
        socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (descriptor < 0) {
        connect_next(submission);
        return;
    }
    submission->connection =
        bufferevent_socket_new(submission->parts->base, descriptor, BEV_OPT_CLOSE_ON_FREE);
    if (submission->connection == NULL) {
        close(descriptor);
        lose(submission, "no memory for a connection");
        return;
    }
    bufferevent_setcb(submission->connection, read_replies, NULL, happened, submission);
    set_deadline(submission, CONNECT_TIMEOUT);
    if (bufferevent_socket_connect(submission->connection, address->ai_addr,
                                   (int)address->ai_addrlen) != 0)
        connect_next(submission);
}

/* Connected in plain text: from here on replies are awaited. */
static void greet(struct submission *submission)
{
    evutil_freeaddrinfo(submission->addresses);
    submission->addresses = submission->next_address = NULL;
    bufferevent_enable(submission->connection, EV_READ | EV_WRITE);
    wait_for(submission, STATE_GREETING, OPEN_TIMEOUT);
}

static void say_ehlo(struct submission *submission, enum state state)
{
    submission->extensions = 0;
    say(submission, "EHLO %s\r\n", submission->parts->name);
    wait_for(submission, state, OPEN_TIMEOUT);
}

static bool has_word(const char *list, size_t length, const char *word)
{
    const char *end = list + length;
    size_t word_length = strlen(word);
    for (const char *at = list; at < end; at++) {
        size_t here = strcspn(at, " =");
        if (at + here > end)
            here = (size_t)(end - at);
        if (here == word_length && strncasecmp(at, word, here) == 0)
            return true;
        at += here;
    }
    return false;
}

/* A line of the reply to EHLO, behind its code: a keyword and its parameters. */
static void note_extension(struct submission *submission, const char *line, size_t length)
{
    static const struct {
        const char *keyword;
        enum extension extension;
    } known[] = {{"STARTTLS", EXTENSION_STARTTLS}, {"PIPELINING", EXTENSION_PIPELINING},
                 {"8BITMIME", EXTENSION_8BITMIME}, {"SMTPUTF8", EXTENSION_SMTPUTF8},
                 {"DSN", EXTENSION_DSN},           {"SIZE", EXTENSION_SIZE}};
    const char *blank = memchr(line, ' ', length);
    size_t keyword = blank != NULL ? (size_t)(blank - line) : length;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strlen(known[i].keyword) == keyword &&
            strncasecmp(line, known[i].keyword, keyword) == 0)
            submission->extensions |= known[i].extension;
    if (keyword != 4 || blank == NULL || strncasecmp(line, "AUTH", 4) != 0)
        return;
    if (has_word(blank + 1, length - keyword - 1, "LOGIN"))
        submission->extensions |= EXTENSION_LOGIN;
    if (has_word(blank + 1, length - keyword - 1, "XOAUTH2"))
        submission->extensions |= EXTENSION_XOAUTH2;
}

/* What came in plain text behind the reply to STARTTLS is nobody's (RFC 3207, section 4.2). */
static void begin_tls(struct submission *submission)
{
    struct evbuffer *input = bufferevent_get_input(submission->connection);
    size_t injected = evbuffer_get_length(input);
    if (injected > 0) {
        lose(submission, "%zu bytes in plain text behind STARTTLS's reply; somebody stands between",
             injected);
        return;
    }
    evutil_socket_t descriptor = bufferevent_getfd(submission->connection);
    bufferevent_setfd(submission->connection, -1);
    bufferevent_free(submission->connection);
    submission->connection = tls_begin(submission->parts->tls, submission->parts->base, descriptor,
                                       submission->parts->host);
    if (submission->connection == NULL) {
        lose(submission, "TLS cannot be begun");
        return;
    }
    bufferevent_setcb(submission->connection, read_replies, NULL, happened, submission);
    bufferevent_enable(submission->connection, EV_READ | EV_WRITE);
    wait_for(submission, STATE_HANDSHAKE, OPEN_TIMEOUT);
}

static void begin_auth(struct submission *submission)
{
    const struct credential *credential = &submission->credential;
    bool offered =
        (submission->extensions &
         (credential->mechanism == SASL_LOGIN ? EXTENSION_LOGIN : EXTENSION_XOAUTH2)) != 0;
    if (!offered) {
        lose(submission, "AUTH %s is not offered", sasl_mechanism_name(credential->mechanism));
        return;
    }
    sasl_start(&submission->sasl, credential->mechanism, credential->user, credential->secret);
    say_secret(submission, sasl_first(&submission->sasl, SASL_COMMAND_MAX));
    wait_for(submission, STATE_AUTH, OPEN_TIMEOUT);
}

static void answer_challenge(struct submission *submission)
{
    struct error error;
    struct secret *line = sasl_next(&submission->sasl, submission->reply.text, &error);
    if (line == NULL) {
        lose(submission, "%s", error.text);
        return;
    }
    say_secret(submission, line);
    wait_for(submission, STATE_AUTH, OPEN_TIMEOUT);
}

/* --- a message ----------------------------------------------------------------- */

static void say_mail(struct submission *submission)
{
    const struct envelope *envelope = submission->envelope;
    unsigned offered = submission->extensions;
    say(submission, "MAIL FROM:<%s>", submission->sender);
    if (envelope->size > 0 && (offered & EXTENSION_SIZE))
        say(submission, " SIZE=%llu", (unsigned long long)envelope->size);
    if (envelope->body == LMTP_BODY_8BITMIME && (offered & EXTENSION_8BITMIME))
        say(submission, " BODY=8BITMIME");
    if (envelope->utf8)
        say(submission, " SMTPUTF8");
    if (envelope->ret[0] != '\0' && (offered & EXTENSION_DSN))
        say(submission, " RET=%s", envelope->ret);
    if (envelope->envid[0] != '\0' && (offered & EXTENSION_DSN))
        say(submission, " ENVID=%s", envelope->envid);
    say(submission, "\r\n");
}

static void say_rcpt(struct submission *submission, const struct envelope_recipient *recipient)
{
    bool has_dsn = (submission->extensions & EXTENSION_DSN) != 0;
    say(submission, "RCPT TO:<%s>", recipient->address);
    if (recipient->notify[0] != '\0' && has_dsn)
        say(submission, " NOTIFY=%s", recipient->notify);
    if (recipient->orcpt[0] != '\0' && has_dsn)
        say(submission, " ORCPT=%s", recipient->orcpt);
    say(submission, "\r\n");
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
            say(submission, "DATA\r\n");
        submission->asked++;
    } while (together && submission->asked < recipients + 2);
}

void submission_send(struct submission *submission, const struct envelope *envelope,
                     const char *sender, const struct submission_message_handler *handler,
                     void *context)
{
    submission->envelope = envelope;
    submission->sender = sender;
    submission->message = handler;
    submission->message_context = context;
    submission->asked = submission->answered = submission->accepted = 0;
    submission->mail_refused = submission->is_void = submission->was_refused = false;
    submission->last[0] = '\r';
    submission->last[1] = '\n';
    ask_on(submission);
    wait_for(submission, STATE_ENVELOPE, ENVELOPE_TIMEOUT);
}

static void note_refusal(struct submission *submission, enum reply_stage stage)
{
    submission->was_refused = true;
    submission->refusal = submission->reply;
    submission->refusal_stage = stage;
}

static void become_idle(struct submission *submission)
{
    wait_for(submission, STATE_IDLE, 0);
}

/* The message is over, the connection goes on. */
static void tell_refusal(struct submission *submission)
{
    const struct submission_end end = {.stage = submission->refusal_stage,
                                       .reply = &submission->refusal};
    become_idle(submission);
    end_message(submission, &end);
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
        lose(submission, "answers DATA with %u", submission->reply.code);
        return;
    }
    if (may_go && submission->accepted > 0) {
        wait_for(submission, STATE_BODY, 0);
        watch_writing(submission, BODY_TIMEOUT);
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
        say(submission, "RSET\r\n");
    } else {
        say(submission, ".\r\n");
    }
    submission->is_void = true;
    wait_for(submission, STATE_FINAL, FINAL_TIMEOUT);
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

static void take_envelope_reply(struct submission *submission)
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
    wait_for(submission, STATE_ENVELOPE, ENVELOPE_TIMEOUT);
}

static bool is_class(const struct submission *submission, unsigned class)
{
    return submission->reply.code / 100 == class;
}

static void take_final_reply(struct submission *submission)
{
    const struct reply reply = submission->reply;
    const struct submission_end end = {.stage = REPLY_STAGE_END_OF_DATA, .reply = &reply};
    if (submission->is_void && !is_class(submission, 2) && !is_class(submission, 5)) {
        /* Who answers that does not know where we are: it is no connection for the next message. */
        const struct submission_end refusal = {.stage = submission->refusal_stage,
                                               .reply = &submission->refusal};
        finish(submission, &refusal);
        return;
    }
    if (submission->is_void) {
        tell_refusal(submission);
        return;
    }
    become_idle(submission);
    end_message(submission, &end);
}

bool submission_write(struct submission *submission, struct evbuffer *bytes)
{
    struct evbuffer *output = bufferevent_get_output(submission->connection);
    size_t pending = evbuffer_get_length(output);
    size_t length = evbuffer_get_length(bytes);
    size_t room = pending < SUBMISSION_ROOM ? SUBMISSION_ROOM - pending : 0;
    size_t taken = length < room ? length : room;
    if (taken >= 2) {
        struct evbuffer_ptr end;
        evbuffer_ptr_set(bytes, &end, taken - 2, EVBUFFER_PTR_SET);
        evbuffer_copyout_from(bytes, &end, submission->last, 2);
    } else if (taken == 1) {
        submission->last[0] = submission->last[1];
        evbuffer_copyout(bytes, &submission->last[1], 1);
    }
    evbuffer_remove_buffer(bytes, output, taken);
    return taken == length;
}

void submission_end_body(struct submission *submission)
{
    bool is_whole = submission->last[0] == '\r' && submission->last[1] == '\n';
    say(submission, is_whole ? ".\r\n" : "\r\n.\r\n");
    watch_writing(submission, 0);
    wait_for(submission, STATE_FINAL, FINAL_TIMEOUT);
}

/* --- what the peer says -------------------------------------------------------- */

/* Open: the owner may send. */
static void tell_opened(struct submission *submission)
{
    credential_release(&submission->credential);
    become_idle(submission);
    submission->handler->opened(submission->context);
}

static void take_opening_reply(struct submission *submission)
{
    bool is_fine = is_class(submission, 2);
    if (submission->state == STATE_AUTH && is_class(submission, 3))
        answer_challenge(submission);
    else if (!is_fine)
        refuse(submission);
    else if (submission->state == STATE_GREETING)
        say_ehlo(submission, STATE_EHLO);
    else if (submission->state == STATE_STARTTLS)
        begin_tls(submission);
    else if (submission->state == STATE_EHLO_SECURE)
        begin_auth(submission);
    else if (submission->state == STATE_AUTH)
        tell_opened(submission);
    else if ((submission->extensions & EXTENSION_STARTTLS) == 0)
        lose(submission, "STARTTLS is not offered; without it no password is sent");
    else {
        say(submission, "STARTTLS\r\n");
        wait_for(submission, STATE_STARTTLS, OPEN_TIMEOUT);
    }
}

static void take_reply(struct submission *submission)
{
    switch (submission->state) {
    case STATE_GREETING:
    case STATE_EHLO:
    case STATE_STARTTLS:
    case STATE_EHLO_SECURE:
    case STATE_AUTH:
        take_opening_reply(submission);
        return;
    case STATE_ENVELOPE:
        if (submission->reply.code == 421)
            refuse(submission);
        else
            take_envelope_reply(submission);
        return;
    case STATE_FINAL:
        if (submission->reply.code == 421)
            refuse(submission);
        else
            take_final_reply(submission);
        return;
    case STATE_IDLE:
    case STATE_BODY:
        refuse(submission); /* nobody has asked: it says farewell */
        return;
    case STATE_QUIT:
        finish(submission, NULL);
        return;
    case STATE_RESOLVING:
    case STATE_CONNECTING:
    case STATE_HANDSHAKE:
    case STATE_CLOSED:
        lose(submission, "spoke before its turn");
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
            lose(submission, "sent a line of more than %d octets", LINE_MAX_OCTETS);
        return false;
    }
    if (submission->state == STATE_EHLO || submission->state == STATE_EHLO_SECURE)
        note_extension(submission, length > 4 ? line + 4 : "", length > 4 ? length - 4 : 0);
    enum reply_progress progress = reply_add_line(&submission->reply, line, length, &error);
    free(line);
    if (progress == REPLY_MALFORMED)
        lose(submission, "does not speak SMTP: %s", error.text);
    else if (progress == REPLY_COMPLETE)
        take_reply(submission);
    return progress != REPLY_MALFORMED;
}

/* A callback may close the connection: it is held until the reading has ended. */
static void read_replies(struct bufferevent *connection, void *argument)
{
    struct submission *submission = argument;
    submission->is_held = true;
    while (submission->state != STATE_CLOSED && submission->connection == connection &&
           read_line(submission))
        ;
    submission->is_held = false;
    if (submission->state == STATE_CLOSED)
        release(submission);
}

/* --- what happens to the connection -------------------------------------------- */

static void connected(struct submission *submission)
{
    if (submission->state == STATE_CONNECTING)
        greet(submission);
    else if (submission->state == STATE_HANDSHAKE) {
        log_debug("%s: %s%s", submission->parts->host, tls_version(submission->connection),
                  tls_is_resumed(submission->connection) ? ", resumed" : "");
        bufferevent_setcb(submission->connection, read_replies, written, happened, submission);
        say_ehlo(submission, STATE_EHLO_SECURE);
    }
}

static void failed(struct submission *submission, short what)
{
    struct error error;
    if (submission->state == STATE_CONNECTING) {
        connect_next(submission);
    } else if (submission->state == STATE_HANDSHAKE) {
        tls_explain(submission->connection, submission->parts->host, &error);
        lose(submission, "%s", error.text);
    } else if (what & BEV_EVENT_TIMEOUT) {
        lose(submission, "does not take the message");
    } else if (submission->state == STATE_QUIT) {
        finish(submission, NULL);
    } else {
        lose(submission, "the connection was lost%s%s", what & BEV_EVENT_ERROR ? ": " : "",
             what & BEV_EVENT_ERROR ? strerror(errno) : "");
    }
}

static void deadline_passed(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct submission *submission = argument;
    if (submission->state == STATE_CONNECTING) {
        errno = ETIMEDOUT;
        connect_next(submission);
    } else if (submission->state == STATE_QUIT) {
        finish(submission, NULL);
    } else {
        lose(submission, "does not answer");
    }
}

static void happened(struct bufferevent *connection, short what, void *argument)
{
    (void)connection;
    struct submission *submission = argument;
    if (what & BEV_EVENT_CONNECTED)
        connected(submission);
    else
        failed(submission, what);
}

/* What was written has left. */
static void written(struct bufferevent *connection, void *argument)
{
    (void)connection;
    struct submission *submission = argument;
    if (submission->state == STATE_BODY && submission->message != NULL)
        submission->message->drained(submission->message_context);
}

/* --- life ---------------------------------------------------------------------- */

struct submission *submission_open(const struct submission_parts *parts,
                                   struct credential *credential,
                                   const struct submission_handler *handler, void *context)
{
    struct submission *submission = memory_zero(1, sizeof(*submission));
    submission->parts = parts;
    submission->credential = *credential;
    *credential = (struct credential){.user = NULL};
    submission->handler = handler;
    submission->context = context;
    submission->deferred = event_new(parts->base, -1, 0, resolve, submission);
    submission->deadline = evtimer_new(parts->base, deadline_passed, submission);
    if (submission->deferred == NULL || submission->deadline == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    event_active(submission->deferred, 0, 0);
    return submission;
}

void submission_abandon(struct submission *submission)
{
    submission->message = NULL;
    submission_drop(submission);
}

void submission_close(struct submission *submission)
{
    if (submission->state == STATE_IDLE) {
        say(submission, "QUIT\r\n");
        wait_for(submission, STATE_QUIT, QUIT_TIMEOUT);
        return;
    }
    if (submission->state != STATE_QUIT)
        submission_drop(submission);
}

void submission_drop(struct submission *submission)
{
    lose(submission, "closed by us");
}

bool submission_is_idle(const struct submission *submission)
{
    return submission->state == STATE_IDLE;
}
