/* revert.h - take back what a record says, whatever else has been edited since */
#ifndef POST365_CTL_SETUP_REVERT_H
#define POST365_CTL_SETUP_REVERT_H

#include "common/buffer.h"
#include "ctl/relay/text.h"
#include "ctl/setup/record.h"

#include <stddef.h>

/* A change that is left as it is, since somebody else has changed the same thing. */
struct revert_left {
    char *name; /* of the parameter or service */
    char *was;  /* what stood there before setup; "" if nothing did */
};

struct revert {
    struct buffer result;
    struct revert_left *left;
    size_t left_count;
};

/* Makes of the file as it is now what it would be without the changes: what was there byte for
 * byte, where nothing else was edited. Of another edit every byte stays. Doing it again changes
 * nothing. Release with revert_free(). */
void revert_make(const struct text *now, const struct record_file *file, struct revert *revert);
void revert_free(struct revert *revert);

#endif
