/* survey.c - the whole queue at one glance: who waits for what */
#include "ctl/queue/survey.h"

#include "common/clock.h"
#include "common/dictionary.h"
#include "common/memory.h"
#include "ctl/queue/survey_parts.h"
#include "ctl/services.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Without a milter cleanup(8) puts off what pickup(8) brings, and no reason is kept with it. */
static const struct cause *find_maildrop_cause(const struct settings *settings)
{
    struct service_state states[SERVICES];
    services_look(settings, states);
    return states[SERVICE_MILTER].reason != 0 ? cause_named("milter-down") : NULL;
}

void survey_begin(struct survey *survey, const struct settings *settings,
                  const struct filter *filter, bool keeps_labels)
{
    *survey = (struct survey){.settings = settings,
                              .filter = filter,
                              .keeps_labels = keeps_labels,
                              .now = clock_now(clock_system()),
                              .owners = owners_new(settings),
                              .applications = applications_new(settings),
                              .schedule = schedule_new(settings),
                              .standing = standing_new(settings),
                              .numbers = dictionary_new(free),
                              .maildrop = find_maildrop_cause(settings),
                              .parts = memory_zero(cause_count(), sizeof(struct survey_part))};
}

void survey_free(struct survey *survey)
{
    for (size_t i = 0; i < survey->count; i++)
        free(survey->entries[i].label);
    free(survey->entries);
    free(survey->by_key);
    for (size_t i = 0; i < survey->group_count; i++)
        free(survey->groups[i].server);
    free(survey->groups);
    free(survey->parts);
    dictionary_free(survey->numbers);
    schedule_free(survey->schedule);
    standing_free(survey->standing);
    owners_free(survey->owners);
    applications_free(survey->applications);
    *survey = (struct survey){.count = 0};
}

#define SERVER_MAX 253

uint64_t survey_key(const char *queue_id, const struct cause *cause)
{
    uint64_t key = 0xcbf29ce484222325U; /* FNV-1a */
    for (const char *word = queue_id; word != NULL; word = word == queue_id ? cause->name : NULL)
        for (const char *at = word; *at != '\0'; at++)
            key = (key ^ (unsigned char)*at) * 0x100000001b3U;
    return key;
}

/* --- a message's recipients --------------------------------------------------------- */

static struct survey_part *part_of(struct survey *survey, size_t *count, const struct cause *cause)
{
    size_t i = 0;
    while (i < *count && survey->parts[i].cause != cause)
        i++;
    if (i == *count)
        survey->parts[(*count)++] = (struct survey_part){.cause = cause};
    return &survey->parts[i];
}

static void count_recipient(const struct filter *filter, struct survey_part *part,
                            const struct listing_recipient *recipient)
{
    bool is_chosen = filter_takes_recipient(filter, recipient->address, part->cause);
    if (part->recipients++ == 0 || (is_chosen && part->chosen == 0)) {
        part->first = recipient->address;
        part->reason = recipient->reason;
    }
    part->chosen += is_chosen;
}

const struct cause *survey_cause(struct survey *survey, const struct listing_message *message,
                                 const char *reason)
{
    if (message->queue == LISTING_MAILDROP && reason == NULL && survey->maildrop != NULL)
        return survey->maildrop;
    bool is_moving = message->queue == LISTING_ACTIVE || message->queue == LISTING_INCOMING;
    const struct cause *standing = NULL;
    if (is_moving && (reason == NULL || reason[0] == '\0'))
        standing = standing_find(survey->standing, owners_find(survey->owners, message));
    return standing != NULL ? standing : cause_find(reason, survey->settings);
}

static bool is_same_reason(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

/* Most recipients of a message have the same reason. */
size_t survey_divide(struct survey *survey, const struct listing_message *message)
{
    size_t count = 0;
    const char *reason = NULL;
    struct survey_part *part = NULL;
    for (size_t i = 0; i < message->recipient_count; i++) {
        const struct listing_recipient *recipient = &message->recipients[i];
        bool is_same = part != NULL && is_same_reason(reason, recipient->reason);
        if (!is_same)
            part = part_of(survey, &count, survey_cause(survey, message, recipient->reason));
        reason = recipient->reason;
        count_recipient(survey->filter, part, recipient);
    }
    return count;
}

/* --- groups and entries --------------------------------------------------------------- */

/* The server that mail goes to instead of Microsoft's, "" if there is none; the caller's to free().
 * A name in DNS has at most 253 octets. */
static char *server_of(const struct survey_part *part)
{
    const char *name = "";
    size_t length = cause_is_elsewhere(part->cause) ? cause_server(part->reason, &name) : 0;
    return memory_copy_bytes(name, length < SERVER_MAX ? length : SERVER_MAX);
}

static uint32_t group_of(struct survey *survey, const char *account, const struct survey_part *part)
{
    char name[ADDRESS_MAX + SERVER_MAX + 100];
    char *server = server_of(part);
    snprintf(name, sizeof(name), "%s\n%s\n%s", part->cause->name, server, account);
    uint32_t *number = dictionary_find(survey->numbers, name);
    if (number != NULL) {
        free(server);
        return *number;
    }
    survey->groups =
        memory_grow(survey->groups, (survey->group_count + 1) * sizeof(survey->groups[0]));
    survey->groups[survey->group_count] =
        (struct survey_group){.account = account, .cause = part->cause, .server = server};
    number = memory_zero(1, sizeof(*number));
    *number = (uint32_t)survey->group_count++;
    dictionary_put(survey->numbers, name, number);
    return *number;
}

static void count_entry(struct survey_group *group, const struct survey_entry *entry, size_t chosen)
{
    if (!entry->is_chosen)
        return;
    group->messages++;
    group->recipients += chosen;
    group->held += entry->queue == LISTING_HOLD;
    group->active += entry->queue == LISTING_ACTIVE || entry->queue == LISTING_INCOMING;
    if (group->oldest == 0 || entry->arrival < group->oldest)
        group->oldest = entry->arrival;
}

static char *label_of(const char *id, const char *address)
{
    size_t length = strlen(id) + 1;
    char *label = memory_alloc(length + strlen(address) + 1);
    strcpy(label, id);
    strcpy(label + length, address);
    return label;
}

static struct survey_entry *new_entry(struct survey *survey)
{
    if (survey->count == survey->capacity) {
        survey->capacity = survey->capacity > 0 ? survey->capacity * 2 : 1024;
        survey->entries =
            memory_grow(survey->entries, survey->capacity * sizeof(survey->entries[0]));
    }
    return &survey->entries[survey->count++];
}

static void add_part(struct survey *survey, const struct listing_message *message,
                     const struct survey_part *part, const char *account, bool is_taken)
{
    struct survey_entry *entry = new_entry(survey);
    *entry = (struct survey_entry){.key = survey_key(message->id, part->cause),
                                   .arrival = message->arrival,
                                   .recipients = (uint32_t)part->recipients,
                                   .group = group_of(survey, account, part),
                                   .queue = message->queue,
                                   .is_chosen = is_taken && part->chosen > 0};
    if (message->queue == LISTING_DEFERRED)
        entry->time = schedule_next(survey->schedule, message->id);
    if (survey->keeps_labels && entry->is_chosen)
        entry->label = label_of(message->id, part->first);
    count_entry(&survey->groups[entry->group], entry, part->chosen);
}

static bool take_message(void *context, const struct listing_message *message)
{
    struct survey *survey = context;
    const char *account = owners_find(survey->owners, message);
    bool is_taken = filter_takes_message(survey->filter, message, account);
    size_t count = survey_divide(survey, message), chosen = 0;
    for (size_t i = 0; i < count; i++) {
        add_part(survey, message, &survey->parts[i], account, is_taken);
        chosen += survey->parts[i].chosen;
    }
    survey->chosen += is_taken && chosen > 0;
    return true;
}

bool survey_take(struct survey *survey, struct error *error)
{
    return listing_each(survey->settings, take_message, survey, error);
}
