/* plan_milters.c - main.cf: post365's milter sees all mail, and no mail passes without it */
#include "ctl/relay/judge.h"
#include "ctl/setup/milters.h"
#include "ctl/setup/plan.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "common/parameter.h"

#include <stdlib.h>
#include <string.h>

#define METER           "post365_meter"
#define METER_REFERENCE "${post365_meter?}"

/* Whether plan_transport() takes that parameter out. */
static bool meter_goes(const struct relay *relay)
{
    return relay->settings->meter == METER_SUBMISSION;
}

/* --- parameters that nothing refers to --- */

/* The text of a file without comments. */
static char *values_of(const struct text *text)
{
    return text_copy(text, (struct text_span){0, text->length});
}

/* Whether it is one of ours, which postconf(1) does not know. */
static bool is_ours(const struct plan *plan, const char *name)
{
    return strncmp(name, PARAMETER_PREFIX, strlen(PARAMETER_PREFIX)) == 0 &&
           !parameter_is_of_transport(name) &&
           !(strcmp(name, METER) == 0 && meter_goes(plan->relay));
}

/* `${name?}` for each post365_ parameter that is set, or will be, and not referred to, behind a
 * blank. It expands to nothing, and postconf(1) does not warn. */
static char *references(const struct plan *plan)
{
    const struct text *main = &plan->relay->text[RELAY_MAIN];
    char *main_values = values_of(main);
    char *master_values = values_of(&plan->relay->text[RELAY_MASTER]);
    struct buffer list = {0};
    for (size_t i = 0; i < main->count; i++) {
        const char *name = main->entries[i].name;
        if (is_ours(plan, name) && text_find(main, name) == &main->entries[i] &&
            !text_refers(main_values, name) && !text_refers(master_values, name))
            buffer_format(&list, "%s${%s?}", list.length == 0 ? " " : "", name);
    }
    for (size_t i = 0; i < plan->edits[RELAY_MAIN].count; i++) {
        const char *name = plan->edits[RELAY_MAIN].list[i].name;
        if (is_ours(plan, name) && text_find(main, name) == NULL)
            buffer_format(&list, "%s${%s?}", list.length == 0 ? " " : "", name);
    }
    free(main_values);
    free(master_values);
    return buffer_take(&list);
}

/* --- the two lists --- */

/* Looks at a list; one that is not there is empty. Returns its definition, if there is one. */
static const struct text_entry *read_list(const struct plan *plan, const char *name,
                                          struct milters *milters, bool *fine, struct error *error)
{
    const struct text *main = &plan->relay->text[RELAY_MAIN];
    const struct text_entry *entry = text_find(main, name);
    *milters = (struct milters){.has_ours = false};
    *fine =
        entry == NULL || milters_read(plan->relay, main, text_value(main, entry), milters, error);
    return entry;
}

/* Takes every `words` out of a text, in place. */
static void cut_out(char *text, const char *words)
{
    size_t length = strlen(words);
    for (char *at = text; (at = strstr(at, words)) != NULL;)
        memmove(at, at + length, strlen(at + length) + 1);
}

/* Puts `ours` and `behind` into a list that may not be there yet, or in the place of what it has of
 * ours. */
static void change_list(struct plan *plan, const char *name, const struct text_entry *entry,
                        const struct milters *milters, const char *ours, const char *behind)
{
    if (entry != NULL && milters->end > milters->value.begin) {
        const struct text *main = &plan->relay->text[RELAY_MAIN];
        char *lines = milters->has_ours && ours[0] != '\0'
                          ? milters_replace(main, entry->span, milters, ours, behind)
                          : milters_insert(main, entry->span, milters, ours, ", ", behind);
        if (meter_goes(plan->relay))
            cut_out(lines, METER_REFERENCE);
        plan_replace(plan, entry, lines);
        return;
    }
    char *value = memory_format("%s%s", ours, behind);
    plan_set(plan, name, value);
    free(value);
}

static void tell_place(struct plan *plan, const struct milters *milters)
{
    const char *place = "";
    if (milters->has_signer)
        place = " It stands before the milter that signs, so that what is signed is what is sent.";
    else if (milters->has_others)
        place = " It stands behind the milters that filter, which see the true sender.";
    plan_change(plan, RELAY_MAIN, "smtpd_milters",
                "post365's milter makes the mailbox the sender, as Office 365 demands.%s", place);
}

/* Whether the list refers to a parameter that will not be there: postconf warns of that, too. */
static bool refers_to_meter(const struct plan *plan, const struct text_entry *entry)
{
    if (entry == NULL || !meter_goes(plan->relay))
        return false;
    char *value = text_copy(&plan->relay->text[RELAY_MAIN], entry->span);
    bool refers = strstr(value, METER_REFERENCE) != NULL;
    free(value);
    return refers;
}

/* What is to be written of ours: "" where what is there may stay. The caller's to free(). */
static char *choose_ours(struct plan *plan, const char *name, const struct milters *milters)
{
    if (!milters->has_ours)
        return milters_ours(plan->relay);
    const char *fault = milters_faulty(plan->relay, milters);
    if (fault == NULL)
        return memory_copy("");
    if (!milters->is_ours_alone) {
        plan_remark(plan,
                    "%s: %s The milter stands in another parameter; give it "
                    "{%s,default_action=%s,protocol=6} there, since milter_default_action and "
                    "milter_protocol are for all milters.",
                    name, fault, plan->relay->settings->milter_socket,
                    judge_action_wanted(plan->relay->settings));
        return memory_copy("");
    }
    plan_change(plan, RELAY_MAIN, name, "%s", fault);
    return milters_ours(plan->relay);
}

static bool plan_smtpd(struct plan *plan, struct milters *milters, struct error *error)
{
    bool fine;
    const struct text_entry *entry = read_list(plan, "smtpd_milters", milters, &fine, error);
    if (!fine)
        return false;
    char *behind = references(plan);
    char *ours = choose_ours(plan, "smtpd_milters", milters);
    bool refers = behind[0] != '\0' || refers_to_meter(plan, entry);
    if (!milters->has_ours)
        tell_place(plan, milters);
    else if (refers)
        plan_change(plan, RELAY_MAIN, "smtpd_milters",
                    "So that postconf does not warn it refers to each parameter of post365 that "
                    "is set, and to no other. That expands to nothing.");
    if (ours[0] != '\0' || refers)
        change_list(plan, "smtpd_milters", entry, milters, ours, behind);
    free(ours);
    free(behind);
    return true;
}

/* Whether a list has what smtpd_milters has, whatever that will be. */
static bool follows_smtpd(const struct plan *plan, const struct text_entry *entry)
{
    if (entry == NULL)
        return false;
    char *value = text_copy(&plan->relay->text[RELAY_MAIN], entry->span);
    bool follows = text_refers(value, "smtpd_milters");
    free(value);
    return follows;
}

static bool plan_other(struct plan *plan, const struct milters *smtpd, struct error *error)
{
    static const char name[] = "non_smtpd_milters";
    struct milters milters;
    bool fine;
    const struct text_entry *entry = read_list(plan, name, &milters, &fine, error);
    if (!fine || follows_smtpd(plan, entry))
        return fine;
    char *ours = choose_ours(plan, name, &milters);
    bool alone = !milters.has_ours && !milters.has_others && !smtpd->has_others;
    if (!milters.has_ours)
        plan_change(plan, RELAY_MAIN, name,
                    "The same for mail that does not come over SMTP: sendmail(1), cron, bounces.%s",
                    !milters.has_others && smtpd->has_others
                        ? " Your other milters do not see such mail now, and will not."
                        : "");
    if (ours[0] != '\0')
        change_list(plan, name, entry, &milters, alone ? "$smtpd_milters" : ours, "");
    free(ours);
    return true;
}

/* --- what goes with them --- */

static void plan_classes(struct plan *plan)
{
    const char *classes = plan->relay->value[RELAY_FILTER_CLASSES];
    struct buffer missing = {0};
    if (judge_classes(plan->relay->settings, classes, &missing).judgement != JUDGED_RIGHT) {
        plan_change(plan, RELAY_MAIN, "internal_mail_filter_classes",
                    "What Postfix writes itself passes the milters, too, bounces and notices to "
                    "the postmaster: their From: must be the mailbox.");
        char *value = memory_format(
            "%s%s%s", classes, classes[strspn(classes, " ")] != '\0' ? ", " : "", missing.data);
        plan_set(plan, "internal_mail_filter_classes", value);
        free(value);
    }
    buffer_free(&missing);
}

bool plan_milters(struct plan *plan, struct error *error)
{
    struct milters smtpd;
    if (!plan_smtpd(plan, &smtpd, error) || !plan_other(plan, &smtpd, error))
        return false;
    plan_classes(plan);
    return true;
}
