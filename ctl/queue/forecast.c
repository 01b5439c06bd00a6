/* forecast.c - when an account's waiting messages will have room */
#include "ctl/queue/forecast.h"

#include "common/memory.h"

#include <stdlib.h>

enum measure { RECIPIENTS, MESSAGES, MEASURES };

struct sent {
    int64_t when;
    uint32_t amount[MEASURES];
};

/* A rolling window, as it is at the time of the forecast. */
struct window {
    uint32_t limit; /* or QUOTA_UNLIMITED */
    int64_t span;   /* the period and the guard */
    size_t begin;   /* of what is in it */
    uint64_t used;
};

struct forecast {
    int64_t now; /* never goes back */
    uint32_t recipients_per_message;
    struct window windows[MEASURES];
    struct sent *sent; /* in the order of time */
    size_t count, capacity;
};

struct forecast *forecast_new(const struct quota *quota, int64_t guard, int64_t from)
{
    struct forecast *forecast = memory_zero(1, sizeof(*forecast));
    const struct quota_rate *rates[MEASURES] = {&quota->recipients, &quota->messages};
    forecast->now = from;
    /* A limit of 0 is no help for dividing. */
    forecast->recipients_per_message =
        quota->recipients_per_message > 0 ? quota->recipients_per_message : QUOTA_UNLIMITED;
    for (int i = 0; i < MEASURES; i++)
        forecast->windows[i] =
            (struct window){.limit = rates[i]->limit, .span = rates[i]->period + guard};
    return forecast;
}

void forecast_free(struct forecast *forecast)
{
    if (forecast == NULL)
        return;
    free(forecast->sent);
    free(forecast);
}

void forecast_sent(struct forecast *forecast, int64_t when, uint32_t recipients, uint32_t messages)
{
    if (forecast->count == forecast->capacity) {
        forecast->capacity = forecast->capacity > 0 ? forecast->capacity * 2 : 64;
        forecast->sent =
            memory_grow(forecast->sent, forecast->capacity * sizeof(forecast->sent[0]));
    }
    forecast->sent[forecast->count++] = (struct sent){when, {recipients, messages}};
    forecast->windows[RECIPIENTS].used += recipients;
    forecast->windows[MESSAGES].used += messages;
}

/* What has left the window by now is no longer in it. */
static void roll(struct forecast *forecast, enum measure measure)
{
    struct window *window = &forecast->windows[measure];
    while (window->begin < forecast->count &&
           forecast->sent[window->begin].when + window->span <= forecast->now)
        window->used -= forecast->sent[window->begin++].amount[measure];
}

/* Moves on to the time when the window has room for so much. False: that does not come. */
static bool wait_for_room(struct forecast *forecast, enum measure measure, uint32_t amount)
{
    struct window *window = &forecast->windows[measure];
    if (window->limit == QUOTA_UNLIMITED)
        return true;
    if (amount > window->limit)
        return false;
    roll(forecast, measure);
    while (window->used + amount > window->limit) {
        forecast->now = forecast->sent[window->begin].when + window->span;
        roll(forecast, measure);
    }
    return true;
}

static int64_t send_one(struct forecast *forecast, uint32_t recipients)
{
    if (!wait_for_room(forecast, RECIPIENTS, recipients) || !wait_for_room(forecast, MESSAGES, 1))
        return INT64_MAX;
    forecast_sent(forecast, forecast->now, recipients, 1);
    return forecast->now;
}

int64_t forecast_next(struct forecast *forecast, uint32_t recipients)
{
    int64_t when;
    do {
        uint32_t now = recipients;
        if (now > forecast->recipients_per_message)
            now = forecast->recipients_per_message;
        when = send_one(forecast, now);
        recipients -= now;
    } while (recipients > 0 && when != INT64_MAX);
    return when;
}
