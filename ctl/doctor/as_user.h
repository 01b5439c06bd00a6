/* as_user.h - what may another account of this machine do?
 *
 * It is found out by doing it: a child becomes that account and tries. Whoever is not root tries as
 * himself.
 */
#ifndef POST365_CTL_DOCTOR_AS_USER_H
#define POST365_CTL_DOCTOR_AS_USER_H

#include "common/error.h"

#include <stdbool.h>
#include <sys/un.h>

/* Whether the account may read the file. False with the reason: there is no such account, or
 * Linux's. */
bool as_user_read(const char *account, const char *path, struct error *error);

/* Whether it may connect to the UNIX socket at `path`. False with the reason. */
bool as_user_connect(const char *account, const char *path, struct error *error);

#endif
