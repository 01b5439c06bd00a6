/* plan_recipes.c - recipes that replace the sender and From: by the mailbox
 *
 * They come before the milter, which then never sees who a message is from. A table that does
 * nothing else is taken out; of another one the lines are told, for the table is the admin's.
 */
#include "ctl/relay/recipe.h"
#include "ctl/relay/rules.h"
#include "ctl/setup/plan.h"

#include "common/buffer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Whether a rule only makes some account the sender. */
typedef bool replaces(const struct relay *relay, const struct rule *rule);

struct look {
    const struct relay *relay;
    replaces *replaces;
    size_t count;         /* rules that do */
    size_t others;        /* rules that do not */
    struct buffer places; /* "file, line 3" of those that do */
};

static bool names_account(const struct relay *relay, const struct rule *rule)
{
    return relay_has_account(relay, rule->result);
}

/* "REPLACE From: ..." */
static bool replaces_from(const struct relay *relay, const struct rule *rule)
{
    const char *action = rule->result;
    (void)relay;
    if (strncasecmp(action, "REPLACE", 7) != 0 || !isspace((unsigned char)action[7]))
        return false;
    action += 7 + strspn(action + 7, " \t");
    return strncasecmp(action, "From:", 5) == 0 || strncasecmp(action, "Sender:", 7) == 0;
}

static void visit(void *context, const struct rule *rule)
{
    struct look *look = context;
    if (!look->replaces(look->relay, rule)) {
        look->others++;
        return;
    }
    look->count++;
    buffer_format(&look->places, "%s%s", look->places.length > 0 ? "; " : "", rule->table);
    if (rule->line > 0)
        buffer_format(&look->places, ", line %u", rule->line);
}

/* Takes the parameter `name` out, if its tables do nothing but that. Whether it was. */
static bool plan_recipe(struct plan *plan, const char *name, enum relay_value value,
                        replaces *judge, const char *why)
{
    struct look look = {.relay = plan->relay, .replaces = judge};
    bool all = rules_each(plan->relay->value[value], visit, &look);
    bool is_taken_out = all && look.count > 0 && look.others == 0 && relay_sets(plan->relay, name);
    if (is_taken_out) {
        plan_change(plan, RELAY_MAIN, name, "%s", why);
        plan_remove(plan, name);
    } else if (look.count > 0) {
        plan_remark(plan,
                    "%s: %s Its tables do other things as well, and are left alone; take out %s.",
                    name, why, look.places.data);
    } else if (!all) {
        plan_remark(plan,
                    "%s has a table that cannot be looked into; take out what makes a "
                    "mailbox the sender or replaces From:.",
                    name);
    }
    buffer_free(&look.places);
    return is_taken_out;
}

/* What is left of them that rewrites every sender. */
static void tell_left(struct plan *plan, const struct recipe *recipe)
{
    const struct config *config = &plan->relay->config;
    const char *value = config_value(config, recipe->parameter);
    char *harmful = NULL;
    if (value[0] == '\0' || plan_removes(plan, recipe->parameter) ||
        recipe_ask(recipe, plan->relay->settings, value, &harmful, NULL) != TABLE_FOUND)
        return;
    /* Those of smtp(8) are plan_services()'s. */
    if (!recipe->unused_in_delivery)
        plan_duty(plan, "%s makes \"%s\" of every sender. %s Take that out.", recipe->parameter,
                  harmful, recipe->meaning);
    free(harmful);
}

bool plan_recipes(struct plan *plan, struct error *error)
{
    (void)error;
    if (plan_recipe(plan, "sender_canonical_maps", RELAY_SENDER_CANONICAL, names_account,
                    "It makes the mailbox the sender before the milter sees who the message is "
                    "from; the milter does it, and keeps the person in the name and Reply-To:.") &&
        relay_sets(plan->relay, "sender_canonical_classes")) {
        plan_change(plan, RELAY_MAIN, "sender_canonical_classes",
                    "It belongs to sender_canonical_maps.");
        plan_remove(plan, "sender_canonical_classes");
    }
    plan_recipe(plan, "header_checks", RELAY_HEADER_CHECKS, replaces_from,
                "It replaces From: before the milter sees who the message is from.");
    plan_recipe(plan, "smtp_header_checks", RELAY_SMTP_HEADER_CHECKS, replaces_from,
                "It replaces From:, which the milter has done already, with the person in the "
                "name and in Reply-To:. What goes through the transport does not pass it.");
    for (size_t i = 0; i < recipe_count; i++)
        tell_left(plan, &recipes[i]);
    return true;
}
