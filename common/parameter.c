/* parameter.c - the table of post365_ parameters: names, types, defaults, meanings */
#include "common/parameter.h"

#include "common/address.h"
#include "common/attr.h"
#include "common/closest.h"
#include "common/memory.h"
#include "common/quota.h"
#include "common/socket.h"
#include "common/table.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct parameter parameters[] = {
#define PARAMETER(type, name, field, initial, meaning)                                             \
    {PARAMETER_##type, PARAMETER_PREFIX #name, offsetof(struct settings, field), initial, meaning},
#include "common/parameters.def"
#undef PARAMETER
};

#define PARAMETERS (sizeof(parameters) / sizeof(parameters[0]))

/* What postconf(5) defines for every transport, and so for one called post365. */
static const char *const transport_suffixes[] = {
    "delivery_slot_cost",
    "delivery_slot_discount",
    "delivery_slot_loan",
    "destination_concurrency_failed_cohort_limit",
    "destination_concurrency_limit",
    "destination_concurrency_negative_feedback",
    "destination_concurrency_positive_feedback",
    "destination_rate_delay",
    "destination_recipient_limit",
    "extra_recipient_limit",
    "initial_destination_concurrency",
    "minimum_delivery_slots",
    "recipient_limit",
    "recipient_refill_delay",
    "recipient_refill_limit",
    "time_limit",
    "transport_rate_delay",
};

static const char *const reply_to_choices[] = {"add", "no", NULL};
static const char *const meter_choices[] = {"delivery", "submission", NULL};

size_t parameter_count(void)
{
    return PARAMETERS;
}

const struct parameter *parameter_at(size_t index)
{
    return &parameters[index];
}

bool parameter_is_of_transport(const char *name)
{
    for (size_t i = 0; i < sizeof(transport_suffixes) / sizeof(transport_suffixes[0]); i++)
        if (strcmp(name + strlen(PARAMETER_PREFIX), transport_suffixes[i]) == 0)
            return true;
    return false;
}

const struct parameter *parameter_closest(const char *name)
{
    const struct parameter *closest = NULL;
    unsigned least = CLOSEST_ENOUGH;
    for (size_t i = 0; i < PARAMETERS; i++) {
        unsigned changes = closest_distance(name, parameters[i].name);
        if (changes < least) {
            least = changes;
            closest = &parameters[i];
        }
    }
    return closest;
}

static bool parse_boolean(const char *value, bool *result, struct error *error)
{
    *result = strcasecmp(value, "yes") == 0;
    return *result || strcasecmp(value, "no") == 0 || error_set(error, "write yes or no");
}

static bool parse_count(const char *value, uint32_t *count, struct error *error)
{
    char *end = NULL;
    errno = 0;
    unsigned long number = strtoul(value, &end, 10);
    if (!isdigit((unsigned char)value[0]) || *end != '\0' || errno != 0 || number == 0 ||
        number >= UINT32_MAX)
        return error_set(error, "write a whole number from 1");
    *count = (uint32_t)number;
    return true;
}

static bool parse_choice(const char *value, const char *const choices[], unsigned *result,
                         struct error *error)
{
    for (*result = 0; choices[*result] != NULL; (*result)++)
        if (strcasecmp(value, choices[*result]) == 0)
            return true;
    return error_set(error, "write %s or %s", choices[0], choices[1]);
}

/* A user name and a password would stand where everybody reads them. */
static bool parse_proxy(const char *value, struct error *error)
{
    static const char scheme[] = "http://";
    const char *place = value + sizeof(scheme) - 1;
    const char *port = strrchr(value, ':');
    uint64_t number;
    if (strncmp(value, scheme, sizeof(scheme) - 1) == 0 && port > place &&
        strpbrk(place, "@/ \t") == NULL &&
        attr_digits(port + 1, strlen(port + 1), 65535, &number) && number > 0)
        return true;
    return error_set(error, "write http://host:port, without a user name");
}

static bool parse_text(const struct parameter *parameter, const char *value,
                       const struct settings *settings, struct error *error)
{
    struct socket_place place;
    if (parameter->type == PARAMETER_LOCAL_SOCKET && strncmp(value, "unix:", 5) != 0)
        return error_set(error, "write unix:path: only there does the kernel say who connects");
    if (parameter->type == PARAMETER_SOCKET || parameter->type == PARAMETER_LOCAL_SOCKET)
        return socket_parse(value, settings->queue_directory, &place, error);
    if (parameter->type == PARAMETER_LISTEN && value[0] != '\0')
        return socket_parse_address(value, &place, error);
    if (parameter->type == PARAMETER_PROXY && value[0] != '\0')
        return parse_proxy(value, error);
    if (parameter->type == PARAMETER_DIRECTORY && value[0] != '/')
        return error_set(error, "write an absolute path");
    if (parameter->type == PARAMETER_UPN && value[0] != '\0' && !address_is_upn(value))
        return error_set(error, "write the mailbox's user principal name, user@domain");
    if (parameter->type == PARAMETER_TEXT && value[0] == '\0')
        return error_set(error, "must not be empty");
    return true;
}

bool parameter_parse(const struct parameter *parameter, const char *value,
                     struct settings *settings, struct error *error)
{
    void *field = (char *)settings + parameter->offset;
    unsigned choice = 0;
    switch (parameter->type) {
    case PARAMETER_BOOLEAN:
        return parse_boolean(value, field, error);
    case PARAMETER_COUNT:
        return parse_count(value, field, error);
    case PARAMETER_RATE:
        return quota_parse_rate(value, field, error);
    case PARAMETER_PERIOD:
        return quota_parse_period(value, field, error);
    case PARAMETER_REPLY_TO:
        if (!parse_choice(value, reply_to_choices, &choice, error))
            return false;
        *(enum settings_reply_to *)field = choice == 0 ? REPLY_TO_ADD : REPLY_TO_NO;
        return true;
    case PARAMETER_METER:
        if (!parse_choice(value, meter_choices, &choice, error))
            return false;
        *(enum settings_meter *)field = choice == 0 ? METER_DELIVERY : METER_SUBMISSION;
        return true;
    default:
        break;
    }
    *(char **)field = memory_copy(value);
    return parse_text(parameter, value, settings, error);
}

void parameter_print(const struct parameter *parameter, const struct settings *settings,
                     FILE *stream)
{
    const void *field = (const char *)settings + parameter->offset;
    char text[64], *shown;
    switch (parameter->type) {
    case PARAMETER_BOOLEAN:
        fputs(*(const bool *)field ? "yes" : "no", stream);
        break;
    case PARAMETER_COUNT:
        fprintf(stream, "%" PRIu32, *(const uint32_t *)field);
        break;
    case PARAMETER_RATE:
        fputs(quota_format_rate(field, text, sizeof(text)), stream);
        break;
    case PARAMETER_PERIOD:
        fputs(quota_format_period(*(const int64_t *)field, text, sizeof(text)), stream);
        break;
    case PARAMETER_REPLY_TO:
        fputs(reply_to_choices[*(const enum settings_reply_to *)field], stream);
        break;
    case PARAMETER_METER:
        fputs(meter_choices[*(const enum settings_meter *)field], stream);
        break;
    case PARAMETER_PASSWORD_TABLES:
        shown = tables_shown(*(char *const *)field, TABLE_USER_NAMES);
        fputs(shown, stream);
        free(shown);
        break;
    default:
        fputs(*(char *const *)field, stream);
        break;
    }
}

static bool is_string(enum parameter_type type)
{
    return type < PARAMETER_BOOLEAN;
}

void parameter_free(const struct parameter *parameter, struct settings *settings)
{
    if (is_string(parameter->type))
        free(*(char **)((char *)settings + parameter->offset));
}
