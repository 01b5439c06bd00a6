/* plan_services.c - master.cf: how Postfix delivers to the transport, and what services set apart
 */
#include "ctl/relay/delivery.h"
#include "ctl/relay/entrance.h"
#include "ctl/relay/service.h"
#include "ctl/setup/milters.h"
#include "ctl/setup/plan.h"

#include "common/buffer.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

#define OPTION "smtpd_milters"
#define NAME   "post365"

static const char service_line[] = NAME "   unix  -       -       n       -       500     lmtp\n";

/* --- by which mail comes in --- */

/* "-o name=value" of "-oname=value", which postconf(1) would misread. Takes `lines` over. */
static char *detach(char *lines, const struct text_entry *entry,
                    const struct service_option *option)
{
    if (option->attached_at == 0)
        return lines;
    size_t at = option->attached_at - entry->span.begin;
    char *detached = memory_format("%.*s %s", (int)at, lines, lines + at);
    free(lines);
    return detached;
}

/* Gives its list of milters ours, or corrects what it says of ours. */
static bool plan_list(struct plan *plan, const struct text_entry *entry,
                      const struct service_option *option, const char *id, struct error *error)
{
    const struct text *master = &plan->relay->text[RELAY_MASTER];
    struct milters milters;
    if (!milters_read(plan->relay, master, option->value_span, &milters, error))
        return false;
    const char *fault = milters.has_ours ? milters_faulty(plan->relay, &milters) : NULL;
    if (milters.has_ours && fault == NULL)
        return true;
    char *ours = milters_ours(plan->relay);
    plan_change(plan, RELAY_MASTER, id,
                milters.has_ours ? "-o " OPTION ": %s"
                                 : "This service has %s (-o " OPTION "), so that who logs in there "
                                   "would be unknown. It gets post365's.",
                milters.has_ours     ? fault
                : milters.has_others ? "milters of its own"
                                     : "no milters");
    char *lines = milters.has_ours ? milters_replace(master, entry->span, &milters, ours, "")
                                   : milters_insert(master, entry->span, &milters, ours, ",", "");
    edits_add(&plan->edits[RELAY_MASTER], entry->span, entry->name, detach(lines, entry, option));
    free(ours);
    return true;
}

/* What is left as it is of a way past the milter. */
static void tell_past(struct plan *plan, const char *id, const struct entrance *entrance)
{
    if (entrance->past == PAST_PROXY)
        plan_remark(
            plan,
            "master.cf: the service %s hands mail to a filter (smtpd_proxy_filter) and "
            "runs no milter itself: let the service that takes the mail back have post365's "
            "in smtpd_milters, and no_milters nowhere there. %s",
            id,
            entrance->takes_logins ? "Who logged in stays unknown: the account is that of "
                                     "the sender."
                                   : "Else post365-transport makes the sender right.");
    else if (entrance->takes_logins)
        plan_remark(plan,
                    "master.cf: the service %s has %s = %s. What comes in there passes no milter: "
                    "post365-transport makes sender and From: right, but who logged in stays "
                    "unknown.",
                    id, entrance->parameter, entrance->value);
    else
        plan_remark(plan,
                    "master.cf: the service %s has %s = %s. What comes in there passes no milter, "
                    "as it should be where a content filter hands mail back: post365-transport "
                    "makes sender and From: right.",
                    id, entrance->parameter,
                    entrance->value[0] != '\0' ? entrance->value : "nothing");
}

/* An action of its own, for a milter that names none. */
static void tell_action(struct plan *plan, const char *id, const struct config_service *service,
                        const struct entrance *entrance)
{
    static const char name[] = "milter_default_action";
    const struct config *config = &plan->relay->config;
    if (!config_overrides(config, service, name) || entrance->past != PAST_NOT ||
        entrance->list.action[0] != '\0')
        return;
    char *subject = memory_format("master.cf: -o %s of %s", name, id);
    plan_judged(plan,
                judge_action(plan->relay->settings, config_service_value(config, service, name)),
                subject, "Take it out there.");
    free(subject);
}

static bool plan_entrance(struct plan *plan, const struct text_entry *entry, struct error *error)
{
    const struct config *config = &plan->relay->config;
    struct entrance entrance;
    struct service found;
    bool fine = true;
    const struct config_service *service = NULL;
    if (service_read(&plan->relay->text[RELAY_MASTER], entry, &found))
        service = config_service(config, found.field[SERVICE_NAME], found.field[SERVICE_TYPE]);
    if (service != NULL && entrance_look(config, service, &entrance)) {
        const struct service_option *option = service_option(&found, OPTION);
        if (option != NULL && !entrance.is_reentry &&
            (entrance.past == PAST_LIST || entrance.past == PAST_NOT))
            fine = plan_list(plan, entry, option, service->id, error);
        else if (entrance.past != PAST_NOT)
            tell_past(plan, service->id, &entrance);
        tell_action(plan, service->id, service, &entrance);
    }
    service_free(&found);
    return fine;
}

/* --- the transport's own service --- */

/* The tables of smtp(8) that the service is to have, as -o lines. */
static void add_tables(struct plan *plan, const struct config_service *service,
                       struct buffer *lines)
{
    for (size_t i = 0; i < delivery_table_count; i++) {
        const struct delivery_table *table = &delivery_tables[i];
        enum delivery_loss loss = delivery_loss(&plan->relay->config, service, table);
        if (loss == DELIVERY_LOSS_CURABLE) {
            plan_change(plan, RELAY_MASTER, NAME "/unix", "%s", table->why);
            buffer_format(lines, "  -o %s=$%s\n", table->name, table->other);
        } else if (loss != DELIVERY_LOSS_NONE && !plan_removes(plan, table->other)) {
            plan_remark(plan,
                        "%s concerns smtp(8) alone, and is not handed on to what goes through "
                        "post365%s. For what else it does there is -o %s=... of the service " NAME
                        ".",
                        table->other,
                        loss == DELIVERY_LOSS_UNKNOWN ? ", since it cannot be looked into"
                                                      : ": that would undo what the milter does",
                        table->name);
        }
    }
}

/* The options whose lack does harm. */
static void add_options(struct plan *plan, const struct config_service *service,
                        struct buffer *lines)
{
    for (size_t i = 0; i < delivery_option_count; i++) {
        const struct delivery_option *option = &delivery_options[i];
        if (delivery_option_is_fine(
                option, option->meaning == NULL
                            ? ""
                            : config_service_value(&plan->relay->config, service, option->name)))
            continue;
        plan_change(plan, RELAY_MASTER, NAME "/unix", "%s=%s: %s", option->name, option->value,
                    option->meaning);
        buffer_format(lines, "  -o %s=%s\n", option->name, option->value);
    }
}

/* Appends lines to the entry. */
static void extend(struct plan *plan, const struct text_entry *entry, const struct buffer *lines)
{
    const struct text *master = &plan->relay->text[RELAY_MASTER];
    const char *whole = master->data + entry->span.begin;
    size_t length = entry->span.end - entry->span.begin;
    bool ends = length > 0 && whole[length - 1] == '\n';
    if (lines->length > 0)
        edits_add(&plan->edits[RELAY_MASTER], entry->span, entry->name,
                  memory_format("%.*s%s%s", (int)length, whole, ends ? "" : "\n", lines->data));
}

static void plan_own(struct plan *plan)
{
    const struct text *master = &plan->relay->text[RELAY_MASTER];
    const struct text_entry *entry = text_find(master, NAME);
    const struct config_service *service = config_service(&plan->relay->config, NAME, "unix");
    struct buffer lines = {0};
    if (entry == NULL) {
        plan_change(plan, RELAY_MASTER, NAME "/unix",
                    "How Postfix hands mail to post365-transport: over LMTP, with time for "
                    "a message to wait for room in the quota.");
        buffer_append_string(&lines, service_line);
        for (size_t i = 0; i < delivery_option_count; i++)
            buffer_format(&lines, "  -o %s=%s\n", delivery_options[i].name,
                          delivery_options[i].value);
        add_tables(plan, NULL, &lines);
        edits_add(&plan->edits[RELAY_MASTER], (struct text_span){master->length, master->length},
                  NAME, memory_copy(lines.data));
    } else if (service == NULL || strcmp(service->command, "lmtp") != 0) {
        plan_duty(plan,
                  "%s: the service " NAME
                  " is not lmtp(8) over a UNIX socket, and cannot hand mail "
                  "to post365-transport. Put what is in /usr/share/post365/master.cf in its place.",
                  plan->relay->path[RELAY_MASTER]);
    } else {
        add_options(plan, service, &lines);
        add_tables(plan, service, &lines);
        extend(plan, entry, &lines);
    }
    buffer_free(&lines);
}

bool plan_services(struct plan *plan, struct error *error)
{
    const struct text *master = &plan->relay->text[RELAY_MASTER];
    for (size_t i = 0; i < master->count; i++)
        if (!plan_entrance(plan, &master->entries[i], error))
            return false;
    plan_own(plan);
    return true;
}
