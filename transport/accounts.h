/* accounts.h - the sockets of the accounts
 *
 * Each account that has credentials gets a socket of its own, accounts/<UPN> beside
 * post365_transport_socket: a destination of its own for Postfix, which then schedules the accounts
 * apart, so that an account without room does not hold up another.
 */
#ifndef POST365_TRANSPORT_ACCOUNTS_H
#define POST365_TRANSPORT_ACCOUNTS_H

#include "common/error.h"
#include "common/settings.h"
#include "common/socket.h"
#include "transport/credentials.h"
#include "transport/lmtp.h"

struct accounts;

/* Binds them, before root is dropped; none where the transport's own socket (`place`) is no UNIX
 * socket. NULL with the reason. */
struct accounts *accounts_listen(struct credentials *credentials, const struct settings *settings,
                                 const struct socket_place *place, struct error *error);

/* Gives the descriptors to the server. */
void accounts_serve(struct accounts *accounts, struct lmtp *server);

/* Removes the sockets and releases all; NULL is allowed. */
void accounts_remove(struct accounts *accounts);

#endif
