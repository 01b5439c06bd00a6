/* null.c - the null server: what a policy service costs that decides nothing
 *
 * SYNOPSIS
 *     null unix:PATH | inet:HOST:PORT
 *
 * DESCRIPTION
 *     Accepts, reads, finds the empty line that ends a request, answers DUNNO. One thread, epoll, a
 *     read and a write for each request: the floor under any server of this protocol that is made
 *     like that. It runs until it is ended.
 *
 * BUGS
 *     Who does not read his answers is closed.
 */
#include "tests/bench/endpoint.h"

#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define ANSWER      "action=DUNNO\n\n"
#define READ_SIZE   65536
#define ANSWERS_MAX 256 /* in one read */
#define READY_MAX   256

struct client {
    int descriptor;
    bool after_newline; /* the last byte that was read ended a line */
};

static void watch(int epoll, int descriptor, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0)
        err(EX_OSERR, "epoll_ctl");
}

static void accept_all(int epoll, int listening)
{
    int accepted;
    while ((accepted = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct client *client = calloc(1, sizeof(*client));
        if (client == NULL)
            err(EX_OSERR, "calloc");
        client->descriptor = accepted;
        watch(epoll, accepted, client);
    }
}

/* How many requests end in these bytes. */
static size_t count_requests(struct client *client, const char *bytes, size_t length)
{
    const char *end = bytes + length;
    const char *position = bytes;
    const char *newline;
    size_t count = 0;
    bool after_newline = client->after_newline;
    while (position < end && (newline = memchr(position, '\n', (size_t)(end - position))) != NULL) {
        bool is_empty = newline == position && after_newline;
        count += is_empty;
        after_newline = !is_empty;
        position = newline + 1;
    }
    client->after_newline = after_newline && position == end;
    return count;
}

/* False when the client is gone. */
static bool serve(struct client *client)
{
    static char bytes[READ_SIZE];
    static char answers[ANSWERS_MAX * (sizeof(ANSWER) - 1)];
    ssize_t length = recv(client->descriptor, bytes, sizeof(bytes), 0);
    if (length < 0)
        return errno == EAGAIN || errno == EINTR;
    if (length == 0)
        return false;
    size_t count = count_requests(client, bytes, (size_t)length);
    if (count > ANSWERS_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        memcpy(answers + i * (sizeof(ANSWER) - 1), ANSWER, sizeof(ANSWER) - 1);
    size_t size = count * (sizeof(ANSWER) - 1);
    return size == 0 || send(client->descriptor, answers, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static void drop(struct client *client)
{
    close(client->descriptor);
    free(client);
}

int main(int argc, char *argv[])
{
    struct epoll_event ready[READY_MAX];
    if (argc != 2)
        errx(EX_USAGE, "usage: null unix:PATH | inet:HOST:PORT");
    endpoint_raise_limit();
    int listening = endpoint_listen(argv[1]);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        err(EX_OSERR, "epoll_create1");
    watch(epoll, listening, NULL);
    for (;;) {
        int count = epoll_wait(epoll, ready, READY_MAX, -1);
        for (int i = 0; i < count; i++) {
            struct client *client = ready[i].data.ptr;
            if (client == NULL)
                accept_all(epoll, listening);
            else if (!serve(client))
                drop(client);
        }
    }
}
