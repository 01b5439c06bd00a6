/* registration.h - a registration file: the application in Microsoft Entra that tokens are for
 *
 * A file as those of ldap_table(5): lines `name = value`, continued by lines that begin with white
 * space, comments with `#`; no secret stands in it. Microsoft's names for things are used. See
 * post365_oauth2(5).
 *
 * No other file is opened here: that those that hold secrets are there, and fit, is for whoever may
 * read them.
 */
#ifndef POST365_COMMON_OAUTH2_REGISTRATION_H
#define POST365_COMMON_OAUTH2_REGISTRATION_H

#include "common/entra/cause.h"
#include "common/entra/cloud.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGISTRATION_FILE_MAX  ((size_t)16 * 1024) /* bytes */
#define REGISTRATION_VALUE_MAX ((size_t)1024)      /* bytes of one value */

/* What "credential:NAME" begins with: a file of systemd's LoadCredential=. */
#define REGISTRATION_CREDENTIAL "credential:"

enum registration_grant {
    REGISTRATION_APP, /* the application's own (client credentials) */
    REGISTRATION_USER /* each account's user has logged in (device code) */
};

/* What proves that it is the application. */
enum registration_credential {
    REGISTRATION_NONE, /* a public client: grant = user alone */
    REGISTRATION_SECRET,
    REGISTRATION_CERTIFICATE,
    REGISTRATION_FEDERATED,
    REGISTRATION_MANAGED_VM, /* a managed identity: the machine itself */
    REGISTRATION_MANAGED_ARC
};

/* All texts are its own and never NULL unless it is said. */
struct registration {
    char *path;
    char *tenant;    /* a GUID or a domain, lower case; "": of a managed identity */
    char *client_id; /* a GUID, lower case; "": a managed identity of the system's */
    const struct cloud *cloud;
    char *authority; /* "https://login.microsoftonline.com", no slash at the end; of a managed
                        identity: of the metadata service, NULL for the usual one */
    char *scope;
    enum registration_grant grant;
    enum registration_credential credential;
    /* As written, an absolute path or credential:NAME, see registration_file(); NULL: not of this
     * credential. */
    char *client_secret_file;
    char *certificate_file;
    char *key_file;
    char *federated_token_file;
    /* The day on which the admin says that the secret ends, its first second in UTC since the
     * epoch; 0: not said. */
    int64_t client_secret_expires;
};

/* Reads the file at `path`, an absolute path. NULL with the reason (file, name, value, what is
 * wrong and the remedy) and, where `cause` is not NULL, the row that it is, `registration-missing`
 * or `registration-wrong`. Release with registration_free(). */
struct registration *registration_read(const char *path, const struct entra_row **cause,
                                       struct error *error);

/* The same of a file's content. Pure. */
struct registration *registration_parse(const char *path, const char *text, size_t length,
                                        struct error *error);

/* `registration` may be NULL. */
void registration_free(struct registration *registration);

/* The path of a file as written in a registration: credential:NAME lies in `directory`, which is
 * $CREDENTIALS_DIRECTORY (NULL: there is none, and the error says so). The caller's to free(). NULL
 * with the reason. */
char *registration_file(const char *written, const char *directory, struct error *error);

/* "app", "user"; "secret", "certificate", "federated", "managed", "none": as spoken on
 * post365_oauth2_socket. */
const char *registration_grant_name(const struct registration *registration);
const char *registration_credential_name(const struct registration *registration);

/* Whether it is a managed identity, of either kind. */
bool registration_is_managed(const struct registration *registration);

/* Whether two ask for the same token: authority, tenant, client id, scope and grant are the same.
 * Whatever proves that it is the application: a token in hand is as good as before. */
bool registration_equal(const struct registration *one, const struct registration *other);

#endif
