/* asking.c - what the subcommands that ask post365-tokend share */
#include "ctl/oauth2/asking.h"

#include "common/clock.h"
#include "common/oauth2/registrations.h"
#include "ctl/oauth2/applications.h"
#include "ctl/oauth2/subject.h"

#include <stdio.h>
#include <sysexits.h>

#define MORE (10 * CLOCK_SECOND) /* than a request of tokend's own */

struct token_client *asking_connect(const struct settings *settings, struct error *error)
{
    return token_client_open(settings, settings->oauth2_timeout + MORE, error);
}

bool asking_open(const struct command_call *call, struct asking *asking, int *status)
{
    struct error error;
    *asking = (struct asking){.client = NULL};
    asking->settings =
        settings_read(call->config_directory, (const char *const *)call->overrides, &error);
    if (asking->settings == NULL) {
        *status = command_fail(EX_CONFIG, "%s", error.text);
        return false;
    }
    if (!registrations_in_use(asking->settings))
        return true;
    asking->client = asking_connect(asking->settings, &error);
    if (asking->client != NULL)
        return true;
    *status = command_fail(EX_UNAVAILABLE, "%s", error.text);
    asking_close(asking);
    return false;
}

void asking_close(struct asking *asking)
{
    token_client_close(asking->client);
    settings_free(asking->settings);
    *asking = (struct asking){.client = NULL};
}

bool asking_accept(const struct token_reply *reply, int *status)
{
    if (reply->result == TOKEN_REPLY_REFUSED)
        *status = command_fail(EX_NOPERM, "%s", reply->reason);
    else if (reply->result == TOKEN_REPLY_ERROR)
        *status = command_fail(EX_UNAVAILABLE, "%s", reply->reason);
    else
        return true;
    return false;
}

bool asking_ask(struct token_client *client, const struct token_command *command,
                struct token_reply *reply, int *status)
{
    struct error error;
    if (!token_client_ask(client, command, reply, &error)) {
        *status = command_fail(EX_UNAVAILABLE, "%s", error.text);
        return false;
    }
    if (asking_accept(reply, status))
        return true;
    token_reply_release(reply);
    return false;
}

void asking_explain(const struct screen *screen, const struct settings *settings,
                    const char *account, const struct token_reply *reply)
{
    struct applications *applications = applications_new(settings);
    const struct screen_names names = applications_names(applications, account);
    struct buffer lines = {0};
    subject_write_failure(screen, &lines, reply->cause, reply->reason, &names);
    fputs(lines.length > 0 ? lines.data : "", stdout);
    buffer_free(&lines);
    applications_free(applications);
}

int asking_fail_unknown(const struct settings *settings, const char *account, const char *what,
                        const char *reason)
{
    struct applications *applications = applications_new(settings);
    const char *registration = applications_names(applications, account).registration;
    int status;
    if (registration != NULL && registration[0] != '\0')
        status = command_fail(EX_UNAVAILABLE,
                              "post365-tokend does not know %s, which has %s in "
                              "post365_oauth2_maps: it has not read that; run: systemctl reload "
                              "post365-tokend; if it still does not know it then, journalctl -u "
                              "post365-tokend says why",
                              account, registration);
    else
        status = command_fail(COMMAND_USAGE, "%s %s: %s", account, what, reason);
    applications_free(applications);
    return status;
}
