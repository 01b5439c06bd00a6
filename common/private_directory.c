/* private_directory.c - a directory that nobody but the daemons' user can look into */
#include "common/private_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Gives a directory that root has just made to its user. The descriptor is what was checked, so
 * that nobody can exchange the name underneath. */
static bool give_away(const char *path, const struct user *user, struct error *error)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    bool given = descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_uid == 0 &&
                 fchown(descriptor, user->id, user->group) == 0;
    if (descriptor >= 0)
        close(descriptor);
    return given || error_set(error, "cannot be given to user id %u", (unsigned)user->id);
}

bool private_directory_make(const char *path, const struct user *user, struct error *error)
{
    if (mkdir(path, 0700) == 0)
        return geteuid() != 0 || give_away(path, user, error);
    return errno == EEXIST || error_set(error, "cannot be created: %s", strerror(errno));
}
