/* user.h - the system account that the daemons change to (post365_user) */
#ifndef POST365_COMMON_USER_H
#define POST365_COMMON_USER_H

#include "common/error.h"
#include "common/settings.h"

#include <stdbool.h>
#include <sys/types.h>

struct user {
    uid_t id;
    gid_t group; /* its primary group */
};

/*
 * Finds post365_user; for a program that does not run as root, which stays what it is, the ids that
 * it has. False with the reason and the remedy: no such account, or root itself. Not thread-safe.
 */
bool user_find(const struct settings *settings, struct user *user, struct error *error);

#endif
