/* account_text.h - an account's status, for people */
#ifndef POST365_CTL_ACCOUNT_TEXT_H
#define POST365_CTL_ACCOUNT_TEXT_H

#include "common/ledger_message.h"
#include "ctl/screen.h"

#include <stdbool.h>

/* Whether nothing is sent for it now; false while it is only to be probed. `reply` is one to
 * LEDGER_COMMAND_STATUS, here as below. */
bool account_is_paused(const struct ledger_reply *reply);

/* Appends its name, what it has used, when there is room and what holds it up: a few lines. */
void account_write(const struct screen *screen, struct buffer *lines,
                   const struct ledger_reply *reply);

#endif
