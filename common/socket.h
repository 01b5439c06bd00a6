/* socket.h - the sockets that Postfix reaches a daemon on
 *
 * "unix:path" (below $queue_directory unless absolute) or "inet:host:port" ("inet:port" means
 * 127.0.0.1, IPv6 addresses in brackets). UNIX sockets are mode 0660, owned by post365_user with
 * Postfix's group ($mail_owner's), so that smtpd and cleanup may connect and other users of the
 * host may not.
 */
#ifndef POST365_COMMON_SOCKET_H
#define POST365_COMMON_SOCKET_H

#include "common/error.h"
#include "common/settings.h"

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

/* Connections that wait for accept(2): a crowd that comes while a daemon starts is not refused. */
#define SOCKET_BACKLOG 4096

enum socket_family { SOCKET_UNIX, SOCKET_INET };

struct socket_place {
    enum socket_family family;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* SOCKET_UNIX: absolute */
    char host[256];                                         /* SOCKET_INET */
    char port[32];
};

/* Splits a parameter's value. False with the reason: no such type, a path longer than sun_path, no
 * port. */
bool socket_parse(const char *value, const char *queue_directory, struct socket_place *place,
                  struct error *error);

/*
 * Makes sure that a daemon could listen there, without listening: for a UNIX socket the directory
 * is created if the caller may (by root: for post365_user), belongs to post365_user (for a caller
 * who is not root: to the caller), and is writable for nobody else; a stale socket that nobody
 * listens on is removed; one in use is an error that names who uses it. With `only_check` nothing
 * is created or removed, and a socket that another process of this same program listens on is no
 * error. `parameter` names the main.cf parameter in messages. Call before privileges are dropped.
 */
bool socket_prepare(const char *parameter, const char *value, const struct settings *settings,
                    bool only_check, struct socket_place *place, struct error *error);

/*
 * A socket is bound as post365_user with Postfix's group and mode 0660 from its first moment:
 * nothing is given away afterwards by a path that somebody could have exchanged. Between begin and
 * end the program, if root, has these effective ids and this umask. Call while there is one thread.
 */
struct socket_owner {
    uid_t user;
    gid_t group;
    mode_t mask;
};
bool socket_owner_begin(const struct settings *settings, struct socket_owner *saved,
                        struct error *error);
void socket_owner_end(const struct socket_owner *saved);

/* The socket that was kept for this place (common/kept.h); else socket_prepare(), then bind and
 * listen as the owner. Returns a non-blocking close-on-exec descriptor, or -1 with the reason. */
int socket_listen(const char *parameter, const char *value, const struct settings *settings,
                  struct socket_place *place, struct error *error);

/*
 * Makes a directory, beside those of other sockets, in which post365_user may later make sockets
 * that Postfix's group may connect to, when root has been dropped: they get the directory's group.
 * Call as root; another caller makes such sockets for his own group. False with the reason.
 */
bool socket_keep_directory(const char *directory, const struct settings *settings,
                           struct error *error);

/* socket_listen() for a UNIX socket that members of post365_user's own group may connect to, rather
 * than Postfix. */
int socket_listen_for_group(const char *parameter, const char *value,
                            const struct settings *settings, struct socket_place *place,
                            struct error *error);

/* The same three for "address:port" (IPv6 addresses in brackets), TCP alone. */
bool socket_parse_address(const char *value, struct socket_place *place, struct error *error);
bool socket_check_address(const char *parameter, const char *value, const struct settings *settings,
                          struct error *error);
int socket_listen_address(const char *parameter, const char *value, const struct settings *settings,
                          struct error *error);

/* Whether somebody takes connections there, waiting for that at most so many milliseconds; nothing
 * is said to him. 0, or why not (errno): EACCES and EPERM say nothing of who listens. */
int socket_try(const struct socket_place *place, int milliseconds);

/* Removes a UNIX socket at the end of the daemon, unless it is kept for the next one. */
void socket_remove(const struct socket_place *place);

#endif
