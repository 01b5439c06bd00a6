/* status.c - post365 status: what each account has used, when there is room, what holds it up */
#include "common/memory.h"
#include "common/quota.h"
#include "common/room.h"
#include "ctl/command.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define BAR 20 /* columns */

/* Names, in the ledger's order. */
struct names {
    char **names;
    size_t count;
};

static bool add_name(void *context, const struct ledger_reply_account *account)
{
    struct names *names = context;
    names->names = memory_grow(names->names, (names->count + 1) * sizeof(char *));
    names->names[names->count++] = memory_copy(account->name);
    return true;
}

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
}

static bool is_paused(const struct ledger_reply *reply)
{
    return reply->pause.is_there && reply->pause.until > reply->now;
}

/* --- for programs ------------------------------------------------------------- */

static json_t *window_json(const struct ledger_reply_window *window)
{
    bool unlimited = window->rate.limit == QUOTA_UNLIMITED;
    return json_pack("{s:I, s:I, s:o, s:o}", "used", (json_int_t)window->used, "reserved",
                     (json_int_t)window->reserved, "limit",
                     unlimited ? json_null() : json_integer(window->rate.limit), "period",
                     unlimited ? json_null() : json_real((double)window->rate.period / 1e6));
}

/* Seconds since the epoch; null is never. */
static json_t *time_json(int64_t time)
{
    return time == LEDGER_FOREVER ? json_null() : json_real((double)time / 1e6);
}

static json_t *pause_json(const struct ledger_reply *reply)
{
    if (!reply->pause.is_there)
        return json_null();
    struct buffer cause = {0};
    screen_text(&cause, reply->pause.cause);
    json_t *pause =
        json_pack("{s:b, s:o, s:o, s:i, s:s}", "in_force", is_paused(reply), "since",
                  time_json(reply->pause.since), "until", time_json(reply->pause.until), "failures",
                  (int)reply->pause.failures, "cause", cause.data != NULL ? cause.data : "");
    buffer_free(&cause);
    return pause;
}

/* An account a line. */
static void print_json(const struct ledger_reply *reply)
{
    json_t *object = json_pack("{s:s, s:o, s:o, s:o, s:i, s:o}", "account", reply->account,
                               "recipients", window_json(&reply->recipients), "messages",
                               window_json(&reply->messages), "room_at", time_json(reply->earliest),
                               "waiting", (int)reply->waiting, "pause", pause_json(reply));
    json_dumpf(object, stdout, JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(object);
}

/* --- for people ---------------------------------------------------------------- */

static void print_window(const struct screen *screen, const char *name,
                         const struct ledger_reply_window *window)
{
    struct buffer line = {0};
    char period[32];
    if (window->rate.limit == QUOTA_UNLIMITED) {
        printf("  %-11s%*s %u, no limit\n", name, BAR, "", window->used);
        return;
    }
    bool is_full = window->used >= window->rate.limit;
    struct buffer bar = {0};
    screen_bar(screen, &bar, window->used, window->rate.limit, BAR);
    screen_paint(screen, &line, is_full ? SCREEN_BAD : SCREEN_GOOD, bar.data);
    quota_format_period(window->rate.period, period, sizeof(period));
    printf("  %-11s%s %u of %u per %s", name, line.data, window->used, window->rate.limit, period);
    if (window->reserved > 0)
        printf(", %u of them under way", window->reserved);
    putchar('\n');
    buffer_free(&bar);
    buffer_free(&line);
}

static void print_pause(const struct screen *screen, const struct ledger_reply *reply)
{
    struct buffer line = {0}, cause = {0};
    if (is_paused(reply)) {
        buffer_append_string(&line, "paused until ");
        if (reply->pause.until == LEDGER_FOREVER)
            buffer_append_string(&line, "somebody resumes it");
        else
            room_write_when(&line, reply->pause.until, reply->now);
    } else {
        buffer_append_string(&line,
                             "was paused; one message is tried, to see whether it works again");
    }
    struct buffer painted = {0};
    screen_paint(screen, &painted, SCREEN_BAD, line.data);
    printf("  %-11s%s\n", "", painted.data);
    screen_text(&cause, reply->pause.cause);
    printf("  %-11s", "cause");
    screen_wrap(screen, cause.length > 0 ? cause.data : "none was given", 13);
    buffer_free(&painted);
    buffer_free(&line);
    buffer_free(&cause);
}

static void print_text(const struct screen *screen, const struct ledger_reply *reply)
{
    struct buffer line = {0};
    screen_paint(screen, &line, SCREEN_BOLD, reply->account);
    printf("%s\n", line.data);
    buffer_clear(&line);
    print_window(screen, "recipients", &reply->recipients);
    print_window(screen, "messages", &reply->messages);
    if (!reply->pause.is_there) {
        if (reply->earliest <= reply->now)
            buffer_append_string(&line, "now");
        else if (reply->earliest == LEDGER_FOREVER)
            buffer_append_string(&line, "never: the limit is 0");
        else
            room_write_when(&line, reply->earliest, reply->now);
        printf("  %-11s%s\n", "room", line.data);
    }
    if (reply->waiting > 0)
        printf("  %-11s%u messages wait for it\n", "", reply->waiting);
    if (reply->pause.is_there)
        print_pause(screen, reply);
    buffer_free(&line);
}

/* --- all of it ------------------------------------------------------------------ */

static int show(struct command_call *call, struct command_ledger *ledger, const char *account,
                bool as_json)
{
    const struct ledger_command command = {.kind = LEDGER_COMMAND_STATUS, .account = account};
    struct ledger_reply reply;
    int status;
    if (!command_ask(ledger, &command, &reply, &status))
        return status;
    if (as_json)
        print_json(&reply);
    else
        print_text(&call->screen, &reply);
    return reply.pause.is_there ? COMMAND_ATTENTION : COMMAND_FINE;
}

/* An error ends it; an account that needs attention does not. */
static int show_all(struct command_call *call, struct command_ledger *ledger, char *const names[],
                    size_t count, bool as_json)
{
    int worst = COMMAND_FINE;
    for (size_t i = 0; i < count && worst <= COMMAND_ATTENTION; i++) {
        int status = show(call, ledger, names[i], as_json);
        worst = status > worst ? status : worst;
    }
    return worst;
}

static int show_known(struct command_call *call, struct command_ledger *ledger, bool as_json)
{
    struct names names = {0};
    struct error error;
    int status;
    if (!ledger_client_list(ledger->client, add_name, &names, &error))
        status = command_fail(EX_UNAVAILABLE, "%s", error.text);
    else
        status = show_all(call, ledger, names.names, names.count, as_json);
    if (names.count == 0 && status == COMMAND_FINE && !as_json)
        puts("The ledger knows no account yet: nothing was sent.");
    free_names(&names);
    return status;
}

int status_run(struct command_call *call, int argc, char *argv[])
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    struct command_ledger ledger;
    bool as_json = false;
    int letter, status;
    while ((letter = command_option(argc, argv, "j", options)) != -1) {
        if (letter == '?')
            return COMMAND_USAGE;
        as_json = true;
    }
    if (!command_open(call, &ledger, &status))
        return status;
    if (optind < argc)
        status = show_all(call, &ledger, argv + optind, (size_t)(argc - optind), as_json);
    else
        status = show_known(call, &ledger, as_json);
    command_close(&ledger);
    return status;
}
