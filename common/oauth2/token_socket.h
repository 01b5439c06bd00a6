/* token_socket.h - tokend's socket */
#ifndef POST365_COMMON_OAUTH2_TOKEN_SOCKET_H
#define POST365_COMMON_OAUTH2_TOKEN_SOCKET_H

#include "common/attr_socket.h"

extern const struct attr_peer token_peer;

/* Where post365_oauth2_socket is. False with the reason. */
bool token_socket_find(const struct settings *settings, struct socket_place *place,
                       struct error *error);

#endif
