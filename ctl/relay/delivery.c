/* delivery.c - the service in master.cf by which Postfix hands mail to post365-transport */
#include "ctl/relay/delivery.h"

#include "ctl/relay/judge.h"
#include "ctl/relay/recipe.h"
#include "ctl/relay/rules.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define DATA_TIMEOUT_MIN 300 /* seconds: the transport decides at DATA, within 240 */

const struct delivery_option delivery_options[] = {
    {"syslog_name", "postfix/post365", NULL},
    {"lmtp_send_xforward_command", "yes",
     "The transport does not learn the queue id, so that it cannot wake up a message that had to "
     "wait."},
    {"lmtp_data_init_timeout", "300s",
     "Postfix gives up while the transport waits for room in the quota."},
    {"lmtp_connection_cache_on_demand", "no", NULL},
};
const size_t delivery_option_count = sizeof(delivery_options) / sizeof(delivery_options[0]);

bool delivery_option_is_fine(const struct delivery_option *option, const char *value)
{
    if (option->meaning == NULL)
        return true;
    if (strcmp(option->name, "lmtp_data_init_timeout") == 0)
        return judge_seconds(value, 's') >= DATA_TIMEOUT_MIN;
    return strcasecmp(value, option->value) == 0;
}

#define GOES_ON(name)                                                                              \
    "smtp_" name " concerns smtp(8) alone. With lmtp_" name                                        \
    " it has its effect on what goes through post365, too."

const struct delivery_table delivery_tables[] = {
    {"lmtp_generic_maps", "smtp_generic_maps",
     "smtp_generic_maps concerns smtp(8) alone, and rewrites recipients and Reply-To: as well as "
     "senders. With lmtp_generic_maps it goes on doing so for what goes through post365."},
    {"lmtp_header_checks", "smtp_header_checks", GOES_ON("header_checks")},
    {"lmtp_mime_header_checks", "smtp_mime_header_checks", GOES_ON("mime_header_checks")},
    {"lmtp_nested_header_checks", "smtp_nested_header_checks", GOES_ON("nested_header_checks")},
    {"lmtp_body_checks", "smtp_body_checks", GOES_ON("body_checks")},
};
const size_t delivery_table_count = sizeof(delivery_tables) / sizeof(delivery_tables[0]);

/* --- tables that may not come along --- */

/* "REPLACE From: ...": the way to answer would be lost where the milter has not made it. */
static void note_replacing(void *context, const struct rule *rule)
{
    bool *replaces = context;
    const char *action = rule->result;
    if (strncasecmp(action, "REPLACE", 7) != 0 || !isspace((unsigned char)action[7]))
        return;
    action += 7 + strspn(action + 7, " \t");
    *replaces =
        *replaces || strncasecmp(action, "From:", 5) == 0 || strncasecmp(action, "Sender:", 7) == 0;
}

enum delivery_loss delivery_loss(const struct config *config, const struct config_service *service,
                                 const struct delivery_table *table)
{
    const char *value = config_value(config, table->other);
    const char *own = service != NULL ? config_service_value(config, service, table->name)
                                      : config_value(config, table->name);
    bool replaces = false;
    char *harmful = NULL;
    if (value[0] == '\0' || own[0] != '\0')
        return DELIVERY_LOSS_NONE;
    const struct recipe *recipe = recipe_of(table->other);
    enum table_answer answer =
        recipe != NULL ? recipe_ask(recipe, config->settings, value, &harmful, NULL) : TABLE_NONE;
    free(harmful);
    if (answer == TABLE_FAILED)
        return DELIVERY_LOSS_UNKNOWN;
    if (strcmp(table->other, "smtp_header_checks") == 0)
        rules_each(value, note_replacing, &replaces);
    return answer == TABLE_FOUND || replaces ? DELIVERY_LOSS_FINAL : DELIVERY_LOSS_CURABLE;
}
