/* fold.h - the lines of header values: made clean, folded, unfolded
 *
 * Values fold with LF and white space, as libmilter takes them. "Clean" text has no other line
 * breaks, no other control characters than tabs, and no blank line behind a fold, so that it can
 * neither end its header nor start another.
 */
#ifndef POST365_COMMON_SENDER_FOLD_H
#define POST365_COMMON_SENDER_FOLD_H

#include "common/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* Octets of a line, the header's name included (RFC 5322, 2.1.1): never more than the first, if
 * possible no more than the second. */
#define FOLD_LINE_MAX   998
#define FOLD_LINE_WIDTH 78

enum fold_rule {
    /* Structured: lines are folded only if they are longer than FOLD_LINE_MAX, at white space that
     * no backslash quotes. Unfolding gives the same octets. Fails if a line stays too long. */
    FOLD_WHERE_NEEDED,
    /* Unstructured: lines are folded at FOLD_LINE_WIDTH, and words that are longer than a line are
       broken. */
    FOLD_TO_WIDTH
};

/* fold_is_clean - is a value clean as it is, its lines no longer than FOLD_LINE_MAX?
 *
 * column is where the value starts: the octets of the name, the colon and a space. */
bool fold_is_clean(const char *value, size_t length, size_t column);

/* fold_append_clean - append text, cleaned
 *
 * Folds stay; of other line breaks and control characters a space stays, or nothing where there is
 * white space anyway. */
void fold_append_clean(struct buffer *out, const char *bytes, size_t length);

/* fold_append_unfolded - append a raw value as one clean line
 *
 * Long runs of white space are cut. Stops when out holds more than limit octets. */
void fold_append_unfolded(struct buffer *out, const char *bytes, size_t length, size_t limit);

/* fold_append - append clean text whose first line starts at a column, folded by a rule
 *
 * False leaves out as it was; FOLD_TO_WIDTH does not fail. */
bool fold_append(struct buffer *out, const char *text, size_t length, size_t column,
                 enum fold_rule rule);

/* fold_column - where the next octet goes, in a value that starts at a column */
size_t fold_column(const struct buffer *value, size_t column);

/* fold_character_start - at, or the start of the UTF-8 character that it is inside of
 *
 * Reads *at; never goes before start. */
const char *fold_character_start(const char *at, const char *start);

#endif
