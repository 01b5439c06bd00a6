/* history.c - what one account sent, and how much of it a rolling window holds */
#include "policyd/ledger/history.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 8

static struct history_event *event_at(const struct history *history, uint64_t i)
{
    return &history->events[i & (history->capacity - 1)];
}

/* The total of everything before event i. */
static uint32_t total_before(const struct history *history, uint64_t i,
                             enum history_measure measure)
{
    return i == history->first ? history->dropped[measure]
                               : event_at(history, i - 1)->total[measure];
}

static void resize(struct history *history, size_t capacity)
{
    struct history_event *events = memory_alloc(capacity * sizeof(*events));
    for (uint64_t i = history->first; i < history->end; i++)
        events[i & (capacity - 1)] = *event_at(history, i);
    free(history->events);
    history->events = events;
    history->capacity = capacity;
}

void history_add(struct history *history, int64_t time, uint32_t recipients, uint32_t messages)
{
    history_clamp(history, time);
    if (history->end - history->first == history->capacity)
        resize(history, history->capacity > 0 ? history->capacity * 2 : CAPACITY_MIN);
    const struct history_event event = {
        .time = time,
        .total = {total_before(history, history->end, HISTORY_RECIPIENTS) + recipients,
                  total_before(history, history->end, HISTORY_MESSAGES) + messages}};
    *event_at(history, history->end++) = event;
}

void history_add_to_last(struct history *history, uint32_t recipients, uint32_t messages)
{
    struct history_event *last = event_at(history, history->end - 1);
    last->total[HISTORY_RECIPIENTS] += recipients;
    last->total[HISTORY_MESSAGES] += messages;
}

void history_drop_last(struct history *history)
{
    history->end--;
    for (size_t w = 0; w < HISTORY_WINDOWS; w++)
        if (history->windows[w].begin > history->end)
            history->windows[w].begin = history->end;
}

void history_clamp(struct history *history, int64_t now)
{
    for (uint64_t i = history->end; i > history->first; i--) {
        struct history_event *event = event_at(history, i - 1);
        if (event->time <= now)
            break;
        event->time = now;
    }
}

void history_prune(struct history *history, int64_t span, int64_t now)
{
    while (history->first < history->end) {
        const struct history_event *event = event_at(history, history->first);
        if (event->time > now - span)
            break;
        memcpy(history->dropped, event->total, sizeof(history->dropped));
        history->first++;
    }
    uint64_t kept = history->end - history->first;
    if (kept == 0 && history->capacity > CAPACITY_MIN)
        resize(history, CAPACITY_MIN);
    else if (kept < history->capacity / 4 && history->capacity > CAPACITY_MIN)
        resize(history, history->capacity / 2);
}

uint64_t history_find(const struct history *history, int64_t time)
{
    uint64_t low = history->first;
    uint64_t high = history->end;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (event_at(history, middle)->time >= time)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint32_t history_sum(const struct history *history, enum history_measure measure, uint64_t first,
                     uint64_t end)
{
    return total_before(history, end, measure) - total_before(history, first, measure);
}

static struct history_window *find_window(struct history *history, int64_t span, int64_t now)
{
    for (size_t w = 0; w < HISTORY_WINDOWS; w++)
        if (history->windows[w].span == span)
            return &history->windows[w];
    struct history_window *window = &history->windows[history->next_window++ % HISTORY_WINDOWS];
    *window = (struct history_window){.span = span, .begin = history_find(history, now - span + 1)};
    return window;
}

/* Where the window begins now. It moves forward with the time; back only if the clock was set
 * back. */
static uint64_t window_begin(struct history *history, int64_t span, int64_t now)
{
    struct history_window *window = find_window(history, span, now);
    uint64_t begin = window->begin > history->first ? window->begin : history->first;
    while (begin < history->end && event_at(history, begin)->time <= now - span)
        begin++;
    while (begin > history->first && event_at(history, begin - 1)->time > now - span)
        begin--;
    window->begin = begin;
    return begin;
}

uint32_t history_used(struct history *history, enum history_measure measure, int64_t span,
                      int64_t now)
{
    uint64_t begin = window_begin(history, span, now);
    return total_before(history, history->end, measure) - total_before(history, begin, measure);
}

int64_t history_when_left(struct history *history, enum history_measure measure, int64_t span,
                          int64_t now, uint32_t amount)
{
    uint64_t low = window_begin(history, span, now);
    uint64_t high = history->end;
    uint32_t before = total_before(history, low, measure);
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (event_at(history, middle)->total[measure] - before >= amount)
            high = middle;
        else
            low = middle + 1;
    }
    return low < history->end ? event_at(history, low)->time + span : INT64_MAX;
}

void history_free(struct history *history)
{
    free(history->events);
    *history = (struct history){0};
}
