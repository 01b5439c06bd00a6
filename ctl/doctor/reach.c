/* reach.c - which of a server's addresses answers, by the transport's own way
 *
 * An event loop that ends when the answer is there.
 */
#include "ctl/doctor/reach.h"

#include "common/upstream/lookup.h"
#include "ctl/doctor/dialogue.h"

#include <event2/util.h>

#define TRY_TIMEOUT 5 /* seconds */

static void end_loop(evutil_socket_t descriptor, short what, void *base)
{
    (void)descriptor;
    (void)what;
    event_base_loopbreak(base);
}

bool reach_prepare(struct reach *reach, const struct settings *settings, struct error *error)
{
    dial_settings_read(&settings->smtp, &reach->dialling);
    if (reach->dialling.timeout > DIALOGUE_TIMEOUT)
        reach->dialling.timeout = DIALOGUE_TIMEOUT;
    if (reach->base == NULL)
        reach->base = event_base_new();
    if (reach->base != NULL && reach->dns == NULL) {
        reach->dns = evdns_base_new(reach->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (reach->dns != NULL)
            lookup_read_system(reach->dns);
    }
    return reach->dns != NULL || error_set(error, "cannot set up the event loop");
}

void reach_free(struct reach *reach)
{
    if (reach->base != NULL) /* libevent releases what was cancelled */
        event_base_loop(reach->base, EVLOOP_NONBLOCK);
    if (reach->dns != NULL)
        evdns_base_free(reach->dns, 0);
    if (reach->base != NULL)
        event_base_free(reach->base);
}

/* --- names ------------------------------------------------------------------------------ */

struct resolving {
    struct reach *reach;
    unsigned awaited; /* families */
    int result[ADDRESS_FAMILIES];
};

static void family_answered(void *context, enum address_family family, int result,
                            const struct evutil_addrinfo *addresses)
{
    struct resolving *resolving = context;
    resolving->result[family] = result;
    for (const struct evutil_addrinfo *each = addresses; each != NULL; each = each->ai_next)
        addresses_add(&resolving->reach->addresses, each->ai_addr, (socklen_t)each->ai_addrlen);
    if (--resolving->awaited == 0)
        event_base_loopbreak(resolving->reach->base);
}

static bool explain(const struct resolving *resolving, struct error *error)
{
    const bool *families = resolving->reach->dialling.families;
    enum address_family family = families[ADDRESS_IPV4] ? ADDRESS_IPV4 : ADDRESS_IPV6;
    if (resolving->awaited > 0)
        return error_set(error, "no answer within %d s", DIALOGUE_TIMEOUT);
    bool has_both = families[ADDRESS_IPV4] && families[ADDRESS_IPV6];
    return error_set(error, "%s%s%s%s", evutil_gai_strerror(resolving->result[family]),
                     has_both ? "" : " (inet_protocols allows ",
                     has_both ? "" : address_family_name(family), has_both ? "" : " alone)");
}

bool reach_resolve(struct reach *reach, const char *host, const char *port, struct error *error)
{
    const struct timeval patience = {.tv_sec = DIALOGUE_TIMEOUT};
    struct resolving resolving = {.reach = reach};
    if (addresses_count(&reach->addresses) > 0)
        return true;
    for (size_t i = 0; i < ADDRESS_FAMILIES; i++)
        resolving.awaited += reach->dialling.families[i];
    addresses_begin(&reach->addresses, ADDRESS_IPV4);
    struct lookup *lookup = lookup_begin(reach->base, reach->dns, host, port,
                                         reach->dialling.families, family_answered, &resolving);
    struct event *end = evtimer_new(reach->base, end_loop, reach->base);
    if (end != NULL)
        event_add(end, &patience);
    event_base_dispatch(reach->base);
    lookup_end(lookup);
    if (end != NULL)
        event_free(end);
    return addresses_count(&reach->addresses) > 0 || explain(&resolving, error);
}

/* --- connections ------------------------------------------------------------------------ */

struct connecting {
    struct event_base *base;
    int descriptor; /* -1: there is none */
    struct address address;
    struct error error;
};

static void connected(void *context, evutil_socket_t descriptor, const struct address *address)
{
    struct connecting *connecting = context;
    connecting->descriptor = descriptor;
    connecting->address = *address;
    event_base_loopbreak(connecting->base);
}

static void not_connected(void *context, const char *text)
{
    struct connecting *connecting = context;
    error_set(&connecting->error, "%s", text);
    event_base_loopbreak(connecting->base);
}

static int connect_to(const struct reach *reach, const char *host, const char *port,
                      const struct addresses *known, struct dial_settings *dialling,
                      struct address *address, struct error *error)
{
    static const struct dial_handler handler = {.connected = connected, .failed = not_connected};
    struct connecting connecting = {.base = reach->base, .descriptor = -1};
    dial_begin(reach->base, reach->dns, host, port, known, dialling, &handler, &connecting);
    event_base_dispatch(reach->base);
    *address = connecting.address;
    if (connecting.descriptor < 0)
        error_set(error, "%s", connecting.error.text);
    return connecting.descriptor;
}

int reach_connect(struct reach *reach, const char *host, const char *port, struct address *address,
                  struct error *error)
{
    return connect_to(reach, host, port, &reach->addresses, &reach->dialling, address, error);
}

bool reach_try(const struct reach *reach, const char *host, const char *port,
               enum address_family family, struct address *address, struct error *error)
{
    struct addresses known = reach->addresses;
    struct dial_settings dialling = reach->dialling;
    known.count[family == ADDRESS_IPV6 ? ADDRESS_IPV4 : ADDRESS_IPV6] = 0;
    dialling.timeout = TRY_TIMEOUT;
    int descriptor = connect_to(reach, host, port, &known, &dialling, address, error);
    if (descriptor >= 0)
        evutil_closesocket(descriptor);
    return descriptor >= 0;
}
