/* explain.c - post365 explain: what a reply of Office 365 means, and what to do */
#include "common/office365.h"
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

static bool is_temporary(const struct reply *reply, const struct office365_row *row)
{
    return row->told == OFFICE365_TEMPORARY || reply->code / 100 == 4 ||
           (reply->code == 0 && reply->enhanced.class == 4);
}

static void print_json(const struct reply *reply, const struct office365_row *row)
{
    char enhanced[32];
    struct buffer shown = {0};
    screen_text(&shown, reply->text);
    json_t *object = json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:b}", "code", (int)reply->code, "enhanced",
        enhanced_text(reply, enhanced, sizeof(enhanced)), "text", shown.data, "stage",
        office365_stage_words(reply->stage), "cause", row->name, "meaning", row->meaning, "remedy",
        row->remedy, "temporary", is_temporary(reply, row), "account",
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
                       const struct office365_row *row)
{
    char enhanced[32];
    struct buffer line = {0};
    if (reply->code != 0)
        buffer_format(&line, "%u ", reply->code);
    if (enhanced_text(reply, enhanced, sizeof(enhanced))[0] != '\0')
        buffer_format(&line, "%s ", enhanced);
    screen_text(&line, reply->text);
    print_line(screen, "reply", line.data);
    if (reply->stage != REPLY_STAGE_UNKNOWN)
        print_line(screen, "at", office365_stage_words(reply->stage));
    print_line(screen, "cause", row->name);
    print_line(screen, "meaning", row->meaning);
    print_line(screen, "Postfix",
               is_temporary(reply, row) ? "keeps the message and tries again (4xx)"
                                        : "returns the message to its sender (5xx)");
    print_line(screen, "account", office365_account_words(row->account));
    print_line(screen, "remedy", row->remedy);
    buffer_free(&line);
}

/* --- what is not a reply of Office 365 --------------------------------------------------- */

static void print_own_json(const struct cause *cause, const char *text)
{
    struct buffer shown = {0};
    screen_text(&shown, text);
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "text", shown.data, "cause",
                               cause->name, "meaning", cause->meaning, "remedy", cause->remedy,
                               "temporary", 1, "needs_admin", cause->wait == CAUSE_SOMEBODY);
    output_line(object);
    buffer_free(&shown);
}

static int explain_own(const struct screen *screen, const struct cause *cause, const char *text,
                       bool as_json)
{
    if (as_json) {
        print_own_json(cause, text);
    } else {
        print_line(screen, "cause", cause->name);
        print_line(screen, "meaning", cause->meaning);
        print_line(screen, "remedy", cause->remedy);
    }
    return cause->wait == CAUSE_SOMEBODY ? COMMAND_ATTENTION : COMMAND_FINE;
}

/* --- both -------------------------------------------------------------------------------- */

static int explain_reply(const struct screen *screen, const struct reply *reply,
                         const struct office365_row *row, bool as_json)
{
    if (as_json)
        print_json(reply, row);
    else
        print_text(screen, reply, row);
    return row->needs_admin ? COMMAND_ATTENTION : COMMAND_FINE;
}

/* A reason in Postfix's queue has the transport's words around Microsoft's. */
static int explain(const struct screen *screen, const char *text, bool as_json)
{
    struct error error;
    struct reply reply;
    const struct cause *cause = cause_find(text);
    bool is_reply = reply_find(&reply, text, strlen(text), &error);
    if (is_reply && cause->row != NULL)
        return explain_reply(screen, &reply, cause->row, as_json);
    if (cause->row == NULL && !cause_is_general(cause))
        return explain_own(screen, cause, text, as_json);
    if (!is_reply)
        return command_fail(EX_DATAERR, "%s", error.text);
    return explain_reply(screen, &reply, office365_explain(&reply, reply.stage), as_json);
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
    int status = explain(&call->screen, text.data != NULL ? text.data : "", as_json);
    buffer_free(&text);
    return status;
}
