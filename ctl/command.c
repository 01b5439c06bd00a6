/* command.c - what the subcommands of post365 share */
#include "ctl/command.h"

#include "common/address.h"
#include "common/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>

#define TIMEOUT (10 * CLOCK_SECOND) /* for the ledger */

/* Of a complaint, the names of all causes in it; what is longer is cut. */
#define TEXT_SIZE (4 * ERROR_TEXT_SIZE)

int command_fail(int status, const char *format, ...)
{
    char text[TEXT_SIZE];
    struct buffer shown = {0};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    screen_text(&shown, text); /* values of main.cf, words of the ledger's */
    fflush(stdout);
    fprintf(stderr, "post365: %s\n", shown.data);
    buffer_free(&shown);
    return status;
}

int command_option(int argc, char *argv[], const struct option options[])
{
    opterr = 0;
    int letter = getopt_long(argc, argv, "", options, NULL);
    if (letter == '?')
        command_fail(COMMAND_USAGE,
                     "%s: no such option, or its value is missing: %s; see post365 %s --help",
                     argv[0], argv[optind - 1], argv[0]);
    return letter;
}

int command_check_accounts(char *const names[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!address_is_upn(names[i]))
            return command_fail(COMMAND_USAGE, "\"%s\" is no account; write user@domain", names[i]);
    return COMMAND_FINE;
}

bool command_open(const struct command_call *call, struct command_ledger *ledger, int *status)
{
    struct error error;
    *ledger = (struct command_ledger){.settings = NULL};
    ledger->settings =
        settings_read(call->config_directory, (const char *const *)call->overrides, &error);
    if (ledger->settings == NULL) {
        *status = command_fail(EX_CONFIG, "%s", error.text);
        return false;
    }
    ledger->client = ledger_client_open(ledger->settings, TIMEOUT, &error);
    if (ledger->client != NULL)
        return true;
    *status = command_fail(EX_UNAVAILABLE, "%s", error.text);
    command_close(ledger);
    return false;
}

void command_close(struct command_ledger *ledger)
{
    ledger_client_close(ledger->client);
    settings_free(ledger->settings);
    *ledger = (struct command_ledger){.settings = NULL};
}

bool command_ask(struct command_ledger *ledger, const struct ledger_command *command,
                 struct ledger_reply *reply, int *status)
{
    struct error error;
    if (!ledger_client_ask(ledger->client, command, reply, &error))
        *status = command_fail(EX_UNAVAILABLE, "%s", error.text);
    else if (reply->result == LEDGER_REPLY_REFUSED)
        *status = command_fail(EX_NOPERM, "%s", reply->reason);
    else if (reply->result == LEDGER_REPLY_ERROR)
        *status = command_fail(EX_UNAVAILABLE, "%s", reply->reason);
    else
        return true;
    return false;
}
