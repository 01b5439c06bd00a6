/* estimate.c - when what waits goes: by the ledger's windows, its pauses, and Postfix's schedule */
#include "common/clock.h"
#include "common/memory.h"
#include "ctl/account_text.h"
#include "ctl/queue/forecast.h"
#include "ctl/queue/survey_parts.h"

#include <stdlib.h>
#include <string.h>

/* What the ledger knows of an account. */
struct account {
    const char *name;
    struct ledger_reply status;
    struct forecast *forecast; /* NULL: the ledger has nothing to do with it */
};

/* --- the order in which they go ------------------------------------------------------ */

/* Mail that Postfix is working on is before what it has put off. */
static int rank(enum listing_queue queue)
{
    static const int ranks[LISTING_QUEUES] = {
        [LISTING_ACTIVE] = 0,   [LISTING_INCOMING] = 1, [LISTING_DEFERRED] = 2,
        [LISTING_MAILDROP] = 3, [LISTING_HOLD] = 4,
    };
    return ranks[queue];
}

#define COMPARE(one, other)                                                                        \
    if ((one) != (other))                                                                          \
    return (one) < (other) ? -1 : 1

static int compare_entries(const void *one, const void *other, void *context)
{
    const struct survey_entry *left = one, *right = other;
    const struct survey *survey = context;
    int accounts =
        strcmp(survey->groups[left->group].account, survey->groups[right->group].account);
    if (accounts != 0)
        return accounts;
    COMPARE(rank(left->queue), rank(right->queue));
    COMPARE(left->arrival, right->arrival);
    COMPARE(left->key, right->key);
    return 0;
}

static int compare_keys(const void *one, const void *other, void *context)
{
    const struct survey_entry *entries = ((const struct survey *)context)->entries;
    COMPARE(entries[*(const uint32_t *)one].key, entries[*(const uint32_t *)other].key);
    return 0;
}

/* --- an account ----------------------------------------------------------------------- */

static bool add_sent(void *context, const struct ledger_reply_slot *slot)
{
    forecast_sent(context, slot->begin, slot->recipients, slot->messages);
    return true;
}

static int64_t longest(const struct ledger_reply *status)
{
    return status->recipients.rate.period > status->messages.rate.period
               ? status->recipients.rate.period
               : status->messages.rate.period;
}

/* Reads its windows. Reservations count as sent: they will be, in a moment. */
static bool read_account(const struct survey *survey, struct ledger_client *client,
                         struct account *account, struct error *error)
{
    const struct ledger_command command = {.kind = LEDGER_COMMAND_STATUS, .account = account->name};
    struct ledger_reply *status = &account->status;
    if (!ledger_client_ask(client, &command, status, error))
        return false;
    if (status->result != LEDGER_REPLY_DONE)
        return error_set(error, "%s", status->reason);
    const struct quota quota = {.recipients = status->recipients.rate,
                                .messages = status->messages.rate,
                                .recipients_per_message = status->recipients_per_message};
    int64_t guard = survey->settings->quota_guard;
    account->forecast = forecast_new(
        &quota, guard, account_is_paused(&account->status) ? status->pause.until : status->now);
    if (!ledger_client_history(client, account->name, LEDGER_PER_EVENT,
                               status->now - longest(status) - guard, add_sent, account->forecast,
                               error))
        return false;
    forecast_sent(account->forecast, status->now, status->recipients.reserved,
                  status->messages.reserved);
    return true;
}

/* --- an entry -------------------------------------------------------------------------- */

/* Behind the mail of the account that goes before it. Whether Microsoft's own limit has room again
 * is seen when it is tried. */
static void estimate_room(const struct account *account, const struct cause *cause,
                          struct survey_entry *entry)
{
    if (account_is_paused(&account->status) && account->status.pause.until == LEDGER_FOREVER) {
        entry->when = SURVEY_RESUMED;
        entry->time = 0;
        return;
    }
    int64_t attempt = entry->time;
    entry->time = forecast_next(account->forecast, entry->recipients);
    if (entry->queue == LISTING_DEFERRED && entry->time <= account->status.now) {
        /* There is room already, and nobody has woken it up: Postfix will. */
        entry->time = attempt;
        entry->when = attempt != 0 ? SURVEY_TRIED : SURVEY_UNKNOWN;
        return;
    }
    entry->when =
        account_is_paused(&account->status) && cause_is_answer(cause) ? SURVEY_TRIED : SURVEY_GOES;
    if (entry->time == INT64_MAX) {
        entry->when = SURVEY_NEVER;
        entry->time = 0;
    }
}

/* At Postfix's next attempt, which is of no use while the account is paused: then at the end of
 * that. */
static void estimate_attempt(const struct account *account, const struct cause *cause,
                             struct survey_entry *entry)
{
    bool waits = account != NULL && account_is_paused(&account->status);
    if (waits && account->status.pause.until == LEDGER_FOREVER)
        entry->time = 0;
    else if (waits && (cause_is_answer(cause) || entry->time < account->status.pause.until))
        entry->time = account->status.pause.until;
    if (cause->wait == CAUSE_SOMEBODY)
        entry->when = SURVEY_MENDED;
    else if (waits && entry->time == 0)
        entry->when = SURVEY_RESUMED;
    else
        entry->when = entry->time != 0 ? SURVEY_TRIED : SURVEY_UNKNOWN;
}

static void estimate_entry(const struct account *account, const struct cause *cause,
                           struct survey_entry *entry)
{
    bool by_ledger = account != NULL && account->forecast != NULL;
    bool is_moving = entry->queue == LISTING_ACTIVE || entry->queue == LISTING_INCOMING;
    bool is_stuck = is_moving && cause->wait == CAUSE_SCHEDULE && !cause_is_general(cause);
    if (entry->queue == LISTING_HOLD)
        entry->when = SURVEY_RELEASED;
    else if (is_stuck)
        estimate_attempt(by_ledger ? account : NULL, cause, entry);
    else if (by_ledger && (is_moving || cause->wait == CAUSE_ROOM || cause->wait == CAUSE_PAUSE))
        estimate_room(account, cause, entry);
    else
        estimate_attempt(by_ledger ? account : NULL, cause, entry);
}

static void note_estimate(struct survey_group *group, const struct survey_entry *entry)
{
    if (!entry->is_chosen)
        return;
    if (entry->time >= group->last || entry->time == 0)
        group->when = entry->when;
    if (entry->time > group->last)
        group->last = entry->time;
    if (entry->time != 0 && (group->first == 0 || entry->time < group->first))
        group->first = entry->time;
}

/* --- all of it -------------------------------------------------------------------------- */

/* The entries of one account, from `first` on. Returns where the next one's begin. */
static size_t estimate_account(struct survey *survey, struct ledger_client *client, size_t first,
                               struct error *error)
{
    struct account account = {.name = survey->groups[survey->entries[first].group].account};
    struct error reason;
    bool is_known = client != NULL && account.name[0] != '\0';
    if (is_known && !read_account(survey, client, &account, &reason)) {
        if (error->text[0] == '\0')
            error_set(error, "%s", reason.text);
        forecast_free(account.forecast);
        account.forecast = NULL;
    }
    size_t i = first;
    for (; i < survey->count; i++) {
        struct survey_entry *entry = &survey->entries[i];
        struct survey_group *group = &survey->groups[entry->group];
        if (strcmp(group->account, account.name) != 0)
            break;
        estimate_entry(&account, group->cause, entry);
        note_estimate(group, entry);
    }
    forecast_free(account.forecast);
    return i;
}

static void sort(struct survey *survey)
{
    if (survey->count == 0)
        return;
    qsort_r(survey->entries, survey->count, sizeof(survey->entries[0]), compare_entries, survey);
    survey->by_key = memory_grow(survey->by_key, survey->count * sizeof(uint32_t));
    for (size_t i = 0; i < survey->count; i++)
        survey->by_key[i] = (uint32_t)i;
    qsort_r(survey->by_key, survey->count, sizeof(uint32_t), compare_keys, survey);
}

void survey_estimate(struct survey *survey, struct ledger_client *client, struct error *error)
{
    error->text[0] = '\0';
    if (survey->settings->meter == METER_SUBMISSION) /* Postfix's own smtp(8) delivers */
        client = NULL;
    sort(survey);
    for (size_t next = 0; next < survey->count;)
        next = estimate_account(survey, client, next, error);
}

const struct survey_entry *survey_find(const struct survey *survey, const char *queue_id,
                                       const struct cause *cause)
{
    uint64_t key = survey_key(queue_id, cause);
    size_t low = 0, high = survey->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (survey->entries[survey->by_key[middle]].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    const struct survey_entry *entry =
        low < survey->count ? &survey->entries[survey->by_key[low]] : NULL;
    return entry != NULL && entry->key == key ? entry : NULL;
}
