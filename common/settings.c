/* settings.c - the post365_ parameters of main.cf, and what post365 must know of Postfix's own
 *
 * The names that main.cf sets are found by reading the file, since postconf(1) does not list names
 * that it has no use for; all values are then expanded by postconf in one call.
 */
#include "common/settings.h"

#include "common/memory.h"
#include "common/parameter.h"
#include "common/postconf.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAIN_CF_LINE_MAX ((size_t)64 * 1024)

/* Postfix's own parameters that post365 reads, as expressions for postconf. */
enum postfix_value {
    POSTFIX_CONFIG_DIRECTORY,
    POSTFIX_QUEUE_DIRECTORY,
    POSTFIX_COMMAND_DIRECTORY,
    POSTFIX_MYHOSTNAME,
    POSTFIX_MAIL_OWNER,
    POSTFIX_RELAYHOST,
    POSTFIX_SENDER_RELAYHOSTS,
    POSTFIX_NULL_SENDER_RELAY_KEY,
    POSTFIX_SENDER_TRANSPORTS,
    POSTFIX_NULL_SENDER_TRANSPORT_KEY,
    POSTFIX_SASL_MECHANISM_FILTER,
    POSTFIX_RECIPIENT_DELIMITER,
    /* these and the following are the source of a setting, none by themselves */
    POSTFIX_MYORIGIN,
    POSTFIX_MYDESTINATION,
    POSTFIX_DEFAULT_TRANSPORT,
    POSTFIX_APPEND_AT_MYORIGIN,
    POSTFIX_APPEND_DOT_MYDOMAIN,
    POSTFIX_MYDOMAIN,
    POSTFIX_SWAP_BANGPATH,
    POSTFIX_ALLOW_PERCENT_HACK,
    POSTFIX_VALUES,
};

static const char *const postfix_expressions[POSTFIX_VALUES] = {
    [POSTFIX_CONFIG_DIRECTORY] = "$config_directory",
    [POSTFIX_QUEUE_DIRECTORY] = "$queue_directory",
    [POSTFIX_COMMAND_DIRECTORY] = "$command_directory",
    [POSTFIX_MYHOSTNAME] = "$myhostname",
    [POSTFIX_MAIL_OWNER] = "$mail_owner",
    [POSTFIX_RELAYHOST] = "$relayhost",
    [POSTFIX_SENDER_RELAYHOSTS] = "$sender_dependent_relayhost_maps",
    [POSTFIX_NULL_SENDER_RELAY_KEY] = "$empty_address_relayhost_maps_lookup_key",
    [POSTFIX_SENDER_TRANSPORTS] = "$sender_dependent_default_transport_maps",
    [POSTFIX_NULL_SENDER_TRANSPORT_KEY] = "$empty_address_default_transport_maps_lookup_key",
    [POSTFIX_SASL_MECHANISM_FILTER] = "$smtp_sasl_mechanism_filter",
    [POSTFIX_RECIPIENT_DELIMITER] = "$recipient_delimiter",
    [POSTFIX_MYORIGIN] = "$myorigin",
    [POSTFIX_MYDESTINATION] = "$mydestination",
    [POSTFIX_DEFAULT_TRANSPORT] = "$default_transport",
    [POSTFIX_APPEND_AT_MYORIGIN] = "$append_at_myorigin",
    [POSTFIX_APPEND_DOT_MYDOMAIN] = "$append_dot_mydomain",
    [POSTFIX_MYDOMAIN] = "$mydomain",
    [POSTFIX_SWAP_BANGPATH] = "$swap_bangpath",
    [POSTFIX_ALLOW_PERCENT_HACK] = "$allow_percent_hack",
};

struct source {
    struct postconf postconf;
    bool *set; /* per parameter: named in main.cf or by -o, even if empty */
};

/* --- which names are set --- */

/* Notes that `name` is set; `where` is "main.cf, line 12" or "option -o". */
static bool note_name(struct source *source, const char *name, const char *where,
                      struct error *error)
{
    if (strncmp(name, PARAMETER_PREFIX, strlen(PARAMETER_PREFIX)) != 0 ||
        parameter_is_of_transport(name))
        return true;
    for (size_t i = 0; i < parameter_count(); i++)
        if (strcmp(name, parameter_at(i)->name) == 0) {
            source->set[i] = true;
            return true;
        }
    const struct parameter *closest = parameter_closest(name);
    if (closest != NULL)
        return error_set(error, "%s: unknown parameter %s; did you mean %s?", where, name,
                         closest->name);
    return error_set(error, "%s: unknown parameter %s; remove it (-t lists all there are)", where,
                     name);
}

/* The name at the start of "name = value", or "" for a comment, a continuation or an empty line. */
static void copy_name(const char *line, char *name, size_t size)
{
    size_t length = 0;
    if (!isspace((unsigned char)line[0]) && line[0] != '#')
        length = strcspn(line, "= \t\r\n");
    if (length >= size)
        length = size - 1;
    memcpy(name, line, length);
    name[length] = '\0';
}

static bool scan_main_cf(struct source *source, struct error *error)
{
    char path[4096], name[256], where[4200];
    snprintf(path, sizeof(path), "%s/main.cf", source->postconf.directory);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set(error, "%s: %s; name Postfix's configuration directory with -c", path,
                         strerror(errno));
    char *line = NULL;
    size_t size = 0;
    bool fine = true;
    ssize_t length;
    for (unsigned number = 1; fine && (length = getline(&line, &size, file)) >= 0; number++) {
        copy_name(line, name, sizeof(name));
        snprintf(where, sizeof(where), "%s, line %u", path, number);
        fine = note_name(source, name, where, error);
        if ((size_t)length > MAIN_CF_LINE_MAX)
            fine = error_set(error, "%s: longer than %zu bytes; shorten the line", where,
                             MAIN_CF_LINE_MAX);
    }
    free(line);
    fclose(file);
    return fine;
}

static bool scan_overrides(struct source *source, struct error *error)
{
    char name[256];
    for (size_t i = 0; source->postconf.overrides != NULL && source->postconf.overrides[i] != NULL;
         i++) {
        copy_name(source->postconf.overrides[i], name, sizeof(name));
        if (strchr(source->postconf.overrides[i], '=') == NULL)
            return error_set(error, "option -o: \"%s\" is not name=value",
                             source->postconf.overrides[i]);
        if (!note_name(source, name, "option -o", error))
            return false;
    }
    return true;
}

/* --- what their values are --- */

static bool parse_all(char *const values[], struct settings *settings, struct error *error)
{
    for (size_t i = 0; i < parameter_count(); i++)
        if (!parameter_parse(parameter_at(i), values[i], settings, error))
            return error_prefix(error, "%s/main.cf: %s = %s", settings->config_directory,
                                parameter_at(i)->name, values[i]);
    return true;
}

/* The recipients that Postfix puts into one delivery: the limit of the transport that goes to
 * $relayhost. */
static bool read_delivery_limit(const struct source *source, const char *default_transport,
                                struct settings *settings, struct error *error)
{
    int length = (int)strcspn(default_transport, ":");
    /* postconf knows the name only if master.cf has the transport. */
    char *expression = memory_format("${%.*s_destination_recipient_limit?"
                                     "{${%.*s_destination_recipient_limit}}:"
                                     "{$default_destination_recipient_limit}}",
                                     length, default_transport, length, default_transport);
    const char *const expressions[] = {expression};
    char *value = NULL;
    bool fine = postconf_expand(&source->postconf, expressions, 1, &value, error);
    if (fine)
        settings->recipients_per_delivery = (uint32_t)strtoul(value, NULL, 10);
    free(value);
    free(expression);
    return fine;
}

/* $myorigin may name a file whose first line is the domain, as Debian's /etc/mailname
 * (postconf(5)). NULL with the reason; else the caller's to free(). */
static char *read_origin(const char *origin, const struct settings *settings, struct error *error)
{
    char line[256] = "";
    if (origin[0] != '/')
        return memory_copy(origin);
    FILE *file = fopen(origin, "re");
    if (file == NULL) {
        error_set(error, "%s/main.cf: myorigin = %s: %s; correct the name, or write a domain",
                  settings->config_directory, origin, strerror(errno));
        return NULL;
    }
    if (fgets(line, sizeof(line), file) != NULL)
        line[strcspn(line, "\r\n")] = '\0';
    fclose(file);
    return memory_copy(line);
}

static bool is_yes(const char *value)
{
    return strcasecmp(value, "yes") == 0;
}

/* What Postfix takes for local, and how it completes addresses. */
static bool read_local_domains(char *const values[], struct settings *settings, struct error *error)
{
    char *origin = read_origin(values[POSTFIX_MYORIGIN], settings, error);
    if (origin == NULL)
        return false;
    settings->local_domains = memory_format("%s %s", origin, values[POSTFIX_MYDESTINATION]);
    settings->append_origin = memory_copy(is_yes(values[POSTFIX_APPEND_AT_MYORIGIN]) ? origin : "");
    settings->append_domain =
        memory_copy(is_yes(values[POSTFIX_APPEND_DOT_MYDOMAIN]) ? values[POSTFIX_MYDOMAIN] : "");
    settings->swap_bangpath = is_yes(values[POSTFIX_SWAP_BANGPATH]);
    settings->allow_percent_hack = is_yes(values[POSTFIX_ALLOW_PERCENT_HACK]);
    free(origin);
    return true;
}

static bool read_postfix(const struct source *source, struct settings *settings,
                         struct error *error)
{
    char *values[POSTFIX_VALUES] = {0};
    bool fine =
        postconf_expand(&source->postconf, postfix_expressions, POSTFIX_VALUES, values, error);
    settings->config_directory = values[POSTFIX_CONFIG_DIRECTORY];
    settings->queue_directory = values[POSTFIX_QUEUE_DIRECTORY];
    settings->command_directory = values[POSTFIX_COMMAND_DIRECTORY];
    settings->myhostname = values[POSTFIX_MYHOSTNAME];
    settings->mail_owner = values[POSTFIX_MAIL_OWNER];
    settings->relayhost = values[POSTFIX_RELAYHOST];
    settings->sender_relayhost_maps = values[POSTFIX_SENDER_RELAYHOSTS];
    settings->null_sender_relay_key = values[POSTFIX_NULL_SENDER_RELAY_KEY];
    settings->sender_transport_maps = values[POSTFIX_SENDER_TRANSPORTS];
    settings->null_sender_transport_key = values[POSTFIX_NULL_SENDER_TRANSPORT_KEY];
    settings->sasl_mechanism_filter = values[POSTFIX_SASL_MECHANISM_FILTER];
    settings->recipient_delimiter = values[POSTFIX_RECIPIENT_DELIMITER];
    fine = fine && read_local_domains(values, settings, error) &&
           read_delivery_limit(source, values[POSTFIX_DEFAULT_TRANSPORT], settings, error);
    for (size_t i = POSTFIX_MYORIGIN; i < POSTFIX_VALUES; i++)
        free(values[i]);
    return fine;
}

static bool read_smtp(const struct source *source, struct settings *settings, struct error *error)
{
    char *values[SMTP_VALUES] = {0};
    bool fine =
        postconf_expand(&source->postconf, smtp_settings_expressions, SMTP_VALUES, values, error);
    if (fine)
        smtp_settings_read(values, &settings->smtp);
    for (size_t i = 0; i < SMTP_VALUES; i++)
        free(values[i]);
    return fine;
}

static bool read_parameters(const struct source *source, struct settings *settings,
                            struct error *error)
{
    size_t count = parameter_count();
    char **references = memory_zero(count, sizeof(references[0]));
    char **values = memory_zero(count, sizeof(values[0]));
    for (size_t i = 0; i < count; i++)
        references[i] = source->set[i] ? memory_format("$%s", parameter_at(i)->name)
                                       : memory_copy(parameter_at(i)->initial);
    bool fine =
        postconf_expand(&source->postconf, (const char *const *)references, count, values, error) &&
        parse_all(values, settings, error);
    for (size_t i = 0; i < count; i++) {
        free(references[i]);
        free(values[i]);
    }
    free(references);
    free(values);
    return fine;
}

struct settings *settings_read(const char *config_directory, const char *const overrides[],
                               struct error *error)
{
    char *directory = postconf_directory(config_directory, error);
    if (directory == NULL)
        return NULL;
    struct source source = {.postconf = {directory, overrides},
                            .set = memory_zero(parameter_count(), sizeof(bool))};
    struct settings *settings = memory_zero(1, sizeof(*settings));
    if (!scan_main_cf(&source, error) || !scan_overrides(&source, error) ||
        !read_postfix(&source, settings, error) || !read_smtp(&source, settings, error) ||
        !read_parameters(&source, settings, error)) {
        settings_free(settings);
        settings = NULL;
    }
    free(source.set);
    free(directory);
    return settings;
}

void settings_free(struct settings *settings)
{
    if (settings == NULL)
        return;
    for (size_t i = 0; i < parameter_count(); i++)
        parameter_free(parameter_at(i), settings);
    free(settings->config_directory);
    free(settings->queue_directory);
    free(settings->command_directory);
    free(settings->myhostname);
    free(settings->mail_owner);
    free(settings->relayhost);
    free(settings->sender_relayhost_maps);
    free(settings->null_sender_relay_key);
    free(settings->sender_transport_maps);
    free(settings->null_sender_transport_key);
    free(settings->sasl_mechanism_filter);
    free(settings->recipient_delimiter);
    free(settings->local_domains);
    free(settings->append_origin);
    free(settings->append_domain);
    smtp_settings_free(&settings->smtp);
    free(settings);
}

void settings_print(const struct settings *settings, FILE *stream)
{
    for (size_t i = 0; i < parameter_count(); i++) {
        fprintf(stream, "%s = ", parameter_at(i)->name);
        parameter_print(parameter_at(i), settings, stream);
        fputc('\n', stream);
    }
}
