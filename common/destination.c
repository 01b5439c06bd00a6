/* destination.c - a server that mail goes to, as Postfix's next hops name it */
#include "common/destination.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SUBMISSION_PORT "587"
#define SEPARATORS      ", \t\r\n"
#define IPV6_PREFIX     "ipv6:"

/* A number, or a name of /etc/services. */
static bool find_port(const char *text, size_t length, char port[8])
{
    char name[32];
    if (length == 0 || length >= sizeof(name))
        return false;
    memcpy(name, text, length);
    name[length] = '\0';
    char *end = NULL;
    unsigned long number = strtoul(name, &end, 10);
    if (*end != '\0') {
        const struct servent *service = getservbyname(name, "tcp");
        number = service != NULL ? ntohs((uint16_t)service->s_port) : 0;
    }
    if (number == 0 || number > UINT16_MAX)
        return false;
    snprintf(port, 8, "%lu", number);
    return true;
}

/* Where the host is within `text`, and what stands behind it. False: there is no ] behind it. */
static bool find_host(const char *text, const char **host, size_t *length, const char **rest)
{
    *host = text;
    if (text[0] != '[') {
        *length = strcspn(text, ":" SEPARATORS);
        *rest = text + *length;
        return true;
    }
    (*host)++;
    *length = strcspn(*host, "]" SEPARATORS);
    *rest = *host + *length;
    if (**rest != ']')
        return false;
    (*rest)++;
    if (*length >= strlen(IPV6_PREFIX) &&
        strncasecmp(*host, IPV6_PREFIX, strlen(IPV6_PREFIX)) == 0) {
        *host += strlen(IPV6_PREFIX);
        *length -= strlen(IPV6_PREFIX);
    }
    return true;
}

const char *destination_read(const char *text, struct destination *destination)
{
    struct destination read = {.port = SUBMISSION_PORT};
    text += strspn(text, SEPARATORS);
    size_t length = strcspn(text, SEPARATORS), host_length;
    const char *host, *rest;
    if (length == 0)
        return "there is no destination";
    if (!find_host(text, &host, &host_length, &rest))
        return "there is no ] behind the host";
    if (host_length > 1 && host[host_length - 1] == '.')
        host_length--;
    if (host_length == 0 || host_length >= sizeof(read.host) || length >= sizeof(read.written))
        return "there is no host";
    memcpy(read.host, host, host_length);
    memcpy(read.written, text, length);
    size_t left = (size_t)(text + length - rest);
    read.has_port = left > 0;
    if (left > 0 && (rest[0] != ':' || !find_port(rest + 1, left - 1, read.port)))
        return "the port is none";
    *destination = read;
    return NULL;
}

void destination_read_list(const char *text, struct destination_list *list)
{
    list->count = 0;
    for (text += strspn(text, SEPARATORS); *text != '\0' && list->count < DESTINATIONS_MAX;
         text += strspn(text, SEPARATORS)) {
        if (destination_read(text, &list->items[list->count]) == NULL)
            list->count++;
        text += strcspn(text, SEPARATORS);
    }
}

bool destination_parse(const struct settings *settings, struct destination *destination,
                       struct error *error)
{
    const char *reason = destination_read(settings->relayhost, destination);
    return reason == NULL || error_set(error,
                                       "%s/main.cf: relayhost = " ERROR_SHOWN ": %s; write "
                                       "[smtp.office365.com]:587",
                                       settings->config_directory, settings->relayhost, reason);
}

bool destination_equal(const struct destination *one, const struct destination *other)
{
    return strcasecmp(one->host, other->host) == 0 &&
           (!one->has_port || !other->has_port || strcmp(one->port, other->port) == 0);
}

bool destination_is_host(const char *key)
{
    return strchr(key, '@') == NULL &&
           (strpbrk(key, ".:[") != NULL || strcasecmp(key, "localhost") == 0);
}
