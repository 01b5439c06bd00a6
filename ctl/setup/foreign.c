/* foreign.c - registrations as other programs write them down */
#include "ctl/setup/foreign.h"

#include "common/memory.h"
#include "common/microsoft.h"
#include "ctl/setup/ini.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The server of Outlook.com's users, which email-oauth2-proxy's example has for those of
 * organisations as well. */
#define CONSUMERS "smtp-mail.outlook.com"
#define USUAL     "smtp.office365.com"
/* What stands in the example in place of an id. */
#define BLANK_FORM "***"

void foreign_free(struct foreign *foreign)
{
    free(foreign->tenant);
    free(foreign->client_id);
    secret_free(foreign->secret);
    free(foreign->certificate);
    free(foreign->key);
    *foreign = (struct foreign){.tenant = NULL};
}

static bool same_text(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

static bool same_secret(const struct secret *one, const struct secret *other)
{
    return one == NULL || other == NULL ? one == other
                                        : strcmp(secret_reveal(one), secret_reveal(other)) == 0;
}

bool foreign_equal(const struct foreign *one, const struct foreign *other)
{
    return same_text(one->tenant, other->tenant) && same_text(one->client_id, other->client_id) &&
           one->cloud == other->cloud && one->is_user == other->is_user &&
           same_secret(one->secret, other->secret) &&
           same_text(one->certificate, other->certificate) && same_text(one->key, other->key);
}

/* --- what both have -------------------------------------------------------------------------- */

/* Takes "https://login.microsoftonline.com/TENANT/oauth2/v2.0/token" apart. */
static bool read_endpoint(const char *url, struct foreign *foreign, struct error *error)
{
    if (url == NULL || url[0] == '\0')
        return error_set(error, "no token endpoint is named, so that it is Google's");
    for (size_t i = 0; (foreign->cloud = cloud_at(i)) != NULL; i++) {
        const char *authority = foreign->cloud->authority;
        size_t length = strlen(authority);
        if (strncasecmp(url, authority, length) != 0 || url[length] != '/')
            continue;
        const char *tenant = url + length + 1;
        foreign->tenant = memory_copy_bytes(tenant, strcspn(tenant, "/"));
        return true;
    }
    return error_set(error, "its token endpoint " ERROR_SHOWN " is none of Microsoft Entra", url);
}

static bool read_client(const char *client_id, struct foreign *foreign, struct error *error)
{
    if (client_id == NULL || client_id[0] == '\0' || strstr(client_id, BLANK_FORM) != NULL)
        return error_set(error, "no client_id is written there");
    foreign->client_id = memory_copy(client_id);
    return true;
}

static void read_secret(const char *secret, struct foreign *foreign)
{
    if (secret != NULL && secret[0] != '\0' && strstr(secret, BLANK_FORM) == NULL)
        foreign->secret = secret_copy(secret, strlen(secret));
}

/* --- sasl-xoauth2 ----------------------------------------------------------------------------- */

/* A string of the token file, else of the configuration; NULL: of neither. */
static const char *plugin_value(const json_t *configuration, const json_t *tokens, const char *name)
{
    const json_t *value = json_object_get(tokens, name);
    if (value == NULL)
        value = json_object_get(configuration, name);
    return json_string_value(value);
}

bool foreign_read_plugin(const char *configuration, size_t configuration_length, const char *tokens,
                         size_t tokens_length, struct foreign *foreign, struct error *error)
{
    json_error_t ignored;
    *foreign = (struct foreign){.is_user = true};
    json_t *outer = configuration != NULL
                        ? json_loadb(configuration, configuration_length, 0, &ignored)
                        : json_object();
    json_t *inner = json_loadb(tokens, tokens_length, 0, &ignored);
    bool fine = true;
    if (!json_is_object(outer))
        fine = error_set(error, "sasl-xoauth2's configuration is no JSON");
    else if (!json_is_object(inner))
        fine = error_set(error, "its token file is no JSON");
    fine = fine && read_endpoint(plugin_value(outer, inner, "token_endpoint"), foreign, error) &&
           read_client(plugin_value(outer, inner, "client_id"), foreign, error);
    if (fine)
        read_secret(plugin_value(outer, inner, "client_secret"), foreign);
    json_decref(outer);
    json_decref(inner);
    return fine;
}

/* --- email-oauth2-proxy ----------------------------------------------------------------------- */

enum proxy_name {
    TOKEN_URL,
    CLIENT_ID,
    CLIENT_SECRET,
    SECRET_ENCRYPTED,
    FLOW,
    CERTIFICATE,
    KEY,
    SERVER,
    PROXY_NAMES
};

static const char *const proxy_names[PROXY_NAMES] = {
    [TOKEN_URL] = "token_url",
    [CLIENT_ID] = "client_id",
    [CLIENT_SECRET] = "client_secret",
    [SECRET_ENCRYPTED] = "client_secret_encrypted",
    [FLOW] = "oauth2_flow",
    [CERTIFICATE] = "jwt_certificate_path",
    [KEY] = "jwt_key_path",
    [SERVER] = "server_address",
};

struct proxy_section {
    const char *name;
    bool is_there;
    char *values[PROXY_NAMES];
};

static void visit_section(void *context, const char *section, const char *name, const char *value)
{
    struct proxy_section *wanted = context;
    if (strcasecmp(section, wanted->name) != 0)
        return;
    wanted->is_there = true;
    for (size_t i = 0; i < PROXY_NAMES; i++)
        if (strcmp(name, proxy_names[i]) == 0) {
            free(wanted->values[i]);
            wanted->values[i] = memory_copy(value);
        }
}

static void section_free(struct proxy_section *section)
{
    for (size_t i = 0; i < PROXY_NAMES; i++) {
        if (section->values[i] != NULL)
            explicit_bzero(section->values[i], strlen(section->values[i]));
        free(section->values[i]);
    }
}

/* The account's, else that of its domain ("@contoso.com"), else that of all ("@"). */
static bool find_section(const char *text, size_t length, const char *account,
                         struct proxy_section *section)
{
    const char *at = strrchr(account, '@');
    const char *const names[] = {account, at != NULL ? at : account, "@"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        *section = (struct proxy_section){.name = names[i]};
        ini_each(text, length, visit_section, section);
        if (section->is_there)
            return true;
    }
    return false;
}

static bool read_flow(const char *flow, struct foreign *foreign, struct error *error)
{
    static const char *const by_users[] = {"authorization_code", "device"};
    if (flow == NULL)
        flow = by_users[0];
    for (size_t i = 0; i < sizeof(by_users) / sizeof(by_users[0]); i++)
        foreign->is_user = foreign->is_user || strcasecmp(flow, by_users[i]) == 0;
    return foreign->is_user || strcasecmp(flow, "client_credentials") == 0 ||
           error_set(error,
                     "oauth2_flow = " ERROR_SHOWN " is nothing that post365 does: let the "
                     "application log in by itself, or its user",
                     flow);
}

static bool read_proof(char *const values[], struct foreign *foreign, struct error *error)
{
    read_secret(values[CLIENT_SECRET], foreign);
    if (foreign->secret != NULL || foreign->is_user)
        return true;
    if (values[CERTIFICATE] != NULL && values[KEY] != NULL) {
        foreign->certificate = memory_copy(values[CERTIFICATE]);
        foreign->key = memory_copy(values[KEY]);
        return true;
    }
    return error_set(error, "%s",
                     values[SECRET_ENCRYPTED] != NULL
                         ? "its client secret is encrypted, so that the proxy alone can read it: "
                           "write a registration file with a secret of its own, see "
                           "post365_oauth2(5)"
                         : "neither a client_secret nor jwt_certificate_path and jwt_key_path is "
                           "written there");
}

bool foreign_read_proxy(const char *text, size_t length, const char *account,
                        struct foreign *foreign, struct error *error)
{
    struct proxy_section section;
    *foreign = (struct foreign){.tenant = NULL};
    if (!find_section(text, length, account, &section))
        return error_set(error, "the file has no section [%s]", account);
    bool fine = read_endpoint(section.values[TOKEN_URL], foreign, error) &&
                read_client(section.values[CLIENT_ID], foreign, error) &&
                read_flow(section.values[FLOW], foreign, error) &&
                read_proof(section.values, foreign, error);
    section_free(&section);
    return fine;
}

char *foreign_proxy_server(const char *text, size_t length, const char *port, struct error *error)
{
    char *name = memory_format("SMTP-%s", port), *server = NULL;
    struct proxy_section section = {.name = name};
    ini_each(text, length, visit_section, &section);
    const char *host = section.values[SERVER];
    if (host == NULL)
        error_set(error, "the file has no section [%s] with a server_address", name);
    else if (microsoft_host(host) != MICROSOFT_SUBMISSION)
        error_set(error, "server_address = " ERROR_SHOWN " in [%s] is no server of Microsoft 365",
                  host, name);
    else
        server = memory_format("[%s]:587", strcasecmp(host, CONSUMERS) == 0 ? USUAL : host);
    section_free(&section);
    free(name);
    return server;
}
