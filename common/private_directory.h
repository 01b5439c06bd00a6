/* private_directory.h - a directory that nobody but the daemons' user can look into */
#ifndef POST365_COMMON_PRIVATE_DIRECTORY_H
#define POST365_COMMON_PRIVATE_DIRECTORY_H

#include "common/error.h"
#include "common/user.h"

#include <stdbool.h>

/* Makes the directory, mode 0700, for `user` where the caller is root; one that is there is left as
 * it is. False with the reason. */
bool private_directory_make(const char *path, const struct user *user, struct error *error);

#endif
