/* attr_socket.h - the way to a daemon's UNIX socket on which attr.h is spoken */
#ifndef POST365_COMMON_ATTR_SOCKET_H
#define POST365_COMMON_ATTR_SOCKET_H

#include "common/error.h"
#include "common/settings.h"
#include "common/socket.h"

#include <stdbool.h>

/* Who answers there, for messages. */
struct attr_peer {
    const char *program;   /* also its systemd unit */
    const char *parameter; /* of main.cf, that says where */
};

/* Where `value`, the parameter's, is. False with the reason. */
bool attr_socket_find(const struct attr_peer *peer, const char *value,
                      const struct settings *settings, struct socket_place *place,
                      struct error *error);

/* Connects without waiting. Returns a non-blocking close-on-exec descriptor, the caller's, or -1
 * with the reason and the remedy, and errno: EAGAIN when it would work a little later. */
int attr_socket_connect(const struct attr_peer *peer, const struct socket_place *place,
                        struct error *error);

/* What a read or write that ended the connection says about it: `reason` is an errno, or 0 where
 * the peer closed it. Always returns false. */
bool attr_socket_explain_loss(const struct attr_peer *peer, int reason, struct error *error);

/* Puts in front of what is wrong with a reply what that means. Always returns false. */
bool attr_socket_explain_garbage(const struct attr_peer *peer, struct error *error);

#endif
