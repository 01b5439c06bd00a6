/* renewal.c - a new token before an account's mail goes again */
#include "ctl/oauth2/renewal.h"

#include "ctl/oauth2/asking.h"
#include "ctl/oauth2/subject.h"

#include <stdio.h>

static int say(const struct screen *screen, const char *account, const struct token_reply *reply)
{
    const struct screen_names names = {
        .account = account,
        .registration = reply->registration[0] != '\0' ? reply->registration : NULL};
    struct buffer lines = {0};
    if (reply->result == TOKEN_REPLY_DONE || reply->result == TOKEN_REPLY_NONE)
        return COMMAND_FINE;
    if (reply->result != TOKEN_REPLY_LATER && reply->result != TOKEN_REPLY_STOPPED)
        return command_fail(COMMAND_ATTENTION, "no new token for %s: %s", account, reply->reason);
    command_fail(0, "there is no new token for %s", account);
    subject_write_failure(screen, &lines, reply->cause, reply->reason, &names);
    fputs(lines.length > 0 ? lines.data : "", stdout);
    buffer_free(&lines);
    return COMMAND_ATTENTION;
}

int renewal_ask(const struct command_call *call, const struct settings *settings,
                const char *account)
{
    const struct token_command command = {.kind = TOKEN_COMMAND_RENEW, .account = account};
    struct token_reply reply;
    struct error error;
    if (settings->oauth2_maps[0] == '\0')
        return COMMAND_FINE;
    struct token_client *client = asking_connect(settings, &error);
    int status = COMMAND_ATTENTION;
    if (client != NULL && token_client_ask(client, &command, &reply, &error)) {
        status = say(&call->screen, account, &reply);
        token_reply_release(&reply);
    } else {
        command_fail(0, "%s", error.text);
    }
    token_client_close(client);
    return status;
}
