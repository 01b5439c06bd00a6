/* header.c - a message's header, held back until it can be judged
 *
 * Of the fields only those are noted that rewrite_headers() reads: where they begin and end in what
 * was taken.
 */
#include "transport/delivery/header.h"

#include "common/buffer.h"
#include "common/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* No name that is read has more octets. */
#define NAME_MAX_READ 64

/* Small: a header may have one in seven octets, and is held for as long as its client likes. */
struct field {
    uint32_t begin, end; /* in the text: of the whole field, with its CRLF */
    uint8_t name_length; /* the name begins the field, behind a doubled dot */
};

struct header {
    struct buffer text;
    size_t line; /* where the line that is coming begins */
    size_t end;  /* where the fields end, when it is whole */
    size_t last; /* where the last field begins */
    bool has_fields;
    bool is_in_noted; /* the last field is one of those that were noted */
    bool is_whole;
    bool wants_blank; /* there is no empty line, and no field */
    struct field *fields;
    size_t count, room;
};

struct header *header_new(void)
{
    return memory_zero(1, sizeof(struct header));
}

void header_free(struct header *header)
{
    if (header == NULL)
        return;
    free(header->fields);
    buffer_free(&header->text);
    free(header);
}

/* --- taking ----------------------------------------------------------------------- */

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t';
}

static bool is_name(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    return length > 0;
}

/* The length of the name of the field that a line begins with, 0 if it begins with none. Blanks
 * before the colon are what RFC 5322 calls obsolete. */
static size_t name_length(const char *line, size_t length)
{
    const char *colon = memchr(line, ':', length);
    if (colon == NULL)
        return 0;
    while (colon > line && is_blank(colon[-1]))
        colon--;
    return is_name(line, (size_t)(colon - line)) ? (size_t)(colon - line) : 0;
}

static bool begins_with(const char *line, size_t length, const char *words)
{
    return length >= strlen(words) && memcmp(line, words, strlen(words)) == 0;
}

static void end_at(struct header *header, size_t end)
{
    header->is_whole = true;
    header->end = end;
}

static void note_field(struct header *header, const char *name, size_t length, size_t end)
{
    char copy[NAME_MAX_READ + 1];
    header->is_in_noted = false;
    if (length > NAME_MAX_READ)
        return;
    memcpy(copy, name, length);
    copy[length] = '\0';
    header->is_in_noted = rewrite_reads(copy);
    if (!header->is_in_noted)
        return;
    if (header->count == header->room) {
        header->room = header->room > 0 ? 2 * header->room : 8;
        header->fields = memory_grow(header->fields, header->room * sizeof(*header->fields));
    }
    header->fields[header->count++] = (struct field){
        .begin = (uint32_t)header->line, .end = (uint32_t)end, .name_length = (uint8_t)length};
}

/* A whole line has come, up to `end`. */
static void take_line(struct header *header, size_t end)
{
    const char *line = header->text.data + header->line;
    size_t length = end - header->line;
    bool is_stuffed = line[0] == '.';
    if (is_blank(line[0]) && header->has_fields) {
        if (header->is_in_noted)
            header->fields[header->count - 1].end = (uint32_t)end;
        header->line = end;
        return;
    }
    size_t name = name_length(line + is_stuffed, length - is_stuffed);
    if (begins_with(line, length, "\r\n")) {
        end_at(header, header->line);
    } else if (name > 0) {
        header->has_fields = true;
        header->last = header->line;
        note_field(header, line + is_stuffed, name, end);
    } else if (header->line == 0 &&
               (begins_with(line, length, "From ") || begins_with(line, length, ">From "))) {
        /* mbox: what follows is the header */
    } else {
        header->wants_blank = !header->has_fields;
        end_at(header, header->line);
    }
    header->line = end;
}

/* What has not come to its end is not judged, and nothing is put behind it. */
static void stop_here(struct header *header)
{
    const char *line = header->text.data + header->line;
    size_t length = header->text.length - header->line;
    if (header->has_fields && (length == 0 || is_blank(line[0]))) {
        header->count -= header->is_in_noted;
        end_at(header, header->last);
        return;
    }
    header->wants_blank = !header->has_fields && name_length(line, length) == 0;
    end_at(header, header->line);
}

size_t header_take(struct header *header, const char *octets, size_t length)
{
    size_t before = header->text.length;
    size_t taken = length < HEADER_MAX - before ? length : HEADER_MAX - before;
    buffer_append(&header->text, octets, taken);
    const char *text = header->text.data, *end = text + header->text.length, *at = text + before;
    while (!header->is_whole && (at = memchr(at, '\n', (size_t)(end - at))) != NULL)
        take_line(header, (size_t)(++at - text));
    if (!header->is_whole && header->text.length == HEADER_MAX)
        stop_here(header);
    return taken;
}

bool header_is_whole(const struct header *header)
{
    return header->is_whole;
}

void header_end(struct header *header)
{
    if (header->is_whole)
        return;
    header->wants_blank = !header->has_fields;
    end_at(header, header->line);
}

/* --- judging ---------------------------------------------------------------------- */

static const char *name_of(const struct header *header, const struct field *field)
{
    const char *text = header->text.data + field->begin;
    return text + (text[0] == '.');
}

static bool is_named(const struct header *header, const struct field *field, const char *name)
{
    return strlen(name) == field->name_length &&
           strncasecmp(name_of(header, field), name, field->name_length) == 0;
}

/* Appends a field's value as libmilter would give it: without the blanks before it and the CRLF
 * behind it, folded with LF. */
static void append_value(struct buffer *values, const struct header *header,
                         const struct field *field)
{
    const char *text = header->text.data + field->begin;
    const char *end = header->text.data + field->end - strlen("\r\n");
    text = (const char *)memchr(text, ':', (size_t)(end - text)) + 1;
    while (text < end && (is_blank(*text) || *text == '\r' || *text == '\n'))
        text++;
    while (text < end) {
        const char *fold = memchr(text, '\r', (size_t)(end - text));
        size_t length = (size_t)((fold != NULL ? fold : end) - text);
        buffer_append(values, text, length);
        text += length + (fold != NULL);
    }
}

/* Where the names and values stand in one text, each name with its NUL. */
static void point_at(struct rewrite_header *headers, const struct header *header, const char *text)
{
    for (size_t i = 0; i < header->count; i++) {
        headers[i].name = text;
        headers[i].value = text + header->fields[i].name_length + 1;
        text = headers[i].value + headers[i].value_length;
    }
}

enum rewrite_status header_judge(const struct header *header, const struct rewrite_rules *rules,
                                 struct rewrite_edits *edits)
{
    struct buffer text = {0};
    struct rewrite_header *headers = memory_zero(header->count + 1, sizeof(*headers));
    for (size_t i = 0; i < header->count; i++) {
        const struct field *field = &header->fields[i];
        buffer_append(&text, name_of(header, field), field->name_length);
        buffer_append_char(&text, '\0');
        size_t before = text.length;
        append_value(&text, header, field);
        headers[i].value_length = text.length - before;
    }
    point_at(headers, header, text.data);
    enum rewrite_status status = rewrite_headers(headers, header->count, rules, edits);
    free(headers);
    buffer_free(&text);
    return status;
}

/* --- writing ---------------------------------------------------------------------- */

static void append_field(struct buffer *text, const char *name, const char *value)
{
    buffer_format(text, "%s: ", name);
    for (;;) {
        size_t length = strcspn(value, "\n");
        buffer_append(text, value, length);
        buffer_append_string(text, "\r\n");
        if (value[length] == '\0')
            return;
        value += length + 1;
    }
}

/* What becomes of each field; NULL: it is left as it is. */
typedef const struct rewrite_edit *fate_of_field;

static void mark_changed(fate_of_field *fates, const struct header *header,
                         const struct rewrite_edit *edit)
{
    int number = 0;
    for (size_t i = 0; i < header->count; i++)
        if (is_named(header, &header->fields[i], edit->name) && ++number == edit->index)
            fates[i] = edit;
}

/* The deletions of one name stand together, by descending index: all of them are found in one go
 * from the last field to the first. Returns the number of the edit behind them. */
static size_t mark_deleted(fate_of_field *fates, const struct header *header,
                           const struct rewrite_edits *edits, size_t edit)
{
    const char *name = edits->items[edit].name;
    size_t next = edit;
    int number = 0;
    for (size_t i = 0; i < header->count; i++)
        number += is_named(header, &header->fields[i], name);
    for (size_t i = header->count; i-- > 0;) {
        if (!is_named(header, &header->fields[i], name))
            continue;
        if (next < edits->count && edits->items[next].action == REWRITE_DELETE &&
            edits->items[next].index == number && strcasecmp(edits->items[next].name, name) == 0) {
            fates[i] = &edits->items[next++];
        }
        number--;
    }
    return next > edit ? next : edit + 1;
}

static void mark(fate_of_field *fates, const struct header *header,
                 const struct rewrite_edits *edits)
{
    for (size_t i = 0; i < edits->count;) {
        if (edits->items[i].action == REWRITE_CHANGE)
            mark_changed(fates, header, &edits->items[i]);
        i = edits->items[i].action == REWRITE_DELETE ? mark_deleted(fates, header, edits, i)
                                                     : i + 1;
    }
}

static void append_additions(struct buffer *text, const struct header *header,
                             const struct rewrite_edits *edits)
{
    size_t before = text->length;
    for (size_t i = 0; i < edits->count; i++)
        if (edits->items[i].action == REWRITE_ADD)
            append_field(text, edits->items[i].name, edits->items[i].value);
    if (header->wants_blank && text->length > before)
        buffer_append_string(text, "\r\n");
}

/* The text with the edits made. */
static struct buffer edit_text(const struct header *header, const struct rewrite_edits *edits)
{
    struct buffer text = {0};
    size_t done = 0;
    fate_of_field *fates = memory_zero(header->count + 1, sizeof(*fates));
    mark(fates, header, edits);
    for (size_t i = 0; i < header->count; i++) {
        const struct field *field = &header->fields[i];
        if (fates[i] == NULL)
            continue;
        buffer_append(&text, header->text.data + done, field->begin - done);
        if (fates[i]->action == REWRITE_CHANGE)
            append_field(&text, fates[i]->name, fates[i]->value);
        done = field->end;
    }
    free(fates);
    if (header->text.length > 0)
        buffer_append(&text, header->text.data + done, header->end - done);
    append_additions(&text, header, edits);
    if (header->text.length > 0)
        buffer_append(&text, header->text.data + header->end, header->text.length - header->end);
    return text;
}

static void release_text(const void *data, size_t length, void *context)
{
    (void)length;
    (void)context;
    free((void *)data);
}

void header_write(struct header *header, const struct rewrite_edits *edits, struct evbuffer *out)
{
    struct buffer text = edits->count > 0 ? edit_text(header, edits) : header->text;
    if (edits->count > 0)
        buffer_free(&header->text);
    header->text = (struct buffer){0};
    size_t length = text.length;
    if (length == 0)
        buffer_free(&text);
    else
        evbuffer_add_reference(out, buffer_take(&text), length, release_text, NULL);
}
