/* show.h - what setup says */
#ifndef POST365_CTL_SETUP_SHOW_H
#define POST365_CTL_SETUP_SHOW_H

#include "ctl/screen.h"
#include "ctl/setup/plan.h"

#include <stdbool.h>
#include <stddef.h>

/* The changes with their sentences, then the diff, then the remarks. `after` are the files as they
 * would be. */
void show_plan(const struct screen *screen, bool as_json, const struct plan *plan,
               const struct text after[]);

/* What differs in a file; nothing where nothing does. */
void show_diff(const struct screen *screen, bool as_json, const char *path,
               const struct text *before, const struct text *after);

/* A paragraph. With `as_json` an object {kind: text}. */
__attribute__((format(printf, 4, 5))) void show_text(const struct screen *screen, bool as_json,
                                                     const char *kind, const char *format, ...);

/* Asks on the terminal whether to go on. */
bool show_confirm(const char *question);

#endif
