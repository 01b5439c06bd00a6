/* ledger_channel.h - asks policyd's ledger from an event loop
 *
 * One connection to post365_control_socket, any number of requests under way on it. A request gets
 * its reply by a callback, in whatever order policyd answers. The channel connects by itself, and
 * again when the connection was lost, after a delay that grows from 100 ms to 1 s; meanwhile every
 * request fails at once, so that a caller can put mail off instead of holding it.
 *
 * What a lost connection means. Whether a request that was under way was carried out is not known,
 * but what policyd makes of it is: all that was reserved on the connection and not yet settled or
 * released counts as sent.
 *   reserve   not granted, or counted as sent: do not send, nothing is to be released
 *   settle    counted, with all recipients that were reserved if it did not arrive
 *   release   costs nothing if it did arrive, else counted as sent
 *   pause, resume, and those that only read: ask again when the channel is up; twice does no harm
 * A reservation made on a connection that is lost since is LEDGER_REPLY_UNKNOWN on the next one.
 *
 * Nobody waits for a reply but the caller: there is no timeout here; who will not wait any longer
 * cancels. A channel belongs to the thread of its event loop.
 */
#ifndef POST365_COMMON_LEDGER_CHANNEL_H
#define POST365_COMMON_LEDGER_CHANNEL_H

#include "common/attr_channel.h"
#include "common/error.h"
#include "common/ledger_message.h"
#include "common/socket.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

#define LEDGER_CHANNEL_CALLS_MAX  ATTR_CHANNEL_CALLS_MAX
#define LEDGER_CHANNEL_UNSENT_MAX ATTR_CHANNEL_UNSENT_MAX

struct ledger_channel;
struct ledger_call; /* a request under way */

/*
 * How a request ended, called exactly once, from the event loop, unless the call is cancelled or
 * the channel released before. `reply` is valid during the call; NULL: the connection was lost, see
 * above, for the reason in `error` (else NULL). The call is over and must not be cancelled any
 * more. It may do anything with the channel, release it as well.
 */
typedef void ledger_channel_done(void *context, const struct ledger_reply *reply,
                                 const struct error *error);

/* The channel is up now, or down for this reason (else NULL). When it goes down it is told before
 * the requests under way. May do anything with the channel, release it as well. */
typedef void ledger_channel_changed(void *context, bool is_up, const struct error *error);

/* Tries to connect at once to the place, which ledger_socket_find() finds; `changed`, which may be
 * NULL, is told what comes later. Base and context belong to the caller and outlive the channel.
 * Release with ledger_channel_free(). */
struct ledger_channel *ledger_channel_new(struct event_base *base, const struct socket_place *place,
                                          ledger_channel_changed *changed, void *context);

/* Whether requests can be made now. If not, `error` says why (it may be NULL). */
bool ledger_channel_is_up(const struct ledger_channel *channel, struct error *error);

/*
 * Asks. Returns the call, the channel's, or NULL with the reason, without calling `done`, when
 * nothing was asked: policyd is down, the request makes no sense, or one of the limits above is
 * reached. `done` is never called from here; NULL: nobody is interested in the reply.
 */
struct ledger_call *ledger_channel_ask(struct ledger_channel *channel,
                                       const struct ledger_command *command,
                                       ledger_channel_done *done, void *context,
                                       struct error *error);

/* The call's `done` is not called any more. The request stays where it is: a reservation that is
 * granted to it is released at once, without having cost anything. Until policyd answers it counts
 * as under way. */
void ledger_channel_cancel(struct ledger_call *call);

/* Requests under way, cancelled ones included. */
size_t ledger_channel_calls(const struct ledger_channel *channel);

/* Closes the connection. No callback is called any more. NULL is allowed. */
void ledger_channel_free(struct ledger_channel *channel);

#endif
