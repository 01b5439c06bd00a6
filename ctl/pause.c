/* pause.c - post365 pause, resume: an account's mail waits, or goes again */
#include "common/clock.h"
#include "common/quota.h"
#include "common/room.h"
#include "common/upstream/credentials.h"
#include "ctl/command.h"
#include "ctl/oauth2/renewal.h"

#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#define NAMES_MAX 10 /* in a complaint */

static const char no_cause[] = "paused by hand";

/* Names of accounts, for a complaint. */
struct names {
    struct buffer text;
    size_t count;
};

static void note_name(void *context, const char *upn)
{
    struct names *names = context;
    if (names->count++ < NAMES_MAX)
        buffer_format(&names->text, "%s%s", names->count > 1 ? ", " : "", upn);
}

/* A pause of a misspelt account would hold up nobody, and nobody would know. Where the accounts
 * cannot be listed, or passwords not be read, the name is believed. */
static int check_exists(const struct settings *settings, const char *account)
{
    struct names names = {.count = 0};
    struct credential credential = {.secret = NULL};
    struct credentials *credentials = credentials_open(settings, NULL);
    int status = COMMAND_FINE;
    if (credentials == NULL)
        return status;
    credentials_each(credentials, note_name, &names);
    if (names.count > 0 && credentials_find(credentials, account, &credential, NULL) == TABLE_NONE)
        status = command_fail(COMMAND_USAGE,
                              "there is no account %s: no table has credentials for it; there are "
                              "%s%s",
                              account, names.text.data, names.count > NAMES_MAX ? " and more" : "");
    credential_release(&credential);
    credentials_close(credentials);
    buffer_free(&names.text);
    return status;
}

static int begin_pause(struct command_call *call, const struct ledger_command *command,
                       struct ledger_reply *reply)
{
    struct command_ledger ledger;
    int status = COMMAND_FINE;
    if (!command_open(call, &ledger, &status))
        return status;
    status = check_exists(ledger.settings, command->account);
    if (status == COMMAND_FINE)
        command_ask(&ledger, command, reply, &status);
    command_close(&ledger);
    return status;
}

/* The mail that goes then would come back to the pause if there were no token for it. Without one
 * it is resumed all the same: `*token` says whether there was something in the way. */
static int end_pause(struct command_call *call, const struct ledger_command *command,
                     struct ledger_reply *reply, int *token)
{
    struct command_ledger ledger;
    int status = COMMAND_FINE;
    if (!command_open(call, &ledger, &status))
        return status;
    *token = renewal_ask(call, ledger.settings, command->account);
    command_ask(&ledger, command, reply, &status);
    command_close(&ledger);
    return status;
}

int pause_run(struct command_call *call, int argc, char *argv[])
{
    static const struct option options[] = {{"for", required_argument, NULL, 'f'}, {0}};
    struct ledger_command command = {
        .kind = LEDGER_COMMAND_PAUSE, .until = LEDGER_FOREVER, .cause = no_cause};
    struct ledger_reply reply;
    struct error error;
    int64_t now = clock_now(clock_system()), period;
    int letter;
    while ((letter = command_option(argc, argv, options)) != -1) {
        if (letter == '?')
            return COMMAND_USAGE;
        if (!quota_parse_period(optarg, &period, &error))
            return command_fail(COMMAND_USAGE, "--for %s: %s", optarg, error.text);
        command.until = now + period;
    }
    if (argc - optind < 1 || argc - optind > 2)
        return command_fail(COMMAND_USAGE, "usage: post365 pause [--for TIME] ACCOUNT [CAUSE]");
    if (command_check_accounts(argv + optind, 1) != COMMAND_FINE)
        return COMMAND_USAGE;
    command.account = argv[optind];
    if (argc - optind == 2)
        command.cause = argv[optind + 1];
    int status = begin_pause(call, &command, &reply);
    if (status != COMMAND_FINE)
        return status;
    struct buffer line = {0};
    screen_text(&line, reply.account);
    buffer_append_string(&line, " is paused until ");
    room_write_until(&line, reply.pause.until, now);
    puts(line.data);
    buffer_free(&line);
    return COMMAND_FINE;
}

int resume_run(struct command_call *call, int argc, char *argv[])
{
    static const struct option options[] = {{0}};
    struct ledger_reply reply;
    int token = COMMAND_FINE;
    if (command_option(argc, argv, options) != -1)
        return COMMAND_USAGE;
    if (argc - optind != 1)
        return command_fail(COMMAND_USAGE, "usage: post365 resume ACCOUNT");
    if (command_check_accounts(argv + optind, 1) != COMMAND_FINE)
        return COMMAND_USAGE;
    const struct ledger_command command = {.kind = LEDGER_COMMAND_RESUME, .account = argv[optind]};
    int status = end_pause(call, &command, &reply, &token);
    if (status != COMMAND_FINE)
        return status;
    if (reply.result == LEDGER_REPLY_UNKNOWN)
        printf("%s was not paused\n", argv[optind]);
    else
        printf("%s is resumed; its deferred mail is tried within seconds\n", argv[optind]);
    return token;
}
