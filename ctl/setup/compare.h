/* compare.h - which lines two texts have in common */
#ifndef POST365_CTL_SETUP_COMPARE_H
#define POST365_CTL_SETUP_COMPARE_H

#include "ctl/relay/text.h"

#include <stddef.h>

/* A line of one text or of both, with its line end. Where it is not, its span is empty, and lies
 * where it would be. */
struct compare_step {
    char mark; /* ' ' in both, '-' in the first alone, '+' in the second alone */
    struct text_span one;
    struct text_span other;
};

struct compare {
    struct compare_step *steps; /* in the order of both texts; of a change first what goes */
    size_t count;
};

/* Compares by the longest common subsequence. Release with compare_free(). */
void compare_texts(const struct text *one, const struct text *other, struct compare *compare);
void compare_free(struct compare *compare);

/* Where in the other text the place is that a line end or beginning of the first has. */
size_t compare_place(const struct text *one, size_t at, const struct text *other);

#endif
