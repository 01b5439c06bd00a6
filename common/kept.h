/* kept.h - listening sockets that outlive the process
 *
 * A service manager can keep descriptors for a service and give them to its next process: who
 * connects meanwhile waits, and sees no restart. That is systemd's file descriptor store
 * (sd_notify(3): FDSTORE=1, FDNAME=; sd_listen_fds(3); systemd.service(5):
 * FileDescriptorStoreMax=). Whether there is one is said by $FDSTORE, which systemd sets from
 * version 254 on, and before that the unit does. Without one nothing here does anything.
 *
 * A socket is known by its place. Not thread-safe: for one thread at the program's start.
 */
#ifndef POST365_COMMON_KEPT_H
#define POST365_COMMON_KEPT_H

#include "common/socket.h"

#include <stdbool.h>

/* Whether sockets outlive the process: then their names must stay in the file system, too. */
bool kept_is_possible(void);

/* The socket that was kept for that place: non-blocking, close-on-exec, listening; the caller's
 * from now on. -1: there is none, or its name has gone from the file system. */
int kept_take(const struct socket_place *place);

/* Has it kept from now on. It stays the caller's. */
void kept_put(int descriptor, const struct socket_place *place);

/* Lets go of what nobody has taken: the settings have changed. */
void kept_end(void);

#endif
