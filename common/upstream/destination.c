/* destination.c - where $relayhost says that mail goes */
#include "common/upstream/destination.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBMISSION_PORT "587"
#define SEPARATORS      ", \t\r\n"
#define IPV6_MARK       "ipv6:" /* before an address, as in mail addresses */

static bool wrong(const struct settings *settings, const char *reason, struct error *error)
{
    return error_set(error,
                     "%s/main.cf: relayhost = " ERROR_SHOWN ": %s; write "
                     "[smtp.office365.com]:587",
                     settings->config_directory, settings->relayhost, reason);
}

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

bool destination_parse(const struct settings *settings, struct destination *destination,
                       struct error *error)
{
    const char *text = settings->relayhost + strspn(settings->relayhost, SEPARATORS);
    size_t length = strcspn(text, SEPARATORS);
    const char *host = text, *rest;
    size_t host_length;
    if (length == 0)
        return wrong(settings, "there is no destination", error);
    if (text[0] == '[') {
        host = text + 1;
        if (strncasecmp(host, IPV6_MARK, strlen(IPV6_MARK)) == 0)
            host += strlen(IPV6_MARK);
        host_length = strcspn(host, "]" SEPARATORS);
        rest = host + host_length;
        if (*rest != ']')
            return wrong(settings, "there is no ] behind the host", error);
        rest++;
    } else {
        host_length = strcspn(host, ":" SEPARATORS);
        rest = host + host_length;
    }
    if (host_length == 0 || host_length >= sizeof(destination->host))
        return wrong(settings, "there is no host", error);
    memcpy(destination->host, host, host_length);
    destination->host[host_length] = '\0';
    size_t left = (size_t)(text + length - rest);
    if (left == 0) {
        strcpy(destination->port, SUBMISSION_PORT);
        return true;
    }
    return (rest[0] == ':' && find_port(rest + 1, left - 1, destination->port)) ||
           wrong(settings, "the port is none", error);
}
