/* config.c - main.cf and master.cf, expanded */
#include "ctl/relay/config.h"

#include "common/memory.h"
#include "common/parameter.h"
#include "common/process.h"
#include "common/socket.h"
#include "ctl/relay/file.h"
#include "ctl/relay/service.h"
#include "ctl/relay/text.h"

#include <stdlib.h>
#include <string.h>

#define SEPARATORS ", \t\r\n"
#define TIMEOUT    20 /* seconds */
#define LIMIT      ((size_t)1024 * 1024)

static const char *const names[] = {
    "authorized_submit_users",
    "bounce_queue_lifetime",
    "canonical_maps",
    "compatibility_level",
    "content_filter",
    "cyrus_sasl_config_path",
    "default_destination_concurrency_limit",
    "default_process_limit",
    "default_transport",
    "defer_transports",
    "header_checks",
    "internal_mail_filter_classes",
    "lmtp_body_checks",
    "lmtp_data_init_timeout",
    "lmtp_generic_maps",
    "lmtp_header_checks",
    "lmtp_mime_header_checks",
    "lmtp_nested_header_checks",
    "lmtp_send_xforward_command",
    "maillog_file",
    "masquerade_domains",
    "maximal_queue_lifetime",
    "milter_default_action",
    "milter_protocol",
    "mydestination",
    "non_smtpd_milters",
    "receive_override_options",
    "relay_domains",
    "relayhost",
    "sender_canonical_maps",
    "sender_dependent_default_transport_maps",
    "sender_dependent_relayhost_maps",
    "smtp_body_checks",
    "smtp_generic_maps",
    "smtp_header_checks",
    "smtp_mime_header_checks",
    "smtp_nested_header_checks",
    "smtp_reply_filter",
    "smtp_sasl_auth_enable",
    "smtp_sasl_password_maps",
    "smtp_sasl_tls_security_options",
    "smtp_sasl_type",
    "smtp_sender_dependent_authentication",
    "smtp_tls_security_level",
    "smtpd_client_restrictions",
    "smtpd_data_restrictions",
    "smtpd_end_of_data_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_milter_maps",
    "smtpd_milters",
    "smtpd_proxy_filter",
    "smtpd_recipient_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_sasl_auth_enable",
    "smtpd_sender_login_maps",
    "smtpd_sender_restrictions",
    "transport_maps",
    "virtual_alias_domains",
    "virtual_mailbox_domains",
};
#define NAMES (sizeof(names) / sizeof(names[0]))

/* --- reading ------------------------------------------------------------------ */

static bool read_values(struct config *config, struct error *error)
{
    char *expressions[NAMES];
    config->values = memory_zero(NAMES, sizeof(char *));
    for (size_t i = 0; i < NAMES; i++)
        expressions[i] = memory_format("$%s", names[i]);
    bool fine = postconf_expand(&config->postconf, (const char *const *)expressions, NAMES,
                                config->values, error);
    for (size_t i = 0; i < NAMES; i++)
        free(expressions[i]);
    return fine;
}

static bool default_chroot(const struct config *config)
{
    return strtol(config_value(config, "compatibility_level"), NULL, 10) < 1;
}

static void add_service(struct config *config, const struct service *read)
{
    char *const *field = read->field;
    char *id = memory_format("%s/%s", field[SERVICE_NAME], field[SERVICE_TYPE]);
    char chroot = field[SERVICE_CHROOT][0], processes = field[SERVICE_PROCESSES][0];
    config->services =
        memory_grow(config->services, (config->service_count + 1) * sizeof(config->services[0]));
    config->services[config->service_count++] = (struct config_service){
        .id = id,
        .name = memory_copy(field[SERVICE_NAME]),
        .type = memory_copy(field[SERVICE_TYPE]),
        .is_chrooted = chroot == '-' ? default_chroot(config) : chroot == 'y',
        .processes = processes == '-' ? -1 : strtol(field[SERVICE_PROCESSES], NULL, 10),
        .command = memory_copy(field[SERVICE_COMMAND])};
    config->overrides =
        memory_grow(config->overrides, (config->override_count + read->option_count + 1) *
                                           sizeof(config->overrides[0]));
    for (size_t i = 0; i < read->option_count; i++)
        config->overrides[config->override_count++] =
            (struct config_override){.service = memory_copy(id),
                                     .name = memory_copy(read->options[i].name),
                                     .value = memory_copy(read->options[i].value)};
}

/* Puts what Postfix makes of them in the place of the values of all -o. */
static bool expand_overrides(struct config *config, struct error *error)
{
    size_t count = config->override_count;
    const char **expressions = memory_zero(count + 1, sizeof(char *));
    char **values = memory_zero(count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++)
        expressions[i] = config->overrides[i].value;
    bool fine = count == 0 || postconf_expand(&config->postconf, expressions, count, values, error);
    for (size_t i = 0; i < count; i++) {
        if (fine) {
            free(config->overrides[i].value);
            config->overrides[i].value = values[i];
        } else {
            free(values[i]);
        }
    }
    free(expressions);
    free(values);
    return fine;
}

static bool read_master(struct config *config, struct error *error)
{
    struct buffer contents = {0};
    struct text text = {.data = NULL};
    char *path = memory_format("%s/master.cf", config->settings->config_directory);
    bool fine = file_read(path, &contents, error);
    if (fine)
        text_read(&text, contents.data != NULL ? contents.data : "", contents.length);
    for (size_t i = 0; i < text.count; i++) {
        struct service service;
        if (service_read(&text, &text.entries[i], &service))
            add_service(config, &service);
        service_free(&service);
    }
    text_free(&text);
    buffer_free(&contents);
    free(path);
    return fine && expand_overrides(config, error);
}

bool config_read(struct config *config, const struct settings *settings,
                 const char *const overrides[], struct error *error)
{
    *config =
        (struct config){.settings = settings, .postconf = {settings->config_directory, overrides}};
    return read_values(config, error) && read_master(config, error);
}

void config_free(struct config *config)
{
    for (size_t i = 0; config->values != NULL && i < NAMES; i++)
        free(config->values[i]);
    free(config->values);
    for (size_t i = 0; i < config->service_count; i++) {
        free(config->services[i].id);
        free(config->services[i].name);
        free(config->services[i].type);
        free(config->services[i].command);
    }
    free(config->services);
    for (size_t i = 0; i < config->override_count; i++) {
        free(config->overrides[i].service);
        free(config->overrides[i].name);
        free(config->overrides[i].value);
    }
    free(config->overrides);
    *config = (struct config){.settings = NULL};
}

/* --- asking -------------------------------------------------------------------- */

const char *config_value(const struct config *config, const char *name)
{
    for (size_t i = 0; i < NAMES; i++)
        if (strcmp(names[i], name) == 0)
            return config->values[i];
    abort(); /* a name that is not in the list is a mistake of ours */
}

/* NULL: there is none. */
static const char * override(const struct config *config, const struct config_service *service,
                             const char *name)
{
    for (size_t i = config->override_count; i > 0; i--)
        if (strcmp(config->overrides[i - 1].service, service->id) == 0 &&
            strcmp(config->overrides[i - 1].name, name) == 0)
            return config->overrides[i - 1].value;
    return NULL;
}

const char *config_service_value(const struct config *config, const struct config_service *service,
                                 const char *name)
{
    const char *value = override(config, service, name);
    return value != NULL ? value : config_value(config, name);
}

bool config_overrides(const struct config *config, const struct config_service *service,
                      const char *name)
{
    return override(config, service, name) != NULL;
}

const struct config_service *config_service(const struct config *config, const char *name,
                                            const char *type)
{
    for (size_t i = 0; i < config->service_count; i++)
        if (strcmp(config->services[i].name, name) == 0 &&
            strcmp(config->services[i].type, type) == 0)
            return &config->services[i];
    return NULL;
}

char *config_next(char **list)
{
    char *piece = *list + strspn(*list, SEPARATORS), *end = piece;
    unsigned level = 0;
    if (*piece == '\0')
        return NULL;
    for (; *end != '\0' && (level > 0 || strchr(SEPARATORS, *end) == NULL); end++) {
        level += *end == '{';
        level -= *end == '}' && level > 0;
    }
    *list = *end != '\0' ? end + 1 : end;
    *end = '\0';
    return piece;
}

bool config_same_socket(const struct settings *settings, const char *one, const char *other)
{
    struct socket_place places[2];
    return socket_parse(one, settings->queue_directory, &places[0], NULL) &&
           socket_parse(other, settings->queue_directory, &places[1], NULL) &&
           places[0].family == places[1].family && strcmp(places[0].path, places[1].path) == 0 &&
           strcmp(places[0].host, places[1].host) == 0 &&
           strcmp(places[0].port, places[1].port) == 0;
}

/* "postconf: warning: /etc/postfix/main.cf: unused parameter: post365_x=y": y may be a secret.
 * Those that Postfix has for a transport it knows again when master.cf has that. */
static void note_unused(const char *line, struct buffer *unused)
{
    const char *name = strstr(line, ": unused parameter: ");
    if (name == NULL)
        return;
    name += strlen(": unused parameter: ");
    char *parameter = memory_copy_bytes(name, strcspn(name, "= "));
    if (strncmp(parameter, PARAMETER_PREFIX, strlen(PARAMETER_PREFIX)) == 0 &&
        !parameter_is_of_transport(parameter))
        buffer_format(unused, "%s%s", unused->length > 0 ? " " : "", parameter);
    free(parameter);
}

bool config_unused(const struct config *config, struct buffer *unused, struct error *error)
{
    const char *const words[] = {"postconf", "-c", config->settings->config_directory, "-n", NULL};
    struct process_result result;
    bool fine = process_run(words, NULL, 0, TIMEOUT, LIMIT, &result, error);
    char *rest = result.errors.data, *line;
    while (fine && rest != NULL && (line = strsep(&rest, "\n")) != NULL)
        note_unused(line, unused);
    process_result_free(&result);
    return fine;
}
