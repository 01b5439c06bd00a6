/* subject.h - how things stand with the token of a registration or account, in words
 *
 * A subject is what has a token of its own, see common/oauth2/tokens.h. Pure: times are seconds
 * since the epoch, and given.
 */
#ifndef POST365_CTL_OAUTH2_SUBJECT_H
#define POST365_CTL_OAUTH2_SUBJECT_H

#include "common/oauth2/token_message.h"
#include "ctl/oauth2/claims.h"
#include "ctl/screen.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct subject {
    struct token_subject state;
    struct claims claims; /* all zero: not asked for */
};

/* When it is, and from when on an end is told of. */
struct subject_time {
    int64_t now;
    int64_t warn; /* seconds before the end */
};

/* The most that is wrong. */
enum subject_need {
    SUBJECT_FINE,
    SUBJECT_SOON, /* mail goes; somebody must act before something ends */
    SUBJECT_NOW,  /* mail waits, or will when the token that there is ends */
};

enum subject_need subject_need(const struct subject *subject, const struct subject_time *time);

/* How much is told. */
enum subject_extent {
    SUBJECT_BRIEF, /* how the token stands, and what is wrong */
    SUBJECT_USUAL, /* what ends when as well, and what is to be done */
    SUBJECT_WHOLE, /* all that is known */
};

/* Appends its name, and below it so much about it. */
void subject_write(const struct screen *screen, struct buffer *lines, const struct subject *subject,
                   const struct subject_time *time, enum subject_extent extent);

/* All that is known, for programs; the caller's. */
json_t *subject_json(const struct subject *subject, const struct subject_time *time);

/* Appends what an entra_row's name and a reason mean, and what to do, each in a sentence: for a
 * token that there is none of. `name` and `reason` may be "". */
void subject_write_failure(const struct screen *screen, struct buffer *lines, const char *name,
                           const char *reason, const struct screen_names *names);

#endif
