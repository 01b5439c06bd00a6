/* misbehave.c - clients that a policy service must not suffer from
 *
 * SYNOPSIS
 *     misbehave KIND COUNT unix:PATH | inet:HOST:PORT
 *
 * DESCRIPTION
 *     idle        COUNT connections that never say anything
 *     half        COUNT connections that send half a request and no more
 *     never-read  COUNT connections that send requests for as long as they are taken, and read no
 *                 answer
 *     vanish      COUNT times in a second somebody connects, asks, and is gone before the answer
 *     vanish-wait the same on the control socket, where a reservation is asked for that has to
 * wait: the account is paused
 *
 *     Writes "ready" when all are there, then goes on until it is ended.
 */
#include "tests/bench/endpoint.h"
#include "tests/bench/question.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 60000
#define TICKS     100 /* in a second */

struct crowd {
    const char *place;
    size_t count;
    struct question question;
    uint64_t instance;
};

static void say_ready(void)
{
    puts("ready");
    fflush(stdout);
}

static int *connect_all(const struct crowd *crowd)
{
    int *descriptors = calloc(crowd->count, sizeof(int));
    if (descriptors == NULL)
        err(EX_OSERR, "calloc");
    for (size_t i = 0; i < crowd->count; i++)
        descriptors[i] = endpoint_connect(crowd->place);
    return descriptors;
}

static void stay(void)
{
    say_ready();
    for (;;)
        pause();
}

static void be_idle(struct crowd *crowd)
{
    connect_all(crowd);
    stay();
}

static void send_half(struct crowd *crowd)
{
    const int *descriptors = connect_all(crowd);
    size_t half = crowd->question.length / 2;
    for (size_t i = 0; i < crowd->count; i++)
        if (send(descriptors[i], crowd->question.text, half, MSG_NOSIGNAL) != (ssize_t)half)
            err(EX_IOERR, "send");
    stay();
}

/* Sends whole requests for as long as they are taken; a service may close the connection, too. */
static void push(struct crowd *crowd, struct pollfd *one)
{
    const struct question *question = &crowd->question;
    question_change(&crowd->question, 0, ++crowd->instance);
    ssize_t sent = send(one->fd, question->text, question->length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        close(one->fd);
        one->fd = -1;
    } else if (sent != (ssize_t)question->length) {
        one->events = 0; /* the rest of this request will never come */
    }
}

static void never_read(struct crowd *crowd)
{
    const int *descriptors = connect_all(crowd);
    struct pollfd *polled = calloc(crowd->count, sizeof(*polled));
    if (polled == NULL)
        err(EX_OSERR, "calloc");
    for (size_t i = 0; i < crowd->count; i++)
        polled[i] = (struct pollfd){.fd = descriptors[i], .events = POLLOUT};
    say_ready();
    for (;;) {
        int ready = poll(polled, (nfds_t)crowd->count, -1);
        for (size_t i = 0; i < crowd->count && ready > 0; i++)
            if (polled[i].revents & POLLOUT)
                push(crowd, &polled[i]);
            else if (polled[i].revents != 0)
                polled[i].fd = -1;
    }
}

/* COUNT times in a second somebody says this and is gone. */
static void say_and_vanish(struct crowd *crowd, void (*next)(struct crowd *crowd))
{
    const struct timespec tick = {.tv_nsec = 1000000000L / TICKS};
    size_t due = 0;
    say_ready();
    for (;;) {
        for (due += crowd->count; due >= TICKS; due -= TICKS) {
            int descriptor = endpoint_connect(crowd->place);
            next(crowd);
            (void)send(descriptor, crowd->question.text, crowd->question.length, MSG_NOSIGNAL);
            close(descriptor);
        }
        nanosleep(&tick, NULL);
    }
}

static void ask_policy(struct crowd *crowd)
{
    question_change(&crowd->question, 0, ++crowd->instance);
}

static void vanish(struct crowd *crowd)
{
    say_and_vanish(crowd, ask_policy);
}

static void set_text(struct crowd *crowd, const char *text)
{
    crowd->question.length = strlen(text);
    memcpy(crowd->question.text, text, crowd->question.length);
}

/* Pauses the account again and again, so that who waits for it always has a moment to wait for. */
static void ask_control(struct crowd *crowd)
{
    char text[256];
    if (crowd->instance++ % crowd->count == 0) {
        snprintf(text, sizeof(text),
                 "request=pause\naccount=waiting@contoso.com\ncause=x\nuntil=%lld\n\n",
                 (long long)(time(NULL) + 30) * 1000000);
        set_text(crowd, text);
        return;
    }
    set_text(crowd,
             "request=reserve\naccount=waiting@contoso.com\nrecipients=1\nwait=60000000\n\n");
}

static void vanish_waiting(struct crowd *crowd)
{
    crowd->instance = 0;
    say_and_vanish(crowd, ask_control);
}

static const struct {
    const char *name;
    void (*run)(struct crowd *crowd);
} kinds[] = {{"idle", be_idle},
             {"half", send_half},
             {"never-read", never_read},
             {"vanish", vanish},
             {"vanish-wait", vanish_waiting}};

int main(int argc, char *argv[])
{
    struct crowd crowd = {0};
    if (argc != 4)
        errx(EX_USAGE, "usage: misbehave KIND COUNT unix:PATH | inet:HOST:PORT");
    crowd.count = strtoul(argv[2], NULL, 10);
    crowd.place = argv[3];
    if (crowd.count == 0 || crowd.count > COUNT_MAX)
        errx(EX_USAGE, "%s: is no count from 1 to %d", argv[2], COUNT_MAX);
    endpoint_raise_limit();
    question_make(&crowd.question, "END-OF-MESSAGE");
    crowd.instance = question_first_instance();
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            kinds[i].run(&crowd);
    errx(EX_USAGE, "%s: is none of idle, half, never-read, vanish, vanish-wait", argv[1]);
}
