/* diff.h - two states of a file, as a unified diff without passwords */
#ifndef POST365_CTL_SETUP_DIFF_H
#define POST365_CTL_SETUP_DIFF_H

#include "ctl/relay/text.h"
#include "ctl/screen.h"

#include <stdbool.h>

/* Appends it, with three lines around what differs; nothing where nothing does. What may hold a
 * password, a table that is written into main.cf for one, is replaced by words that say so. */
void diff_write(const struct screen *screen, const char *path, const struct text *before,
                const struct text *after, struct buffer *output);

#endif
