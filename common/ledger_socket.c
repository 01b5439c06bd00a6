/* ledger_socket.c - policyd's control socket */
#include "common/ledger_socket.h"

#include "common/control.h"

const struct attr_peer ledger_peer = {.program = "post365-policyd", .parameter = CONTROL_PARAMETER};

bool ledger_socket_find(const struct settings *settings, struct socket_place *place,
                        struct error *error)
{
    return attr_socket_find(&ledger_peer, settings->control_socket, settings, place, error);
}
