/* route.h - lines of tables that decide who delivers
 *
 * Sources: transport(5), postconf(5), resolve.c of trivial-rewrite(8): transport_maps go first,
 * then sender_dependent_default_transport_maps, then default_transport, whose next hop goes before
 * any relayhost.
 */
#ifndef POST365_CTL_RELAY_ROUTE_H
#define POST365_CTL_RELAY_ROUTE_H

#include "common/buffer.h"
#include "common/error.h"
#include "ctl/relay/config.h"

#include <stdbool.h>
#include <stddef.h>

/* Lines of the tables that `parameter` of main.cf lists, as far as they can be listed, which take
 * mail past the transport that is Microsoft's all the same: all mail, or what goes to the host that
 * accounts log in at, `relayhost` ("smtp.office365.com"; "" if it is not known). Mail for some
 * recipients may go to servers of one's own, to a tenant's MX, or to High Volume Email. In
 * sender_dependent_default_transport_maps the keys are senders, whose mail without a next hop goes
 * where sender_dependent_relayhost_maps says, by itself to relayhost. They are appended as "*
 * smtp:; a.example relay:[smtp.office365.com]". `*count` says how many. False with the reason where
 * a table cannot be used. */
bool route_list_past(const struct config *config, const char *relayhost, const char *parameter,
                     struct buffer *shown, size_t *count, struct error *error);

#endif
