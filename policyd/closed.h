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

/*
 * Answers on both listening sockets, which stay the caller's, and tries again, after a second and
 * then less and less often, up to once a minute. `reason` is why it could not be opened; what is
 * new about it is logged. True: an attempt has succeeded. False: the program was told to end
 * (SIGTERM, SIGINT). In delivery meter Postfix itself is told DUNNO, since nothing is counted
 * there.
 */
bool closed_until(const struct settings *settings, int policy, int control, closed_attempt *attempt,
                  void *context, const struct error *reason);

#endif
