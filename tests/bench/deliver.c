/* deliver.c - a closed loop of messages, to an LMTP server or with TLS and AUTH to a submission
 * server
 *
 * SYNOPSIS
 *     deliver [-c CONNECTIONS] [-n MESSAGES] [-s SIZE] [-H SIZE] [-w PASSWORD] {PLACE SENDER}...
 *
 * DESCRIPTION
 *     Each connection sends a message, waits for the answer, sends the next. PLACE is unix:PATH or
 *     inet:HOST:PORT; the connections are spread over the places, and what goes to a place has that
 *     SENDER.
 *
 *     -c, -n  connections, and messages of each (default 1)
 *     -s      octets of a message, about (default 2000)
 *     -H      octets of header on top: from 1000 up to this number, all sizes as often (default 0)
 *     -w      SMTP instead of LMTP: STARTTLS (nothing is verified), then AUTH LOGIN as SENDER
 *
 *     Writes a line of JSON: messages and octets per second, and "together", how many messages were
 *     at most between the 354 and the reply to the final dot at the same time.
 *
 * DIAGNOSTICS
 *     Exit status 1 and the reply on stderr when something was not accepted.
 */
#include "tests/bench/endpoint.h"

#include <err.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define LINE_WIDTH 1000 /* with CRLF */
#define BLOCK_SIZE (64 * LINE_WIDTH)
#define INPUT_SIZE 8192
/* Of a header's filler. */
#define HEADER_LEAST 1000
#define FIELD        "X-Bench-Header: 0123456789 0123456789 0123456789 0123456789 0123456789\r\n"
#define FIELD_WIDTH  (sizeof(FIELD) - 1)

struct options {
    size_t connections, messages, size, header;
    const char *password; /* or NULL: LMTP */
};

struct worker {
    pthread_t thread;
    const char *place, *sender;
    int descriptor;
    SSL *tls; /* or NULL */
    char input[INPUT_SIZE];
    size_t begin, end; /* of what was not read of it */
};

static struct options options = {.connections = 1, .messages = 1, .size = 2000};
static char block[BLOCK_SIZE];
static char *fields; /* options.header octets of them */
static SSL_CTX *context;
static atomic_int in_flight, together;

/* --- octets --------------------------------------------------------------------- */

static void put(struct worker *worker, const char *octets, size_t length)
{
    while (length > 0) {
        ssize_t written = worker->tls != NULL ? SSL_write(worker->tls, octets, (int)length)
                                              : write(worker->descriptor, octets, length);
        if (written <= 0)
            err(EXIT_FAILURE, "%s: cannot write", worker->place);
        octets += written;
        length -= (size_t)written;
    }
}

__attribute__((format(printf, 2, 3))) static void say(struct worker *worker, const char *format,
                                                      ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    put(worker, text, (size_t)length);
}

static void fill_input(struct worker *worker)
{
    char *to = worker->input + worker->end;
    size_t room = INPUT_SIZE - worker->end;
    ssize_t got = worker->tls != NULL ? SSL_read(worker->tls, to, (int)room)
                                      : read(worker->descriptor, to, room);
    if (got <= 0)
        errx(EXIT_FAILURE, "%s: the connection was lost", worker->place);
    worker->end += (size_t)got;
}

/* The next line; what was the last one is gone. */
static char *get_line(struct worker *worker)
{
    char *line_end;
    while ((line_end = memchr(worker->input + worker->begin, '\n', worker->end - worker->begin)) ==
           NULL) {
        memmove(worker->input, worker->input + worker->begin, worker->end - worker->begin);
        worker->end -= worker->begin;
        worker->begin = 0;
        fill_input(worker);
    }
    char *line = worker->input + worker->begin;
    *line_end = '\0';
    worker->begin = (size_t)(line_end - worker->input) + 1;
    return line;
}

/* A whole reply, which has to be of that class. */
static void expect(struct worker *worker, char class)
{
    const char *line;
    do
        line = get_line(worker);
    while (strlen(line) > 3 && line[3] == '-');
    if (line[0] != class)
        errx(EXIT_FAILURE, "%s: %s", worker->place, line);
}

/* --- SMTP ------------------------------------------------------------------------- */

static void say_base64(struct worker *worker, const char *text)
{
    unsigned char encoded[512];
    EVP_EncodeBlock(encoded, (const unsigned char *)text, (int)strlen(text));
    say(worker, "%s\r\n", encoded);
}

static void begin_tls(struct worker *worker)
{
    say(worker, "EHLO bench.example.com\r\n");
    expect(worker, '2');
    say(worker, "STARTTLS\r\n");
    expect(worker, '2');
    worker->tls = SSL_new(context);
    if (worker->tls == NULL || SSL_set_fd(worker->tls, worker->descriptor) != 1 ||
        SSL_connect(worker->tls) != 1)
        errx(EXIT_FAILURE, "%s: no TLS", worker->place);
}

static void log_in(struct worker *worker)
{
    say(worker, "EHLO bench.example.com\r\n");
    expect(worker, '2');
    say(worker, "AUTH LOGIN\r\n");
    expect(worker, '3');
    say_base64(worker, worker->sender);
    expect(worker, '3');
    say_base64(worker, options.password);
    expect(worker, '2');
}

static void greet(struct worker *worker)
{
    worker->descriptor = endpoint_connect(worker->place);
    fcntl(worker->descriptor, F_SETFL, fcntl(worker->descriptor, F_GETFL) & ~O_NONBLOCK);
    expect(worker, '2');
    if (options.password != NULL) {
        begin_tls(worker);
        log_in(worker);
    } else {
        say(worker, "LHLO bench.example.com\r\n");
        expect(worker, '2');
    }
}

static void note_flight(void)
{
    int now = atomic_fetch_add(&in_flight, 1) + 1;
    int most = atomic_load(&together);
    while (now > most && !atomic_compare_exchange_weak(&together, &most, now)) {
    }
}

/* Fields of the usual width. The sizes are those of a golden ratio's sequence: evenly spread
 * however many there are. */
static void send_filler(struct worker *worker)
{
    static atomic_uint number;
    if (options.header == 0)
        return;
    uint32_t spread = atomic_fetch_add(&number, 1) * 2654435769U;
    size_t size = HEADER_LEAST + (size_t)((uint64_t)spread * (options.header - HEADER_LEAST) >> 32);
    put(worker, fields, size - size % FIELD_WIDTH);
}

static void send_content(struct worker *worker)
{
    say(worker, "From: <%s>\r\nTo: <r@dest.example>\r\nSubject: bench\r\n", worker->sender);
    send_filler(worker);
    put(worker, "\r\n", 2);
    size_t lines = options.size / LINE_WIDTH;
    for (; lines >= BLOCK_SIZE / LINE_WIDTH; lines -= BLOCK_SIZE / LINE_WIDTH)
        put(worker, block, BLOCK_SIZE);
    put(worker, block, lines * LINE_WIDTH);
    say(worker, ".\r\n");
}

static void send_message(struct worker *worker)
{
    say(worker, "MAIL FROM:<%s>\r\nRCPT TO:<r@dest.example>\r\nDATA\r\n", worker->sender);
    expect(worker, '2');
    expect(worker, '2');
    expect(worker, '3');
    note_flight();
    send_content(worker);
    expect(worker, '2');
    atomic_fetch_sub(&in_flight, 1);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (size_t i = 0; i < options.messages; i++)
        send_message(worker);
    return NULL;
}

/* --- the run ------------------------------------------------------------------------ */

static void usage(void)
{
    fprintf(stderr,
            "usage: deliver [-c connections] [-n messages] [-s size] [-H size] [-w password] "
            "{place sender}...\n");
    exit(EX_USAGE);
}

static size_t number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*end != '\0' || value == 0)
        usage();
    return (size_t)value;
}

static void read_options(int argc, char *argv[])
{
    int option;
    while ((option = getopt(argc, argv, "c:n:s:H:w:")) != -1)
        switch (option) {
        case 'c':
            options.connections = number(optarg);
            break;
        case 'n':
            options.messages = number(optarg);
            break;
        case 's':
            options.size = number(optarg);
            break;
        case 'H':
            options.header = number(optarg);
            break;
        case 'w':
            options.password = optarg;
            break;
        default:
            usage();
        }
    if (optind >= argc || (argc - optind) % 2 != 0 ||
        (options.header > 0 && options.header < HEADER_LEAST))
        usage();
}

static void prepare(void)
{
    signal(SIGPIPE, SIG_IGN);
    endpoint_raise_limit();
    memset(block, 'x', sizeof(block));
    for (size_t line_end = LINE_WIDTH; line_end <= BLOCK_SIZE; line_end += LINE_WIDTH)
        memcpy(block + line_end - 2, "\r\n", 2);
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        errx(EXIT_FAILURE, "OpenSSL cannot be set up");
    fields = malloc(options.header + FIELD_WIDTH);
    if (fields == NULL)
        err(EX_OSERR, "no memory");
    for (size_t i = 0; i < options.header; i += FIELD_WIDTH)
        memcpy(fields + i, FIELD, FIELD_WIDTH);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char *argv[])
{
    read_options(argc, argv);
    prepare();
    size_t places = (size_t)(argc - optind) / 2;
    struct worker *workers = calloc(options.connections, sizeof(*workers));
    if (workers == NULL)
        err(EX_OSERR, "no memory");
    for (size_t i = 0; i < options.connections; i++) {
        workers[i].place = argv[optind + (int)(2 * (i % places))];
        workers[i].sender = argv[optind + (int)(2 * (i % places)) + 1];
        greet(&workers[i]);
    }
    double begun = seconds_now();
    for (size_t i = 0; i < options.connections; i++)
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            errx(EX_OSERR, "cannot start a thread");
    for (size_t i = 0; i < options.connections; i++)
        pthread_join(workers[i].thread, NULL);
    double seconds = seconds_now() - begun;
    double messages = (double)(options.connections * options.messages);
    printf("{\"messages\": %.0f, \"seconds\": %.3f, \"per_second\": %.1f, \"octets_per_second\": "
           "%.0f, \"together\": %d}\n",
           messages, seconds, messages / seconds, messages * (double)options.size / seconds,
           atomic_load(&together));
    return EXIT_SUCCESS;
}
