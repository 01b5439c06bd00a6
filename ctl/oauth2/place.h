/* place.h - where registrations lie, and the secrets that belong to them
 *
 * Beside Postfix's configuration directory, /etc/post365 beside /etc/postfix, and not in it:
 * `postfix check` warns of each file there that is not root's, and keys are post365_oauth2_user's.
 */
#ifndef POST365_CTL_OAUTH2_PLACE_H
#define POST365_CTL_OAUTH2_PLACE_H

#include "common/settings.h"

/* The directory; the caller's to free(). */
char *place_of_registrations(const struct settings *settings);

#endif
