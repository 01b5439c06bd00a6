/* ledger_socket.h - policyd's control socket */
#ifndef POST365_COMMON_LEDGER_SOCKET_H
#define POST365_COMMON_LEDGER_SOCKET_H

#include "common/attr_socket.h"

extern const struct attr_peer ledger_peer;

/* Where post365_control_socket is. False with the reason. */
bool ledger_socket_find(const struct settings *settings, struct socket_place *place,
                        struct error *error);

#endif
