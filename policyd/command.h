/* command.h - a request on the control socket, read
 *
 * The protocol is in common/control.h.
 */
#ifndef POST365_POLICYD_COMMAND_H
#define POST365_POLICYD_COMMAND_H

#include "common/address.h"
#include "common/control.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum command_kind {
    COMMAND_UNKNOWN,
    COMMAND_RESERVE,
    COMMAND_SETTLE,
    COMMAND_RELEASE,
    COMMAND_PAUSE,
    COMMAND_RESUME,
    COMMAND_NOTE,
    COMMAND_STATUS,
    COMMAND_LIST,
    COMMAND_HISTORY,
    COMMAND_SETTINGS,
    COMMANDS,
};

enum command_number {
    COMMAND_RECIPIENTS,
    COMMAND_MESSAGES,
    COMMAND_RESERVATION,
    COMMAND_WAIT, /* microseconds, as all times and durations */
    COMMAND_UNDER_WAY,
    COMMAND_DOUBTFUL,
    COMMAND_UNTIL,
    COMMAND_LEAST,
    COMMAND_MOST,
    COMMAND_AFTER,
    COMMAND_COUNT,
    COMMAND_FROM,
    COMMAND_NUMBERS,
};

struct command {
    enum command_kind kind;
    const char *mistake; /* why it cannot be done, or NULL; constant */
    char tag[CONTROL_TAG_MAX + 1];
    char account[ADDRESS_MAX + 1]; /* a valid address where it is needed; not folded */
    char cause[CONTROL_CAUSE_MAX + 1];
    uint64_t number[COMMAND_NUMBERS]; /* those that are not named are 0 */
    bool has[COMMAND_NUMBERS];
    int64_t width; /* of a slot, microseconds */
};

/* Reads a request that attr_read() found complete. */
void command_read(const char *request, size_t length, struct command *command);

/* Whether only who may change the ledger may ask for it, and whether it is about an account. */
bool command_changes(const struct command *command);
bool command_needs_account(const struct command *command);
/* Whether it has to do with the account's quota, which must be looked up. */
bool command_needs_quota(const struct command *command);

/* A number, or what it is when it is not named. */
uint64_t command_number_or(const struct command *command, enum command_number which,
                           uint64_t otherwise);

/* How much to tell at once: what is asked for, from 1 to `most`. */
size_t command_count_or(const struct command *command, size_t otherwise, size_t most);

#endif
