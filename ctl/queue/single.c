/* single.c - all about one message in the queue: envelope, causes, remedies, attempts */
#include "ctl/queue/single.h"

#include "common/clock.h"
#include "common/memory.h"
#include "ctl/maillog.h"
#include "ctl/output.h"
#include "ctl/queue/attempts.h"
#include "ctl/queue/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

struct single {
    const struct screen *screen;
    struct survey *survey;
    const char *queue_id;
    bool as_json;
    bool is_found, needs_somebody;
};

static void print_safely(const struct screen *screen, const char *label, const char *text)
{
    struct buffer shown = {0};
    screen_text(&shown, text);
    report_line(screen, label, shown.data);
    buffer_free(&shown);
}

/* --- the message --------------------------------------------------------------------- */

static void print_envelope(const struct single *single, const struct listing_message *message)
{
    char arrival[32];
    struct tm local;
    struct buffer age = {0}, id = {0}, sender = {0};
    time_t seconds = (time_t)(message->arrival / CLOCK_SECOND);
    const char *account = owners_find(single->survey->owners, message);
    strftime(arrival, sizeof(arrival), "%Y-%m-%d %H:%M:%S", localtime_r(&seconds, &local));
    screen_age(&age, single->survey->now - message->arrival);
    screen_paint(single->screen, &id, SCREEN_BOLD, message->id);
    printf("%s  in the %s queue, arrived %s (%s ago), %" PRId64 " bytes\n", id.data,
           listing_queue_name(message->queue), arrival, age.data, message->size);
    buffer_format(&sender, "<%s>", message->sender);
    print_safely(single->screen, "account", account[0] != '\0' ? account : "none is known");
    print_safely(single->screen, "sender", sender.data);
    buffer_free(&age);
    buffer_free(&id);
    buffer_free(&sender);
}

static void print_server(const struct screen *screen, const char *reason)
{
    const char *name = "";
    size_t length = cause_server(reason, &name);
    char *server = memory_copy_bytes(name, length);
    report_server(screen, server);
    free(server);
}

/* The recipients that wait for one cause. */
static void print_part(const struct single *single, const struct listing_message *message,
                       const struct survey_part *part, const char *account)
{
    const struct survey_entry *entry = survey_find(single->survey, message->id, part->cause);
    struct buffer when = {0}, cause = {0};
    char *remedy = report_remedy(single->survey, part->cause, account);
    putchar('\n');
    for (size_t i = 0; i < message->recipient_count; i++)
        if (survey_cause(single->survey, message, message->recipients[i].reason) == part->cause)
            print_safely(single->screen, "to", message->recipients[i].address);
    buffer_format(&cause, "%s: %s", part->cause->name, part->cause->meaning);
    report_line(single->screen, "cause", cause.data);
    if (cause_is_elsewhere(part->cause))
        print_server(single->screen, part->reason);
    report_line(single->screen, "remedy", remedy);
    if (entry != NULL && entry->when == SURVEY_TRIED)
        buffer_append_string(&when, "tried ");
    report_when(&when, entry != NULL ? entry->when : SURVEY_UNKNOWN,
                entry != NULL ? entry->time : 0, single->survey->now);
    report_line(single->screen, "goes", when.data);
    if (part->reason != NULL)
        print_safely(single->screen, "reason", part->reason);
    free(remedy);
    buffer_free(&when);
    buffer_free(&cause);
}

static time_t arrival_of(const struct listing_message *message)
{
    return (time_t)(message->arrival / CLOCK_SECOND);
}

static void print_attempts(const struct single *single, time_t arrival)
{
    struct attempts attempts;
    const char *line;
    attempts_read(&attempts, single->survey->settings, single->queue_id, arrival);
    if (attempts.log == NULL) {
        char *command = maillog_command(single->queue_id, arrival);
        printf("\nNo log file can be read here. As root, or in the group systemd-journal: %s\n",
               command);
        free(command);
    } else
        printf("\n%zu attempt%s in %s%s\n", attempts.count, attempts.count == 1 ? "" : "s",
               attempts.log, attempts.count > ATTEMPTS_KEPT ? ", the last of them:" : "");
    for (size_t i = 0; (line = attempts_line(&attempts, i)) != NULL; i++) {
        struct buffer shown = {0};
        screen_text(&shown, line);
        printf("  ");
        screen_wrap(single->screen, shown.data, 4);
        buffer_free(&shown);
    }
    attempts_free(&attempts);
}

/* --- as JSON ---------------------------------------------------------------------------- */

static void print_json(const struct single *single, const struct listing_message *message)
{
    struct attempts attempts;
    const char *line;
    json_t *object = report_message_json(single->survey, message), *list = json_array();
    attempts_read(&attempts, single->survey->settings, single->queue_id, arrival_of(message));
    for (size_t i = 0; (line = attempts_line(&attempts, i)) != NULL; i++)
        json_array_append_new(list, output_text(line));
    json_object_set_new(object, "attempts", list);
    json_object_set_new(object, "attempts_seen", json_integer((json_int_t)attempts.count));
    output_line(object);
    attempts_free(&attempts);
}

/* --- finding it -------------------------------------------------------------------------- */

static bool show_if_it_is(void *context, const struct listing_message *message)
{
    struct single *single = context;
    if (strcmp(message->id, single->queue_id) != 0)
        return true;
    const char *account = owners_find(single->survey->owners, message);
    size_t count = survey_divide(single->survey, message);
    single->is_found = true;
    for (size_t i = 0; i < count; i++)
        single->needs_somebody |= single->survey->parts[i].cause->wait == CAUSE_SOMEBODY;
    if (single->as_json) {
        print_json(single, message);
        return false;
    }
    print_envelope(single, message);
    for (size_t i = 0; i < count; i++)
        print_part(single, message, &single->survey->parts[i], account);
    print_attempts(single, arrival_of(message));
    return false;
}

int single_show(const struct screen *screen, struct survey *survey, const char *queue_id,
                bool as_json)
{
    struct single single = {
        .screen = screen, .survey = survey, .queue_id = queue_id, .as_json = as_json};
    struct error error;
    if (!listing_each(survey->settings, show_if_it_is, &single, &error))
        return command_fail(EX_UNAVAILABLE, "%s", error.text);
    if (!single.is_found)
        return command_fail(EX_DATAERR,
                            "no message %s is in the queue (any more): it was delivered, returned "
                            "or deleted; the log has its end",
                            queue_id);
    return single.needs_somebody ? COMMAND_ATTENTION : COMMAND_FINE;
}
