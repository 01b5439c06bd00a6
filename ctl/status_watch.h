/* status_watch.h - post365 status --watch */
#ifndef POST365_CTL_STATUS_WATCH_H
#define POST365_CTL_STATUS_WATCH_H

#include "ctl/command.h"

#include <stddef.h>

/* Shows the accounts `names` in their order, with count == 0 all that the ledger knows, those first
 * that need attention most, until somebody ends it. While the ledger is away it says so. Needs
 * watch_is_possible(). Returns the exit status. */
int status_watch(struct command_call *call, char *const names[], size_t count);

#endif
