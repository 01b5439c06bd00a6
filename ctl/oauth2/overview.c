/* overview.c - what post365 status tells of OAuth2: of each token in short */
#include "ctl/oauth2/overview.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/oauth2/registrations.h"
#include "ctl/oauth2/asking.h"
#include "ctl/oauth2/subjects.h"
#include "ctl/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct subject_time time_of(const struct settings *settings)
{
    return (struct subject_time){clock_now(clock_system()) / CLOCK_SECOND,
                                 settings->oauth2_warn_time / CLOCK_SECOND};
}

/* --- which --------------------------------------------------------------------------- */

static bool is_known(const struct subjects *subjects, const struct token_subject *state)
{
    for (size_t i = 0; i < subjects->count; i++)
        if (strcmp(subjects->list[i].state.registration, state->registration) == 0 &&
            strcmp(subjects->list[i].state.account, state->account) == 0)
            return true;
    return false;
}

/* What the accounts log in with, each once; some do not log in with OAuth2. */
static bool find_named(struct subjects *subjects, struct token_client *client, char *const names[],
                       size_t count, struct error *error)
{
    bool fine = true;
    *subjects = (struct subjects){.list = memory_zero(count, sizeof(struct subject))};
    for (size_t i = 0; i < count && fine; i++) {
        const struct token_command command = {.kind = TOKEN_COMMAND_STATUS, .account = names[i]};
        struct token_reply reply;
        fine = token_client_ask(client, &command, &reply, error);
        if (!fine)
            break;
        if (reply.result == TOKEN_REPLY_DONE && !is_known(subjects, &reply.subject))
            subjects->list[subjects->count++].state = reply.subject;
        else if (reply.result != TOKEN_REPLY_DONE && reply.result != TOKEN_REPLY_NONE)
            fine = error_set(error, "post365-tokend: %s", reply.reason);
        token_reply_release(&reply);
    }
    if (!fine)
        subjects_free(subjects);
    return fine;
}

static bool find(struct subjects *subjects, const struct settings *settings, int64_t timeout,
                 char *const names[], size_t count, struct error *error)
{
    struct token_client *client = token_client_open(settings, timeout, error);
    bool fine = client != NULL && (count > 0 ? find_named(subjects, client, names, count, error)
                                             : subjects_find(subjects, client, error));
    token_client_close(client);
    return fine;
}

/* --- once ---------------------------------------------------------------------------------- */

#define TIMEOUT (10 * CLOCK_SECOND)

static void print_absence(const struct screen *screen, const struct settings *settings,
                          const struct error *error, bool as_json)
{
    if (as_json) {
        output_line(json_pack("{s:s, s:b, s:s, s:o}", "service", "post365-tokend", "up", 0,
                              "socket", settings->oauth2_socket, "reason",
                              output_text(error->text)));
        return;
    }
    struct buffer line = {0};
    buffer_append_string(&line, "No tokens of OAuth2, and mail of accounts that need one waits: ");
    screen_text(&line, error->text);
    screen_wrap(screen, line.data, 2);
    buffer_free(&line);
}

int overview_show(const struct command_call *call, const struct settings *settings,
                  char *const names[], size_t count, bool as_json)
{
    struct subjects subjects;
    struct error error;
    struct buffer lines = {0};
    const struct subject_time time = time_of(settings);
    int status = COMMAND_FINE;
    if (!registrations_in_use(settings))
        return COMMAND_FINE;
    if (!find(&subjects, settings, TIMEOUT, names, count, &error)) {
        print_absence(&call->screen, settings, &error, as_json);
        return COMMAND_ATTENTION;
    }
    for (size_t i = 0; i < subjects.count; i++) {
        if (subject_need(&subjects.list[i], &time) != SUBJECT_FINE)
            status = COMMAND_ATTENTION;
        if (as_json)
            output_line(subject_json(&subjects.list[i], &time));
        else
            subject_write(&call->screen, &lines, &subjects.list[i], &time, SUBJECT_USUAL);
    }
    fputs(lines.length > 0 ? lines.data : "", stdout);
    buffer_free(&lines);
    subjects_free(&subjects);
    return status;
}

/* --- in a picture ------------------------------------------------------------------------------
 */

static void write_absence(const struct screen *screen, struct buffer *lines,
                          const struct error *error)
{
    struct buffer reason = {0};
    screen_paint(screen, lines, SCREEN_BAD, "No tokens of OAuth2.");
    buffer_append_char(lines, '\n');
    screen_text(&reason, error->text);
    screen_append_wrapped(screen, lines, reason.data, 0);
    buffer_free(&reason);
}

static size_t count_lines(const struct buffer *lines)
{
    size_t count = 0;
    for (size_t i = 0; i < lines->length; i++)
        count += lines->data[i] == '\n';
    return count;
}

/* Half of the screen is for the accounts. */
static void write_needy(const struct screen *screen, struct buffer *lines,
                        const struct subjects *subjects, const struct subject_time *time)
{
    size_t left_out = 0;
    for (size_t i = 0; i < subjects->count; i++) {
        struct buffer more = {0};
        if (subject_need(&subjects->list[i], time) == SUBJECT_FINE)
            continue;
        subject_write(screen, &more, &subjects->list[i], time, SUBJECT_BRIEF);
        if (left_out == 0 && count_lines(lines) + count_lines(&more) <= screen->height / 2)
            buffer_append(lines, more.data, more.length);
        else
            left_out++;
        buffer_free(&more);
    }
    if (left_out > 0)
        buffer_format(lines, "%s and %zu more: post365 token\n", screen->has_utf8 ? "…" : "...",
                      left_out);
}

void overview_write(const struct screen *screen, struct buffer *lines,
                    const struct settings *settings, int64_t timeout)
{
    struct subjects subjects;
    struct error error;
    const struct subject_time time = time_of(settings);
    if (!registrations_in_use(settings))
        return;
    if (!find(&subjects, settings, timeout, NULL, 0, &error)) {
        write_absence(screen, lines, &error);
        return;
    }
    write_needy(screen, lines, &subjects, &time);
    subjects_free(&subjects);
}
