/* plan_transport.c - main.cf: mail goes to post365-transport, each account as its own destination
 */
#include "ctl/setup/plan.h"

#include "common/buffer.h"
#include "common/destinations.h"
#include "common/memory.h"
#include "common/table.h"
#include "common/upstream/credentials.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SENDER_MAPS "sender_dependent_default_transport_maps"
#define TRANSPORT   "post365:"
#define POLICY      "smtpd_end_of_data_restrictions"

/* --- the default --- */

static void plan_default(struct plan *plan)
{
    const struct relay *relay = plan->relay;
    const char *now = relay->value[RELAY_DEFAULT_TRANSPORT];
    if (strncmp(now, TRANSPORT, strlen(TRANSPORT)) == 0)
        return;
    plan_change(plan, RELAY_MAIN, "default_transport",
                "post365-transport sends to %s in place of smtp(8), at the speed that is "
                "allowed.%s%s%s",
                relay->settings->relayhost, strcmp(now, "smtp") == 0 ? "" : " It was ",
                strcmp(now, "smtp") == 0 ? "" : now, strcmp(now, "smtp") == 0 ? "" : ".");
    char *value = memory_format(TRANSPORT "%s", relay->settings->transport_socket);
    plan_set(plan, "default_transport", value);
    free(value);
}

/* --- a destination for each account --- */

/* "post365:unix:post365/accounts/<UPN>": beside the transport's own socket, see
 * transport/account_sockets.h. NULL where that is no UNIX socket. */
static char *destination_of(const struct relay *relay, const char *account)
{
    const char *socket = relay->settings->transport_socket, *slash = strrchr(socket, '/');
    if (strncmp(socket, "unix:", 5) != 0)
        return NULL;
    size_t directory = slash != NULL ? (size_t)(slash - socket) + 1 : 5;
    return memory_format(TRANSPORT "%.*saccounts/%s", (int)directory, socket, account);
}

/* What has a meaning of its own where it would have to stand. */
static bool can_be_written(const char *account)
{
    return strpbrk(account, "{}$, =\"") == NULL;
}

/* Whether the maps that are there know the account; they are asked first, and stay so. */
static bool is_known(struct plan *plan, struct tables *tables, const char *account,
                     const char *destination, bool *fine, struct error *error)
{
    char *found = NULL;
    enum table_answer answer = tables_find(tables, account, &found, error);
    *fine = answer != TABLE_FAILED;
    if (answer == TABLE_FOUND && strcmp(found, destination) != 0)
        plan_remark(plan,
                    SENDER_MAPS " sends %s to %s, and is left as it is. If that is "
                                "not wanted, make it %s.",
                    account, found, destination);
    free(found);
    return answer == TABLE_FOUND;
}

/* Appends "{ account = destination }" for each account that has none. */
static bool list_accounts(struct plan *plan, struct tables *tables, struct buffer *list,
                          struct error *error)
{
    const struct relay *relay = plan->relay;
    bool fine = true;
    for (size_t i = 0; fine && i < relay->account_count; i++) {
        const char *account = relay->accounts[i];
        char *destination = destination_of(relay, account);
        if (destination != NULL && !can_be_written(account))
            plan_duty(plan,
                      "%s has a character that an inline: table cannot hold: its mail shares "
                      "the destination of all mail.",
                      account);
        else if (destination != NULL &&
                 !is_known(plan, tables, account, destination, &fine, error) && fine)
            buffer_format(list, "%s{ %s = %s }", list->length > 0 ? ",\n      " : "", account,
                          destination);
        free(destination);
    }
    return fine;
}

/* --- mail that goes elsewhere by its sender --- */

struct ways {
    struct plan *plan;
    struct tables *tables; /* sender_dependent_default_transport_maps as it is */
    char *client;          /* "smtp:": without a next hop, so that the sender's relayhost counts */
    struct buffer *list;   /* the new lines */
    struct buffer added;   /* the senders, for people */
    bool fine;
    struct error *error;
};

/* Whether the map as it is hands mail of this sender to the transport. */
static bool is_left_to_transport(struct ways *ways, const char *sender)
{
    char *found = NULL;
    enum table_answer answer = tables_find(ways->tables, sender, &found, ways->error);
    bool is_transport = answer == TABLE_FOUND && strncmp(found, TRANSPORT, strlen(TRANSPORT)) == 0;
    if (is_transport)
        plan_duty(ways->plan,
                  SENDER_MAPS " sends %s to %s, but its mail is for the server that "
                              "sender_dependent_relayhost_maps names. Make it %s.",
                  sender, found, ways->client);
    free(found);
    ways->fine = ways->fine && answer != TABLE_FAILED;
    return answer == TABLE_NONE;
}

static void keep_way(void *context, const char *sender, const struct destination *destination,
                     bool is_ours)
{
    struct ways *ways = context;
    if (is_ours || !ways->fine || !is_left_to_transport(ways, sender))
        return;
    if (!can_be_written(sender)) {
        plan_duty(ways->plan,
                  "%s has a character that an inline: table cannot hold. Its mail is for %s: "
                  "write a table for " SENDER_MAPS " in which it has %s.",
                  sender, destination->written, ways->client);
        return;
    }
    buffer_format(ways->list, "%s{ %s = %s }", ways->list->length > 0 ? ",\n      " : "", sender,
                  ways->client);
    buffer_format(&ways->added, "%s%s to %s", ways->added.length > 0 ? ", " : "", sender,
                  destination->written);
}

/* What smtp(8) is called here: as it was, where another than "smtp" was the default. */
static char *client_of(const struct relay *relay)
{
    const char *now = relay->value[RELAY_DEFAULT_TRANSPORT];
    if (strncmp(now, TRANSPORT, strlen(TRANSPORT)) == 0)
        now = "smtp";
    return memory_format("%.*s:", (int)strcspn(now, ":"), now);
}

/* default_transport names a next hop from now on, which comes before
 * sender_dependent_relayhost_maps (trivial-rewrite(8)). Mail for Microsoft's other servers goes by
 * the transport, which asks the maps itself. */
static bool keep_ways(struct plan *plan, struct tables *tables, struct buffer *list,
                      struct error *error)
{
    const struct relay *relay = plan->relay;
    struct ways ways = {.plan = plan,
                        .tables = tables,
                        .client = client_of(relay),
                        .list = list,
                        .fine = true,
                        .error = error};
    struct destinations *destinations = destinations_reopen(NULL, relay->settings, error);
    bool are_all = destinations != NULL && destinations_each(destinations, keep_way, &ways);
    if (ways.added.length > 0)
        plan_change(
            plan, RELAY_MAIN, SENDER_MAPS,
            "Mail of these senders is for other servers, by sender_dependent_relayhost_maps, "
            "and goes there as before: %s.",
            ways.added.data);
    if (destinations != NULL && !are_all)
        plan_remark(
            plan,
            "sender_dependent_relayhost_maps = %s cannot be listed. Mail of its senders that "
            "is for another server than Microsoft's would wait: write for each of them, in a "
            "table of " SENDER_MAPS ", \"sender %s\" (in a table of patterns the same "
            "pattern).",
            relay->value[RELAY_SENDER_RELAYHOSTS], ways.client);
    destinations_close(destinations);
    buffer_free(&ways.added);
    free(ways.client);
    return destinations != NULL && ways.fine;
}

static bool plan_accounts(struct plan *plan, struct error *error)
{
    const struct relay *relay = plan->relay;
    struct buffer list = {0};
    struct tables *tables = tables_open(SENDER_MAPS, relay->value[RELAY_SENDER_TRANSPORTS],
                                        relay->settings->config_directory, TABLE_VALUES, error);
    if (tables == NULL)
        return false;
    bool fine = list_accounts(plan, tables, &list, error);
    if (fine && list.length > 0)
        plan_change(plan, RELAY_MAIN, SENDER_MAPS,
                    "Each account that has credentials is a destination of its own, so that one "
                    "without room does not hold up the others.%s",
                    relay->value[RELAY_SENDER_TRANSPORTS][0] != '\0'
                        ? " What the map has already goes first, and stays."
                        : "");
    fine = fine && keep_ways(plan, tables, &list, error);
    tables_close(tables);
    if (fine && list.length > 0)
        plan_add_table(plan, SENDER_MAPS, list.data);
    buffer_free(&list);
    return fine;
}

/* --- how they log in --- */

/* What the transport would say of an account when its mail waits. */
static bool remark_credentials(struct plan *plan, struct error *error)
{
    const struct relay *relay = plan->relay;
    struct credentials *credentials = credentials_open(relay->settings, error);
    for (size_t i = 0; credentials != NULL && i < relay->account_count; i++) {
        struct credential credential;
        struct error reason;
        if (credentials_find(credentials, relay->accounts[i], &credential, &reason) != TABLE_FOUND)
            plan_duty(plan, "%s cannot log in, and its mail would wait: %s.", relay->accounts[i],
                      reason.text);
        credential_release(&credential);
    }
    credentials_close(credentials);
    return credentials != NULL;
}

/* --- its pace --- */

/* Whether a delay that holds for all transports would hold up this one. */
static bool is_delayed(const char *value)
{
    return strtoul(value, NULL, 10) > 0;
}

static void plan_delay(struct plan *plan, const char *general, const char *own,
                       enum relay_value value)
{
    if (!is_delayed(plan->relay->value[value]) || relay_sets(plan->relay, own))
        return;
    plan_change(plan, RELAY_MAIN, own,
                "%s = %s would hold up the transport as well, which keeps the pace itself.",
                general, plan->relay->value[value]);
    plan_set(plan, own, "0s");
}

static void plan_pace(struct plan *plan)
{
    if (!relay_sets(plan->relay, "post365_destination_concurrency_limit")) {
        plan_change(plan, RELAY_MAIN, "post365_destination_concurrency_limit",
                    "Messages of an account that Postfix hands over at once: those on its "
                    "connections, and some that get ready meanwhile.");
        plan_set(plan, "post365_destination_concurrency_limit", "10");
    }
    if (!relay_sets(plan->relay, "post365_destination_recipient_limit")) {
        plan_change(plan, RELAY_MAIN, "post365_destination_recipient_limit",
                    "Recipients of one message, as many as Microsoft takes: Postfix would cut a "
                    "newsletter into messages of 50, and a minute's limit counts messages.");
        char *limit =
            memory_format("%" PRIu32, plan->relay->settings->quota.recipients_per_message);
        plan_set(plan, "post365_destination_recipient_limit", limit);
        free(limit);
    }
    plan_delay(plan, "default_destination_rate_delay", "post365_destination_rate_delay",
               RELAY_DESTINATION_DELAY);
    plan_delay(plan, "default_transport_rate_delay", "post365_transport_rate_delay",
               RELAY_TRANSPORT_DELAY);
}

/* --- a relay that had post365 without the transport --- */

static void plan_meter(struct plan *plan)
{
    const struct relay *relay = plan->relay;
    if (relay->settings->meter != METER_SUBMISSION)
        return;
    plan_change(plan, RELAY_MAIN, "post365_meter",
                "The transport counts what is sent; the policy service shall not count it a "
                "second time.");
    plan_remove(plan, "post365_meter");
    if (relay_sets(relay, POLICY))
        plan_remark(plan, POLICY " may stay: the policy service then counts nothing, and still "
                                 "refuses a message that no period could ever hold.");
    if (relay_sets(relay, "smtp_reply_filter"))
        plan_remark(plan, "smtp_reply_filter may stay: it concerns smtp(8) alone.");
}

/* --- mail that goes elsewhere --- */

static void plan_elsewhere(struct plan *plan)
{
    const struct relay *relay = plan->relay;
    if (relay_sets(relay, "relay_domains") && relay->value[RELAY_RELAY_DOMAINS][0] != '\0')
        plan_remark(plan, "relay_domains: mail for these goes by relay_transport, not through "
                          "post365.");
}

bool plan_transport(struct plan *plan, struct error *error)
{
    plan_default(plan);
    if (!plan_accounts(plan, error) || !remark_credentials(plan, error))
        return false;
    plan_pace(plan);
    plan_meter(plan);
    plan_elsewhere(plan);
    return true;
}
