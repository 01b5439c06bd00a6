/* cloud.c - Microsoft's clouds: where tokens come from, and what they are for */
#include "common/entra/cloud.h"

#include <string.h>
#include <strings.h>

#define RESOURCE_GLOBAL "https://outlook.office365.com"
#define RESOURCE_USGOV  "https://outlook.office365.us"
#define RESOURCE_CHINA  "https://partner.outlook.cn"
#define APP             "/.default"
#define USER            "/SMTP.Send offline_access"

/* What is not used of a token's end, in seconds. */
#define MARGIN             60
#define MARGIN_HIGH_VOLUME 600

static const struct cloud clouds[] = {
    {
        .name = "global",
        .authority = "https://login.microsoftonline.com",
        .resource = RESOURCE_GLOBAL,
        .app_scope = RESOURCE_GLOBAL APP,
        .user_scope = "https://outlook.office.com" USER,
        .hosts = {"smtp.office365.com", "smtp-legacy.office365.com", "outlook.office365.com"},
    },
    {
        .name = "usgov",
        .authority = "https://login.microsoftonline.us",
        .resource = RESOURCE_USGOV,
        .app_scope = RESOURCE_USGOV APP,
        .user_scope = RESOURCE_USGOV USER,
        .hosts = {"smtp.office365.us"},
    },
    {
        .name = "usgov-dod",
        .authority = "https://login.microsoftonline.us",
        .resource = RESOURCE_USGOV,
        .app_scope = RESOURCE_USGOV APP,
        .user_scope = RESOURCE_USGOV USER,
        .hosts = {"outlook-dod.office365.us"},
    },
    {
        .name = "china",
        .authority = "https://login.partner.microsoftonline.cn",
        .resource = RESOURCE_CHINA,
        .app_scope = RESOURCE_CHINA APP,
        .user_scope = RESOURCE_CHINA USER,
        .hosts = {"smtp.partner.outlook.cn", "partner.outlook.cn"},
    },
};

static const char *const high_volume[] = {"smtp-hve.office365.com", "smtp.hve.mx.microsoft"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct cloud *cloud_at(size_t index)
{
    return index < COUNT(clouds) ? &clouds[index] : NULL;
}

const struct cloud *cloud_named(const char *name)
{
    for (size_t i = 0; i < COUNT(clouds); i++)
        if (strcasecmp(clouds[i].name, name) == 0)
            return &clouds[i];
    return NULL;
}

/* Without the dot that may stand at the end of a host's name. */
static bool is_host(const char *host, const char *name)
{
    size_t length = strlen(name);
    return strncasecmp(host, name, length) == 0 && host[length + (host[length] == '.')] == '\0';
}

const struct cloud *cloud_of_host(const char *host)
{
    for (size_t i = 0; i < COUNT(clouds); i++)
        for (size_t j = 0; clouds[i].hosts[j] != NULL; j++)
            if (is_host(host, clouds[i].hosts[j]))
                return &clouds[i];
    return NULL;
}

bool cloud_is_high_volume(const char *host)
{
    for (size_t i = 0; i < COUNT(high_volume); i++)
        if (is_host(host, high_volume[i]))
            return true;
    return false;
}

unsigned cloud_margin(const char *host)
{
    return host != NULL && cloud_is_high_volume(host) ? MARGIN_HIGH_VOLUME : MARGIN;
}
