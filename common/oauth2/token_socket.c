/* token_socket.c - tokend's socket */
#include "common/oauth2/token_socket.h"

#include "common/oauth2/tokens.h"

const struct attr_peer token_peer = {.program = "post365-tokend", .parameter = TOKENS_PARAMETER};

bool token_socket_find(const struct settings *settings, struct socket_place *place,
                       struct error *error)
{
    return attr_socket_find(&token_peer, settings->oauth2_socket, settings, place, error);
}
