/* relay.c - the relay as it is */
#include "ctl/setup/relay.h"

#include "common/address.h"
#include "common/destination.h"
#include "common/identity.h"
#include "common/memory.h"
#include "common/microsoft.h"
#include "common/upstream/accounts.h"
#include "ctl/relay/file.h"

#include <stdlib.h>
#include <string.h>

static const char *const file_names[RELAY_FILES] = {
    [RELAY_MAIN] = "main.cf",
    [RELAY_MASTER] = "master.cf",
};

static const char *const expressions[RELAY_VALUES] = {
    [RELAY_DEFAULT_TRANSPORT] = "$default_transport",
    [RELAY_SENDER_TRANSPORTS] = "$sender_dependent_default_transport_maps",
    [RELAY_SENDER_RELAYHOSTS] = "$sender_dependent_relayhost_maps",
    [RELAY_TRANSPORT_MAPS] = "$transport_maps",
    [RELAY_RELAY_DOMAINS] = "$relay_domains",
    [RELAY_SMTPD_MILTERS] = "$smtpd_milters",
    [RELAY_MILTER_ACTION] = "$milter_default_action",
    [RELAY_MILTER_PROTOCOL] = "$milter_protocol",
    [RELAY_FILTER_CLASSES] = "$internal_mail_filter_classes",
    [RELAY_SENDER_CANONICAL] = "$sender_canonical_maps",
    [RELAY_SMTP_HEADER_CHECKS] = "$smtp_header_checks",
    [RELAY_HEADER_CHECKS] = "$header_checks",
    [RELAY_DESTINATION_DELAY] = "$default_destination_rate_delay",
    [RELAY_TRANSPORT_DELAY] = "$default_transport_rate_delay",
};

/* --- files --- */

/* postconf(1) and the daemons read up to a NUL byte, and an editor shows none. */
static bool check_bytes(const char *path, const struct buffer *contents, struct error *error)
{
    size_t length = contents->data != NULL ? strlen(contents->data) : 0;
    unsigned line = 1;
    if (length == contents->length)
        return true;
    for (size_t i = 0; i < length; i++)
        line += contents->data[i] == '\n';
    return error_set(error, "%s, line %u: there is a NUL byte; remove it", path, line);
}

static bool read_files(const char *directory, struct relay *relay, struct error *error)
{
    for (size_t i = 0; i < RELAY_FILES; i++) {
        struct buffer contents = {0};
        relay->path[i] = memory_format("%s/%s", directory, file_names[i]);
        bool fine = file_read(relay->path[i], &contents, error) &&
                    check_bytes(relay->path[i], &contents, error);
        if (fine)
            text_read(&relay->text[i], contents.data != NULL ? contents.data : "", contents.length);
        buffer_free(&contents);
        if (!fine)
            return false;
    }
    return true;
}

/* --- accounts --- */

bool relay_has_account(const struct relay *relay, const char *name)
{
    for (size_t i = 0; i < relay->account_count; i++)
        if (address_equal(relay->accounts[i], name))
            return true;
    return false;
}

static void add_account(void *context, const char *upn)
{
    struct relay *relay = context;
    if (!address_is_upn(upn) || relay_has_account(relay, upn))
        return;
    relay->accounts =
        memory_grow(relay->accounts, (relay->account_count + 1) * sizeof(relay->accounts[0]));
    relay->accounts[relay->account_count++] = address_fold(upn);
}

static int compare(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

/* The service of smtp(8) that has a password table of its own, which nobody else reads; or NULL. */
static const struct config_service *with_passwords(const struct config *config)
{
    for (size_t i = 0; i < config->service_count; i++)
        if (strcmp(config->services[i].command, "smtp") == 0 &&
            config_overrides(config, &config->services[i], "smtp_sasl_password_maps"))
            return &config->services[i];
    return NULL;
}

static bool no_accounts(const struct relay *relay, struct error *error)
{
    const struct config_service *service = with_passwords(&relay->config);
    if (service != NULL)
        return error_set(
            error,
            "%s: there are no credentials for %s, since smtp_sasl_password_maps stands "
            "in master.cf, for the service %s alone; write it and "
            "smtp_sasl_auth_enable = yes into main.cf, where post365 reads them",
            relay->path[RELAY_MAIN], relay->settings->relayhost, service->id);
    return error_set(error,
                     "%s: there are no credentials for %s; write these first: "
                     "smtp_sasl_auth_enable = yes, smtp_sasl_password_maps = "
                     "hash:/etc/postfix/sasl_passwd, and there a line \"%s "
                     "relay@contoso.com:password\" with the mailbox that sends; or name a "
                     "registration for it in post365_oauth2_maps, see post365_oauth2(5)",
                     relay->path[RELAY_MAIN], relay->settings->relayhost,
                     relay->settings->relayhost);
}

static bool read_accounts(struct relay *relay, struct error *error)
{
    struct credentials *credentials = credentials_open(relay->settings, error);
    struct identities *identities =
        credentials != NULL ? identities_open(relay->settings, error) : NULL;
    struct identity identity = {.upn = NULL};
    bool fine =
        identities != NULL && identity_find_default(identities, &identity, error) != TABLE_FAILED;
    free(identity.upn);
    if (fine)
        accounts_each(credentials, identities, add_account, relay);
    identities_close(identities);
    credentials_close(credentials);
    if (!fine)
        return false;
    if (relay->account_count == 0)
        return no_accounts(relay, error);
    qsort(relay->accounts, relay->account_count, sizeof(relay->accounts[0]), compare);
    return true;
}

/* --- all of it --- */

bool relay_expand(const struct relay *relay, const char *const list[], size_t count, char *values[],
                  struct error *error)
{
    const struct postconf postconf = {.directory = relay->settings->config_directory,
                                      .overrides = relay->overrides};
    return postconf_expand(&postconf, list, count, values, error);
}

bool relay_read(const char *config_directory, const char *const overrides[], struct relay *relay,
                struct error *error)
{
    struct destination destination;
    *relay = (struct relay){.overrides = overrides};
    char *directory = postconf_directory(config_directory, error);
    if (directory == NULL)
        return false;
    bool fine = read_files(directory, relay, error) &&
                (relay->settings = settings_read(directory, overrides, error)) != NULL &&
                destination_parse(relay->settings, &destination, error) &&
                relay_expand(relay, expressions, RELAY_VALUES, relay->value, error) &&
                config_read(&relay->config, relay->settings, overrides, error);
    relay->is_direct_send = fine && microsoft_host(destination.host) == MICROSOFT_MX;
    fine = fine && (relay->is_direct_send || read_accounts(relay, error));
    free(directory);
    return fine;
}

void relay_free(struct relay *relay)
{
    for (size_t i = 0; i < relay->account_count; i++)
        free(relay->accounts[i]);
    free(relay->accounts);
    for (size_t i = 0; i < RELAY_VALUES; i++)
        free(relay->value[i]);
    config_free(&relay->config);
    for (size_t i = 0; i < RELAY_FILES; i++) {
        text_free(&relay->text[i]);
        free(relay->path[i]);
    }
    settings_free(relay->settings);
    *relay = (struct relay){.settings = NULL};
}

bool relay_sets(const struct relay *relay, const char *name)
{
    return text_find(&relay->text[RELAY_MAIN], name) != NULL;
}
