/* action.c - flush, hold, release or delete messages of the queue */
#include "ctl/queue/action.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "common/process.h"
#include "ctl/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define TIMEOUT        600 /* seconds */
#define OUTPUT_LIMIT   ((size_t)64 << 20)
#define PROGRESS_EVERY 100

static const struct {
    const char *name;
    const char *option; /* of postsuper(1); NULL: postqueue(1) does it */
    const char *warning;
} actions[ACTIONS] = {
    [ACTION_FLUSH] = {"flush", NULL, ""},
    [ACTION_HOLD] = {"hold", "-h", ""},
    [ACTION_RELEASE] = {"release", "-H", ""},
    [ACTION_DELETE] = {"delete", "-d", "; they are lost, and nobody is told"},
};

enum action action_named(const char *name)
{
    for (enum action action = ACTION_FLUSH; action < ACTIONS; action++)
        if (strcmp(name, actions[action].name) == 0)
            return action;
    return ACTION_NONE;
}

/* --- which ----------------------------------------------------------------------------- */

static bool is_possible(enum action action, enum listing_queue queue)
{
    switch (action) {
    case ACTION_FLUSH:
        return queue == LISTING_DEFERRED;
    case ACTION_HOLD:
        return queue != LISTING_HOLD;
    case ACTION_RELEASE:
        return queue == LISTING_HOLD;
    default:
        return true;
    }
}

static int compare_ids(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

/* The queue ids, each once; the array is the caller's to free(). */
static const char **choose(enum action action, const struct survey *survey, size_t *count)
{
    const char **ids = memory_zero(survey->count + 1, sizeof(ids[0]));
    size_t found = 0;
    for (size_t i = 0; i < survey->count; i++)
        if (survey->entries[i].label != NULL && is_possible(action, survey->entries[i].queue))
            ids[found++] = survey->entries[i].label;
    qsort(ids, found, sizeof(ids[0]), compare_ids);
    *count = 0;
    for (size_t i = 0; i < found; i++)
        if (i == 0 || strcmp(ids[i], ids[*count - 1]) != 0)
            ids[(*count)++] = ids[i];
    return ids;
}

/* False: the answer was no. */
static bool confirm(enum action action, size_t count)
{
    char answer[16] = "";
    fprintf(stderr, "%s %zu message%s%s? [y/N] ", actions[action].name, count,
            count == 1 ? "" : "s", actions[action].warning);
    return fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

/* --- doing it ---------------------------------------------------------------------------- */

/* The last line is the sum. */
static void print_last_line(const struct buffer *text)
{
    const char *end = text->data != NULL ? text->data + text->length : "", *begin = end;
    while (text->data != NULL && begin > text->data && (begin == end || begin[-1] != '\n'))
        begin--;
    fputs(begin, stdout);
}

static int run(const char *const words[], const struct buffer *input, bool tells)
{
    struct process_result result;
    struct error error;
    int status = COMMAND_FINE;
    if (!process_run(words, input != NULL ? input->data : NULL, input != NULL ? input->length : 0,
                     TIMEOUT, OUTPUT_LIMIT, &result, &error)) {
        status = command_fail(EX_UNAVAILABLE, "%s", error.text);
    } else if (result.status != 0) {
        fputs(result.errors.data != NULL ? result.errors.data : "", stderr);
        status = command_fail(geteuid() == 0 ? EX_UNAVAILABLE : EX_NOPERM,
                              "%s ended with status %d", words[0], result.status);
    } else if (tells) {
        print_last_line(&result.errors);
    }
    process_result_free(&result);
    return status;
}

static int alter(enum action action, const struct settings *settings, const char *const ids[],
                 size_t count)
{
    char *program = memory_format("%s/postsuper", settings->command_directory);
    const char *const words[] = {program, "-c", settings->config_directory, actions[action].option,
                                 "-",     NULL};
    struct buffer input = {0};
    for (size_t i = 0; i < count; i++)
        buffer_format(&input, "%s\n", ids[i]);
    int status = run(words, &input, true);
    buffer_free(&input);
    free(program);
    return status;
}

/* postqueue takes one message at a time. */
static int flush_one_by_one(const char *program, const char *config_directory,
                            const char *const ids[], size_t count)
{
    int status = COMMAND_FINE;
    for (size_t i = 0; i < count && status == COMMAND_FINE; i++) {
        const char *const words[] = {program, "-c", config_directory, "-i", ids[i], NULL};
        status = run(words, NULL, false);
        if (isatty(STDERR_FILENO) && ((i + 1) % PROGRESS_EVERY == 0 || i + 1 == count))
            fprintf(stderr, "\r%zu of %zu%s", i + 1, count, i + 1 == count ? "\n" : "");
    }
    return status;
}

/* Without a filter all that is deferred is meant. */
static int flush(const struct survey *survey, const char *const ids[], size_t count)
{
    const char *config_directory = survey->settings->config_directory;
    char *program = memory_format("%s/postqueue", survey->settings->command_directory);
    const char *const all[] = {program, "-c", config_directory, "-f", NULL};
    int status = filter_is_set(survey->filter)
                     ? flush_one_by_one(program, config_directory, ids, count)
                     : run(all, NULL, false);
    if (status == COMMAND_FINE)
        printf("%zu message%s handed to Postfix for another attempt\n", count,
               count == 1 ? " is" : "s are");
    free(program);
    return status;
}

int action_run(enum action action, const struct survey *survey, bool is_confirmed)
{
    size_t count;
    const char **ids = choose(action, survey, &count);
    int status = COMMAND_FINE;
    if (count == 0)
        printf("Nothing in the queue to %s.\n", actions[action].name);
    else if (!is_confirmed && !isatty(STDIN_FILENO))
        status =
            command_fail(COMMAND_USAGE, "%s %zu messages? There is no terminal to ask; add --yes",
                         actions[action].name, count);
    else if (!is_confirmed && !confirm(action, count))
        puts("Nothing was done.");
    else if (action == ACTION_FLUSH)
        status = flush(survey, ids, count);
    else
        status = alter(action, survey->settings, ids, count);
    free(ids);
    return status;
}
