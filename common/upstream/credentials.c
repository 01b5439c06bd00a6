/* credentials.c - where an account logs in, and with which user name and secret
 *
 * Security: a password is a secret from the table to the wire. Errors name keys and user names, but
 * never what stands behind the colon.
 */
#include "common/upstream/credentials.h"

#include "common/address.h"
#include "common/destinations.h"
#include "common/dictionary.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/oauth2/registration.h"
#include "common/oauth2/registrations.h"
#include "common/relayhost.h"
#include "common/upstream/mechanism.h"
#include "common/upstream/token.h"

#include <stdlib.h>
#include <string.h>

#define PARAMETER    "post365_password_maps"
#define WARNINGS_MAX 20

struct credentials {
    const struct settings *settings;
    struct tables *passwords;
    struct tokens *tokens;
    struct registrations *registrations;
    struct destinations *destinations;
    uint64_t version_base;       /* added, so that a reload is a change */
    struct dictionary *accounts; /* user name, folded, to the first of its keys; NULL: not made */
    uint64_t accounts_version;   /* of the tables that they were made from */
    unsigned warnings;           /* of credentials_check() */
};

/* A line that was found. */
struct line {
    char *user;
    struct secret *password;
};

/* --- open and close --- */

struct credentials *credentials_open(const struct settings *settings, struct error *error)
{
    return credentials_reopen(NULL, settings, error);
}

struct credentials *credentials_reopen(struct credentials *old, const struct settings *settings,
                                       struct error *error)
{
    struct credentials *credentials = memory_zero(1, sizeof(*credentials));
    credentials->settings = settings;
    credentials->version_base = old != NULL ? credentials_version(old) + 1 : 0;
    credentials->destinations =
        destinations_reopen(old != NULL ? old->destinations : NULL, settings, error);
    if (credentials->destinations != NULL)
        credentials->passwords =
            tables_reopen(old != NULL ? old->passwords : NULL, PARAMETER, settings->password_maps,
                          settings->config_directory, TABLE_PASSWORDS, error);
    if (credentials->passwords != NULL)
        credentials->tokens = tokens_reopen(old != NULL ? old->tokens : NULL, settings, error);
    if (credentials->tokens != NULL)
        credentials->registrations =
            registrations_reopen(old != NULL ? old->registrations : NULL, settings, error);
    if (credentials->registrations != NULL)
        return credentials;
    credentials_close(credentials);
    return NULL;
}

void credentials_close(struct credentials *credentials)
{
    if (credentials == NULL)
        return;
    tables_close(credentials->passwords);
    tokens_close(credentials->tokens);
    registrations_close(credentials->registrations);
    destinations_close(credentials->destinations);
    dictionary_free(credentials->accounts);
    free(credentials);
}

/* Of all that says which line is whose. */
static uint64_t lines_version(struct credentials *credentials)
{
    uint64_t of_lines, of_destinations;
    tables_refresh(credentials->passwords, &of_lines);
    destinations_refresh(credentials->destinations, &of_destinations);
    return of_lines + of_destinations;
}

uint64_t credentials_version(struct credentials *credentials)
{
    return credentials->version_base + lines_version(credentials) +
           tokens_version(credentials->tokens) + registrations_version(credentials->registrations);
}

void credential_release(struct credential *credential)
{
    free(credential->user);
    free(credential->registration);
    secret_free(credential->secret);
    *credential = (struct credential){0};
}

/* --- lines of password tables --- */

static void release_line(struct line *line)
{
    free(line->user);
    secret_free(line->password);
    *line = (struct line){0};
}

/* smtp(8) splits at the first colon, too. */
static size_t user_length(const struct secret *line)
{
    return strcspn(secret_reveal(line), ":");
}

static char *user_of(const struct secret *line)
{
    char *written = memory_copy_bytes(secret_reveal(line), user_length(line));
    char *user = address_strip(written);
    free(written);
    return user;
}

static enum table_answer find_line(struct credentials *credentials, const char *key,
                                   struct line *line, struct error *error)
{
    struct secret *both = NULL;
    *line = (struct line){0};
    enum table_answer answer = tables_find_secret(credentials->passwords, key, &both, error);
    if (answer != TABLE_FOUND)
        return answer;
    line->user = user_of(both);
    /* There is a colon: table_keep() takes nothing without. */
    size_t start = user_length(both) + 1;
    secret_trim(both, start, secret_length(both) - start);
    line->password = both;
    return TABLE_FOUND;
}

/* --- all accounts --- */

static void collect_user(void *context, const char *key, const struct secret *line)
{
    struct dictionary *users = context;
    if (dictionary_find(users, key) == NULL)
        dictionary_put(users, key, user_of(line));
}

/* Where mail of an account goes. TABLE_NONE with the reason where that is not ours. */
static enum table_answer find_servers(struct credentials *credentials, const char *upn,
                                      struct destination_list *servers, struct error *error)
{
    bool ours;
    enum table_answer answer =
        destinations_of_account(credentials->destinations, upn, servers, &ours, error);
    if (answer == TABLE_FAILED || ours)
        return answer == TABLE_FAILED ? TABLE_FAILED : TABLE_FOUND;
    error_set(error,
              "no credentials for account %s: its mail is for %s (" DESTINATIONS_PARAMETER
              " in %s/main.cf), which is neither Microsoft's nor relayhost; let "
              "sender_dependent_default_transport_maps have \"%s = smtp:\"",
              upn, servers->items[0].written, credentials->settings->config_directory, upn);
    return TABLE_NONE;
}

bool credentials_is_ours(struct credentials *credentials, const char *upn)
{
    struct destination_list servers;
    struct error error;
    return find_servers(credentials, upn, &servers, &error) == TABLE_FOUND;
}

/* Whether a line is for the server of its user name. */
static bool is_own_line(struct credentials *credentials, const char *key, const char *user)
{
    struct destination_list servers;
    const struct destination *which;
    struct error error;
    return find_servers(credentials, user, &servers, &error) == TABLE_FOUND &&
           destinations_owner(credentials->destinations, key, &servers, &which, &error) ==
               TABLE_FOUND;
}

/* Of several keys with one user name the first in the alphabet counts, so that it is always the
 * same. */
static void note_account(void *context, const char *key, void *user)
{
    struct credentials *credentials = context;
    if (!address_is_upn(user) || !is_own_line(credentials, key, user))
        return;
    char *folded = address_fold(user);
    const char *known = dictionary_find(credentials->accounts, folded);
    if (known == NULL || strcmp(key, known) < 0)
        dictionary_put(credentials->accounts, folded, memory_copy(key));
    free(folded);
}

static void list_accounts(struct credentials *credentials)
{
    struct dictionary *users = dictionary_new(free); /* of all keys */
    dictionary_free(credentials->accounts);
    credentials->accounts = dictionary_new(free);
    tables_each_secret(credentials->passwords, collect_user, users);
    dictionary_each(users, note_account, credentials);
    dictionary_free(users);
}

static const struct dictionary *accounts_of(struct credentials *credentials)
{
    uint64_t version = lines_version(credentials);
    if (credentials->accounts == NULL || credentials->accounts_version != version) {
        credentials->accounts_version = version;
        list_accounts(credentials);
    }
    return credentials->accounts;
}

/* --- look-ups --- */

/* One search for an account's line. */
struct search {
    struct credentials *credentials;
    const char *upn;
    struct destination_list servers;
    struct credential *found;
    char *other; /* the first line that is somebody else's, for people; or NULL */
};

/* Whether it is a password, and may be sent as one. False with the reason, which does not show it.
 */
static bool is_password(const struct credentials *credentials, const char *upn,
                        const struct secret *secret, struct error *error)
{
    const struct settings *settings = credentials->settings;
    const char *filter = settings->sasl_mechanism_filter, *queue = settings->queue_directory;
    const char *what = mechanism_not_password(secret, queue != NULL ? queue : "");
    if (secret_length(secret) == 0)
        return error_set(error, "it is empty; write %s:password", upn);
    if (what != NULL)
        return error_set(error,
                         "it is %s and not sent; post365_token_maps is to name for %s the file "
                         "that holds an access token, or post365_oauth2_maps a registration "
                         "(`post365 setup` takes over from sasl-xoauth2)",
                         what, upn);
    if (filter == NULL || mechanism_filter_allows_password(filter))
        return true;
    return error_set(error,
                     "it is not sent, since smtp_sasl_mechanism_filter = " ERROR_SHOWN
                     " leaves no mechanism for passwords; post365_token_maps is to name for %s the "
                     "file that holds an access token, or post365_oauth2_maps a registration, or "
                     "the filter is to have login",
                     filter, upn);
}

static void name_place(const struct credentials *credentials, const char *key, struct error *error)
{
    char *shown = tables_shown(credentials->settings->password_maps, TABLE_PASSWORDS);
    error_prefix(error,
                 "%s/main.cf: " PARAMETER " = " ERROR_SHOWN ": the password for key \"" ERROR_SHOWN
                 "\"",
                 credentials->settings->config_directory, shown, key);
    free(shown);
}

/* Takes the line under `key` if its user name is the UPN. */
static enum table_answer find_under(struct search *search, const char *key,
                                    const struct destination *server, struct error *error)
{
    struct line line;
    enum table_answer answer = find_line(search->credentials, key, &line, error);
    if (answer == TABLE_FOUND && !address_equal(line.user, search->upn)) {
        if (search->other == NULL)
            search->other =
                memory_format("\"" ERROR_SHOWN "\" has user name " ERROR_SHOWN, key, line.user);
        answer = TABLE_NONE;
    } else if (answer == TABLE_FOUND &&
               !is_password(search->credentials, search->upn, line.password, error)) {
        name_place(search->credentials, key, error);
        answer = TABLE_FAILED;
    } else if (answer == TABLE_FOUND) {
        *search->found = (struct credential){.destination = *server,
                                             .mechanism = SASL_LOGIN,
                                             .user = line.user,
                                             .secret = line.password};
        return TABLE_FOUND;
    }
    release_line(&line);
    return answer;
}

/* Where smtp(8) looks for the password of a server. */
static enum table_answer find_under_server(struct search *search, const struct destination *server,
                                           struct error *error)
{
    enum table_answer answer = TABLE_NONE;
    char **keys = relayhost_keys(server->written);
    for (char **key = keys; *key != NULL && answer == TABLE_NONE; key++)
        answer = find_under(search, *key, server, error);
    relayhost_keys_free(keys);
    return answer;
}

static enum table_answer find_under_any_key(struct search *search, struct error *error)
{
    struct credentials *credentials = search->credentials;
    const struct destination *server = NULL;
    char *folded = address_fold(search->upn);
    const char *key = dictionary_find(accounts_of(credentials), folded);
    free(folded);
    if (key == NULL)
        return TABLE_NONE;
    enum table_answer answer =
        destinations_owner(credentials->destinations, key, &search->servers, &server, error);
    return answer == TABLE_FOUND ? find_under(search, key, server, error) : answer;
}

/* The way that is in use comes first: who has moved to OAuth2 is not sent back to passwords. */
static enum table_answer no_password(const struct search *search, struct error *error)
{
    const struct settings *settings = search->credentials->settings;
    const char *opening = search->other != NULL ? ": " : "";
    const char *other = search->other != NULL ? search->other : "";
    if (registrations_in_use(settings))
        error_set(error,
                  "no credentials for account " ERROR_SHOWN "%s%s; to one of the tables in "
                  "%s/main.cf: post365_oauth2_maps add the line \"%s /path/of/registration.cf\", "
                  "or to " PARAMETER " \"%s %s:password\"",
                  search->upn, opening, other, settings->config_directory, search->upn, search->upn,
                  search->upn);
    else
        error_set(error,
                  "no credentials for account " ERROR_SHOWN "%s%s; to one of the tables in "
                  "%s/main.cf: " PARAMETER " add the line \"%s %s:password\", or give "
                  "post365_oauth2_maps a registration for it",
                  search->upn, opening, other, settings->config_directory, search->upn,
                  search->upn);
    return TABLE_NONE;
}

static enum table_answer find_password(struct search *search, struct error *error)
{
    const struct destination_list *servers = &search->servers;
    enum table_answer answer = find_under(search, search->upn, &servers->items[0], error);
    for (size_t i = 0; i < servers->count && answer == TABLE_NONE; i++)
        answer = find_under_server(search, &servers->items[i], error);
    if (answer == TABLE_NONE)
        answer = find_under_any_key(search, error);
    if (answer == TABLE_NONE)
        answer = no_password(search, error);
    return answer;
}

/* What a token logs in to, with the UPN as the user name. */
static struct credential new_bearer(const struct search *search)
{
    return (struct credential){.destination = search->servers.items[0],
                               .mechanism = SASL_XOAUTH2,
                               .user = memory_copy(search->upn)};
}

static enum table_answer find_token(const struct search *search, struct error *error)
{
    struct secret *token = NULL;
    enum table_answer answer = tokens_find(search->credentials->tokens, search->upn, &token, error);
    if (answer == TABLE_FOUND) {
        *search->found = new_bearer(search);
        search->found->secret = token;
    }
    return answer;
}

static enum table_answer find_registration(const struct search *search, struct error *error)
{
    char *path = NULL;
    enum table_answer answer =
        registrations_find(search->credentials->registrations, search->upn, &path, error);
    if (answer == TABLE_FOUND) {
        *search->found = new_bearer(search);
        search->found->registration = path;
    }
    return answer;
}

enum table_answer credentials_find(struct credentials *credentials, const char *upn,
                                   struct credential *credential, struct error *error)
{
    struct search search = {.credentials = credentials, .upn = upn, .found = credential};
    *credential = (struct credential){0};
    enum table_answer answer = find_servers(credentials, upn, &search.servers, error);
    if (answer != TABLE_FOUND)
        return answer;
    answer = find_token(&search, error);
    if (answer == TABLE_NONE)
        answer = find_registration(&search, error);
    if (answer == TABLE_NONE)
        answer = find_password(&search, error);
    free(search.other);
    return answer;
}

bool credentials_use_oauth2(const struct credentials *credentials)
{
    return registrations_in_use(credentials->settings);
}

/* --- enumeration --- */

struct account_visit {
    struct credentials *credentials;
    void (*visit)(void *context, const char *upn);
    void *context;
};

static void visit_account(void *context, const char *upn, void *key)
{
    const struct account_visit *accounts = context;
    (void)key;
    if (credentials_is_ours(accounts->credentials, upn))
        accounts->visit(accounts->context, upn);
}

static void add_token_account(void *context, const char *upn)
{
    dictionary_put(context, upn, memory_copy(upn));
}

static void add_password_account(void *context, const char *upn, void *key)
{
    (void)key;
    dictionary_put(context, upn, memory_copy(upn));
}

/* Who smtp(8) is at relayhost. */
static void add_user_of_relayhost(struct credentials *credentials, struct dictionary *all)
{
    char **keys = relayhost_keys(credentials->settings->relayhost);
    enum table_answer answer = TABLE_NONE;
    for (char **key = keys; *key != NULL && answer == TABLE_NONE; key++) {
        struct line line;
        struct error error;
        answer = find_line(credentials, *key, &line, &error);
        if (answer == TABLE_FOUND && address_is_upn(line.user)) {
            char *folded = address_fold(line.user);
            dictionary_put(all, folded, memory_copy(folded));
            free(folded);
        }
        release_line(&line);
    }
    relayhost_keys_free(keys);
}

bool credentials_each(struct credentials *credentials,
                      void (*visit)(void *context, const char *upn), void *context)
{
    struct account_visit accounts = {
        .credentials = credentials, .visit = visit, .context = context};
    struct dictionary *all = dictionary_new(free);
    dictionary_each(accounts_of(credentials), add_password_account, all);
    bool are_all = tokens_each(credentials->tokens, add_token_account, all);
    are_all = registrations_each(credentials->registrations, add_token_account, all) && are_all;
    add_user_of_relayhost(credentials, all);
    dictionary_each(all, visit_account, &accounts);
    dictionary_free(all);
    return are_all && tables_can_list(credentials->passwords);
}

/* --- trying them --- */

static void try_account(void *context, const char *upn, void *value)
{
    struct credentials *credentials = context;
    struct credential credential;
    struct error error;
    (void)value;
    if (credentials->warnings < WARNINGS_MAX &&
        credentials_find(credentials, upn, &credential, &error) == TABLE_FAILED) {
        log_warning("%s", error.text);
        credentials->warnings++;
    }
    credential_release(&credential);
}

static void collect_account(void *context, const char *upn)
{
    dictionary_put(context, upn, memory_copy(upn));
}

/* What is wrong with a registration that stands there, as far as anybody may know who does not read
 * secrets. */
static void try_registration(void *context, const char *path)
{
    struct credentials *credentials = context;
    struct error error;
    struct registration *registration = registration_read(path, NULL, &error);
    if (registration == NULL && credentials->warnings < WARNINGS_MAX) {
        log_warning("%s/main.cf: post365_oauth2_maps: %s", credentials->settings->config_directory,
                    error.text);
        credentials->warnings++;
    }
    registration_free(registration);
}

bool credentials_check(struct credentials *credentials, struct error *error)
{
    if (!tables_check(credentials->passwords, error) ||
        !destinations_check(credentials->destinations, error) ||
        !tokens_check(credentials->tokens, error) ||
        !registrations_check(credentials->registrations, error))
        return false;
    struct dictionary *all = dictionary_new(free);
    credentials->warnings = 0;
    credentials_each(credentials, collect_account, all);
    dictionary_each(all, try_account, credentials);
    registrations_each_file(credentials->registrations, try_registration, credentials);
    dictionary_free(all);
    return true;
}
