/* watch.h - a picture on the whole terminal, drawn again and again
 *
 * The terminal's other screen is used (xterm's control sequences, which every terminal of today and
 * the Linux console know), so that what was there is there again afterwards. A frame is written at
 * once: nothing flickers.
 */
#ifndef POST365_CTL_WATCH_H
#define POST365_CTL_WATCH_H

#include "common/buffer.h"
#include "common/error.h"
#include "ctl/screen.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends a frame, at most screen->height lines, each ended by a line feed, with no control
 * sequences but those of screen_paint(). What is more is cut off, to the right as well. It must not
 * write to the terminal itself. */
typedef void watch_draw(void *context, const struct screen *screen, struct buffer *frame);

/* Whether stdin and stdout are a terminal that can be drawn on; false with the reason. */
bool watch_is_possible(struct error *error);

/* Draws every `interval` microseconds, and whenever the terminal gets another size or a key is
 * pressed, until `q`, Ctrl-C, or the terminal's end. Ctrl-Z stops the program with the terminal as
 * it was. A signal that ends programs ends this one, too, after the terminal was put in order.
 * False with the reason if it could not begin. */
bool watch_run(struct screen *screen, int64_t interval, watch_draw *draw, void *context,
               struct error *error);

#endif
