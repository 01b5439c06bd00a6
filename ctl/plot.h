/* plot.h - columns over time against a limit, drawn with characters
 *
 * A column has two parts, one above the other: what was there before, and what was added in it. The
 * limit is a line across all of them. Where everything is far below the limit the axis is broken
 * under that line, so that something can be seen of it. Pure: no clock, no terminal.
 */
#ifndef POST365_CTL_PLOT_H
#define POST365_CTL_PLOT_H

#include "common/buffer.h"
#include "ctl/screen.h"

#include <stddef.h>
#include <stdint.h>

#define PLOT_UNLIMITED UINT64_MAX
#define PLOT_LABEL_MAX 16

struct plot_column {
    uint64_t before;            /* below */
    uint64_t added;             /* above it */
    char label[PLOT_LABEL_MAX]; /* ASCII, under it if there is room; may be empty */
};

struct plot {
    const struct plot_column *columns;
    size_t count;    /* at least 1; plot_most_columns() at most */
    size_t expected; /* the last ones, which are still to come */
    uint64_t limit;  /* or PLOT_UNLIMITED */
    size_t height;   /* lines for the columns, at least 2; four more are for the rest */
};

/* How many columns fit. `most` is the highest value, the limit among them. */
size_t plot_most_columns(const struct screen *screen, uint64_t most);

/* Appends the lines. Columns at nine tenths of the limit and above are painted as bad. The labels
 * of later columns give way to those of earlier ones, all of them to that of the last column that
 * is not expected. */
void plot_write(const struct screen *screen, struct buffer *lines, const struct plot *plot);

/* How the two parts look. */
const char *plot_added_sign(const struct screen *screen);
const char *plot_before_sign(const struct screen *screen);

#endif
