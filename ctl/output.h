/* output.h - what is said to programs: JSON, one object a line */
#ifndef POST365_CTL_OUTPUT_H
#define POST365_CTL_OUTPUT_H

#include "ctl/screen.h"

#include <jansson.h>

/* Text of others, as screen_text() shows it; null for NULL. The caller's, like all below. */
json_t *output_text(const char *text);

/* The same, as screen_text_named() shows it. */
json_t *output_text_named(const char *text, const struct screen_names *names);

/* Prints an object in the order of its making, and releases it. */
void output_line(json_t *object);

#endif
