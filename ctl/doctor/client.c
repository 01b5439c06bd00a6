/* client.c - without the transport: does smtp(8) log in, and does the policy service count?
 *
 * Sources: SASL_README, TLS_README, SMTPD_POLICY_README, smtp_* in postconf(5).
 */
#include "common/memory.h"
#include "ctl/doctor/doctor.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

/* Where Cyrus SASL has its plugins. */
#define PLUGIN           "/usr/lib*/sasl2/liblogin.so*"
#define PLUGIN_OF_DEBIAN "/usr/lib/*/sasl2/liblogin.so*"

struct demand {
    const char *check;
    const char *parameter;
    bool (*is_fine)(const char *value);
    enum verdict otherwise;
    const char *meaning;
    const char *value; /* for the remedy */
};

static bool is_yes(const char *value)
{
    return strcmp(value, "yes") == 0;
}

static bool takes_plaintext(const char *value)
{
    return strstr(value, "noplaintext") == NULL;
}

static bool is_encrypted(const char *value)
{
    static const char *const levels[] = {"encrypt", "dane-only", "fingerprint", "verify", "secure"};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (strcmp(value, levels[i]) == 0)
            return true;
    return false;
}

static bool is_there(const char *value)
{
    return value[0] != '\0';
}

static const struct demand demands[] = {
    {"client-auth", "smtp_sasl_auth_enable", is_yes, VERDICT_WRONG,
     "Postfix does not log in, and Microsoft refuses all mail (530 5.7.57).", "yes"},
    {"client-plaintext", "smtp_sasl_tls_security_options", takes_plaintext, VERDICT_WRONG,
     "noplaintext forbids LOGIN, the only way to log in with a password that Microsoft offers.",
     "noanonymous"},
    {"client-tls", "smtp_tls_security_level", is_encrypted, VERDICT_WRONG,
     "The password may go over an unencrypted connection, and Microsoft takes none there.",
     "secure"},
    {"reply-filter", "smtp_reply_filter", is_there, VERDICT_WRONG,
     "Microsoft's limits are told with permanent codes, on which Postfix bounces the mail.",
     "regexp:/usr/share/post365/office365_replies.regexp"},
};

static void check_demand(struct doctor *doctor, const struct demand *demand)
{
    struct report *report = &doctor->report;
    const char *value = config_value(&doctor->config, demand->parameter);
    bool is_fine = demand->is_fine(value);
    report_finding(report, &(struct finding){
                               .check = demand->check,
                               .verdict = is_fine ? VERDICT_OK : demand->otherwise,
                               .tried = demand->parameter,
                               .seen = value[0] != '\0' ? value : "empty",
                               .meaning = demand->meaning,
                               .remedy = report_format(report, "In %s: `%s = %s`", doctor->main_cf,
                                                       demand->parameter, demand->value)});
}

static bool has_files(const char *pattern)
{
    glob_t found = {0};
    bool has = glob(pattern, GLOB_NOSORT, NULL, &found) == 0;
    globfree(&found);
    return has;
}

static void check_plugin(struct doctor *doctor)
{
    bool has = has_files(PLUGIN) || has_files(PLUGIN_OF_DEBIAN);
    if (strcmp(config_value(&doctor->config, "smtp_sasl_type"), "cyrus") != 0)
        return;
    report_finding(&doctor->report,
                   &(struct finding){.check = "login-plugin",
                                     .verdict = has ? VERDICT_OK : VERDICT_WRONG,
                                     .tried = "the LOGIN plugin of Cyrus SASL",
                                     .seen = has ? "is installed" : "is not installed",
                                     .meaning =
                                         "smtp(8) knows no way to log in that Microsoft offers "
                                         "(\"no mechanism available\").",
                                     .remedy = "`apt-get install libsasl2-modules`"});
}

/* --- the policy service ---------------------------------------------------------- */

/* Whether a list of restrictions asks our policy service. */
static bool asks_policy(const struct doctor *doctor, const char *value)
{
    char *list = memory_copy(value), *rest = list, *piece;
    bool is_next = false, asks = false;
    while (!asks && (piece = config_next(&rest)) != NULL) {
        if (is_next) {
            char *inner = piece + (piece[0] == '{'), *address = config_next(&inner);
            if (address != NULL) {
                address[strcspn(address, "}")] = '\0';
                asks =
                    config_same_socket(doctor->settings, address, doctor->settings->policy_socket);
            }
        }
        is_next = strcmp(piece, "check_policy_service") == 0;
    }
    free(list);
    return asks;
}

static void check_policy(struct doctor *doctor)
{
    static const char right[] = "smtpd_end_of_data_restrictions";
    static const char *const wrong[] = {"smtpd_client_restrictions",    "smtpd_helo_restrictions",
                                        "smtpd_sender_restrictions",    "smtpd_relay_restrictions",
                                        "smtpd_recipient_restrictions", "smtpd_data_restrictions"};
    struct report *report = &doctor->report;
    const char *elsewhere = NULL;
    bool is_right = asks_policy(doctor, config_value(&doctor->config, right));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (asks_policy(doctor, config_value(&doctor->config, wrong[i])))
            elsewhere = wrong[i];
    report_finding(
        report,
        &(struct finding){
            .check = "policy-service",
            .verdict = is_right ? VERDICT_OK : VERDICT_WRONG,
            .tried = "who asks the policy service",
            .seen = is_right            ? right
                    : elsewhere != NULL ? report_format(report, "%s alone", elsewhere)
                                        : "no list of restrictions",
            .meaning = elsewhere != NULL
                           ? "How many recipients a message has is known, and that it is taken, "
                             "only at its end: asked earlier, the service counts nothing, or too "
                             "much."
                           : "Nobody counts: Microsoft's limits are met, and mail bounces.",
            .remedy = report_format(report,
                                    "In %s: `smtpd_end_of_data_restrictions = "
                                    "check_policy_service { %s, default_action=DUNNO }`",
                                    doctor->main_cf, doctor->settings->policy_socket)});
}

/* A list of a service's own takes the place of main.cf's. */
static void check_policy_of_services(struct doctor *doctor)
{
    static const char name[] = "smtpd_end_of_data_restrictions";
    struct report *report = &doctor->report;
    const struct config *config = &doctor->config;
    const char *usual = config_value(config, name);
    for (size_t i = 0; i < config->service_count; i++) {
        const struct config_service *service = &config->services[i];
        const char *value = config_service_value(config, service, name);
        if (strcmp(service->command, "smtpd") != 0 || value == usual || asks_policy(doctor, value))
            continue;
        report_finding(
            report,
            &(struct finding){
                .check = "service-policy",
                .verdict = VERDICT_WRONG,
                .tried = report_format(report, "-o %s of %s in master.cf", name, service->id),
                .seen = value[0] != '\0' ? value : "empty",
                .meaning = "Mail that comes in there is not counted.",
                .remedy = report_format(report, "In %s: take `-o %s=...` from %s.",
                                        doctor->master_cf, name, service->id)});
    }
}

static void check_brackets(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    const char *relayhost = doctor->settings->relayhost;
    bool is_fine = relayhost[strspn(relayhost, " ,")] == '[';
    report_finding(report,
                   &(struct finding){
                       .check = "relayhost-brackets",
                       .verdict = is_fine ? VERDICT_OK : VERDICT_WARNING,
                       .tried = "brackets around relayhost",
                       .seen = relayhost,
                       .meaning = "Without them smtp(8) looks for mail exchangers (MX) of "
                                  "that name first, which are other hosts.",
                       .remedy = report_format(report,
                                               "In %s: `relayhost = [smtp.office365.com]:587`, and "
                                               "the same spelling in the password table.",
                                               doctor->main_cf)});
}

void doctor_check_client(struct doctor *doctor)
{
    if (doctor->settings->meter != METER_SUBMISSION)
        return;
    check_policy(doctor);
    check_policy_of_services(doctor);
    for (size_t i = 0; i < sizeof(demands) / sizeof(demands[0]); i++)
        check_demand(doctor, &demands[i]);
    check_plugin(doctor);
    check_brackets(doctor);
}
