/* plan_remains.c - what setup leaves as it is, since it is the admin's: wrong or doubtful
 *
 * Judged by the same rules as the doctor's.
 */
#include "ctl/relay/delivery.h"
#include "ctl/relay/entrance.h"
#include "ctl/relay/route.h"
#include "ctl/setup/plan.h"

#include "common/destination.h"
#include "common/identity.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

static const char *value_of(const struct plan *plan, const char *name)
{
    return config_value(&plan->relay->config, name);
}

/* --- ways in that main.cf has --- */

static void tell_ways(struct plan *plan)
{
    const struct config *config = &plan->relay->config;
    const char *maps = value_of(plan, "smtpd_milter_maps");
    const char *options = value_of(plan, "receive_override_options");
    const char *who = entrance_takes_logins(config)
                          ? "post365-transport makes sender and From: right, but who logged in "
                            "stays unknown"
                          : "post365-transport makes sender and From: right";
    if (maps[0] != '\0' && !entrance_maps_have_ours(config, maps))
        plan_remark(plan,
                    "smtpd_milter_maps = %s comes before smtpd_milters for the clients that it "
                    "names. Mail of those whose line does not have %s passes no milter of "
                    "post365's: %s.",
                    maps, plan->relay->settings->milter_socket, who);
    if (entrance_skips_milters(options))
        plan_remark(plan, "receive_override_options = %s: no mail passes a milter: %s.", options,
                    who);
}

/* --- the queue --- */

static void tell_queue(struct plan *plan)
{
    static const char *const names[] = {"maximal_queue_lifetime", "bounce_queue_lifetime"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *subject = memory_format("%s = %s", names[i], value_of(plan, names[i]));
        plan_judged(plan, judge_lifetime(value_of(plan, names[i]), i == 1), subject,
                    "Make it 5d, Postfix's default.");
        free(subject);
    }
    plan_judged(plan, judge_deferred(value_of(plan, "defer_transports"), "post365"),
                "defer_transports has post365", "Take it out.");
}

/* How many recipients main.cf lets Postfix put into a message. */
static bool tell_recipients(struct plan *plan, struct error *error)
{
    static const char name[] = "post365_destination_recipient_limit";
    const char *const expressions[] = {"$post365_destination_recipient_limit"};
    char *value = NULL;
    if (!relay_sets(plan->relay, name))
        return true;
    if (!relay_expand(plan->relay, expressions, 1, &value, error))
        return false;
    char *subject = memory_format("%s = %s", name, value);
    plan_judged(plan, judge_recipients(plan->relay->settings, strtoul(value, NULL, 10), true),
                subject, "");
    free(subject);
    free(value);
    return true;
}

/* --- where mail goes --- */

static bool tell_routes(struct plan *plan, const char *host, struct error *error)
{
    static const char *const names[] = {"transport_maps",
                                        "sender_dependent_default_transport_maps"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct buffer shown = {0};
        size_t count;
        bool fine = route_list_past(&plan->relay->config, host, names[i], &shown, &count, error);
        if (fine && count > 0)
            plan_duty(
                plan,
                "%s has lines that come before default_transport: no mail would go through "
                "post365 that they are for, and its limits are met uncounted (%s). Take these "
                "lines out.",
                names[i], shown.data);
        else if (fine && i == 0 && value_of(plan, names[i])[0] != '\0')
            plan_remark(plan, "transport_maps is left as it is: mail for what it names goes where "
                              "it says, not through post365.");
        buffer_free(&shown);
        if (!fine)
            return false;
    }
    return true;
}

/* Colleagues who have their mailbox at Microsoft's. */
static void tell_domains(struct plan *plan)
{
    static const char *const names[] = {"mydestination", "virtual_alias_domains",
                                        "virtual_mailbox_domains"};
    const struct relay *relay = plan->relay;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        for (size_t k = 0; k < relay->account_count; k++) {
            struct judged judged = judge_domain(value_of(plan, names[i]), relay->accounts[k]);
            if (judged.judgement == JUDGED_RIGHT)
                continue;
            char *subject = memory_format("%s has the domain of %s", names[i], relay->accounts[k]);
            plan_judged(plan, judged, subject, "If they are to be reached, take it out.");
            free(subject);
            break; /* one line of each is enough */
        }
}

/* --- all of it --- */

/* Of mail that no table claims. */
static bool tell_account(struct plan *plan, struct error *error)
{
    struct identity identity = {.upn = NULL};
    struct identities *identities = identities_open(plan->relay->settings, error);
    if (identities == NULL)
        return false;
    struct error reason;
    enum table_answer answer = identity_find_default(identities, &identity, &reason);
    if (answer == TABLE_NONE)
        plan_duty(plan, "Mail that no table claims has no account, bounces among it, and waits: %s",
                  reason.text);
    free(identity.upn);
    identities_close(identities);
    return true;
}

bool plan_remains(struct plan *plan, struct error *error)
{
    const struct relay *relay = plan->relay;
    struct destination destination;
    if (!destination_parse(relay->settings, &destination, error) || !tell_account(plan, error) ||
        !tell_recipients(plan, error) || !tell_routes(plan, destination.host, error))
        return false;
    char *subject = memory_format("relayhost = %s", relay->settings->relayhost);
    plan_judged(plan, judge_port(destination.port), subject,
                "Write [smtp.office365.com]:587, and the same in the password table.");
    free(subject);
    tell_ways(plan);
    tell_queue(plan);
    tell_domains(plan);
    return true;
}
