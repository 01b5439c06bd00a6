/* fuzz_session.c - a whole dialogue of a stranger with the LMTP server
 *
 * libFuzzer (clang -fsanitize=fuzzer). The first byte says how the handler behaves, the second how
 * the rest is cut into pieces. The server runs in a loop of its own over a pair of sockets. Checks
 * that every transaction ends once, that what is passed on is a message as it may go to Office 365,
 * and that what the client is told are replies.
 */
#include "transport/lmtp/server.h"

#include "common/buffer.h"
#include "common/log.h"

#include <ctype.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum behaviour {
    REFUSES = 1 << 0,
    REPLIES_EARLY = 1 << 1, /* before the message has come */
};

/* What the handler has seen. */
struct seen {
    unsigned behaviour;
    size_t begun, over;
    struct lmtp_transaction *transaction; /* under way, or NULL */
    size_t recipients;
    struct buffer text;
};

static void demand(bool promise)
{
    if (!promise)
        abort();
}

/* --- the handler ---------------------------------------------------------------- */

static void end_transaction(struct seen *seen)
{
    seen->over++;
    seen->transaction = NULL;
}

static void reply_to_all(struct seen *seen)
{
    struct lmtp_transaction *transaction = seen->transaction;
    end_transaction(seen);
    for (size_t i = seen->recipients; i-- > 0;)
        lmtp_reply(transaction, i, i % 2 == 0 ? "250 2.0.0 Ok" : "450 4.0.0 Later\r\n250 forged");
}

static void *begin(void *context, struct lmtp_transaction *transaction,
                   const struct envelope *envelope, const char *account)
{
    struct seen *seen = context;
    demand(account == NULL && seen->transaction == NULL);
    demand(envelope->recipient_count > 0 && envelope->recipient_count <= ENVELOPE_RECIPIENTS_MAX);
    seen->begun++;
    seen->transaction = transaction;
    seen->recipients = envelope->recipient_count;
    buffer_clear(&seen->text);
    if ((seen->behaviour & REFUSES) != 0) {
        end_transaction(seen);
        lmtp_refuse(transaction, "450 4.7.1 Tomorrow");
        return seen;
    }
    lmtp_go_on(transaction);
    if ((seen->behaviour & REPLIES_EARLY) != 0)
        reply_to_all(seen);
    return seen;
}

/* Every line end is CRLF, and no line is a lone dot. */
static void check_text(const struct buffer *text)
{
    for (size_t i = 0; i < text->length; i++) {
        bool begins = i == 0 || text->data[i - 1] == '\n';
        if (text->data[i] == '\r')
            demand(i + 1 == text->length || text->data[i + 1] == '\n');
        if (text->data[i] == '\n')
            demand(i > 0 && text->data[i - 1] == '\r');
        if (text->data[i] == '.' && begins && i + 1 < text->length)
            demand(text->data[i + 1] != '\n' &&
                   (text->data[i + 1] != '\r' || i + 2 == text->length));
    }
}

static void take_body(void *message, struct evbuffer *bytes)
{
    struct seen *seen = message;
    size_t length = evbuffer_get_length(bytes);
    demand(seen->transaction != NULL);
    buffer_append(&seen->text, (const char *)evbuffer_pullup(bytes, -1), length);
    evbuffer_drain(bytes, length);
    check_text(&seen->text);
}

static void body_ended(void *message, uint64_t replaced)
{
    (void)replaced;
    struct seen *seen = message;
    demand(seen->transaction != NULL);
    const struct buffer *text = &seen->text;
    demand(text->length == 0 || memcmp(text->data + text->length - 2, "\r\n", 2) == 0);
    reply_to_all(seen);
}

static void gone(void *message)
{
    struct seen *seen = message;
    demand(seen->transaction != NULL);
    end_transaction(seen);
}

static const struct lmtp_handler handler_functions = {
    .begin = begin, .body = take_body, .end = body_ended, .gone = gone};

/* --- the client ------------------------------------------------------------------ */

static int listen_somewhere(struct sockaddr_un *address, socklen_t *length)
{
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    /* Linux finds a free abstract name. */
    demand(bind(descriptor, (struct sockaddr *)(void *)address, sizeof(sa_family_t)) == 0);
    *length = sizeof(*address);
    getsockname(descriptor, (struct sockaddr *)(void *)address, length);
    demand(listen(descriptor, 1) == 0);
    return descriptor;
}

static void let_happen(struct event_base *base)
{
    for (int i = 0; i < 4; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

static void hear(int descriptor, struct buffer *heard)
{
    char octets[4096];
    ssize_t length;
    while ((length = recv(descriptor, octets, sizeof(octets), MSG_DONTWAIT)) > 0)
        buffer_append(heard, octets, (size_t)length);
}

/* Says all of it, unless the server closes before. */
static void talk(struct event_base *base, int descriptor, const uint8_t *text, size_t length,
                 size_t step, struct buffer *heard)
{
    for (size_t at = 0; at < length; at += step) {
        size_t piece = length - at < step ? length - at : step;
        if (send(descriptor, text + at, piece, MSG_NOSIGNAL) != (ssize_t)piece)
            break;
        let_happen(base);
        hear(descriptor, heard);
    }
    let_happen(base);
    hear(descriptor, heard);
}

/* Whole lines, each with a code. */
static void check_replies(const struct buffer *heard)
{
    demand(heard->length >= 4 && memcmp(heard->data, "220 ", 4) == 0);
    for (size_t at = 0; at < heard->length;) {
        const char *line = heard->data + at;
        const char *end = memmem(line, heard->length - at, "\r\n", 2);
        demand(end != NULL && end - line > 4);
        demand(strchr("2345", line[0]) != NULL && isdigit((unsigned char)line[1]) &&
               isdigit((unsigned char)line[2]) && (line[3] == ' ' || line[3] == '-'));
        for (const char *octet = line; octet < end; octet++)
            demand((unsigned char)*octet >= ' ' && *octet != 0x7f);
        demand(memmem(line, 12, "250 forged", 10) == NULL);
        at = (size_t)(end - heard->data) + 2;
    }
}

static void run(struct seen *seen, const uint8_t *text, size_t length, size_t step)
{
    const struct lmtp_settings settings = {.hostname = "relay.contoso.com",
                                           .size_limit = 1000000,
                                           .sessions_max = 2,
                                           .timeout = {.tv_sec = LMTP_TIMEOUT}};
    struct lmtp_handler handler = handler_functions;
    struct sockaddr_un address;
    socklen_t address_length;
    struct buffer heard = {0};
    handler.context = seen;
    struct event_base *base = event_base_new();
    struct lmtp *server = lmtp_new(base, &settings, &handler);
    lmtp_listen(server, listen_somewhere(&address, &address_length), NULL);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    demand(connect(client, (struct sockaddr *)(void *)&address, address_length) == 0);
    let_happen(base);
    talk(base, client, text, length, step, &heard);
    check_replies(&heard);
    close(client);
    for (int i = 0; i < 1000 && lmtp_sessions(server) > 0; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    demand(lmtp_sessions(server) == 0);
    lmtp_free(server);
    event_base_free(base);
    buffer_free(&heard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_quiet;
    if (size < 2)
        return 0;
    if (!is_quiet) { /* warnings are expected, thousands of them */
        log_open("fuzz", false, false);
        signal(SIGPIPE, SIG_IGN);
        is_quiet = true;
    }
    struct seen seen = {.behaviour = data[0]};
    size_t step = data[1] < 128 ? (size_t)data[1] + 1 : 65536;
    run(&seen, data + 2, size - 2, step);
    demand(seen.begun == seen.over && seen.transaction == NULL);
    buffer_free(&seen.text);
    return 0;
}
