/* diff.c - two states of a file, as a unified diff without passwords */
#include "ctl/setup/diff.h"

#include "common/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXT 3
#define HIDDEN  "(not shown: it may hold a password)"
#define CELLS   ((size_t)16 << 20) /* of the comparison; beyond, what lies between is one change */
#define NO_END  "\\ No newline at end of file\n"

/* A line of one of the texts. */
struct line {
    struct text_span span;
    bool is_secret;
};

struct lines {
    const struct text *text;
    struct line *list;
    size_t count;
};

/* ' ', '-' or '+' with the line's number in its text. */
struct step {
    char mark;
    size_t at;
};

struct steps {
    struct step *list;
    size_t count;
};

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
                                        "sender_canonical_maps", "transport_maps"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* "name = type:/file": the password is elsewhere. */
static bool names_file(const char *entry)
{
    const char *value = entry + strcspn(entry, "=");
    return has(value, ":/") && !is_literal(value);
}

static bool is_secret_entry(const char *name, const char *entry)
{
    if (has(name, "pass") || has(name, "_pw") || has(name, "secret"))
        return !names_file(entry);
    return (is_literal(entry) && !is_harmless(name)) || has(entry, "password=") ||
           has(entry, "password ") || has(entry, "passwd=");
}

static bool is_secret(const struct text *text, struct text_span line)
{
    const struct text_entry *entry = text_entry_at(text, line.begin);
    char *words = memory_copy_bytes(text->data + line.begin, line.end - line.begin);
    bool secret;
    if (words[strspn(words, " \t")] == '#' || entry == NULL) {
        secret = is_literal(words) || (has(words, "pass") && !names_file(words));
    } else {
        char *whole = text_copy(text, entry->span);
        secret = is_secret_entry(entry->name, whole);
        free(whole);
    }
    free(words);
    return secret;
}

/* --- comparing --- */

static struct lines split(const struct text *text)
{
    struct lines lines = {.text = text};
    for (size_t at = 0; at < text->length;) {
        size_t end = text_line_end(text, at);
        const struct text_span span = {at, end};
        lines.list = memory_grow(lines.list, (lines.count + 1) * sizeof(lines.list[0]));
        lines.list[lines.count++] = (struct line){span, is_secret(text, span)};
        at = end;
    }
    return lines;
}

static bool same(const struct lines *one, size_t i, const struct lines *other, size_t j)
{
    const struct text_span a = one->list[i].span, b = other->list[j].span;
    return a.end - a.begin == b.end - b.begin &&
           memcmp(one->text->data + a.begin, other->text->data + b.begin, a.end - a.begin) == 0;
}

static void add_step(struct steps *steps, char mark, size_t at)
{
    steps->list[steps->count++] = (struct step){mark, at};
}

/* What lies between the lines that both have at their beginning and at their end: by the longest
 * common subsequence, where that is not too long. length[i][j] is that of what begins there. */
static void compare(const struct lines *one, size_t from, size_t until, const struct lines *other,
                    size_t other_from, size_t other_until, struct steps *steps)
{
    size_t rows = until - from, columns = other_until - other_from, i = 0, j = 0;
    bool is_long = (rows + 1) * (columns + 1) > CELLS;
    uint32_t *length = memory_zero(is_long ? 1 : (rows + 1) * (columns + 1), sizeof(length[0]));
#define AT(row, column) length[(row) * (columns + 1) + (column)]
    for (size_t row = rows; !is_long && row-- > 0;)
        for (size_t column = columns; column-- > 0;) {
            uint32_t below = AT(row + 1, column), right = AT(row, column + 1);
            AT(row, column) = same(one, from + row, other, other_from + column)
                                  ? AT(row + 1, column + 1) + 1
                                  : (below > right ? below : right);
        }
    while (i < rows || j < columns) {
        if (!is_long && i < rows && j < columns && same(one, from + i, other, other_from + j)) {
            add_step(steps, ' ', from + i++);
            j++;
        } else if (i < rows && (is_long || j == columns || AT(i + 1, j) >= AT(i, j + 1))) {
            add_step(steps, '-', from + i++);
        } else {
            add_step(steps, '+', other_from + j++);
        }
    }
#undef AT
    free(length);
}

static struct steps find_steps(const struct lines *before, const struct lines *after)
{
    struct steps steps = {.list =
                              memory_zero(before->count + after->count + 1, sizeof(struct step))};
    size_t head = 0, tail = 0;
    size_t least = before->count < after->count ? before->count : after->count;
    while (head < least && same(before, head, after, head))
        head++;
    while (tail < least - head &&
           same(before, before->count - 1 - tail, after, after->count - 1 - tail))
        tail++;
    for (size_t i = 0; i < head; i++)
        add_step(&steps, ' ', i);
    compare(before, head, before->count - tail, after, head, after->count - tail, &steps);
    for (size_t i = before->count - tail; i < before->count; i++)
        add_step(&steps, ' ', i);
    return steps;
}

/* --- writing --- */

static void write_line(const struct screen *screen, const struct lines *lines,
                       const struct step *step, struct buffer *output)
{
    static const enum screen_style styles[] = {['-'] = SCREEN_BAD, ['+'] = SCREEN_GOOD};
    const struct line *line = &lines->list[step->at];
    char *words =
        memory_copy_bytes(lines->text->data + line->span.begin, line->span.end - line->span.begin);
    struct buffer shown = {0};
    bool ends = words[strlen(words) - 1] == '\n';
    words[strcspn(words, "\n")] = '\0';
    buffer_append_char(&shown, step->mark);
    /* A tabulator does no harm, and a layout has some. */
    char *rest = line->is_secret ? HIDDEN : words, *part = memory_copy(rest), *next = part;
    for (char *cell; (cell = strsep(&next, "\t")) != NULL;) {
        screen_text(&shown, cell);
        buffer_append_string(&shown, next != NULL ? "\t" : "");
    }
    screen_paint(screen, output, step->mark == ' ' ? SCREEN_PLAIN : styles[(int)step->mark],
                 shown.data);
    buffer_append_string(output, ends ? "\n" : "\n" NO_END);
    free(part);
    free(words);
    buffer_free(&shown);
}

/* "12,3": where no line is, the one before is named. */
static void write_range(struct buffer *output, char mark, size_t passed, size_t count)
{
    buffer_format(output, "%c%zu", mark, count > 0 ? passed + 1 : passed);
    if (count != 1)
        buffer_format(output, ",%zu", count);
}

/* The steps from `begin` up to `end`, before which `passed` lines of each text have gone. */
static void write_hunk(const struct screen *screen, const struct lines *before,
                       const struct lines *after, const struct steps *steps, size_t begin,
                       size_t end, const size_t passed[2], struct buffer *output)
{
    struct buffer head = {0};
    size_t count[2] = {0};
    for (size_t i = begin; i < end; i++) {
        count[0] += steps->list[i].mark != '+';
        count[1] += steps->list[i].mark != '-';
    }
    buffer_append_string(&head, "@@ ");
    write_range(&head, '-', passed[0], count[0]);
    buffer_append_char(&head, ' ');
    write_range(&head, '+', passed[1], count[1]);
    buffer_append_string(&head, " @@");
    screen_paint(screen, output, SCREEN_DIM, head.data);
    buffer_append_char(output, '\n');
    for (size_t i = begin; i < end; i++)
        write_line(screen, steps->list[i].mark == '+' ? after : before, &steps->list[i], output);
    buffer_free(&head);
}

/* Where the hunk ends whose first change is at `at`: behind CONTEXT lines in which nothing
 * changes, twice as many being the least that parts two hunks. */
static size_t end_of_hunk(const struct steps *steps, size_t at)
{
    size_t last = at;
    for (size_t i = at; i < steps->count && i <= last + 2 * CONTEXT; i++)
        if (steps->list[i].mark != ' ')
            last = i;
    return last + CONTEXT + 1 < steps->count ? last + CONTEXT + 1 : steps->count;
}

void diff_write(const struct screen *screen, const char *path, const struct text *before,
                const struct text *after, struct buffer *output)
{
    struct lines one = split(before), other = split(after);
    struct steps steps = find_steps(&one, &other);
    size_t passed[2] = {0}, begin = 0;
    bool is_first = true;
    for (size_t i = 0; i < steps.count; i++) {
        if (steps.list[i].mark == ' ')
            continue;
        if (is_first)
            buffer_format(output, "--- %s\n+++ %s\n", path, path);
        is_first = false;
        size_t start = i > begin + CONTEXT ? i - CONTEXT : begin, end = end_of_hunk(&steps, i);
        passed[0] += start - begin;
        passed[1] += start - begin;
        write_hunk(screen, &one, &other, &steps, start, end, passed, output);
        for (size_t j = start; j < end; j++) {
            passed[0] += steps.list[j].mark != '+';
            passed[1] += steps.list[j].mark != '-';
        }
        begin = end;
        i = end - 1;
    }
    free(steps.list);
    free(one.list);
    free(other.list);
}
