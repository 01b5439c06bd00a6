/* renewal.c - a new token before an account's mail goes again */
#include "ctl/oauth2/renewal.h"

#include "common/oauth2/registrations.h"
#include "ctl/oauth2/asking.h"

static int say(const struct screen *screen, const struct settings *settings, const char *account,
               const struct token_reply *reply)
{
    if (reply->result == TOKEN_REPLY_DONE || reply->result == TOKEN_REPLY_NONE)
        return COMMAND_FINE;
    if (reply->result != TOKEN_REPLY_LATER && reply->result != TOKEN_REPLY_STOPPED)
        return command_fail(COMMAND_ATTENTION, "no new token for %s: %s", account, reply->reason);
    asking_explain(screen, settings, account, reply);
    return command_fail(COMMAND_ATTENTION, "there is no new token for %s", account);
}

int renewal_ask(const struct command_call *call, const struct settings *settings,
                const char *account)
{
    const struct token_command command = {.kind = TOKEN_COMMAND_RENEW, .account = account};
    struct token_reply reply;
    struct error error;
    if (!registrations_in_use(settings))
        return COMMAND_FINE;
    struct token_client *client = asking_connect(settings, &error);
    int status = COMMAND_ATTENTION;
    if (client != NULL && token_client_ask(client, &command, &reply, &error)) {
        status = say(&call->screen, settings, account, &reply);
        token_reply_release(&reply);
    } else {
        command_fail(0, "%s", error.text);
    }
    token_client_close(client);
    return status;
}
