/* closed.h - what policyd does while its ledger cannot be used
 *
 * A ledger that is damaged, or has no space, must not become a guess: who asks is told to try again
 * later, until somebody has mended it. The daemon stays, since Postfix takes a policy service that
 * is not there for one that has no objection.
 */
#ifndef POST365_POLICYD_CLOSED_H
#define POST365_POLICYD_CLOSED_H

#include "common/error.h"
#include "common/settings.h"

#include <stdbool.h>

/* Tries to open the ledger. False with the reason. */
typedef bool closed_attempt(void *context, struct error *error);

/* The listening sockets; they stay the caller's. */
struct closed_sockets {
    int policy, control;
    int metrics; /* -1: none */
};

/*
 * Answers on the sockets, and tries again, after a second and then less and less often, up to once
 * a minute. `reason` is why it could not be opened; what is new about it is logged. True: an
 * attempt has succeeded. False: the program was told to end (SIGTERM, SIGINT). In delivery meter
 * Postfix itself is told DUNNO, since nothing is counted there. The settings are not read again
 * meanwhile.
 */
bool closed_until(const struct settings *settings, const struct closed_sockets *sockets,
                  closed_attempt *attempt, void *context, const struct error *reason);

#endif
