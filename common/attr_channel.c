/* attr_channel.c - asks a daemon in the protocol of attr.h from an event loop
 *
 * A request has a place in `places`; its tag says which, and is never used twice, so that no reply
 * finds another's request. A stream that once was malformed is closed: what a loss means is
 * defined, what half a conversation means is not.
 */
#include "common/attr_channel.h"

#include "common/attr.h"
#include "common/memory.h"
#include "common/secret.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE    65536U /* at least so much is read at once */
#define DELAY_MIN    100U   /* milliseconds */
#define PLACES_FIRST 64U
#define NO_PLACE     UINT32_MAX

enum channel_state {
    CHANNEL_DOWN, /* connecting again when the delay is over */
    CHANNEL_UP,
};

struct place {
    uint64_t tag; /* or 0: it is free */
    void *request;
    uint32_t next_free; /* then */
};

struct attr_channel {
    struct event_base *base;
    struct socket_place server;
    const struct attr_channel_owner *owner;
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
    struct secret *input; /* what is not read of the replies that arrived */
    struct buffer output;
    size_t sent; /* of `output` */
    /* Set while a callback may run: then what it releases has to stay until it returns. */
    bool is_busy;
    bool is_released;
};

static void read_ready(evutil_socket_t descriptor, short what, void *argument);
static void write_ready(evutil_socket_t descriptor, short what, void *argument);
static void delay_over(evutil_socket_t descriptor, short what, void *argument);

/* --- calls ------------------------------------------------------------------- */

static void grow_places(struct attr_channel *channel)
{
    uint32_t count = channel->place_count > 0 ? channel->place_count * 2 : PLACES_FIRST;
    channel->places = memory_grow(channel->places, count * sizeof(*channel->places));
    for (uint32_t i = channel->place_count; i < count; i++)
        channel->places[i] = (struct place){.next_free = i + 1 < count ? i + 1 : NO_PLACE};
    channel->first_free = channel->place_count;
    channel->place_count = count;
}

/* Gives the tag, which is not 0. */
static uint64_t add_call(struct attr_channel *channel, void *request)
{
    if (channel->first_free == NO_PLACE)
        grow_places(channel);
    uint32_t number = channel->first_free;
    struct place *place = &channel->places[number];
    channel->first_free = place->next_free;
    *place = (struct place){.tag = ++channel->next_number * ATTR_CHANNEL_CALLS_MAX + number,
                            .request = request};
    channel->call_count++;
    return place->tag;
}

static struct place *find_call(const struct attr_channel *channel, uint64_t tag)
{
    uint64_t number = tag % ATTR_CHANNEL_CALLS_MAX;
    bool is_there = tag != 0 && number < channel->place_count && channel->places[number].tag == tag;
    return is_there ? &channel->places[number] : NULL;
}

void attr_channel_end(struct attr_channel *channel, uint64_t tag)
{
    struct place *place = find_call(channel, tag);
    if (place == NULL)
        return;
    *place = (struct place){.next_free = channel->first_free};
    channel->first_free = (uint32_t)(place - channel->places);
    channel->call_count--;
}

/* --- writing ----------------------------------------------------------------- */

static bool want_write(struct attr_channel *channel, struct error *error)
{
    return event_add(&channel->write_event, NULL) == 0 ||
           error_set(error, "cannot wait for the socket of %s: %s", channel->owner->peer->program,
                     strerror(errno));
}

/* Moves what is unsent to the front when that is less than what was sent: amortised, each byte
 * moves once. */
static void forget_sent(struct attr_channel *channel)
{
    size_t left = channel->output.length - channel->sent;
    if (left > channel->sent)
        return;
    if (left > 0)
        memmove(channel->output.data, channel->output.data + channel->sent, left);
    channel->output.length = left;
    channel->sent = 0;
}

bool attr_channel_is_up(const struct attr_channel *channel, struct error *error)
{
    return channel->state == CHANNEL_UP ||
           error_set(error, "%s is down: %s", channel->owner->peer->program, channel->reason.text);
}

bool attr_channel_has_room(const struct attr_channel *channel, struct error *error)
{
    const char *program = channel->owner->peer->program;
    if (!attr_channel_is_up(channel, error))
        return false;
    if (channel->call_count >= ATTR_CHANNEL_CALLS_MAX)
        return error_set(error, "%zu requests to %s are under way; try again later",
                         channel->call_count, program);
    if (channel->output.length - channel->sent > ATTR_CHANNEL_UNSENT_MAX)
        return error_set(error, "%s does not read what it is asked; try again later", program);
    return true;
}

uint64_t attr_channel_ask(struct attr_channel *channel, const void *command, void *request,
                          struct error *error)
{
    uint64_t tag = add_call(channel, request);
    size_t length = channel->output.length;
    if (channel->owner->write(&channel->output, tag, command, error) && want_write(channel, error))
        return tag;
    channel->output.length = length;
    attr_channel_end(channel, tag);
    return 0;
}

/* --- connecting -------------------------------------------------------------- */

static void hang_up(struct attr_channel *channel)
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
static void go_down(struct attr_channel *channel)
{
    const unsigned most = channel->owner->delay_most;
    const struct timeval delay = {.tv_sec = channel->delay / 1000,
                                  .tv_usec = (suseconds_t)(channel->delay % 1000) * 1000};
    hang_up(channel);
    channel->state = CHANNEL_DOWN;
    event_add(&channel->delay_event, &delay);
    channel->delay = channel->delay * 2 < most ? channel->delay * 2 : most;
}

static void go_up(struct attr_channel *channel)
{
    channel->descriptor =
        attr_socket_connect(channel->owner->peer, &channel->server, &channel->reason);
    if (channel->descriptor < 0) {
        go_down(channel);
        return;
    }
    event_assign(&channel->read_event, channel->base, channel->descriptor, EV_READ | EV_PERSIST,
                 read_ready, channel);
    event_assign(&channel->write_event, channel->base, channel->descriptor, EV_WRITE, write_ready,
                 channel);
    if (event_add(&channel->read_event, NULL) != 0) {
        error_set(&channel->reason, "cannot wait for the socket of %s: %s",
                  channel->owner->peer->program, strerror(errno));
        go_down(channel);
        return;
    }
    channel->state = CHANNEL_UP;
}

static void tell_change(struct attr_channel *channel)
{
    bool is_up = channel->state == CHANNEL_UP;
    const struct error reason = channel->reason;
    channel->owner->changed(channel->context, is_up, is_up ? NULL : &reason);
}

/* Tells everybody who was under way. Nobody can ask meanwhile, so that the places stay. */
static void lose_calls(struct attr_channel *channel)
{
    const struct error reason = channel->reason;
    for (uint32_t i = 0; i < channel->place_count && !channel->is_released; i++) {
        const struct place place = channel->places[i];
        if (place.tag == 0)
            continue;
        attr_channel_end(channel, place.tag);
        channel->owner->lost(channel->context, place.request, &reason);
    }
}

/* The connection is of no further use, for the reason that is there already. */
static void lose(struct attr_channel *channel)
{
    secret_trim(channel->input, 0, 0);
    go_down(channel);
    tell_change(channel);
    if (!channel->is_released)
        lose_calls(channel);
}

/* --- reading ----------------------------------------------------------------- */

/* False with the reason: the stream cannot be trusted any further. */
static bool take_reply(struct attr_channel *channel, const char *text, size_t length,
                       struct error *error)
{
    struct attr attr;
    size_t position = 0;
    uint64_t tag = 0;
    bool has_tag = attr_next(text, length, &position, &attr) && attr_is(&attr, "tag") &&
                   attr_digits(attr.value, attr.value_length, UINT64_MAX, &tag);
    if (!has_tag)
        return channel->owner->explain_untagged(text, length, error);
    const struct place *place = find_call(channel, tag);
    if (place == NULL)
        return error_set(error, "malformed reply: its tag is of no request under way");
    if (!channel->owner->replied(channel->context, place->request, tag, text, length, error))
        return false;
    channel->delay = DELAY_MIN;
    return true;
}

/* Takes the whole replies of the input. False with the reason as above. */
static bool take_replies(struct attr_channel *channel, struct error *error)
{
    const char *bytes = secret_reveal(channel->input);
    size_t available = secret_length(channel->input), taken = 0, length = 0;
    while (!channel->is_released && taken < available) {
        enum attr_progress progress =
            attr_read(&channel->reader, bytes + taken, available - taken, &length, error);
        if (progress == ATTR_MORE)
            break;
        if (progress == ATTR_MALFORMED || !take_reply(channel, bytes + taken, length, error))
            return false;
        taken += length;
    }
    if (!channel->is_released)
        secret_trim(channel->input, taken, available - taken);
    return true;
}

/* --- events ------------------------------------------------------------------ */

static void destroy(struct attr_channel *channel)
{
    for (uint32_t i = 0; i < channel->place_count; i++)
        if (channel->places[i].tag != 0)
            channel->owner->release(channel->places[i].request);
    free(channel->places);
    secret_free(channel->input);
    buffer_free(&channel->output);
    free(channel);
}

/* Every event is handled between these two. */
static void begin_event(struct attr_channel *channel)
{
    channel->is_busy = true;
}

static void end_event(struct attr_channel *channel)
{
    channel->is_busy = false;
    if (channel->is_released)
        destroy(channel);
}

/* What was said before the end counts. */
static void read_ready(evutil_socket_t descriptor, short what, void *argument)
{
    (void)what;
    struct attr_channel *channel = argument;
    size_t before = secret_length(channel->input);
    ssize_t length = secret_read(channel->input, descriptor);
    int failure = length < 0 ? errno : 0;
    bool is_full = length >= 0 && before + (size_t)length >= READ_SIZE + ATTR_REQUEST_MAX;
    bool is_over = length < 0 ? failure != EAGAIN : !is_full;
    begin_event(channel);
    if (!take_replies(channel, &channel->reason)) {
        if (!channel->is_released) {
            attr_socket_explain_garbage(channel->owner->peer, &channel->reason);
            lose(channel);
        }
    } else if (is_over && !channel->is_released) {
        attr_socket_explain_loss(channel->owner->peer, failure, &channel->reason);
        lose(channel);
    }
    end_event(channel);
}

/* A failure is left to read_ready(), which still gets what the peer said before it closed. */
static void write_ready(evutil_socket_t descriptor, short what, void *argument)
{
    (void)what;
    struct attr_channel *channel = argument;
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
    struct attr_channel *channel = argument;
    begin_event(channel);
    go_up(channel);
    if (channel->state == CHANNEL_UP)
        tell_change(channel);
    end_event(channel);
}

/* --- life -------------------------------------------------------------------- */

struct attr_channel *attr_channel_new(struct event_base *base, const struct socket_place *place,
                                      const struct attr_channel_owner *owner, void *context)
{
    struct attr_channel *channel = memory_zero(1, sizeof(*channel));
    channel->base = base;
    channel->server = *place;
    channel->owner = owner;
    channel->context = context;
    channel->delay = DELAY_MIN;
    channel->descriptor = -1;
    channel->first_free = NO_PLACE;
    channel->input = secret_new(READ_SIZE + ATTR_REQUEST_MAX);
    evtimer_assign(&channel->delay_event, base, delay_over, channel);
    go_up(channel);
    return channel;
}

void attr_channel_drop(struct attr_channel *channel, const char *reason)
{
    bool was_busy = channel->is_busy;
    if (channel->state == CHANNEL_DOWN)
        return;
    error_set(&channel->reason, "%s", reason);
    begin_event(channel);
    lose(channel);
    channel->is_busy = was_busy;
    if (channel->is_released && !was_busy)
        destroy(channel);
}

size_t attr_channel_calls(const struct attr_channel *channel)
{
    return channel->call_count;
}

void attr_channel_free(struct attr_channel *channel)
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
