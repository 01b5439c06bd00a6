/* explain.c - post365 explain: what a reply of Office 365, or an error of Entra, means, and what to
 * do
 */
#include "common/judgement.h"
#include "common/memory.h"
#include "ctl/cause.h"
#include "ctl/command.h"
#include "ctl/output.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define LABEL 10 /* columns */

/* "5.7.139", "" if there is none. */
static const char *enhanced_text(const struct reply *reply, char *text, size_t size)
{
    text[0] = '\0';
    if (reply->enhanced.class != 0)
        snprintf(text, size, "%u.%u.%u", reply->enhanced.class, reply->enhanced.subject,
                 reply->enhanced.detail);
    return text;
}

/* What Postfix does with the message. */
static const char *fate_words(const struct judgement *judgement)
{
    if (judgement->is_accepted)
        return "goes on: this is no refusal";
    return judgement->is_temporary ? "keeps the message and tries again (4xx)"
                                   : "returns the message to its sender (5xx)";
}

static void print_json(const struct reply *reply, const struct judgement *judgement)
{
    const struct office365_row *row = judgement->row;
    char enhanced[32];
    struct buffer shown = {0};
    screen_text(&shown, reply->text);
    json_t *object = json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:b}", "code", (int)reply->code, "enhanced",
        enhanced_text(reply, enhanced, sizeof(enhanced)), "text", shown.data, "stage",
        office365_stage_words(judgement->stage), "cause", row->name, "meaning", row->meaning,
        "remedy", row->remedy, "temporary", judgement->is_temporary, "account",
        office365_account_words(row->account), "needs_admin", row->needs_admin);
    output_line(object);
    buffer_free(&shown);
}

static void print_line(const struct screen *screen, const char *label, const char *text)
{
    struct buffer head = {0};
    screen_paint(screen, &head, SCREEN_DIM, label);
    printf("%s%*s", head.data, (int)(LABEL - strlen(label)), "");
    screen_wrap(screen, text, LABEL);
    buffer_free(&head);
}

static void print_text(const struct screen *screen, const struct reply *reply,
                       const struct judgement *judgement)
{
    const struct office365_row *row = judgement->row;
    char enhanced[32];
    struct buffer line = {0};
    if (reply->code != 0)
        buffer_format(&line, "%u ", reply->code);
    if (enhanced_text(reply, enhanced, sizeof(enhanced))[0] != '\0')
        buffer_format(&line, "%s ", enhanced);
    screen_text(&line, reply->text);
    print_line(screen, "reply", line.data);
    if (judgement->stage != REPLY_STAGE_UNKNOWN)
        print_line(screen, "at", office365_stage_words(judgement->stage));
    print_line(screen, "cause", row->name);
    print_line(screen, "meaning", row->meaning);
    print_line(screen, "Postfix", fate_words(judgement));
    print_line(screen, "account", office365_account_words(row->account));
    print_line(screen, "remedy", row->remedy);
    buffer_free(&line);
}

/* --- what is not a reply of Office 365 --------------------------------------------------- */

/* Appends the server that a reason is about where it is not Microsoft's, "" where it is. */
static void write_server(struct buffer *shown, const struct cause *cause, const char *text)
{
    const char *name = "";
    size_t length = cause_is_elsewhere(cause) ? cause_server(text, &name) : 0;
    char *server = memory_copy_bytes(name, length);
    screen_text(shown, server);
    free(server);
}

static void print_own_json(const struct cause *cause, const char *text)
{
    struct buffer shown = {0}, server = {0};
    screen_text(&shown, text);
    write_server(&server, cause, text);
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "text", shown.data, "cause",
                               cause->name, "meaning", cause->meaning, "remedy", cause->remedy,
                               "temporary", 1, "needs_admin", cause->wait == CAUSE_SOMEBODY);
    if (server.length > 0)
        json_object_set_new(object, "server", json_string(server.data));
    output_line(object);
    buffer_free(&shown);
    buffer_free(&server);
}

static int explain_own(const struct screen *screen, const struct cause *cause, const char *text,
                       bool as_json)
{
    if (as_json) {
        print_own_json(cause, text);
    } else {
        print_line(screen, "cause", cause->name);
        struct buffer server = {0};
        print_line(screen, "meaning", cause->meaning);
        write_server(&server, cause, text);
        if (server.length > 0)
            print_line(screen, "server", server.data);
        print_line(screen, "remedy", cause->remedy);
        buffer_free(&server);
    }
    return cause->wait == CAUSE_SOMEBODY ? COMMAND_ATTENTION : COMMAND_FINE;
}

/* --- both -------------------------------------------------------------------------------- */

static int explain_reply(const struct screen *screen, const struct reply *reply,
                         const struct judgement *judgement, bool as_json)
{
    if (as_json)
        print_json(reply, judgement);
    else
        print_text(screen, reply, judgement);
    return judgement->row->needs_admin ? COMMAND_ATTENTION : COMMAND_FINE;
}

/* What Postfix says before it asks the server, "message size ... exceeds size limit ...": a cause
 * of the table without a reply. */
static void judge_without_reply(const struct cause *cause, const char *text, struct reply *reply,
                                struct judgement *judgement)
{
    static const struct reply none;
    *reply = none;
    snprintf(reply->text, sizeof(reply->text), "%s", text);
    *judgement = (struct judgement){.row = cause->row,
                                    .enhanced = {5, 0, 0},
                                    .is_temporary = cause->row->told == OFFICE365_TEMPORARY};
}

/* What has a host of Microsoft's in it is Microsoft's, whatever is set here; else relayhost tells.
 */
static const struct cause *find_cause(const struct command_call *call, const char *text)
{
    struct error error;
    const struct cause *cause = cause_find(text, NULL);
    if (!cause_is_elsewhere(cause))
        return cause;
    struct settings *settings =
        settings_read(call->config_directory, (const char *const *)call->overrides, &error);
    if (settings != NULL)
        cause = cause_find(text, settings);
    settings_free(settings);
    return cause;
}

/* A reason in Postfix's queue has the transport's words around Microsoft's. The name of a cause is
 * what other remedies refer to. */
static int explain(const struct command_call *call, const char *text, bool as_json)
{
    struct error error;
    struct reply reply;
    struct judgement judgement;
    const struct screen *screen = &call->screen;
    const struct cause *cause = cause_named(text);
    if (cause != NULL)
        return explain_own(screen, cause, text, as_json);
    cause = find_cause(call, text);
    if (cause->row == NULL && !cause_is_general(cause))
        return explain_own(screen, cause, text, as_json);
    if (!cause_judge(cause, text, &reply, &judgement, &error)) {
        if (cause->row == NULL)
            return command_fail(EX_DATAERR, "%s", error.text);
        judge_without_reply(cause, text, &reply, &judgement);
    }
    return explain_reply(screen, &reply, &judgement, as_json);
}

/* The words of the command line, as the shell has taken them apart. */
static void join(struct buffer *text, int count, char *words[])
{
    for (int i = 0; i < count; i++)
        buffer_format(text, "%s%s", i > 0 ? " " : "", words[i]);
}

int explain_run(struct command_call *call, int argc, char *argv[])
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    bool as_json = false;
    int letter;
    while ((letter = command_option(argc, argv, options)) != -1) {
        if (letter == '?')
            return COMMAND_USAGE;
        as_json = true;
    }
    if (optind == argc)
        return command_fail(COMMAND_USAGE, "explain what? Give it a reply, or the line of the log "
                                           "that has it, in quotes");
    struct buffer text = {0};
    join(&text, argc - optind, argv + optind);
    int status = explain(call, text.data != NULL ? text.data : "", as_json);
    buffer_free(&text);
    return status;
}
