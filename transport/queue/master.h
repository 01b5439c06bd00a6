/* master.h - does this Postfix run?
 *
 * Its commands complain in the log where it does not, at each try. Postfix's master(8) holds a lock
 * on pid/master.pid in the queue directory as long as it lives; only root may open that file, but
 * everybody sees in /proc/locks that it is locked.
 */
#ifndef POST365_TRANSPORT_QUEUE_MASTER_H
#define POST365_TRANSPORT_QUEUE_MASTER_H

#include <stdbool.h>

/* False: it does not. True where that cannot be told: /proc is not there, or hides it. */
bool master_runs(const char *queue_directory);

#endif
