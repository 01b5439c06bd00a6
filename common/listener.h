/* listener.h - who listens on a socket of this host?
 *
 * For -t: that the daemon itself runs already is no mistake of the configuration, that somebody
 * else sits on its socket is one. Source: proc(5), /proc/<pid>/comm, /proc/<pid>/fd, /proc/net/tcp.
 */
#ifndef POST365_COMMON_LISTENER_H
#define POST365_COMMON_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Whether another process runs this same program. `name` gets its name as the kernel keeps it (15
 * bytes), or "". */
bool listener_is_this_program(pid_t pid, char *name, size_t size);

/* Whether another process of this same program listens on a TCP port, whatever the address. False
 * too if that cannot be found out, as for somebody who is not root. */
bool listener_is_ours_on_port(unsigned port);

#endif
