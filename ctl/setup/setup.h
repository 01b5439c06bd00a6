/* setup.h - what --apply and --undo share */
#ifndef POST365_CTL_SETUP_SETUP_H
#define POST365_CTL_SETUP_SETUP_H

#include "ctl/command.h"

#include <stdbool.h>

struct setup_call {
    const struct command_call *command;
    const char *config_directory;
    bool as_json;
    bool is_confirmed;  /* --yes */
    const char *oauth2; /* --oauth2, an absolute path, or NULL */
};

/* Shows the plan, and with `does_apply` carries it out. Both return the exit status. */
int setup_apply(const struct setup_call *call, bool does_apply);
int setup_undo(const struct setup_call *call);

/* Keeps others from changing the same configuration until the program ends. False after having
 * said why not: `*status` is the exit status. */
bool setup_lock(const char *config_directory, int *status);

/* Says what is wrong, with foreign text in it made visible. Returns the exit status. */
int setup_fail(const struct error *error);

#endif
