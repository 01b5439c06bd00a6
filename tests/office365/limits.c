/* limits.c - rolling windows */
#include "limits.h"

#include "allocate.h"
#include "clock.h"
#include "encoding.h"

#include <stdlib.h>
#include <string.h>

/* the ways to say a limit; those with a period are followed by it in enum limit */
static const struct {
    const char *name;
    enum limit limit;
    bool periodic;
} kinds[] = {
    {"recipients", LIMIT_RECIPIENTS, true},
    {"messages", LIMIT_MESSAGES, true},
    {"recipients_per_message", LIMIT_PER_MESSAGE, false},
    {"connections", LIMIT_CONNECTIONS, false},
};

#define KINDS (sizeof kinds / sizeof kinds[0])

struct limits limits_default(void)
{
    struct limits limits = {.value = {[LIMIT_RECIPIENTS] = 10000,
                                      [LIMIT_RECIPIENTS_PERIOD] = 86400 * CLOCK_SECOND,
                                      [LIMIT_MESSAGES] = 30,
                                      [LIMIT_MESSAGES_PERIOD] = 60 * CLOCK_SECOND,
                                      [LIMIT_PER_MESSAGE] = 500,
                                      [LIMIT_CONNECTIONS] = 3},
                            .set = (1U << LIMIT_COUNT) - 1};
    return limits;
}

struct limits limits_merge(const struct limits *general, const struct limits *own)
{
    struct limits merged = *general;

    for (int i = 0; i < LIMIT_COUNT; i++) {
        if (own->set & 1U << i)
            merged.value[i] = own->value[i];
    }
    return merged;
}

static void assign(struct limits *limits, int limit, int64_t value)
{
    limits->value[limit] = value;
    limits->set |= 1U << limit;
}

static bool read_number(struct limits *limits, int limit, const char *name, const json_t *value,
                        struct problem *problem)
{
    if (json_is_null(value)) {
        assign(limits, limit, LIMIT_UNLIMITED);
        return true;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return problem_set(problem, "limit \"%s\" must be a number from 0 up, or null", name);
    assign(limits, limit, json_integer_value(value));
    return true;
}

static bool read_rate(struct limits *limits, int limit, const char *name, const json_t *value,
                      struct problem *problem)
{
    const char *key;
    json_t *item;

    if (json_is_null(value))
        return read_number(limits, limit, name, value, problem);
    if (!json_is_object(value))
        return problem_set(problem, "limit \"%s\" must be {\"limit\": n, \"period\": seconds}",
                           name);
    json_object_foreach((json_t *)value, key, item)
    {
        if (strcmp(key, "limit") == 0) {
            if (!read_number(limits, limit, name, item, problem))
                return false;
        } else if (strcmp(key, "period") == 0 && json_number_value(item) > 0) {
            assign(limits, limit + 1, clock_nanoseconds(json_number_value(item)));
        } else {
            return problem_set(problem, "limit \"%s\": \"%s\" is unknown or not positive", name,
                               key);
        }
    }
    return true;
}

static bool read_kind(struct limits *limits, const char *name, const json_t *value,
                      struct problem *problem)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return kinds[i].periodic
                       ? read_rate(limits, (int)kinds[i].limit, name, value, problem)
                       : read_number(limits, (int)kinds[i].limit, name, value, problem);
    }
    return problem_set(problem, "there is no limit \"%s\"", name);
}

bool limits_read(struct limits *limits, const json_t *value, struct problem *problem)
{
    struct limits fresh = *limits;
    const char *name;
    json_t *item;

    if (!json_is_object(value))
        return problem_set(problem, "\"limits\" must be an object");
    json_object_foreach((json_t *)value, name, item)
    {
        if (!read_kind(&fresh, name, item, problem))
            return false;
    }
    *limits = fresh;
    return true;
}

static json_t *describe_number(int64_t value)
{
    return value == LIMIT_UNLIMITED ? json_null() : json_integer(value);
}

json_t *limits_describe(const struct limits *limits)
{
    json_t *description = json_object();

    for (size_t i = 0; i < KINDS; i++) {
        enum limit limit = kinds[i].limit;
        json_t *value = describe_number(limits->value[limit]);
        if (kinds[i].periodic) {
            json_t *rate = json_object();
            double period = (double)limits->value[limit + 1] / (double)CLOCK_SECOND;
            encoding_set(rate, "limit", value);
            encoding_set(rate, "period", json_real(period));
            value = rate;
        }
        encoding_set(description, kinds[i].name, value);
    }
    return description;
}

int64_t window_used(struct window *window, int64_t now, int64_t period)
{
    while (window->count > 0 && now - window->events[window->first].time >= period) {
        window->used -= window->events[window->first].weight;
        window->first = (window->first + 1) % window->room;
        window->count--;
    }
    return window->used;
}

static void make_room(struct window *window)
{
    size_t room = window->room > 0 ? window->room * 2 : 64;
    struct window_event *events = allocate_again(NULL, room, sizeof *events);

    for (size_t i = 0; i < window->count; i++)
        events[i] = window->events[(window->first + i) % window->room];
    free(window->events);
    window->events = events;
    window->room = room;
    window->first = 0;
}

void window_add(struct window *window, int64_t now, int64_t period, int64_t weight)
{
    window_used(window, now, period);
    if (window->count == window->room)
        make_room(window);
    window->events[(window->first + window->count) % window->room] =
        (struct window_event){now, weight};
    window->count++;
    window->used += weight;
    if (window->used > window->most)
        window->most = window->used;
}

void window_clear(struct window *window)
{
    free(window->events);
    *window = (struct window){.events = NULL};
}
