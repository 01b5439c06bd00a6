/* keeper.h - somebody always works
 *
 * Where sockets outlive their process (common/kept.h) the milter is two processes. smtpd(8) keeps a
 * connection to a milter for the whole session of its client, makes no other one when that is lost,
 * and answers 451 until the session ends: so the process that ends at a restart must not be the one
 * that serves. The first one, the keeper, does nothing but see to it that a second one works: if
 * that dies another begins at once, and who connects in between waits. When the keeper ends, the
 * worker lets go of the socket, which the next keeper has by then, and serves what is open to its
 * end.
 *
 * The worker hears of the keeper through a socket: a byte is a wish, its end is the keeper's.
 */
#ifndef POST365_MILTER_KEEPER_H
#define POST365_MILTER_KEEPER_H

#include "common/service.h"

#include <stdbool.h>

#define KEEPER_RELOAD 'r' /* to the worker: read the settings again */

/*
 * Makes a worker and returns in it, each time when there has to be another, with its end of that
 * socket; `is_first` is false in those that follow another. Never returns in the keeper, which ends
 * on SIGTERM, SIGINT and SIGHUP, and with the worker's exit status where that found the
 * configuration wrong (64, 78). What the keeper has in memory and open every worker has. Call as
 * root, if the program was started so, with one thread.
 */
int keeper_start(const struct service *service, bool *is_first);

/* By the worker, at its end of the socket: it works. */
void keeper_tell_ready(int channel);

#endif
