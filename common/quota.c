/* quota.c - the limits of an account */
#include "common/quota.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLISECOND INT64_C(1000)
#define SECOND      INT64_C(1000000)
#define MINUTE      (60 * SECOND)
#define HOUR        (60 * MINUTE)
#define DAY         (24 * HOUR)
#define WEEK        (7 * DAY)
#define PERIOD_MAX  (52 * WEEK)

/* Microsoft's High Volume Email: no rate limits, 50 recipients a message. */
static const struct quota high_volume = {.recipients = {QUOTA_UNLIMITED, DAY},
                                         .messages = {QUOTA_UNLIMITED, MINUTE},
                                         .recipients_per_message = 50,
                                         .connections = 3};

static const struct {
    const char *name;
    int64_t length;
} units[] = {{"w", WEEK},   {"d", DAY},   {"h", HOUR},        {"m", MINUTE},
             {"s", SECOND}, {"", SECOND}, {"ms", MILLISECOND}};

#define UNITS (sizeof(units) / sizeof(units[0]))

static bool parse_number(const char **text, uint64_t largest, uint64_t *number)
{
    if (**text < '0' || **text > '9')
        return false;
    char *end = NULL;
    errno = 0;
    *number = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0 && *number <= largest;
}

bool quota_parse_period(const char *text, int64_t *period, struct error *error)
{
    const char *unit = text;
    uint64_t number = 0;
    if (parse_number(&unit, INT64_MAX, &number))
        for (size_t i = 0; i < UNITS; i++)
            if (strcmp(unit, units[i].name) == 0 &&
                number <= (uint64_t)(PERIOD_MAX / units[i].length)) {
                *period = (int64_t)number * units[i].length;
                return true;
            }
    return error_set(error, "\"%s\" is no period; write a number and s, m, h, d or w, such as 1d",
                     text);
}

static bool parse_count(const char *text, uint32_t *count, struct error *error)
{
    const char *end = text;
    uint64_t number = 0;
    if (!parse_number(&end, QUOTA_UNLIMITED - 1, &number) || *end != '\0' || number == 0)
        return error_set(error, "\"%s\" is no count; write a whole number from 1", text);
    *count = (uint32_t)number;
    return true;
}

bool quota_parse_rate(const char *text, struct quota_rate *rate, struct error *error)
{
    if (strcmp(text, "none") == 0) {
        *rate = (struct quota_rate){.limit = QUOTA_UNLIMITED, .period = SECOND};
        return true;
    }
    const char *slash = strchr(text, '/');
    char count[32];
    struct quota_rate parsed = {0};
    if (slash == NULL || (size_t)(slash - text) >= sizeof(count))
        return error_set(error, "\"%s\" is no quota; write number/period such as 30/1m, or none",
                         text);
    memcpy(count, text, (size_t)(slash - text));
    count[slash - text] = '\0';
    if (!parse_count(count, &parsed.limit, error) ||
        !quota_parse_period(slash + 1, &parsed.period, error))
        return false;
    if (parsed.period == 0)
        return error_set(error, "\"%s\": the period must be longer than nothing", text);
    *rate = parsed;
    return true;
}

static bool override_one(struct quota *quota, const char *word, struct error *error)
{
    if (strcmp(word, "hve") == 0) {
        *quota = high_volume;
        return true;
    }
    static const char recipients[] = "recipients=", messages[] = "messages=",
                      per_message[] = "recipients_per_message=", connections[] = "connections=";
    if (strncmp(word, recipients, strlen(recipients)) == 0)
        return quota_parse_rate(word + strlen(recipients), &quota->recipients, error);
    if (strncmp(word, messages, strlen(messages)) == 0)
        return quota_parse_rate(word + strlen(messages), &quota->messages, error);
    if (strncmp(word, per_message, strlen(per_message)) == 0)
        return parse_count(word + strlen(per_message), &quota->recipients_per_message, error);
    if (strncmp(word, connections, strlen(connections)) == 0)
        return parse_count(word + strlen(connections), &quota->connections, error);
    return error_set(error,
                     "\"%s\" is no quota override; write recipients=, messages=, "
                     "recipients_per_message=, connections= or hve",
                     word);
}

bool quota_override(struct quota *quota, const char *text, struct error *error)
{
    struct quota changed = *quota;
    char words[256];
    if (strlen(text) >= sizeof(words))
        return error_set(error, "quota overrides longer than %zu bytes", sizeof(words) - 1);
    strcpy(words, text);
    char *rest = NULL;
    for (char *word = strtok_r(words, " \t,", &rest); word != NULL;
         word = strtok_r(NULL, " \t,", &rest))
        if (!override_one(&changed, word, error))
            return false;
    *quota = changed;
    return true;
}

const char *quota_format_period(int64_t period, char *text, size_t size)
{
    size_t i = 0;
    while (i < UNITS - 1 && (units[i].length > period || period % units[i].length != 0))
        i++;
    snprintf(text, size, "%" PRId64 "%s", period / units[i].length,
             units[i].name[0] != '\0' ? units[i].name : "s");
    return text;
}

const char *quota_format_rate(const struct quota_rate *rate, char *text, size_t size)
{
    char period[32];
    if (rate->limit == QUOTA_UNLIMITED)
        snprintf(text, size, "none");
    else
        snprintf(text, size, "%" PRIu32 "/%s", rate->limit,
                 quota_format_period(rate->period, period, sizeof(period)));
    return text;
}
