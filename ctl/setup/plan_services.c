/* plan_services.c - master.cf: how Postfix delivers to the transport, and what services set apart
 */
#include "ctl/relay/delivery.h"
#include "ctl/relay/entrance.h"
#include "ctl/setup/milters.h"
#include "ctl/setup/plan.h"

#include "common/buffer.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"
#define FIELDS 7 /* before the command, see master(5) */
#define OPTION "smtpd_milters"
#define NAME   "post365"

static const char service_line[] = NAME "   unix  -       -       n       -       500     lmtp\n";

/* --- services as they are written --- */

/* A service with what it overrides. */
struct service {
    const struct text_entry *entry;
    char *type;
    char *command;
    struct text_span milters; /* the value of the last -o smtpd_milters */
    bool sets_milters;
};

/* Takes "name=value" or "{ name = value }" apart. */
static void read_option(const struct text *text, struct text_span option, struct service *found)
{
    if (text->data[option.begin] == '{') {
        option.begin++;
        option.end--;
    }
    const char *end = memchr(text->data + option.begin, '=', option.end - option.begin);
    if (end == NULL)
        return;
    struct text_span value = {(size_t)(end - text->data) + 1, option.end}, name = option, rest;
    rest = (struct text_span){option.begin, value.begin - 1};
    if (!text_next(text, BLANKS, &rest, &name))
        return;
    while (value.end > value.begin && strchr(BLANKS, text->data[value.end - 1]) != NULL)
        value.end--;
    char *word = text_copy(text, name);
    if (strcmp(word, OPTION) == 0) {
        found->milters = value;
        found->sets_milters = true;
    }
    free(word);
}

/* "-o name=value", "-o { name = value }", "-oname=value". */
static void read_service(const struct text *text, const struct text_entry *entry,
                         struct service *found)
{
    struct text_span rest = entry->span, piece;
    bool is_option = false;
    *found = (struct service){.entry = entry};
    for (size_t i = 0; text_next(text, BLANKS, &rest, &piece); i++) {
        bool begins = i > FIELDS && !is_option && piece.end - piece.begin >= 2 &&
                      memcmp(text->data + piece.begin, "-o", 2) == 0;
        bool is_attached = begins && piece.end - piece.begin > 2;
        if (i == 1)
            found->type = text_copy(text, piece);
        else if (i == FIELDS)
            found->command = text_copy(text, piece);
        else if (is_attached)
            read_option(text, (struct text_span){piece.begin + 2, piece.end}, found);
        else if (is_option)
            read_option(text, piece, found);
        is_option = begins && !is_attached;
    }
}

static void release(struct service *found)
{
    free(found->type);
    free(found->command);
}

/* --- by which mail comes in --- */

/* Gives its list of milters ours, or corrects what it says of ours. */
static bool plan_list(struct plan *plan, const struct service *found, const char *id,
                      struct error *error)
{
    const struct text *master = &plan->relay->text[RELAY_MASTER];
    struct milters milters;
    if (!milters_read(plan->relay, master, found->milters, &milters, error))
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
    edits_add(&plan->edits[RELAY_MASTER], found->entry->span, found->entry->name,
              milters.has_ours
                  ? milters_replace(master, found->entry->span, &milters, ours, "")
                  : milters_insert(master, found->entry->span, &milters, ours, ",", ""));
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
    read_service(&plan->relay->text[RELAY_MASTER], entry, &found);
    const struct config_service *service =
        found.type != NULL ? config_service(config, entry->name, found.type) : NULL;
    if (service != NULL && entrance_look(config, service, &entrance)) {
        if (found.sets_milters && !entrance.is_reentry &&
            (entrance.past == PAST_LIST || entrance.past == PAST_NOT))
            fine = plan_list(plan, &found, service->id, error);
        else if (entrance.past != PAST_NOT)
            tell_past(plan, service->id, &entrance);
        tell_action(plan, service->id, service, &entrance);
    }
    release(&found);
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
