/* reach.h - which of a server's addresses answers, by the transport's own way (lookup.h, dial.h) */
#ifndef POST365_CTL_DOCTOR_REACH_H
#define POST365_CTL_DOCTOR_REACH_H

#include "common/error.h"
#include "common/settings.h"
#include "common/upstream/dial.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <stdbool.h>

struct reach {
    struct event_base *base; /* NULL until reach_prepare(), as the next */
    struct evdns_base *dns;
    struct dial_settings dialling;
    struct addresses addresses; /* none until reach_resolve() */
};

/* False with the reason. Call before the others; again is no harm. */
bool reach_prepare(struct reach *reach, const struct settings *settings, struct error *error);
void reach_free(struct reach *reach);

/* Looks the name up, unless that was done. False with the reason. */
bool reach_resolve(struct reach *reach, const char *host, const char *port, struct error *error);

/* Connects to whichever address answers first, `address`. The descriptor, which is the caller's and
 * does not block; -1 with the reasons. */
int reach_connect(struct reach *reach, const char *host, const char *port, struct address *address,
                  struct error *error);

/* Whether an address of this family answers, within 5 s. False with the reason. */
bool reach_try(const struct reach *reach, const char *host, const char *port,
               enum address_family family, struct address *address, struct error *error);

#endif
