/* token_socket.h - the way to post365_oauth2_socket */
#ifndef POST365_COMMON_OAUTH2_TOKEN_SOCKET_H
#define POST365_COMMON_OAUTH2_TOKEN_SOCKET_H

#include "common/error.h"
#include "common/settings.h"
#include "common/socket.h"

#include <stdbool.h>

/* Where post365_oauth2_socket is. False with the reason. */
bool token_socket_find(const struct settings *settings, struct socket_place *place,
                       struct error *error);

/* Connects without waiting. Returns a non-blocking close-on-exec descriptor, the caller's, or -1
 * with the reason and the remedy, and errno: EAGAIN when it would work a little later. */
int token_socket_connect(const struct socket_place *place, struct error *error);

/* What a read or write that ended the connection says about it: `reason` is an errno, or 0 where
 * tokend closed it. Always returns false. */
bool token_socket_explain_loss(int reason, struct error *error);

/* Puts in front of what is wrong with a reply what that means. Always returns false. */
bool token_socket_explain_garbage(struct error *error);

#endif
