/* account_sockets.h - the sockets of the accounts
 *
 * Each account (common/upstream/accounts.h) gets a socket of its own, accounts/<UPN> beside
 * post365_transport_socket: a destination of its own for Postfix, which then schedules the accounts
 * apart, so that an account without room does not hold up another. One that no table lists gets
 * its socket when it has logged in.
 */
#ifndef POST365_TRANSPORT_ACCOUNT_SOCKETS_H
#define POST365_TRANSPORT_ACCOUNT_SOCKETS_H

#include "common/error.h"
#include "common/settings.h"
#include "common/socket.h"
#include "common/upstream/accounts.h"
#include "transport/lmtp/server.h"

struct account_sockets;

/* Binds them, before root is dropped; none where the transport's own socket (`place`) is no UNIX
 * socket. NULL with the reason. */
struct account_sockets *account_sockets_listen(struct credentials *credentials,
                                               struct identities *identities,
                                               const struct settings *settings,
                                               const struct socket_place *place,
                                               struct error *error);

/* Gives the descriptors to the server, also those that come later. */
void account_sockets_serve(struct account_sockets *accounts, struct lmtp *server);

/* Binds those of accounts that have come since; one that cannot be bound is logged. Those of
 * accounts that are no more stay, and say so. `settings` take the place of the former. */
void account_sockets_update(struct account_sockets *accounts, struct credentials *credentials,
                            struct identities *identities, const struct settings *settings);

/* Binds that of an account (folded UPN) which a message has named and which has logged in, unless
 * it is there. */
void account_sockets_add(struct account_sockets *accounts, const char *upn);

/* Removes the sockets and releases all; NULL is allowed. */
void account_sockets_remove(struct account_sockets *accounts);

#endif
