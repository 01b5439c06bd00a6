/* account_sockets.c - the sockets of the accounts
 *
 * Security: an account's name becomes a file's name. One with a slash, or that begins with a dot,
 * gets no socket.
 */
#include "transport/account_sockets.h"

#include "common/dictionary.h"
#include "common/log.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARAMETER   "post365_transport_socket"
#define DIRECTORY   "accounts"
#define SOCKETS_MAX 10000
#define PATH_SIZE   sizeof(((struct socket_place *)0)->path)

struct account_socket {
    struct socket_place place;
    int descriptor; /* -1: given away */
};

struct account_sockets {
    const struct settings *settings;
    char *directory;            /* "/var/spool/postfix/post365/accounts", NULL: there are none */
    struct dictionary *sockets; /* by UPN */
    struct lmtp *server;        /* whom they are given to; NULL before */
    bool failed;                /* the first time: the program refuses to start */
    struct error error;
};

static void close_socket(void *value)
{
    struct account_socket *one = value;
    if (one->descriptor >= 0)
        close(one->descriptor);
    socket_remove(&one->place);
    free(one);
}

static void serve(void *context, const char *upn, void *value)
{
    const struct account_sockets *accounts = context;
    struct account_socket *one = value;
    lmtp_listen(accounts->server, one->descriptor, upn);
    one->descriptor = -1;
}

static bool listen_for(struct account_sockets *accounts, const char *upn)
{
    struct socket_place place;
    char *value = memory_format("unix:%s/%s", accounts->directory, upn);
    int descriptor = socket_listen(PARAMETER, value, accounts->settings, &place, &accounts->error);
    free(value);
    if (descriptor < 0)
        return false;
    struct account_socket *one = memory_zero(1, sizeof(*one));
    *one = (struct account_socket){.place = place, .descriptor = descriptor};
    dictionary_put(accounts->sockets, upn, one);
    if (accounts->server != NULL)
        serve(accounts, upn, one);
    return true;
}

static bool has_name_for_a_socket(const struct account_sockets *accounts, const char *upn)
{
    return strchr(upn, '/') == NULL && upn[0] != '.' &&
           strlen(accounts->directory) + strlen(upn) + 2 <= PATH_SIZE;
}

static void visit(void *context, const char *upn)
{
    struct account_sockets *accounts = context;
    if (accounts->failed || dictionary_find(accounts->sockets, upn) != NULL)
        return;
    if (!has_name_for_a_socket(accounts, upn))
        log_warning("account %s gets no socket of its own: its name is no socket's name", upn);
    else if (dictionary_count(accounts->sockets) >= SOCKETS_MAX)
        log_warning("account %s gets no socket of its own: there are too many", upn);
    else if (!listen_for(accounts, upn) && accounts->server == NULL)
        accounts->failed = true;
    else if (dictionary_find(accounts->sockets, upn) == NULL)
        log_warning("account %s gets no socket of its own: %s", upn, accounts->error.text);
}

struct account_sockets *account_sockets_listen(struct credentials *credentials,
                                               struct identities *identities,
                                               const struct settings *settings,
                                               const struct socket_place *place,
                                               struct error *error)
{
    struct account_sockets *accounts = memory_zero(1, sizeof(*accounts));
    accounts->settings = settings;
    accounts->sockets = dictionary_new(close_socket);
    if (place->family != SOCKET_UNIX)
        return accounts;
    const char *slash = strrchr(place->path, '/');
    accounts->directory = memory_format("%.*s/" DIRECTORY, (int)(slash - place->path), place->path);
    accounts->failed = !socket_keep_directory(accounts->directory, settings, &accounts->error);
    accounts_each(credentials, identities, visit, accounts);
    if (!accounts->failed)
        return accounts;
    *error = accounts->error;
    account_sockets_remove(accounts);
    return NULL;
}

void account_sockets_serve(struct account_sockets *accounts, struct lmtp *server)
{
    accounts->server = server;
    dictionary_each(accounts->sockets, serve, accounts);
}

void account_sockets_update(struct account_sockets *accounts, struct credentials *credentials,
                            struct identities *identities, const struct settings *settings)
{
    accounts->settings = settings;
    if (accounts->directory != NULL)
        accounts_each(credentials, identities, visit, accounts);
}

void account_sockets_add(struct account_sockets *accounts, const char *upn)
{
    if (accounts->directory != NULL)
        visit(accounts, upn);
}

void account_sockets_remove(struct account_sockets *accounts)
{
    if (accounts == NULL)
        return;
    dictionary_free(accounts->sockets);
    free(accounts->directory);
    free(accounts);
}
