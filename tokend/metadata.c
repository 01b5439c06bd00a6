/* metadata.c - tokens of a managed identity: of an Azure VM, or of a machine with Azure Arc */
#include "tokend/metadata.h"

#include "common/buffer.h"
#include "common/memory.h"

#include <string.h>
#include <strings.h>

#define PATH        "/metadata/identity/oauth2/token"
#define VM_VERSION  "2018-02-01"
#define ARC_VERSION "2020-06-01"
#define BASIC       "Authorization: Basic "

/* Of a URL in a query. */
static void append_encoded(struct buffer *url, const char *text)
{
    static const char kept[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (; *text != '\0'; text++) {
        if (strchr(kept, *text) != NULL)
            buffer_append_char(url, *text);
        else
            buffer_format(url, "%%%02X", (unsigned)(unsigned char)*text);
    }
}

char *metadata_url(const struct registration *registration)
{
    bool is_vm = registration->credential == REGISTRATION_MANAGED_VM;
    const char *authority = registration->authority;
    struct buffer url = {0};
    if (authority == NULL)
        authority = is_vm ? METADATA_VM_AUTHORITY : METADATA_ARC_AUTHORITY;
    buffer_format(&url, "%s" PATH "?api-version=%s&resource=", authority,
                  is_vm ? VM_VERSION : ARC_VERSION);
    append_encoded(&url, registration->cloud->resource);
    if (registration->client_id[0] != '\0') {
        buffer_append_string(&url, "&client_id=");
        append_encoded(&url, registration->client_id);
    }
    return buffer_take(&url);
}

/* --- Arc -------------------------------------------------------------------------------------- */

/* The value behind realm= in `Basic realm=/path` or `Basic realm="/path"`. */
static const char *find_realm(const char *header, size_t *length)
{
    static const char basic[] = "Basic", realm[] = "realm=";
    if (strncasecmp(header, basic, strlen(basic)) != 0)
        return NULL;
    header += strlen(basic);
    size_t blanks = strspn(header, " \t");
    header += blanks;
    if (blanks == 0 || strncasecmp(header, realm, strlen(realm)) != 0)
        return NULL;
    header += strlen(realm);
    bool is_quoted = *header == '"';
    header += is_quoted;
    *length = strcspn(header, is_quoted ? "\"" : ", \t\r\n");
    return header;
}

/* <name>.key: nothing that leads out of the directory. */
static bool is_key_name(const char *name, size_t length)
{
    static const char end[] = ".key";
    static const char kept[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t suffix = strlen(end);
    if (length <= suffix || name[0] == '.' || memcmp(name + length - suffix, end, suffix) != 0)
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] == '\0' || strchr(kept, name[i]) == NULL)
            return false;
    return true;
}

char *metadata_key_path(const char *www_authenticate, const char *directory, struct error *error)
{
    size_t length = 0, base = strlen(directory);
    const char *realm = www_authenticate != NULL ? find_realm(www_authenticate, &length) : NULL;
    if (realm == NULL) {
        error_set(error, "the metadata service wants a proof, and does not say which file has it; "
                         "see whether another program than Azure Arc's agent answers there");
        return NULL;
    }
    if (length <= METADATA_KEY_PATH_MAX && length > base + 1 &&
        memcmp(realm, directory, base) == 0 && realm[base] == '/' &&
        is_key_name(realm + base + 1, length - base - 1))
        return memory_copy_bytes(realm, length);
    error_set(error,
              "the metadata service names a file that is not %s/NAME.key, and nothing else is "
              "read for it; see whether another program than Azure Arc's agent answers there",
              directory);
    return NULL;
}

struct secret *metadata_authorization(const struct secret *key, struct error *error)
{
    const char *bytes = secret_reveal(key);
    size_t length = secret_length(key);
    while (length > 0 && strchr("\r\n", bytes[length - 1]) != NULL)
        length--;
    bool is_line = length > 0 && length <= METADATA_KEY_MAX;
    for (size_t i = 0; i < length && is_line; i++)
        is_line = bytes[i] > ' ' && bytes[i] <= '~';
    if (!is_line) {
        error_set(error, "the key of Azure Arc's agent is no line of text of at most %zu bytes",
                  METADATA_KEY_MAX);
        return NULL;
    }
    struct secret *header = secret_new(strlen(BASIC) + length);
    secret_append(header, BASIC, strlen(BASIC));
    secret_append(header, bytes, length);
    return header;
}
