/* utf8.h - characters of UTF-8 (RFC 3629) */
#ifndef POST365_COMMON_UTF8_H
#define POST365_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number of octets of the character that `bytes` begins with, of which `length` are there (at
 * least one), and its code point in `*code`. 0 if it is malformed or cut off: overlong forms,
 * surrogates and what lies beyond U+10FFFF are malformed. */
size_t utf8_decode(const char *bytes, size_t length, uint32_t *code);

/* The length of the byte order mark that Windows' editors put before a text, 0 where there is none.
 */
size_t utf8_mark_length(const char *bytes, size_t length);

/* Whether all of it is UTF-8. */
bool utf8_is_valid(const char *bytes, size_t length);

#endif
