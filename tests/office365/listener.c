/* listener.c - the sockets on which the service is offered */
#include "listener.h"

#include "allocate.h"
#include "encoding.h"
#include "session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG 4096

struct listener {
    struct server *server;
    struct evconnlistener **sockets;
    size_t count;
    struct event *pause; /* ends a rest from accepting */
};

static void on_accept(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *address,
                      int length, void *context)
{
    struct listener *listener = context;

    (void)socket;
    session_open(listener->server, fd, address, length);
}

/* on_error - out of descriptors, most likely: rest a little instead of spinning */
static void on_error(struct evconnlistener *socket, void *context)
{
    struct listener *listener = context;
    const struct timeval rest = {.tv_usec = 50000};

    fprintf(stderr, "office365: cannot accept a connection: %s\n", strerror(errno));
    evconnlistener_disable(socket);
    event_add(listener->pause, &rest);
}

static void on_pause_over(evutil_socket_t fd, short events, void *context)
{
    struct listener *listener = context;

    (void)fd;
    (void)events;
    for (size_t i = 0; i < listener->count; i++)
        evconnlistener_enable(listener->sockets[i]);
}

/* resolve - "127.0.0.1:0" or "[::1]:2587", in numbers; NULL if it is not that; freeaddrinfo() it */
static struct addrinfo *resolve(const char *name)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *address = NULL;
    const char *port = strrchr(name, ':');
    size_t length = port != NULL ? (size_t)(port - name) : 0;
    bool brackets = length > 2 && name[0] == '[' && name[length - 1] == ']';
    char *host = duplicate_bytes(name + brackets, length - (brackets ? 2 : 0));

    if (length == 0 || getaddrinfo(host, port + 1, &hints, &address) != 0)
        address = NULL;
    free(host);
    return address;
}

static bool add_socket(struct listener *listener, const char *name, struct problem *problem)
{
    struct addrinfo *address = resolve(name);
    struct evconnlistener *socket;

    if (address == NULL)
        return problem_set(problem,
                           "\"listen\": \"%s\" is not an address and a port, such as "
                           "127.0.0.1:0 or [::1]:2587",
                           name);
    socket =
        evconnlistener_new_bind(listener->server->base, on_accept, listener,
                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
                                BACKLOG, address->ai_addr, (int)address->ai_addrlen);
    freeaddrinfo(address);
    if (socket == NULL)
        return problem_set(problem, "cannot listen on %s: %s", name, strerror(errno));
    evconnlistener_set_error_cb(socket, on_error);
    listener->sockets =
        allocate_again(listener->sockets, listener->count + 1, sizeof *listener->sockets);
    listener->sockets[listener->count++] = socket;
    return true;
}

struct listener *listener_create(struct server *server, struct problem *problem)
{
    struct listener *listener = allocate(sizeof *listener);
    const struct list *names = &server->settings->listen;

    listener->server = server;
    listener->pause = event_new(server->base, -1, 0, on_pause_over, listener);
    if (listener->pause == NULL)
        abort();
    for (size_t i = 0; i < names->count; i++) {
        if (!add_socket(listener, names->items[i], problem)) {
            listener_free(listener);
            return NULL;
        }
    }
    return listener;
}

void listener_free(struct listener *listener)
{
    if (listener == NULL)
        return;
    for (size_t i = 0; i < listener->count; i++)
        evconnlistener_free(listener->sockets[i]);
    free(listener->sockets);
    event_free(listener->pause);
    free(listener);
}

static json_t *describe_socket(struct evconnlistener *socket)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof address;
    char host[INET6_ADDRSTRLEN] = "";
    const void *bytes = &((struct sockaddr_in *)&address)->sin_addr;
    in_port_t port;
    json_t *description = json_object();

    getsockname(evconnlistener_get_fd(socket), (struct sockaddr *)&address, &length);
    port = ((struct sockaddr_in *)&address)->sin_port; /* the same place in both families */
    if (address.ss_family == AF_INET6)
        bytes = &((struct sockaddr_in6 *)&address)->sin6_addr;
    inet_ntop(address.ss_family, bytes, host, sizeof host);
    encoding_set(description, "address", json_string(host));
    encoding_set(description, "port", json_integer(ntohs(port)));
    return description;
}

json_t *listener_describe(const struct listener *listener)
{
    json_t *list = json_array();

    for (size_t i = 0; i < listener->count; i++)
        encoding_append(list, describe_socket(listener->sockets[i]));
    return list;
}
