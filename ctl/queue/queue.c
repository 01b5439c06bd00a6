/* queue.c - post365 queue: what waits, why, what to do, when it goes */
#include "common/address.h"
#include "common/clock.h"
#include "common/quota.h"
#include "ctl/command.h"
#include "ctl/queue/action.h"
#include "ctl/queue/queue_id.h"
#include "ctl/queue/report.h"
#include "ctl/queue/single.h"
#include "ctl/queue/survey.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define LEDGER_TIMEOUT (10 * CLOCK_SECOND)

/* What is asked for. */
struct request {
    struct filter filter;
    enum action action;
    const char *queue_id; /* queue explain */
    bool is_summary, as_json, is_confirmed;
};

/* --- what is asked for ---------------------------------------------------------------- */

static int no_cause(const char *name)
{
    struct buffer names = {0};
    for (size_t i = 0; i < cause_count(); i++)
        buffer_format(&names, " %s", cause_at(i)->name);
    command_fail(COMMAND_USAGE, "--cause %.100s: no such cause; there are:%s", name, names.data);
    buffer_free(&names);
    return COMMAND_USAGE;
}

static int read_older(struct filter *filter, const char *text)
{
    struct error error;
    int64_t period;
    if (!quota_parse_period(text, &period, &error))
        return command_fail(COMMAND_USAGE, "--older %s: %s", text, error.text);
    filter->arrived_before = clock_now(clock_system()) - period;
    return COMMAND_FINE;
}

static int read_queue(struct filter *filter, const char *name)
{
    filter->has_queue = true;
    filter->queue = listing_queue_named(name);
    if (filter->queue == LISTING_QUEUES)
        return command_fail(COMMAND_USAGE,
                            "--queue %s: no such queue; there are deferred, active, hold, incoming "
                            "and maildrop",
                            name);
    return COMMAND_FINE;
}

static int read_option(struct request *request, int letter)
{
    switch (letter) {
    case 'a':
        free(request->filter.account);
        request->filter.account = address_fold(optarg);
        return COMMAND_FINE;
    case 'c':
        request->filter.cause = cause_named(optarg);
        return request->filter.cause != NULL ? COMMAND_FINE : no_cause(optarg);
    case 'o':
        return read_older(&request->filter, optarg);
    case 'r':
        free(request->filter.recipient);
        request->filter.recipient = address_fold(optarg);
        return COMMAND_FINE;
    case 'q':
        return read_queue(&request->filter, optarg);
    case 's':
        request->is_summary = true;
        return COMMAND_FINE;
    case 'j':
        request->as_json = true;
        return COMMAND_FINE;
    case 'y':
        request->is_confirmed = true;
        return COMMAND_FINE;
    default:
        return COMMAND_USAGE;
    }
}

/* What is given beside the verb must not be without effect. */
static int check_options(const struct request *request)
{
    const struct filter *filter = &request->filter;
    if (request->action != ACTION_NONE && (request->is_summary || request->as_json))
        return command_fail(COMMAND_USAGE,
                            "--summary and --json are for what is shown, not for what is done");
    if (request->action == ACTION_NONE && request->is_confirmed)
        return command_fail(COMMAND_USAGE, "--yes to what? See post365 queue --help");
    if (request->queue_id != NULL &&
        (request->is_summary || filter_is_set(filter) || filter->has_queue))
        return command_fail(COMMAND_USAGE, "queue explain is about one message: no filter, no "
                                           "--summary");
    return COMMAND_FINE;
}

/* "explain ID", an action, or nothing. */
static int read_verb(struct request *request, int count, char *words[])
{
    if (count == 0)
        return COMMAND_FINE;
    if (strcmp(words[0], "explain") == 0) {
        if (count != 2 || !queue_id_is_valid(words[1]))
            return command_fail(COMMAND_USAGE, "usage: post365 queue explain QUEUE-ID");
        request->queue_id = words[1];
        return COMMAND_FINE;
    }
    request->action = action_named(words[0]);
    if (request->action == ACTION_NONE || count > 1)
        return command_fail(COMMAND_USAGE,
                            "queue %s: not understood; post365 queue --help tells what is",
                            words[request->action == ACTION_NONE ? 0 : 1]);
    if (request->action == ACTION_DELETE && !filter_is_set(&request->filter))
        return command_fail(COMMAND_USAGE,
                            "delete the whole queue? Say which: --account, --cause, --older or "
                            "--recipient; all of it: postsuper -d ALL");
    return COMMAND_FINE;
}

static int read_request(struct request *request, int argc, char *argv[])
{
    static const struct option options[] = {{"account", required_argument, NULL, 'a'},
                                            {"cause", required_argument, NULL, 'c'},
                                            {"older", required_argument, NULL, 'o'},
                                            {"recipient", required_argument, NULL, 'r'},
                                            {"queue", required_argument, NULL, 'q'},
                                            {"summary", no_argument, NULL, 's'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"yes", no_argument, NULL, 'y'},
                                            {0}};
    int letter, status = COMMAND_FINE;
    while (status == COMMAND_FINE && (letter = command_option(argc, argv, options)) != -1)
        status = read_option(request, letter);
    if (status == COMMAND_FINE)
        status = read_verb(request, argc - optind, argv + optind);
    return status == COMMAND_FINE ? check_options(request) : status;
}

/* --- doing it -------------------------------------------------------------------------- */

/* Without the ledger the queue is shown all the same. Returns whether it has told everything. */
static bool estimate(struct survey *survey)
{
    struct error error;
    struct ledger_client *client = ledger_client_open(survey->settings, LEDGER_TIMEOUT, &error);
    bool is_there = client != NULL, is_whole;
    if (!is_there)
        command_fail(0, "%s; shown without its estimates", error.text);
    survey_estimate(survey, client, &error);
    is_whole = error.text[0] == '\0';
    if (is_there && !is_whole)
        command_fail(0, "%s; some is shown without estimates", error.text);
    ledger_client_close(client);
    return is_there && is_whole;
}

static bool needs_somebody(const struct survey *survey)
{
    for (size_t i = 0; i < survey->group_count; i++)
        if (survey->groups[i].messages > 0 && survey->groups[i].cause->wait == CAUSE_SOMEBODY)
            return true;
    return false;
}

static int show(const struct command_call *call, const struct request *request,
                struct survey *survey)
{
    struct error error;
    bool is_known = estimate(survey);
    if (request->queue_id != NULL)
        return single_show(&call->screen, survey, request->queue_id, request->as_json);
    if (!request->as_json)
        report_text(&call->screen, survey);
    else if (request->is_summary)
        report_json(survey);
    else if (!report_messages(survey, &error))
        return command_fail(EX_UNAVAILABLE, "%s", error.text);
    return needs_somebody(survey) || !is_known ? COMMAND_ATTENTION : COMMAND_FINE;
}

static int run(const struct command_call *call, const struct request *request,
               const struct settings *settings)
{
    struct survey survey;
    struct error error;
    bool lists = !request->is_summary && !request->as_json && request->queue_id == NULL;
    survey_begin(&survey, settings, &request->filter, lists);
    bool is_whole = survey_take(&survey, &error);
    int status = COMMAND_FINE;
    const char *complaint = owners_complaint(survey.owners);
    if (complaint != NULL)
        command_fail(0, "%s", complaint);
    if (request->action == ACTION_NONE && (is_whole || survey.count > 0))
        status = show(call, request, &survey);
    else if (is_whole)
        status = action_run(request->action, &survey, request->is_confirmed);
    if (!is_whole)
        status = command_fail(EX_UNAVAILABLE, "%s", error.text);
    survey_free(&survey);
    return status;
}

int queue_run(struct command_call *call, int argc, char *argv[])
{
    struct request request = {.action = ACTION_NONE};
    struct error error;
    int status = read_request(&request, argc, argv);
    struct settings *settings = NULL;
    if (status == COMMAND_FINE) {
        settings =
            settings_read(call->config_directory, (const char *const *)call->overrides, &error);
        status = settings != NULL ? run(call, &request, settings)
                                  : command_fail(EX_CONFIG, "%s", error.text);
    }
    settings_free(settings);
    filter_free(&request.filter);
    return status;
}
