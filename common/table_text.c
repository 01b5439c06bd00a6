/* table_text.c - read a texthash: file
 *
 * The format of postmap(1)'s input: "key white space value", continuation lines begin with white
 * space, comments with `#`. Postfix reads these files without a lock, and so do we; what changes
 * while it is read is not used.
 *
 * Security: may hold passwords. The file goes through one buffer of our own, wiped after use.
 */
#include "common/memory.h"
#include "common/table_backend.h"
#include "common/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct text {
    const struct table_source *source;
    struct dictionary *entries;
    struct table_warnings warnings;
    char *rest;
    char *end;
    unsigned line_number; /* of the last physical line taken */
};

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* The next physical line with something on it that is no comment, without its line end. */
static char *take_physical_line(struct text *text, char **line_end)
{
    while (text->rest < text->end) {
        char *line = text->rest;
        char *newline = memchr(line, '\n', (size_t)(text->end - line));
        *line_end = newline != NULL ? newline : text->end;
        text->rest = newline != NULL ? newline + 1 : text->end;
        text->line_number++;
        const char *first = line;
        while (first < *line_end && is_blank(*first))
            first++;
        if (first < *line_end && *first != '#')
            return line;
    }
    return NULL;
}

/* The next logical line, joined in place and ended with NUL; `number` is its first line's. */
static char *take_logical_line(struct text *text, unsigned *number, size_t *length)
{
    char *end = NULL, *more_end = NULL;
    char *line = take_physical_line(text, &end);
    while (line != NULL && is_blank(line[0])) {
        table_warn(&text->warnings, "line %u: continues nothing; line ignored", text->line_number);
        line = take_physical_line(text, &end);
    }
    if (line == NULL)
        return NULL;
    *number = text->line_number;
    for (;;) {
        char *before = text->rest;
        unsigned number_before = text->line_number;
        char *more = take_physical_line(text, &more_end);
        if (more == NULL || !is_blank(more[0])) {
            text->rest = before;
            text->line_number = number_before;
            break;
        }
        memmove(end, more, (size_t)(more_end - more));
        end += more_end - more;
    }
    /* The buffer has room for one more byte than the file. */
    *end = '\0';
    *length = (size_t)(end - line);
    return line;
}

/* Where the key ends: at the first white space outside quotes. NULL: a quote is not closed. */
static char *key_end(char *line)
{
    bool quoted = false;
    for (; *line != '\0' && (quoted || !is_blank(*line)); line++) {
        if (*line == '\\' && line[1] != '\0')
            line++;
        else if (*line == '"')
            quoted = !quoted;
    }
    return quoted ? NULL : line;
}

static void add_line(struct text *text, char *line, size_t length, unsigned number)
{
    struct table_warnings *warnings = &text->warnings;
    if (strlen(line) != length) {
        table_warn(warnings, "line %u: holds a NUL byte; line ignored", number);
        return;
    }
    char *end = key_end(line);
    if (end == NULL) {
        table_warn(warnings, "line %u: a quote is not closed; line ignored", number);
        return;
    }
    char *value = end, *value_end = line + length;
    while (is_blank(*value))
        value++;
    while (value_end > value && is_blank(value_end[-1]))
        value_end--;
    if (value == value_end) {
        table_warn(warnings, "line %u: no value; write: key, white space, value; line ignored",
                   number);
        return;
    }
    *end = '\0';
    size_t value_length = (size_t)(value_end - value);
    if (strlen(line) > TABLE_KEY_MAX || value_length > TABLE_VALUE_MAX) {
        table_warn(warnings, "line %u: longer than a table entry may be; line ignored", number);
        return;
    }
    if (end[-1] == ':')
        table_warn(warnings, "line %u: the key ends in ':'; is this an alias file?", number);
    if (!table_add(text->entries, text->source->content, line, value, value_length))
        table_warn(warnings, "line %u: the same key as on a line above; line ignored", number);
}

static struct dictionary *parse(const struct table_source *source, const char *path, char *bytes,
                                size_t length)
{
    struct text text = {.source = source,
                        .entries = table_entries_new(source->content),
                        .warnings = {.path = path},
                        .rest = bytes,
                        .end = bytes + length};
    unsigned number = 0;
    size_t line_length = 0;
    char *line;
    if (utf8_mark_length(bytes, length) > 0)
        table_warn(&text.warnings, "line 1: begins with a byte order mark, which Postfix takes as "
                                   "part of the first key; save the file without one");
    while ((line = take_logical_line(&text, &number, &line_length)) != NULL)
        add_line(&text, line, line_length, number);
    table_warn_rest(&text.warnings);
    return text.entries;
}

/* Reads up to `size` bytes; -1 with errno. */
static ssize_t read_all(int descriptor, char *bytes, size_t size)
{
    size_t length = 0;
    while (length < size) {
        ssize_t got = read(descriptor, bytes + length, size - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    return (ssize_t)length;
}

enum table_trouble table_read_text(const struct table_source *source, const char *path,
                                   struct table_contents *contents, struct error *error)
{
    struct stat before, after;
    enum table_trouble trouble = TABLE_TROUBLE_NONE;
    int descriptor =
        table_open_descriptor(path, "create it, or take the table out", &before, &trouble, error);
    if (descriptor < 0)
        return trouble;
    size_t size = (size_t)before.st_size + 1;
    char *bytes = memory_alloc(size);
    ssize_t length = read_all(descriptor, bytes, size);
    if (length < 0 || fstat(descriptor, &after) != 0) {
        error_set(error, "%s: %s; check the file system", path, strerror(errno));
        trouble = TABLE_TROUBLE_WRONG;
    } else {
        contents->state = file_state_of(&before);
        const struct file_state state_after = file_state_of(&after);
        if (length != before.st_size || !file_state_equal(&contents->state, &state_after)) {
            error_set(error, "%s: changes while it is read; try again when it is written", path);
            trouble = TABLE_TROUBLE_LATER;
        } else {
            contents->entries = parse(source, path, bytes, (size_t)length);
        }
    }
    explicit_bzero(bytes, size);
    free(bytes);
    close(descriptor);
    return trouble;
}
