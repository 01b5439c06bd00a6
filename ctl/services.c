/* services.c - do the programs that mail goes through answer? */
#include "ctl/services.h"

#include "common/memory.h"
#include "common/postconf.h"
#include "common/socket.h"
#include "ctl/relay/milter.h"

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

/* What main.cf says of them. */
struct naming {
    bool is_named[SERVICES];
    bool lets_clients_in; /* while the milter is away */
    bool lets_local_in;   /* likewise, mail of sendmail(1) */
};

/* Mail that passes no milter of ours is not held up by it. */
static bool lets_in(const struct milter_list *list, const char *general)
{
    const char *action = list->action[0] != '\0' ? list->action : general;
    return !list->has_ours || strcmp(action, "accept") == 0;
}

/* Names none if it cannot be found out. */
static struct naming find_named(const struct settings *settings)
{
    enum { SMTPD, LOCAL, ACTION, TRANSPORT, VALUES };
    static const char *const expressions[VALUES] = {
        [SMTPD] = "$smtpd_milters",
        [LOCAL] = "$non_smtpd_milters",
        [ACTION] = "$milter_default_action",
        [TRANSPORT] = "$default_transport $sender_dependent_default_transport_maps $transport_maps",
    };
    const struct postconf postconf = {.directory = settings->config_directory};
    char *values[VALUES] = {NULL};
    struct naming naming = {.lets_clients_in = false};
    struct error error;
    if (postconf_expand(&postconf, expressions, VALUES, values, &error)) {
        struct milter_list clients, local;
        milter_list_read(settings, values[SMTPD], &clients);
        milter_list_read(settings, values[LOCAL], &local);
        naming.is_named[SERVICE_MILTER] = clients.has_ours || local.has_ours;
        naming.is_named[SERVICE_TRANSPORT] =
            names_transport(values[TRANSPORT], settings->transport_socket);
        naming.lets_clients_in = lets_in(&clients, values[ACTION]);
        naming.lets_local_in = lets_in(&local, values[ACTION]);
    }
    for (size_t i = 0; i < VALUES; i++)
        free(values[i]);
    return naming;
}

static const char *without_milter(const struct naming *naming)
{
    if (naming->lets_clients_in && naming->lets_local_in)
        return "mail comes in all the same, and post365-transport makes it right";
    if (naming->lets_clients_in)
        return "mail of clients comes in all the same, and mail of this machine stays in the "
               "maildrop";
    if (naming->lets_local_in)
        return "clients are told to come again later, and mail of this machine comes in all the "
               "same";
    return "clients are told to come again later, and mail of this machine stays in the maildrop";
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
    struct naming naming = find_named(settings);
    states[SERVICE_MILTER] = (struct service_state){"post365-milter", settings->milter_socket,
                                                    without_milter(&naming), 0};
    states[SERVICE_TRANSPORT] =
        (struct service_state){"post365-transport", settings->transport_socket,
                               "mail waits in the queue, and is not woken up", 0};
    for (size_t i = 0; i < SERVICES; i++)
        if (naming.is_named[i])
            states[i].reason = try_service(settings, states[i].where);
}
