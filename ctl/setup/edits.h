/* edits.h - what is to be changed in a text, and what was
 *
 * An edit puts whole lines in place of whole lines; either may be none.
 */
#ifndef POST365_CTL_SETUP_EDITS_H
#define POST365_CTL_SETUP_EDITS_H

#include "common/buffer.h"
#include "ctl/relay/text.h"

#include <stddef.h>

struct edit {
    struct text_span before; /* in the text as it was */
    struct text_span after;  /* in the text as it is then; edits_apply() says */
    char *name;              /* of the parameter or service, "" where it is about none */
    char *lines;             /* what takes the place; NULL in those that were read from a record */
};

/* In the order of the text, those at one place in the order in which they came. */
struct edits {
    struct edit *list;
    size_t count;
};

/* Takes `lines` over, which is "" or ends with a line end. */
void edits_add(struct edits *edits, struct text_span before, const char *name, char *lines);
void edits_free(struct edits *edits);

/* Appends the text after all edits. Where something comes behind a last line that has no line end
 * that is an edit, too, and is added. */
void edits_apply(const struct text *text, struct edits *edits, struct buffer *after);

#endif
