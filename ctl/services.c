/* services.c - do the programs that mail goes through answer? */
#include "ctl/services.h"

#include "common/memory.h"
#include "common/postconf.h"
#include "common/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE 2000 /* milliseconds */

/* The directory of the accounts' sockets lies beside the transport's own. */
static bool names_transport(const char *text, const char *socket)
{
    const char *slash = strrchr(socket, '/');
    if (strstr(text, socket) != NULL)
        return true;
    if (slash == NULL)
        return false;
    char *accounts = memory_format("%.*s/accounts/", (int)(slash - socket), socket);
    bool is_named = strstr(text, accounts) != NULL;
    free(accounts);
    return is_named;
}

/* Which of them main.cf names; none if that cannot be found out. */
static void find_named(const struct settings *settings, bool named[SERVICES])
{
    static const char *const expressions[SERVICES] = {
        [SERVICE_MILTER] = "$smtpd_milters $non_smtpd_milters",
        [SERVICE_TRANSPORT] =
            "$default_transport $sender_dependent_default_transport_maps $transport_maps",
    };
    const struct postconf postconf = {.directory = settings->config_directory};
    char *values[SERVICES] = {NULL};
    struct error error;
    named[SERVICE_MILTER] = named[SERVICE_TRANSPORT] = false;
    if (postconf_expand(&postconf, expressions, SERVICES, values, &error)) {
        named[SERVICE_MILTER] = strstr(values[SERVICE_MILTER], settings->milter_socket) != NULL;
        named[SERVICE_TRANSPORT] =
            names_transport(values[SERVICE_TRANSPORT], settings->transport_socket);
    }
    for (size_t i = 0; i < SERVICES; i++)
        free(values[i]);
}

/* Who may not connect cannot tell. */
static int try_service(const struct settings *settings, const char *where)
{
    struct socket_place place;
    if (!socket_parse(where, settings->queue_directory, &place, NULL))
        return 0;
    int reason = socket_try(&place, PATIENCE);
    return reason == EACCES || reason == EPERM ? 0 : reason;
}

void services_look(const struct settings *settings, struct service_state states[SERVICES])
{
    bool named[SERVICES];
    find_named(settings, named);
    states[SERVICE_MILTER] = (struct service_state){
        "post365-milter", settings->milter_socket,
        "clients are told to come again later, and mail of this machine stays in the maildrop", 0};
    states[SERVICE_TRANSPORT] =
        (struct service_state){"post365-transport", settings->transport_socket,
                               "mail waits in the queue, and is not woken up", 0};
    for (size_t i = 0; i < SERVICES; i++)
        if (named[i])
            states[i].reason = try_service(settings, states[i].where);
}
