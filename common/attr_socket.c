/* attr_socket.c - the way to a daemon's UNIX socket on which attr.h is spoken */
#include "common/attr_socket.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

bool attr_socket_find(const struct attr_peer *peer, const char *value,
                      const struct settings *settings, struct socket_place *place,
                      struct error *error)
{
    if (!socket_parse(value, settings->queue_directory, place, error))
        return error_prefix(error, "%s = %s", peer->parameter, value);
    if (place->family != SOCKET_UNIX)
        return error_set(error, "%s = %s: write unix:path", peer->parameter, value);
    return true;
}

/* The group that may connect is the socket's own. */
static bool explain_permission(const char *path, struct error *error)
{
    struct stat status;
    const struct group *group = stat(path, &status) == 0 ? getgrgid(status.st_gid) : NULL;
    if (group == NULL)
        return error_set(error,
                         "socket %s: permission denied; run this as root, or join the group of "
                         "post365_user",
                         path);
    return error_set(error,
                     "socket %s: permission denied; run this as root, or join the group %s "
                     "(usermod -a -G %s NAME, then log in again)",
                     path, group->gr_name, group->gr_name);
}

static bool explain_failure(const struct attr_peer *peer, const char *path, int reason,
                            struct error *error)
{
    if (reason == EACCES || reason == EPERM)
        return explain_permission(path, error);
    if (reason == ENOENT || reason == ECONNREFUSED || reason == ENOTSOCK)
        return error_set(error,
                         "nobody listens on socket %s (%s): %s is not running; run: systemctl "
                         "enable --now %s",
                         path, strerror(reason), peer->program, peer->program);
    if (reason == EAGAIN)
        return error_set(error,
                         "socket %s: %s accepts no connection; see its log: journalctl -u %s", path,
                         peer->program, peer->program);
    return error_set(error, "socket %s: %s", path, strerror(reason));
}

int attr_socket_connect(const struct attr_peer *peer, const struct socket_place *place,
                        struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, place->path, sizeof(address.sun_path));
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor >= 0 && connect(descriptor, (struct sockaddr *)&address, sizeof(address)) == 0)
        return descriptor;
    int reason = errno;
    if (descriptor >= 0)
        close(descriptor);
    explain_failure(peer, place->path, reason, error);
    errno = reason;
    return -1;
}

bool attr_socket_explain_loss(const struct attr_peer *peer, int reason, struct error *error)
{
    if (reason == 0 || reason == EPIPE || reason == ECONNRESET)
        return error_set(error, "%s has ended the connection; see its log: journalctl -u %s",
                         peer->program, peer->program);
    return error_set(error, "the connection to %s failed: %s", peer->program, strerror(reason));
}

bool attr_socket_explain_garbage(const struct attr_peer *peer, struct error *error)
{
    return error_prefix(error,
                        "what answers on %s does not speak as this version of post365 (after an "
                        "upgrade, restart %s)",
                        peer->parameter, peer->program);
}
