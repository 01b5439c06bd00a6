/* load.c - asks a policy service from many connections and says of each account what was asked and
 * what was granted
 *
 * SYNOPSIS
 *     load [-c CONNECTIONS] [-a ACCOUNTS] [-n ANSWERS] [-s SECONDS] [-r SEED] unix:PATH
 *
 * DESCRIPTION
 *     Each connection asks about one message to one recipient, waits for the answer, asks about the
 *     next. Accounts are chosen at random, by the seed. Ends when every connection was closed by
 *     the service (which may have died), after so many answers or seconds, or at SIGTERM; then
 *     what was asked is waited for.
 *
 *     Writes "connected" as soon as all connections are there, and at the end a line of JSON: how
 *     often each account was "asked" about and "granted" (DUNNO was received), how many answers
 *     were "temporary" (451), and how many were "other".
 *
 *     A connection ends with what had arrived before: an answer that the service gave and that this
 *     program could have read is counted as granted, whatever became of the service since.
 *
 * DIAGNOSTICS
 *     Exit status 69 if it cannot connect (then nothing was asked), 1 if an answer does not come
 *     for half a minute, or is none.
 */
#include "tests/bench/endpoint.h"
#include "tests/bench/question.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_SIZE 1024
#define READY_MAX   256
#define SECOND      UINT64_C(1000000000)
#define PATIENCE    (30 * SECOND)

struct options {
    const char *place;
    size_t connections;
    uint32_t accounts;
    uint64_t answers;
    double seconds;
    uint64_t seed;
};

struct account {
    uint64_t asked, granted;
};

struct client {
    int descriptor; /* -1: was closed */
    bool is_waiting;
    uint32_t account; /* asked about */
    size_t length;    /* of what has arrived of an answer */
    char answer[ANSWER_SIZE];
};

struct load {
    struct options options;
    int epoll;
    struct client *clients;
    struct account *accounts;
    struct question question;
    uint64_t instance, random;
    size_t open, waiting;
    uint64_t answers, temporary, other;
    uint64_t last_answer;
};

static volatile sig_atomic_t is_told_to_stop;

static void take_signal(int number)
{
    (void)number;
    is_told_to_stop = 1;
}

static uint64_t monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static uint32_t next_account(struct load *load)
{
    load->random ^= load->random << 13;
    load->random ^= load->random >> 7;
    load->random ^= load->random << 17;
    return (uint32_t)((load->random >> 32) * load->options.accounts >> 32);
}

static void drop(struct load *load, struct client *client)
{
    close(client->descriptor);
    client->descriptor = -1;
    load->open--;
    load->waiting -= client->is_waiting;
    client->is_waiting = false;
}

/* What may have left, even in part, was asked. */
static void ask(struct load *load, struct client *client)
{
    client->account = next_account(load);
    client->length = 0;
    client->is_waiting = true;
    load->waiting++;
    load->accounts[client->account].asked++;
    question_change(&load->question, client->account, ++load->instance);
    ssize_t sent =
        send(client->descriptor, load->question.text, load->question.length, MSG_NOSIGNAL);
    if (sent != (ssize_t)load->question.length && errno != EPIPE && errno != ECONNRESET)
        err(EX_OSERR, "send");
}

static void take_answer(struct load *load, struct client *client)
{
    static const char granted[] = "action=DUNNO\n\n", temporary[] = "action=451 ";
    load->answers++;
    load->last_answer = monotonic();
    if (client->length == sizeof(granted) - 1 &&
        memcmp(client->answer, granted, sizeof(granted) - 1) == 0)
        load->accounts[client->account].granted++;
    else if (client->length > sizeof(temporary) &&
             memcmp(client->answer, temporary, sizeof(temporary) - 1) == 0)
        load->temporary++;
    else
        load->other++;
    client->is_waiting = false;
    load->waiting--;
}

static void receive(struct load *load, struct client *client, bool may_ask)
{
    ssize_t length = recv(client->descriptor, client->answer + client->length,
                          sizeof(client->answer) - client->length, 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        drop(load, client);
        return;
    }
    client->length += (size_t)length;
    if (!client->is_waiting || client->length == sizeof(client->answer))
        errx(1, "an answer is none, or to no question");
    if (client->length < 2 || memcmp(client->answer + client->length - 2, "\n\n", 2) != 0)
        return;
    take_answer(load, client);
    if (may_ask)
        ask(load, client);
}

static void connect_all(struct load *load)
{
    load->clients = calloc(load->options.connections, sizeof(struct client));
    load->accounts = calloc(load->options.accounts, sizeof(struct account));
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load->clients == NULL || load->accounts == NULL || load->epoll < 0)
        err(EX_OSERR, "cannot begin");
    for (; load->open < load->options.connections; load->open++) {
        struct client *client = &load->clients[load->open];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        client->descriptor = endpoint_connect(load->options.place);
        if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->descriptor, &event) != 0)
            err(EX_OSERR, "epoll_ctl");
    }
    puts("connected");
    fflush(stdout);
}

static bool is_over(const struct load *load, uint64_t begun)
{
    return is_told_to_stop || load->answers >= load->options.answers ||
           (double)(monotonic() - begun) >= load->options.seconds * (double)SECOND;
}

static void run(struct load *load)
{
    struct epoll_event ready[READY_MAX];
    uint64_t begun = monotonic();
    load->last_answer = begun;
    for (size_t i = 0; i < load->options.connections; i++)
        ask(load, &load->clients[i]);
    while (load->open > 0 && load->waiting > 0) {
        bool may_ask = !is_over(load, begun);
        int count = epoll_wait(load->epoll, ready, READY_MAX, 100);
        for (int i = 0; i < count; i++)
            receive(load, ready[i].data.ptr, may_ask);
        if (count <= 0 && load->waiting > 0 && monotonic() > load->last_answer + PATIENCE)
            errx(1, "%zu answers do not come", load->waiting);
    }
}

static void print_counts(const struct load *load, const char *name, bool granted)
{
    printf("\"%s\": [", name);
    for (uint32_t i = 0; i < load->options.accounts; i++)
        printf("%s%" PRIu64, i > 0 ? ", " : "",
               granted ? load->accounts[i].granted : load->accounts[i].asked);
    printf("], ");
}

static void print(const struct load *load)
{
    printf("{");
    print_counts(load, "asked", false);
    print_counts(load, "granted", true);
    printf("\"temporary\": %" PRIu64 ", \"other\": %" PRIu64 "}\n", load->temporary, load->other);
}

static void read_options(struct options *options, int argc, char *argv[])
{
    int option;
    while ((option = getopt(argc, argv, "c:a:n:s:r:")) != -1)
        switch (option) {
        case 'c':
            options->connections = strtoul(optarg, NULL, 10);
            break;
        case 'a':
            options->accounts = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            options->answers = strtoull(optarg, NULL, 10);
            break;
        case 's':
            options->seconds = strtod(optarg, NULL);
            break;
        case 'r':
            options->seed = strtoull(optarg, NULL, 10);
            break;
        default:
            exit(EX_USAGE);
        }
    if (argc - optind != 1 || options->connections == 0 || options->accounts == 0 ||
        options->accounts > QUESTION_ACCOUNTS || options->seed == 0)
        errx(EX_USAGE, "usage: load [-c CONNECTIONS] [-a ACCOUNTS] [-n ANSWERS] [-s SECONDS] "
                       "[-r SEED] unix:PATH");
    options->place = argv[optind];
}

int main(int argc, char *argv[])
{
    struct load load = {
        .options = {
            .connections = 1, .accounts = 1, .answers = UINT64_MAX, .seconds = 3600, .seed = 365}};
    read_options(&load.options, argc, argv);
    signal(SIGTERM, take_signal);
    load.random = load.options.seed;
    load.instance = question_first_instance();
    question_make(&load.question, "END-OF-MESSAGE");
    connect_all(&load);
    run(&load);
    print(&load);
    free(load.clients);
    free(load.accounts);
    return EX_OK;
}
