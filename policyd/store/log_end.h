/* log_end.h - does the ledger's log go as far as its databases?
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

/* Before the environment is opened with recovery. A directory without databases is fine. False with
 * the reason and the remedy: the log ends too early, or it or a database cannot be read. Nothing is
 * changed. */
bool store_log_covers_databases(const char *directory, struct error *error);

#endif
