/* milters.c - does every message pass post365-milter?
 *
 * One that does not keeps its sender, and Microsoft refuses it. Sources: MILTER_README,
 * smtpd_milters, non_smtpd_milters and internal_mail_filter_classes in postconf(5).
 */
#include "common/memory.h"
#include "ctl/doctor/doctor.h"

#include <stdlib.h>
#include <string.h>

/* "accept" in "{ unix:post365/milter, default_action = accept }"; "" if there is none. */
static void read_action(const char *piece, char *action, size_t size)
{
    const char *name = strstr(piece, "default_action");
    size_t length = 0;
    if (name != NULL) {
        name += strlen("default_action");
        name += strspn(name, " =");
        length = strcspn(name, " ,}");
    }
    if (length >= size)
        length = size - 1;
    memcpy(action, name != NULL ? name : "", length);
    action[length] = '\0';
}

/* Whether our milter is in a list; its own default_action goes to `action`. */
static bool has_milter(const struct doctor *doctor, const char *value, char *action, size_t size)
{
    char *list = memory_copy(value), *rest = list, *piece;
    bool found = false;
    while (!found && (piece = config_next(&rest)) != NULL) {
        char *inner = piece + (piece[0] == '{'), *address = config_next(&inner);
        if (address == NULL)
            continue;
        read_action(piece[0] == '{' ? inner : "", action, size);
        address[strcspn(address, "}")] = '\0';
        /* `local:` is what a milter's UNIX socket may be called, too. */
        char *place = strncmp(address, "local:", 6) == 0 ? memory_format("unix:%s", address + 6)
                                                         : memory_copy(address);
        found = config_same_socket(&doctor->config, place, doctor->settings->milter_socket);
        free(place);
    }
    free(list);
    return found;
}

static const char *shown(const char *value)
{
    return value[0] != '\0' ? value : "empty";
}

static void check_action(struct doctor *doctor, const char *where, const char *action)
{
    struct report *report = &doctor->report;
    bool accepts = strcmp(action, "accept") == 0;
    bool is_fine = strcmp(action, "tempfail") == 0;
    report_finding(
        report,
        &(struct finding){
            .check = "milter-default-action",
            .verdict = is_fine   ? VERDICT_OK
                       : accepts ? VERDICT_WRONG
                                 : VERDICT_WARNING,
            .tried = where,
            .seen = shown(action),
            .meaning = accepts
                           ? "While the milter is down mail passes with the sender it came with, "
                             "and Microsoft refuses it."
                           : "While the milter is down mail is refused for good, or put aside.",
            .remedy = report_format(report,
                                    "In %s: `milter_default_action = tempfail`; then mail "
                                    "waits where it is.",
                                    doctor->main_cf)});
}

static void check_list(struct doctor *doctor, const char *check, const char *name,
                       const char *value, const char *misses, const char *remedy)
{
    char action[32] = "";
    bool found = has_milter(doctor, value, action, sizeof(action));
    report_finding(&doctor->report, &(struct finding){.check = check,
                                                      .verdict = found ? VERDICT_OK : VERDICT_WRONG,
                                                      .tried = name,
                                                      .seen = shown(value),
                                                      .meaning = misses,
                                                      .remedy = remedy});
    if (found && action[0] != '\0' && strcmp(action, "tempfail") != 0)
        check_action(doctor, report_format(&doctor->report, "default_action in %s", name), action);
}

/* Services of smtpd(8) with milters of their own. */
static void check_services(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    const struct config *config = &doctor->config;
    const char *usual = config_value(config, "smtpd_milters");
    for (size_t i = 0; i < config->service_count; i++) {
        const struct config_service *service = &config->services[i];
        const char *value = config_service_value(config, service, "smtpd_milters");
        if (strcmp(service->command, "smtpd") != 0 || value == usual)
            continue;
        check_list(doctor, "service-milters",
                   report_format(report, "-o smtpd_milters of %s in master.cf", service->id), value,
                   "Mail that comes in there keeps its sender, and Microsoft refuses it.",
                   report_format(report,
                                 "In %s: take `-o smtpd_milters=...` from %s, or name %s in "
                                 "it.",
                                 doctor->master_cf, service->id, doctor->settings->milter_socket));
    }
}

static void check_override_options(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    const struct config *config = &doctor->config;
    for (size_t i = 0; i < config->service_count; i++) {
        const struct config_service *service = &config->services[i];
        const char *value = config_service_value(config, service, "receive_override_options");
        if (strcmp(service->command, "smtpd") != 0 || strstr(value, "no_milters") == NULL)
            continue;
        report_finding(
            report,
            &(struct finding){
                .check = "no-milters",
                .verdict = VERDICT_WARNING,
                .tried = report_format(report, "receive_override_options of %s", service->id),
                .seen = value,
                .meaning = "Mail that comes in there passes no milter. That is right only if it "
                           "comes back from a content filter to a service that has them.",
                .remedy = report_format(report,
                                        "In %s: take no_milters out, unless a content filter "
                                        "needs it.",
                                        doctor->master_cf)});
    }
}

void doctor_check_milters(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    const struct config *config = &doctor->config;
    const char *socket = doctor->settings->milter_socket;
    const char *classes = config_value(config, "internal_mail_filter_classes");
    bool has_bounce = strstr(classes, "bounce") != NULL;
    check_list(doctor, "smtpd-milters", "smtpd_milters", config_value(config, "smtpd_milters"),
               "Mail that comes in by SMTP keeps its sender, and Microsoft refuses it.",
               report_format(report, "In %s: `smtpd_milters = %s`, behind those that are there.",
                             doctor->main_cf, socket));
    check_list(
        doctor, "non-smtpd-milters", "non_smtpd_milters", config_value(config, "non_smtpd_milters"),
        "Mail of sendmail(1), so that of cron, keeps its sender, and Microsoft refuses it.",
        report_format(report, "In %s: `non_smtpd_milters = $smtpd_milters`", doctor->main_cf));
    check_services(doctor);
    check_override_options(doctor);
    check_action(doctor, "milter_default_action", config_value(config, "milter_default_action"));
    report_finding(
        report,
        &(struct finding){.check = "bounces",
                          .verdict = has_bounce ? VERDICT_OK : VERDICT_WRONG,
                          .tried = "internal_mail_filter_classes",
                          .seen = shown(classes),
                          .meaning = "Bounces pass no milter; Microsoft refuses their sender, and "
                                     "they are lost.",
                          .remedy = report_format(report,
                                                  "In %s: `internal_mail_filter_classes = bounce`",
                                                  doctor->main_cf)});
}
