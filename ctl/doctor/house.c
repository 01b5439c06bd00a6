/* house.c - what waits, who may send, which addresses are this host's, and what setup would change
 *
 * Sources: postconf(5) (maximal_queue_lifetime, mydestination, smtpd_sender_login_maps,
 * authorized_submit_users).
 */
#include "common/memory.h"
#include "ctl/doctor/doctor.h"
#include "ctl/relay/entrance.h"
#include "ctl/setup/plan.h"

#include <stdlib.h>
#include <string.h>

/* --- patience --- */

static void check_lifetime(struct doctor *doctor, const char *name)
{
    struct report *report = &doctor->report;
    const char *value = config_value(&doctor->config, name);
    struct judged judged = judge_lifetime(value, name[0] == 'b');
    report_finding(report, &(struct finding){.check = "queue-lifetime",
                                             .verdict = doctor_verdict(judged),
                                             .tried = name,
                                             .seen = value,
                                             .meaning = judged.meaning,
                                             .remedy = report_format(report, "In %s: `%s = 5d`",
                                                                     doctor->main_cf, name)});
}

/* --- addresses --- */

static void check_domains(struct doctor *doctor, const char *name)
{
    struct report *report = &doctor->report;
    const char *value = config_value(&doctor->config, name);
    for (size_t i = 0; i < doctor->account_count; i++) {
        struct judged judged = judge_domain(value, doctor->accounts[i]);
        if (judged.judgement == JUDGED_RIGHT)
            continue;
        report_finding(report,
                       &(struct finding){
                           .check = "own-domain",
                           .verdict = doctor_verdict(judged),
                           .account = doctor->accounts[i],
                           .tried = report_format(report, "domain of <UPN> in %s", name),
                           .seen = value,
                           .meaning = judged.meaning,
                           .remedy = report_format(report,
                                                   "In %s: take it out of %s, if all its mailboxes "
                                                   "are at Microsoft's.",
                                                   doctor->main_cf, name)});
        return; /* of one domain one line is enough */
    }
}

/* --- who may send --- */

/* Where there is one account everybody sends as that one, and nothing can be taken from another;
 * nor where senders are not believed. */
static void check_senders(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    const char *users = config_value(&doctor->config, "authorized_submit_users");
    const char *logins = config_value(&doctor->config, "smtpd_sender_login_maps");
    bool takes_logins = entrance_takes_logins(&doctor->config);
    if (doctor->account_count < 2 || doctor->settings->login_only)
        return;
    bool is_open = strstr(users, "static:anyone") != NULL;
    report_finding(
        report,
        &(struct finding){
            .check = "local-senders",
            .verdict = is_open ? VERDICT_WARNING : VERDICT_OK,
            .tried = "authorized_submit_users",
            .seen = users,
            .meaning = "Each user of this host may send as any account (`sendmail -f`), and use "
                       "up its limits.",
            .remedy = report_format(report,
                                    "If this host has users that you do not trust, in %s: "
                                    "`authorized_submit_users = root, www-data` with those who "
                                    "may, or `post365_login_only = yes`, by which no sender is "
                                    "believed.",
                                    doctor->main_cf)});
    if (takes_logins)
        report_finding(
            report,
            &(struct finding){
                .check = "login-senders",
                .verdict = logins[0] == '\0' ? VERDICT_WARNING : VERDICT_OK,
                .tried = "smtpd_sender_login_maps",
                .seen = logins[0] != '\0' ? logins : "empty",
                .meaning = "Who logs in may send as any account, and use up its limits.",
                .remedy = report_format(report,
                                        "In %s: name in smtpd_sender_login_maps who may send as "
                                        "what, and reject_sender_login_mismatch in "
                                        "smtpd_sender_restrictions; or set "
                                        "`post365_login_only = yes`.",
                                        doctor->main_cf)});
}

void doctor_check_house(struct doctor *doctor)
{
    check_lifetime(doctor, "maximal_queue_lifetime");
    check_lifetime(doctor, "bounce_queue_lifetime");
    check_domains(doctor, "mydestination");
    check_domains(doctor, "virtual_alias_domains");
    check_domains(doctor, "virtual_mailbox_domains");
    check_senders(doctor);
}

/* --- what setup would change --- */

/* "smtpd_milters, post365/unix" */
static void name_changes(const struct plan *plan, struct buffer *names)
{
    for (size_t i = 0; i < plan->change_count; i++)
        if (i == 0 || strcmp(plan->changes[i].name, plan->changes[i - 1].name) != 0)
            buffer_format(names, "%s%s", names->length > 0 ? ", " : "", plan->changes[i].name);
}

/* Setup knows main.cf alone, and relays with the transport; who may not read passwords cannot ask
 * it. */
void doctor_check_setup(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    struct relay relay = {.settings = NULL};
    struct takeover takeover = {.source = NULL};
    struct plan plan = {.relay = NULL};
    struct buffer names = {0};
    struct error error;
    bool is_known =
        takeover_read(doctor->settings->config_directory, NULL, &relay, &takeover, &error) &&
        plan_make(&relay, &takeover, &plan, &error);
    bool is_told = report->counts[VERDICT_WRONG] + report->counts[VERDICT_WARNING] > 0;
    doctor->needs_setup = report->counts[VERDICT_WRONG] > 0 && (!is_known || plan.change_count > 0);
    name_changes(&plan, &names);
    if (is_known && plan.change_count > 0 && !is_told &&
        doctor->settings->meter == METER_DELIVERY && doctor->config.postconf.overrides[0] == NULL)
        report_finding(report, &(struct finding){
                                   .check = "setup",
                                   .verdict = VERDICT_WARNING,
                                   .tried = "what post365 setup would change",
                                   .seen = names.data,
                                   .meaning = "Mail leaves, but the relay is not as it is meant to "
                                              "be.",
                                   .remedy = "`post365 setup` shows each change and why."});
    buffer_free(&names);
    plan_free(&plan);
    relay_free(&relay);
    takeover_free(&takeover);
}
