/* route.c - lines of tables that decide who delivers */
#include "ctl/relay/route.h"

#include "common/destinations.h"
#include "common/memory.h"
#include "common/microsoft.h"
#include "common/table.h"

#include <stdlib.h>
#include <string.h>

/* What is asked of a table beside its own keys: tables of patterns, and static:, have none. */
#define NOBODY    "post365.doctor@nowhere.invalid"
#define BY_SENDER "sender_dependent_default_transport_maps"
#define SHOWN_MAX 5 /* keys of a table */

/* Whether a right-hand side hands mail to smtp(8), or to another next hop; ":" and "" change
 * nothing. */
static bool is_client(const struct config *config, const char *destination)
{
    size_t length = strcspn(destination, ":");
    if (length == 0)
        return destination[0] == ':' && destination[1] != '\0';
    if (strncmp(destination + length, ":unix:", strlen(":unix:")) == 0)
        return false;
    char *name = memory_copy_bytes(destination, length);
    const struct config_service *service = config_service(config, name, "unix");
    free(name);
    return service != NULL && strcmp(service->command, "smtp") == 0;
}

/* Where accounts log in, and limits count: neither High Volume Email, which is another service, nor
 * an MX. */
static bool is_submission(const char *text, size_t length, const char *relayhost)
{
    static const char other_service[] = "smtp-hve";
    char *host = memory_copy_bytes(text, length);
    bool is_it = (relayhost[0] != '\0' && strcasecmp(host, relayhost) == 0) ||
                 (microsoft_host(host) == MICROSOFT_SUBMISSION &&
                  strncasecmp(host, other_service, strlen(other_service)) != 0);
    free(host);
    return is_it;
}

/* Whether mail of this sender goes to a server that is not ours. */
static bool is_for_another(struct destinations *senders, const char *key)
{
    struct destination_list list;
    struct error error;
    bool ours = true;
    return strcmp(key, NOBODY) != 0 &&
           destinations_find(senders, key, &list, &ours, &error) == TABLE_FOUND && !ours;
}

/* `senders` is NULL where the key is no sender. */
static bool leads_past(const struct config *config, const char *relayhost,
                       struct destinations *senders, const char *key, const char *destination)
{
    if (!is_client(config, destination))
        return false;
    const char *host = destination + strcspn(destination, ":");
    host += *host == ':';
    host += *host == '[';
    size_t length = strcspn(host, "]:");
    bool is_everybody = strcmp(key, "*") == 0 || strcmp(key, NOBODY) == 0;
    if (senders != NULL && length == 0)
        return is_everybody || !is_for_another(senders, key);
    return is_everybody || (is_submission(host, length, relayhost) &&
                            (senders == NULL || !is_for_another(senders, key)));
}

struct keys {
    char **list;
    size_t count;
};

static void note_key(void *context, const char *key)
{
    struct keys *keys = context;
    keys->list = memory_grow(keys->list, (keys->count + 1) * sizeof(char *));
    keys->list[keys->count++] = memory_copy(key);
}

bool route_list_past(const struct config *config, const char *relayhost, const char *parameter,
                     struct buffer *shown, size_t *count, struct error *error)
{
    struct keys keys = {.list = NULL};
    struct destinations *senders = NULL;
    struct tables *tables = tables_open(parameter, config_value(config, parameter),
                                        config->settings->config_directory, TABLE_VALUES, error);
    *count = 0;
    bool fine = tables != NULL;
    if (fine && strcmp(parameter, BY_SENDER) == 0)
        fine = (senders = destinations_reopen(NULL, config->settings, error)) != NULL;
    if (!fine) {
        tables_close(tables);
        return false;
    }
    note_key(&keys, NOBODY);
    tables_each_key(tables, note_key, &keys);
    for (size_t i = 0; i < keys.count; i++) {
        char *answer = NULL;
        if (tables_find(tables, keys.list[i], &answer, NULL) == TABLE_FOUND &&
            leads_past(config, relayhost, senders, keys.list[i], answer) && (*count)++ < SHOWN_MAX)
            buffer_format(shown, "%s%.100s %.200s", shown->length > 0 ? "; " : "", keys.list[i],
                          answer);
        free(answer);
        free(keys.list[i]);
    }
    if (*count > SHOWN_MAX)
        buffer_format(shown, "; and %zu more", *count - SHOWN_MAX);
    free(keys.list);
    destinations_close(senders);
    tables_close(tables);
    return true;
}
