/* addresses.c - the addresses of a server, in the order in which they are tried */
#include "common/upstream/addresses.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

const char *address_family_name(enum address_family family)
{
    return family == ADDRESS_IPV6 ? "IPv6" : "IPv4";
}

int address_family_number(enum address_family family)
{
    return family == ADDRESS_IPV6 ? AF_INET6 : AF_INET;
}

static enum address_family other(enum address_family family)
{
    return family == ADDRESS_IPV6 ? ADDRESS_IPV4 : ADDRESS_IPV6;
}

enum address_family addresses_first(const bool families[ADDRESS_FAMILIES],
                                    enum smtp_preference preference,
                                    const struct address_memory *memory, int64_t now)
{
    if (!families[ADDRESS_IPV6] || !families[ADDRESS_IPV4])
        return families[ADDRESS_IPV6] ? ADDRESS_IPV6 : ADDRESS_IPV4;
    if (preference != SMTP_PREFER_ANY)
        return preference == SMTP_PREFER_IPV6 ? ADDRESS_IPV6 : ADDRESS_IPV4;
    return now < memory->until ? memory->family : ADDRESS_IPV6;
}

void addresses_begin(struct addresses *addresses, enum address_family first)
{
    *addresses = (struct addresses){.turn = first};
}

/* The address alone, without a port. */
static bool is_same(const struct address *address, const struct sockaddr *socket)
{
    if (socket->sa_family == AF_INET)
        return ((const struct sockaddr_in *)&address->socket)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)socket)->sin_addr.s_addr;
    return memcmp(&((const struct sockaddr_in6 *)&address->socket)->sin6_addr,
                  &((const struct sockaddr_in6 *)socket)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

bool addresses_add(struct addresses *addresses, const struct sockaddr *socket, socklen_t length)
{
    if (socket->sa_family != AF_INET && socket->sa_family != AF_INET6)
        return false;
    enum address_family family = socket->sa_family == AF_INET ? ADDRESS_IPV4 : ADDRESS_IPV6;
    struct address *list = addresses->list[family];
    size_t *count = &addresses->count[family];
    for (size_t i = 0; i < *count; i++)
        if (is_same(&list[i], socket))
            return false;
    if (*count == ADDRESSES_MAX || length > sizeof(list[0].socket))
        return false;
    list[*count] = (struct address){.length = length};
    memcpy(&list[*count].socket, socket, length);
    ++*count;
    return true;
}

const struct address *addresses_next(struct addresses *addresses)
{
    enum address_family family = addresses->turn;
    if (addresses->tried[family] == addresses->count[family])
        family = other(family);
    if (addresses->tried[family] == addresses->count[family])
        return NULL;
    addresses->turn = other(family);
    return &addresses->list[family][addresses->tried[family]++];
}

size_t addresses_count(const struct addresses *addresses)
{
    return addresses->count[ADDRESS_IPV4] + addresses->count[ADDRESS_IPV6];
}

const char *address_text(const struct address *address, char text[ADDRESS_TEXT_SIZE])
{
    const void *bytes =
        address->socket.ss_family == AF_INET6
            ? (const void *)&((const struct sockaddr_in6 *)&address->socket)->sin6_addr
            : (const void *)&((const struct sockaddr_in *)&address->socket)->sin_addr;
    if (address->length == 0 ||
        inet_ntop(address->socket.ss_family, bytes, text, ADDRESS_TEXT_SIZE) == NULL)
        snprintf(text, ADDRESS_TEXT_SIZE, "none");
    return text;
}
