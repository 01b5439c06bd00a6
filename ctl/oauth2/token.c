/* token.c - post365 token: how things stand with each access token */
#include "common/clock.h"
#include "ctl/command.h"
#include "ctl/oauth2/asking.h"
#include "ctl/oauth2/subjects.h"
#include "ctl/output.h"

#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

struct view {
    const struct screen *screen;
    const struct settings *settings;
    struct subject_time time;
    bool as_json;
    int status; /* the worst of what was seen */
};

static void show(struct view *view, const struct subject *subject)
{
    struct buffer lines = {0};
    if (subject_need(subject, &view->time) != SUBJECT_FINE)
        view->status = COMMAND_ATTENTION;
    if (view->as_json) {
        output_line(subject_json(subject, &view->time));
        return;
    }
    subject_write(view->screen, &lines, subject, &view->time, SUBJECT_WHOLE);
    fputs(lines.data, stdout);
    buffer_free(&lines);
}

/* An error ends it; what needs attention does not. */
static int show_all(struct view *view, struct token_client *client)
{
    struct subjects subjects;
    struct error error;
    if (!subjects_find(&subjects, client, &error))
        return command_fail(EX_UNAVAILABLE, "%s", error.text);
    bool fine = true;
    for (size_t i = 0; fine && i < subjects.count; i++) {
        fine = subjects_look(&subjects.list[i], client, &error);
        if (fine)
            show(view, &subjects.list[i]);
    }
    if (fine && subjects.count == 0 && !view->as_json)
        puts("post365-tokend knows no registration: post365_oauth2_maps names none.");
    subjects_free(&subjects);
    return fine ? view->status : command_fail(EX_UNAVAILABLE, "%s", error.text);
}

static int show_account(struct view *view, struct token_client *client, const char *account)
{
    const struct token_command command = {.kind = TOKEN_COMMAND_STATUS, .account = account};
    struct token_reply reply;
    int status = COMMAND_FINE;
    if (!asking_ask(client, &command, &reply, &status))
        return status;
    if (reply.result == TOKEN_REPLY_DONE) {
        struct subject subject = {.state = reply.subject};
        claims_take(&subject.claims, &reply);
        show(view, &subject);
    } else {
        status = asking_fail_unknown(
            view->settings, account, "does not log in with OAuth2",
            reply.reason[0] != '\0' ? reply.reason : "post365_oauth2_maps has no line for it");
    }
    token_reply_release(&reply);
    return status;
}

static int show_accounts(struct view *view, struct token_client *client, char *const names[],
                         size_t count)
{
    int status = COMMAND_FINE;
    for (size_t i = 0; i < count && status == COMMAND_FINE; i++)
        status = show_account(view, client, names[i]);
    return status != COMMAND_FINE ? status : view->status;
}

int token_run(struct command_call *call, int argc, char *argv[])
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    struct view view = {.screen = &call->screen};
    struct asking asking;
    int letter, status = COMMAND_FINE;
    while ((letter = command_option(argc, argv, options)) != -1) {
        if (letter == '?')
            return COMMAND_USAGE;
        view.as_json = true;
    }
    char *const *names = argv + optind;
    size_t count = (size_t)(argc - optind);
    if (command_check_accounts(names, count) != COMMAND_FINE)
        return COMMAND_USAGE;
    if (!asking_open(call, &asking, &status))
        return status;
    view.settings = asking.settings;
    view.time = (struct subject_time){clock_now(clock_system()) / CLOCK_SECOND,
                                      asking.settings->oauth2_warn_time / CLOCK_SECOND};
    if (asking.client != NULL && count > 0)
        status = show_accounts(&view, asking.client, names, count);
    else if (asking.client != NULL)
        status = show_all(&view, asking.client);
    else if (count > 0)
        status = command_fail(COMMAND_USAGE,
                              "%s does not log in with OAuth2: post365_oauth2_maps "
                              "is empty",
                              names[0]);
    else if (!view.as_json)
        puts("No account logs in with OAuth2: post365_oauth2_maps is empty.");
    asking_close(&asking);
    return status;
}
