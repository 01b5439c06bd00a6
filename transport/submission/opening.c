/* opening.c - a connection to Microsoft, from the name to the login
 *
 * Security: the peer is Microsoft only after TLS has said so. Before, what it says is bounded and
 * believed to be nobody's; what it sent in plain text behind STARTTLS's reply ends the connection.
 */
#include "common/log.h"
#include "common/microsoft.h"
#include "transport/submission/parts.h"

#include <event2/bufferevent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the kernel keeps that it has not sent yet, octets. What is beyond stays here, where it is
 * known that it was not sent; what is on its way is not bounded by it. */
#define UNSENT_MAX (32 * 1024)

/* --- an address that answers --------------------------------------------------- */

static void greet(struct submission *submission);

static void connected(void *context, evutil_socket_t descriptor, const struct address *address)
{
    struct submission *submission = context;
    char text[ADDRESS_TEXT_SIZE];
    int unsent = UNSENT_MAX;
    submission->dial = NULL;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    struct bufferevent *connection =
        bufferevent_socket_new(submission->parts->base, descriptor, BEV_OPT_CLOSE_ON_FREE);
    if (connection == NULL) {
        close(descriptor);
        submission_lose(submission, "no memory for a connection");
        return;
    }
    log_debug("%s: %s answers", submission->destination.host, address_text(address, text));
    submission_watch(submission, connection);
    greet(submission);
}

static void not_connected(void *context, const char *text)
{
    struct submission *submission = context;
    submission->dial = NULL;
    submission_lose(submission, "%s", text);
}

void submission_dial(struct submission *submission)
{
    static const struct dial_handler handler = {.connected = connected, .failed = not_connected};
    const struct submission_parts *parts = submission->parts;
    submission->dial =
        dial_begin(parts->base, parts->dns, submission->destination.host,
                   submission->destination.port, NULL, parts->dialling, &handler, submission);
}

/* Connected in plain text: from here on replies are awaited. */
static void greet(struct submission *submission)
{
    bufferevent_enable(submission->connection, EV_READ | EV_WRITE);
    submission_wait(submission, SUBMISSION_GREETING, submission->parts->smtp->timeouts.helo);
}

/* --- what the server offers ---------------------------------------------------- */

static void say_ehlo(struct submission *submission, enum submission_state state)
{
    submission->extensions = 0;
    submission_say(submission, "EHLO %s\r\n", submission->parts->smtp->helo_name);
    submission_wait(submission, state, submission->parts->smtp->timeouts.helo);
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

/* As smtp_discard_ehlo_keywords says. */
static bool is_discarded(const struct submission *submission, const char *keyword, size_t length)
{
    const char *discarded = submission->parts->smtp->discarded_ehlo_keywords;
    char word[32];
    if (length == 0 || length >= sizeof(word))
        return false;
    snprintf(word, sizeof(word), "%.*s", (int)length, keyword);
    return has_word(discarded, strlen(discarded), word);
}

void submission_note_extension(struct submission *submission, const char *line, size_t length)
{
    static const struct {
        const char *keyword;
        enum submission_extension extension;
    } known[] = {{"STARTTLS", EXTENSION_STARTTLS}, {"PIPELINING", EXTENSION_PIPELINING},
                 {"8BITMIME", EXTENSION_8BITMIME}, {"SMTPUTF8", EXTENSION_SMTPUTF8},
                 {"DSN", EXTENSION_DSN},           {"SIZE", EXTENSION_SIZE}};
    const char *blank = memchr(line, ' ', length);
    size_t keyword = blank != NULL ? (size_t)(blank - line) : length;
    if (is_discarded(submission, line, keyword))
        return;
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

/* --- TLS ----------------------------------------------------------------------- */

static void begin_starttls(struct submission *submission)
{
    if ((submission->extensions & EXTENSION_STARTTLS) == 0) {
        submission_lose(submission, "STARTTLS is not offered; without it no password is sent");
        return;
    }
    submission_say(submission, "STARTTLS\r\n");
    submission_wait(submission, SUBMISSION_STARTTLS, submission->parts->smtp->timeouts.starttls);
}

/* What came in plain text behind the reply to STARTTLS is nobody's (RFC 3207, section 4.2). */
static void begin_tls(struct submission *submission)
{
    struct evbuffer *input = bufferevent_get_input(submission->connection);
    size_t injected = evbuffer_get_length(input);
    if (injected > 0) {
        submission_lose(submission,
                        "%zu bytes in plain text behind STARTTLS's reply; something stands between",
                        injected);
        return;
    }
    evutil_socket_t descriptor = bufferevent_getfd(submission->connection);
    bufferevent_setfd(submission->connection, -1);
    bufferevent_free(submission->connection);
    submission->connection = NULL;
    struct bufferevent *connection = tls_begin(submission->parts->tls, submission->parts->base,
                                               descriptor, submission->destination.host);
    if (connection == NULL) {
        submission_lose(submission, "TLS cannot be begun");
        return;
    }
    submission_watch(submission, connection);
    bufferevent_enable(connection, EV_READ | EV_WRITE);
    submission_wait(submission, SUBMISSION_HANDSHAKE, submission->parts->smtp->timeouts.starttls);
}

void submission_connected(struct submission *submission)
{
    if (submission->state == SUBMISSION_HANDSHAKE) {
        log_debug("%s: %s%s", submission->destination.host, tls_version(submission->connection),
                  tls_is_resumed(submission->connection) ? ", resumed" : "");
        say_ehlo(submission, SUBMISSION_EHLO_SECURE);
    }
}

/* --- login --------------------------------------------------------------------- */

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
    submission_say(submission, "\r\n");
}

static void begin_auth(struct submission *submission)
{
    const struct credential *credential = &submission->credential;
    bool offered =
        (submission->extensions &
         (credential->mechanism == SASL_LOGIN ? EXTENSION_LOGIN : EXTENSION_XOAUTH2)) != 0;
    if (!offered) {
        submission_lose(submission, "AUTH %s is not offered%s",
                        sasl_mechanism_name(credential->mechanism),
                        microsoft_host(submission->destination.host) == MICROSOFT_MX
                            ? ": this is a tenant's MX, direct send, where nobody can log in"
                            : "");
        return;
    }
    sasl_start(&submission->sasl, credential->mechanism, credential->user, credential->secret);
    say_secret(submission, sasl_first(&submission->sasl, SASL_COMMAND_MAX));
    submission_wait(submission, SUBMISSION_AUTH, submission->parts->smtp->timeouts.helo);
}

static void answer_challenge(struct submission *submission)
{
    struct error error;
    struct secret *line = sasl_next(&submission->sasl, submission->reply.text, &error);
    if (line == NULL) {
        submission_lose(submission, "%s", error.text);
        return;
    }
    say_secret(submission, line);
    submission_wait(submission, SUBMISSION_AUTH, submission->parts->smtp->timeouts.helo);
}

/* Open: the owner may send. */
static void tell_opened(struct submission *submission)
{
    credential_release(&submission->credential);
    submission_become_idle(submission);
    submission->handler->opened(submission->context);
}

void submission_take_opening_reply(struct submission *submission)
{
    bool is_fine = submission_is_class(submission, 2);
    if (submission->state == SUBMISSION_AUTH && submission_is_class(submission, 3))
        answer_challenge(submission);
    else if (!is_fine)
        submission_refuse(submission);
    else if (submission->state == SUBMISSION_GREETING)
        say_ehlo(submission, SUBMISSION_EHLO);
    else if (submission->state == SUBMISSION_STARTTLS)
        begin_tls(submission);
    else if (submission->state == SUBMISSION_EHLO_SECURE)
        begin_auth(submission);
    else if (submission->state == SUBMISSION_AUTH)
        tell_opened(submission);
    else
        begin_starttls(submission);
}
