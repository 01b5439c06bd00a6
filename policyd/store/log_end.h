/* log_end.h - does the ledger's log go as far as its databases, and no further than it says?
 *
 * A page of a database names the log record that changed it last. A log that ends before that was
 * cut off, or is an older copy: recovery would take it for sound, lose what is behind its end, and
 * even remove a database whose making it does not find.
 */
#ifndef POST365_POLICYD_STORE_LOG_END_H
#define POST365_POLICYD_STORE_LOG_END_H

#include "common/error.h"

#include <stdbool.h>

#define STORE_PAGE_SIZE 4096

/* Before the environment is opened with recovery. A directory without databases is fine. What a
 * crash left of a record behind the log's end is overwritten with zeros: it counts for nothing, and
 * must not be taken for a record later. False with the reason and the remedy: the log ends too
 * early, or it or a database cannot be read; nothing is changed. */
bool store_log_make_sound(const char *directory, struct error *error);

#endif
