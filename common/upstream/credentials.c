/* credentials.c - which user name and secret authenticate an account
 *
 * Security: a password is a secret from the table to the wire. Errors name keys and user names, but
 * never what stands behind the colon.
 */
#include "common/upstream/credentials.h"

#include "common/address.h"
#include "common/dictionary.h"
#include "common/memory.h"
#include "common/relayhost.h"
#include "common/upstream/token.h"

#include <stdlib.h>
#include <string.h>

#define PARAMETER "post365_password_maps"

struct credentials {
    const struct settings *settings;
    struct tables *passwords;
    struct tokens *tokens;
    char **relayhost_keys;
    uint64_t version_base;       /* added, so that a reload is a change */
    struct dictionary *accounts; /* user name, folded, to the first of its keys; NULL: not made */
    uint64_t accounts_version;   /* of the tables that they were made from */
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
    credentials->relayhost_keys = relayhost_keys(settings->relayhost);
    credentials->passwords =
        tables_reopen(old != NULL ? old->passwords : NULL, PARAMETER, settings->password_maps,
                      settings->config_directory, TABLE_PASSWORDS, error);
    if (credentials->passwords != NULL)
        credentials->tokens = tokens_reopen(old != NULL ? old->tokens : NULL, settings, error);
    if (credentials->tokens != NULL)
        return credentials;
    credentials_close(credentials);
    return NULL;
}

bool credentials_check(struct credentials *credentials, struct error *error)
{
    return tables_check(credentials->passwords, error) && tokens_check(credentials->tokens, error);
}

void credentials_close(struct credentials *credentials)
{
    if (credentials == NULL)
        return;
    tables_close(credentials->passwords);
    tokens_close(credentials->tokens);
    relayhost_keys_free(credentials->relayhost_keys);
    dictionary_free(credentials->accounts);
    free(credentials);
}

uint64_t credentials_version(struct credentials *credentials)
{
    uint64_t version;
    tables_refresh(credentials->passwords, &version);
    return credentials->version_base + version + tokens_version(credentials->tokens);
}

void credential_release(struct credential *credential)
{
    free(credential->user);
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

/* Of several keys with one user name the first in the alphabet counts, so that it is always the
 * same. */
static void note_account(void *context, const char *key, void *user)
{
    struct dictionary *accounts = context;
    if (!address_is_upn(user))
        return;
    char *folded = address_fold(user);
    const char *known = dictionary_find(accounts, folded);
    if (known == NULL || strcmp(key, known) < 0)
        dictionary_put(accounts, folded, memory_copy(key));
    free(folded);
}

static void list_accounts(struct credentials *credentials)
{
    struct dictionary *users = dictionary_new(free); /* of all keys */
    dictionary_free(credentials->accounts);
    credentials->accounts = dictionary_new(free);
    tables_each_secret(credentials->passwords, collect_user, users);
    dictionary_each(users, note_account, credentials->accounts);
    dictionary_free(users);
}

static const struct dictionary *accounts_of(struct credentials *credentials)
{
    uint64_t version;
    tables_refresh(credentials->passwords, &version);
    if (credentials->accounts == NULL || credentials->accounts_version != version) {
        credentials->accounts_version = version;
        list_accounts(credentials);
    }
    return credentials->accounts;
}

/* --- look-ups --- */

/* Takes the line under `key` if its user name is the UPN. One that is somebody else's is noted in
 * `other`, the caller's to free(), if it is the first. */
static enum table_answer find_under(struct credentials *credentials, const char *key,
                                    const char *upn, struct credential *credential, char **other,
                                    struct error *error)
{
    struct line line;
    enum table_answer answer = find_line(credentials, key, &line, error);
    if (answer == TABLE_FOUND && !address_equal(line.user, upn)) {
        if (*other == NULL)
            *other =
                memory_format("\"" ERROR_SHOWN "\" has user name " ERROR_SHOWN, key, line.user);
        answer = TABLE_NONE;
    } else if (answer == TABLE_FOUND && secret_length(line.password) == 0) {
        error_set(error,
                  "%s/main.cf: " PARAMETER ": the password for key \"" ERROR_SHOWN
                  "\" is empty; write %s:password",
                  credentials->settings->config_directory, key, upn);
        answer = TABLE_FAILED;
    } else if (answer == TABLE_FOUND) {
        *credential = (struct credential){
            .mechanism = SASL_LOGIN, .user = line.user, .secret = line.password};
        return TABLE_FOUND;
    }
    release_line(&line);
    return answer;
}

static enum table_answer find_under_any_key(struct credentials *credentials, const char *upn,
                                            struct credential *credential, char **other,
                                            struct error *error)
{
    char *folded = address_fold(upn);
    const char *key = dictionary_find(accounts_of(credentials), folded);
    free(folded);
    return key != NULL ? find_under(credentials, key, upn, credential, other, error) : TABLE_NONE;
}

static enum table_answer find_password(struct credentials *credentials, const char *upn,
                                       struct credential *credential, struct error *error)
{
    char *other = NULL;
    enum table_answer answer = find_under(credentials, upn, upn, credential, &other, error);
    for (char **key = credentials->relayhost_keys; *key != NULL && answer == TABLE_NONE; key++)
        answer = find_under(credentials, *key, upn, credential, &other, error);
    if (answer == TABLE_NONE)
        answer = find_under_any_key(credentials, upn, credential, &other, error);
    if (answer == TABLE_NONE)
        error_set(error,
                  "no credentials for account " ERROR_SHOWN "%s%s; to one of the tables in "
                  "%s/main.cf: " PARAMETER " add the line \"%s %s:password\", or give "
                  "post365_token_maps a token for it",
                  upn, other != NULL ? ": " : "", other != NULL ? other : "",
                  credentials->settings->config_directory, upn, upn);
    free(other);
    return answer;
}

enum table_answer credentials_find(struct credentials *credentials, const char *upn,
                                   struct credential *credential, struct error *error)
{
    struct secret *token = NULL;
    *credential = (struct credential){0};
    enum table_answer answer = tokens_find(credentials->tokens, upn, &token, error);
    if (answer == TABLE_NONE)
        return find_password(credentials, upn, credential, error);
    if (answer == TABLE_FOUND)
        *credential = (struct credential){
            .mechanism = SASL_XOAUTH2, .user = memory_copy(upn), .secret = token};
    return answer;
}

/* --- enumeration --- */

struct account_visit {
    void (*visit)(void *context, const char *upn);
    void *context;
};

static void visit_account(void *context, const char *upn, void *key)
{
    const struct account_visit *accounts = context;
    (void)key;
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

void credentials_each(struct credentials *credentials,
                      void (*visit)(void *context, const char *upn), void *context)
{
    struct account_visit accounts = {.visit = visit, .context = context};
    struct dictionary *all = dictionary_new(free);
    dictionary_each(accounts_of(credentials), add_password_account, all);
    tokens_each(credentials->tokens, add_token_account, all);
    dictionary_each(all, visit_account, &accounts);
    dictionary_free(all);
}
