/* renewal.h - a new token before an account's mail goes again */
#ifndef POST365_CTL_OAUTH2_RENEWAL_H
#define POST365_CTL_OAUTH2_RENEWAL_H

#include "ctl/command.h"

/* Has post365-tokend ask for a new token of the account, now; nothing where it does not log in with
 * OAuth2. Says, on stderr and stdout, what stands in the way. COMMAND_FINE if nothing does, else
 * COMMAND_ATTENTION. */
int renewal_ask(const struct command_call *call, const struct settings *settings,
                const char *account);

#endif
