/* account_sockets.c - the sockets of the accounts
 *
 * Security: an account's name becomes a file's name. One with a slash, or that begins with a dot,
 * gets no socket.
 */
#include "transport/account_sockets.h"

#include "common/log.h"
#include "common/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARAMETER   "post365_transport_socket"
#define DIRECTORY   "accounts"
#define SOCKETS_MAX 10000
#define PATH_SIZE   sizeof(((struct socket_place *)0)->path)

struct account_socket {
    char *upn;
    struct socket_place place;
    int descriptor; /* -1: given away */
};

struct account_sockets {
    const struct settings *settings;
    char *directory; /* "/var/spool/postfix/post365/accounts" */
    struct account_socket *sockets;
    size_t count;
    bool failed;
    struct error error;
};

static bool listen_for(struct account_sockets *accounts, const char *upn)
{
    struct account_socket one = {.descriptor = -1};
    char *value = memory_format("unix:%s/%s", accounts->directory, upn);
    one.descriptor =
        socket_listen(PARAMETER, value, accounts->settings, &one.place, &accounts->error);
    free(value);
    if (one.descriptor < 0)
        return false;
    one.upn = memory_copy(upn);
    accounts->sockets =
        memory_grow(accounts->sockets, (accounts->count + 1) * sizeof(struct account_socket));
    accounts->sockets[accounts->count++] = one;
    return true;
}

static void visit(void *context, const char *upn)
{
    struct account_sockets *accounts = context;
    if (accounts->failed)
        return;
    bool is_name = strchr(upn, '/') == NULL && upn[0] != '.' &&
                   strlen(accounts->directory) + strlen(upn) + 2 <= PATH_SIZE;
    if (!is_name || accounts->count >= SOCKETS_MAX) {
        log_warning("account %s gets no socket of its own: %s", upn,
                    is_name ? "there are too many" : "its name is no socket's name");
        return;
    }
    accounts->failed = !listen_for(accounts, upn);
}

struct account_sockets *account_sockets_listen(struct credentials *credentials,
                                               const struct settings *settings,
                                               const struct socket_place *place,
                                               struct error *error)
{
    struct account_sockets *accounts = memory_zero(1, sizeof(*accounts));
    accounts->settings = settings;
    if (place->family != SOCKET_UNIX)
        return accounts;
    const char *slash = strrchr(place->path, '/');
    accounts->directory = memory_format("%.*s/" DIRECTORY, (int)(slash - place->path), place->path);
    credentials_each(credentials, visit, accounts);
    if (!accounts->failed)
        return accounts;
    *error = accounts->error;
    account_sockets_remove(accounts);
    return NULL;
}

void account_sockets_serve(struct account_sockets *accounts, struct lmtp *server)
{
    for (size_t i = 0; i < accounts->count; i++) {
        lmtp_listen(server, accounts->sockets[i].descriptor, accounts->sockets[i].upn);
        accounts->sockets[i].descriptor = -1;
    }
}

void account_sockets_remove(struct account_sockets *accounts)
{
    if (accounts == NULL)
        return;
    for (size_t i = 0; i < accounts->count; i++) {
        if (accounts->sockets[i].descriptor >= 0)
            close(accounts->sockets[i].descriptor);
        socket_remove(&accounts->sockets[i].place);
        free(accounts->sockets[i].upn);
    }
    free(accounts->sockets);
    free(accounts->directory);
    free(accounts);
}
