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

/* The line that ends at `end`, which is a request's last one if it is empty. `has_equals` is what
 * was seen of it in this call; it may have begun in an earlier one. */
static enum attr_progress take_line(struct attr_reader *reader, const char *bytes, size_t end,
                                    bool has_equals, struct error *error)
{
    const char *line = bytes + reader->line;
    size_t length = end - reader->line;
    if (length == 0)
        return ATTR_REQUEST;
    if (length > ATTR_LINE_MAX)
        return malformed(error, "a line is too long");
    if (line[0] == '=' || (!has_equals && memchr(line, '=', length) == NULL))
        return malformed(error, "a line is not name=value");
    if (++reader->count > ATTR_COUNT_MAX)
        return malformed(error, "too many attributes");
    reader->line = (uint32_t)end + 1;
    return ATTR_MORE;
}

static enum attr_progress take_request(struct attr_reader *reader, const char *bytes,
                                       size_t *length, struct error *error)
{
    *length = (size_t)reader->line + 1;
    if (memchr(bytes, '\0', *length) != NULL)
        return malformed(error, "a NUL byte");
    *reader = (struct attr_reader){0};
    return ATTR_REQUEST;
}

enum attr_progress attr_read(struct attr_reader *reader, const char *bytes, size_t available,
                             size_t *length, struct error *error)
{
    size_t readable = available < ATTR_REQUEST_MAX ? available : ATTR_REQUEST_MAX;
    bool has_equals = false;
    for (size_t at = reader->scanned; at < readable; at += BLOCK_SIZE) {
        char copy[BLOCK_SIZE];
        const char *block = block_at(bytes + at, readable - at, copy);
        uint64_t equals = block_find(block, '=');
        for (uint64_t ends = block_find(block, '\n'); ends != 0; ends &= ends - 1) {
            uint64_t before = (ends & -ends) - 1;
            has_equals |= (equals & before) != 0;
            enum attr_progress progress =
                take_line(reader, bytes, at + block_first(ends), has_equals, error);
            if (progress == ATTR_REQUEST)
                return take_request(reader, bytes, length, error);
            if (progress == ATTR_MALFORMED)
                return progress;
            equals &= ~before;
            has_equals = false;
        }
        has_equals |= equals != 0;
    }
    if (readable - reader->line > ATTR_LINE_MAX)
        return malformed(error, "a line is too long");
    if (readable == ATTR_REQUEST_MAX)
        return malformed(error, "it is too long");
    reader->scanned = (uint32_t)readable;
    return ATTR_MORE;
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

bool attr_digits(const char *digits, size_t length, uint64_t most, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = (unsigned)(unsigned char)digits[i] - '0';
        if (digit > 9 || digit > most || *number > (most - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return length > 0;
}

bool attr_number(const struct attr *attr, uint32_t *number)
{
    uint64_t value = 0;
    if (attr->value_length > 0 && !attr_digits(attr->value, attr->value_length, UINT32_MAX, &value))
        return false;
    *number = (uint32_t)value;
    return true;
}

void attr_text(const char *bytes, size_t length, char *text, size_t size)
{
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)bytes[length] & 0xc0) == 0x80)
            length--;
    }
    memcpy(text, bytes, length);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = ' ';
    text[length] = '\0';
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
