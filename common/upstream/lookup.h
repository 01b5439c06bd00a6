/* lookup.h - the addresses that a name has, a family at a time
 *
 * /etc/hosts first: what stands there is all there is. Then DNS, A and AAAA side by side; what
 * comes first is told first. An address in numbers is asked nowhere. Transport and doctor share
 * this, so that both see the same.
 */
#ifndef POST365_COMMON_UPSTREAM_LOOKUP_H
#define POST365_COMMON_UPSTREAM_LOOKUP_H

#include "common/upstream/addresses.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <stdbool.h>

struct lookup;

/* A family's answer, once for each that was asked for, from the event loop. `result` is 0, or says
 * why there is none (evutil_gai_strerror()); the addresses are the lookup's. */
typedef void lookup_answered(void *context, enum address_family family, int result,
                             const struct evutil_addrinfo *addresses);

/* Reads /etc/hosts and /etc/resolv.conf (anew). False: no name server is named there. */
bool lookup_read_system(struct evdns_base *dns);

/* Begins. `port` is a number; `families` says which ones are asked for. Release with
 * lookup_end(), also from within `answered`. */
struct lookup *lookup_begin(struct event_base *base, struct evdns_base *dns, const char *host,
                            const char *port, const bool families[ADDRESS_FAMILIES],
                            lookup_answered *answered, void *context);
/* `lookup` may be NULL. */
void lookup_end(struct lookup *lookup);

#endif
