/* addresses.h - the addresses of a server, in the order in which they are tried
 *
 * Pure. The two families take turns, so that one that leads nowhere costs one attempt and not
 * several. Source: RFC 8305 (Happy Eyeballs), sections 4 and 5.
 */
#ifndef POST365_COMMON_UPSTREAM_ADDRESSES_H
#define POST365_COMMON_UPSTREAM_ADDRESSES_H

#include "common/smtp_settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum address_family { ADDRESS_IPV4, ADDRESS_IPV6, ADDRESS_FAMILIES };

/* Of a family; what is more is left out. */
#define ADDRESSES_MAX 16

struct address {
    struct sockaddr_storage socket; /* with the port */
    socklen_t length;               /* 0: none */
};

struct addresses {
    struct address list[ADDRESS_FAMILIES][ADDRESSES_MAX];
    size_t count[ADDRESS_FAMILIES];
    size_t tried[ADDRESS_FAMILIES];
    enum address_family turn; /* whose address comes next */
};

/* Which family was connected to last. */
struct address_memory {
    enum address_family family;
    int64_t until; /* microseconds of a clock that nobody sets; 0: it is not known */
};

/* Where a dead family is known, this long after the last connection. */
#define ADDRESS_MEMORY_PERIOD ((int64_t)600 * 1000000)

/* "IPv4", "IPv6". */
const char *address_family_name(enum address_family family);
/* AF_INET, AF_INET6. */
int address_family_number(enum address_family family);

/* The family to begin with: the only one that is allowed, the one that is preferred, the one that
 * answered last, IPv6. */
enum address_family addresses_first(const bool families[ADDRESS_FAMILIES],
                                    enum smtp_preference preference,
                                    const struct address_memory *memory, int64_t now);

/* Empty, and `first` begins. */
void addresses_begin(struct addresses *addresses, enum address_family first);

/* False: of neither family, there already, or no room. May be called between attempts. */
bool addresses_add(struct addresses *addresses, const struct sockaddr *socket, socklen_t length);

/* The next that was not tried, or NULL. It is the other family's turn then. */
const struct address *addresses_next(struct addresses *addresses);

/* How many there are. */
size_t addresses_count(const struct addresses *addresses);

/* In numbers, without the port. */
#define ADDRESS_TEXT_SIZE 64
const char *address_text(const struct address *address, char text[ADDRESS_TEXT_SIZE]);

#endif
