/* diff.c - two states of a file, as a unified diff without passwords */
#include "ctl/setup/diff.h"

#include "common/memory.h"
#include "ctl/setup/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXT ((size_t)3) /* lines */
#define HIDDEN  "(not shown: it may hold a password)"
#define STEPS   3 /* from a password to the parameter that it is written in */
#define NO_END  "\\ No newline at end of file\n"

/* --- what is not shown --- */

static bool has(const char *text, const char *word)
{
    return strcasestr(text, word) != NULL;
}

/* A table that is written where it is used. */
static bool is_literal(const char *text)
{
    return has(text, "inline:") || has(text, "static:");
}

/* Parameters of Postfix whose tables hold no passwords, in which something is changed. */
static bool is_harmless(const char *name)
{
    static const char *const names[] = {"sender_dependent_default_transport_maps",
                                        "sender_canonical_maps", "transport_maps",
                                        "post365_oauth2_maps"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* "name = type:/file", or a file that a registration names: the password is elsewhere. */
static bool names_file(const char *entry)
{
    const char *value = entry + strcspn(entry, "=");
    return (has(value, ":/") || has(entry, "client_secret_file = /")) && !is_literal(value);
}

static bool is_secret_entry(const char *name, const char *entry)
{
    if (has(name, "pass") || has(name, "_pw") || has(name, "secret"))
        return !names_file(entry);
    return (is_literal(entry) && !is_harmless(name)) || has(entry, "password=") ||
           has(entry, "password ") || has(entry, "passwd=");
}

/* Whether an entry is a secret, or such a one is made with it, by way of `steps` others at most. */
static bool hides(const struct text *text, const struct text_entry *entry, unsigned steps)
{
    char *whole = text_copy(text, entry->span);
    bool secret = is_secret_entry(entry->name, whole);
    free(whole);
    for (size_t i = 0; i < text->count && steps > 0 && !secret; i++) {
        char *other = text_copy(text, text->entries[i].span);
        secret = text_refers(other, entry->name) && hides(text, &text->entries[i], steps - 1);
        free(other);
    }
    return secret;
}

/* "smtpd pass - - y - - smtpd", also behind a comment's mark: in master.cf that is a type. */
static bool is_service(const char *words)
{
    char name[64], type[16], fields[5][16], command[64];
    words += strspn(words, "# \t");
    return sscanf(words, "%63s %15s %15s %15s %15s %15s %15s %63s", name, type, fields[0],
                  fields[1], fields[2], fields[3], fields[4], command) == 8 &&
           strcmp(type, "pass") == 0 && strlen(fields[0]) == 1 && strlen(fields[1]) == 1 &&
           strlen(fields[2]) == 1 && !has(name, "pass") && !has(command, "pass");
}

static bool is_secret(const struct text *text, struct text_span line)
{
    const struct text_entry *entry = text_entry_at(text, line.begin);
    char *words = memory_copy_bytes(text->data + line.begin, line.end - line.begin);
    bool secret;
    if (is_service(words)) {
        secret = false;
    } else if (words[strspn(words, " \t")] == '#' || entry == NULL) {
        secret = is_literal(words) || (has(words, "pass") && !names_file(words));
    } else {
        secret = hides(text, entry, STEPS);
    }
    free(words);
    return secret;
}

/* --- writing --- */

/* The two texts and what is to be said of them. */
struct diff {
    const struct screen *screen;
    const struct text *before;
    const struct text *after;
    struct compare compare;
    struct buffer *output;
};

static void write_line(const struct diff *diff, const struct compare_step *step)
{
    static const enum screen_style styles[] = {
        [' '] = SCREEN_PLAIN, ['-'] = SCREEN_BAD, ['+'] = SCREEN_GOOD};
    const struct text *text = step->mark == '+' ? diff->after : diff->before;
    const struct text_span span = step->mark == '+' ? step->other : step->one;
    char *words = memory_copy_bytes(text->data + span.begin, span.end - span.begin);
    struct buffer shown = {0};
    bool ends = text->data[span.end - 1] == '\n';
    words[strcspn(words, "\n")] = '\0';
    buffer_append_char(&shown, step->mark);
    if (is_secret(text, span))
        buffer_append_string(&shown, HIDDEN);
    /* A tabulator does no harm, and a layout has some. */
    char *rest = shown.length > 1 ? NULL : words, *cell;
    while ((cell = strsep(&rest, "\t")) != NULL) {
        screen_text(&shown, cell);
        buffer_append_string(&shown, rest != NULL ? "\t" : "");
    }
    screen_paint(diff->screen, diff->output, styles[(int)step->mark], shown.data);
    buffer_append_string(diff->output, ends ? "\n" : "\n" NO_END);
    free(words);
    buffer_free(&shown);
}

/* "12,3": where no line is, the one before is named. */
static void write_range(struct buffer *head, const char *mark, size_t passed, size_t count)
{
    buffer_format(head, "%s%zu", mark, count > 0 ? passed + 1 : passed);
    if (count != 1)
        buffer_format(head, ",%zu", count);
}

/* How many of the steps are lines of the one text, and of the other. */
static void count_lines(const struct diff *diff, size_t begin, size_t end, size_t count[2])
{
    for (size_t i = begin; i < end; i++) {
        count[0] += diff->compare.steps[i].mark != '+';
        count[1] += diff->compare.steps[i].mark != '-';
    }
}

static void write_hunk(const struct diff *diff, size_t begin, size_t end)
{
    struct buffer head = {0};
    size_t passed[2] = {0}, count[2] = {0};
    count_lines(diff, 0, begin, passed);
    count_lines(diff, begin, end, count);
    write_range(&head, "@@ -", passed[0], count[0]);
    write_range(&head, " +", passed[1], count[1]);
    buffer_append_string(&head, " @@");
    screen_paint(diff->screen, diff->output, SCREEN_DIM, head.data);
    buffer_append_char(diff->output, '\n');
    for (size_t i = begin; i < end; i++)
        write_line(diff, &diff->compare.steps[i]);
    buffer_free(&head);
}

/* Where the hunk ends whose first change is at `at`: two hunks are parted by more unchanged lines
 * than both would show. */
static size_t end_of_hunk(const struct compare *compare, size_t at)
{
    size_t last = at;
    for (size_t i = at; i < compare->count && i <= last + 2 * CONTEXT + 1; i++)
        if (compare->steps[i].mark != ' ')
            last = i;
    return last + CONTEXT + 1 < compare->count ? last + CONTEXT + 1 : compare->count;
}

void diff_write(const struct screen *screen, const char *path, const struct text *before,
                const struct text *after, struct buffer *output)
{
    struct diff diff = {.screen = screen, .before = before, .after = after, .output = output};
    struct compare *compare = &diff.compare;
    size_t end = 0;
    compare_texts(before, after, compare);
    for (size_t i = 0; i < compare->count; i++) {
        if (i < end || compare->steps[i].mark == ' ')
            continue;
        if (end == 0)
            buffer_format(output, "--- %s\n+++ %s\n", path, path);
        size_t begin = i > end + CONTEXT ? i - CONTEXT : end;
        end = end_of_hunk(compare, i);
        write_hunk(&diff, begin, end);
    }
    compare_free(compare);
}
