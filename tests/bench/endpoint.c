/* endpoint.c - the sockets of the benchmark: "unix:PATH" or "inet:HOST:PORT" */
#include "tests/bench/endpoint.h"

#include <err.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

struct address {
    struct sockaddr_storage bytes;
    socklen_t length;
};

static void read_unix(const char *path, struct address *address)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(name.sun_path))
        errx(EX_USAGE, "%s: is too long for the name of a socket", path);
    strcpy(name.sun_path, path);
    memcpy(&address->bytes, &name, sizeof(name));
    address->length = sizeof(name);
}

static void read_inet(const char *text, struct address *address)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[256];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
        errx(EX_USAGE, "inet:%s: write inet:HOST:PORT", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    int code = getaddrinfo(host, colon + 1, &hints, &found);
    if (code != 0)
        errx(EX_USAGE, "inet:%s: %s", text, gai_strerror(code));
    memcpy(&address->bytes, found->ai_addr, found->ai_addrlen);
    address->length = found->ai_addrlen;
    freeaddrinfo(found);
}

static struct address read_place(const char *place)
{
    struct address address = {0};
    if (strncmp(place, "unix:", 5) == 0)
        read_unix(place + 5, &address);
    else if (strncmp(place, "inet:", 5) == 0)
        read_inet(place + 5, &address);
    else
        errx(EX_USAGE, "%s: write unix:PATH or inet:HOST:PORT", place);
    return address;
}

static int make_socket(const struct address *address)
{
    int one = 1;
    int made = socket(address->bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0)
        err(EX_OSERR, "socket");
    if (address->bytes.ss_family != AF_UNIX)
        (void)setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return made;
}

static void unblock(int descriptor)
{
    if (fcntl(descriptor, F_SETFL, O_NONBLOCK) != 0)
        err(EX_OSERR, "fcntl");
}

int endpoint_connect(const char *place)
{
    const struct address address = read_place(place);
    int made = make_socket(&address);
    if (connect(made, (const struct sockaddr *)&address.bytes, address.length) != 0)
        err(EX_UNAVAILABLE, "cannot connect to %s", place);
    unblock(made);
    return made;
}

int endpoint_listen(const char *place)
{
    const struct address address = read_place(place);
    int one = 1;
    int made = make_socket(&address);
    (void)setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (address.bytes.ss_family == AF_UNIX)
        unlink(place + 5);
    if (bind(made, (const struct sockaddr *)&address.bytes, address.length) != 0 ||
        (address.bytes.ss_family == AF_UNIX && chmod(place + 5, 0666) != 0) ||
        listen(made, SOMAXCONN) != 0)
        err(EX_OSERR, "cannot listen on %s", place);
    unblock(made);
    return made;
}

void endpoint_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}
