/* fold.c - the lines of header values: made clean, folded, unfolded */
#include "common/sender/fold.h"

#include "common/sender/octet.h"

#include <string.h>

/* A comma may follow what was folded. */
#define LINE_MAX_WITH_COMMA (FOLD_LINE_MAX - 2)

/* A run of white space is cut to this where a value is unfolded, so that it can be folded again. */
#define SPACES_MAX 32

bool fold_is_clean(const char *value, size_t length, size_t column)
{
    bool blank = false;

    for (size_t i = 0; i < length; i++) {
        if (value[i] == '\n') {
            if (blank || i + 1 == length || !octet_is_space(value[i + 1]))
                return false;
            column = 0;
            blank = true;
        } else if (octet_is_control(value[i]) || ++column > FOLD_LINE_MAX) {
            return false;
        } else if (!octet_is_space(value[i])) {
            blank = false;
        }
    }
    return !blank;
}

/* is_fold - does the LF at this place fold the line, with something to see on the next one, once
 * control characters are spaces? */
static bool is_fold(const char *bytes, size_t length, size_t at)
{
    size_t next = at + 1;

    if (next == length || !octet_is_space(bytes[next]))
        return false;
    while (next < length && bytes[next] != '\n' &&
           (octet_is_space(bytes[next]) || octet_is_control(bytes[next])))
        next++;
    return next < length && bytes[next] != '\n';
}

void fold_append_clean(struct buffer *out, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char next = '\0';
        if (i + 1 < length)
            next = bytes[i + 1];
        if (!octet_is_control(bytes[i]) || (bytes[i] == '\n' && is_fold(bytes, length, i)))
            buffer_append_char(out, bytes[i]);
        else if (!(bytes[i] == '\n' && octet_is_space(next)) && !(bytes[i] == '\r' && next == '\n'))
            buffer_append_char(out, ' ');
    }
}

void fold_append_unfolded(struct buffer *out, const char *bytes, size_t length, size_t limit)
{
    size_t spaces = 0;

    for (size_t i = 0; i < length && out->length <= limit; i++) {
        const bool broken = bytes[i] == '\r' || bytes[i] == '\n';
        const size_t after = i + (bytes[i] == '\r' && i + 1 < length && bytes[i + 1] == '\n') + 1;
        if (broken && after < length && octet_is_space(bytes[after]))
            continue;
        char byte = bytes[i];
        if (octet_is_control(byte))
            byte = ' ';
        spaces = octet_is_space(byte) ? spaces + 1 : 0;
        if (spaces <= SPACES_MAX)
            buffer_append_char(out, byte);
    }
}

const char *fold_character_start(const char *at, const char *start)
{
    const char *first = at;

    for (int i = 0; i < 3 && first > start && ((unsigned char)*first & 0xc0) == 0x80; i++)
        first--;
    return ((unsigned char)*first & 0xc0) == 0x80 ? at : first;
}

/* find_fold - where to break a line: before white space, at the width if that can be, else as soon
 * after it as possible; stop if nowhere. What is left behind is never blank, and a backslash
 * stays with what it quotes. */
static const char *find_fold(const char *line, const char *stop, size_t column)
{
    const char *best = NULL;
    const char *at = line;

    while (at < stop && octet_is_space(*at))
        at++;
    for (; at < stop && column + (size_t)(at - line) <= LINE_MAX_WITH_COMMA; at++) {
        if (best != NULL && column + (size_t)(at - line) > FOLD_LINE_WIDTH)
            break;
        if (octet_is_space(*at) && at + 1 < stop && !octet_is_space(at[1]) && at[-1] != '\\')
            best = at;
    }
    return best == NULL ? stop : best;
}

/* append_line - append one line, folded if the rule says so */
static bool append_line(struct buffer *out, const char *line, const char *stop, size_t column,
                        enum fold_rule rule)
{
    const size_t line_max = rule == FOLD_TO_WIDTH ? FOLD_LINE_WIDTH : LINE_MAX_WITH_COMMA;
    size_t width = column + (size_t)(stop - line) <= line_max ? line_max : FOLD_LINE_WIDTH;

    while (column + (size_t)(stop - line) > width) {
        const char *fold = find_fold(line, stop, column);
        const bool too_long = column + (size_t)(fold - line) > LINE_MAX_WITH_COMMA;
        if (too_long && rule == FOLD_WHERE_NEEDED)
            return false;
        if (too_long)
            fold = fold_character_start(line + LINE_MAX_WITH_COMMA - column, line + 1);
        buffer_append(out, line, (size_t)(fold - line));
        if (fold == stop)
            return true;
        buffer_append_string(out, too_long ? "\n " : "\n");
        column = too_long ? 1 : 0;
        line = fold;
    }
    buffer_append(out, line, (size_t)(stop - line));
    return true;
}

bool fold_append(struct buffer *out, const char *text, size_t length, size_t column,
                 enum fold_rule rule)
{
    const size_t before = out->length;
    const char *end = text + length;

    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        if (stop == NULL)
            stop = end;
        if (!append_line(out, text, stop, column, rule)) {
            out->length = before;
            return false;
        }
        if (stop < end)
            buffer_append_char(out, '\n');
        text = stop == end ? end : stop + 1;
        column = 0;
    }
    return true;
}

size_t fold_column(const struct buffer *value, size_t column)
{
    const char *fold = value->length == 0 ? NULL : memrchr(value->data, '\n', value->length);

    if (fold == NULL)
        return column + value->length;
    return (size_t)(value->data + value->length - fold) - 1;
}
