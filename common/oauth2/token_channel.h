/* token_channel.h - asks post365-tokend from an event loop
 *
 * One connection to post365_oauth2_socket, any number of requests under way on it, and what `watch`
 * tells of all subjects. The channel connects by itself, and again when the connection was lost,
 * after a delay that grows from 100 ms to 5 s; meanwhile every request fails at once. Where nobody
 * uses OAuth2 it connects to nothing.
 *
 * Nobody waits for a reply but the caller: there is no timeout here; who will not wait any longer
 * cancels. A channel belongs to the thread of its event loop.
 */
#ifndef POST365_COMMON_OAUTH2_TOKEN_CHANNEL_H
#define POST365_COMMON_OAUTH2_TOKEN_CHANNEL_H

#include "common/error.h"
#include "common/oauth2/token_message.h"
#include "common/socket.h"

#include <event2/event.h>
#include <stdbool.h>

struct token_channel;
struct token_call; /* a request under way */

/*
 * How a request ended, called exactly once unless the call is cancelled or the channel released
 * before. `reply` is valid during the call, and a token that is taken out of it the taker's; NULL:
 * the connection was lost, for the reason in `error` (else NULL). Whether the request was carried
 * out is not known then; asking again does no harm. The call is over and must not be cancelled any
 * more. It may do anything with the channel, release it as well.
 */
typedef void token_channel_done(void *context, struct token_reply *reply,
                                const struct error *error);

/* Who is told what nobody asked for; each may do anything with the channel but release it. */
struct token_watcher {
    /* The channel is up now, or down for this reason (else NULL). When it goes down nothing is
     * known any more of any subject; when it is up again all are told. */
    void (*changed)(void *context, bool is_up, const struct error *error);
    /* What is known of a subject: when the channel has come up, and whenever it changes. */
    void (*told)(void *context, const struct token_subject *subject);
    /* There is no such subject any more; `account` is "" but for one of a user's grant. */
    void (*gone)(void *context, const char *registration, const char *account);
};

/* Not in use yet. Base and context belong to the caller and outlive the channel. Release with
 * token_channel_free(). */
struct token_channel *token_channel_new(struct event_base *base, const struct socket_place *place,
                                        const struct token_watcher *watcher, void *context);

/* Whether somebody uses OAuth2, now and after each reload. It connects at once; `changed` is told
 * what comes later. If not any more, requests under way are lost at once. */
void token_channel_use(struct token_channel *channel, bool is_in_use);

bool token_channel_is_used(const struct token_channel *channel);

/* Whether requests can be made now. If not, `error` says why (it may be NULL). */
bool token_channel_is_up(const struct token_channel *channel, struct error *error);

/*
 * Asks anything but for a watch or a login. Returns the call, the channel's, or NULL with the
 * reason, without calling `done`, when nothing was asked: tokend is down, the request makes no
 * sense, or one of the limits of attr_channel.h is reached. `done` is never called from here; NULL:
 * nobody is interested in the reply.
 */
struct token_call *token_channel_ask(struct token_channel *channel,
                                     const struct token_command *command, token_channel_done *done,
                                     void *context, struct error *error);

/* The call's `done` is not called any more. Until tokend answers it counts as under way. */
void token_channel_cancel(struct token_call *call);

/* Closes the connection. No callback is called any more. NULL is allowed. */
void token_channel_free(struct token_channel *channel);

#endif
