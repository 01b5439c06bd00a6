/* metadata.h - tokens of a managed identity: of an Azure VM, or of a machine with Azure Arc
 *
 * A service on the host's own network gives them to whoever asks from the machine. Arc's wants a
 * proof that the caller may read a file that belongs to root and the group himds: it answers 401
 * with the file's path, and its content goes into the second request. The path comes from a peer,
 * and is believed within one directory alone. Pure.
 *
 * Experimental: that Exchange's SMTP takes such tokens was not seen.
 *
 * Sources: Microsoft Learn, "How to use managed identities for Azure resources on an Azure VM to
 * acquire an access token", "Authenticate against Azure resources with Azure Arc-enabled servers".
 */
#ifndef POST365_TOKEND_METADATA_H
#define POST365_TOKEND_METADATA_H

#include "common/error.h"
#include "common/oauth2/registration.h"
#include "common/secret.h"

#include <stddef.h>

/* A header of each request, without which the service refuses it. */
#define METADATA_HEADER "Metadata: true"

#define METADATA_VM_AUTHORITY  "http://169.254.169.254"
#define METADATA_ARC_AUTHORITY "http://127.0.0.1:40342"
#define METADATA_ARC_DIRECTORY "/var/opt/azcmagent/tokens"
#define METADATA_KEY_MAX       ((size_t)4096) /* bytes of a key file */
#define METADATA_KEY_PATH_MAX  ((size_t)255)  /* bytes of its path */

/* The URL to GET, never through a proxy; the caller's to free(). `registration` is one of a managed
 * identity. */
char *metadata_url(const struct registration *registration);

/* The path of Arc's key file from the Www-Authenticate of its 401: <directory>/<name>.key and
 * nothing else; the caller's to free(). `directory` is METADATA_ARC_DIRECTORY, or a test's. The
 * caller opens it with O_NOFOLLOW, and reads it if it is a regular file of at most METADATA_KEY_MAX
 * bytes. NULL with the reason. */
char *metadata_key_path(const char *www_authenticate, const char *directory, struct error *error);

/* The header of Arc's second request, "Authorization: Basic ..."; the caller's to secret_free().
 * NULL with the reason: the key is empty, too long, or no text of one line. */
struct secret *metadata_authorization(const struct secret *key, struct error *error);

#endif
