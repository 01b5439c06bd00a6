/* attr_channel.h - asks a daemon in the protocol of attr.h from an event loop
 *
 * What ledger_channel.h and oauth2/token_channel.h have in common: one connection to a UNIX socket,
 * any number of requests under way on it, each with a tag, whose replies come in any order. The
 * channel connects by itself, and again when the connection was lost, after a delay that grows from
 * 100 ms; meanwhile nothing can be asked, so that a caller can put mail off instead of holding it.
 * What a request and its replies are is the owner's business.
 *
 * A reply may hold a secret: it lies in memory as of secret.h, and is wiped once it is taken.
 *
 * There is no timeout here. A channel belongs to the thread of its event loop.
 */
#ifndef POST365_COMMON_ATTR_CHANNEL_H
#define POST365_COMMON_ATTR_CHANNEL_H

#include "common/attr_socket.h"
#include "common/buffer.h"
#include "common/error.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATTR_CHANNEL_CALLS_MAX  16384U     /* requests under way */
#define ATTR_CHANNEL_UNSENT_MAX (4U << 20) /* bytes that the peer has not taken yet */

struct attr_channel;

/* The owner's part. Callbacks come from the event loop and may do anything with the channel,
 * release it as well; `context` is that of attr_channel_new(), `request` the owner's. */
struct attr_channel_owner {
    const struct attr_peer *peer;
    unsigned delay_most; /* milliseconds between two attempts to connect */
    /* Appends the request `command` with this tag. False with the reason, and nothing appended. */
    bool (*write)(struct buffer *text, uint64_t tag, const void *command, struct error *error);
    /* The channel is up now, or down for this reason (else NULL). When it goes down it is told
     * before the requests under way. */
    void (*changed)(void *context, bool is_up, const struct error *error);
    /* A whole reply to the request with this tag. It stays under way until attr_channel_end().
     * False with the reason: this is no reply, the connection is of no further use. */
    bool (*replied)(void *context, void *request, uint64_t tag, const char *text, size_t length,
                    struct error *error);
    /* What has no tag, and so answers a request that the peer could not read: says that. Always
     * false. */
    bool (*explain_untagged)(const char *text, size_t length, struct error *error);
    /* The connection was lost with the request under way, which is over. */
    void (*lost)(void *context, void *request, const struct error *error);
    /* The channel is released with the request under way. */
    void (*release)(void *request);
};

/* Tries to connect at once; the owner is told what comes later. Base, owner and context outlive the
 * channel. Release with attr_channel_free(). */
struct attr_channel *attr_channel_new(struct event_base *base, const struct socket_place *place,
                                      const struct attr_channel_owner *owner, void *context);

/* Whether requests can be made now. If not, `error` says why (it may be NULL). */
bool attr_channel_is_up(const struct attr_channel *channel, struct error *error);

/* Whether it is up, and within the limits above. */
bool attr_channel_has_room(const struct attr_channel *channel, struct error *error);

/* Asks; the channel is up. Gives the request's tag, or 0 with the reason when nothing was asked. */
uint64_t attr_channel_ask(struct attr_channel *channel, const void *command, void *request,
                          struct error *error);

/* Within `replied`: no further reply comes. The request is the owner's again. */
void attr_channel_end(struct attr_channel *channel, uint64_t tag);

/* Ends the connection: the owner is told that it was lost for this reason, from here. */
void attr_channel_drop(struct attr_channel *channel, const char *reason);

/* Requests under way. */
size_t attr_channel_calls(const struct attr_channel *channel);

/* Closes the connection. No callback is called any more but `release`, at once or when the one that
 * calls this has returned. NULL is allowed. */
void attr_channel_free(struct attr_channel *channel);

#endif
