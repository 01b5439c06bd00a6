/* undo.c - post365 setup --undo
 *
 * Record by record, the newest first: the files are written, then the record is removed. Whoever
 * ends it in between, doing it again does the rest.
 */
#include "common/error.h"
#include "common/memory.h"
#include "common/postconf.h"
#include "ctl/relay/file.h"
#include "ctl/setup/advice.h"
#include "ctl/setup/record.h"
#include "ctl/setup/revert.h"
#include "ctl/setup/setup.h"
#include "ctl/setup/show.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct undo {
    const struct setup_call *call;
    char *path[RELAY_FILES];
    struct text text[RELAY_FILES]; /* as far as it is taken back */
    size_t left;                   /* changes left as they are */
};

static bool read_files(struct undo *undo, struct error *error)
{
    bool fine = true;
    for (size_t i = 0; i < RELAY_FILES && fine; i++) {
        struct buffer contents = {0};
        fine = file_read(undo->path[i], &contents, error);
        text_free(&undo->text[i]);
        if (fine)
            text_read(&undo->text[i], contents.data != NULL ? contents.data : "", contents.length);
        buffer_free(&contents);
    }
    return fine;
}

static void tell_left(struct undo *undo, enum relay_file file, const struct revert *revert)
{
    const struct setup_call *call = undo->call;
    for (size_t i = 0; i < revert->left_count; i++) {
        char *was = revert->left[i].was;
        text_flatten(was);
        show_text(&call->command->screen, call->as_json, "left",
                  "%s: %s was changed since post365 setup, and is left as it is. Before, %s%s",
                  undo->path[file], revert->left[i].name,
                  was[0] != '\0' ? "it was: " : "there was none.", was);
    }
    undo->left += revert->left_count;
}

/* What was made beside the two files. */
static void tell_created(struct undo *undo, const struct created_list *created)
{
    const struct setup_call *call = undo->call;
    for (size_t i = 0; i < created->count; i++) {
        const char *path = created->items[i].path;
        bool is_ours = created_is_ours(&created->items[i]);
        if (is_ours || access(path, F_OK) == 0)
            show_text(&call->command->screen, call->as_json, is_ours ? "remove" : "left",
                      is_ours ? "%s is removed."
                              : "%s was changed since post365 setup, and is left as it is.",
                      path);
        undo->left += !is_ours && access(path, F_OK) == 0;
    }
}

/* Takes one record back, in memory alone or in the files, too. */
static bool take_back(struct undo *undo, const struct record *record, bool does_write,
                      struct error *error)
{
    bool fine = true;
    /* main.cf first, so that it names no transport that is not there. */
    for (size_t i = 0; i < RELAY_FILES && fine; i++) {
        const struct record_file *file = &record->file[i];
        struct revert revert;
        if (!file->is_changed)
            continue;
        revert_make(&undo->text[i], file, &revert);
        const char *result = revert.result.data != NULL ? revert.result.data : "";
        if (!does_write)
            tell_left(undo, (enum relay_file)i, &revert);
        else if (revert.result.length != undo->text[i].length ||
                 memcmp(result, undo->text[i].data, revert.result.length) != 0)
            fine = file_replace(undo->path[i], result, revert.result.length, error);
        text_free(&undo->text[i]);
        text_read(&undo->text[i], result, revert.result.length);
        revert_free(&revert);
    }
    if (!does_write)
        tell_created(undo, &record->created);
    return fine && (!does_write || created_remove(&record->created, error));
}

/* All records; `*count` says how many there were. */
static bool take_all_back(struct undo *undo, bool does_write, unsigned *count, struct error *error)
{
    const char *directory = undo->call->config_directory;
    unsigned limit = UINT_MAX;
    bool fine = read_files(undo, error);
    for (*count = 0; fine; ++*count) {
        struct record record;
        fine = record_read(directory, limit, &record, error);
        limit = record.number;
        if (fine && limit == 0)
            return true;
        fine = fine && take_back(undo, &record, does_write, error) &&
               (!does_write || record_forget(directory, limit, error));
        record_free(&record);
    }
    return false;
}

/* --- all of it --- */

/* Says what would be taken back, and whether there is something. */
static bool preview(struct undo *undo, unsigned *count, struct error *error)
{
    struct text before[RELAY_FILES] = {0};
    if (!read_files(undo, error))
        return false;
    for (size_t i = 0; i < RELAY_FILES; i++)
        text_read(&before[i], undo->text[i].data, undo->text[i].length);
    bool fine = take_all_back(undo, false, count, error);
    for (size_t i = 0; i < RELAY_FILES; i++) {
        if (fine)
            show_diff(&undo->call->command->screen, undo->call->as_json, undo->path[i], &before[i],
                      &undo->text[i]);
        text_free(&before[i]);
    }
    return fine;
}

/* The caller's to free(); NULL where it cannot be known. */
static char *queue_of(const char *config_directory, struct error *error)
{
    static const char *const expressions[] = {"$queue_directory"};
    const struct postconf postconf = {.directory = config_directory};
    char *directory = NULL;
    postconf_expand(&postconf, expressions, 1, &directory, error);
    return directory;
}

static int run(struct undo *undo)
{
    const struct setup_call *call = undo->call;
    const struct screen *screen = &call->command->screen;
    struct error error;
    unsigned count;
    if (!preview(undo, &count, &error))
        return setup_fail(&error);
    for (size_t i = 0; i < RELAY_FILES; i++)
        file_tidy(undo->path[i]);
    record_tidy(call->config_directory);
    if (!call->as_json && count > 0)
        putchar('\n');
    if (count == 0) {
        show_text(screen, call->as_json, "done", "There is nothing to undo.");
        return COMMAND_FINE;
    }
    struct error ignored;
    char *queue_directory = queue_of(call->config_directory, &ignored);
    if (queue_directory != NULL)
        advice_backlog(call, queue_directory, false);
    free(queue_directory);
    if (!call->is_confirmed && !show_confirm("Take these changes back?"))
        return COMMAND_ATTENTION;
    if (!take_all_back(undo, true, &count, &error))
        return setup_fail(&error);
    show_text(screen, call->as_json, "done",
              "Done. What comes next: postfix reload; then the daemons may be stopped.");
    return undo->left > 0 ? COMMAND_ATTENTION : COMMAND_FINE;
}

int setup_undo(const struct setup_call *call)
{
    struct undo undo = {.call = call};
    int status;
    if (!setup_lock(call->config_directory, &status))
        return status;
    for (size_t i = 0; i < RELAY_FILES; i++)
        undo.path[i] =
            memory_format("%s/%s", call->config_directory, record_file_name((enum relay_file)i));
    status = run(&undo);
    for (size_t i = 0; i < RELAY_FILES; i++) {
        text_free(&undo.text[i]);
        free(undo.path[i]);
    }
    return status;
}
