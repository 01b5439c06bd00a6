/* place.h - the daemon's account and its directories
 *
 * Started as root the daemon makes what is missing (the directory of the socket, that of the
 * refresh tokens), gives it to post365_oauth2_user and becomes that user for good, before it opens
 * anything that is secret. Who is not root stays what he is.
 */
#ifndef POST365_TOKEND_PLACE_H
#define POST365_TOKEND_PLACE_H

#include "common/error.h"
#include "common/settings.h"
#include "common/socket.h"

#include <stdbool.h>

/* Makes directories (not with `only_check`) and becomes the user. False with the reason. */
bool place_settle(const struct settings *settings, bool only_check, struct error *error);

/* Listens on post365_oauth2_socket, as the user: mode 0660, of post365_user's group, which the
 * directory's set-group-ID bit or a membership gives. -1 with the reason. */
int place_listen(const struct settings *settings, struct socket_place *place, struct error *error);

/* Whether it could listen there. */
bool place_check(const struct settings *settings, struct error *error);

#endif
