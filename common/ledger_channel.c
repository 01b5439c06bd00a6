/* ledger_channel.c - asks policyd's ledger from an event loop
 *
 * A request has a place in `places`; its tag says which, and is never used twice, so that no reply
 * finds another's request. A stream that once was malformed is closed: what a loss means is
 * defined, what half a conversation means is not.
 */
#include "common/ledger_channel.h"

#include "common/clock.h"
#include "common/ledger_socket.h"
#include "common/memory.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE    65536U
#define DELAY_MIN    100U  /* milliseconds */
#define DELAY_MAX    1000U /* milliseconds */
#define PLACES_FIRST 64U
#define NO_PLACE     UINT32_MAX

enum channel_state {
    CHANNEL_DOWN, /* connecting again when the delay is over */
    CHANNEL_UP,
};

enum call_state {
    CALL_EXPECTED,
    CALL_CANCELLED, /* nobody is told */
};

struct ledger_call {
    uint64_t tag;
    enum ledger_command_kind kind;
    enum call_state state;
    ledger_channel_done *done;
    void *context;
};

struct place {
    struct ledger_call *call; /* or NULL */
    uint32_t next_free;       /* then */
};

struct ledger_channel {
    struct event_base *base;
    struct socket_place server;
    ledger_channel_changed *changed;
    void *context;
    enum channel_state state;
    struct error reason; /* CHANNEL_DOWN */
    unsigned delay;      /* milliseconds before the next connection */
    int descriptor;      /* or -1 */
    struct event read_event, write_event, delay_event;
    /* calls */
    struct place *places;
    uint32_t place_count, first_free;
    size_t call_count;
    uint64_t next_number; /* for tags */
    /* the stream */
    struct attr_reader reader;
    struct buffer input; /* what is not read of the replies that arrived */
    struct buffer output;
    size_t sent; /* of `output` */
    /* Set while a callback may run: then what it releases has to stay until it returns. */
    bool is_busy;
    bool is_released;
    char scratch[READ_SIZE];
};

static void read_ready(evutil_socket_t descriptor, short what, void *argument);
static void write_ready(evutil_socket_t descriptor, short what, void *argument);
static void delay_over(evutil_socket_t descriptor, short what, void *argument);

/* --- calls ------------------------------------------------------------------- */

static void grow_places(struct ledger_channel *channel)
{
    uint32_t count = channel->place_count > 0 ? channel->place_count * 2 : PLACES_FIRST;
    channel->places = memory_grow(channel->places, count * sizeof(*channel->places));
    for (uint32_t i = channel->place_count; i < count; i++)
        channel->places[i] = (struct place){.next_free = i + 1 < count ? i + 1 : NO_PLACE};
    channel->first_free = channel->place_count;
    channel->place_count = count;
}

/* The next tag for a place; not 0. */
static uint64_t new_tag(struct ledger_channel *channel, uint32_t place)
{
    return ++channel->next_number * LEDGER_CHANNEL_CALLS_MAX + place;
}

static struct ledger_call *add_call(struct ledger_channel *channel)
{
    if (channel->first_free == NO_PLACE)
        grow_places(channel);
    uint32_t number = channel->first_free;
    struct ledger_call *call = memory_zero(1, sizeof(*call));
    call->tag = new_tag(channel, number);
    channel->first_free = channel->places[number].next_free;
    channel->places[number].call = call;
    channel->call_count++;
    return call;
}

static struct ledger_call *find_call(const struct ledger_channel *channel, uint64_t tag)
{
    uint64_t number = tag % LEDGER_CHANNEL_CALLS_MAX;
    struct ledger_call *call = number < channel->place_count ? channel->places[number].call : NULL;
    return call != NULL && call->tag == tag ? call : NULL;
}

static void remove_call(struct ledger_channel *channel, struct ledger_call *call)
{
    uint32_t number = (uint32_t)(call->tag % LEDGER_CHANNEL_CALLS_MAX);
    channel->places[number] = (struct place){.next_free = channel->first_free};
    channel->first_free = number;
    channel->call_count--;
    free(call);
}

/* The call is over before its callback may do what it likes. */
static void end_call(struct ledger_channel *channel, struct ledger_call *call,
                     const struct ledger_reply *reply, const struct error *error)
{
    const struct ledger_call ended = *call;
    remove_call(channel, call);
    if (ended.state == CALL_EXPECTED && ended.done != NULL)
        ended.done(ended.context, reply, error);
}

/* --- writing ----------------------------------------------------------------- */

static bool want_write(struct ledger_channel *channel, struct error *error)
{
    return event_add(&channel->write_event, NULL) == 0 ||
           error_set(error, "cannot wait for the socket of post365-policyd: %s", strerror(errno));
}

/* Moves what is unsent to the front when that is less than what was sent: amortised, each byte
 * moves once. */
static void forget_sent(struct ledger_channel *channel)
{
    size_t left = channel->output.length - channel->sent;
    if (left > channel->sent)
        return;
    if (left > 0)
        memmove(channel->output.data, channel->output.data + channel->sent, left);
    channel->output.length = left;
    channel->sent = 0;
}

static bool has_room(const struct ledger_channel *channel, struct error *error)
{
    if (channel->call_count >= LEDGER_CHANNEL_CALLS_MAX)
        return error_set(error, "%zu requests to post365-policyd are under way; try again later",
                         channel->call_count);
    if (channel->output.length - channel->sent > LEDGER_CHANNEL_UNSENT_MAX)
        return error_set(error, "post365-policyd does not read what it is asked; try again later");
    return true;
}

struct ledger_call *ledger_channel_ask(struct ledger_channel *channel,
                                       const struct ledger_command *command,
                                       ledger_channel_done *done, void *context,
                                       struct error *error)
{
    if (!ledger_channel_is_up(channel, error) || !has_room(channel, error))
        return NULL;
    struct ledger_call *call = add_call(channel);
    size_t length = channel->output.length;
    call->kind = command->kind;
    call->done = done;
    call->context = context;
    if (ledger_command_write(&channel->output, call->tag, command, error) &&
        want_write(channel, error))
        return call;
    channel->output.length = length;
    remove_call(channel, call);
    return NULL;
}

void ledger_channel_cancel(struct ledger_call *call)
{
    call->state = CALL_CANCELLED;
}

/* Gives back what was granted to nobody. The call goes on in its place, for the release. */
static bool release_again(struct ledger_channel *channel, struct ledger_call *call,
                          uint64_t reservation, struct error *error)
{
    const struct ledger_command release = {.kind = LEDGER_COMMAND_RELEASE,
                                           .reservation = reservation};
    call->tag = new_tag(channel, (uint32_t)(call->tag % LEDGER_CHANNEL_CALLS_MAX));
    call->kind = LEDGER_COMMAND_RELEASE;
    return ledger_command_write(&channel->output, call->tag, &release, error) &&
           want_write(channel, error);
}

/* --- connecting -------------------------------------------------------------- */

static void hang_up(struct ledger_channel *channel)
{
    if (channel->descriptor < 0)
        return;
    event_del(&channel->read_event);
    event_del(&channel->write_event);
    close(channel->descriptor);
    channel->descriptor = -1;
    channel->reader = (struct attr_reader){0};
    buffer_clear(&channel->output);
    channel->sent = 0;
}

/* Down, for the reason that is there already. */
static void go_down(struct ledger_channel *channel)
{
    const struct timeval delay = {.tv_sec = channel->delay / 1000,
                                  .tv_usec = (suseconds_t)(channel->delay % 1000) * 1000};
    hang_up(channel);
    channel->state = CHANNEL_DOWN;
    event_add(&channel->delay_event, &delay);
    channel->delay = channel->delay * 2 < DELAY_MAX ? channel->delay * 2 : DELAY_MAX;
}

static void go_up(struct ledger_channel *channel)
{
    channel->descriptor = ledger_socket_connect(&channel->server, &channel->reason);
    if (channel->descriptor < 0) {
        go_down(channel);
        return;
    }
    event_assign(&channel->read_event, channel->base, channel->descriptor, EV_READ | EV_PERSIST,
                 read_ready, channel);
    event_assign(&channel->write_event, channel->base, channel->descriptor, EV_WRITE, write_ready,
                 channel);
    if (event_add(&channel->read_event, NULL) != 0) {
        error_set(&channel->reason, "cannot wait for the socket of post365-policyd: %s",
                  strerror(errno));
        go_down(channel);
        return;
    }
    buffer_clear(&channel->input);
    channel->state = CHANNEL_UP;
}

static void tell_change(struct ledger_channel *channel)
{
    bool is_up = channel->state == CHANNEL_UP;
    const struct error reason = channel->reason;
    if (channel->changed != NULL)
        channel->changed(channel->context, is_up, is_up ? NULL : &reason);
}

/* Tells everybody who was under way. Nobody can ask meanwhile, so that the places stay. */
static void lose_calls(struct ledger_channel *channel)
{
    const struct error reason = channel->reason;
    for (uint32_t i = 0; i < channel->place_count && !channel->is_released; i++)
        if (channel->places[i].call != NULL)
            end_call(channel, channel->places[i].call, NULL, &reason);
}

/* The connection is of no further use, for the reason that is there already. */
static void lose(struct ledger_channel *channel)
{
    go_down(channel);
    tell_change(channel);
    if (!channel->is_released)
        lose_calls(channel);
}

bool ledger_channel_is_up(const struct ledger_channel *channel, struct error *error)
{
    return channel->state == CHANNEL_UP ||
           error_set(error, "post365-policyd is down: %s", channel->reason.text);
}

/* --- reading ----------------------------------------------------------------- */

/* What has no tag answers a request that policyd could not read. */
static bool explain_untagged(const char *text, size_t length, struct error *error)
{
    struct ledger_reply reply;
    if (!ledger_reply_read(&reply, LEDGER_COMMAND_RELEASE, text, length, error))
        return false;
    if (reply.result == LEDGER_REPLY_ERROR)
        return error_set(error, "post365-policyd could not read a request: %s", reply.reason);
    return error_set(error, "malformed reply: tag is missing");
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

/* False with the reason: the stream cannot be trusted any further. */
static bool take_reply(struct ledger_channel *channel, const char *text, size_t length,
                       struct error *error)
{
    uint64_t tag;
    struct ledger_reply reply;
    if (!ledger_reply_tag(text, length, &tag))
        return explain_untagged(text, length, error);
    struct ledger_call *call = find_call(channel, tag);
    if (call == NULL)
        return error_set(error, "malformed reply: its tag is of no request under way");
    if (!ledger_reply_read(&reply, call->kind, text, length, error))
        return false;
    take_times(&reply);
    channel->delay = DELAY_MIN;
    if (call->state == CALL_CANCELLED && reply.result == LEDGER_REPLY_GRANTED)
        return release_again(channel, call, reply.reservation, error);
    end_call(channel, call, &reply, NULL);
    return true;
}

/* Takes the whole replies of the input. False with the reason as above. */
static bool take_replies(struct ledger_channel *channel, struct error *error)
{
    struct buffer *input = &channel->input;
    size_t taken = 0, length = 0;
    while (!channel->is_released && taken < input->length) {
        enum attr_progress progress =
            attr_read(&channel->reader, input->data + taken, input->length - taken, &length, error);
        if (progress == ATTR_MORE)
            break;
        if (progress == ATTR_MALFORMED || !take_reply(channel, input->data + taken, length, error))
            return false;
        taken += length;
    }
    if (taken > 0)
        memmove(input->data, input->data + taken, input->length - taken);
    input->length -= taken;
    return true;
}

/* --- events ------------------------------------------------------------------ */

static void destroy(struct ledger_channel *channel)
{
    for (uint32_t i = 0; i < channel->place_count; i++)
        free(channel->places[i].call);
    free(channel->places);
    buffer_free(&channel->input);
    buffer_free(&channel->output);
    free(channel);
}

/* Every event is handled between these two. */
static void begin_event(struct ledger_channel *channel)
{
    channel->is_busy = true;
}

static void end_event(struct ledger_channel *channel)
{
    channel->is_busy = false;
    if (channel->is_released)
        destroy(channel);
}

static void read_ready(evutil_socket_t descriptor, short what, void *argument)
{
    (void)what;
    struct ledger_channel *channel = argument;
    ssize_t length = recv(descriptor, channel->scratch, sizeof(channel->scratch), 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    begin_event(channel);
    if (length <= 0) {
        ledger_socket_explain_loss(length < 0 ? errno : 0, &channel->reason);
        lose(channel);
    } else {
        buffer_append(&channel->input, channel->scratch, (size_t)length);
        if (!take_replies(channel, &channel->reason) && !channel->is_released) {
            ledger_socket_explain_garbage(&channel->reason);
            lose(channel);
        }
    }
    end_event(channel);
}

/* A failure is left to read_ready(), which still gets what policyd said before it closed. */
static void write_ready(evutil_socket_t descriptor, short what, void *argument)
{
    (void)what;
    struct ledger_channel *channel = argument;
    ssize_t length = send(descriptor, channel->output.data + channel->sent,
                          channel->output.length - channel->sent, MSG_NOSIGNAL);
    if (length < 0 && errno != EAGAIN && errno != EINTR) {
        shutdown(descriptor, SHUT_RDWR);
        return;
    }
    if (length > 0)
        channel->sent += (size_t)length;
    forget_sent(channel);
    if (channel->output.length > 0)
        event_add(&channel->write_event, NULL);
}

static void delay_over(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct ledger_channel *channel = argument;
    begin_event(channel);
    go_up(channel);
    if (channel->state == CHANNEL_UP)
        tell_change(channel);
    end_event(channel);
}

/* --- life -------------------------------------------------------------------- */

struct ledger_channel *ledger_channel_new(struct event_base *base, const struct socket_place *place,
                                          ledger_channel_changed *changed, void *context)
{
    struct ledger_channel *channel = memory_zero(1, sizeof(*channel));
    channel->base = base;
    channel->server = *place;
    channel->changed = changed;
    channel->context = context;
    channel->delay = DELAY_MIN;
    channel->descriptor = -1;
    channel->first_free = NO_PLACE;
    evtimer_assign(&channel->delay_event, base, delay_over, channel);
    go_up(channel);
    return channel;
}

size_t ledger_channel_calls(const struct ledger_channel *channel)
{
    return channel->call_count;
}

void ledger_channel_free(struct ledger_channel *channel)
{
    if (channel == NULL)
        return;
    hang_up(channel);
    event_del(&channel->delay_event);
    channel->state = CHANNEL_DOWN;
    channel->is_released = true;
    if (!channel->is_busy)
        destroy(channel);
}
