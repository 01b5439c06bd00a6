/* report.c - what a survey has found, for people and for programs */
#include "ctl/queue/report.h"

#include "common/memory.h"
#include "common/room.h"
#include "ctl/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL     10 /* columns */
#define INDENT    4
#define WHEN      34 /* with what is in front of it */
#define RECIPIENT 20 /* at least */
#define ID        16 /* with its mark; most are shorter */
#define AGE       6

static const char *const when_names[SURVEY_WHENS] = {
    [SURVEY_UNKNOWN] = "unknown", [SURVEY_GOES] = "room",       [SURVEY_TRIED] = "tried",
    [SURVEY_MENDED] = "mended",   [SURVEY_RESUMED] = "resumed", [SURVEY_RELEASED] = "released",
    [SURVEY_NEVER] = "never",
};

static struct screen_names names_in(const struct survey *survey, const struct cause *cause,
                                    const char *account)
{
    if (cause->entra != NULL)
        return applications_names(survey->applications, account);
    return (struct screen_names){.account = account[0] != '\0' ? account : NULL};
}

char *report_remedy(const struct survey *survey, const struct cause *cause, const char *account)
{
    struct buffer text = {0};
    const struct screen_names names = names_in(survey, cause, account);
    screen_text_named(&text, cause->remedy, &names);
    return buffer_take(&text);
}

/* --- when ------------------------------------------------------------------------------ */

static void write_time(struct buffer *line, int64_t time, int64_t now)
{
    if (time > now)
        room_write_when(line, time, now);
    else
        buffer_append_string(line, "now");
}

void report_when(struct buffer *line, enum survey_when when, int64_t time, int64_t now)
{
    static const char *const words[SURVEY_WHENS] = {
        [SURVEY_UNKNOWN] = "at Postfix's next attempt",
        [SURVEY_MENDED] = "when it is mended",
        [SURVEY_RESUMED] = "when the account is resumed",
        [SURVEY_RELEASED] = "when it is released from hold",
        [SURVEY_NEVER] = "never: it is more than the quota",
    };
    buffer_append_string(line, words[when] != NULL ? words[when] : "");
    if (time == 0)
        return;
    if (when == SURVEY_MENDED)
        buffer_append_string(line, "; tried ");
    write_time(line, time, now);
}

/* In a column, below a line that says it whole. */
static void write_short(struct buffer *line, const struct survey_entry *entry, int64_t now)
{
    static const char *const words[SURVEY_WHENS] = {
        [SURVEY_UNKNOWN] = "at the next attempt",
        [SURVEY_GOES] = "",
        [SURVEY_TRIED] = "tried ",
        [SURVEY_MENDED] = "tried ",
        [SURVEY_RESUMED] = "when resumed",
        [SURVEY_RELEASED] = "when released",
        [SURVEY_NEVER] = "never",
    };
    if (entry->when == SURVEY_MENDED && entry->time == 0) {
        buffer_append_string(line, "when mended");
        return;
    }
    buffer_append_string(line, words[entry->when]);
    if (entry->time != 0)
        write_time(line, entry->time, now);
}

/* Of a whole group: from the first to the last. */
static void write_span(struct buffer *line, const struct survey_group *group, int64_t now)
{
    if (group->first == group->last || group->last == 0) {
        if (group->when == SURVEY_TRIED)
            buffer_append_string(line, "tried ");
        report_when(line, group->when, group->last, now);
        return;
    }
    if (group->when == SURVEY_MENDED)
        buffer_append_string(line, "when it is mended; ");
    if (group->when != SURVEY_GOES)
        buffer_append_string(line, "tried, ");
    buffer_append_string(line, "the first ");
    write_time(line, group->first, now);
    buffer_append_string(line, ", the last ");
    write_time(line, group->last, now);
}

/* --- for people -------------------------------------------------------------------------- */

void report_line(const struct screen *screen, const char *label, const char *text)
{
    struct buffer head = {0};
    screen_paint(screen, &head, SCREEN_DIM, label);
    printf("  %s%*s", head.data, (int)(LABEL - 2 - strlen(label)), "");
    screen_wrap(screen, text, LABEL);
    buffer_free(&head);
}

void report_server(const struct screen *screen, const char *server)
{
    struct buffer shown = {0};
    screen_text(&shown, server);
    if (shown.length > 0)
        report_line(screen, "server", shown.data);
    buffer_free(&shown);
}

static void print_head(const struct screen *screen, const struct survey_group *group, int64_t now)
{
    struct buffer line = {0}, account = {0};
    screen_text(&account, group->account[0] != '\0' ? group->account : "(no account)");
    screen_paint(screen, &line, SCREEN_BOLD, account.data);
    buffer_append_string(&line, "  ");
    screen_paint(screen, &line, group->cause->wait == CAUSE_SOMEBODY ? SCREEN_BAD : SCREEN_GOOD,
                 group->cause->name);
    puts(line.data);
    buffer_free(&line);
    buffer_free(&account);
    buffer_format(&line, "%zu message%s to %zu recipient%s, the oldest ", group->messages,
                  group->messages == 1 ? "" : "s", group->recipients,
                  group->recipients == 1 ? "" : "s");
    screen_age(&line, now - group->oldest);
    buffer_append_string(&line, " old");
    if (group->held > 0)
        buffer_format(&line, ", %zu on hold", group->held);
    if (group->active > 0)
        buffer_format(&line, ", %zu under way", group->active);
    report_line(screen, "waiting", line.data);
    buffer_free(&line);
}

static void write_recipient(struct buffer *text, const struct survey_entry *entry)
{
    buffer_append_string(text, entry->label + strlen(entry->label) + 1);
    if (entry->recipients > 1)
        buffer_format(text, " and %u more", entry->recipients - 1);
}

/* In columns, or one below the other where these have no room. */
static void print_entry(const struct screen *screen, const struct survey_entry *entry, int64_t now)
{
    static const char marks[LISTING_QUEUES] = {
        [LISTING_DEFERRED] = ' ', [LISTING_ACTIVE] = '*',   [LISTING_HOLD] = '!',
        [LISTING_INCOMING] = '+', [LISTING_MAILDROP] = '+',
    };
    struct buffer line = {0}, id = {0}, age = {0}, recipient = {0}, when = {0};
    buffer_format(&id, "%s%c", entry->label, marks[entry->queue]);
    size_t beside = INDENT + (id.length < ID ? ID : id.length + 1) + AGE;
    bool is_wide = screen->width >= beside + RECIPIENT + WHEN;
    screen_age(&age, now - entry->arrival);
    write_recipient(&recipient, entry);
    write_short(&when, entry, now);
    buffer_format(&line, "%-*s ", ID - 1, id.data); /* never cut: it is pasted elsewhere */
    screen_column(screen, &line, age.data, AGE);
    if (!is_wide)
        buffer_format(&line, "\n%*s", 2 * INDENT, "");
    screen_column(screen, &line, recipient.data,
                  screen->width - (is_wide ? beside + WHEN : 2 * INDENT));
    printf("%*s%s%s%*s", INDENT, "", line.data, is_wide ? "" : "\n", is_wide ? 2 : 2 * INDENT, "");
    screen_wrap(screen, when.data, is_wide ? screen->width - WHEN + 2 : 2 * INDENT);
    buffer_free(&line);
    buffer_free(&id);
    buffer_free(&age);
    buffer_free(&recipient);
    buffer_free(&when);
}

/* The entries with labels, group by group: the first of each, and which one follows. */
struct chain {
    uint32_t *first, *next; /* a place in survey->entries, counted from 1; 0: the end */
};

static void chain_build(struct chain *chain, const struct survey *survey)
{
    chain->first = memory_zero(survey->group_count + 1, sizeof(uint32_t));
    chain->next = memory_zero(survey->count + 1, sizeof(uint32_t));
    for (size_t i = survey->count; i > 0; i--) {
        const struct survey_entry *entry = &survey->entries[i - 1];
        if (entry->label == NULL)
            continue;
        chain->next[i] = chain->first[entry->group];
        chain->first[entry->group] = (uint32_t)i;
    }
}

static void chain_free(struct chain *chain)
{
    free(chain->first);
    free(chain->next);
}

static void print_group(const struct screen *screen, const struct survey *survey,
                        const struct chain *chain, size_t number)
{
    const struct survey_group *group = &survey->groups[number];
    struct buffer when = {0};
    char *remedy = report_remedy(survey, group->cause, group->account);
    write_span(&when, group, survey->now);
    print_head(screen, group, survey->now);
    report_line(screen, "cause", group->cause->meaning);
    report_server(screen, group->server);
    report_line(screen, "remedy", remedy);
    report_line(screen, "goes", when.data);
    for (size_t i = chain->first[number]; i > 0; i = chain->next[i])
        print_entry(screen, &survey->entries[i - 1], survey->now);
    putchar('\n');
    free(remedy);
    buffer_free(&when);
}

/* --- the order of groups ------------------------------------------------------------------ */

static int compare_groups(const void *one, const void *other, void *context)
{
    const struct survey_group *groups = context;
    const struct survey_group *left = &groups[*(const size_t *)one];
    const struct survey_group *right = &groups[*(const size_t *)other];
    if (left->messages != right->messages)
        return left->messages > right->messages ? -1 : 1;
    int accounts = strcmp(left->account, right->account);
    int causes = strcmp(left->cause->name, right->cause->name);
    return accounts != 0 ? accounts : causes != 0 ? causes : strcmp(left->server, right->server);
}

/* The numbers of those in which something is chosen, the largest first; the caller's to free(). */
static size_t *order_groups(const struct survey *survey, size_t *count)
{
    size_t *order = memory_zero(survey->group_count + 1, sizeof(order[0]));
    *count = 0;
    for (size_t i = 0; i < survey->group_count; i++)
        if (survey->groups[i].messages > 0)
            order[(*count)++] = i;
    qsort_r(order, *count, sizeof(order[0]), compare_groups, survey->groups);
    return order;
}

static void print_sum(const struct survey *survey, const size_t *order, size_t count)
{
    size_t messages = survey->chosen, recipients = 0;
    for (size_t i = 0; i < count; i++)
        recipients += survey->groups[order[i]].recipients;
    if (count == 0)
        puts(survey->count == 0 ? "The queue is empty." : "Nothing in the queue fits.");
    else
        printf("%zu message%s to %zu recipient%s\n", messages, messages == 1 ? "" : "s", recipients,
               recipients == 1 ? "" : "s");
}

void report_text(const struct screen *screen, struct survey *survey)
{
    size_t count;
    size_t *order = order_groups(survey, &count);
    struct chain chain;
    chain_build(&chain, survey);
    for (size_t i = 0; i < count; i++)
        print_group(screen, survey, &chain, order[i]);
    print_sum(survey, order, count);
    chain_free(&chain);
    free(order);
}

/* --- for programs -------------------------------------------------------------------------- */

/* Seconds since the epoch; null: not known. */
static json_t *time_json(int64_t time)
{
    return time == 0 ? json_null() : json_real((double)time / 1e6);
}

static json_t *remedy_json(const struct survey *survey, const struct cause *cause,
                           const char *account)
{
    const struct screen_names names = names_in(survey, cause, account);
    return output_text_named(cause->remedy, &names);
}

/* null: Microsoft's, or none at all. */
static json_t *server_json(const char *server)
{
    return server[0] != '\0' ? output_text(server) : json_null();
}

void report_json(struct survey *survey)
{
    size_t count;
    size_t *order = order_groups(survey, &count);
    for (size_t i = 0; i < count; i++) {
        const struct survey_group *group = &survey->groups[order[i]];
        output_line(
            json_pack("{s:o, s:s, s:s, s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:o, s:s, s:o, s:o}",
                      "account", output_text(group->account), "cause", group->cause->name,
                      "meaning", group->cause->meaning, "server", server_json(group->server),
                      "remedy", remedy_json(survey, group->cause, group->account), "needs_admin",
                      group->cause->wait == CAUSE_SOMEBODY, "messages", (json_int_t)group->messages,
                      "recipients", (json_int_t)group->recipients, "held", (json_int_t)group->held,
                      "active", (json_int_t)group->active, "oldest", time_json(group->oldest),
                      "when", when_names[group->when], "first_at", time_json(group->first),
                      "last_at", time_json(group->last)));
    }
    free(order);
}

static json_t *part_json(const struct survey *survey, const struct listing_message *message,
                         const struct survey_part *part, const char *account)
{
    const struct survey_entry *entry = survey_find(survey, message->id, part->cause);
    return json_pack("{s:s, s:s, s:o, s:b, s:I, s:s, s:o}", "cause", part->cause->name, "meaning",
                     part->cause->meaning, "remedy", remedy_json(survey, part->cause, account),
                     "needs_admin", part->cause->wait == CAUSE_SOMEBODY, "recipients",
                     (json_int_t)part->recipients, "when",
                     when_names[entry != NULL ? entry->when : SURVEY_UNKNOWN], "at",
                     time_json(entry != NULL ? entry->time : 0));
}

static json_t *recipients_json(struct survey *survey, const struct listing_message *message)
{
    json_t *list = json_array();
    for (size_t i = 0; i < message->recipient_count; i++)
        json_array_append_new(
            list,
            json_pack("{s:o, s:s, s:o}", "address", output_text(message->recipients[i].address),
                      "cause", survey_cause(survey, message, message->recipients[i].reason)->name,
                      "reason", output_text(message->recipients[i].reason)));
    return list;
}

json_t *report_message_json(struct survey *survey, const struct listing_message *message)
{
    const char *account = owners_find(survey->owners, message);
    json_t *causes = json_array();
    size_t count = survey_divide(survey, message);
    for (size_t i = 0; i < count; i++)
        if (survey->parts[i].chosen > 0)
            json_array_append_new(causes, part_json(survey, message, &survey->parts[i], account));
    return json_pack("{s:s, s:s, s:o, s:I, s:o, s:o, s:o, s:o}", "id", message->id, "queue",
                     listing_queue_name(message->queue), "arrival", time_json(message->arrival),
                     "size", (json_int_t)message->size, "sender", output_text(message->sender),
                     "account", output_text(account), "causes", causes, "recipients",
                     recipients_json(survey, message));
}

static bool print_message(void *context, const struct listing_message *message)
{
    struct survey *survey = context;
    const char *account = owners_find(survey->owners, message);
    if (!filter_takes_message(survey->filter, message, account))
        return true;
    json_t *object = report_message_json(survey, message);
    if (json_array_size(json_object_get(object, "causes")) > 0)
        output_line(object);
    else
        json_decref(object);
    return true;
}

bool report_messages(struct survey *survey, struct error *error)
{
    return listing_each(survey->settings, print_message, survey, error);
}
