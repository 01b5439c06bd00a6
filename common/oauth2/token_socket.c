/* token_socket.c - the way to post365_oauth2_socket */
#include "common/oauth2/token_socket.h"

#include "common/oauth2/tokens.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

bool token_socket_find(const struct settings *settings, struct socket_place *place,
                       struct error *error)
{
    if (!socket_parse(settings->oauth2_socket, settings->queue_directory, place, error))
        return error_prefix(error, TOKENS_PARAMETER " = %s", settings->oauth2_socket);
    if (place->family != SOCKET_UNIX)
        return error_set(error, TOKENS_PARAMETER " = %s: write unix:path", settings->oauth2_socket);
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

static bool explain_failure(const char *path, int reason, struct error *error)
{
    if (reason == EACCES || reason == EPERM)
        return explain_permission(path, error);
    if (reason == ENOENT || reason == ECONNREFUSED || reason == ENOTSOCK)
        return error_set(error,
                         "nobody listens on socket %s (%s): post365-tokend is not running; run: "
                         "systemctl start post365-tokend",
                         path, strerror(reason));
    if (reason == EAGAIN)
        return error_set(error,
                         "socket %s: post365-tokend accepts no connection; see its log: "
                         "journalctl -u post365-tokend",
                         path);
    return error_set(error, "socket %s: %s", path, strerror(reason));
}

int token_socket_connect(const struct socket_place *place, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, place->path, sizeof(address.sun_path));
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor >= 0 && connect(descriptor, (struct sockaddr *)&address, sizeof(address)) == 0)
        return descriptor;
    int reason = errno;
    if (descriptor >= 0)
        close(descriptor);
    explain_failure(place->path, reason, error);
    errno = reason;
    return -1;
}

bool token_socket_explain_loss(int reason, struct error *error)
{
    if (reason == 0 || reason == EPIPE || reason == ECONNRESET)
        return error_set(error, "post365-tokend has ended the connection; see its log: "
                                "journalctl -u post365-tokend");
    return error_set(error, "the connection to post365-tokend failed: %s", strerror(reason));
}

bool token_socket_explain_garbage(struct error *error)
{
    return error_prefix(error,
                        "what answers on " TOKENS_PARAMETER " does not speak as this version "
                        "of post365 (after an upgrade, restart post365-tokend)");
}
