/* token_channel.c - asks post365-tokend from an event loop */
#include "common/oauth2/token_channel.h"

#include "common/attr_channel.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/oauth2/token_socket.h"

#include <stdlib.h>

#define DELAY_MOST 5000U /* milliseconds */

enum call_state {
    CALL_EXPECTED,
    CALL_CANCELLED, /* nobody is told */
};

struct token_call {
    enum token_command_kind kind;
    enum call_state state;
    token_channel_done *done;
    void *context;
};

struct token_channel {
    struct event_base *base;
    struct socket_place place;
    const struct token_watcher *watcher;
    void *context;
    struct attr_channel *channel; /* NULL: not in use */
};

/* --- replies ----------------------------------------------------------------- */

/* The call is over before its callback may do what it likes. */
static void end_call(struct token_call *call, struct token_reply *reply, const struct error *error)
{
    const struct token_call ended = *call;
    free(call);
    if (ended.state == CALL_EXPECTED && ended.done != NULL)
        ended.done(ended.context, reply, error);
}

static void tell_watcher(const struct token_channel *channel, const struct token_reply *reply)
{
    if (reply->result == TOKEN_REPLY_SUBJECT)
        channel->watcher->told(channel->context, &reply->subject);
    else if (reply->result == TOKEN_REPLY_GONE)
        channel->watcher->gone(channel->context, reply->registration, reply->account);
    else if (token_reply_is_last(reply, TOKEN_COMMAND_WATCH))
        log_warning("post365-tokend does not tell how its tokens are: %s", reply->reason);
}

static bool replied(void *context, void *request, uint64_t tag, const char *text, size_t length,
                    struct error *error)
{
    struct token_channel *channel = context;
    struct token_call *call = request;
    const enum token_command_kind kind = call->kind;
    struct token_reply reply;
    if (!token_reply_read(&reply, kind, text, length, error))
        return false;
    if (token_reply_is_last(&reply, kind))
        attr_channel_end(channel->channel, tag);
    if (kind == TOKEN_COMMAND_WATCH)
        tell_watcher(channel, &reply);
    if (token_reply_is_last(&reply, kind))
        end_call(call, &reply, NULL);
    token_reply_release(&reply);
    return true;
}

static bool explain_untagged(const char *text, size_t length, struct error *error)
{
    struct token_reply reply;
    if (!token_reply_read(&reply, TOKEN_COMMAND_LOGOUT, text, length, error))
        return false;
    if (reply.result == TOKEN_REPLY_ERROR)
        return error_set(error, "post365-tokend could not read a request: %s", reply.reason);
    return error_set(error, "malformed reply: tag is missing");
}

static bool write_command(struct buffer *text, uint64_t tag, const void *command,
                          struct error *error)
{
    return token_command_write(text, tag, command, error);
}

static void lost(void *context, void *request, const struct error *error)
{
    (void)context;
    end_call(request, NULL, error);
}

/* --- watching ---------------------------------------------------------------- */

static struct token_call *ask(struct token_channel *channel, const struct token_command *command,
                              token_channel_done *done, void *context, struct error *error)
{
    struct token_call *call = memory_zero(1, sizeof(*call));
    *call = (struct token_call){.kind = command->kind, .done = done, .context = context};
    if (attr_channel_ask(channel->channel, command, call, error) != 0)
        return call;
    free(call);
    return NULL;
}

static void watch(struct token_channel *channel)
{
    const struct token_command command = {.kind = TOKEN_COMMAND_WATCH};
    struct error error;
    if (ask(channel, &command, NULL, NULL, &error) == NULL)
        log_warning("post365-tokend cannot be asked how its tokens are: %s", error.text);
}

static void changed(void *context, bool is_up, const struct error *error)
{
    struct token_channel *channel = context;
    if (is_up)
        watch(channel);
    channel->watcher->changed(channel->context, is_up, error);
}

static const struct attr_channel_owner owner = {
    .peer = &token_peer,
    .delay_most = DELAY_MOST,
    .write = write_command,
    .changed = changed,
    .replied = replied,
    .explain_untagged = explain_untagged,
    .lost = lost,
    .release = free,
};

/* --- asking ------------------------------------------------------------------ */

bool token_channel_is_used(const struct token_channel *channel)
{
    return channel->channel != NULL;
}

bool token_channel_is_up(const struct token_channel *channel, struct error *error)
{
    if (channel->channel == NULL)
        return error_set(error, "post365-tokend is not asked: post365_oauth2_maps is empty");
    return attr_channel_is_up(channel->channel, error);
}

struct token_call *token_channel_ask(struct token_channel *channel,
                                     const struct token_command *command, token_channel_done *done,
                                     void *context, struct error *error)
{
    if (!token_channel_is_up(channel, error) || !attr_channel_has_room(channel->channel, error))
        return NULL;
    return ask(channel, command, done, context, error);
}

void token_channel_cancel(struct token_call *call)
{
    call->state = CALL_CANCELLED;
}

/* --- life -------------------------------------------------------------------- */

struct token_channel *token_channel_new(struct event_base *base, const struct socket_place *place,
                                        const struct token_watcher *watcher, void *context)
{
    struct token_channel *channel = memory_zero(1, sizeof(*channel));
    channel->base = base;
    channel->place = *place;
    channel->watcher = watcher;
    channel->context = context;
    return channel;
}

void token_channel_use(struct token_channel *channel, bool is_in_use)
{
    struct attr_channel *old = channel->channel;
    if (is_in_use == (old != NULL))
        return;
    if (is_in_use) {
        channel->channel = attr_channel_new(channel->base, &channel->place, &owner, channel);
        if (attr_channel_is_up(channel->channel, NULL))
            watch(channel);
        return;
    }
    channel->channel = NULL;
    attr_channel_drop(old, "post365_oauth2_maps is empty now");
    attr_channel_free(old);
}

void token_channel_free(struct token_channel *channel)
{
    if (channel == NULL)
        return;
    attr_channel_free(channel->channel);
    free(channel);
}
