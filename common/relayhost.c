/* relayhost.c - where smtp(8) looks for the credentials for $relayhost */
#include "common/relayhost.h"

#include "common/memory.h"
#include "common/microsoft.h"

#include <stdlib.h>
#include <string.h>

#define LIST_SEPARATORS ", \t\r\n"

/* The host name in "[host]:port", "[host]", "host:port" or "host". Caller frees. */
static char *host_of(const char *destination)
{
    if (destination[0] == '[')
        return memory_copy_bytes(destination + 1, strcspn(destination + 1, "]"));
    const char *colon = strrchr(destination, ':');
    return memory_copy_bytes(destination,
                             colon != NULL ? (size_t)(colon - destination) : strlen(destination));
}

/* relayhost may list several destinations; Postfix tries them in order. */
char **relayhost_keys(const char *relayhost)
{
    size_t count = 0;
    char **keys = memory_zero(1, sizeof(char *));
    char *list = memory_copy(relayhost), *rest = list, *destination;
    while ((destination = strsep(&rest, LIST_SEPARATORS)) != NULL) {
        if (destination[0] == '\0')
            continue;
        keys = memory_grow(keys, (count + 3) * sizeof(char *));
        keys[count++] = host_of(destination);
        keys[count++] = memory_copy(destination);
        keys[count] = NULL;
    }
    free(list);
    return keys;
}

bool relayhost_takes_logins(const char *relayhost, struct error *error)
{
    char **keys = relayhost_keys(relayhost);
    const char *exchanger = NULL;
    for (size_t i = 0; keys[i] != NULL && exchanger == NULL; i += 2)
        exchanger = microsoft_host(keys[i]) == MICROSOFT_MX ? keys[i] : NULL;
    bool fine = exchanger == NULL ||
                error_set(error,
                          "relayhost: " ERROR_SHOWN
                          " is a tenant's mail exchanger (MX): that is direct send, over port 25, "
                          "where nobody can log in and only the tenant's own recipients are "
                          "reached; write [smtp.office365.com]:587, and a line for that in the "
                          "password table",
                          exchanger);
    relayhost_keys_free(keys);
    return fine;
}

void relayhost_keys_free(char **keys)
{
    for (size_t i = 0; keys != NULL && keys[i] != NULL; i++)
        free(keys[i]);
    free(keys);
}
