/* ledger_channel.c - asks policyd's ledger from an event loop */
#include "common/ledger_channel.h"

#include "common/attr_channel.h"
#include "common/clock.h"
#include "common/ledger_socket.h"
#include "common/memory.h"

#include <stdlib.h>

#define DELAY_MOST 1000U /* milliseconds */

enum call_state {
    CALL_EXPECTED,
    CALL_CANCELLED, /* nobody is told */
};

struct ledger_call {
    enum ledger_command_kind kind;
    enum call_state state;
    ledger_channel_done *done;
    void *context;
};

struct ledger_channel {
    struct attr_channel *channel;
    ledger_channel_changed *changed;
    void *context;
};

/* --- replies ----------------------------------------------------------------- */

/* The call is over before its callback may do what it likes. */
static void end_call(struct ledger_call *call, const struct ledger_reply *reply,
                     const struct error *error)
{
    const struct ledger_call ended = *call;
    free(call);
    if (ended.state == CALL_EXPECTED && ended.done != NULL)
        ended.done(ended.context, reply, error);
}

/* The ledger names times by the system's clock. */
static void take_time(int64_t *time, int64_t ahead)
{
    if (*time != 0 && *time != LEDGER_FOREVER)
        *time -= ahead;
}

static void take_times(struct ledger_reply *reply)
{
    int64_t ahead = clock_set_since();
    take_time(&reply->earliest, ahead);
    take_time(&reply->now, ahead);
    take_time(&reply->pause.since, ahead);
    take_time(&reply->pause.until, ahead);
}

/* Gives back what was granted to nobody. The call goes on, for the release. */
static bool release_again(struct ledger_channel *channel, struct ledger_call *call,
                          uint64_t reservation, struct error *error)
{
    const struct ledger_command release = {.kind = LEDGER_COMMAND_RELEASE,
                                           .reservation = reservation};
    call->kind = LEDGER_COMMAND_RELEASE;
    if (attr_channel_ask(channel->channel, &release, call, error) != 0)
        return true;
    free(call);
    return false;
}

static bool replied(void *context, void *request, uint64_t tag, const char *text, size_t length,
                    struct error *error)
{
    struct ledger_channel *channel = context;
    struct ledger_call *call = request;
    struct ledger_reply reply;
    if (!ledger_reply_read(&reply, call->kind, text, length, error))
        return false;
    take_times(&reply);
    attr_channel_end(channel->channel, tag);
    if (call->state == CALL_CANCELLED && reply.result == LEDGER_REPLY_GRANTED)
        return release_again(channel, call, reply.reservation, error);
    end_call(call, &reply, NULL);
    return true;
}

static bool explain_untagged(const char *text, size_t length, struct error *error)
{
    struct ledger_reply reply;
    if (!ledger_reply_read(&reply, LEDGER_COMMAND_RELEASE, text, length, error))
        return false;
    if (reply.result == LEDGER_REPLY_ERROR)
        return error_set(error, "post365-policyd could not read a request: %s", reply.reason);
    return error_set(error, "malformed reply: tag is missing");
}

static bool write_command(struct buffer *text, uint64_t tag, const void *command,
                          struct error *error)
{
    return ledger_command_write(text, tag, command, error);
}

static void changed(void *context, bool is_up, const struct error *error)
{
    const struct ledger_channel *channel = context;
    if (channel->changed != NULL)
        channel->changed(channel->context, is_up, error);
}

static void lost(void *context, void *request, const struct error *error)
{
    (void)context;
    end_call(request, NULL, error);
}

static const struct attr_channel_owner owner = {
    .peer = &ledger_peer,
    .delay_most = DELAY_MOST,
    .write = write_command,
    .changed = changed,
    .replied = replied,
    .explain_untagged = explain_untagged,
    .lost = lost,
    .release = free,
};

/* --- asking ------------------------------------------------------------------ */

struct ledger_call *ledger_channel_ask(struct ledger_channel *channel,
                                       const struct ledger_command *command,
                                       ledger_channel_done *done, void *context,
                                       struct error *error)
{
    if (!attr_channel_has_room(channel->channel, error))
        return NULL;
    struct ledger_call *call = memory_zero(1, sizeof(*call));
    *call = (struct ledger_call){.kind = command->kind, .done = done, .context = context};
    if (attr_channel_ask(channel->channel, command, call, error) != 0)
        return call;
    free(call);
    return NULL;
}

void ledger_channel_cancel(struct ledger_call *call)
{
    call->state = CALL_CANCELLED;
}

bool ledger_channel_is_up(const struct ledger_channel *channel, struct error *error)
{
    return attr_channel_is_up(channel->channel, error);
}

size_t ledger_channel_calls(const struct ledger_channel *channel)
{
    return attr_channel_calls(channel->channel);
}

/* --- life -------------------------------------------------------------------- */

struct ledger_channel *ledger_channel_new(struct event_base *base, const struct socket_place *place,
                                          ledger_channel_changed *changed_callback, void *context)
{
    struct ledger_channel *channel = memory_zero(1, sizeof(*channel));
    channel->changed = changed_callback;
    channel->context = context;
    channel->channel = attr_channel_new(base, place, &owner, channel);
    return channel;
}

void ledger_channel_free(struct ledger_channel *channel)
{
    if (channel == NULL)
        return;
    attr_channel_free(channel->channel);
    free(channel);
}
