/* blanks.h - text as it was before a terminal, a report or a web page broke it into lines
 *
 * Pure.
 */
#ifndef POST365_COMMON_BLANKS_H
#define POST365_COMMON_BLANKS_H

#include "common/buffer.h"

#include <stddef.h>

/* Appends `length` bytes of text: each run of blanks, tabs and line breaks (those of Unicode, too)
 * is one blank, and none is at the beginning or the end. Bytes that are no UTF-8 stay as they are.
 */
void blanks_fold(struct buffer *folded, const char *text, size_t length);

#endif
