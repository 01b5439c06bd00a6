/* place.c - the daemon's account and its directories
 *
 * Security: as root it reads main.cf and makes two directories, nothing else.
 */
#include "tokend/place.h"

#include "common/log.h"
#include "common/oauth2/tokens.h"
#include "common/private_directory.h"
#include "common/service.h"
#include "common/user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKET_DIRECTORY_MODE (S_ISGID | 0750)
#define PARENT_MODE           0755

/* The settings as the other daemons' parts see them: this one's user is another. */
static struct settings as_own(const struct settings *settings)
{
    struct settings own = *settings;
    own.user = settings->oauth2_user;
    return own;
}

static bool find_user(const struct settings *settings, struct user *user, struct error *error)
{
    const struct passwd *entry = getpwnam(settings->oauth2_user);
    if (entry == NULL)
        return error_set(error,
                         "%s/main.cf: post365_oauth2_user = %s: no such system account; run: "
                         "systemd-sysusers, or adduser --system --group %s",
                         settings->config_directory, settings->oauth2_user, settings->oauth2_user);
    if (entry->pw_uid == 0)
        return error_set(error,
                         "%s/main.cf: post365_oauth2_user = %s: must not be root; name an account "
                         "of its own",
                         settings->config_directory, settings->oauth2_user);
    *user = (struct user){entry->pw_uid, entry->pw_gid};
    return true;
}

/* Gives what root has just made away, through the descriptor of what was checked. */
static bool give_away(const char *path, uid_t user, gid_t group, mode_t mode)
{
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool given = descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_uid == 0 &&
                 fchown(descriptor, user, group) == 0 && fchmod(descriptor, mode) == 0;
    int reason = errno;
    if (descriptor >= 0)
        close(descriptor);
    errno = reason;
    return given;
}

/* Lets the group of one that is there already, and is the user's, connect: what is made in it gets
 * the directory's group. */
static bool open_to_group(const char *path, uid_t user, gid_t group)
{
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool fine =
        descriptor >= 0 && fstat(descriptor, &status) == 0 &&
        (status.st_uid != user || (fchown(descriptor, (uid_t)-1, group) == 0 &&
                                   fchmod(descriptor, S_ISGID | (status.st_mode & 0777)) == 0));
    int reason = errno;
    if (descriptor >= 0)
        close(descriptor);
    errno = reason;
    return fine;
}

static bool make(const char *path, uid_t user, gid_t group, mode_t mode, struct error *error)
{
    if (mkdir(path, 0700) == 0 ? give_away(path, user, group, mode) : errno == EEXIST)
        return true;
    return error_set(error, "directory %s: %s", path, strerror(errno));
}

/* The socket's directory, and the one above it, which is for all sockets of post365. */
static bool make_socket_directory(const struct settings *settings, const struct user *user,
                                  struct error *error)
{
    struct socket_place place;
    struct user main_user;
    if (!user_find(settings, &main_user, error) ||
        !socket_parse(settings->oauth2_socket, settings->queue_directory, &place, error))
        return false;
    char *slash = strrchr(place.path, '/');
    *slash = '\0';
    char parent[sizeof(place.path)];
    snprintf(parent, sizeof(parent), "%s", place.path);
    slash = strrchr(parent, '/');
    if (slash == NULL || slash == parent)
        return true;
    *slash = '\0';
    return make(parent, main_user.id, main_user.group, PARENT_MODE, error) &&
           make(place.path, user->id, main_user.group, SOCKET_DIRECTORY_MODE, error) &&
           (open_to_group(place.path, user->id, main_user.group) ||
            error_set(error, "directory %s: %s", place.path, strerror(errno)));
}

static bool become(const struct settings *settings, const struct user *user, struct error *error)
{
    if (setgroups(1, &user->group) != 0 || setgid(user->group) != 0 || setuid(user->id) != 0)
        return error_set(error, "%s/main.cf: post365_oauth2_user = %s: cannot change to it: %s",
                         settings->config_directory, settings->oauth2_user, strerror(errno));
    if (setuid(0) == 0)
        return error_set(error, "root privileges could not be dropped");
    service_forbid_core_files();
    return true;
}

bool place_settle(const struct settings *settings, bool only_check, struct error *error)
{
    struct user user = {geteuid(), getegid()};
    bool is_root = user.id == 0;
    if (is_root && !find_user(settings, &user, error))
        return false;
    if (!only_check) {
        if (is_root && !make_socket_directory(settings, &user, error))
            return false;
        if (!private_directory_make(settings->oauth2_directory, &user, error))
            return error_prefix(error, "%s/main.cf: post365_oauth2_directory = %s",
                                settings->config_directory, settings->oauth2_directory);
    }
    return !is_root || become(settings, &user, error);
}

/* The group that may connect; of somebody who has no such account, as in a test, his own. */
static gid_t wanted_group(const struct settings *settings)
{
    const struct passwd *entry = getpwnam(settings->user);
    return entry != NULL ? entry->pw_gid : getegid();
}

static void set_group(const struct settings *settings, const struct socket_place *place)
{
    struct stat status;
    gid_t group = wanted_group(settings);
    if (stat(place->path, &status) != 0 || status.st_gid == group ||
        lchown(place->path, (uid_t)-1, group) == 0)
        return;
    log_warning("socket %s: it cannot be given to the group of %s, and nobody but root reaches it: "
                "have its directory belong to that group, and run: chmod g+s on it",
                place->path, settings->user);
}

int place_listen(const struct settings *settings, struct socket_place *place, struct error *error)
{
    const struct settings own = as_own(settings);
    int descriptor =
        socket_listen_for_group(TOKENS_PARAMETER, settings->oauth2_socket, &own, place, error);
    if (descriptor >= 0)
        set_group(settings, place);
    return descriptor;
}

bool place_check(const struct settings *settings, struct error *error)
{
    struct socket_place place;
    const struct settings own = as_own(settings);
    return socket_prepare(TOKENS_PARAMETER, settings->oauth2_socket, &own, true, &place, error);
}
