/* attr.c - the name=value protocol of Postfix's policy delegation
 *
 * Security: what arrives was composed by a stranger (a sender's address, a HELO name). It is
 * bounded here in every dimension, and nothing is half-read: a stream that once was malformed gives
 * no further request.
 */
#include "common/attr.h"

#include <string.h>

static enum attr_progress malformed(struct error *error, const char *reason)
{
    error_set(error, "malformed request: %s", reason);
    return ATTR_MALFORMED;
}

enum attr_progress attr_read(struct attr_reader *reader, const char *bytes, size_t available,
                             size_t *length, struct error *error)
{
    size_t readable = available < ATTR_REQUEST_MAX ? available : ATTR_REQUEST_MAX;
    for (;;) {
        const char *line = bytes + reader->line;
        const char *end = memchr(bytes + reader->scanned, '\n', readable - (size_t)reader->scanned);
        size_t line_length = (size_t)((end != NULL ? end : bytes + readable) - line);
        if (line_length > ATTR_LINE_MAX)
            return malformed(error, "a line is too long");
        if (end == NULL) {
            if (readable == ATTR_REQUEST_MAX)
                return malformed(error, "it is too long");
            reader->scanned = (uint32_t)readable;
            return ATTR_MORE;
        }
        if (line_length == 0)
            break;
        const char *equals = memchr(line, '=', line_length);
        if (equals == NULL || equals == line)
            return malformed(error, "a line is not name=value");
        if (++reader->count > ATTR_COUNT_MAX)
            return malformed(error, "too many attributes");
        reader->line += (uint32_t)line_length + 1;
        reader->scanned = reader->line;
    }
    *length = (size_t)reader->line + 1;
    if (memchr(bytes, '\0', *length) != NULL)
        return malformed(error, "a NUL byte");
    *reader = (struct attr_reader){0};
    return ATTR_REQUEST;
}

bool attr_next(const char *request, size_t length, size_t *position, struct attr *attr)
{
    const char *line = request + *position;
    size_t left = length - *position;
    const char *end = left > 1 ? memchr(line, '\n', left) : NULL;
    const char *equals = end != NULL ? memchr(line, '=', (size_t)(end - line)) : NULL;
    if (equals == NULL)
        return false;
    attr->name = line;
    attr->name_length = (size_t)(equals - line);
    attr->value = equals + 1;
    attr->value_length = (size_t)(end - attr->value);
    *position += (size_t)(end - line) + 1;
    return true;
}

bool attr_number(const struct attr *attr, uint32_t *number)
{
    uint64_t value = 0;
    for (size_t i = 0; i < attr->value_length; i++) {
        if (attr->value[i] < '0' || attr->value[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(attr->value[i] - '0');
        if (value > UINT32_MAX)
            return false;
    }
    *number = (uint32_t)value;
    return true;
}

void attr_write(struct buffer *reply, const char *name, const char *value)
{
    buffer_append_string(reply, name);
    buffer_append_char(reply, '=');
    size_t start = reply->length;
    buffer_append_string(reply, value);
    for (size_t i = start; i < reply->length; i++)
        if ((unsigned char)reply->data[i] < ' ' || reply->data[i] == 0x7f)
            reply->data[i] = ' ';
    buffer_append_char(reply, '\n');
}

void attr_write_end(struct buffer *reply)
{
    buffer_append_char(reply, '\n');
}
