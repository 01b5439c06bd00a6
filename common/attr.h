/* attr.h - the name=value protocol of Postfix's policy delegation
 *
 * A request is a sequence of lines `name=value`, ended by an empty line; a reply has the same form.
 * Source: SMTPD_POLICY_README, "Protocol description". A value may contain `=`, a name may not;
 * neither contains NUL or a line end.
 *
 * Reading copies nothing: the caller keeps the bytes that arrived, attr_read() says where a request
 * ends, and attr_next() walks over its attributes as pointers into those bytes. All state is
 * `struct attr_reader` (no allocation), so that an idle connection costs a few bytes. Not
 * thread-safe per reader; different readers do not share anything.
 */
#ifndef POST365_COMMON_ATTR_H
#define POST365_COMMON_ATTR_H

#include "common/block.h"
#include "common/buffer.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ATTR_LINE_MAX    8192U  /* bytes in a line, without its end */
#define ATTR_COUNT_MAX   256U   /* attributes in a request */
#define ATTR_REQUEST_MAX 65536U /* bytes in a request, its empty line included */

/* How far the request that is arriving was read. All zero before the first byte. */
struct attr_reader {
    uint32_t line;    /* where the line that is not complete begins */
    uint32_t scanned; /* no line end between `line` and here */
    uint32_t count;   /* complete attributes so far */
};

enum attr_progress {
    ATTR_MORE,      /* not complete: call again with more behind the same bytes */
    ATTR_REQUEST,   /* a whole request, empty line included, ends at *length */
    ATTR_MALFORMED, /* not this protocol; the stream cannot be trusted any further */
};

/*
 * Looks for the end of the request that begins at bytes[0], of which `available` bytes are there.
 * After ATTR_MORE call again with the same beginning and more bytes (they may have moved in
 * memory); what was read before is not read again. After ATTR_REQUEST the reader is ready for the
 * request that begins at bytes[*length]. After ATTR_MALFORMED `error` says what is wrong and the
 * reader is of no further use.
 *
 * Malformed are: a line without `=` or with nothing before it, a NUL, a line, a request or a number
 * of attributes over its maximum.
 */
enum attr_progress attr_read(struct attr_reader *reader, const char *bytes, size_t available,
                             size_t *length, struct error *error);

/* One attribute. The bytes belong to the request and have no NUL behind them. */
struct attr {
    const char *name;
    size_t name_length;
    const char *value;
    size_t value_length;
};

/* A line with an attribute, without its end. */
struct attr_line {
    const char *text;
    size_t length;
};

/*
 * A walk over the lines of a request that attr_read() found complete, for whoever is in a hurry and
 * wants a few attributes of many. It begins with {.request = ..., .length = ...}, the rest zero.
 *
 *     while (attr_next_line(&walk, &line))
 *         if (attr_named(&line, "sender", &attr))
 */
struct attr_walk {
    const char *request;
    size_t length;
    size_t line;   /* where the next one begins */
    size_t block;  /* where the next block begins */
    uint64_t ends; /* the line ends in the block before that were not reached yet */
};

/* Gives the next line. False at the end. Inline, so that the walk stays in registers. */
static inline bool attr_next_line(struct attr_walk *walk, struct attr_line *line)
{
    while (walk->ends == 0) {
        char copy[BLOCK_SIZE];
        if (walk->block >= walk->length)
            return false;
        walk->ends = block_find(
            block_at(walk->request + walk->block, walk->length - walk->block, copy), '\n');
        walk->block += BLOCK_SIZE;
    }
    size_t end = walk->block - BLOCK_SIZE + block_first(walk->ends);
    *line = (struct attr_line){walk->request + walk->line, end - walk->line};
    walk->ends &= walk->ends - 1;
    walk->line = end + 1;
    return line->length > 0;
}

/* Whether the line's attribute has this name; then `attr` is filled in. Inline: the length of a
 * constant is free. */
static inline bool attr_named(const struct attr_line *line, const char *name, struct attr *attr)
{
    size_t length = strlen(name);
    if (line->length <= length || line->text[length] != '=' ||
        memcmp(line->text, name, length) != 0)
        return false;
    *attr = (struct attr){line->text, length, line->text + length + 1, line->length - length - 1};
    return true;
}

/*
 * Gives the attribute at `*position` (0 for the first) of a request that attr_read() found
 * complete, and moves on. False at the end.
 */
bool attr_next(const char *request, size_t length, size_t *position, struct attr *attr);

/* Whether the attribute has this name, or this value. Inline, as above. */
static inline bool attr_is(const struct attr *attr, const char *name)
{
    return strlen(name) == attr->name_length && memcmp(attr->name, name, attr->name_length) == 0;
}

static inline bool attr_has_value(const struct attr *attr, const char *value)
{
    return strlen(value) == attr->value_length &&
           memcmp(attr->value, value, attr->value_length) == 0;
}

/* Reads a decimal number of at most `most`: digits only, and at least one. False if it is none, or
 * is larger; `*number` is undefined then. */
bool attr_digits(const char *digits, size_t length, uint64_t most, uint64_t *number);

/* A value that is a decimal number, digits only; an empty value is 0, as the protocol says. False
 * if it is none, or over 32 bits. */
bool attr_number(const struct attr *attr, uint32_t *number);

/* Copies a value, or any bytes, as one line for people: at most size - 1 bytes, whole characters;
 * control characters become blanks. */
void attr_text(const char *bytes, size_t length, char *text, size_t size);

/* Appends `name=value` and its line end. Line ends, NULs and other control characters in the value
 * become blanks, so that a value can never add a line. */
void attr_write(struct buffer *reply, const char *name, const char *value);

/* Appends the empty line that ends a reply. */
void attr_write_end(struct buffer *reply);

#endif
