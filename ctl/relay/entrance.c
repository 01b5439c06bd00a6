/* entrance.c - by which ways mail comes in, and which of them do not lead through the milter */
#include "ctl/relay/entrance.h"

#include "common/memory.h"
#include "common/table.h"
#include "ctl/relay/rules.h"

#include <stdlib.h>
#include <string.h>

#define SEPARATORS ", \t\r\n"
#define SMTPD_LIST "smtpd_milters"
#define OTHER_LIST "non_smtpd_milters"
#define OPTIONS    "receive_override_options"
#define PROXY      "smtpd_proxy_filter"
#define FILTER     "content_filter"

bool entrance_skips_milters(const char *options)
{
    static const char word[] = "no_milters";
    for (const char *at = options; *(at += strspn(at, SEPARATORS)) != '\0';
         at += strcspn(at, SEPARATORS))
        if (strcspn(at, SEPARATORS) == strlen(word) && strncasecmp(at, word, strlen(word)) == 0)
            return true;
    return false;
}

static bool is_command(const struct config_service *service, const char *command)
{
    return strcmp(service->command, command) == 0;
}

static void set_past(struct entrance *entrance, enum past past, const char *parameter,
                     const char *value)
{
    entrance->past = past;
    entrance->parameter = parameter;
    entrance->value = value;
}

/* What is taken over SMTP, by smtpd(8)'s own list; else by cleanup(8)'s. */
bool entrance_look(const struct config *config, const struct config_service *service,
                   struct entrance *entrance)
{
    bool is_smtpd = is_command(service, "smtpd"), is_cleanup = is_command(service, "cleanup");
    bool is_other = is_command(service, "pickup") || is_command(service, "qmqpd");
    const char *name = is_smtpd ? SMTPD_LIST : OTHER_LIST;
    *entrance = (struct entrance){.past = PAST_NOT};
    if (!is_smtpd && !is_cleanup && !is_other)
        return false;
    const char *options = config_service_value(config, service, OPTIONS);
    const char *proxy = config_service_value(config, service, PROXY);
    const char *list = config_service_value(config, service, name);
    bool has_list = (is_smtpd || is_cleanup) && config_overrides(config, service, name);
    milter_list_read(config->settings, list, &entrance->list);
    entrance->takes_logins =
        is_smtpd &&
        strcmp(config_service_value(config, service, "smtpd_sasl_auth_enable"), "yes") == 0;
    bool skips = !is_cleanup && config_overrides(config, service, OPTIONS) &&
                 entrance_skips_milters(options);
    bool ends_filter = is_smtpd && config_overrides(config, service, FILTER) &&
                       config_service_value(config, service, FILTER)[0] == '\0';
    entrance->is_reentry = is_smtpd && !entrance->takes_logins && (skips || ends_filter);
    set_past(entrance, PAST_NOT, name, list);
    if (skips)
        set_past(entrance, PAST_OPTION, OPTIONS, options);
    else if (is_smtpd && proxy[0] != '\0')
        set_past(entrance, PAST_PROXY, PROXY, proxy);
    else if (has_list && !entrance->list.has_ours)
        set_past(entrance, PAST_LIST, name, list);
    return true;
}

bool entrance_takes_logins(const struct config *config)
{
    struct entrance entrance;
    for (size_t i = 0; i < config->service_count; i++)
        if (entrance_look(config, &config->services[i], &entrance) && entrance.takes_logins)
            return true;
    return false;
}

/* --- smtpd_milter_maps --- */

struct maps {
    const struct config *config;
    char **keys;
    size_t count;
    size_t seen, ours;
};

static void note_result(struct maps *maps, const char *value)
{
    struct milter_list list;
    milter_list_read(maps->config->settings, value, &list);
    maps->seen++;
    maps->ours += list.has_ours;
}

static void note_key(void *context, const char *key)
{
    struct maps *maps = context;
    maps->keys = memory_grow(maps->keys, (maps->count + 1) * sizeof(char *));
    maps->keys[maps->count++] = memory_copy(key);
}

static void note_rule(void *context, const struct rule *rule)
{
    note_result(context, rule->result);
}

bool entrance_maps_have_ours(const struct config *config, const char *value)
{
    struct maps maps = {.config = config};
    bool all = rules_each(value, note_rule, &maps);
    struct tables *tables = tables_open("smtpd_milter_maps", value,
                                        config->settings->config_directory, TABLE_VALUES, NULL);
    if (tables != NULL)
        tables_each_key(tables, note_key, &maps);
    for (size_t i = 0; i < maps.count; i++) {
        char *answer = NULL;
        if (tables_find(tables, maps.keys[i], &answer, NULL) == TABLE_FOUND)
            note_result(&maps, answer);
        free(answer);
        free(maps.keys[i]);
    }
    free(maps.keys);
    tables_close(tables);
    return maps.seen > 0 && maps.seen == maps.ours && (all || maps.count > 0);
}
