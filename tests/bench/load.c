/* load.c - a closed loop of policy requests: how many decisions a second, and how long each takes
 *
 * SYNOPSIS
 *     load [-c CONNECTIONS] [-a ACCOUNTS] [-s SECONDS | -n REQUESTS] [-p] [-w SECONDS] [-i SECONDS]
 *          [-S STATE] [-r] unix:PATH | inet:HOST:PORT
 *
 * DESCRIPTION
 *     Each connection sends one request, waits for the answer, sends the next. Senders are chosen
 *     at random, with a fixed seed, from so many accounts; every request is about a message of its
 *     own.
 *
 *     -c, -a  connections and accounts (default 1 each)
 *     -s, -n  end after so many seconds (default 1) or requests
 *     -p      first ask once for each account in its turn
 *     -w      then do not measure for so many seconds
 *     -i      also write a line for every so many seconds
 *     -S      the protocol_state (default END-OF-MESSAGE)
 *     -r      a server may close connections: connect again, and count that as "reconnects"
 *
 *     Writes a line of JSON at the end (and every -i seconds, with "interval": true): decisions per
 *     second, latency in microseconds, the longest time in which no answer came at all, answers by
 *     their first word, errors (an answer that is none, a connection that was closed).
 *
 * DIAGNOSTICS
 *     Exit status 1 if there were errors.
 */
#include "tests/bench/endpoint.h"
#include "tests/bench/histogram.h"
#include "tests/bench/question.h"

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_SIZE 1024
#define WORD_SIZE   24
#define WORDS       8
#define READY_MAX   1024
#define SECOND      UINT64_C(1000000000)
#define SEED        UINT64_C(0x9e3779b97f4a7c15)
#define PATIENCE    (10 * SECOND) /* with answers that do not come */

struct options {
    const char *place;
    const char *stage;
    size_t connections;
    uint32_t accounts;
    double seconds;
    uint64_t requests; /* 0: by time */
    double warm_up;
    double interval; /* 0: none */
    bool prime;
    bool reconnect;
};

struct client {
    int descriptor;
    uint64_t asked; /* when; 0: is not waiting for an answer */
    size_t length;  /* of what has arrived of an answer */
    char answer[ANSWER_SIZE];
};

/* Answers by their first word. The last one takes what has no room. */
struct word {
    char text[WORD_SIZE];
    uint64_t count;
};

/* What is measured from some moment on. */
struct figures {
    uint64_t begun;
    uint64_t last_answer;
    uint64_t longest_gap;
    double processor; /* seconds that this process had used at `begun` */
    struct histogram latency;
};

enum phase {
    PHASE_PRIME,
    PHASE_WARM_UP,
    PHASE_MEASURE,
    PHASE_END, /* waits for the answers that are still to come: some servers die of a client that
                  does not */
};

struct load {
    const struct options *options;
    int epoll;
    struct client *clients;
    size_t waiting; /* for an answer */
    struct question question;
    uint64_t instance;
    uint64_t random;
    enum phase phase;
    uint64_t ended; /* when the measuring ended */
    uint32_t primed_asked, primed_answered;
    uint64_t deadline; /* of the phase */
    uint64_t now;
    struct figures whole;
    struct figures interval;
    struct word words[WORDS];
    uint64_t errors;
    uint64_t reconnects;
};

static uint64_t monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static double processor_time(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* --- figures ----------------------------------------------------------------- */

static void begin_figures(struct figures *figures, uint64_t now)
{
    histogram_clear(&figures->latency);
    figures->begun = figures->last_answer = now;
    figures->longest_gap = 0;
    figures->processor = processor_time();
}

static void add_answer(struct figures *figures, uint64_t now, uint64_t latency)
{
    if (now - figures->last_answer > figures->longest_gap)
        figures->longest_gap = now - figures->last_answer;
    figures->last_answer = now;
    histogram_add(&figures->latency, latency);
}

static double microseconds(const struct figures *figures, double share)
{
    return (double)histogram_at(&figures->latency, share) / 1e3;
}

static void print_figures(const struct figures *figures, uint64_t now)
{
    const struct histogram *latency = &figures->latency;
    double seconds = (double)(now - figures->begun) / (double)SECOND;
    uint64_t gap = now - figures->last_answer;
    if (gap < figures->longest_gap)
        gap = figures->longest_gap;
    printf("\"seconds\": %.3f, \"decisions\": %" PRIu64 ", \"per_second\": %.0f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, "
           "\"longest_gap_us\": %.1f, \"processor_s\": %.3f",
           seconds, latency->total, seconds > 0 ? (double)latency->total / seconds : 0,
           microseconds(figures, 0.5), microseconds(figures, 0.99), microseconds(figures, 0.999),
           (double)latency->largest / 1e3, (double)gap / 1e3,
           processor_time() - figures->processor);
}

static void print_interval(struct load *load)
{
    printf("{\"interval\": true, ");
    print_figures(&load->interval, load->now);
    printf("}\n");
    fflush(stdout);
    begin_figures(&load->interval, load->now);
}

static void print_whole(const struct load *load)
{
    printf("{");
    print_figures(&load->whole, load->ended);
    printf(", \"errors\": %" PRIu64 ", \"reconnects\": %" PRIu64 ", \"actions\": {", load->errors,
           load->reconnects);
    for (size_t i = 0; i < WORDS && load->words[i].count > 0; i++)
        printf("%s\"%s\": %" PRIu64, i > 0 ? ", " : "", load->words[i].text, load->words[i].count);
    printf("}}\n");
}

/* --- phases ------------------------------------------------------------------ */

static void begin_phase(struct load *load, enum phase phase)
{
    const struct options *options = load->options;
    double seconds = phase == PHASE_WARM_UP ? options->warm_up : options->seconds;
    load->phase = phase;
    load->deadline = UINT64_MAX;
    if (phase == PHASE_END)
        load->ended = load->now;
    if (phase == PHASE_WARM_UP || (phase == PHASE_MEASURE && options->requests == 0))
        load->deadline = load->now + (uint64_t)(seconds * (double)SECOND);
    if (phase != PHASE_MEASURE)
        return;
    begin_figures(&load->whole, load->now);
    begin_figures(&load->interval, load->now);
    memset(load->words, 0, sizeof(load->words));
}

static bool is_phase_over(const struct load *load)
{
    switch (load->phase) {
    case PHASE_PRIME:
        return load->primed_answered >= load->options->accounts;
    case PHASE_MEASURE:
        if (load->options->requests > 0)
            return load->whole.latency.total >= load->options->requests;
        break;
    case PHASE_WARM_UP:
    case PHASE_END:
        break;
    }
    return load->now >= load->deadline;
}

static void watch_phase(struct load *load)
{
    double interval = load->options->interval;
    while (load->phase != PHASE_END && is_phase_over(load))
        begin_phase(load, load->phase + 1);
    if (load->phase == PHASE_MEASURE && interval > 0 &&
        (double)(load->now - load->interval.begun) >= interval * (double)SECOND)
        print_interval(load);
}

/* --- asking ------------------------------------------------------------------ */

static uint32_t next_account(struct load *load)
{
    uint32_t accounts = load->options->accounts;
    if (load->phase == PHASE_PRIME && load->primed_asked < accounts)
        return load->primed_asked++;
    load->random ^= load->random << 13;
    load->random ^= load->random >> 7;
    load->random ^= load->random << 17;
    return (uint32_t)((load->random >> 32) * accounts >> 32);
}

static void drop(struct load *load, struct client *client)
{
    close(client->descriptor);
    client->descriptor = -1;
    load->waiting -= client->asked != 0;
    client->asked = 0;
}

static void lose(struct load *load, struct client *client, const char *why)
{
    if (load->errors++ < 5)
        warnx("%s: %s", load->options->place, why);
    drop(load, client);
}

static void connect_client(struct load *load, struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    client->descriptor = endpoint_connect(load->options->place);
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->descriptor, &event) != 0)
        err(EX_OSERR, "epoll_ctl");
}

static void ask(struct load *load, struct client *client)
{
    struct question *question = &load->question;
    question_change(question, next_account(load), ++load->instance);
    client->asked = load->now;
    client->length = 0;
    load->waiting++;
    ssize_t sent = send(client->descriptor, question->text, question->length, MSG_NOSIGNAL);
    /* A server that may close connections has done so: there will be an event. */
    if (sent != (ssize_t)question->length && !load->options->reconnect)
        lose(load, client, "does not take a request");
}

/* --- answers ----------------------------------------------------------------- */

static void count_word(struct load *load, const char *text, size_t length)
{
    if (length >= WORD_SIZE)
        length = WORD_SIZE - 1;
    size_t i = 0;
    while (i < WORDS - 1 && load->words[i].count > 0 &&
           (strncmp(load->words[i].text, text, length) != 0 || load->words[i].text[length] != '\0'))
        i++;
    struct word *word = &load->words[i];
    if (word->count++ > 0)
        return;
    for (size_t j = 0; j < length; j++)
        word->text[j] = isalnum((unsigned char)text[j]) || text[j] == '_' ? text[j] : '?';
    word->text[length] = '\0';
}

/* Counts "action=WORD ...", one line and an empty one. False if it is something else. */
static bool take_answer(struct load *load, const struct client *client)
{
    static const char name[] = "action=";
    const char *word = client->answer + sizeof(name) - 1;
    const char *end = client->answer + client->length - 2;
    if (client->length < sizeof(name) + 2 || memcmp(client->answer, name, sizeof(name) - 1) != 0 ||
        memchr(client->answer, '\n', client->length - 2) != NULL)
        return false;
    const char *blank = memchr(word, ' ', (size_t)(end - word));
    if (load->phase == PHASE_MEASURE)
        count_word(load, word, (size_t)((blank != NULL ? blank : end) - word));
    return true;
}

static void complete(struct load *load, struct client *client)
{
    load->now = monotonic();
    if (client->asked == 0 || !take_answer(load, client)) {
        lose(load, client, "an answer is none, or to no question");
        return;
    }
    uint64_t latency = load->now - client->asked;
    client->asked = 0;
    load->waiting--;
    if (load->phase == PHASE_PRIME)
        load->primed_answered++;
    if (load->phase == PHASE_MEASURE) {
        add_answer(&load->whole, load->now, latency);
        if (load->options->interval > 0)
            add_answer(&load->interval, load->now, latency);
    }
    watch_phase(load);
    if (load->phase != PHASE_END)
        ask(load, client);
}

static void is_closed(struct load *load, struct client *client, const char *why)
{
    if (!load->options->reconnect) {
        lose(load, client, why);
        return;
    }
    drop(load, client);
    load->reconnects++;
    if (load->phase == PHASE_END)
        return;
    connect_client(load, client);
    ask(load, client);
}

static void receive(struct load *load, struct client *client)
{
    ssize_t length = recv(client->descriptor, client->answer + client->length,
                          sizeof(client->answer) - client->length, 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        is_closed(load, client, length < 0 ? strerror(errno) : "has closed a connection");
        return;
    }
    client->length += (size_t)length;
    if (client->length >= 2 && memcmp(client->answer + client->length - 2, "\n\n", 2) == 0)
        complete(load, client);
    else if (client->length == sizeof(client->answer))
        lose(load, client, "an answer is too long");
}

/* --- running ----------------------------------------------------------------- */

static void connect_all(struct load *load)
{
    size_t count = load->options->connections;
    load->clients = calloc(count, sizeof(struct client));
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load->clients == NULL || load->epoll < 0)
        err(EX_OSERR, "cannot begin");
    for (size_t i = 0; i < count; i++)
        connect_client(load, &load->clients[i]);
}

static void run(struct load *load)
{
    struct epoll_event ready[READY_MAX];
    load->now = monotonic();
    begin_phase(load, load->options->prime ? PHASE_PRIME : PHASE_WARM_UP);
    for (size_t i = 0; i < load->options->connections; i++)
        ask(load, &load->clients[i]);
    while (load->waiting > 0 && (load->phase != PHASE_END || load->now < load->ended + PATIENCE)) {
        int count = epoll_wait(load->epoll, ready, READY_MAX, 100);
        for (int i = 0; i < count; i++)
            receive(load, ready[i].data.ptr);
        load->now = monotonic();
        watch_phase(load);
    }
}

static void read_options(struct options *options, int argc, char *argv[])
{
    int option;
    while ((option = getopt(argc, argv, "c:a:s:n:pw:i:S:r")) != -1)
        switch (option) {
        case 'c':
            options->connections = strtoul(optarg, NULL, 10);
            break;
        case 'a':
            options->accounts = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 's':
            options->seconds = strtod(optarg, NULL);
            break;
        case 'n':
            options->requests = strtoull(optarg, NULL, 10);
            break;
        case 'p':
            options->prime = true;
            break;
        case 'w':
            options->warm_up = strtod(optarg, NULL);
            break;
        case 'i':
            options->interval = strtod(optarg, NULL);
            break;
        case 'S':
            options->stage = optarg;
            break;
        case 'r':
            options->reconnect = true;
            break;
        default:
            exit(EX_USAGE);
        }
    if (argc - optind != 1 || options->connections == 0 || options->accounts == 0 ||
        options->accounts > QUESTION_ACCOUNTS)
        errx(EX_USAGE, "usage: load [-c CONNECTIONS] [-a ACCOUNTS] [-s SECONDS | -n REQUESTS] "
                       "[-p] [-w SECONDS] [-i SECONDS] [-S STATE] [-r] unix:PATH | inet:HOST:PORT");
    options->place = argv[optind];
}

int main(int argc, char *argv[])
{
    struct options options = {
        .connections = 1, .accounts = 1, .seconds = 1, .stage = "END-OF-MESSAGE"};
    static struct load load;
    read_options(&options, argc, argv);
    endpoint_raise_limit();
    load.options = &options;
    load.random = SEED;
    load.instance = question_first_instance();
    question_make(&load.question, options.stage);
    connect_all(&load);
    run(&load);
    if (load.phase != PHASE_END)
        begin_phase(&load, PHASE_END);
    print_whole(&load);
    return load.errors == 0 ? EX_OK : 1;
}
