/* apply.c - post365 setup, and --apply
 *
 * In this order: what was there is kept; master.cf, so that the transport is there before main.cf
 * names it; registrations, so that main.cf names none that is not there; main.cf; postfix check.
 * Whoever ends it in between, each file is whole, and what was there is on the disk.
 */
#include "common/error.h"
#include "common/memory.h"
#include "common/process.h"
#include "ctl/relay/file.h"
#include "ctl/setup/advice.h"
#include "ctl/setup/plan.h"
#include "ctl/setup/record.h"
#include "ctl/setup/setup.h"
#include "ctl/setup/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT 120 /* seconds, for postfix check */
#define LIMIT   ((size_t)1024 * 1024)

/* --- the files --- */

/* Whether a file holds these bytes now. False with the reason, too, where it cannot be read. */
static bool holds(const char *path, const struct text *text, struct error *error)
{
    struct buffer now = {0};
    bool fine = file_read(path, &now, error);
    if (fine && (now.length != text->length || memcmp(now.data, text->data, now.length) != 0))
        fine = error_set(error, "%s was changed meanwhile; run post365 setup again", path);
    buffer_free(&now);
    return fine;
}

/* Writes the files that differ, as they shall be or as they were: main.cf names no transport that
 * is not there. */
static bool write_files(const struct relay *relay, const struct record *record, bool after,
                        struct error *error)
{
    bool fine = true;
    for (size_t i = 0; i < RELAY_FILES && fine; i++) {
        const enum relay_file which = (i == 0) == after ? RELAY_MASTER : RELAY_MAIN;
        const struct record_file *file = &record->file[which];
        const struct text *text = after ? &file->after : &file->before;
        if (file->is_changed && !holds(relay->path[which], text, error))
            fine = file_replace(relay->path[which], text->data, text->length, error);
    }
    return fine;
}

/* `postfix check`. False with what it says. */
static bool check(const char *config_directory, struct error *error)
{
    const char *const words[] = {"postfix", "-c", config_directory, "check", NULL};
    struct process_result result;
    bool fine = process_run(words, NULL, 0, TIMEOUT, LIMIT, &result, error);
    if (fine && result.errors.length > 0)
        text_flatten(result.errors.data);
    if (fine && result.status != 0)
        fine = error_set(error, "postfix check ended with status %d: %s", result.status,
                         result.errors.length > 0 ? result.errors.data
                                                  : "its reasons are in Postfix's log");
    process_result_free(&result);
    return fine;
}

static bool carry_out(const struct setup_call *call, const struct relay *relay,
                      const struct takeover *takeover, struct record *record, struct error *error)
{
    record_tidy(call->config_directory);
    for (size_t i = 0; i < RELAY_FILES; i++) {
        file_tidy(relay->path[i]);
        if (!holds(relay->path[i], &relay->text[i], error))
            return false;
    }
    if (!record_keep(call->config_directory, record, error))
        return false;
    if (created_make(takeover, &record->created, relay->settings, error) &&
        write_files(relay, record, true, error) && check(call->config_directory, error))
        return true;
    struct error again;
    if (!write_files(relay, record, false, &again) || !created_remove(&record->created, &again))
        return error_prefix(error,
                            "%s; what was there is kept in %s/post365-setup/%u, and post365 setup "
                            "--undo puts it back",
                            again.text, call->config_directory, record->number);
    record_forget(call->config_directory, record->number, &again);
    return error_prefix(error, "nothing was changed; all was put back");
}

/* --- all of it --- */

/* Takes the plan's edits over. */
static void make_record(struct plan *plan, struct record *record)
{
    *record = (struct record){.number = 0};
    created_plan(plan->takeover, &record->created);
    for (size_t i = 0; i < RELAY_FILES; i++) {
        struct record_file *file = &record->file[i];
        const struct text *text = &plan->relay->text[i];
        struct buffer after = {0};
        edits_apply(text, &plan->edits[i], &after);
        file->is_changed = plan->edits[i].count > 0;
        text_read(&file->before, text->data, text->length);
        text_read(&file->after, after.data != NULL ? after.data : "", after.length);
        file->edits = plan->edits[i];
        plan->edits[i] = (struct edits){.list = NULL};
        buffer_free(&after);
    }
}

static int apply(const struct setup_call *call, const struct relay *relay,
                 const struct takeover *takeover, struct record *record)
{
    struct error error;
    int status;
    advice_before(call, relay);
    if (!call->is_confirmed && !show_confirm("Make these changes?"))
        return COMMAND_ATTENTION;
    if (!setup_lock(call->config_directory, &status))
        return status;
    if (!carry_out(call, relay, takeover, record, &error))
        return setup_fail(&error);
    advice_after(call, relay, takeover);
    return COMMAND_FINE;
}

static int show(const struct setup_call *call, const struct relay *relay,
                const struct takeover *takeover, bool does_apply)
{
    const struct screen *screen = &call->command->screen;
    struct plan plan;
    struct record record = {.number = 0};
    struct error error;
    int status;
    if (!plan_make(relay, takeover, &plan, &error)) {
        status = setup_fail(&error);
    } else {
        make_record(&plan, &record);
        const struct text after[] = {record.file[RELAY_MAIN].after,
                                     record.file[RELAY_MASTER].after};
        show_plan(screen, call->as_json, &plan, after);
        status = plan.change_count > 0 || relay->is_direct_send ? COMMAND_ATTENTION : COMMAND_FINE;
        if (!call->as_json && plan.change_count + plan.remark_count + plan.duty_count > 0)
            putchar('\n');
        if (plan.change_count > 0)
            advice_backlog(call, relay->settings->queue_directory, true);
        if (relay->is_direct_send)
            show_text(screen, call->as_json, "done", "Nothing is changed.");
        else if (plan.change_count == 0 && plan.duty_count > 0)
            show_text(screen, call->as_json, "done",
                      "There is nothing that setup would change; %zu thing%s for you to mend, see "
                      "above.",
                      plan.duty_count, plan.duty_count == 1 ? " is" : "s are");
        else if (plan.change_count == 0)
            show_text(screen, call->as_json, "done", "post365 is set up already.");
        else if (does_apply)
            status = apply(call, relay, takeover, &record);
        else
            show_text(
                screen, call->as_json, "next", "post365 setup%s%s --apply makes these changes.",
                call->oauth2 != NULL ? " --oauth2 " : "", call->oauth2 != NULL ? call->oauth2 : "");
    }
    record_free(&record);
    plan_free(&plan);
    return status;
}

int setup_apply(const struct setup_call *call, bool does_apply)
{
    struct relay relay;
    struct error error;
    struct takeover takeover;
    int status = takeover_read(call->config_directory, call->oauth2, &relay, &takeover, &error)
                     ? show(call, &relay, &takeover, does_apply)
                     : setup_fail(&error);
    relay_free(&relay);
    takeover_free(&takeover);
    return status;
}
