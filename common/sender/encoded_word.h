/* encoded_word.h - RFC 2047's encoded-words, as octets: found and made legal, never decoded */
#ifndef POST365_COMMON_SENDER_ENCODED_WORD_H
#define POST365_COMMON_SENDER_ENCODED_WORD_H

#include "common/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* encoded_word_length - octets of the encoded-word (RFC 2047, 2) that bytes begin with, or 0
 *
 * More than 75 octets are fine, and in Q encoding any printable characters but "?". */
size_t encoded_word_length(const char *bytes, size_t length);

/* encoded_word_splits - does it hold characters that a reader who does not know encoded-words takes
 * for the end of an atom, such as a comma? */
bool encoded_word_splits(const char *word, size_t length);

/* encoded_word_append - append an encoded-word so that it may stand in a phrase (RFC 2047, 5)
 *
 * The characters that split become =XX, which decodes to the same; all else is copied. */
void encoded_word_append(struct buffer *out, const char *word, size_t length);

#endif
