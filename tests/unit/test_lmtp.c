/* test_lmtp.c - LMTP over real sockets: client, server and handler live in one event loop */
#include "transport/lmtp/server.h"

#include "common/buffer.h"
#include "common/memory.h"

#include <event2/bufferevent.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define HOST       "relay.contoso.com"
#define GREETING   "220 " HOST " LMTP post365\r\n"
#define SIZE_LIMIT 157286400
#define SILENCE    250 /* milliseconds, where it is waited for */
#define MB         (1U << 20)
#define PATIENCE   60 /* seconds until a test that waits for something fails */
#define OK_MAIL    "250 2.1.0 Ok\r\n"
#define OK_RCPT    "250 2.1.5 Ok\r\n"
#define OK         "250 2.0.0 Ok\r\n"
#define SEND_IT    "354 End data with <CR><LF>.<CR><LF>\r\n"
#define BYE        "221 2.0.0 Bye\r\n"
#define LHLO_REPLY                                                                                 \
    "250-" HOST "\r\n250-SIZE 157286400\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"     \
    "250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n"                                                       \
    "250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n"
#define IN_A_MESSAGE "LHLO x\r\n" TO_ONE "DATA\r\n"
#define TO_ONE       "MAIL FROM:<relay@contoso.com>\r\nRCPT TO:<a@b.c>\r\n"

enum when { AT_ONCE, LATER };

enum place { NOWHERE, IN_GREET, IN_BEGIN, IN_BODY, IN_END, IN_GONE };

/* What the handler does and what it has seen. */
struct script {
    enum when decides, drains, replies;
    const char *refusal;  /* or NULL */
    const char *greeting; /* or NULL */
    enum place frees;     /* the server */
    enum place stops;
    /* seen */
    size_t begins, ends, gones, bodies;
    struct lmtp_transaction *transaction; /* the last one */
    struct evbuffer *bytes;               /* its own */
    struct buffer envelope, text;         /* text is not kept with `counts_only` */
    bool counts_only;
    size_t octets, most_unconsumed;
    uint64_t replaced;
    size_t recipients;
};

struct client {
    struct bufferevent *stream;
    bool is_closed; /* by the server */
};

struct fixture {
    struct event_base *base;
    struct lmtp *server;
    struct sockaddr_un address;
    socklen_t address_length;
    struct script script;
    struct client client; /* the first one */
};

/* --- the handler ------------------------------------------------------------------ */

static void end_server(struct fixture *fixture, enum place place)
{
    if (fixture->script.stops == place)
        lmtp_stop(fixture->server);
    if (fixture->script.frees != place)
        return;
    lmtp_free(fixture->server);
    fixture->server = NULL;
}

static const char *greet(void *context, const char *account)
{
    struct fixture *fixture = context;
    assert_string_equal(account, "relay@contoso.com");
    end_server(fixture, IN_GREET);
    return fixture->script.greeting;
}

static void decide(struct script *script)
{
    if (script->refusal != NULL)
        lmtp_refuse(script->transaction, script->refusal);
    else
        lmtp_go_on(script->transaction);
}

static void *begin(void *context, struct lmtp_transaction *transaction,
                   const struct envelope *envelope, const char *account)
{
    struct fixture *fixture = context;
    struct script *script = &fixture->script;
    script->begins++;
    script->transaction = transaction;
    script->recipients = envelope->recipient_count;
    buffer_format(&script->envelope, "%s[%s] %s", account != NULL ? account : "",
                  envelope_queue_id(envelope), envelope->sender);
    for (size_t i = 0; i < envelope->recipient_count && i < 4; i++)
        buffer_format(&script->envelope, " %s", envelope->recipients[i].address);
    buffer_append_char(&script->envelope, '\n');
    if (script->decides == AT_ONCE)
        decide(script);
    end_server(fixture, IN_BEGIN);
    return fixture;
}

static void drain(struct script *script, struct evbuffer *bytes)
{
    size_t length = evbuffer_get_length(bytes);
    script->octets += length;
    if (!script->counts_only)
        buffer_append(&script->text, (const char *)evbuffer_pullup(bytes, -1), length);
    evbuffer_drain(bytes, length);
}

static void body(void *message, struct evbuffer *bytes)
{
    struct fixture *fixture = message;
    struct script *script = &fixture->script;
    script->bodies++;
    script->bytes = bytes;
    if (evbuffer_get_length(bytes) > script->most_unconsumed)
        script->most_unconsumed = evbuffer_get_length(bytes);
    assert_int_equal(script->ends, script->begins - 1);
    if (script->drains == AT_ONCE)
        drain(script, bytes);
    end_server(fixture, IN_BODY);
}

static void reply_to_all(struct script *script)
{
    for (size_t i = 0; i < script->recipients; i++) {
        char reply[64];
        snprintf(reply, sizeof(reply), "250 2.0.0 Sent %zu", i);
        lmtp_reply(script->transaction, i, reply);
    }
}

static void end(void *message, uint64_t replaced)
{
    struct fixture *fixture = message;
    struct script *script = &fixture->script;
    script->ends++;
    script->replaced = replaced;
    if (script->bytes != NULL)
        assert_int_equal(evbuffer_get_length(script->bytes), 0);
    script->bytes = NULL;
    if (script->replies == AT_ONCE)
        reply_to_all(script);
    end_server(fixture, IN_END);
}

static void gone(void *message)
{
    struct fixture *fixture = message;
    fixture->script.gones++;
    fixture->script.transaction = NULL;
    end_server(fixture, IN_GONE);
}

static const struct lmtp_handler handler_functions = {
    .greet = greet, .begin = begin, .body = body, .end = end, .gone = gone};

/* --- the loop ------------------------------------------------------------------------ */

static void lose_patience(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    *(bool *)argument = true;
}

/* Runs the loop until the condition holds. */
#define RUN_UNTIL(fixture, condition)                                                              \
    do {                                                                                           \
        const struct timeval patience = {.tv_sec = PATIENCE};                                      \
        bool is_late = false;                                                                      \
        struct event *guard = evtimer_new((fixture)->base, lose_patience, &is_late);               \
        event_add(guard, &patience);                                                               \
        while (!(condition) && !is_late)                                                           \
            event_base_loop((fixture)->base, EVLOOP_ONCE);                                         \
        event_free(guard);                                                                         \
        if (is_late)                                                                               \
            fail_msg("waited in vain for " #condition);                                            \
    } while (0)

/* What is ready now happens. */
static void let_happen(struct fixture *fixture)
{
    for (int i = 0; i < 8; i++)
        event_base_loop(fixture->base, EVLOOP_NONBLOCK);
}

static void pass_time(struct fixture *fixture, unsigned milliseconds)
{
    const struct timeval time = {.tv_usec = (suseconds_t)milliseconds * 1000};
    bool is_over = false;
    struct event *timer = evtimer_new(fixture->base, lose_patience, &is_over);
    event_add(timer, &time);
    RUN_UNTIL(fixture, is_over);
    event_free(timer);
}

/* --- the client ------------------------------------------------------------------------ */

static void client_changed(struct bufferevent *stream, short what, void *argument)
{
    (void)stream;
    struct client *client = argument;
    if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0)
        client->is_closed = true;
}

static void client_open(struct fixture *fixture, struct client *client)
{
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(
        connect(descriptor, (struct sockaddr *)(void *)&fixture->address, fixture->address_length),
        0);
    *client = (struct client){
        .stream = bufferevent_socket_new(fixture->base, descriptor, BEV_OPT_CLOSE_ON_FREE)};
    bufferevent_setcb(client->stream, NULL, NULL, client_changed, client);
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
}

static void client_close(struct client *client)
{
    if (client->stream != NULL)
        bufferevent_free(client->stream);
    client->stream = NULL;
}

static void client_say_bytes(struct client *client, const char *bytes, size_t length)
{
    bufferevent_write(client->stream, bytes, length);
}

static size_t client_has(const struct client *client)
{
    return evbuffer_get_length(bufferevent_get_input(client->stream));
}

/* Waits for exactly this. */
static void client_expect(struct fixture *fixture, struct client *client, const char *want)
{
    size_t length = strlen(want);
    char *got = calloc(1, length + 1);
    RUN_UNTIL(fixture, client_has(client) >= length || client->is_closed);
    bufferevent_read(client->stream, got, length);
    if (strcmp(got, want) != 0)
        fail_msg("got \"%s\", want \"%s\"", got, want);
    free(got);
}

static void client_expect_close(struct fixture *fixture, struct client *client)
{
    RUN_UNTIL(fixture, client->is_closed);
    assert_int_equal(client_has(client), 0);
}

static void say(struct fixture *fixture, const char *text)
{
    client_say_bytes(&fixture->client, text, strlen(text));
}

static void expect(struct fixture *fixture, const char *want)
{
    client_expect(fixture, &fixture->client, want);
}

static void expect_silence(struct fixture *fixture)
{
    let_happen(fixture);
    assert_int_equal(client_has(&fixture->client), 0);
}

static void ask(struct fixture *fixture, const char *text, const char *want)
{
    say(fixture, text);
    expect(fixture, want);
}

/* Up to the 354. */
static void announce(struct fixture *fixture)
{
    ask(fixture, TO_ONE "DATA\r\n", OK_MAIL OK_RCPT SEND_IT);
}

static void expect_text(struct fixture *fixture, const char *want, size_t length)
{
    const struct buffer *text = &fixture->script.text;
    if (text->length != length || memcmp(text->data, want, length) != 0)
        fail_msg("got \"%s\", want \"%s\"", text->data, want);
}

/* --- fixtures -------------------------------------------------------------------------- */

static int listen_somewhere(struct fixture *fixture)
{
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    fixture->address = (struct sockaddr_un){.sun_family = AF_UNIX};
    /* Linux finds a free abstract name. */
    assert_int_equal(
        bind(descriptor, (struct sockaddr *)(void *)&fixture->address, sizeof(sa_family_t)), 0);
    fixture->address_length = sizeof(fixture->address);
    getsockname(descriptor, (struct sockaddr *)(void *)&fixture->address, &fixture->address_length);
    assert_int_equal(listen(descriptor, 16), 0);
    return descriptor;
}

static struct fixture *open_server(unsigned timeout_milliseconds, const char *account)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct lmtp_handler handler = handler_functions;
    const struct lmtp_settings settings = {
        .hostname = HOST,
        .size_limit = SIZE_LIMIT,
        .sessions_max = 3,
        .timeout = {.tv_sec = timeout_milliseconds / 1000,
                    .tv_usec = (suseconds_t)(timeout_milliseconds % 1000) * 1000},
    };
    handler.context = fixture;
    fixture->base = event_base_new();
    fixture->server = lmtp_new(fixture->base, &settings, &handler);
    lmtp_listen(fixture->server, listen_somewhere(fixture), account);
    return fixture;
}

/* A client who has said LHLO. */
static void begin_dialogue(struct fixture *fixture)
{
    client_open(fixture, &fixture->client);
    expect(fixture, GREETING);
    ask(fixture, "LHLO localhost\r\n", LHLO_REPLY);
}

static int set_up(void **state)
{
    struct fixture *fixture = open_server(LMTP_TIMEOUT * 1000, NULL);
    begin_dialogue(fixture);
    *state = fixture;
    return 0;
}

static int set_up_for_silence(void **state)
{
    struct fixture *fixture = open_server(SILENCE, NULL);
    client_open(fixture, &fixture->client);
    *state = fixture;
    return 0;
}

static int set_up_for_account(void **state)
{
    *state = open_server(LMTP_TIMEOUT * 1000, "relay@contoso.com");
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    client_close(&fixture->client);
    lmtp_free(fixture->server);
    event_base_free(fixture->base);
    buffer_free(&fixture->script.envelope);
    buffer_free(&fixture->script.text);
    free(fixture);
    return 0;
}

/* --- the dialogue ------------------------------------------------------------------------ */

static void a_message_goes_through(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture, "XFORWARD NAME=printer ADDR=192.0.2.7\r\n", OK);
    ask(fixture, "XFORWARD PROTO=ESMTP IDENT=4bX7qQ\r\n", OK);
    ask(fixture, "MAIL FROM:<relay@contoso.com> SIZE=100 BODY=8BITMIME\r\n", OK_MAIL);
    ask(fixture, "RCPT TO:<a@b.c>\r\n", OK_RCPT);
    ask(fixture, "RCPT TO:<d@e.f> NOTIFY=NEVER\r\n", OK_RCPT);
    ask(fixture, "DATA\r\n", SEND_IT);
    ask(fixture, "Subject: x\r\n\r\n..dots\r\n.\r\n", "250 2.0.0 Sent 0\r\n250 2.0.0 Sent 1\r\n");
    assert_string_equal(fixture->script.envelope.data, "[4bX7qQ] relay@contoso.com a@b.c d@e.f\n");
    expect_text(fixture, "Subject: x\r\n\r\n..dots\r\n", 22);
    ask(fixture, "QUIT\r\n", BYE);
    client_expect_close(fixture, &fixture->client);
    RUN_UNTIL(fixture, lmtp_sessions(fixture->server) == 0);
    assert_int_equal(fixture->script.gones, 0);
}

static void octet_by_octet_it_is_the_same(void **state)
{
    struct fixture *fixture = *state;
    static const char dialogue[] = "XFORWARD IDENT=Q1\r\n" TO_ONE "DATA\r\na\r\n..\r\n.\r\n"
                                   "NOOP\r\nMAIL FROM:<>\r\nRSET\r\nQUIT\r\n";
    for (size_t i = 0; i < sizeof(dialogue) - 1; i++) {
        client_say_bytes(&fixture->client, dialogue + i, 1);
        let_happen(fixture);
    }
    expect(fixture, OK OK_MAIL OK_RCPT SEND_IT "250 2.0.0 Sent 0\r\n" OK OK_MAIL OK BYE);
    expect_text(fixture, "a\r\n..\r\n", 7);
    assert_string_equal(fixture->script.envelope.data, "[Q1] relay@contoso.com a@b.c\n");
}

static void two_transactions_in_one_write(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture,
        "XFORWARD IDENT=Q1\r\n" TO_ONE "DATA\r\none\r\n.\r\n"
        "MAIL FROM:<>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n.\r\nQUIT\r\n",
        OK OK_MAIL OK_RCPT SEND_IT "250 2.0.0 Sent 0\r\n" OK_MAIL OK_RCPT SEND_IT
                                   "250 2.0.0 Sent 0\r\n" BYE);
    /* What XFORWARD has told was for the first one. */
    assert_string_equal(fixture->script.envelope.data, "[Q1] relay@contoso.com a@b.c\n[]  d@e.f\n");
    expect_text(fixture, "one\r\n", 5);
    assert_int_equal(fixture->script.ends, 2);
}

static void commands_out_of_sequence(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"RCPT TO:<a@b.c>\r\n", "503 5.5.1 MAIL first\r\n"},
        {"DATA\r\n", "503 5.5.1 MAIL first\r\n"},
        {"MAIL FROM:<>\r\n", OK_MAIL},
        {"MAIL FROM:<>\r\n", "503 5.5.1 In a transaction\r\n"},
        {"XFORWARD NAME=x\r\n", "503 5.5.1 In a transaction\r\n"},
        {"DATA\r\n", "503 5.5.1 No valid recipients\r\n"},
        {"RCPT TO:<>\r\n", "501 5.1.3 Bad recipient address syntax\r\n"},
        {"RCPT TO:<m\xc3\xbc@b.c>\r\n", "553 5.6.7 The recipient address needs SMTPUTF8\r\n"},
        {"RSET\r\n", OK},
        {"DATA\r\n", "503 5.5.1 MAIL first\r\n"},
        {"MAIL FROM:<> SIZE=157286401\r\n", "552 5.3.4 Message size exceeds the limit\r\n"},
        {"MAIL FROM:<> SIZE=157286400\r\n", OK_MAIL},
        {"LHLO localhost\r\n", LHLO_REPLY},
        {"RCPT TO:<a@b.c>\r\n", "503 5.5.1 MAIL first\r\n"},
        {"VRFY x\r\n", "252 2.5.2 Cannot tell, but will take a message\r\n"},
        {"EHLO localhost\r\n", "500 5.5.1 this is LMTP\r\n"},
        {"NOOP\r\n", OK},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        ask(fixture, cases[i].text, cases[i].want);
    assert_int_equal(fixture->script.begins, 0);
}

static void nothing_goes_without_lhlo(void **state)
{
    struct fixture *fixture = *state;
    struct client other;
    client_open(fixture, &other);
    client_expect(fixture, &other, GREETING);
    static const char text[] = "MAIL FROM:<>\r\nXFORWARD NAME=x\r\nNOOP\r\n";
    client_say_bytes(&other, text, strlen(text));
    client_expect(fixture, &other, "503 5.5.1 LHLO first\r\n503 5.5.1 LHLO first\r\n" OK);
    client_close(&other);
}

/* A bare CR or LF ends no command, and a NUL is none. */
static void only_crlf_ends_a_command(void **state)
{
    struct fixture *fixture = *state;
    say(fixture, "NOOP\nNOOP\rNOOP\n");
    expect_silence(fixture);
    ask(fixture, "\r\n", "500 5.5.2 Control characters in a command\r\n");
    client_say_bytes(&fixture->client, "NOOP\0\r\n", 7);
    expect(fixture, "500 5.5.2 Control characters in a command\r\n");
    ask(fixture, "NOOP\r\n", OK);
}

static void whoever_speaks_something_else_is_sent_away(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 20; i++)
        ask(fixture, "Accept: text/html\r\n", "500 5.5.2 Unknown command\r\n");
    ask(fixture, "Host: x\r\nNOOP\r\n", "421 4.7.0 Too many errors\r\n");
    client_expect_close(fixture, &fixture->client);
}

static void a_line_of_ten_megabytes(void **state)
{
    struct fixture *fixture = *state;
    char *line = malloc(10 * MB);
    memset(line, 'x', 10 * MB);
    client_say_bytes(&fixture->client, line, 10 * MB);
    ask(fixture, "\r\nNOOP\r\n", "500 5.5.2 Line too long\r\n" OK);
    memcpy(line, "NOOP ", 5);
    client_say_bytes(&fixture->client, line, LMTP_LINE_MAX);
    ask(fixture, "\r\n", OK);
    client_say_bytes(&fixture->client, line, LMTP_LINE_MAX + 1);
    ask(fixture, "\r\n", "500 5.5.2 Line too long\r\n");
    /* Its CR comes alone. */
    client_say_bytes(&fixture->client, line, LMTP_LINE_MAX + 500);
    say(fixture, "\r");
    expect_silence(fixture);
    ask(fixture, "\n", "500 5.5.2 Line too long\r\n");
    announce(fixture);
    client_say_bytes(&fixture->client, line, 10 * MB);
    fixture->script.counts_only = true;
    ask(fixture, "\r\n.\r\n", "250 2.0.0 Sent 0\r\n");
    assert_int_equal(fixture->script.octets, 10 * MB + 2);
    free(line);
}

/* Appends so many recipients. */
static void say_recipients(struct fixture *fixture, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char line[64];
        snprintf(line, sizeof(line), "RCPT TO:<user%u@b.c>\r\n", i);
        say(fixture, line);
    }
}

static void a_hundred_thousand_recipients(void **state)
{
    struct fixture *fixture = *state;
    ask(fixture, "MAIL FROM:<>\r\n", OK_MAIL);
    say_recipients(fixture, 100000);
    for (unsigned i = 0; i < ENVELOPE_RECIPIENTS_MAX; i++)
        expect(fixture, OK_RCPT);
    for (unsigned i = ENVELOPE_RECIPIENTS_MAX; i < 100000; i++)
        expect(fixture, "452 4.5.3 Too many recipients\r\n");
    ask(fixture, "DATA\r\n", SEND_IT);
    say(fixture, ".\r\n");
    for (unsigned i = 0; i < ENVELOPE_RECIPIENTS_MAX; i++) {
        char reply[64];
        snprintf(reply, sizeof(reply), "250 2.0.0 Sent %u\r\n", i);
        expect(fixture, reply);
    }
    ask(fixture, "NOOP\r\n", OK);
}

/* --- decisions and replies ------------------------------------------------------------------ */

static void nothing_is_carried_out_while_a_decision_is_pending(void **state)
{
    struct fixture *fixture = *state;
    fixture->script.decides = LATER;
    ask(fixture, TO_ONE "DATA\r\n", OK_MAIL OK_RCPT);
    RUN_UNTIL(fixture, fixture->script.begins == 1);
    say(fixture, "text\r\n.\r\nQUIT\r\n");
    expect_silence(fixture);
    assert_int_equal(fixture->script.bodies, 0);
    assert_int_equal(lmtp_busy(fixture->server), 1);
    decide(&fixture->script);
    expect(fixture, SEND_IT "250 2.0.0 Sent 0\r\n" BYE);
}

static void a_refused_message_is_never_sent(void **state)
{
    struct fixture *fixture = *state;
    fixture->script.refusal = "450 4.7.1 Tomorrow";
    for (unsigned i = 0; i < 3; i++) {
        fixture->script.decides = i == 1 ? LATER : AT_ONCE;
        say(fixture, TO_ONE "DATA\r\nRSET\r\n");
        if (i == 1) {
            RUN_UNTIL(fixture, fixture->script.begins == 2);
            decide(&fixture->script);
        }
        expect(fixture, OK_MAIL OK_RCPT "450 4.7.1 Tomorrow\r\n" OK);
    }
    ask(fixture, TO_ONE "DATA\r\nQUIT\r\n", OK_MAIL OK_RCPT "450 4.7.1 Tomorrow\r\n" BYE);
    assert_int_equal(fixture->script.begins, 4);
    assert_int_equal(fixture->script.bodies + fixture->script.ends + fixture->script.gones, 0);
}

static void replies_leave_in_the_order_of_recipients(void **state)
{
    struct fixture *fixture = *state;
    struct script *script = &fixture->script;
    script->replies = LATER;
    ask(fixture,
        "MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nRCPT TO:<g@h.i>\r\nDATA\r\n",
        OK_MAIL OK_RCPT OK_RCPT OK_RCPT SEND_IT);
    lmtp_reply(script->transaction, 2, "550 5.1.1 Third");
    say(fixture, "x\r\n.\r\nNOOP\r\n");
    RUN_UNTIL(fixture, script->ends == 1);
    expect_silence(fixture);
    lmtp_reply(script->transaction, 0, "250 2.0.0 First");
    expect(fixture, "250 2.0.0 First\r\n");
    expect_silence(fixture);
    lmtp_reply(script->transaction, 1, "450 4.2.0 Second");
    expect(fixture, "450 4.2.0 Second\r\n550 5.1.1 Third\r\n" OK);
}

/* Whoever has nowhere to send the message any more says so, and need not take the rest. */
static void replies_may_come_before_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct script *script = &fixture->script;
    script->drains = LATER;
    announce(fixture);
    say(fixture, "first\r\n");
    RUN_UNTIL(fixture, script->bodies == 1);
    lmtp_reply(script->transaction, 0, "451 4.4.2 Lost");
    script->bytes = NULL;
    expect_silence(fixture);
    assert_int_equal(lmtp_busy(fixture->server), 1);
    ask(fixture, "second\r\n.\r\n", "451 4.4.2 Lost\r\n");
    ask(fixture, "NOOP\r\n", OK);
    assert_int_equal(script->bodies, 1);
    assert_int_equal(script->ends + script->gones, 0);
    assert_int_equal(lmtp_busy(fixture->server), 0);
}

static void a_reply_is_always_one_line(void **state)
{
    struct fixture *fixture = *state;
    static char long_reply[4096];
    snprintf(long_reply, sizeof(long_reply), "450 4.7.1 %04000d", 0);
    fixture->script.refusal = "550 5.7.1 a\r\n250 b\x7f";
    ask(fixture, TO_ONE "DATA\r\n", OK_MAIL OK_RCPT "550 5.7.1 a??250 b?\r\n");
    fixture->script.refusal = "nonsense";
    ask(fixture, TO_ONE "DATA\r\n", OK_MAIL OK_RCPT "451 4.3.0 Internal error\r\n");
    fixture->script.refusal = "250 2.0.0 No";
    ask(fixture, TO_ONE "DATA\r\n", OK_MAIL OK_RCPT "451 4.3.0 Internal error\r\n");
    fixture->script.refusal = long_reply;
    ask(fixture, TO_ONE "DATA\r\n", OK_MAIL OK_RCPT "450 4.7.1 0000");
    RUN_UNTIL(fixture, client_has(&fixture->client) == LMTP_REPLY_MAX - 14 + 2);
}

static void what_the_handler_says_twice_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct script *script = &fixture->script;
    script->replies = LATER;
    announce(fixture);
    lmtp_go_on(script->transaction);
    lmtp_refuse(script->transaction, "450 4.0.0 No");
    lmtp_reply(script->transaction, 1, "250 2.0.0 Nobody");
    say(fixture, ".\r\n");
    RUN_UNTIL(fixture, script->ends == 1);
    lmtp_reply(script->transaction, 0, "250 2.0.0 Once");
    lmtp_reply(script->transaction, 0, "250 2.0.0 Twice");
    expect(fixture, "250 2.0.0 Once\r\n");
    expect_silence(fixture);
}

/* --- the data ----------------------------------------------------------------------------------
 */

/* Each is within a message, before a second one that must not come to life. */
static void nothing_can_be_smuggled(void **state)
{
    struct fixture *fixture = *state;
    struct script *script = &fixture->script;
    static const struct {
        const char *text, *passed;
    } cases[] = {
        {"\n.\r\n", " .\r\n"},         {"\n.\n", " . "},         {"\r.\r", " . "},
        {"\r.\r\n", " .\r\n"},         {"\r\n.\n", "\r\n. "},    {"\r\n.\r", "\r\n. "},
        {"\r\n.\r\r\n", "\r\n. \r\n"}, {"\r\r\n.\n", " \r\n. "}, {"\r\n\n.\r\n", "\r\n .\r\n"},
        {"\n\n.\n\n", "  .  "},        {"\n\r.\n\r", "  .  "},   {"\r\n\r.\r\n", "\r\n .\r\n"},
    };
    for (size_t i = 0; i < 2 * COUNT(cases); i++) {
        char text[256], want[256];
        bool is_split = i % 2 == 1;
        int length =
            snprintf(text, sizeof(text), "a%s" TO_ONE "DATA\r\nb\r\n.\r\n", cases[i / 2].text);
        snprintf(want, sizeof(want), "a%s" TO_ONE "DATA\r\nb\r\n", cases[i / 2].passed);
        announce(fixture);
        for (int j = 0; is_split && j < length - 1; j++) {
            client_say_bytes(&fixture->client, text + j, 1);
            let_happen(fixture);
        }
        ask(fixture, is_split ? text + length - 1 : text, "250 2.0.0 Sent 0\r\n");
        expect_silence(fixture);
        expect_text(fixture, want, strlen(want));
        assert_int_equal(script->begins, i + 1);
        assert_true(script->replaced > 0);
        buffer_clear(&script->text);
    }
}

static void nuls_are_data(void **state)
{
    struct fixture *fixture = *state;
    static const char text[] = "\0\r\n.\0\r\n\0.\r\n\r\n.\r\n";
    announce(fixture);
    client_say_bytes(&fixture->client, text, sizeof(text) - 1);
    expect(fixture, "250 2.0.0 Sent 0\r\n");
    expect_text(fixture, text, sizeof(text) - 1 - strlen(".\r\n"));
    assert_int_equal(fixture->script.replaced, 0);
}

static void an_empty_message_has_an_end(void **state)
{
    struct fixture *fixture = *state;
    announce(fixture);
    ask(fixture, ".\r\n", "250 2.0.0 Sent 0\r\n");
    assert_int_equal(fixture->script.bodies, 0);
    assert_int_equal(fixture->script.ends, 1);
}

static void the_handler_may_leave_data(void **state)
{
    struct fixture *fixture = *state;
    struct script *script = &fixture->script;
    script->drains = LATER;
    announce(fixture);
    say(fixture, "one\r\n");
    RUN_UNTIL(fixture, script->bodies == 1);
    say(fixture, "two\r\n.\r\n");
    RUN_UNTIL(fixture, script->bodies == 2);
    expect_silence(fixture);
    assert_int_equal(script->ends, 0);
    /* It drains a part by itself, and the rest when it is called again. */
    evbuffer_drain(script->bytes, 5);
    lmtp_resume(script->transaction);
    RUN_UNTIL(fixture, script->bodies == 3);
    expect_silence(fixture);
    script->drains = AT_ONCE;
    lmtp_resume(script->transaction);
    expect(fixture, "250 2.0.0 Sent 0\r\n");
    expect_text(fixture, "two\r\n", 5);
    assert_int_equal(script->ends, 1);
}

static void what_was_drained_without_a_word_needs_a_resume(void **state)
{
    struct fixture *fixture = *state;
    struct script *script = &fixture->script;
    script->drains = LATER;
    announce(fixture);
    say(fixture, "one\r\n.\r\n");
    RUN_UNTIL(fixture, script->bodies == 1);
    drain(script, script->bytes);
    lmtp_resume(script->transaction);
    expect(fixture, "250 2.0.0 Sent 0\r\n");
    assert_int_equal(script->bodies, 1);
}

/* The consumer takes a portion only when nothing more comes in. */
static void a_slow_consumer_holds_up_the_client(void **state)
{
    struct fixture *fixture = *state;
    struct script *script = &fixture->script;
    static char line[65536];
    const unsigned lines = 1600; /* 100 MB */
    memset(line, 'x', sizeof(line));
    memcpy(line + sizeof(line) - 2, "\r\n", 2);
    script->drains = LATER;
    script->counts_only = true;
    announce(fixture);
    struct evbuffer *output = bufferevent_get_output(fixture->client.stream);
    size_t before = mallinfo2().uordblks, most = before;
    for (unsigned i = 0; i < lines; i++) {
        client_say_bytes(&fixture->client, line, sizeof(line));
        if (i == lines - 1)
            say(fixture, ".\r\n");
        let_happen(fixture);
        while (evbuffer_get_length(output) > 0) {
            /* Stuck: the server does not read any more. */
            RUN_UNTIL(fixture, evbuffer_get_length(script->bytes) >= LMTP_UNCONSUMED_MAX);
            if (mallinfo2().uordblks > most)
                most = mallinfo2().uordblks;
            drain(script, script->bytes);
            lmtp_resume(script->transaction);
            let_happen(fixture);
        }
    }
    script->drains = AT_ONCE;
    lmtp_resume(script->transaction);
    expect(fixture, "250 2.0.0 Sent 0\r\n");
    assert_int_equal(script->octets, (size_t)lines * sizeof(line));
    assert_true(script->most_unconsumed <= 2 * LMTP_UNCONSUMED_MAX);
    assert_true(most - before < MB);
}

/* --- clients that go
 * ------------------------------------------------------------------------------ */

static void a_client_may_vanish_at_any_time(void **state)
{
    struct fixture *fixture = *state;
    struct script *script = &fixture->script;
    static const struct {
        const char *text;
        enum when decides, drains;
        size_t begins, bodies, ends, gones;
    } cases[] = {
        {"", AT_ONCE, AT_ONCE, 0, 0, 0, 0},
        {"MAIL FRO", AT_ONCE, AT_ONCE, 0, 0, 0, 0},
        {"MAIL FROM:<>\r\n", AT_ONCE, AT_ONCE, 0, 0, 0, 0},
        {TO_ONE, AT_ONCE, AT_ONCE, 0, 0, 0, 0},
        {TO_ONE "DATA\r\n", LATER, AT_ONCE, 1, 0, 0, 1},
        {TO_ONE "DATA\r\n", AT_ONCE, AT_ONCE, 1, 0, 0, 1},
        {TO_ONE "DATA\r\nhalf", AT_ONCE, AT_ONCE, 1, 1, 0, 1},
        {TO_ONE "DATA\r\nhalf", AT_ONCE, LATER, 1, 1, 0, 1},
        {TO_ONE "DATA\r\nwhole\r\n.", AT_ONCE, AT_ONCE, 1, 1, 0, 1},
        {TO_ONE "DATA\r\nwhole\r\n.\r\n", AT_ONCE, LATER, 1, 1, 0, 1},
        {TO_ONE "DATA\r\nwhole\r\n.\r\n", AT_ONCE, AT_ONCE, 1, 1, 1, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct client other;
        *script = (struct script){
            .decides = cases[i].decides, .drains = cases[i].drains, .replies = LATER};
        client_open(fixture, &other);
        client_say_bytes(&other, "LHLO x\r\n", 8);
        client_expect(fixture, &other, GREETING LHLO_REPLY);
        client_say_bytes(&other, cases[i].text, strlen(cases[i].text));
        RUN_UNTIL(fixture, script->begins == cases[i].begins && script->bodies == cases[i].bodies &&
                               script->ends == cases[i].ends);
        let_happen(fixture);
        client_close(&other);
        RUN_UNTIL(fixture, lmtp_sessions(fixture->server) == 1);
        assert_int_equal(script->gones, cases[i].gones);
        assert_int_equal(script->begins, cases[i].begins);
        buffer_free(&script->envelope);
        buffer_free(&script->text);
    }
}

static void who_closes_behind_all_replies_is_not_missed(void **state)
{
    struct fixture *fixture = *state;
    struct script *script = &fixture->script;
    script->replies = LATER;
    announce(fixture);
    reply_to_all(script);
    client_close(&fixture->client);
    RUN_UNTIL(fixture, lmtp_sessions(fixture->server) == 0);
    assert_int_equal(script->gones, 0);
}

static void silence_has_an_end(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, GREETING "421 4.4.2 Timeout\r\n");
    client_expect_close(fixture, &fixture->client);
    RUN_UNTIL(fixture, lmtp_sessions(fixture->server) == 0);
}

static void silence_within_the_data_has_an_end(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, GREETING);
    ask(fixture, "LHLO x\r\n" TO_ONE "DATA\r\nhalf",
        LHLO_REPLY OK_MAIL OK_RCPT SEND_IT "421 4.4.2 Timeout\r\n");
    client_expect_close(fixture, &fixture->client);
    assert_int_equal(fixture->script.gones, 1);
    assert_int_equal(fixture->script.ends, 0);
}

/* More than the time that a line may take, octet by octet. */
static void a_line_has_no_more_time_for_being_slow(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, GREETING);
    for (int i = 0; i < 100 && !fixture->client.is_closed; i++) {
        say(fixture, "N");
        pass_time(fixture, 10);
    }
    expect(fixture, "421 4.4.2 Timeout\r\n");
    client_expect_close(fixture, &fixture->client);
}

/* Octet by octet, each well within the time: that of the whole has an end. */
static void a_message_has_no_more_time_for_being_slow(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, GREETING);
    ask(fixture, IN_A_MESSAGE, LHLO_REPLY OK_MAIL OK_RCPT SEND_IT);
    unsigned octets = 0;
    for (; client_has(&fixture->client) == 0 && octets < 100; octets++) {
        say(fixture, "x");
        pass_time(fixture, SILENCE / 10);
    }
    assert_in_range(octets, 2, 50);
    expect(fixture, "421 4.4.2 Timeout\r\n");
    client_expect_close(fixture, &fixture->client);
    assert_int_equal(fixture->script.gones, 1);
}

/* But so much of it within the time is enough, however long it is. */
static void a_message_that_goes_on_may_take_its_time(void **state)
{
    struct fixture *fixture = *state;
    static char much[LMTP_LEAST];
    memset(much, 'x', sizeof(much));
    fixture->script.counts_only = true;
    expect(fixture, GREETING);
    ask(fixture, IN_A_MESSAGE, LHLO_REPLY OK_MAIL OK_RCPT SEND_IT);
    for (int i = 0; i < 6; i++) {
        client_say_bytes(&fixture->client, much, sizeof(much));
        pass_time(fixture, SILENCE / 2);
    }
    ask(fixture, "\r\n.\r\n", "");
    RUN_UNTIL(fixture, fixture->script.ends == 1);
    assert_int_equal(fixture->script.gones, 0);
}

static void the_handler_has_all_the_time_it_wants(void **state)
{
    struct fixture *fixture = *state;
    struct script *script = &fixture->script;
    script->decides = script->drains = script->replies = LATER;
    expect(fixture, GREETING);
    ask(fixture, "LHLO x\r\n" TO_ONE "DATA\r\n", LHLO_REPLY OK_MAIL OK_RCPT);
    RUN_UNTIL(fixture, script->begins == 1);
    pass_time(fixture, SILENCE + 50);
    decide(script);
    ask(fixture, "x\r\n.\r\n", SEND_IT);
    RUN_UNTIL(fixture, script->bodies == 1);
    pass_time(fixture, SILENCE + 50);
    drain(script, script->bytes);
    lmtp_resume(script->transaction);
    RUN_UNTIL(fixture, script->ends == 1);
    pass_time(fixture, SILENCE + 50);
    reply_to_all(script);
    expect(fixture, "250 2.0.0 Sent 0\r\n");
}

static void who_does_not_read_is_not_read_from(void **state)
{
    struct fixture *fixture = *state;
    expect(fixture, GREETING);
    ask(fixture, "LHLO x\r\nMAIL FROM:<>\r\n", LHLO_REPLY OK_MAIL);
    bufferevent_disable(fixture->client.stream, EV_READ);
    say_recipients(fixture, 100000);
    RUN_UNTIL(fixture, lmtp_sessions(fixture->server) == 0);
    /* What was not taken from him is still there. */
    assert_true(evbuffer_get_length(bufferevent_get_output(fixture->client.stream)) > MB);
}

/* --- many clients, accounts
 * ------------------------------------------------------------------------- */

static void whoever_was_silent_longest_makes_room(void **state)
{
    struct fixture *fixture = *state;
    struct client others[3];
    for (size_t i = 0; i < COUNT(others) - 1; i++) {
        client_open(fixture, &others[i]);
        client_expect(fixture, &others[i], GREETING);
    }
    ask(fixture, "NOOP\r\n", OK); /* the first one, but not the most silent any more */
    client_open(fixture, &others[2]);
    client_expect(fixture, &others[2], GREETING);
    client_expect(fixture, &others[0], "421 4.3.2 Too many connections\r\n");
    client_expect_close(fixture, &others[0]);
    RUN_UNTIL(fixture, lmtp_sessions(fixture->server) == 3);
    ask(fixture, "NOOP\r\n", OK);
    for (size_t i = 0; i < COUNT(others); i++)
        client_close(&others[i]);
}

static void whoever_is_in_a_message_is_not_sent_away(void **state)
{
    struct fixture *fixture = *state;
    struct client others[3];
    for (size_t i = 0; i < COUNT(others) - 1; i++) {
        client_open(fixture, &others[i]);
        client_expect(fixture, &others[i], GREETING);
        client_say_bytes(&others[i], IN_A_MESSAGE, strlen(IN_A_MESSAGE));
        client_expect(fixture, &others[i], LHLO_REPLY OK_MAIL OK_RCPT SEND_IT);
    }
    announce(fixture);
    client_open(fixture, &others[2]);
    client_expect(fixture, &others[2], "421 4.3.2 Too many connections\r\n");
    client_expect_close(fixture, &others[2]);
    client_close(&others[0]);
    RUN_UNTIL(fixture, lmtp_sessions(fixture->server) == 2);
    client_close(&others[2]);
    client_open(fixture, &others[2]);
    client_expect(fixture, &others[2], GREETING);
    client_close(&others[1]);
    client_close(&others[2]);
}

static void an_account_can_be_closed_at_the_greeting(void **state)
{
    struct fixture *fixture = *state;
    fixture->script.greeting = "421 4.7.1 Not before tomorrow";
    client_open(fixture, &fixture->client);
    expect(fixture, "421 4.7.1 Not before tomorrow\r\n");
    client_expect_close(fixture, &fixture->client);
    client_close(&fixture->client);
    fixture->script.greeting = NULL;
    begin_dialogue(fixture);
    announce(fixture);
    assert_string_equal(fixture->script.envelope.data,
                        "relay@contoso.com[] relay@contoso.com a@b.c\n");
}

/* --- ending
 * ------------------------------------------------------------------------------------------ */

static void a_stop_lets_messages_finish(void **state)
{
    struct fixture *fixture = *state;
    struct client idle, halfway;
    client_open(fixture, &idle);
    client_open(fixture, &halfway);
    client_say_bytes(&halfway, "LHLO x\r\nMAIL FROM:<>\r\n", 22);
    client_expect(fixture, &idle, GREETING);
    client_expect(fixture, &halfway, GREETING LHLO_REPLY OK_MAIL);
    announce(fixture);
    lmtp_stop(fixture->server);
    client_expect(fixture, &idle, "421 4.3.2 Service is closing\r\n");
    client_expect(fixture, &halfway, "421 4.3.2 Service is closing\r\n");
    client_expect_close(fixture, &idle);
    client_expect_close(fixture, &halfway);
    assert_int_equal(lmtp_busy(fixture->server), 1);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        connect(descriptor, (struct sockaddr *)(void *)&fixture->address, fixture->address_length),
        -1);
    close(descriptor);
    ask(fixture, "x\r\n.\r\nMAIL FROM:<>\r\n",
        "250 2.0.0 Sent 0\r\n421 4.3.2 Service is closing\r\n");
    client_expect_close(fixture, &fixture->client);
    RUN_UNTIL(fixture, lmtp_sessions(fixture->server) == 0);
    assert_int_equal(lmtp_busy(fixture->server), 0);
    client_close(&idle);
    client_close(&halfway);
}

/* Wherever the handler is, it may end everything. */
static void the_server_may_be_released_anywhere(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        for (enum place place = IN_GREET; place <= IN_GONE; place++) {
            struct fixture *fixture = open_server(LMTP_TIMEOUT * 1000, "relay@contoso.com");
            fixture->script.frees = i == 0 ? place : NOWHERE;
            fixture->script.stops = place;
            client_open(fixture, &fixture->client);
            say(fixture, "LHLO x\r\n" TO_ONE "DATA\r\nhalf\r\n");
            if (place == IN_END)
                say(fixture, ".\r\n");
            if (place == IN_GONE) {
                RUN_UNTIL(fixture, fixture->script.bodies == 1);
                client_close(&fixture->client);
                RUN_UNTIL(fixture, fixture->script.gones == 1);
            } else if (i == 0) {
                RUN_UNTIL(fixture, fixture->client.is_closed);
                assert_null(fixture->server);
            }
            let_happen(fixture);
            void *released = fixture;
            tear_down(&released);
        }
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
#define TEST_OF_SILENCE(function)                                                                  \
    cmocka_unit_test_setup_teardown(function, set_up_for_silence, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_goes_through),
        TEST(octet_by_octet_it_is_the_same),
        TEST(two_transactions_in_one_write),
        TEST(commands_out_of_sequence),
        TEST(nothing_goes_without_lhlo),
        TEST(only_crlf_ends_a_command),
        TEST(whoever_speaks_something_else_is_sent_away),
        TEST(a_line_of_ten_megabytes),
        TEST(a_hundred_thousand_recipients),
        TEST(nothing_is_carried_out_while_a_decision_is_pending),
        TEST(a_refused_message_is_never_sent),
        TEST(replies_leave_in_the_order_of_recipients),
        TEST(replies_may_come_before_the_end),
        TEST(a_reply_is_always_one_line),
        TEST(what_the_handler_says_twice_is_dropped),
        TEST(nothing_can_be_smuggled),
        TEST(nuls_are_data),
        TEST(an_empty_message_has_an_end),
        TEST(the_handler_may_leave_data),
        TEST(what_was_drained_without_a_word_needs_a_resume),
        TEST(a_slow_consumer_holds_up_the_client),
        TEST(a_client_may_vanish_at_any_time),
        TEST(who_closes_behind_all_replies_is_not_missed),
        TEST_OF_SILENCE(silence_has_an_end),
        TEST_OF_SILENCE(silence_within_the_data_has_an_end),
        TEST_OF_SILENCE(a_line_has_no_more_time_for_being_slow),
        TEST_OF_SILENCE(a_message_has_no_more_time_for_being_slow),
        TEST_OF_SILENCE(a_message_that_goes_on_may_take_its_time),
        TEST_OF_SILENCE(the_handler_has_all_the_time_it_wants),
        TEST_OF_SILENCE(who_does_not_read_is_not_read_from),
        TEST(whoever_was_silent_longest_makes_room),
        TEST(whoever_is_in_a_message_is_not_sent_away),
        cmocka_unit_test_setup_teardown(an_account_can_be_closed_at_the_greeting,
                                        set_up_for_account, tear_down),
        TEST(a_stop_lets_messages_finish),
        cmocka_unit_test(the_server_may_be_released_anywhere),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("lmtp", tests, NULL, NULL);
}
