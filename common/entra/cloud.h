/* cloud.h - Microsoft's clouds: where tokens come from, and what they are for
 *
 * Pure and constant.
 *
 * Sources: Microsoft Learn, "National clouds" (authorities), "Authenticate an IMAP, POP or SMTP
 * connection using OAuth" (scopes), "Office 365 URLs and IP address ranges" and its pages for the
 * national clouds (hosts), "Manage High Volume Email".
 */
#ifndef POST365_COMMON_ENTRA_CLOUD_H
#define POST365_COMMON_ENTRA_CLOUD_H

#include <stdbool.h>
#include <stddef.h>

#define CLOUD_HOSTS_MAX 3

struct cloud {
    const char *name;       /* as in a registration file: "global" */
    const char *authority;  /* "https://login.microsoftonline.com" */
    const char *resource;   /* "https://outlook.office365.com", for managed identities */
    const char *app_scope;  /* of an application: "https://outlook.office365.com/.default" */
    const char *user_scope; /* of a user's grant, with offline_access */
    const char *hosts[CLOUD_HOSTS_MAX + 1]; /* of SMTP submission, ended by NULL */
};

/* By its name in a registration file, or NULL. */
const struct cloud *cloud_named(const char *name);

/* Number `index` from 0 on, NULL behind the last one. The first is the world's. */
const struct cloud *cloud_at(size_t index);

/* The one whose users submit mail to `host`; NULL: it is no such host, or of High Volume Email. A
 * dot at the end and capitals do not matter. */
const struct cloud *cloud_of_host(const char *host);

/* Whether a host takes the mail of High Volume Email, an account without a mailbox. */
bool cloud_is_high_volume(const char *host);

/* The end of a token's life that is not used for a login at `host` (may be NULL: Microsoft's usual
 * one), in seconds: 60, and 600 for High Volume Email, which refuses a token that ends soon. */
unsigned cloud_margin(const char *host);

#endif
