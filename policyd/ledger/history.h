/* history.h - what one account sent, and how much of it a rolling window holds
 *
 * An exact sliding window: every event keeps its time. The totals are kept as running sums, so that
 * what a window holds is one subtraction, and when it will have room is a binary search. The place
 * where a window begins is remembered and moves with the time: amortised O(1) per decision.
 *
 * An event at time t is inside a window of span s as long as now < t + s. Times and spans are in
 * microseconds; a span is the quota's period plus the guard. Events are added in the order of their
 * time. Sums are modulo 2^32: exact as long as no window holds more than that.
 */
#ifndef POST365_POLICYD_LEDGER_HISTORY_H
#define POST365_POLICYD_LEDGER_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum history_measure { HISTORY_RECIPIENTS, HISTORY_MESSAGES, HISTORY_MEASURES };

/* An event and everything before it. 16 bytes each: a full day of an account is 10,000 of them. */
struct history_event {
    int64_t time;
    uint32_t total[HISTORY_MEASURES];
};

/* Where the window of one span begins: the first event inside it. */
struct history_window {
    int64_t span; /* 0: unused */
    uint64_t begin;
};

/* The spans that are asked for: two quotas, and those of one more profile. */
#define HISTORY_WINDOWS 4

/* All zero is an empty history. Events are numbered from the first ever; `first` to `end` are kept,
 * event i in events[i % capacity]. */
struct history {
    struct history_event *events;
    size_t capacity; /* a power of two, or 0 */
    uint64_t first;
    uint64_t end;
    uint32_t dropped[HISTORY_MEASURES]; /* the totals before `first` */
    unsigned next_window;
    struct history_window windows[HISTORY_WINDOWS];
};

/* Adds an event. If the last event is later than `time` (the clock was set back) that one and its
 * like are moved to `time`. */
void history_add(struct history *history, int64_t time, uint32_t recipients, uint32_t messages);

/* Adds to the last event. */
void history_add_to_last(struct history *history, uint32_t recipients, uint32_t messages);

/* Takes the last event away again. */
void history_drop_last(struct history *history);

/* Moves events that are later than `now` to `now`: they did happen, whatever the clock says. */
void history_clamp(struct history *history, int64_t now);

/* Forgets the events that are no longer inside a window of `span`. */
void history_prune(struct history *history, int64_t span, int64_t now);

/* What the window holds now. */
uint32_t history_used(struct history *history, enum history_measure measure, int64_t span,
                      int64_t now);

/* When at least `amount` of what the window holds now will have left it; INT64_MAX if it holds less
 * than that. */
int64_t history_when_left(struct history *history, enum history_measure measure, int64_t span,
                          int64_t now, uint32_t amount);

/* The first event that is not before `time`; `end` if there is none. */
uint64_t history_find(const struct history *history, int64_t time);

/* What the events from number `first` up to, not including, `end` hold together. */
uint32_t history_sum(const struct history *history, enum history_measure measure, uint64_t first,
                     uint64_t end);

static inline bool history_is_empty(const struct history *history)
{
    return history->first == history->end;
}

/* Releases the memory; the history is empty and usable again. */
void history_free(struct history *history);

#endif
