/* dial.h - a connection to whichever address of a server answers first
 *
 * Both families are looked up and tried side by side: an attempt begins every 250 ms, or as soon as
 * one has failed, and none is given up before one has succeeded. The first that is connected wins,
 * the others are closed. A family whose look-up is slow is not waited for longer than 50 ms.
 * Transport and doctor share this.
 *
 * Source: RFC 8305, sections 3 to 5 and 8.
 */
#ifndef POST365_COMMON_UPSTREAM_DIAL_H
#define POST365_COMMON_UPSTREAM_DIAL_H

#include "common/error.h"
#include "common/smtp_settings.h"
#include "common/upstream/addresses.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct dial;

/* What smtp(8)'s settings say of connections. It outlives them. */
struct dial_settings {
    bool families[ADDRESS_FAMILIES];
    struct address source[ADDRESS_FAMILIES]; /* length 0: any */
    const char *source_parameter[ADDRESS_FAMILIES];
    bool source_is_enforced;
    enum smtp_preference preference;
    uint32_t timeout; /* seconds for all of it */
    struct address_memory memory;
};

struct dial_handler {
    /* Once, one of these; then the dial is no more. The descriptor is the caller's; small writes
     * leave it at once. */
    void (*connected)(void *context, evutil_socket_t descriptor, const struct address *address);
    /* `text`: "the name cannot be resolved: ..." or "no address answers: ...". */
    void (*failed)(void *context, const char *text);
};

/* Names in inet_interfaces are resolved for it, which may take a while. */
void dial_settings_read(const struct smtp_settings *smtp, struct dial_settings *settings);

/* Whether connections can come from the address that main.cf wants of a family (none: yes). Else
 * the reason, with the parameter. */
bool dial_source_works(const struct dial_settings *settings, enum address_family family,
                       struct error *error);

/* Begins. `known` has the addresses, which have not been tried; NULL: they are looked up. The
 * handler is called from the event loop. */
struct dial *dial_begin(struct event_base *base, struct evdns_base *dns, const char *host,
                        const char *port, const struct addresses *known,
                        struct dial_settings *settings, const struct dial_handler *handler,
                        void *context);
/* Before the handler was called: it will not be. */
void dial_end(struct dial *dial);

#endif
