/* destinations.c - which server does mail of a sender go to, and whose is a key of a password
 * table?
 *
 * Security: this is where it is decided which server sees which password. A look-up that fails is
 * never taken for "relayhost".
 */
#include "common/destinations.h"

#include "common/address.h"
#include "common/dictionary.h"
#include "common/domains.h"
#include "common/memory.h"
#include "common/microsoft.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OWN_TRANSPORT "post365:"

struct destinations {
    const struct settings *settings;
    struct tables *tables;     /* sender_dependent_relayhost_maps */
    struct tables *transports; /* sender_dependent_default_transport_maps */
    struct domains *local_domains;
    struct destination_list relayhost;
    pthread_mutex_t mutex;            /* protects what follows */
    struct destination_list accounts; /* relayhost's, and those of ours that the tables name */
    uint64_t version;                 /* of the tables, when they were listed */
    bool is_listed;
};

/* --- open and close --- */

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

struct destinations *destinations_reopen(struct destinations *old, const struct settings *settings,
                                         struct error *error)
{
    struct tables *tables = tables_reopen(old != NULL ? old->tables : NULL, DESTINATIONS_PARAMETER,
                                          or_empty(settings->sender_relayhost_maps),
                                          settings->config_directory, TABLE_VALUES, error);
    struct tables *transports =
        tables != NULL
            ? tables_reopen(old != NULL ? old->transports : NULL, DESTINATIONS_TRANSPORTS,
                            or_empty(settings->sender_transport_maps), settings->config_directory,
                            TABLE_VALUES, error)
            : NULL;
    if (transports == NULL) {
        tables_close(tables);
        return NULL;
    }
    struct destinations *destinations = memory_zero(1, sizeof(*destinations));
    destinations->transports = transports;
    destinations->settings = settings;
    destinations->tables = tables;
    destinations->local_domains = domains_new(or_empty(settings->local_domains));
    destination_read_list(settings->relayhost, &destinations->relayhost);
    pthread_mutex_init(&destinations->mutex, NULL);
    return destinations;
}

bool destinations_check(struct destinations *destinations, struct error *error)
{
    return tables_check(destinations->tables, error) &&
           tables_check(destinations->transports, error);
}

void destinations_close(struct destinations *destinations)
{
    if (destinations == NULL)
        return;
    tables_close(destinations->tables);
    tables_close(destinations->transports);
    domains_free(destinations->local_domains);
    pthread_mutex_destroy(&destinations->mutex);
    free(destinations);
}

bool destinations_refresh(struct destinations *destinations, uint64_t *version)
{
    uint64_t of_relayhosts, of_transports;
    bool fine = tables_refresh(destinations->tables, &of_relayhosts);
    fine = tables_refresh(destinations->transports, &of_transports) && fine;
    *version = of_relayhosts + of_transports;
    return fine;
}

/* --- where mail goes --- */

static bool is_ours(const struct destinations *destinations, const struct destination *destination)
{
    if (microsoft_host(destination->host) == MICROSOFT_SUBMISSION)
        return true;
    for (size_t i = 0; i < destinations->relayhost.count; i++)
        if (destination_equal(destination, &destinations->relayhost.items[i]))
            return true;
    return false;
}

/* What the table has for a sender. Whatever has no meaning is shown, and nobody's. */
static bool read_value(const struct destinations *destinations, const char *value,
                       struct destination_list *list)
{
    if (strcasecmp(value, "DUNNO") == 0) {
        *list = destinations->relayhost;
        return true;
    }
    destination_read_list(value, list);
    if (list->count > 0)
        return is_ours(destinations, &list->items[0]);
    list->count = 1;
    list->items[0] = (struct destination){.has_port = false};
    memcpy(list->items[0].written, value, strnlen(value, DESTINATION_SIZE - 1));
    return false;
}

/* A table's word for a sender, which has the form of a key. */
static enum table_answer find_value(struct destinations *destinations, struct tables *tables,
                                    const char *sender, const char *null_key, char **value,
                                    struct error *error)
{
    const char *delimiter = or_empty(destinations->settings->recipient_delimiter);
    if (sender[0] == '\0' || sender[0] == '@')
        return tables_find(tables, sender[0] == '\0' ? or_empty(null_key) : sender, value, error);
    return tables_find_address(tables, sender, delimiter, destinations->local_domains, value,
                               error);
}

/* Whether "transport:nexthop" leads to a server that is not ours. Without a next hop the relayhost
 * counts (trivial-rewrite(8)); what is no server, as a socket, is for nobody to log in to. */
static bool leads_elsewhere(const struct destinations *destinations, const char *value,
                            struct destination_list *list)
{
    const char *colon = strchr(value, ':');
    if (colon == NULL || strncmp(value, OWN_TRANSPORT, strlen(OWN_TRANSPORT)) == 0)
        return false;
    destination_read_list(colon + 1, list);
    return list->count > 0 && !is_ours(destinations, &list->items[0]);
}

/* TABLE_FOUND: by its transport. */
static enum table_answer find_elsewhere(struct destinations *destinations, const char *sender,
                                        struct destination_list *list, struct error *error)
{
    char *value = NULL;
    enum table_answer answer =
        find_value(destinations, destinations->transports, sender,
                   destinations->settings->null_sender_transport_key, &value, error);
    if (answer == TABLE_FOUND && !leads_elsewhere(destinations, value, list))
        answer = TABLE_NONE;
    free(value);
    return answer;
}

/* By sender_dependent_relayhost_maps, else by relayhost. */
static enum table_answer find_relayhost(struct destinations *destinations, const char *sender,
                                        struct destination_list *list, bool *ours,
                                        struct error *error)
{
    char *value = NULL;
    enum table_answer answer =
        find_value(destinations, destinations->tables, sender,
                   destinations->settings->null_sender_relay_key, &value, error);
    if (answer == TABLE_FAILED)
        return answer;
    *ours = read_value(destinations, answer == TABLE_FOUND ? value : "DUNNO", list);
    free(value);
    if (list->count > 0)
        return TABLE_FOUND;
    list->count = 1;
    list->items[0] = (struct destination){.has_port = false};
    struct destination none;
    destination_parse(destinations->settings, &none, error);
    return TABLE_NONE;
}

enum table_answer destinations_find(struct destinations *destinations, const char *sender,
                                    struct destination_list *list, bool *ours, struct error *error)
{
    enum table_answer answer = find_elsewhere(destinations, sender, list, error);
    *ours = false;
    return answer != TABLE_NONE ? answer : find_relayhost(destinations, sender, list, ours, error);
}

static void note_server(void *context, const char *sender, const struct destination *destination,
                        bool ours)
{
    struct destination_list *list = context;
    (void)sender;
    if (!ours || list->count == DESTINATIONS_MAX)
        return;
    for (size_t i = 0; i < list->count; i++)
        if (destination_equal(&list->items[i], destination))
            return;
    list->items[list->count++] = *destination;
}

static void copy_accounts(struct destinations *destinations, struct destination_list *list)
{
    uint64_t version;
    tables_refresh(destinations->tables, &version);
    pthread_mutex_lock(&destinations->mutex);
    if (!destinations->is_listed || destinations->version != version) {
        destinations->accounts = destinations->relayhost;
        destinations_each(destinations, note_server, &destinations->accounts);
        destinations->version = version;
        destinations->is_listed = true;
    }
    *list = destinations->accounts;
    pthread_mutex_unlock(&destinations->mutex);
}

enum table_answer destinations_of_account(struct destinations *destinations, const char *upn,
                                          struct destination_list *list, bool *ours,
                                          struct error *error)
{
    *ours = false;
    /* A transport is for who is the sender. The account may send others' mail by relayhost all the
     * same, and relayhost's line is its own. */
    enum table_answer answer = find_relayhost(destinations, upn, list, ours, error);
    if (answer == TABLE_FOUND && *ours && list->count == destinations->relayhost.count &&
        destination_equal(&list->items[0], &destinations->relayhost.items[0]))
        copy_accounts(destinations, list);
    return answer;
}

/* --- whose a key is --- */

static enum table_answer find_server(const struct destination *server,
                                     const struct destination_list *list,
                                     const struct destination **which)
{
    for (size_t i = 0; i < list->count; i++)
        if (destination_equal(server, &list->items[i])) {
            *which = &list->items[i];
            return TABLE_FOUND;
        }
    return TABLE_NONE;
}

enum table_answer destinations_owner(struct destinations *destinations, const char *key,
                                     const struct destination_list *list,
                                     const struct destination **which, struct error *error)
{
    struct destination server;
    struct destination_list its;
    bool ours = true;
    if (destination_is_host(key))
        return destination_read(key, &server) == NULL ? find_server(&server, list, which)
                                                      : TABLE_NONE;
    enum table_answer answer = destinations_find(destinations, key, &its, &ours, error);
    if (answer == TABLE_FAILED || !ours)
        return answer == TABLE_FAILED ? TABLE_FAILED : TABLE_NONE;
    return find_server(&its.items[0], list, which);
}

/* --- all of them --- */

static void note_value(void *context, const char *key, const char *value)
{
    if (dictionary_find(context, key) == NULL)
        dictionary_put(context, key, memory_copy(value));
}

struct each {
    const struct destinations *destinations;
    void (*visit)(void *context, const char *sender, const struct destination *destination,
                  bool is_ours);
    void *context;
};

static void visit_value(void *context, const char *key, void *value)
{
    const struct each *each = context;
    struct destination_list list;
    bool ours = read_value(each->destinations, value, &list);
    if (list.count > 0)
        each->visit(each->context, key, &list.items[0], ours);
}

bool destinations_each(struct destinations *destinations,
                       void (*visit)(void *context, const char *sender,
                                     const struct destination *destination, bool is_ours),
                       void *context)
{
    struct each each = {.destinations = destinations, .visit = visit, .context = context};
    struct dictionary *values = dictionary_new(free);
    tables_each_value(destinations->tables, note_value, values);
    dictionary_each(values, visit_value, &each);
    dictionary_free(values);
    return tables_can_list(destinations->tables);
}
