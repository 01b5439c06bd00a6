/* identity.c - which account sends this message?
 *
 * Security: the answer decides in whose name mail leaves. A look-up that fails is never taken for
 * "not found", and what a table gives must be an address.
 */
#include "common/identity.h"

#include "common/address.h"
#include "common/address_standard.h"
#include "common/destinations.h"
#include "common/memory.h"
#include "common/relayhost.h"

#include <stdlib.h>
#include <string.h>

#define LIST_SEPARATORS ", \t\r\n"

enum map {
    MAP_LOGIN,
    MAP_SENDER,
    MAP_SEND_AS,
    MAP_PASSWORD,
    MAP_TOKEN,
    MAP_OAUTH2,
    MAPS,
};

struct identities {
    const struct settings *settings;
    struct domains *local_domains;
    struct destinations *destinations;
    struct tables *maps[MAPS];
};

static const char *const map_parameters[MAPS] = {
    [MAP_LOGIN] = "post365_login_upn_maps", [MAP_SENDER] = "post365_sender_upn_maps",
    [MAP_SEND_AS] = "post365_send_as_maps", [MAP_PASSWORD] = "post365_password_maps",
    [MAP_TOKEN] = "post365_token_maps",     [MAP_OAUTH2] = "post365_oauth2_maps",
};

/* --- open and close --- */

static const char *map_value(const struct settings *settings, enum map map)
{
    switch (map) {
    case MAP_LOGIN:
        return settings->login_upn_maps;
    case MAP_SENDER:
        return settings->sender_upn_maps;
    case MAP_SEND_AS:
        return settings->send_as_maps;
    case MAP_TOKEN:
        return settings->token_maps != NULL ? settings->token_maps : "";
    case MAP_OAUTH2:
        return settings->oauth2_maps != NULL ? settings->oauth2_maps : "";
    case MAP_PASSWORD:
    case MAPS:
        break;
    }
    return settings->password_maps;
}

struct identities *identities_open(const struct settings *settings, struct error *error)
{
    return identities_reopen(NULL, settings, error);
}

struct identities *identities_reopen(struct identities *old, const struct settings *settings,
                                     struct error *error)
{
    if (settings->upn[0] != '\0' && !address_is_upn(settings->upn)) {
        error_set(error,
                  "%s/main.cf: post365_upn = %s: no UPN; write one such as "
                  "relay@example.com",
                  settings->config_directory, settings->upn);
        return NULL;
    }
    struct identities *identities = memory_zero(1, sizeof(*identities));
    identities->settings = settings;
    identities->local_domains = domains_new(settings->local_domains);
    identities->destinations =
        destinations_reopen(old != NULL ? old->destinations : NULL, settings, error);
    if (identities->destinations == NULL) {
        identities_close(identities);
        return NULL;
    }
    for (enum map map = 0; map < MAPS; map++) {
        identities->maps[map] =
            tables_reopen(old != NULL ? old->maps[map] : NULL, map_parameters[map],
                          map_value(settings, map), settings->config_directory,
                          map == MAP_PASSWORD ? TABLE_USER_NAMES : TABLE_VALUES, error);
        if (identities->maps[map] == NULL) {
            identities_close(identities);
            return NULL;
        }
    }
    return identities;
}

bool identities_check(struct identities *identities, struct error *error)
{
    for (enum map map = 0; map < MAPS; map++)
        if (!tables_check(identities->maps[map], error))
            return false;
    return destinations_check(identities->destinations, error);
}

void identities_close(struct identities *identities)
{
    if (identities == NULL)
        return;
    for (enum map map = 0; map < MAPS; map++)
        tables_close(identities->maps[map]);
    destinations_close(identities->destinations);
    domains_free(identities->local_domains);
    free(identities);
}

/* --- the account --- */

/* Makes an address of what a table gave for `key`, and frees it. */
static enum table_answer accept_upn(const struct identities *identities, enum map map,
                                    const char *key, char *value, char **upn, struct error *error)
{
    *upn = address_strip(value);
    free(value);
    if (address_is_upn(*upn))
        return TABLE_FOUND;
    error_set(error,
              "%s/main.cf: %s = " ERROR_SHOWN ": \"" ERROR_SHOWN "\" for key \"" ERROR_SHOWN
              "\" is no UPN; %s",
              identities->settings->config_directory, map_parameters[map],
              map == MAP_PASSWORD ? "..." : map_value(identities->settings, map), *upn, key,
              map == MAP_PASSWORD ? "Microsoft 365 wants a UPN, user@domain, as the user name"
                                  : "write the account's UPN, user@domain");
    free(*upn);
    *upn = NULL;
    return TABLE_FAILED;
}

static enum table_answer find_by_address(struct identities *identities, enum map map,
                                         const char *address, char **upn, struct error *error)
{
    const struct settings *settings = identities->settings;
    char *value = NULL;
    enum table_answer answer =
        tables_find_address(identities->maps[map], address, settings->recipient_delimiter,
                            identities->local_domains, &value, error);
    return answer == TABLE_FOUND ? accept_upn(identities, map, address, value, upn, error) : answer;
}

/* Whether a line of the password table that was found under `key` for an address is for the server
 * that mail of this address goes to. A host's line is no address's, whatever its local part is. */
static enum table_answer is_for_address(struct identities *identities, const char *key,
                                        const char *address, struct error *error)
{
    struct destination_list list;
    const struct destination *which;
    bool ours;
    if (destination_is_host(key))
        return TABLE_NONE;
    enum table_answer answer =
        destinations_find(identities->destinations, address, &list, &ours, error);
    if (answer == TABLE_FAILED || !ours)
        return answer == TABLE_FAILED ? TABLE_FAILED : TABLE_NONE;
    return destinations_owner(identities->destinations, key, &list, &which, error);
}

/* accept_upn() for the user name of a line. One whose own mail is for another server is no account.
 */
static enum table_answer accept_user(struct identities *identities, const char *key, char *value,
                                     char **upn, struct error *error)
{
    struct destination_list list;
    bool ours = true;
    enum table_answer answer = accept_upn(identities, MAP_PASSWORD, key, value, upn, error);
    if (answer == TABLE_FOUND &&
        destinations_find(identities->destinations, *upn, &list, &ours, error) == TABLE_FAILED)
        answer = TABLE_FAILED;
    if (answer == TABLE_FOUND && ours)
        return TABLE_FOUND;
    free(*upn);
    *upn = NULL;
    return answer == TABLE_FOUND ? TABLE_NONE : answer;
}

static enum table_answer find_line(struct identities *identities, const char *address, char **upn,
                                   struct error *error)
{
    const struct settings *settings = identities->settings;
    char *key = NULL, *value = NULL;
    enum table_answer answer = tables_find_address_key(
        identities->maps[MAP_PASSWORD], address, settings->recipient_delimiter,
        identities->local_domains, &key, &value, error);
    if (answer == TABLE_FOUND)
        answer = is_for_address(identities, key, address, error);
    free(key);
    if (answer == TABLE_FOUND)
        return accept_user(identities, address, value, upn, error);
    free(value);
    return answer;
}

/* An address that has credentials. Tables of tokens and of registrations say by @domain, or
 * static:, how accounts log in, and name none of them. */
static enum table_answer find_credentials(struct identities *identities, const char *address,
                                          char **upn, struct error *error)
{
    static const enum map exact[] = {MAP_TOKEN, MAP_OAUTH2};
    char *path = NULL;
    enum table_answer answer = TABLE_NONE;
    for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]) && answer == TABLE_NONE; i++)
        if (address_is_upn(address))
            answer = tables_find_exact(identities->maps[exact[i]], address, &path, error);
    free(path);
    if (answer == TABLE_FOUND)
        *upn = memory_copy(address);
    return answer == TABLE_NONE ? find_line(identities, address, upn, error) : answer;
}

/* The user name that smtp(8) finds for a destination. */
static enum table_answer find_user(struct identities *identities, const char *destination,
                                   char **upn, struct error *error)
{
    enum table_answer answer = TABLE_NONE;
    char *value = NULL;
    char **keys = relayhost_keys(destination);
    for (char **key = keys; *key != NULL && answer == TABLE_NONE; key++) {
        answer = tables_find(identities->maps[MAP_PASSWORD], *key, &value, error);
        if (answer == TABLE_FOUND)
            answer = accept_upn(identities, MAP_PASSWORD, *key, value, upn, error);
    }
    relayhost_keys_free(keys);
    return answer;
}

static enum table_answer find_default(struct identities *identities, char **upn,
                                      struct error *error)
{
    const struct settings *settings = identities->settings;
    if (settings->upn[0] == '\0')
        return find_user(identities, settings->relayhost, upn, error);
    *upn = memory_copy(settings->upn);
    return TABLE_FOUND;
}

/* Who smtp(8) would be at the server of ours that the sender has in place of relayhost. */
static enum table_answer find_by_server(struct identities *identities, const char *sender,
                                        char **upn, struct error *error)
{
    struct destination_list list;
    struct destination relayhost;
    bool ours;
    enum table_answer answer =
        destinations_find(identities->destinations, sender, &list, &ours, error);
    if (answer != TABLE_FOUND || !ours)
        return answer == TABLE_FAILED ? TABLE_FAILED : TABLE_NONE;
    if (destination_read(identities->settings->relayhost, &relayhost) == NULL &&
        destination_equal(&relayhost, &list.items[0]))
        return TABLE_NONE;
    return find_user(identities, list.items[0].written, upn, error);
}

static enum table_answer find_source(struct identities *identities, enum identity_source source,
                                     const char *login, const char *sender, char **upn,
                                     struct error *error)
{
    switch (source) {
    case IDENTITY_LOGIN_MAP:
        return find_by_address(identities, MAP_LOGIN, login, upn, error);
    case IDENTITY_SENDER_MAP:
        if (identities->settings->login_only)
            return TABLE_NONE;
        return find_by_address(identities, MAP_SENDER, sender, upn, error);
    case IDENTITY_LOGIN:
        return find_credentials(identities, login, upn, error);
    case IDENTITY_SENDER:
        if (identities->settings->login_only)
            return TABLE_NONE;
        return find_credentials(identities, sender, upn, error);
    case IDENTITY_SERVER:
        if (identities->settings->login_only)
            return TABLE_NONE;
        return find_by_server(identities, sender, upn, error);
    case IDENTITY_DEFAULT:
    case IDENTITY_ELSEWHERE:
        break;
    }
    return find_default(identities, upn, error);
}

/* TABLE_FOUND, with the reason in `error`, if mail of this sender is for a server that is not
 * post365's business; TABLE_NONE if it is. */
static enum table_answer find_elsewhere(struct identities *identities, const char *sender,
                                        struct error *error)
{
    struct destination_list list;
    bool ours;
    char *claimed = NULL;
    enum table_answer answer =
        destinations_find(identities->destinations, sender, &list, &ours, error);
    if (answer != TABLE_FOUND || ours)
        return answer == TABLE_FAILED ? TABLE_FAILED : TABLE_NONE;
    answer = find_source(identities, IDENTITY_SENDER_MAP, "", sender, &claimed, error);
    free(claimed);
    if (answer != TABLE_NONE)
        return answer == TABLE_FAILED ? TABLE_FAILED : TABLE_NONE;
    error_set(error,
              "mail of sender <" ERROR_SHOWN "> is for %s (" DESTINATIONS_PARAMETER
              "), not for Microsoft 365; in %s/main.cf let "
              "sender_dependent_default_transport_maps have \"%s = smtp:\" (post365 setup does it)",
              sender, list.items[0].written, identities->settings->config_directory,
              sender[0] != '\0' ? sender : "<>");
    return TABLE_FOUND;
}

char *identity_sender(const struct identities *identities, const char *given)
{
    const struct settings *settings = identities->settings;
    const struct address_rules rules = {.origin = settings->append_origin,
                                        .domain = settings->append_domain,
                                        .swap_bangpath = settings->swap_bangpath,
                                        .allow_percent_hack = settings->allow_percent_hack};
    return address_standard(given, &rules);
}

static void explain_none(const struct settings *settings, const char *login, const char *sender,
                         struct error *error)
{
    error_set(error,
              "no account for sender <" ERROR_SHOWN "> and login \"" ERROR_SHOWN
              "\"; in %s/main.cf set post365_upn, or give "
              "post365_password_maps a line for relayhost = %s, or %s",
              sender, login, settings->config_directory,
              settings->relayhost[0] != '\0' ? settings->relayhost : "(empty)",
              settings->login_only ? "post365_login_upn_maps one for the login "
                                     "(post365_login_only = yes: the sender is not asked)"
                                   : "post365_sender_upn_maps one for the sender");
}

enum table_answer identity_find(struct identities *identities, const char *login, const char *given,
                                struct identity *identity, struct error *error)
{
    char *sender = identity_sender(identities, given);
    enum table_answer answer = find_elsewhere(identities, sender, error);
    identity->source = IDENTITY_ELSEWHERE;
    identity->upn = answer == TABLE_FOUND ? memory_copy(sender) : NULL;
    for (enum identity_source source = IDENTITY_LOGIN_MAP;
         source <= IDENTITY_DEFAULT && answer == TABLE_NONE; source++) {
        answer = find_source(identities, source, login, sender, &identity->upn, error);
        identity->source = source;
    }
    if (answer == TABLE_NONE)
        explain_none(identities->settings, login, sender, error);
    free(sender);
    return answer;
}

enum table_answer identity_find_default(struct identities *identities, struct identity *identity,
                                        struct error *error)
{
    identity->upn = NULL;
    identity->source = IDENTITY_DEFAULT;
    enum table_answer answer = find_default(identities, &identity->upn, error);
    if (answer == TABLE_NONE)
        explain_none(identities->settings, "", "", error);
    return answer;
}

bool identities_refresh(struct identities *identities, uint64_t *version)
{
    static const enum map asked[] = {MAP_LOGIN, MAP_SENDER, MAP_PASSWORD, MAP_TOKEN, MAP_OAUTH2};
    bool can_tell = destinations_refresh(identities->destinations, version);
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        uint64_t readings;
        can_tell = tables_refresh(identities->maps[asked[i]], &readings) && can_tell;
        *version += readings;
    }
    return can_tell;
}

/* --- enumeration --- */

struct upn_visit {
    void (*visit)(void *context, const char *upn);
    void *context;
};

static void visit_upn(void *context, const char *key, const char *value)
{
    const struct upn_visit *upns = context;
    (void)key;
    char *upn = address_strip(value), *folded = address_fold(upn);
    if (address_is_upn(upn))
        upns->visit(upns->context, folded);
    free(folded);
    free(upn);
}

void identities_each(struct identities *identities, void (*visit)(void *context, const char *upn),
                     void *context)
{
    struct upn_visit upns = {.visit = visit, .context = context};
    tables_each_value(identities->maps[MAP_LOGIN], visit_upn, &upns);
    tables_each_value(identities->maps[MAP_SENDER], visit_upn, &upns);
}

/* --- Send As --- */

/* One entry of a list: TABLE_FAILED for what can cover nothing. */
static enum table_answer entry_covers(const char *entry, const char *address)
{
    if (entry[0] == '@' && entry[1] != '\0' && strchr(entry + 1, '@') == NULL) {
        const char *domain = address_domain(address);
        return domain != NULL && address_equal(domain, entry + 1) ? TABLE_FOUND : TABLE_NONE;
    }
    if (!address_is_valid(entry))
        return TABLE_FAILED;
    return address_equal(entry, address) ? TABLE_FOUND : TABLE_NONE;
}

static enum table_answer list_covers(const struct identities *identities, const char *upn,
                                     char *list, const char *address, struct error *error)
{
    enum table_answer answer = TABLE_NONE;
    char *entry;
    while ((entry = strsep(&list, LIST_SEPARATORS)) != NULL) {
        enum table_answer covered = entry[0] != '\0' ? entry_covers(entry, address) : TABLE_NONE;
        if (covered == TABLE_FOUND)
            return TABLE_FOUND;
        if (covered == TABLE_FAILED) {
            error_set(error,
                      "%s/main.cf: post365_send_as_maps = " ERROR_SHOWN ": \"" ERROR_SHOWN
                      "\" in the list for %s is neither user@domain nor @domain; mend the entry",
                      identities->settings->config_directory, identities->settings->send_as_maps,
                      entry, upn);
            answer = TABLE_FAILED;
        }
    }
    return answer;
}

static enum table_answer find_list(struct identities *identities, const char *upn, char **list,
                                   struct error *error)
{
    return tables_find_address(identities->maps[MAP_SEND_AS], upn,
                               identities->settings->recipient_delimiter, identities->local_domains,
                               list, error);
}

char *identity_send_as(struct identities *identities, const char *upn)
{
    struct error error;
    char *list = NULL;
    return find_list(identities, upn, &list, &error) == TABLE_FOUND ? list : NULL;
}

enum table_answer identity_covers(struct identities *identities, const char *upn,
                                  const char *address, struct error *error)
{
    if (address_equal(upn, address))
        return TABLE_FOUND;
    if (!address_is_valid(address))
        return TABLE_NONE;
    char *list = NULL;
    enum table_answer answer = find_list(identities, upn, &list, error);
    if (answer != TABLE_FOUND)
        return answer;
    answer = list_covers(identities, upn, list, address, error);
    free(list);
    return answer;
}

const char *identity_source_name(enum identity_source source)
{
    switch (source) {
    case IDENTITY_LOGIN_MAP:
        return "login map";
    case IDENTITY_SENDER_MAP:
        return "sender map";
    case IDENTITY_LOGIN:
        return "login";
    case IDENTITY_SENDER:
        return "sender";
    case IDENTITY_SERVER:
        return "sender's relayhost";
    case IDENTITY_ELSEWHERE:
        return "elsewhere";
    case IDENTITY_DEFAULT:
        break;
    }
    return "post365_upn";
}
