/* text.c - main.cf, master.cf and text tables as Postfix reads them, without losing a byte */
#include "ctl/relay/text.h"

#include "common/buffer.h"
#include "common/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\f\v"

static bool is_blank(char byte)
{
    return byte != '\0' && strchr(BLANKS, byte) != NULL;
}

size_t text_line_end(const struct text *text, size_t at)
{
    const char *newline = memchr(text->data + at, '\n', text->length - at);
    return newline != NULL ? (size_t)(newline - text->data) + 1 : text->length;
}

/* Whether the line that begins here belongs to no entry. */
static bool is_comment(const struct text *text, size_t at)
{
    while (at < text->length && is_blank(text->data[at]))
        at++;
    return at >= text->length || text->data[at] == '\n' || text->data[at] == '#';
}

static void add_entry(struct text *text, size_t begin, size_t end, unsigned line)
{
    const char *name = text->data + begin;
    text->entries = memory_grow(text->entries, (text->count + 1) * sizeof(text->entries[0]));
    text->entries[text->count++] =
        (struct text_entry){.span = {begin, end},
                            .line = line,
                            .name = memory_copy_bytes(name, strcspn(name, "= \t\r\n"))};
}

void text_read(struct text *text, const char *data, size_t length)
{
    *text = (struct text){.data = memory_copy_bytes(data, length), .length = length};
    unsigned line = 1;
    for (size_t at = 0; at < length; line++) {
        size_t end = text_line_end(text, at);
        if (!is_comment(text, at)) {
            if (is_blank(data[at]) && text->count > 0)
                text->entries[text->count - 1].span.end = end;
            else
                add_entry(text, at, end, line);
        }
        at = end;
    }
}

void text_free(struct text *text)
{
    for (size_t i = 0; i < text->count; i++)
        free(text->entries[i].name);
    free(text->entries);
    free(text->data);
    *text = (struct text){.data = NULL};
}

const struct text_entry *text_find(const struct text *text, const char *name)
{
    for (size_t i = text->count; i > 0; i--)
        if (strcmp(text->entries[i - 1].name, name) == 0)
            return &text->entries[i - 1];
    return NULL;
}

const struct text_entry *text_entry_at(const struct text *text, size_t at)
{
    for (size_t i = 0; i < text->count; i++)
        if (at >= text->entries[i].span.begin && at < text->entries[i].span.end)
            return &text->entries[i];
    return NULL;
}

struct text_span text_value(const struct text *text, const struct text_entry *entry)
{
    struct text_span value = entry->span;
    value.begin += strlen(entry->name);
    while (value.begin < value.end && is_blank(text->data[value.begin]))
        value.begin++;
    if (value.begin < value.end && text->data[value.begin] == '=')
        value.begin++;
    while (value.end > value.begin &&
           (is_blank(text->data[value.end - 1]) || text->data[value.end - 1] == '\n'))
        value.end--;
    return value;
}

/* Behind the comments, if `at` is where a line begins and some begin there. */
static size_t pass_comments(const struct text *text, size_t at, size_t end)
{
    while (at > 0 && at < end && text->data[at - 1] == '\n' && is_comment(text, at))
        at = text_line_end(text, at);
    return at < end ? at : end;
}

bool text_next(const struct text *text, const char *separators, struct text_span *rest,
               struct text_span *piece)
{
    size_t at = pass_comments(text, rest->begin, rest->end);
    unsigned level = 0;
    while (at < rest->end && strchr(separators, text->data[at]) != NULL)
        at = pass_comments(text, at + 1, rest->end);
    piece->begin = at;
    while (at < rest->end && (level > 0 || strchr(separators, text->data[at]) == NULL)) {
        if (text->data[at] == '{')
            level++;
        else if (text->data[at] == '}' && level > 0)
            level--;
        at = pass_comments(text, at + 1, rest->end);
    }
    piece->end = at;
    rest->begin = at;
    return piece->end > piece->begin;
}

char *text_copy(const struct text *text, struct text_span span)
{
    struct buffer copy = {0};
    for (size_t at = span.begin; at < span.end;) {
        size_t end = text_line_end(text, at);
        bool begins = at == 0 || text->data[at - 1] == '\n';
        if (!begins || !is_comment(text, at))
            buffer_append(&copy, text->data + at, (end < span.end ? end : span.end) - at);
        at = end;
    }
    return buffer_take(&copy);
}

bool text_refers(const char *value, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = value; (at = strchr(at, '$')) != NULL;) {
        at++;
        at += *at == '{' || *at == '(';
        if (strncmp(at, name, length) == 0 && !isalnum((unsigned char)at[length]) &&
            at[length] != '_')
            return true;
    }
    return false;
}

void text_flatten(char *words)
{
    size_t length = strlen(words);
    while (length > 0 && (is_blank(words[length - 1]) || words[length - 1] == '\n'))
        words[--length] = '\0';
    for (char *at = words; (at = strpbrk(at, "\t\r\n")) != NULL;)
        *at = ' ';
}
