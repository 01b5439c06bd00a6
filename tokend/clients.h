/* clients.h - who asks on post365_oauth2_socket
 *
 * Connections that speak the name=value protocol of attr.h. Who somebody is, is said by the kernel
 * (SO_PEERCRED, SO_PEERGROUPS: unix(7), socket(7)). What a client can do is bounded: a request by
 * attr.h; who does not read his replies is not read from, and is disconnected when too much waits
 * for him; there are at most CLIENTS_MAX, and LOOKERS_MAX of those who may only look.
 *
 * A reply may hold an access token: it goes from the secret into the kernel, and what does not fit
 * there waits in secret memory.
 */
#ifndef POST365_TOKEND_CLIENTS_H
#define POST365_TOKEND_CLIENTS_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/secret.h"
#include "common/settings.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

#define CLIENTS_MAX 512
/* Of those who may not get tokens: they leave the most room for who has mail to send. */
#define LOOKERS_MAX 64

struct clients;
struct client;

enum client_right {
    CLIENT_NOTHING,
    CLIENT_LOOKS, /* watch, list, status */
    CLIENT_ALL
};

struct clients_handler {
    /* A whole request has arrived. */
    void (*asked)(void *context, struct client *client, const char *request, size_t length);
    /* The client has read enough for more to be sent (client_has_room()). */
    void (*drained)(void *context, struct client *client);
    /* It is gone; not to be used any more. */
    void (*left)(void *context, struct client *client);
    void *context;
};

/* Accepts on a listening, non-blocking descriptor, which becomes the clients'. NULL with the
 * reason. Release with clients_free(). */
struct clients *clients_new(struct event_base *base, int descriptor,
                            const struct clients_handler *handler, const struct settings *settings,
                            struct error *error);
/* Closes everything; `left` is called for each. NULL is allowed. */
void clients_free(struct clients *clients);

/* The names in the settings may stand for others now. */
void clients_configure(struct clients *clients, const struct settings *settings);

/* What the kernel says that it may. */
enum client_right client_right(const struct client *client);

/* Sends `head`, the secret (or NULL) and `tail` (or NULL), one behind the other. A client that is
 * sent more than it may leave unread is gone at the next turn of the loop. */
void client_send(struct client *client, const struct buffer *head, const struct secret *secret,
                 const struct buffer *tail);

/* Whether little waits for it. `drained` is called when this becomes true again. */
bool client_has_room(const struct client *client);

/* What the protocol keeps about it; NULL at first. */
void client_set_state(struct client *client, void *state);
void *client_state(const struct client *client);

#endif
