/* main.c - post365: the admin's command
 *
 * SYNOPSIS
 *     post365 [-c DIR] [-o NAME=VALUE]... COMMAND [ARGUMENT]...
 *
 * DESCRIPTION
 *     See the table below, and post365 --help.
 *
 * DIAGNOSTICS
 *     Exit status: 0 fine, 1 something needs attention, 2 wrong usage, 65 text that makes no sense,
 *     69 post365-policyd, post365-tokend or postqueue(1) cannot be asked, 73 a file cannot be made,
 *     or is there already, 74 what was found cannot be written, 75 another setup is at work, 77 not
 *     allowed, 78 wrong configuration.
 */
#include "ctl/command.h"

#include "common/memory.h"
#include "common/service.h"

#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const struct command commands[] = {
    {"status", "[--json | --watch] [ACCOUNT]...",
     "What each account has used, when there is room, what holds it up",
     "Without ACCOUNT: all accounts that the ledger knows, and all tokens of OAuth2.\n"
     "Exit status 1 if an account is paused, a token or what it is got with needs\n"
     "attention, or a daemon does not answer; 69 if the ledger cannot be asked.\n"
     "--watch: on the whole terminal, anew every 2 s, what needs attention first;\n"
     "q ends it.\n",
     status_run},
    {"queue",
     "[--summary] [--json] [--account UPN] [--cause CAUSE]\n"
     "                     [--older TIME] [--recipient ADDRESS] [--queue QUEUE]\n"
     "       post365 queue explain [--json] QUEUE-ID\n"
     "       post365 queue flush|hold|release|delete [--yes] [FILTER]...",
     "What waits in Postfix's queue, why, what to do, and when it goes",
     "--summary: by account and cause alone. ADDRESS may be @domain.\n"
     "QUEUE is deferred, active, hold, incoming or maildrop. TIME is 30m, 2h, 1d.\n"
     "A mark behind the id: * under way, ! on hold, + coming in.\n"
     "flush, hold, release and delete take a message whole, with its other recipients.\n"
     "Exit status 1 if somebody has to do something.\n",
     queue_run},
    {"history", "[--minutes] [--json] ACCOUNT",
     "What an account sent in the last 24 hours, against its limit",
     "Recipients by hour, and when they count no more.\n"
     "--minutes: messages by minute, of the last hour.\n",
     history_run},
    {"pause", "[--for TIME] ACCOUNT [CAUSE]", "Let an account's mail wait in the queue",
     "TIME is 30m, 2h, 1d; without it until somebody resumes the account.\n", pause_run},
    {"resume", "ACCOUNT", "Let its mail go again",
     "Ends any pause, also one that an answer of Microsoft's has begun. Where the\n"
     "account logs in with OAuth2 a new token is asked for before. Exit status 1 if\n"
     "there is none.\n",
     resume_run},
    {"explain", "[--json] 'REPLY'", "What a reply of Office 365 means, and what to do",
     "REPLY may be pasted whole out of mail.log, postqueue -p or a report. It may be\n"
     "an error of Microsoft Entra (AADSTS...), or the name of a cause, as well.\n"
     "Exit status 1 if somebody has to do something about it.\n",
     explain_run},
    {"doctor", "[--json] [--force] [--send-to ADDRESS] [ACCOUNT]...",
     "What is wrong between here and Microsoft 365, and what to do",
     "Checks main.cf and master.cf, the daemons, the way to the server, and the login\n"
     "of each account, once.\n"
     "--force: logs in although the last time was less than a minute ago.\n"
     "--send-to: sends a test message through the relay, and follows it; without it\n"
     "nothing is sent. Exit status 1 if a check is not ok.\n",
     doctor_run},
    {"setup", "[--oauth2 FILE] [--apply | --undo] [--yes] [--json]",
     "What main.cf and master.cf need, as a diff with reasons",
     "Without an option nothing is changed; exit status 1 if there is something to\n"
     "change. --apply makes the changes and keeps what was there, --undo takes them\n"
     "back, also after other edits.\n"
     "--oauth2: the accounts log in with OAuth2 from then on; FILE is a registration\n"
     "file, or the configuration of sasl-xoauth2 or email-oauth2-proxy.\n"
     "--yes: without asking.\n",
     setup_run},
    {"login", "ACCOUNT", "Let a user log in at Microsoft's, so that post365 may send for him",
     "For an account whose registration has `grant = user`. Shows an address and a\n"
     "code, and waits until the user has entered it; post365-tokend keeps what comes\n"
     "of it. Exit status 1 if nothing did.\n",
     login_run},
    {"logout", "ACCOUNT", "Forget that login",
     "Its mail waits until the next one. Exit status 1 if there was none.\n", logout_run},
    {"token", "[--json] [ACCOUNT]...",
     "How each access token of OAuth2 stands, what ends when, what is wrong",
     "Without ACCOUNT: of all registrations. The token itself is never shown.\n"
     "Exit status 1 if something is wrong, or ends within post365_oauth2_warn_time.\n",
     token_run},
    {"oauth2", "certificate [--directory DIR] NAME",
     "Make a key and a certificate for an app-only registration",
     "NAME.key, of post365_oauth2_user alone, and NAME.pem, which is uploaded to Entra,\n"
     "in DIR, else in /etc/post365, beside Postfix's configuration; nothing is\n"
     "overwritten.\n",
     oauth2_run},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *stream)
{
    fputs("usage: post365 [-c DIR] [-o NAME=VALUE]... COMMAND [ARGUMENT]...\n\n", stream);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(stream, "  %-9s%s\n", commands[i].name, commands[i].summary);
    fputs("\n  -c DIR          Postfix's configuration directory\n"
          "  -o NAME=VALUE   a parameter of main.cf\n"
          "  -V, --version   the version\n"
          "\npost365 COMMAND --help tells more. Exit status: 0 fine, 1 something needs\n"
          "attention, 2 wrong usage.\n",
          stream);
}

static void print_command_help(const struct command *command)
{
    printf("usage: post365 %s %s\n\n%s.\n%s", command->name, command->arguments, command->summary,
           command->help);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* Returns the place of the subcommand, 0 if the program is done with `*status`. */
static int read_options(struct command_call *call, int argc, char *argv[], int *status)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
    size_t count = 0;
    int letter;
    call->overrides = memory_zero((size_t)argc + 1, sizeof(char *));
    while ((letter = getopt_long(argc, argv, "+c:o:V", options, NULL)) != -1) {
        if (letter == 'c') {
            call->config_directory = optarg;
        } else if (letter == 'o') {
            call->overrides[count++] = optarg;
        } else if (letter == 'V') {
            puts("post365 " POST365_VERSION);
            return 0;
        } else if (letter == 'h') {
            print_help(stdout);
            return 0;
        } else {
            *status = COMMAND_USAGE;
            return 0;
        }
    }
    if (optind == argc) {
        print_help(stderr);
        *status = COMMAND_USAGE;
        return 0;
    }
    return optind;
}

static int run(struct command_call *call, int argc, char *argv[])
{
    const struct command *command = find_command(argv[0]);
    if (command == NULL)
        return command_fail(COMMAND_USAGE, "%s: no such command; post365 --help lists them",
                            argv[0]);
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0) {
            print_command_help(command);
            return COMMAND_FINE;
        }
    optind = 0; /* begins anew, and takes options behind words, too */
    return command->run(call, argc, argv);
}

int main(int argc, char *argv[])
{
    struct command_call call = {.screen = screen_open()};
    int status = COMMAND_FINE;
    /* main.cf and its tables may hold passwords; the programs that we run inherit the limit. */
    service_forbid_core_files();
    int first = read_options(&call, argc, argv, &status);
    if (first > 0)
        status = run(&call, argc - first, argv + first);
    free(call.overrides);
    /* A pipe that was closed ends the program by SIGPIPE, a full disk is told here. */
    if (fflush(stdout) != 0 || ferror(stdout))
        return command_fail(EX_IOERR, "cannot write what was found");
    return status;
}
