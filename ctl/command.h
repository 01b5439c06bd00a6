/* command.h - what the subcommands of post365 share */
#ifndef POST365_CTL_COMMAND_H
#define POST365_CTL_COMMAND_H

#include "common/ledger_client.h"
#include "common/settings.h"
#include "ctl/screen.h"

#include <getopt.h>
#include <stdbool.h>

/* Exit statuses, besides those of sysexits.h. */
#define COMMAND_FINE      0
#define COMMAND_ATTENTION 1 /* something needs somebody's attention */
#define COMMAND_USAGE     2

/* How the program was called, for all subcommands. */
struct command_call {
    const char *config_directory; /* -c, or NULL */
    const char **overrides;       /* -o, NULL-terminated */
    struct screen screen;
};

struct command {
    const char *name;
    const char *arguments; /* for the usage line */
    const char *summary;   /* one line */
    const char *help;      /* lines, what the summary leaves out */
    /* `argv[0]` is the subcommand's name. Returns the exit status. */
    int (*run)(struct command_call *call, int argc, char *argv[]);
};

int explain_run(struct command_call *call, int argc, char *argv[]);
int status_run(struct command_call *call, int argc, char *argv[]);
int queue_run(struct command_call *call, int argc, char *argv[]);
int history_run(struct command_call *call, int argc, char *argv[]);
int pause_run(struct command_call *call, int argc, char *argv[]);
int resume_run(struct command_call *call, int argc, char *argv[]);
int doctor_run(struct command_call *call, int argc, char *argv[]);
int setup_run(struct command_call *call, int argc, char *argv[]);
int login_run(struct command_call *call, int argc, char *argv[]);
int logout_run(struct command_call *call, int argc, char *argv[]);
int token_run(struct command_call *call, int argc, char *argv[]);
int oauth2_run(struct command_call *call, int argc, char *argv[]);

/* Says what is wrong on stderr, as screen_text() shows it, and returns `status`. */
__attribute__((format(printf, 2, 3))) int command_fail(int status, const char *format, ...);

/* Reads an option as getopt_long(3) with these names does; there are none of one letter. Returns
 * its `val`, -1 at the end, or '?' after having said what is wrong. */
int command_option(int argc, char *argv[], const struct option options[]);

/* COMMAND_FINE if these could be accounts; else says which is none, and returns COMMAND_USAGE. */
int command_check_accounts(char *const names[], size_t count);

/* Settings, and a connection to the ledger. False after having said why not: `*status` is the exit
 * status. Release with command_close(). */
struct command_ledger {
    struct settings *settings;
    struct ledger_client *client;
};
bool command_open(const struct command_call *call, struct command_ledger *ledger, int *status);
void command_close(struct command_ledger *ledger);

/* Asks, and accepts no reply but a DONE; else the same as above. */
bool command_ask(struct command_ledger *ledger, const struct ledger_command *command,
                 struct ledger_reply *reply, int *status);

#endif
