/* show.c - what setup says */
#include "ctl/setup/show.h"

#include "ctl/command.h"
#include "ctl/output.h"
#include "ctl/setup/diff.h"
#include "ctl/setup/record.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- for programs --- */

static void print_change(const struct plan *plan, const struct change *change)
{
    output_line(json_pack(
        "{s:s, s:o, s:o, s:o}", "kind", "change", "file",
        output_text(change->path != NULL ? change->path : plan->relay->path[change->file]), "name",
        output_text(change->name), "why", output_text(change->why)));
}

/* --- for people --- */

static void print_wrapped(const struct screen *screen, const char *text, size_t indent)
{
    struct buffer shown = {0};
    screen_text(&shown, text);
    screen_wrap(screen, shown.data != NULL ? shown.data : "", indent);
    buffer_free(&shown);
}

static void print_changes(const struct screen *screen, const struct plan *plan)
{
    if (plan->change_count > 0)
        printf("%zu change%s set%s this relay up for post365:\n\n", plan->change_count,
               plan->change_count == 1 ? "" : "s", plan->change_count == 1 ? "s" : "");
    for (size_t i = 0; i < plan->change_count; i++) {
        const struct change *change = &plan->changes[i];
        struct buffer name = {0}, painted = {0};
        screen_text(&name, change->name);
        screen_paint(screen, &painted, SCREEN_BOLD, name.data);
        printf("%2zu. %s (%s)\n    ", i + 1, painted.data,
               change->path != NULL ? "a new file" : record_file_name(change->file));
        print_wrapped(screen, change->why, 4);
        buffer_free(&name);
        buffer_free(&painted);
    }
}

static void print_texts(const struct screen *screen, const char *heading, char *const texts[],
                        size_t count)
{
    if (count > 0)
        printf("\n%s\n", heading);
    for (size_t i = 0; i < count; i++) {
        printf("  - ");
        print_wrapped(screen, texts[i], 4);
    }
}

void show_diff(const struct screen *screen, bool as_json, const char *path,
               const struct text *before, const struct text *after)
{
    static const struct screen plain = {.width = SCREEN_WIDTH};
    struct buffer diff = {0};
    diff_write(as_json ? &plain : screen, path, before, after, &diff);
    if (diff.length > 0 && as_json)
        output_line(json_pack("{s:s, s:o, s:s}", "kind", "diff", "file", output_text(path), "diff",
                              diff.data));
    else if (diff.length > 0)
        printf("\n%s", diff.data);
    buffer_free(&diff);
}

/* Files that are to be made, but for those that nobody shall see. */
static void show_files(const struct screen *screen, bool as_json, const struct takeover *takeover)
{
    for (size_t i = 0; i < takeover->file_count; i++) {
        const struct takeover_file *file = &takeover->files[i];
        const char *content =
            file->is_secret ? "(not shown: it is a secret)\n" : secret_reveal(file->content);
        struct text none, text;
        text_read(&none, "", 0);
        text_read(&text, content, strlen(content));
        show_diff(screen, as_json, file->path, &none, &text);
        text_free(&text);
        text_free(&none);
    }
}

void show_plan(const struct screen *screen, bool as_json, const struct plan *plan,
               const struct text after[])
{
    if (as_json) {
        for (size_t i = 0; i < plan->change_count; i++)
            print_change(plan, &plan->changes[i]);
        for (size_t i = 0; i < plan->remark_count; i++)
            show_text(screen, true, "remark", "%s", plan->remarks[i]);
        for (size_t i = 0; i < plan->duty_count; i++)
            show_text(screen, true, "duty", "%s", plan->duties[i]);
    } else {
        print_changes(screen, plan);
    }
    for (size_t i = 0; i < RELAY_FILES; i++)
        show_diff(screen, as_json, plan->relay->path[i], &plan->relay->text[i], &after[i]);
    show_files(screen, as_json, plan->takeover);
    if (as_json)
        return;
    print_texts(screen, "Left as it is, and wrong; yours to mend:", plan->duties, plan->duty_count);
    print_texts(screen, "Left as it is:", plan->remarks, plan->remark_count);
}

void show_text(const struct screen *screen, bool as_json, const char *kind, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    va_end(arguments);
    if (as_json)
        output_line(json_pack("{s:s, s:o}", "kind", kind, "text", output_text(text)));
    else
        print_wrapped(screen, text, 0);
    free(text);
}

bool show_confirm(const char *question)
{
    char answer[16];
    printf("\n%s [y/N] ", question);
    fflush(stdout);
    bool is_yes =
        fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
    if (!is_yes)
        puts("Nothing was changed.");
    return is_yes;
}
