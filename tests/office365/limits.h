/*
 * limits.h - rolling windows
 *
 * A window is an exact log: an event counts from the moment it was accepted until one period
 * later, and no moment longer. Nothing that was refused is ever written to it. The clock is passed
 * in (nanoseconds, monotonic), so the arithmetic can be checked without waiting.
 */
#ifndef OFFICE365_LIMITS_H
#define OFFICE365_LIMITS_H

#include "problem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIMIT_UNLIMITED INT64_C(-1)

enum limit {
    LIMIT_RECIPIENTS,        /* per period */
    LIMIT_RECIPIENTS_PERIOD, /* nanoseconds */
    LIMIT_MESSAGES,          /* per period */
    LIMIT_MESSAGES_PERIOD,   /* nanoseconds */
    LIMIT_PER_MESSAGE,       /* recipients of one message */
    LIMIT_CONNECTIONS,       /* sending at once */
    LIMIT_COUNT
};

/* limits of everybody, or what one mailbox has of its own: then only the fields in set count */
struct limits {
    int64_t value[LIMIT_COUNT];
    unsigned set; /* bit 1 << enum limit */
};

/* limits_default - 10,000 recipients a day, 30 messages a minute, 500 each, 3 connections */
struct limits limits_default(void);

/* limits_merge - the general limits with a mailbox's own laid over them */
struct limits limits_merge(const struct limits *general, const struct limits *own);

/*
 * limits_read - change the fields that a JSON object names: "recipients" and "messages" are
 * {"limit": n, "period": seconds}, the others numbers; null lifts a limit (it is still counted).
 */
bool limits_read(struct limits *limits, const json_t *value, struct problem *problem);

/* limits_describe - as JSON, in the form that limits_read takes; new reference */
json_t *limits_describe(const struct limits *limits);

struct window_event {
    int64_t time;
    int64_t weight;
};

struct window {
    struct window_event *events; /* a ring */
    size_t first;
    size_t count;
    size_t room;
    int64_t used;
    int64_t most; /* the largest sum that any period held */
};

/* window_used - what the last period holds; forgets what is older */
int64_t window_used(struct window *window, int64_t now, int64_t period);

/* window_add - write an accepted event down */
void window_add(struct window *window, int64_t now, int64_t period, int64_t weight);

/* window_clear - forget all events, and the largest sum seen; frees the ring */
void window_clear(struct window *window);

#endif
