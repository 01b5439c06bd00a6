/* asking.h - what the subcommands that ask post365-tokend share */
#ifndef POST365_CTL_OAUTH2_ASKING_H
#define POST365_CTL_OAUTH2_ASKING_H

#include "common/oauth2/token_client.h"
#include "common/settings.h"
#include "ctl/command.h"

#include <stdbool.h>
#include <stdint.h>

/* Settings, and a connection to tokend; `client` is NULL where the settings have nothing of OAuth2,
 * and nobody is to be asked. */
struct asking {
    struct settings *settings;
    struct token_client *client;
};

/* False after having said why not: `*status` is the exit status. Release with asking_close(). */
bool asking_open(const struct command_call *call, struct asking *asking, int *status);
void asking_close(struct asking *asking);

/* A connection that waits for a reply as long as a request to the token endpoint may take, and a
 * little more. NULL with the reason. */
struct token_client *asking_connect(const struct settings *settings, struct error *error);

/* Asks; else the same as asking_open(), also where tokend refuses or is in trouble. The reply is to
 * be released. */
bool asking_ask(struct token_client *client, const struct token_command *command,
                struct token_reply *reply, int *status);

/* The same for a reply that came: says what it is if it is REFUSED or ERROR. */
bool asking_accept(const struct token_reply *reply, int *status);

/* Says that tokend does not know the account, after `what` ("cannot log in"): as it says itself,
 * or, where the settings do know it, that it has not read them. Returns the exit status. */
int asking_fail_unknown(const struct settings *settings, const char *account, const char *what,
                        const char *reason);

/* Prints why there is no token for the account, or no login, as a reply of STOPPED or LATER says.
 */
void asking_explain(const struct screen *screen, const struct settings *settings,
                    const char *account, const struct token_reply *reply);

#endif
