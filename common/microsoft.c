/* microsoft.c - which of Microsoft's servers a host is */
#include "common/microsoft.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static bool lies_below(const char *host, size_t length, const char *domain)
{
    size_t suffix = strlen(domain);
    return length > suffix && strncasecmp(host + length - suffix, domain, suffix) == 0;
}

static bool is_listed(const char *host, const char *const domains[])
{
    size_t length = strlen(host);
    while (length > 0 && host[length - 1] == '.')
        length--;
    for (size_t i = 0; domains[i] != NULL; i++)
        if (lies_below(host, length, domains[i]))
            return true;
    return false;
}

enum microsoft_host microsoft_host(const char *host)
{
    /* Exchange Online Protection: the world's, the clouds of the US government, China, and (until
     * 2021) Germany; the domains of DNSSEC; names of earlier years. */
    static const char *const exchangers[] = {".mail.protection.outlook.com",
                                             ".mail.protection.office365.us",
                                             ".mail.protection.partner.outlook.cn",
                                             ".mail.protection.outlook.de",
                                             ".mx.microsoft",
                                             ".mail.eo.outlook.com",
                                             ".mail.messaging.microsoft.com",
                                             NULL};
    static const char *const others[] = {".office365.com", ".office365.us",       ".outlook.com",
                                         ".outlook.de",    ".partner.outlook.cn", NULL};
    return is_listed(host, exchangers) ? MICROSOFT_MX
           : is_listed(host, others)   ? MICROSOFT_SUBMISSION
                                       : MICROSOFT_NONE;
}
