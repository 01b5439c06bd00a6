/* fake_policyd.c - the other end of the control socket, played by a test */
#include "tests/unit/fake_policyd.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE 10 /* seconds */

static void demand(bool fact, const char *what)
{
    if (fact)
        return;
    fprintf(stderr, "fake_policyd: %s (%s)\n", what, strerror(errno));
    abort();
}

/* --- waiting --- */

static void is_over(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    *(short *)argument = what;
}

static void run_once(struct fake_policyd *fake)
{
    const struct timeval patience = {.tv_sec = PATIENCE};
    short what = 0;
    struct event *guard = evtimer_new(fake->base, is_over, &what);
    evtimer_add(guard, &patience);
    event_base_loop(fake->base, EVLOOP_ONCE);
    event_free(guard);
    demand(what == 0, "nothing happens");
}

void fake_policyd_run_until(struct fake_policyd *fake, const size_t *count, size_t wanted)
{
    while (*count < wanted)
        run_once(fake);
}

static void wait_for(struct fake_policyd *fake, int descriptor, short events)
{
    if (fake->base == NULL) {
        struct pollfd waiting = {.fd = descriptor, .events = events == EV_READ ? POLLIN : POLLOUT};
        demand(poll(&waiting, 1, PATIENCE * 1000) == 1, "nothing happens");
        return;
    }
    short what = 0;
    struct event *ready = event_new(fake->base, descriptor, events, is_over, &what);
    event_add(ready, NULL);
    while (what == 0)
        run_once(fake);
    event_free(ready);
}

/* --- life --- */

void fake_policyd_listen(struct fake_policyd *fake)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, fake->place.path, sizeof(address.sun_path));
    fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    demand(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)) == 0 &&
               listen(fake->listener, 16) == 0,
           "cannot listen");
}

void fake_policyd_deafen(struct fake_policyd *fake)
{
    if (fake->listener < 0)
        return;
    close(fake->listener);
    unlink(fake->place.path);
    fake->listener = -1;
}

void fake_policyd_open(struct fake_policyd *fake, struct event_base *base)
{
    static char value[] = "unix:control";
    *fake = (struct fake_policyd){.base = base, .listener = -1, .peer = -1};
    strcpy(fake->directory, "/tmp/post365-test-XXXXXX");
    demand(mkdtemp(fake->directory) != NULL && chmod(fake->directory, 0755) == 0, "no directory");
    fake->settings.queue_directory = fake->directory;
    fake->settings.control_socket = value;
    demand(socket_parse(value, fake->directory, &fake->place, NULL), "no place");
    fake_policyd_listen(fake);
}

void fake_policyd_close(struct fake_policyd *fake)
{
    fake_policyd_hang_up(fake);
    fake_policyd_deafen(fake);
    rmdir(fake->directory);
    buffer_free(&fake->received);
}

void fake_policyd_accept(struct fake_policyd *fake)
{
    fake_policyd_hang_up(fake);
    wait_for(fake, fake->listener, EV_READ);
    fake->peer = accept4(fake->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    demand(fake->peer >= 0, "cannot accept");
}

void fake_policyd_hang_up(struct fake_policyd *fake)
{
    if (fake->peer >= 0)
        close(fake->peer);
    fake->peer = -1;
    buffer_clear(&fake->received);
}

/* --- speaking --- */

const char *fake_policyd_request(struct fake_policyd *fake)
{
    char bytes[65536];
    char *end;
    while (fake->received.length == 0 || (end = strstr(fake->received.data, "\n\n")) == NULL) {
        wait_for(fake, fake->peer, EV_READ);
        ssize_t length = recv(fake->peer, bytes, sizeof(bytes), 0);
        demand(length > 0, "no request");
        buffer_append(&fake->received, bytes, (size_t)length);
    }
    size_t length = (size_t)(end - fake->received.data);
    demand(length < sizeof(fake->request), "a request is too long");
    memcpy(fake->request, fake->received.data, length);
    fake->request[length] = '\0';
    fake->received.length -= length + 2;
    memmove(fake->received.data, end + 2, fake->received.length + 1);
    for (char *line = fake->request; (line = strchr(line, '\n')) != NULL;)
        *line = ' ';
    return fake->request;
}

void fake_policyd_send(struct fake_policyd *fake, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fake->peer, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            wait_for(fake, fake->peer, EV_WRITE);
            continue;
        }
        demand(sent > 0, "cannot send");
        bytes += sent;
        length -= (size_t)sent;
    }
}

void fake_policyd_answer(struct fake_policyd *fake, const char *format, ...)
{
    char text[8192];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text) - 2, format, arguments);
    va_end(arguments);
    demand(length >= 0 && (size_t)length < sizeof(text) - 2, "an answer is too long");
    for (char *blank = text; (blank = strchr(blank, ' ')) != NULL;)
        *blank = '\n';
    strcpy(text + length, "\n\n");
    fake_policyd_send(fake, text, (size_t)length + 2);
}
