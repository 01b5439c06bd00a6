/* overview.h - what post365 status tells of OAuth2: of each token in short */
#ifndef POST365_CTL_OAUTH2_OVERVIEW_H
#define POST365_CTL_OAUTH2_OVERVIEW_H

#include "ctl/command.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Shows the tokens that the accounts `names` log in with, with count == 0 all there are; nothing
 * where the settings have nothing of OAuth2. Returns COMMAND_ATTENTION if something is wrong or
 * ends soon, or post365-tokend cannot be asked. */
int overview_show(const struct command_call *call, const struct settings *settings,
                  char *const names[], size_t count, bool as_json);

/* Appends those that need attention, waiting for tokend at most `timeout` microseconds a reply; or
 * why it cannot be asked. */
void overview_write(const struct screen *screen, struct buffer *lines,
                    const struct settings *settings, int64_t timeout);

#endif
