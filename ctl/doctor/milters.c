/* milters.c - does every message pass post365-milter?
 *
 * With the transport one that does not is made right there, without its login; without it Microsoft
 * refuses it. Sources: MILTER_README, smtpd_milters, non_smtpd_milters, smtpd_milter_maps and
 * internal_mail_filter_classes in postconf(5).
 */
#include "common/memory.h"
#include "ctl/doctor/doctor.h"
#include "ctl/relay/entrance.h"

#include <stdlib.h>
#include <string.h>

static const char *shown(const char *value)
{
    return value[0] != '\0' ? value : "empty";
}

static void check_action(struct doctor *doctor, const char *where, const char *action,
                         const char *remedy)
{
    struct judged judged = judge_action(doctor->settings, action);
    report_finding(&doctor->report, &(struct finding){.check = "milter-default-action",
                                                      .verdict = doctor_verdict(judged),
                                                      .tried = where,
                                                      .seen = shown(action),
                                                      .meaning = judged.meaning,
                                                      .remedy = remedy});
}

/* That of main.cf counts for lists which do not name one for ours. */
static void check_main_action(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    const struct config *config = &doctor->config;
    struct milter_list smtpd, other;
    milter_list_read(doctor->settings, config_value(config, "smtpd_milters"), &smtpd);
    milter_list_read(doctor->settings, config_value(config, "non_smtpd_milters"), &other);
    if (smtpd.action[0] != '\0' && other.action[0] != '\0')
        return;
    check_action(doctor, "milter_default_action", config_value(config, "milter_default_action"),
                 report_format(report,
                               "In %s: `milter_default_action = tempfail`; then mail waits "
                               "where it is.",
                               doctor->main_cf));
}

static void check_protocol(struct doctor *doctor, const struct milter_list *list, const char *where)
{
    struct report *report = &doctor->report;
    const char *protocol = list->protocol[0] != '\0'
                               ? list->protocol
                               : config_value(&doctor->config, "milter_protocol");
    struct judged judged = judge_protocol(doctor->settings, protocol);
    if (judged.judgement == JUDGED_RIGHT)
        return;
    report_finding(
        report, &(struct finding){.check = "milter-protocol",
                                  .verdict = doctor_verdict(judged),
                                  .tried = report_format(report, "milter_protocol, for %s", where),
                                  .seen = protocol,
                                  .meaning = judged.meaning,
                                  .remedy = report_format(report, "In %s: `milter_protocol = 6`",
                                                          doctor->main_cf)});
}

/* Of a list without ours, to which setup would add it: told even where it makes no difference. */
static struct judged judge_missing(const struct doctor *doctor, bool takes_logins)
{
    struct judged judged = judge_past(doctor->settings, takes_logins);
    if (judged.judgement == JUDGED_RIGHT)
        judged = (struct judged){JUDGED_DOUBTFUL,
                                 "Mail that comes in there passes no milter: post365-transport "
                                 "alone makes its sender right."};
    return judged;
}

static void check_list(struct doctor *doctor, const char *check, const char *name,
                       const char *value, bool takes_logins, const char *remedy)
{
    struct report *report = &doctor->report;
    struct milter_list list;
    milter_list_read(doctor->settings, value, &list);
    struct judged judged = judge_missing(doctor, takes_logins);
    report_finding(report,
                   &(struct finding){.check = check,
                                     .verdict = list.has_ours ? VERDICT_OK : doctor_verdict(judged),
                                     .tried = name,
                                     .seen = shown(value),
                                     .meaning = judged.meaning,
                                     .remedy = remedy});
    if (!list.has_ours)
        return;
    check_protocol(doctor, &list, name);
    if (list.action[0] != '\0')
        check_action(doctor, report_format(report, "default_action in %s", name), list.action,
                     report_format(report, "There: default_action=%s.",
                                   judge_action_wanted(doctor->settings)));
}

/* --- ways past it --- */

static const char *remedy_of(struct doctor *doctor, const struct config_service *service,
                             const struct entrance *entrance)
{
    struct report *report = &doctor->report;
    if (entrance->past == PAST_PROXY)
        return report_format(report,
                             "In %s: let the service that takes mail back from the filter have %s "
                             "in smtpd_milters, and no_milters nowhere there; or let who logs in "
                             "come in by a service without smtpd_proxy_filter.",
                             doctor->master_cf, doctor->settings->milter_socket);
    if (entrance->past == PAST_OPTION)
        return report_format(report, "In %s: take no_milters out of %s.", doctor->master_cf,
                             service->id);
    return report_format(report, "In %s: take `-o %s=...` from %s, or name %s in it.",
                         doctor->master_cf, entrance->parameter, service->id,
                         doctor->settings->milter_socket);
}

static void check_entrance(struct doctor *doctor, const struct config_service *service)
{
    static const char *const checks[] = {[PAST_NOT] = "service-milters",
                                         [PAST_LIST] = "service-milters",
                                         [PAST_OPTION] = "no-milters",
                                         [PAST_PROXY] = "proxy-filter"};
    struct report *report = &doctor->report;
    const struct config *config = &doctor->config;
    struct entrance entrance;
    if (!entrance_look(config, service, &entrance) ||
        (entrance.past == PAST_NOT && !config_overrides(config, service, entrance.parameter)))
        return;
    struct judged judged = entrance.past == PAST_LIST && !entrance.is_reentry
                               ? judge_missing(doctor, entrance.takes_logins)
                               : judge_past(doctor->settings, entrance.takes_logins);
    /* A filter hands back what came in elsewhere, and passed the milter there. */
    bool is_fine = entrance.past == PAST_NOT;
    bool came_before = entrance.is_reentry && judged.judgement == JUDGED_WRONG;
    report_finding(
        report, &(struct finding){
                    .check = checks[entrance.past],
                    .verdict = is_fine       ? VERDICT_OK
                               : came_before ? VERDICT_WARNING
                                             : doctor_verdict(judged),
                    .tried = report_format(report, "%s of %s in master.cf", entrance.parameter,
                                           service->id),
                    .seen = judged.judgement == JUDGED_RIGHT && !is_fine
                                ? report_format(report,
                                                "%s; post365-transport makes right what "
                                                "comes in there",
                                                shown(entrance.value))
                                : shown(entrance.value),
                    .meaning = came_before ? "Mail that comes in there passes no milter. That is "
                                             "right only if it comes back from a content filter "
                                             "to a service that has them."
                                           : judged.meaning,
                    .remedy = is_fine ? NULL : remedy_of(doctor, service, &entrance)});
}

/* -o milter_default_action, for a milter that says nothing itself. */
static void check_service_action(struct doctor *doctor, const struct config_service *service)
{
    static const char name[] = "milter_default_action";
    struct report *report = &doctor->report;
    struct entrance entrance;
    if (!config_overrides(&doctor->config, service, name) ||
        !entrance_look(&doctor->config, service, &entrance) || !entrance.list.has_ours ||
        entrance.list.action[0] != '\0')
        return;
    check_action(doctor, report_format(report, "-o %s of %s", name, service->id),
                 config_service_value(&doctor->config, service, name),
                 report_format(report, "In %s: take it from %s.", doctor->master_cf, service->id));
}

static void check_maps(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    const struct config *config = &doctor->config;
    const char *maps = config_value(config, "smtpd_milter_maps");
    if (maps[0] == '\0')
        return;
    bool has_ours = entrance_maps_have_ours(config, maps);
    struct judged judged = judge_past(doctor->settings, entrance_takes_logins(config));
    report_finding(
        report,
        &(struct finding){
            .check = "milter-maps",
            .verdict = has_ours ? VERDICT_OK : doctor_verdict(judged),
            .tried = "smtpd_milter_maps",
            .seen = judged.judgement == JUDGED_RIGHT && !has_ours
                        ? report_format(report,
                                        "%s; post365-transport makes right what comes from these "
                                        "clients",
                                        maps)
                        : maps,
            .meaning = judged.meaning,
            .remedy = report_format(report, "In its table: let each line that has a list name %s.",
                                    doctor->settings->milter_socket)});
}

static void check_options(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    const char *value = config_value(&doctor->config, "receive_override_options");
    struct judged judged = judge_past(doctor->settings, entrance_takes_logins(&doctor->config));
    if (entrance_skips_milters(value))
        report_finding(
            report, &(struct finding){.check = "no-milters",
                                      .verdict = doctor_verdict(judged),
                                      .tried = "receive_override_options",
                                      .seen = value,
                                      .meaning = judged.meaning,
                                      .remedy = report_format(report, "In %s: take no_milters out.",
                                                              doctor->main_cf)});
}

static void check_classes(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    const char *classes = config_value(&doctor->config, "internal_mail_filter_classes");
    struct buffer missing = {0};
    struct judged judged = judge_classes(doctor->settings, classes, &missing);
    report_finding(report, &(struct finding){
                               .check = "bounces",
                               .verdict = doctor_verdict(judged),
                               .tried = "internal_mail_filter_classes",
                               .seen = shown(classes),
                               .meaning = judged.meaning,
                               .remedy = report_format(
                                   report, "In %s: `internal_mail_filter_classes = bounce, notify`",
                                   doctor->main_cf)});
    buffer_free(&missing);
}

void doctor_check_milters(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    const struct config *config = &doctor->config;
    const char *socket = doctor->settings->milter_socket;
    check_list(doctor, "smtpd-milters", "smtpd_milters", config_value(config, "smtpd_milters"),
               entrance_takes_logins(config),
               report_format(report, "In %s: `smtpd_milters = %s`, behind those that are there.",
                             doctor->main_cf, socket));
    check_list(
        doctor, "non-smtpd-milters", "non_smtpd_milters", config_value(config, "non_smtpd_milters"),
        false,
        report_format(report, "In %s: `non_smtpd_milters = $smtpd_milters`", doctor->main_cf));
    check_maps(doctor);
    check_options(doctor);
    for (size_t i = 0; i < config->service_count; i++) {
        check_entrance(doctor, &config->services[i]);
        check_service_action(doctor, &config->services[i]);
    }
    check_main_action(doctor);
    check_classes(doctor);
}
