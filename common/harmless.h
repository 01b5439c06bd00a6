/* harmless.h - text of others, on its way to people
 *
 * What a server, a client or a message says ends up in log lines, in replies and on terminals. What
 * could steer those, begin a line there, or turn the direction of what is written beside it, is not
 * let through: the control characters of ASCII (C0, DEL) and of Latin 1 (C1, U+0080 to U+009F),
 * line and paragraph separators (U+2028, U+2029), the bidirectional controls of Unicode (UAX #9:
 * U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069), and octets that are no UTF-8.
 *
 * Pure.
 */
#ifndef POST365_COMMON_HARMLESS_H
#define POST365_COMMON_HARMLESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether this character may be shown. */
bool harmless_is(uint32_t code);

/* Puts `instead`, an ASCII character, in the place of each character and octet that may not. The
 * text, which ends with a NUL, never becomes longer. Returns its new length. */
size_t harmless_make(char *text, char instead);

#endif
