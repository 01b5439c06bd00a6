/* xtext.h - xtext, the form that parameters of DSN have in commands
 *
 * RFC 3461 section 4: visible ASCII, but `+` only before two hexadecimal digits that stand for an
 * octet, and no `=`.
 */
#ifndef POST365_COMMON_XTEXT_H
#define POST365_COMMON_XTEXT_H

#include "common/buffer.h"

#include <stdbool.h>

/* Appends `text` as xtext: what Postfix writes, too. */
void xtext_append(struct buffer *xtext, const char *text);

/* Appends the octets that `xtext` stands for. False if it is no xtext or holds a NUL; then what was
 * appended is of no use. Read as widely as Postfix does: digits in either case, any other octet but
 * `+` for itself. */
bool xtext_decode(struct buffer *text, const char *xtext);

#endif
