/* takeover.c - accounts that go over to OAuth2: which, and what is to be written for them */
#include "ctl/setup/takeover.h"

#include "common/buffer.h"
#include "common/destination.h"
#include "common/identity.h"
#include "common/memory.h"
#include "common/oauth2/registration.h"
#include "common/oauth2/registrations.h"
#include "common/relayhost.h"
#include "common/table.h"
#include "common/upstream/mechanism.h"
#include "ctl/oauth2/place.h"
#include "ctl/relay/file.h"
#include "ctl/setup/foreign.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define PLUGIN      "sasl-xoauth2"
#define PLUGIN_FILE "/etc/sasl-xoauth2.conf"
#define PROXY       "email-oauth2-proxy"

/* Where its manual and the usual recipes for systemd have it. */
static const char *const proxy_files[] = {
    "/etc/emailproxy.config",
    "/etc/email-oauth2-proxy/emailproxy.config",
    "/opt/email-oauth2-proxy/emailproxy.config",
};

/* A registration that is to be written. */
struct found {
    struct foreign foreign;
    char *path;
};

struct search {
    const struct relay *relay;
    struct takeover *takeover;
    struct registrations *registrations;
    struct tables *tokens; /* post365_token_maps */
    struct tables *passwords;
    struct found *found;
    size_t found_count;
};

__attribute__((format(printf, 2, 3))) static void obstacle(struct takeover *takeover,
                                                           const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    va_end(arguments);
    takeover->obstacles =
        memory_grow(takeover->obstacles, (takeover->obstacle_count + 1) * sizeof(char *));
    takeover->obstacles[takeover->obstacle_count++] = text;
}

static void wipe(struct buffer *contents)
{
    if (contents->data != NULL)
        explicit_bzero(contents->data, contents->capacity);
    buffer_free(contents);
}

static void free_found(struct takeover *takeover)
{
    for (size_t i = 0; i < takeover->account_count; i++) {
        free(takeover->accounts[i].account);
        free(takeover->accounts[i].registration);
    }
    for (size_t i = 0; i < takeover->file_count; i++) {
        free(takeover->files[i].path);
        secret_free(takeover->files[i].content);
    }
    takeover->account_count = takeover->file_count = 0;
}

/* --- what is there ---------------------------------------------------------------------------- */

static bool open_tables(struct search *search, struct error *error)
{
    const struct settings *settings = search->relay->settings;
    const char *directory = settings->config_directory;
    search->registrations = registrations_reopen(NULL, settings, error);
    search->tokens = search->registrations != NULL
                         ? tables_open("post365_token_maps", settings->token_maps, directory,
                                       TABLE_VALUES, error)
                         : NULL;
    search->passwords = search->tokens != NULL
                            ? tables_open("post365_password_maps", settings->password_maps,
                                          directory, TABLE_PASSWORDS, error)
                            : NULL;
    return search->passwords != NULL;
}

/* Whether an account logs in with tokens already; where that cannot be known it is left alone. */
static bool has_tokens(struct search *search, const char *account)
{
    const char *domain = strrchr(account, '@');
    const char *const keys[] = {account, domain != NULL ? domain : account};
    struct error ignored;
    char *value = NULL;
    bool found = registrations_find(search->registrations, account, &value, &ignored) != TABLE_NONE;
    free(value);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && !found; i++) {
        value = NULL;
        found = tables_find(search->tokens, keys[i], &value, &ignored) != TABLE_NONE;
        free(value);
    }
    return found;
}

/* What the password table has in place of the account's password, where smtp(8) looks; NULL: it has
 * nothing. */
static struct secret *find_password(struct search *search, const char *account)
{
    char **servers = relayhost_keys(search->relay->settings->relayhost);
    struct secret *password = NULL;
    size_t length = strlen(account);
    for (size_t i = 0; password == NULL && (i == 0 || servers[i - 1] != NULL); i++) {
        struct secret *line = NULL;
        struct error ignored;
        const char *key = i == 0 ? account : servers[i - 1];
        if (tables_find_secret(search->passwords, key, &line, &ignored) != TABLE_FOUND)
            continue;
        const char *text = secret_reveal(line);
        if (strncasecmp(text, account, length) == 0 && text[length] == ':')
            password = secret_copy(text + length + 1, strlen(text + length + 1));
        secret_free(line);
    }
    relayhost_keys_free(servers);
    return password;
}

static bool is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "::1") == 0;
}

/* --- what is to be written -------------------------------------------------------------------- */

static void add_file(struct takeover *takeover, const char *path, bool is_secret, const char *bytes,
                     size_t length)
{
    takeover->files =
        memory_grow(takeover->files, (takeover->file_count + 1) * sizeof(takeover->files[0]));
    takeover->files[takeover->file_count++] = (struct takeover_file){
        .path = memory_copy(path), .is_secret = is_secret, .content = secret_copy(bytes, length)};
}

static void add_account(struct takeover *takeover, const char *account, const char *registration,
                        bool is_user)
{
    takeover->accounts = memory_grow(takeover->accounts,
                                     (takeover->account_count + 1) * sizeof(takeover->accounts[0]));
    takeover->accounts[takeover->account_count++] =
        (struct takeover_account){.account = memory_copy(account),
                                  .registration = memory_copy(registration),
                                  .is_user = is_user};
}

/* Whether there is a file of that name, or one that is to be. */
static bool is_taken(const struct takeover *takeover, const char *path)
{
    for (size_t i = 0; i < takeover->file_count; i++)
        if (strcmp(takeover->files[i].path, path) == 0)
            return true;
    return access(path, F_OK) == 0;
}

/* "/etc/post365/<tenant>": what is free with each of the endings. */
static char *choose_stem(const struct search *search, const char *tenant)
{
    static const char *const endings[] = {".cf", ".secret", ".key", ".pem"};
    char *directory = place_of_registrations(search->relay->settings), *stem = NULL;
    for (unsigned number = 1; stem == NULL; number++) {
        char suffix[16] = "";
        if (number > 1)
            snprintf(suffix, sizeof(suffix), "-%u", number);
        stem = memory_format("%s/%s%s", directory, tenant, suffix);
        for (size_t i = 0; stem != NULL && i < sizeof(endings) / sizeof(endings[0]); i++) {
            char *path = memory_format("%s%s", stem, endings[i]);
            if (is_taken(search->takeover, path)) {
                free(stem);
                stem = NULL;
            }
            free(path);
        }
    }
    free(directory);
    return stem;
}

/* The registration file's lines. */
static void write_registration(const struct search *search, const struct foreign *foreign,
                               const char *stem, struct buffer *text)
{
    buffer_format(text,
                  "# post365 setup has taken this over from %s; see post365_oauth2(5)\n"
                  "tenant = %s\nclient_id = %s\n",
                  search->takeover->source, foreign->tenant, foreign->client_id);
    if (foreign->cloud != cloud_at(0))
        buffer_format(text, "cloud = %s\n", foreign->cloud->name);
    if (foreign->is_user)
        buffer_append_string(text, "grant = user\n");
    if (foreign->secret != NULL)
        buffer_format(text, "client_secret_file = %s.secret\n", stem);
    if (foreign->certificate != NULL)
        buffer_format(text, "certificate_file = %s.pem\nkey_file = %s.key\n", stem, stem);
}

/* Copies a file that belongs to the other program. */
static bool copy_file(struct search *search, const char *from, const char *stem, const char *ending,
                      bool is_secret, struct error *error)
{
    struct buffer contents = {0};
    char *path = memory_format("%s%s", stem, ending);
    bool fine = file_read(from, &contents, error);
    if (fine)
        add_file(search->takeover, path, is_secret, contents.data != NULL ? contents.data : "",
                 contents.length);
    free(path);
    wipe(&contents);
    return fine;
}

/* Makes the files of a registration. NULL with the reason; else its path, of `search`. */
static const char *make_registration(struct search *search, const struct foreign *foreign,
                                     struct error *error)
{
    struct buffer text = {0};
    char *stem = choose_stem(search, foreign->tenant);
    char *path = memory_format("%s.cf", stem);
    write_registration(search, foreign, stem, &text);
    struct registration *registration = registration_parse(path, text.data, text.length, error);
    bool fine = registration != NULL;
    registration_free(registration);
    if (fine && foreign->certificate != NULL)
        fine = copy_file(search, foreign->certificate, stem, ".pem", false, error) &&
               copy_file(search, foreign->key, stem, ".key", true, error);
    if (fine && foreign->secret != NULL) {
        char *secret = memory_format("%s.secret", stem);
        add_file(search->takeover, secret, true, secret_reveal(foreign->secret),
                 secret_length(foreign->secret));
        free(secret);
    }
    if (fine)
        add_file(search->takeover, path, false, text.data, text.length);
    buffer_free(&text);
    free(stem);
    if (fine)
        return search->found[search->found_count - 1].path = path;
    free(path);
    return NULL;
}

/* One registration for all that are the same. Takes `foreign` over. False with the reason. */
static bool go_over(struct search *search, const char *account, struct foreign *foreign,
                    struct error *error)
{
    const char *path = NULL;
    bool is_user = foreign->is_user;
    for (size_t i = 0; i < search->found_count && path == NULL; i++)
        if (foreign_equal(&search->found[i].foreign, foreign))
            path = search->found[i].path;
    if (path != NULL) {
        foreign_free(foreign);
    } else {
        search->found =
            memory_grow(search->found, (search->found_count + 1) * sizeof(search->found[0]));
        search->found[search->found_count++] = (struct found){.foreign = *foreign};
        path = make_registration(search, foreign, error);
        *foreign = (struct foreign){.tenant = NULL};
    }
    if (path != NULL)
        add_account(search->takeover, account, path, is_user);
    return path != NULL;
}

/* --- sasl-xoauth2 ----------------------------------------------------------------------------- */

/* The file of tokens, in the queue's directory for a chrooted smtp(8). False: there is none. */
static bool read_tokens(const struct search *search, const struct secret *written,
                        struct buffer *contents)
{
    const char *path = secret_reveal(written);
    char *chrooted = memory_format("%s/%s", search->relay->settings->queue_directory, path);
    struct error ignored;
    bool fine = file_read(chrooted, contents, &ignored) || file_read(path, contents, &ignored);
    free(chrooted);
    return fine;
}

/* An account whose password is the name of a file of tokens, as that plugin has it. */
static void look_at_plugin(struct search *search, const char *account,
                           const struct buffer *configuration)
{
    struct secret *written = find_password(search, account);
    struct buffer tokens = {0};
    struct foreign foreign = {.tenant = NULL};
    struct error error;
    const char *queue_directory = search->relay->settings->queue_directory;
    if (written != NULL && secret_reveal(written)[0] == '/' &&
        mechanism_not_password(written, queue_directory) != NULL &&
        read_tokens(search, written, &tokens) && tokens.length > 0 &&
        tokens.data[strspn(tokens.data, " \t\r\n")] == '{' &&
        (!foreign_read_plugin(configuration->data, configuration->length, tokens.data,
                              tokens.length, &foreign, &error) ||
         !go_over(search, account, &foreign, &error)))
        obstacle(search->takeover,
                 "%s logs in by " PLUGIN ", and is not taken over: %s. Write a registration file "
                 "for it, see post365_oauth2(5).",
                 account, error.text);
    foreign_free(&foreign);
    secret_free(written);
    wipe(&tokens);
}

static void search_plugin(struct search *search, const struct buffer *configuration)
{
    const struct relay *relay = search->relay;
    search->takeover->source = PLUGIN;
    for (size_t i = 0; i < relay->account_count; i++)
        if (!has_tokens(search, relay->accounts[i]))
            look_at_plugin(search, relay->accounts[i], configuration);
}

/* --- email-oauth2-proxy ----------------------------------------------------------------------- */

static bool look_at_proxy(struct search *search, const char *account, const struct buffer *file)
{
    struct foreign foreign = {.tenant = NULL};
    struct error error;
    bool fine = foreign_read_proxy(file->data, file->length, account, &foreign, &error) &&
                go_over(search, account, &foreign, &error);
    foreign_free(&foreign);
    if (!fine)
        obstacle(search->takeover, "%s cannot be taken over from " PROXY ": %s.", account,
                 error.text);
    return fine;
}

/* Passwords for the proxy must not go to Microsoft: all accounts, or none. */
static void search_proxy(struct search *search, const char *name, const struct buffer *file,
                         const struct destination *destination)
{
    const struct relay *relay = search->relay;
    struct takeover *takeover = search->takeover;
    struct error error;
    takeover->source = PROXY;
    char *server = foreign_proxy_server(file->data, file->length, destination->port, &error);
    if (server == NULL) {
        obstacle(takeover, "relayhost = %s is not taken over from " PROXY " (%s): %s.",
                 relay->settings->relayhost, name, error.text);
        return;
    }
    bool fine = true;
    for (size_t i = 0; i < relay->account_count; i++)
        if (!has_tokens(search, relay->accounts[i]))
            fine = look_at_proxy(search, relay->accounts[i], file) && fine;
    if (!fine || takeover->account_count == 0) {
        obstacle(takeover,
                 "relayhost = %s leads to " PROXY " still: the passwords of its accounts are for "
                 "it, and not for %s.",
                 relay->settings->relayhost, server);
        free(server);
        free_found(takeover);
        return;
    }
    takeover->relayhost = server;
    takeover->former = memory_copy(relay->settings->relayhost);
}

/* Who sends what no table claims is known by relayhost's line in the password table, until
 * relayhost is another one. */
static bool keep_default(struct search *search, struct error *error)
{
    struct identity identity = {.upn = NULL};
    if (search->relay->settings->upn[0] != '\0')
        return true;
    struct identities *identities = identities_open(search->relay->settings, error);
    enum table_answer answer =
        identities != NULL ? identity_find_default(identities, &identity, error) : TABLE_FAILED;
    if (answer == TABLE_FOUND)
        search->takeover->upn = identity.upn;
    identities_close(identities);
    return answer != TABLE_FAILED;
}

/* --- a file that the admin names -------------------------------------------------------------- */

static bool has_sections(const struct buffer *file)
{
    return file->data[0] == '[' || strstr(file->data, "\n[") != NULL;
}

static bool search_registration(struct search *search, const char *name, struct error *error)
{
    const struct relay *relay = search->relay;
    struct registration *registration = registration_read(name, NULL, error);
    if (registration == NULL)
        return false;
    for (size_t i = 0; i < relay->account_count; i++)
        if (!has_tokens(search, relay->accounts[i]))
            add_account(search->takeover, relay->accounts[i], name,
                        registration->grant == REGISTRATION_USER);
    registration_free(registration);
    return true;
}

static bool search_named(struct search *search, const char *name, struct error *error)
{
    struct destination destination;
    struct buffer file = {0};
    bool fine = destination_parse(search->relay->settings, &destination, error) &&
                file_read(name, &file, error);
    if (fine && file.length == 0)
        fine = error_set(error, "%s is empty", name);
    else if (fine && file.data[strspn(file.data, " \t\r\n")] == '{')
        search_plugin(search, &file);
    else if (fine && !has_sections(&file))
        fine = search_registration(search, name, error);
    else if (fine && !is_loopback(destination.host))
        fine = error_set(error,
                         "%s is of " PROXY ", but relayhost = %s is no address of this host; name "
                         "a registration file, see post365_oauth2(5)",
                         name, search->relay->settings->relayhost);
    else if (fine)
        search_proxy(search, name, &file, &destination);
    wipe(&file);
    return fine;
}

/* What is found without being asked for. */
static bool search_unasked(struct search *search, struct error *error)
{
    struct destination destination;
    struct error ignored;
    struct buffer file = {0};
    if (!destination_parse(search->relay->settings, &destination, error))
        return false;
    for (size_t i = 0; is_loopback(destination.host) && file.length == 0 &&
                       i < sizeof(proxy_files) / sizeof(proxy_files[0]);
         i++)
        if (file_read(proxy_files[i], &file, &ignored) && file.length > 0)
            search_proxy(search, proxy_files[i], &file, &destination);
    if (file.length == 0) {
        file_read(PLUGIN_FILE, &file, &ignored);
        search_plugin(search, &file);
    }
    wipe(&file);
    return true;
}

/* --- all of it -------------------------------------------------------------------------------- */

static void write_maps(struct takeover *takeover)
{
    struct buffer list = {0};
    for (size_t i = 0; i < takeover->account_count; i++)
        buffer_format(&list, "%s{ %s = %s }", i > 0 ? ",\n      " : "",
                      takeover->accounts[i].account, takeover->accounts[i].registration);
    takeover->maps = buffer_take(&list);
}

static bool find(struct search *search, const char *file, struct error *error)
{
    struct takeover *takeover = search->takeover;
    bool fine = open_tables(search, error) &&
                (file != NULL ? search_named(search, file, error) : search_unasked(search, error));
    if (fine && takeover->relayhost != NULL)
        fine = keep_default(search, error);
    if (fine && takeover->account_count > 0)
        write_maps(takeover);
    for (size_t i = 0; i < search->found_count; i++) {
        foreign_free(&search->found[i].foreign);
        free(search->found[i].path);
    }
    free(search->found);
    tables_close(search->passwords);
    tables_close(search->tokens);
    registrations_close(search->registrations);
    return fine;
}

/* The relay as it will be. */
static bool read_again(const char *config_directory, struct relay *relay, struct takeover *takeover,
                       struct error *error)
{
    const char *now = relay->settings->oauth2_maps;
    char **texts = takeover->overrides;
    size_t count = 0;
    texts[count++] = memory_format("post365_oauth2_maps=%s%sinline:{ %s }", now,
                                   now[0] != '\0' ? ", " : "", takeover->maps);
    if (takeover->relayhost != NULL)
        texts[count++] = memory_format("relayhost=%s", takeover->relayhost);
    if (takeover->upn != NULL)
        texts[count++] = memory_format("post365_upn=%s", takeover->upn);
    for (char *end = texts[0]; (end = strchr(end, '\n')) != NULL;)
        *end = ' ';
    relay_free(relay);
    return relay_read(config_directory, (const char *const *)texts, relay, error);
}

bool takeover_read(const char *config_directory, const char *file, struct relay *relay,
                   struct takeover *takeover, struct error *error)
{
    *takeover = (struct takeover){.source = NULL};
    if (!relay_read(config_directory, NULL, relay, error))
        return false;
    struct search search = {.relay = relay, .takeover = takeover};
    return relay->is_direct_send ||
           (find(&search, file, error) &&
            (takeover->account_count == 0 || read_again(config_directory, relay, takeover, error)));
}

void takeover_free(struct takeover *takeover)
{
    free_found(takeover);
    for (size_t i = 0; i < takeover->obstacle_count; i++)
        free(takeover->obstacles[i]);
    for (size_t i = 0; takeover->overrides[i] != NULL; i++)
        free(takeover->overrides[i]);
    free(takeover->accounts);
    free(takeover->files);
    free(takeover->relayhost);
    free(takeover->former);
    free(takeover->upn);
    free(takeover->maps);
    free(takeover->obstacles);
    *takeover = (struct takeover){.source = NULL};
}
