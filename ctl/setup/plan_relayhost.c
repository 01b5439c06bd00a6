/* plan_relayhost.c - relayhost as it should be spelled */
#include "ctl/setup/plan.h"

#include "common/destination.h"
#include "common/memory.h"
#include "common/microsoft.h"
#include "common/relayhost.h"
#include "common/table.h"

#include <stdlib.h>
#include <string.h>

#define SUBMISSION "587"

/* Whether smtp(8) finds the same credentials under a new spelling: it looks for the host's name,
 * then for the whole. */
static bool has_credentials(const struct relay *relay, const char *spelling, bool *found,
                            struct error *error)
{
    struct tables *tables = tables_open("smtp_sasl_password_maps", relay->settings->password_maps,
                                        relay->settings->config_directory, TABLE_USER_NAMES, error);
    char **keys = relayhost_keys(spelling);
    enum table_answer answer = TABLE_NONE;
    for (size_t i = 0; tables != NULL && keys[i] != NULL && answer == TABLE_NONE; i++) {
        char *user = NULL;
        answer = tables_find(tables, keys[i], &user, error);
        free(user);
    }
    *found = answer == TABLE_FOUND;
    relayhost_keys_free(keys);
    tables_close(tables);
    return tables != NULL && answer != TABLE_FAILED;
}

/* Whether main.cf has it as it is, not as the value of something else. */
static bool is_literal(const struct relay *relay)
{
    const struct text *main = &relay->text[RELAY_MAIN];
    const struct text_entry *entry = text_find(main, "relayhost");
    if (entry == NULL)
        return false;
    char *value = text_copy(main, entry->span);
    bool literal = strchr(value, '$') == NULL;
    free(value);
    return literal;
}

static bool respell(struct plan *plan, const char *spelling, struct error *error)
{
    const struct relay *relay = plan->relay;
    const char *now = relay->settings->relayhost;
    bool found;
    if (!is_literal(relay)) {
        plan_remark(plan,
                    "relayhost = %s should be %s. Its value is made of other parameters, and "
                    "left as it is.",
                    now, spelling);
        return true;
    }
    if (!has_credentials(relay, spelling, &found, error))
        return false;
    if (!found) {
        plan_remark(
            plan,
            "relayhost = %s should be %s, but smtp_sasl_password_maps has no line for that. "
            "Write the line first; until then it is left as it is.",
            now, spelling);
        return true;
    }
    plan_change(plan, RELAY_MAIN, "relayhost",
                "Without brackets Postfix asks for the MX of %s, and without a port it takes 25; "
                "what is meant is %s. The password table has a line for it.",
                now, spelling);
    plan_set(plan, "relayhost", spelling);
    return true;
}

void plan_direct_send(struct plan *plan)
{
    plan_remark(plan,
                "relayhost = %s is a tenant's mail exchanger (MX): that is direct send, over port "
                "25. There is no login, so there are no accounts whose limits could be kept, and "
                "only the tenant's own recipients are reached. To send through a mailbox write "
                "relayhost = [smtp.office365.com]:587, and a line for that in the password table, "
                "and run this again. A relay that is to go on with direct send needs no post365.",
                plan->relay->settings->relayhost);
}

bool plan_relayhost(struct plan *plan, struct error *error)
{
    const struct relay *relay = plan->relay;
    const char *now = relay->settings->relayhost;
    struct destination destination;
    if (!destination_parse(relay->settings, &destination, error))
        return false;
    if (microsoft_host(destination.host) == MICROSOFT_NONE)
        plan_remark(
            plan,
            "relayhost = %s is no host of Office 365: its replies and limits may be others "
            "than those that post365 knows. If it is email-oauth2-proxy on this host, "
            "`post365 setup --oauth2 FILE`, with its emailproxy.config, takes over from it.",
            now);
    if (strpbrk(now, ", \t") != NULL) {
        plan_remark(
            plan,
            "relayhost names several destinations: the transport takes the first, %s, and another "
            "for accounts whose line in the password table is for that one.",
            destination.host);
        return true;
    }
    bool has_port = now[0] == '[' ? strstr(now, "]:") != NULL : strchr(now, ':') != NULL;
    if (!has_port && microsoft_host(destination.host) == MICROSOFT_NONE) {
        plan_remark(plan,
                    "relayhost = %s names no port: the transport takes " SUBMISSION
                    ", smtp(8) 25. Write the one that is meant.",
                    now);
        return true;
    }
    char *spelling = memory_format("[%s]:%s", destination.host, destination.port);
    bool fine =
        strcmp(spelling, now) == 0 || (now[0] == '[' && has_port) || respell(plan, spelling, error);
    free(spelling);
    return fine;
}
