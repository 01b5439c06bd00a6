/* destination.h - where $relayhost says that mail goes
 *
 * "[host]:port", "[host]", "host:port" or "host"; a host may be an address, "[ipv6:2001:db8::1]".
 * Of a list the first counts.
 */
#ifndef POST365_COMMON_UPSTREAM_DESTINATION_H
#define POST365_COMMON_UPSTREAM_DESTINATION_H

#include "common/error.h"
#include "common/settings.h"

#include <stdbool.h>

struct destination {
    char host[256];
    char port[8]; /* a number; 587 where none is named */
};

/* False with the reason: relayhost is empty, has no host, or a port that is none. */
bool destination_parse(const struct settings *settings, struct destination *destination,
                       struct error *error);

#endif
