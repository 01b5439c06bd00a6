/* status.c - post365 status: what each account has used, when there is room, what holds it up */
#include "common/memory.h"
#include "common/quota.h"
#include "ctl/account_text.h"
#include "ctl/command.h"
#include "ctl/oauth2/overview.h"
#include "ctl/output.h"
#include "ctl/services.h"
#include "ctl/status_watch.h"
#include "ctl/watch.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

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
    return json_pack("{s:b, s:o, s:o, s:I, s:o}", "in_force", account_is_paused(reply), "since",
                     time_json(reply->pause.since), "until", time_json(reply->pause.until),
                     "failures", (json_int_t)reply->pause.failures, "cause",
                     output_text(reply->pause.cause));
}

static json_t *note_json(const struct ledger_reply *reply)
{
    if (reply->note.since == 0)
        return json_null();
    return json_pack("{s:o, s:o}", "since", time_json(reply->note.since), "cause",
                     output_text(reply->note.cause));
}

/* An account a line. */
static void print_json(const struct ledger_reply *reply)
{
    json_t *object = json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "account", output_text(reply->account), "recipients",
        window_json(&reply->recipients), "messages", window_json(&reply->messages), "room_at",
        time_json(reply->earliest), "waiting", (json_int_t)reply->waiting, "pause",
        pause_json(reply), "trouble", note_json(reply));
    output_line(object);
}

/* --- all of it ------------------------------------------------------------------ */

static void print_text(const struct screen *screen, const struct ledger_reply *reply)
{
    struct buffer lines = {0};
    account_write(screen, &lines, reply);
    fputs(lines.data, stdout);
    buffer_free(&lines);
}

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
    return reply.pause.is_there || reply.note.since != 0 ? COMMAND_ATTENTION : COMMAND_FINE;
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

static void print_dead(const struct screen *screen, const struct service_state *state, bool as_json)
{
    const char *reason = strerror(state->reason);
    if (as_json) {
        output_line(json_pack("{s:s, s:b, s:s, s:s}", "service", state->program, "up", 0, "socket",
                              state->where, "reason", reason));
        return;
    }
    char *line = memory_format("%s does not answer on %s (%s): %s. `systemctl status %s` and "
                               "`journalctl -u %s` say why.",
                               state->program, state->where, reason, state->consequence,
                               state->program, state->program);
    screen_wrap(screen, line, 2);
    free(line);
}

static int show_services(struct command_call *call, const struct settings *settings, bool as_json)
{
    struct service_state states[SERVICES];
    int status = COMMAND_FINE;
    services_look(settings, states);
    for (size_t i = 0; i < SERVICES; i++) {
        if (states[i].reason == 0)
            continue;
        print_dead(&call->screen, &states[i], as_json);
        status = COMMAND_ATTENTION;
    }
    return status;
}

static int show_once(struct command_call *call, char *const names[], size_t count, bool as_json)
{
    struct command_ledger ledger;
    int status;
    if (!command_open(call, &ledger, &status))
        return status;
    if (count > 0)
        status = show_all(call, &ledger, names, count, as_json);
    else
        status = show_known(call, &ledger, as_json);
    int tokens = overview_show(call, ledger.settings, names, count, as_json);
    int services = show_services(call, ledger.settings, as_json);
    command_close(&ledger);
    if (status == COMMAND_FINE)
        status = tokens;
    return status == COMMAND_FINE ? services : status;
}

int status_run(struct command_call *call, int argc, char *argv[])
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"watch", no_argument, NULL, 'w'}, {0}};
    struct error error;
    bool as_json = false, is_watched = false;
    int letter;
    while ((letter = command_option(argc, argv, options)) != -1) {
        if (letter == '?')
            return COMMAND_USAGE;
        as_json = as_json || letter == 'j';
        is_watched = is_watched || letter == 'w';
    }
    if (is_watched && as_json)
        return command_fail(COMMAND_USAGE, "--watch is for people, --json for programs: not both");
    if (is_watched && !watch_is_possible(&error))
        return command_fail(COMMAND_USAGE, "--watch: %s", error.text);
    char *const *names = argv + optind;
    size_t count = (size_t)(argc - optind);
    if (command_check_accounts(names, count) != COMMAND_FINE)
        return COMMAND_USAGE;
    return is_watched ? status_watch(call, names, count) : show_once(call, names, count, as_json);
}
