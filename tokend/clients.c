/* clients.c - who asks on post365_oauth2_socket
 *
 * Security: whoever may connect may send anything, and as much as he likes. A peer without rights
 * is told so by the desk, which asks client_right() for each request.
 */
#include "tokend/clients.h"

#include "common/attr.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/oauth2/tokens.h"

#include <errno.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sysexits.h>
#include <unistd.h>

#define READ_SIZE    16384U
#define ROOM_ENOUGH  ((size_t)64 * 1024)   /* what waits for a client that is still read from */
#define UNREAD_MAX   ((size_t)1024 * 1024) /* what waits for one that is not disconnected */
#define PIECE_MIN    ((size_t)3500)        /* of waiting output, so that a few share a page */
#define GROUPS_MAX   256
#define ACCEPT_PAUSE 1 /* second, when there is no descriptor left */

/* Output that the kernel has not taken. */
struct piece {
    struct piece *next;
    struct secret *bytes;
    size_t sent, room;
};

struct client {
    struct client *next, *previous;
    struct clients *clients;
    int descriptor;
    enum client_right right;
    bool is_broken; /* to be closed as soon as nobody is using it */
    void *state;
    struct attr_reader reader;
    struct buffer input;
    struct piece *first, *last;
    size_t waiting; /* bytes */
    struct event *readable, *writable;
};

struct clients {
    struct event_base *base;
    struct clients_handler handler;
    struct event *acceptable, *resume;
    int descriptor;
    struct client *first;
    size_t count, lookers; /* lookers: those without CLIENT_ALL */
    uid_t user, own;       /* post365_user; what the daemon is */
    gid_t group;           /* of post365_user */
    bool has_user;
    bool is_full; /* said once */
};

static void close_client(struct client *client);
static void go_on(struct client *client);

/* --- who it is --- */

void clients_configure(struct clients *clients, const struct settings *settings)
{
    const struct passwd *entry = getpwnam(settings->user);
    clients->has_user = entry != NULL;
    if (entry != NULL) {
        clients->user = entry->pw_uid;
        clients->group = entry->pw_gid;
    }
    clients->own = geteuid();
}

static bool is_in_group(int descriptor, const struct ucred *peer, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    socklen_t size = sizeof(groups);
    if (peer->gid == group)
        return true;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0)
        return false;
    for (size_t i = 0; i < size / sizeof(groups[0]); i++)
        if (groups[i] == group)
            return true;
    return false;
}

static enum client_right find_right(const struct clients *clients, int descriptor)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return CLIENT_NOTHING;
    if (peer.uid == 0 || peer.uid == clients->own ||
        (clients->has_user && peer.uid == clients->user))
        return CLIENT_ALL;
    return clients->has_user && is_in_group(descriptor, &peer, clients->group) ? CLIENT_LOOKS
                                                                               : CLIENT_NOTHING;
}

enum client_right client_right(const struct client *client)
{
    return client->right;
}

/* --- sending --- */

static void release_piece(struct client *client)
{
    struct piece *piece = client->first;
    client->first = piece->next;
    if (client->first == NULL)
        client->last = NULL;
    secret_free(piece->bytes);
    free(piece);
}

static void keep(struct client *client, const char *bytes, size_t length)
{
    while (length > 0) {
        struct piece *last = client->last;
        if (last == NULL || last->room == 0) {
            last = memory_zero(1, sizeof(*last));
            last->room = length > PIECE_MIN ? length : PIECE_MIN;
            last->bytes = secret_new(last->room);
            *(client->last != NULL ? &client->last->next : &client->first) = last;
            client->last = last;
        }
        size_t part = length < last->room ? length : last->room;
        secret_append(last->bytes, bytes, part);
        last->room -= part;
        client->waiting += part;
        bytes += part;
        length -= part;
    }
}

static void give_up(struct client *client)
{
    client->is_broken = true;
    event_active(client->writable, EV_WRITE, 0);
}

/* What the kernel takes at once need not be kept. */
static size_t send_now(struct client *client, const struct iovec *parts, size_t count)
{
    const struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count};
    ssize_t sent;
    do
        sent = sendmsg(client->descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN)
        give_up(client);
    return sent > 0 ? (size_t)sent : 0;
}

void client_send(struct client *client, const struct buffer *head, const struct secret *secret,
                 const struct buffer *tail)
{
    struct iovec parts[3];
    size_t count = 0;
    parts[count++] = (struct iovec){head->data, head->length};
    if (secret != NULL)
        parts[count++] = (struct iovec){(void *)secret_reveal(secret), secret_length(secret)};
    if (tail != NULL)
        parts[count++] = (struct iovec){tail->data, tail->length};
    if (client->is_broken)
        return;
    size_t sent = client->first == NULL ? send_now(client, parts, count) : 0;
    for (size_t i = 0; i < count && !client->is_broken; i++) {
        size_t done = sent < parts[i].iov_len ? sent : parts[i].iov_len;
        keep(client, (const char *)parts[i].iov_base + done, parts[i].iov_len - done);
        sent -= done;
    }
    if (client->waiting > UNREAD_MAX)
        give_up(client);
    else if (client->first != NULL)
        event_add(client->writable, NULL);
}

bool client_has_room(const struct client *client)
{
    return client->waiting < ROOM_ENOUGH;
}

/* False if the client is gone. */
static bool send_waiting(struct client *client)
{
    while (client->first != NULL) {
        struct piece *piece = client->first;
        size_t left = secret_length(piece->bytes) - piece->sent;
        ssize_t sent = send(client->descriptor, secret_reveal(piece->bytes) + piece->sent, left,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        piece->sent += (size_t)sent;
        client->waiting -= (size_t)sent;
        if ((size_t)sent < left)
            return true;
        release_piece(client);
    }
    return true;
}

static void write_ready(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct client *client = argument;
    bool had_room = client_has_room(client);
    if (client->is_broken || !send_waiting(client)) {
        close_client(client);
        return;
    }
    if (client->first != NULL)
        event_add(client->writable, NULL);
    if (client_has_room(client) && !had_room)
        go_on(client);
}

/* --- receiving --- */

static void refuse_request(struct client *client, const struct error *error)
{
    struct buffer reply = {0};
    attr_write(&reply, TOKENS_RESULT, TOKENS_ERROR);
    attr_write(&reply, TOKENS_REASON, error->text);
    attr_write_end(&reply);
    client_send(client, &reply, NULL, NULL);
    buffer_free(&reply);
    give_up(client);
}

static void take_requests(struct client *client)
{
    struct buffer *input = &client->input;
    const struct clients_handler *handler = &client->clients->handler;
    size_t taken = 0, length;
    struct error error;
    while (!client->is_broken && taken < input->length && client_has_room(client)) {
        enum attr_progress progress =
            attr_read(&client->reader, input->data + taken, input->length - taken, &length, &error);
        if (progress == ATTR_MORE)
            break;
        if (progress == ATTR_MALFORMED) {
            refuse_request(client, &error);
            break;
        }
        handler->asked(handler->context, client, input->data + taken, length);
        taken += length;
    }
    if (taken == input->length)
        buffer_free(input);
    else if (taken > 0) {
        memmove(input->data, input->data + taken, input->length - taken + 1);
        input->length -= taken;
    }
}

/* It has read enough to be told, and asked, more. */
static void go_on(struct client *client)
{
    client->clients->handler.drained(client->clients->handler.context, client);
    take_requests(client);
    if (client_has_room(client))
        event_add(client->readable, NULL);
}

static void read_ready(evutil_socket_t descriptor, short what, void *argument)
{
    (void)what;
    struct client *client = argument;
    char bytes[READ_SIZE];
    ssize_t length = recv(descriptor, bytes, sizeof(bytes), 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        close_client(client);
        return;
    }
    buffer_append(&client->input, bytes, (size_t)length);
    take_requests(client);
    if (!client_has_room(client))
        event_del(client->readable);
}

/* --- coming and going --- */

static void add_client(struct clients *clients, int descriptor, enum client_right right)
{
    struct client *client = memory_zero(1, sizeof(*client));
    client->clients = clients;
    client->descriptor = descriptor;
    client->right = right;
    client->readable =
        event_new(clients->base, descriptor, EV_READ | EV_PERSIST, read_ready, client);
    client->writable = event_new(clients->base, descriptor, EV_WRITE, write_ready, client);
    client->next = clients->first;
    if (client->next != NULL)
        client->next->previous = client;
    clients->first = client;
    clients->count++;
    clients->lookers += right != CLIENT_ALL;
    if (client->readable == NULL || client->writable == NULL ||
        event_add(client->readable, NULL) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

static void close_client(struct client *client)
{
    struct clients *clients = client->clients;
    clients->handler.left(clients->handler.context, client);
    event_free(client->readable);
    event_free(client->writable);
    close(client->descriptor);
    while (client->first != NULL)
        release_piece(client);
    buffer_free(&client->input);
    *(client->previous != NULL ? &client->previous->next : &clients->first) = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
    clients->count--;
    clients->lookers -= client->right != CLIENT_ALL;
    free(client);
}

static void complain(struct clients *clients)
{
    if (!clients->is_full)
        log_warning("%zu clients are connected: others are turned away", clients->count);
    clients->is_full = true;
}

static bool has_place_for(const struct clients *clients, enum client_right right)
{
    return clients->count < CLIENTS_MAX && (right == CLIENT_ALL || clients->lookers < LOOKERS_MAX);
}

static bool is_roomy_again(const struct clients *clients)
{
    return clients->count <= CLIENTS_MAX / 2 && clients->lookers <= LOOKERS_MAX / 2;
}

/* Whoever comes when there are too many is turned away at once. */
static void admit(struct clients *clients, int descriptor)
{
    enum client_right right = find_right(clients, descriptor);
    if (!has_place_for(clients, right)) {
        complain(clients);
        close(descriptor);
        return;
    }
    add_client(clients, descriptor, right);
    clients->is_full = clients->is_full && !is_roomy_again(clients);
}

static void accept_ready(evutil_socket_t descriptor, short what, void *argument)
{
    (void)what;
    struct clients *clients = argument;
    const struct timeval pause = {.tv_sec = ACCEPT_PAUSE};
    int accepted = accept4(descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
        complain(clients);
        event_del(clients->acceptable);
        event_add(clients->resume, &pause);
    } else if (accepted >= 0) {
        admit(clients, accepted);
    }
}

static void resume_accepting(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct clients *clients = argument;
    event_add(clients->acceptable, NULL);
}

struct clients *clients_new(struct event_base *base, int descriptor,
                            const struct clients_handler *handler, const struct settings *settings,
                            struct error *error)
{
    struct clients *clients = memory_zero(1, sizeof(*clients));
    clients->base = base;
    clients->descriptor = descriptor;
    clients->handler = *handler;
    clients_configure(clients, settings);
    clients->acceptable = event_new(base, descriptor, EV_READ | EV_PERSIST, accept_ready, clients);
    clients->resume = event_new(base, -1, 0, resume_accepting, clients);
    if (clients->acceptable != NULL && clients->resume != NULL &&
        event_add(clients->acceptable, NULL) == 0)
        return clients;
    clients_free(clients);
    error_set(error, "cannot set up the event loop");
    return NULL;
}

void clients_free(struct clients *clients)
{
    if (clients == NULL)
        return;
    /* clang's analyzer does not see that a client leaves the list before it is released. */
    while (clients->first != NULL)
        close_client(clients->first); // NOLINT(clang-analyzer-unix.Malloc)
    if (clients->acceptable != NULL)
        event_free(clients->acceptable);
    if (clients->resume != NULL)
        event_free(clients->resume);
    close(clients->descriptor);
    free(clients);
}

void client_set_state(struct client *client, void *state)
{
    client->state = state;
}

void *client_state(const struct client *client)
{
    return client->state;
}
