/* error.h - why a function could not do what it was asked
 *
 * A function that can fail for a reason an admin must read takes a `struct error *` as its last
 * argument and returns false (or its own failure value) with the text set. The text is one line,
 * without a line end: what was tried, with which value, why it failed, and what to do.
 */
#ifndef POST365_COMMON_ERROR_H
#define POST365_COMMON_ERROR_H

#include <stdbool.h>

#define ERROR_TEXT_SIZE 1024

/* The format of a value that may have any length: what stands behind it has room, too. */
#define ERROR_SHOWN "%.200s"

struct error {
    char text[ERROR_TEXT_SIZE];
};

/* Sets the text (cut at ERROR_TEXT_SIZE). `error` may be NULL. Always returns false, so that a
 * caller may write `return error_set(error, ...)`. */
__attribute__((format(printf, 2, 3))) bool error_set(struct error *error, const char *format, ...);

/* Puts "<prefix>: " in front of the text that is there. Where both are too long together it is the
 * prefix that is cut, since reason and remedy stand behind it. Always returns false. */
__attribute__((format(printf, 2, 3))) bool error_prefix(struct error *error, const char *format,
                                                        ...);

#endif
