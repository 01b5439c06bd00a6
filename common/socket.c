/* socket.c - the sockets that Postfix reaches a daemon on
 *
 * smtpd(8) and cleanup(8) run as $mail_owner with the queue directory as working directory, often
 * chrooted there: sockets live below it, and Postfix's group is what lets it connect.
 */
#include "common/socket.h"

#include "common/kept.h"
#include "common/listener.h"
#include "common/log.h"
#include "common/user.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY_MODE 0755
#define SOCKET_MODE    0660

static int connect_unix(const char *path, int flags);

/* --- where --- */

static bool parse_unix(const char *path, const char *queue_directory, struct socket_place *place,
                       struct error *error)
{
    if (path[0] == '\0' || path[strlen(path) - 1] == '/')
        return error_set(error, "write unix:path, such as unix:post365/name");
    int length = path[0] == '/'
                     ? snprintf(place->path, sizeof(place->path), "%s", path)
                     : snprintf(place->path, sizeof(place->path), "%s/%s", queue_directory, path);
    if (length >= (int)sizeof(place->path))
        return error_set(error,
                         "the path is longer than the %zu bytes of a socket's name; shorten it",
                         sizeof(place->path) - 1);
    place->family = SOCKET_UNIX;
    return true;
}

static bool parse_inet(const char *text, struct socket_place *place, struct error *error)
{
    const char *host = text, *colon = strrchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    const char *port = colon != NULL ? colon + 1 : text;
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
    }
    char *end = NULL;
    unsigned long number = strtoul(port, &end, 10);
    if (port[0] < '0' || port[0] > '9' || *end != '\0' || number == 0 || number > 65535)
        return error_set(
            error, "\"%s\" is no port; write inet:host:port with a port from 1 to 65535", port);
    if (length >= sizeof(place->host))
        return error_set(error, "the host's name is too long");
    if (length == 0)
        snprintf(place->host, sizeof(place->host), "127.0.0.1");
    else
        snprintf(place->host, sizeof(place->host), "%.*s", (int)length, host);
    snprintf(place->port, sizeof(place->port), "%lu", number);
    place->family = SOCKET_INET;
    return true;
}

bool socket_parse(const char *value, const char *queue_directory, struct socket_place *place,
                  struct error *error)
{
    *place = (struct socket_place){0};
    if (strncmp(value, "unix:", 5) == 0)
        return parse_unix(value + 5, queue_directory, place, error);
    if (strncmp(value, "inet:", 5) == 0)
        return parse_inet(value + 5, place, error);
    return error_set(error, "write unix:path or inet:host:port");
}

bool socket_parse_address(const char *value, struct socket_place *place, struct error *error)
{
    *place = (struct socket_place){0};
    const char *colon = strrchr(value, ':');
    bool is_bare_ipv6 = colon != NULL && value[0] != '[' && strchr(value, ':') != colon;
    if (colon == NULL || colon == value || is_bare_ipv6 ||
        (value[0] == '[' && (colon - value < 3 || colon[-1] != ']')) ||
        !parse_inet(value, place, NULL))
        return error_set(error, "write address:port, such as 127.0.0.1:9365 or [::1]:9365, with a "
                                "port from 1 to 65535");
    return true;
}

/* --- may we listen there? --- */

struct owners {
    bool root; /* are we root, and so able to give things away? */
    struct user user;
    gid_t postfix_group;
    char name[64]; /* of the user, for messages */
};

static bool find_owners(const struct settings *settings, struct owners *owners, struct error *error)
{
    *owners = (struct owners){.root = geteuid() == 0, .postfix_group = getegid()};
    if (!user_find(settings, &owners->user, error))
        return false;
    if (!owners->root) {
        snprintf(owners->name, sizeof(owners->name), "%u", (unsigned)owners->user.id);
        return true;
    }
    snprintf(owners->name, sizeof(owners->name), "%s", settings->user);
    const struct passwd *postfix = getpwnam(settings->mail_owner);
    if (postfix == NULL)
        return error_set(error, "mail_owner = %s: no such system account", settings->mail_owner);
    owners->postfix_group = postfix->pw_gid;
    return true;
}

static void parent_directory(const char *path, char *directory, size_t size)
{
    snprintf(directory, size, "%s", path);
    char *slash = strrchr(directory, '/');
    slash[slash == directory ? 1 : 0] = '\0';
}

/* Sets mode and owner through a descriptor: nothing else can be slipped in and given away. */
static bool give_away(const char *directory, const struct owners *owners)
{
    int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    bool given = fchmod(descriptor, DIRECTORY_MODE) == 0 &&
                 (!owners->root || fchown(descriptor, owners->user.id, owners->user.group) == 0);
    int reason = errno;
    close(descriptor);
    errno = reason;
    return given;
}

/* Makes the directory unless it is there. It appears with its owner: another daemon that starts at
 * the same moment must not find it without. */
static bool make_directory(const char *directory, const struct owners *owners)
{
    char fresh[PATH_MAX];
    struct stat status;
    if (stat(directory, &status) == 0)
        return true;
    if (snprintf(fresh, sizeof(fresh), "%s.XXXXXX", directory) >= (int)sizeof(fresh) ||
        mkdtemp(fresh) == NULL)
        return false;
    if (give_away(fresh, owners) &&
        renameat2(AT_FDCWD, fresh, AT_FDCWD, directory, RENAME_NOREPLACE) == 0)
        return true;
    int reason = errno;
    rmdir(fresh);
    errno = reason;
    return reason == EEXIST;
}

/* Whether root could make the directory. */
static bool could_be_made(const char *directory, const struct owners *owners)
{
    char parent[PATH_MAX];
    struct stat status;
    parent_directory(directory, parent, sizeof(parent));
    return owners->root && stat(parent, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool find_directory(const char *directory, const struct owners *owners, bool only_check,
                           struct error *error)
{
    struct stat status;
    if ((only_check || make_directory(directory, owners)) && stat(directory, &status) == 0)
        return true;
    int reason = errno;
    if (only_check && reason == ENOENT && could_be_made(directory, owners))
        return true;
    return error_set(error, "directory %s: %s; run: install -d -o %s -m 755 %s", directory,
                     strerror(reason), owners->name, directory);
}

static bool check_directory(const char *directory, const struct owners *owners, bool only_check,
                            struct error *error)
{
    struct stat status;
    if (!find_directory(directory, owners, only_check, error))
        return false;
    if (stat(directory, &status) != 0)
        return true; /* to be made when it is needed */
    if (!S_ISDIR(status.st_mode))
        return error_set(error, "%s is not a directory; remove it", directory);
    if (status.st_uid != owners->user.id)
        return error_set(error,
                         "directory %s belongs to user id %u, where %s (%u) must own it; if it is "
                         "for these sockets alone run: chown %s %s; else choose such a directory, "
                         "as in unix:post365/name",
                         directory, (unsigned)status.st_uid, owners->name,
                         (unsigned)owners->user.id, owners->name, directory);
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return error_set(error, "others may write to directory %s (mode %04o); run: chmod 755 %s",
                         directory, (unsigned)status.st_mode & 07777, directory);
    return true;
}

/* As the owner of the directory, who cannot be made to remove what is not his. */
static bool remove_stale(const char *path, const struct settings *settings, struct error *error)
{
    struct socket_owner saved;
    if (!socket_owner_begin(settings, &saved, error))
        return false;
    bool removed = unlink(path) == 0;
    int reason = errno;
    socket_owner_end(&saved);
    return removed || error_set(error, "stale socket %s: %s; remove it", path, strerror(reason));
}

/* Connects to find out whether somebody listens. False with the reason if so. */
static bool check_unix(const char *path, const struct settings *settings, bool only_check,
                       struct error *error)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return errno == ENOENT || error_set(error, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, "%s is there and is no socket; remove it or choose another name",
                         path);
    int descriptor = connect_unix(path, SOCK_NONBLOCK);
    if (descriptor < 0 && errno == ECONNREFUSED)
        return only_check || remove_stale(path, settings, error);
    if (descriptor < 0)
        return error_set(error,
                         "socket %s is in use (%s); stop who listens there, or choose another name",
                         path, strerror(errno));
    struct ucred peer = {.pid = 0};
    socklen_t length = sizeof(peer);
    char name[32];
    getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length);
    close(descriptor);
    if (listener_is_this_program(peer.pid, name, sizeof(name)) && only_check)
        return true;
    return error_set(error,
                     "socket %s is in use by process %d (%s); stop it or choose another name", path,
                     (int)peer.pid, name);
}

static int open_inet(const struct socket_place *place, int *reason, struct error *error)
{
    struct addrinfo *found = NULL, hints = {.ai_family = AF_UNSPEC,
                                            .ai_socktype = SOCK_STREAM,
                                            .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int failure = getaddrinfo(place->host, place->port, &hints, &found);
    if (failure != 0) {
        error_set(error, "%s: %s; write an address of this host", place->host,
                  gai_strerror(failure));
        return -1;
    }
    int one = 1;
    int descriptor =
        socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, found->ai_protocol);
    if (descriptor < 0 ||
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(descriptor, found->ai_addr, found->ai_addrlen) != 0 ||
        listen(descriptor, SOCKET_BACKLOG) != 0) {
        *reason = errno;
        error_set(error, "%s port %s: %s%s", place->host, place->port, strerror(*reason),
                  *reason == EADDRINUSE ? "; stop who listens there, or choose another port" : "");
        if (descriptor >= 0)
            close(descriptor);
        descriptor = -1;
    }
    freeaddrinfo(found);
    return descriptor;
}

static bool prepare_inet(const struct socket_place *place, bool only_check, struct error *error)
{
    int reason = 0;
    int descriptor = open_inet(place, &reason, error);
    if (descriptor >= 0)
        close(descriptor);
    return descriptor >= 0 || (only_check && reason == EADDRINUSE &&
                               listener_is_ours_on_port((unsigned)strtoul(place->port, NULL, 10)));
}

static bool prepare(const char *value, const struct settings *settings, bool only_check,
                    struct socket_place *place, struct error *error)
{
    if (!socket_parse(value, settings->queue_directory, place, error))
        return false;
    if (place->family == SOCKET_INET)
        return prepare_inet(place, only_check, error);
    struct owners owners;
    char directory[sizeof(place->path)];
    parent_directory(place->path, directory, sizeof(directory));
    return find_owners(settings, &owners, error) &&
           check_directory(directory, &owners, only_check, error) &&
           check_unix(place->path, settings, only_check, error);
}

bool socket_prepare(const char *parameter, const char *value, const struct settings *settings,
                    bool only_check, struct socket_place *place, struct error *error)
{
    return prepare(value, settings, only_check, place, error) ||
           error_prefix(error, "%s/main.cf: %s = %s", settings->config_directory, parameter, value);
}

/* --- listening --- */

/* Whose group may connect. */
enum audience { AUDIENCE_POSTFIX, AUDIENCE_OWN_GROUP };

static bool become_owner(const struct settings *settings, enum audience audience,
                         struct socket_owner *saved, struct error *error)
{
    struct owners owners;
    if (!find_owners(settings, &owners, error))
        return false;
    gid_t group = audience == AUDIENCE_POSTFIX ? owners.postfix_group : owners.user.group;
    *saved = (struct socket_owner){geteuid(), getegid(), umask(0777 & ~SOCKET_MODE)};
    if (owners.root && (setegid(group) != 0 || seteuid(owners.user.id) != 0)) {
        error_set(error, "cannot act as %s: %s", settings->user, strerror(errno));
        socket_owner_end(saved);
        return false;
    }
    return true;
}

bool socket_owner_begin(const struct settings *settings, struct socket_owner *saved,
                        struct error *error)
{
    return become_owner(settings, AUDIENCE_POSTFIX, saved, error);
}

void socket_owner_end(const struct socket_owner *saved)
{
    umask(saved->mask);
    /* The way back to the ids that the program came with is always open; where nothing was changed
     * a sandbox may forbid the calls themselves. */
    if ((geteuid() != saved->user && seteuid(saved->user) != 0) ||
        (getegid() != saved->group && setegid(saved->group) != 0))
        abort();
}

/* In Postfix's group: the kernel takes the setgid bit from who is in another one and lacks
 * CAP_FSETID, as under systemd, and says nothing. */
static bool give_to_group(const char *directory, const struct owners *owners)
{
    int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool given = descriptor >= 0 && fchown(descriptor, (uid_t)-1, owners->postfix_group) == 0 &&
                 fchmod(descriptor, DIRECTORY_MODE | S_ISGID) == 0;
    int reason = errno;
    if (descriptor >= 0)
        close(descriptor);
    errno = reason;
    return given;
}

bool socket_keep_directory(const char *directory, const struct settings *settings,
                           struct error *error)
{
    struct owners owners;
    struct socket_owner saved;
    if (!find_owners(settings, &owners, error) ||
        !check_directory(directory, &owners, false, error) ||
        !socket_owner_begin(settings, &saved, error))
        return false;
    bool kept = !owners.root || give_to_group(directory, &owners);
    int reason = errno;
    socket_owner_end(&saved);
    return kept || error_set(error, "directory %s: %s", directory, strerror(reason));
}

static int open_unix(const struct socket_place *place, const struct settings *settings,
                     enum audience audience, struct error *error)
{
    struct socket_owner saved;
    if (!become_owner(settings, audience, &saved, error))
        return -1;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, place->path, sizeof(address.sun_path));
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool bound = descriptor >= 0 &&
                 bind(descriptor, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                 listen(descriptor, SOCKET_BACKLOG) == 0;
    int reason = errno;
    socket_owner_end(&saved);
    if (bound)
        return descriptor;
    error_set(error, "socket %s: %s", place->path, strerror(reason));
    if (descriptor >= 0)
        close(descriptor);
    return -1;
}

/* The socket that the process before has left. As its owner we say anew that we listen: that is
 * what the kernel tells who asks with whom he is connected; and whose group may connect, which is
 * another one where it was made in a directory without the setgid bit. */
static int take_kept(const struct socket_place *place, const struct settings *settings,
                     enum audience audience)
{
    struct socket_owner saved;
    int descriptor = kept_take(place);
    if (descriptor < 0 || !become_owner(settings, audience, &saved, NULL))
        return descriptor;
    listen(descriptor, SOCKET_BACKLOG);
    if (saved.user == 0 && place->family == SOCKET_UNIX &&
        lchown(place->path, (uid_t)-1, getegid()) != 0)
        log_warning("socket %s: its group cannot be set: %s", place->path, strerror(errno));
    socket_owner_end(&saved);
    return descriptor;
}

static int listen_for(enum audience audience, const char *parameter, const char *value,
                      const struct settings *settings, struct socket_place *place,
                      struct error *error)
{
    int descriptor = -1, reason = 0;
    if (!socket_parse(value, settings->queue_directory, place, error)) {
        error_prefix(error, "%s/main.cf: %s = %s", settings->config_directory, parameter, value);
        return -1;
    }
    descriptor = take_kept(place, settings, audience);
    if (descriptor >= 0)
        return descriptor;
    if (place->family == SOCKET_INET)
        descriptor = open_inet(place, &reason, error);
    else if (!socket_prepare(parameter, value, settings, false, place, error))
        return -1;
    else
        descriptor = open_unix(place, settings, audience, error);
    if (descriptor < 0)
        error_prefix(error, "%s/main.cf: %s = %s", settings->config_directory, parameter, value);
    else
        kept_put(descriptor, place);
    return descriptor;
}

int socket_listen(const char *parameter, const char *value, const struct settings *settings,
                  struct socket_place *place, struct error *error)
{
    return listen_for(AUDIENCE_POSTFIX, parameter, value, settings, place, error);
}

int socket_listen_for_group(const char *parameter, const char *value,
                            const struct settings *settings, struct socket_place *place,
                            struct error *error)
{
    return listen_for(AUDIENCE_OWN_GROUP, parameter, value, settings, place, error);
}

bool socket_check_address(const char *parameter, const char *value, const struct settings *settings,
                          struct error *error)
{
    struct socket_place place;
    return (socket_parse_address(value, &place, error) && prepare_inet(&place, true, error)) ||
           error_prefix(error, "%s/main.cf: %s = %s", settings->config_directory, parameter, value);
}

int socket_listen_address(const char *parameter, const char *value, const struct settings *settings,
                          struct error *error)
{
    struct socket_place place;
    int reason = 0, descriptor = -1;
    if (socket_parse_address(value, &place, error))
        descriptor = open_inet(&place, &reason, error);
    if (descriptor < 0)
        error_prefix(error, "%s/main.cf: %s = %s", settings->config_directory, parameter, value);
    return descriptor;
}

static int connect_unix(const char *path, int flags)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (descriptor >= 0 && connect(descriptor, (struct sockaddr *)&address, sizeof(address)) != 0) {
        int reason = errno;
        close(descriptor);
        descriptor = -1;
        errno = reason;
    }
    return descriptor;
}

static int try_inet(const struct socket_place *place, int milliseconds)
{
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    if (getaddrinfo(place->host, place->port, &hints, &found) != 0)
        return EADDRNOTAVAIL;
    int reason = 0;
    socklen_t length = sizeof(reason);
    int descriptor = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0 || connect(descriptor, found->ai_addr, found->ai_addrlen) != 0)
        reason = errno;
    struct pollfd wait = {.fd = descriptor, .events = POLLOUT};
    if (reason == EINPROGRESS && poll(&wait, 1, milliseconds) != 1)
        reason = ETIMEDOUT;
    else if (reason == EINPROGRESS)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &reason, &length);
    if (descriptor >= 0)
        close(descriptor);
    freeaddrinfo(found);
    return reason;
}

int socket_try(const struct socket_place *place, int milliseconds)
{
    if (place->family == SOCKET_INET)
        return try_inet(place, milliseconds);
    int descriptor = connect_unix(place->path, SOCK_NONBLOCK);
    if (descriptor < 0)
        return errno;
    close(descriptor);
    return 0;
}

void socket_remove(const struct socket_place *place)
{
    if (place->family == SOCKET_UNIX && !kept_is_possible())
        unlink(place->path);
}
