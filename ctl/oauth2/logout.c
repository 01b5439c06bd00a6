/* logout.c - post365 logout: forget what a user has granted */
#include "ctl/command.h"
#include "ctl/oauth2/asking.h"

#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

/* What is stored nowhere else ends here alone; what Microsoft knows does not. */
static int say(const struct screen *screen, const char *account, const struct token_reply *reply)
{
    if (reply->result != TOKEN_REPLY_DONE)
        return command_fail(COMMAND_ATTENTION, "no login of %s is stored%s%s", account,
                            reply->reason[0] != '\0' ? ": " : "", reply->reason);
    struct buffer line = {0};
    screen_text(&line, account);
    buffer_append_string(&line, " is logged out: its refresh token is deleted, and its mail waits "
                                "until `post365 login ");
    screen_text(&line, account);
    buffer_append_string(&line, "`. At Microsoft the login is valid until it is revoked: Entra "
                                "admin centre, Users, the user, Revoke sessions.");
    screen_wrap(screen, line.data, 0);
    buffer_free(&line);
    return COMMAND_FINE;
}

int logout_run(struct command_call *call, int argc, char *argv[])
{
    static const struct option options[] = {{0}};
    struct asking asking;
    struct token_reply reply;
    int status = COMMAND_FINE;
    if (command_option(argc, argv, options) != -1)
        return COMMAND_USAGE;
    if (argc - optind != 1)
        return command_fail(COMMAND_USAGE, "usage: post365 logout ACCOUNT");
    if (command_check_accounts(argv + optind, 1) != COMMAND_FINE)
        return COMMAND_USAGE;
    const struct token_command command = {.kind = TOKEN_COMMAND_LOGOUT, .account = argv[optind]};
    if (!asking_open(call, &asking, &status))
        return status;
    if (asking.client == NULL) {
        status = command_fail(EX_CONFIG, "no account logs in with OAuth2: post365_oauth2_maps is "
                                         "empty");
    } else if (asking_ask(asking.client, &command, &reply, &status)) {
        status = say(&call->screen, argv[optind], &reply);
        token_reply_release(&reply);
    }
    asking_close(&asking);
    return status;
}
