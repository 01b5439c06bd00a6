/* screen.h - what is shown, on a terminal or elsewhere
 *
 * Colours on a terminal alone, and not with NO_COLOR (no-color.org). Whatever comes from outside is
 * shown with its control characters made visible: a reason in the queue is somebody else's text.
 */
#ifndef POST365_CTL_SCREEN_H
#define POST365_CTL_SCREEN_H

#include "common/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum screen_style { SCREEN_PLAIN, SCREEN_GOOD, SCREEN_BAD, SCREEN_DIM, SCREEN_BOLD };

struct screen {
    bool has_colour;
    bool has_utf8;
    size_t width;  /* columns; SCREEN_WIDTH where there is no terminal */
    size_t height; /* lines; SCREEN_HEIGHT likewise */
};

#define SCREEN_WIDTH  100
#define SCREEN_HEIGHT 24

/* What stdout is. Sets the program's locale. */
struct screen screen_open(void);

/* Reads width and height anew: the terminal may have another size by now. */
void screen_measure(struct screen *screen);

/* Appends text of others: control characters and what is no UTF-8 become `?`. Of nothing `line`
 * becomes "", not NULL. */
void screen_text(struct buffer *line, const char *text);

/* What a remedy is about; NULL: not known, and its place is shown as it stands. */
struct screen_names {
    const char *account;      /* <UPN> */
    const char *client_id;    /* <client id> */
    const char *tenant;       /* <tenant> */
    const char *registration; /* <registration>: its file */
};

/* The same, with these names in their places. */
void screen_text_named(struct buffer *line, const char *text, const struct screen_names *names);

/* The same with the account's alone, which may be NULL. */
void screen_text_about(struct buffer *line, const char *text, const char *account);

/* Appends text of ours in a style. */
void screen_paint(const struct screen *screen, struct buffer *line, enum screen_style style,
                  const char *text);

/* Appends a bar of `width` columns, of which used / limit are full (rounded up, so that something
 * is seen of little; all of them where it is more). */
void screen_bar(const struct screen *screen, struct buffer *line, uint64_t used, uint64_t limit,
                size_t width);

/* Appends text of others in exactly so many columns: what is too long is cut, what is too short is
 * followed by blanks. A character is taken for one column. */
void screen_column(const struct screen *screen, struct buffer *line, const char *text,
                   size_t columns);

/* Appends how long ago something was, in one unit: "45s", "12m", "3h", "2d". Microseconds. */
void screen_age(struct buffer *line, int64_t age);

/* Prints text of ours, or what screen_text() made, broken into lines at blanks; each after the
 * first is indented by `indent` columns, at which the first one begins already. */
void screen_wrap(const struct screen *screen, const char *text, size_t indent);
/* The same, appended. */
void screen_append_wrapped(const struct screen *screen, struct buffer *lines, const char *text,
                           size_t indent);

#endif
