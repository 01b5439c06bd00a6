/* dialogue.c - the client's side of an SMTP connection, one step after the other */
#include "ctl/doctor/dialogue.h"

#include "common/memory.h"
#include "common/upstream/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MILLISECONDS 1000

void dialogue_init(struct dialogue *dialogue)
{
    *dialogue = (struct dialogue){.descriptor = -1};
}

void dialogue_close(struct dialogue *dialogue)
{
    SSL_free(dialogue->ssl);
    if (dialogue->descriptor >= 0)
        close(dialogue->descriptor);
    buffer_free(&dialogue->lines);
    dialogue_init(dialogue);
}

/* --- waiting ------------------------------------------------------------------------ */

/* Milliseconds, of a clock that nobody sets. */
static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * MILLISECONDS + time.tv_nsec / 1000000;
}

static int64_t in_time(int seconds)
{
    return now() + (int64_t)seconds * MILLISECONDS;
}

static bool wait_for(const struct dialogue *dialogue, short events, int64_t deadline,
                     struct error *error)
{
    struct pollfd poll_for = {.fd = dialogue->descriptor, .events = events};
    for (;;) {
        int64_t left = deadline - now();
        if (left <= 0)
            return error_set(error, "no answer within %d s", DIALOGUE_TIMEOUT);
        int ready = poll(&poll_for, 1, (int)left);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return error_set(error, "poll: %s", strerror(errno));
    }
}

/* --- octets ------------------------------------------------------------------------- */

static bool lost(struct error *error)
{
    return error_set(error, "the server has closed the connection");
}

/* OpenSSL writes without MSG_NOSIGNAL. */
static void ignore_broken_pipe(struct sigaction *before)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, before);
}

/* What to wait for before an operation on a TLS connection is tried again; 0: it is done, or was
 * in vain. */
static short wanted_events(const SSL *ssl, int result)
{
    if (result > 0)
        return 0;
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return POLLIN;
    case SSL_ERROR_WANT_WRITE:
        return POLLOUT;
    default:
        return 0;
    }
}

/* One attempt. Returns how much was moved, 0 with what to wait for in `events`, or -1. */
static ssize_t read_some(struct dialogue *dialogue, short *events)
{
    char *to = dialogue->input + dialogue->end;
    size_t room = sizeof(dialogue->input) - dialogue->end;
    if (dialogue->ssl == NULL) {
        ssize_t got = recv(dialogue->descriptor, to, room, 0);
        *events = POLLIN;
        if (got > 0)
            return got;
        return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    }
    struct sigaction before;
    ignore_broken_pipe(&before);
    ERR_clear_error();
    int got = SSL_read(dialogue->ssl, to, (int)room);
    *events = wanted_events(dialogue->ssl, got);
    sigaction(SIGPIPE, &before, NULL);
    return got > 0 ? got : *events != 0 ? 0 : -1;
}

static ssize_t write_some(struct dialogue *dialogue, const char *bytes, size_t length,
                          short *events)
{
    if (dialogue->ssl == NULL) {
        ssize_t put = send(dialogue->descriptor, bytes, length, MSG_NOSIGNAL);
        *events = POLLOUT;
        if (put > 0)
            return put;
        return put < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    }
    struct sigaction before;
    ignore_broken_pipe(&before);
    ERR_clear_error();
    int put = SSL_write(dialogue->ssl, bytes, (int)length);
    *events = wanted_events(dialogue->ssl, put);
    sigaction(SIGPIPE, &before, NULL);
    return put > 0 ? put : *events != 0 ? 0 : -1;
}

/* Gets more input, for which there is room. */
static bool fill(struct dialogue *dialogue, int64_t deadline, struct error *error)
{
    for (;;) {
        short events = 0;
        ssize_t got = read_some(dialogue, &events);
        if (got < 0)
            return lost(error);
        if (got > 0) {
            dialogue->end += (size_t)got;
            return true;
        }
        if (!wait_for(dialogue, events, deadline, error))
            return false;
    }
}

bool dialogue_say(struct dialogue *dialogue, const char *bytes, size_t length, struct error *error)
{
    int64_t deadline = in_time(DIALOGUE_TIMEOUT);
    while (length > 0) {
        short events = 0;
        ssize_t put = write_some(dialogue, bytes, length, &events);
        if (put < 0)
            return lost(error);
        bytes += put;
        length -= (size_t)put;
        if (put == 0 && !wait_for(dialogue, events, deadline, error))
            return false;
    }
    return true;
}

size_t dialogue_pending(const struct dialogue *dialogue)
{
    return dialogue->end - dialogue->start;
}

/* --- replies ------------------------------------------------------------------------ */

/* The next line, without its end; valid until the next call. */
static bool read_line(struct dialogue *dialogue, int64_t deadline, const char **line,
                      size_t *length, struct error *error)
{
    size_t seen = 0;
    for (;;) {
        char *from = dialogue->input + dialogue->start;
        char *newline = memchr(from + seen, '\n', dialogue_pending(dialogue) - seen);
        if (newline != NULL) {
            *line = from;
            *length = (size_t)(newline - from);
            dialogue->start += *length + 1;
            if (*length > 0 && from[*length - 1] == '\r')
                --*length;
            return true;
        }
        seen = dialogue_pending(dialogue);
        if (seen == sizeof(dialogue->input))
            return error_set(error, "a line of more than %d octets", DIALOGUE_LINE);
        memmove(dialogue->input, from, seen);
        dialogue->start = 0;
        dialogue->end = seen;
        if (!fill(dialogue, deadline, error))
            return false;
    }
}

/* Behind "250-" or "250 ". */
static void keep_line(struct dialogue *dialogue, const char *line, size_t length)
{
    if (length > 4)
        buffer_append(&dialogue->lines, line + 4, length - 4);
    buffer_append_char(&dialogue->lines, '\n');
}

bool dialogue_hear(struct dialogue *dialogue, struct reply *reply, struct error *error)
{
    int64_t deadline = in_time(DIALOGUE_TIMEOUT);
    enum reply_progress progress = REPLY_MORE;
    reply_begin(reply);
    buffer_clear(&dialogue->lines);
    while (progress == REPLY_MORE) {
        const char *line = NULL;
        size_t length = 0;
        if (!read_line(dialogue, deadline, &line, &length, error))
            return false;
        progress = reply_add_line(reply, line, length, error);
        keep_line(dialogue, line, length);
    }
    return progress == REPLY_COMPLETE || error_prefix(error, "no reply of SMTP");
}

bool dialogue_ask(struct dialogue *dialogue, struct reply *reply, struct error *error,
                  const char *format, ...)
{
    struct buffer line = {0};
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length >= 0)
        buffer_append(&line, text, (size_t)length);
    buffer_append_string(&line, "\r\n");
    bool fine = dialogue_say(dialogue, line.data, line.length, error) &&
                dialogue_hear(dialogue, reply, error);
    free(length >= 0 ? text : NULL);
    buffer_free(&line);
    return fine;
}

void dialogue_quit(struct dialogue *dialogue)
{
    dialogue_say(dialogue, "QUIT\r\n", strlen("QUIT\r\n"), NULL);
}

void dialogue_write_reply(struct buffer *text, const struct reply *reply)
{
    buffer_format(text, "%u ", reply->code);
    if (reply->enhanced.class != 0)
        buffer_format(text, "%u.%u.%u ", reply->enhanced.class, reply->enhanced.subject,
                      reply->enhanced.detail);
    buffer_append_string(text, reply->text);
}

/* --- TLS ------------------------------------------------------------------------------ */

static bool shake_hands(struct dialogue *dialogue, const char *host, struct error *error)
{
    int64_t deadline = in_time(DIALOGUE_TIMEOUT);
    for (;;) {
        struct sigaction before;
        ignore_broken_pipe(&before);
        ERR_clear_error();
        int result = SSL_connect(dialogue->ssl);
        short events = wanted_events(dialogue->ssl, result);
        sigaction(SIGPIPE, &before, NULL);
        if (result == 1)
            return true;
        if (events == 0)
            return verify_explain(dialogue->ssl, ERR_peek_error(), host, error);
        if (!wait_for(dialogue, events, deadline, error))
            return false;
    }
}

bool dialogue_encrypt(struct dialogue *dialogue, SSL_CTX *context, const char *host,
                      struct error *error)
{
    dialogue->ssl = SSL_new(context);
    if (dialogue->ssl == NULL || !verify_expect(dialogue->ssl, host) ||
        SSL_set_fd(dialogue->ssl, dialogue->descriptor) != 1)
        return error_set(error, "TLS cannot be begun");
    return shake_hands(dialogue, host, error);
}
