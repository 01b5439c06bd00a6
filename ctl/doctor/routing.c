/* routing.c - does all mail go to who counts, and is it counted once?
 *
 * Sources: postconf(5) (default_transport, transport_maps, sender_dependent_*), transport(5),
 * master(5), resolve.c of trivial-rewrite(8): transport_maps go first, then
 * sender_dependent_default_transport_maps, then default_transport, whose next hop goes before any
 * relayhost.
 */
#include "common/destinations.h"
#include "common/memory.h"
#include "common/table.h"
#include "ctl/doctor/doctor.h"
#include "ctl/relay/delivery.h"
#include "ctl/relay/route.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CONCURRENCY_MAX 50 /* messages at once; more than that waits for 3 connections */
#define SHOWN_MAX       5  /* senders of a table */

/* Splits "post365:unix:post365/transport" at its first colon. Whether it leads to the transport. */
static bool is_ours(const struct doctor *doctor, const char *destination, char *name, size_t size)
{
    size_t length = strcspn(destination, ":");
    snprintf(name, size, "%.*s", (int)length, destination);
    return destination[length] == ':' &&
           (config_same_socket(doctor->settings, destination + length + 1,
                               doctor->settings->transport_socket));
}

/* Whether a destination's next hop lies beside the transport's socket: accounts/UPN. */
static bool is_of_account(const struct doctor *doctor, const char *destination, const char *upn)
{
    const char *socket = doctor->settings->transport_socket;
    const char *slash = strrchr(socket, '/');
    size_t length = strcspn(destination, ":");
    if (slash == NULL || destination[length] == '\0')
        return false;
    char *own = memory_format("%.*s/accounts/%s", (int)(slash - socket), socket, upn);
    bool is_it = strcasecmp(destination + length + 1, own) == 0;
    free(own);
    return is_it;
}

/* --- the service in master.cf --------------------------------------------------- */

static void check_option(struct doctor *doctor, const struct config_service *service,
                         const struct delivery_option *option)
{
    struct report *report = &doctor->report;
    const char *value = config_service_value(&doctor->config, service, option->name);
    bool is_fine = delivery_option_is_fine(option, value);
    report_finding(
        report,
        &(struct finding){.check = "transport-option",
                          .verdict = is_fine ? VERDICT_OK : VERDICT_WRONG,
                          .tried = report_format(report, "%s of %s", option->name, service->id),
                          .seen = value,
                          .meaning = option->meaning,
                          .remedy = report_format(report,
                                                  "In %s, below the service %s: `-o %s=%s`, then "
                                                  "`postfix reload`.",
                                                  doctor->master_cf, service->name, option->name,
                                                  option->value)});
}

/* The parameter that is named after the transport; 0 where it cannot be found out. */
static long concurrency_of(const struct doctor *doctor, const char *name)
{
    char *parameter = memory_format("%s_destination_concurrency_limit", name);
    char *expression =
        memory_format("${%s?{$%s}:{$default_destination_concurrency_limit}}", parameter, parameter);
    const char *const expressions[] = {expression};
    char *value = NULL;
    bool fine = postconf_expand(&doctor->config.postconf, expressions, 1, &value, NULL);
    long limit = fine ? strtol(value, NULL, 10) : 0;
    free(value);
    free(parameter);
    free(expression);
    return limit;
}

static void check_concurrency(struct doctor *doctor, const struct config_service *service)
{
    struct report *report = &doctor->report;
    long limit = concurrency_of(doctor, service->name);
    long processes = service->processes >= 0
                         ? service->processes
                         : strtol(config_value(&doctor->config, "default_process_limit"), NULL, 10);
    long wanted = (long)doctor->settings->quota.connections;
    bool is_high = limit > CONCURRENCY_MAX;
    bool is_low = limit < wanted && wanted < CONCURRENCY_MAX;
    report_finding(
        report,
        &(struct finding){
            .check = "concurrency",
            .verdict = is_low || is_high ? VERDICT_WARNING : VERDICT_OK,
            .tried = report_format(report, "%s_destination_concurrency_limit", service->name),
            .seen = report_format(report, "%ld messages of an account at once", limit),
            .meaning = is_low ? "Some of the connections that an account may have stay unused."
                              : "Many processes wait for few connections.",
            .remedy = report_format(report, "In %s: `%s_destination_concurrency_limit = 10`",
                                    doctor->main_cf, service->name)});
    bool is_tight = processes > 0 && processes < limit;
    report_finding(
        report,
        &(struct finding){
            .check = "processes",
            .verdict = is_tight ? VERDICT_WARNING : VERDICT_OK,
            .tried = report_format(report, "processes of %s", service->id),
            .seen = processes == 0 ? "no limit" : report_format(report, "at most %ld", processes),
            .meaning = "One account whose mail waits for room occupies them all, and "
                       "that of the others waits behind it.",
            .remedy = report_format(report,
                                    "In %s: the column maxproc of %s must hold some for "
                                    "each account, as 500 does.",
                                    doctor->master_cf, service->name)});
}

static void check_deferred(struct doctor *doctor, const struct config_service *service)
{
    const char *value = config_value(&doctor->config, "defer_transports");
    struct judged judged = judge_deferred(value, service->name);
    if (judged.judgement != JUDGED_RIGHT)
        report_finding(
            &doctor->report,
            &(struct finding){.check = "defer-transports",
                              .verdict = doctor_verdict(judged),
                              .tried = "defer_transports",
                              .seen = value,
                              .meaning = judged.meaning,
                              .remedy = report_format(&doctor->report, "In %s: take %s out of it.",
                                                      doctor->main_cf, service->name)});
}

/* Whether main.cf itself has it: Postfix gives each transport of master.cf a default. */
static bool is_set(const struct doctor *doctor, const char *parameter)
{
    const char *const options[] = {"-n", parameter, NULL};
    struct buffer answer = {0};
    bool fine = postconf_run(&doctor->config.postconf, options, &answer, NULL);
    bool has = fine && answer.length > 0;
    buffer_free(&answer);
    return has;
}

/* How many recipients of a message Postfix hands over at once. */
static void check_recipients(struct doctor *doctor, const struct config_service *service)
{
    struct report *report = &doctor->report;
    char *parameter = memory_format("%s_destination_recipient_limit", service->name);
    char *expression = memory_format("$%s", parameter);
    const char *const expressions[] = {expression};
    char *value = NULL;
    if (postconf_expand(&doctor->config.postconf, expressions, 1, &value, NULL)) {
        unsigned long limit = strtoul(value, NULL, 10);
        struct judged judged = judge_recipients(doctor->settings, limit, is_set(doctor, parameter));
        report_finding(
            report,
            &(struct finding){.check = "recipients",
                              .verdict = doctor_verdict(judged),
                              .tried = report_format(report, "%s", parameter),
                              .seen = report_format(report, "%lu recipients in a message", limit),
                              .meaning = judged.meaning,
                              .remedy = report_format(
                                  report, "In %s: `%s = %" PRIu32 "`", doctor->main_cf, parameter,
                                  doctor->settings->quota.recipients_per_message)});
    }
    free(value);
    free(expression);
    free(parameter);
}

static void check_service(struct doctor *doctor, const char *name)
{
    struct report *report = &doctor->report;
    const struct config_service *service = config_service(&doctor->config, name, "unix");
    bool is_lmtp = service != NULL && strcmp(service->command, "lmtp") == 0;
    report_finding(
        report,
        &(struct finding){.check = "transport-service",
                          .verdict = is_lmtp ? VERDICT_OK : VERDICT_WRONG,
                          .tried = report_format(report, "service %s in master.cf", name),
                          .seen = service == NULL
                                      ? "is not there"
                                      : report_format(report, "is there, %s", service->command),
                          .meaning = "Mail stays in the queue: nobody hands it to the transport.",
                          .remedy = report_format(report,
                                                  "Put the lines of "
                                                  "/usr/share/post365/master.cf into %s, then "
                                                  "`postfix reload`.",
                                                  doctor->master_cf)});
    if (!is_lmtp)
        return;
    for (size_t i = 0; i < delivery_option_count; i++)
        if (delivery_options[i].meaning != NULL)
            check_option(doctor, service, &delivery_options[i]);
    check_deferred(doctor, service);
    check_recipients(doctor, service);
    check_concurrency(doctor, service);
}

/* --- tables that lead past the transport ------------------------------------------ */

static void check_past(struct doctor *doctor, const char *check, const char *parameter)
{
    struct report *report = &doctor->report;
    const char *host = doctor->way.is_known ? doctor->way.host : "";
    struct buffer shown = {0};
    struct error error;
    size_t found = 0;
    if (config_value(&doctor->config, parameter)[0] == '\0')
        return;
    bool fine = route_list_past(&doctor->config, host, parameter, &shown, &found, &error);
    report_finding(report,
                   &(struct finding){
                       .check = check,
                       .verdict = !fine       ? VERDICT_UNTRIED
                                  : found > 0 ? VERDICT_WRONG
                                              : VERDICT_OK,
                       .tried = parameter,
                       .seen = !fine       ? error.text
                               : found > 0 ? shown.data
                                           : "nothing goes past the transport",
                       .meaning = "This mail does not pass the transport: Microsoft's limits are "
                                  "met uncounted, and what it refuses bounces.",
                       .remedy = report_format(report, "In the table of %s: take these lines out.",
                                               parameter)});
    buffer_free(&shown);
}

/* --- senders whose mail is for another server ------------------------------------- */

struct stuck {
    const struct doctor *doctor;
    struct tables *tables; /* sender_dependent_default_transport_maps */
    struct buffer shown;
    size_t found;
};

/* Whether a destination of mail is the transport, or no destination at all. */
static bool is_transport_of_ours(const struct doctor *doctor, const char *destination)
{
    char name[128];
    const char *beside = strstr(destination, "/accounts/");
    return destination[0] == '\0' || strcasecmp(destination, "DUNNO") == 0 ||
           is_ours(doctor, destination, name, sizeof(name)) ||
           (beside != NULL && is_of_account(doctor, destination, beside + strlen("/accounts/")));
}

static void note_stuck(void *context, const char *sender, const struct destination *destination,
                       bool is_ours)
{
    struct stuck *stuck = context;
    char *way = NULL;
    struct error error;
    if (is_ours)
        return;
    if ((tables_find(stuck->tables, sender, &way, &error) != TABLE_FOUND ||
         is_transport_of_ours(stuck->doctor, way)) &&
        stuck->found++ < SHOWN_MAX)
        buffer_format(&stuck->shown, "%s%.100s, for %.200s", stuck->shown.length > 0 ? "; " : "",
                      sender, destination->written);
    free(way);
}

static void check_relayhost_maps(struct doctor *doctor, struct destinations *destinations,
                                 struct tables *transports)
{
    struct report *report = &doctor->report;
    struct stuck stuck = {.doctor = doctor, .tables = transports};
    const char *value = config_value(&doctor->config, DESTINATIONS_PARAMETER);
    if (value[0] == '\0')
        return;
    bool are_all = destinations_each(destinations, note_stuck, &stuck);
    report_finding(
        report,
        &(struct finding){
            .check = "sender-relayhosts",
            .verdict = stuck.found > 0 ? VERDICT_WRONG
                       : are_all       ? VERDICT_OK
                                       : VERDICT_WARNING,
            .tried = DESTINATIONS_PARAMETER,
            .seen = stuck.found > 0 ? stuck.shown.data
                    : are_all       ? "mail for other servers than Microsoft's goes there"
                                    : report_format(report, "%s cannot be listed", value),
            .meaning = stuck.found > 0 ? "Mail of these senders is for another server, and waits: "
                                         "it is handed to the transport, which does not send it."
                                       : "Mail of a sender that it has for another server than "
                                         "Microsoft's waits, unless "
                                         "sender_dependent_default_transport_maps knows this one.",
            .remedy = report_format(report,
                                    "In %s, in sender_dependent_default_transport_maps: "
                                    "`SENDER = smtp:` for each of them. For a table that can be "
                                    "listed `post365 setup` writes it.",
                                    doctor->main_cf)});
    buffer_free(&stuck.shown);
}

static void check_senders(struct doctor *doctor)
{
    static const char parameter[] = "sender_dependent_default_transport_maps";
    struct error error;
    struct destinations *destinations = destinations_reopen(NULL, doctor->settings, &error);
    struct tables *transports = tables_open(parameter, config_value(&doctor->config, parameter),
                                            doctor->settings->config_directory, TABLE_VALUES, NULL);
    if (destinations == NULL)
        report_finding(&doctor->report, &(struct finding){.check = "sender-relayhosts",
                                                          .verdict = VERDICT_UNTRIED,
                                                          .tried = DESTINATIONS_PARAMETER,
                                                          .seen = error.text});
    check_past(doctor, "sender-transports", parameter);
    if (destinations != NULL && transports != NULL)
        check_relayhost_maps(doctor, destinations, transports);
    tables_close(transports);
    destinations_close(destinations);
}

/* --- a destination for each account ------------------------------------------------ */

static void check_account(struct doctor *doctor, struct tables *tables, const char *upn)
{
    struct report *report = &doctor->report;
    struct error error;
    char *destination = NULL;
    enum table_answer answer = tables_find(tables, upn, &destination, &error);
    bool has_own = answer == TABLE_FOUND && is_of_account(doctor, destination, upn);
    report_finding(
        report,
        &(struct finding){
            .check = "account-destination",
            .verdict = has_own                  ? VERDICT_OK
                       : answer == TABLE_FAILED ? VERDICT_UNTRIED
                                                : VERDICT_WARNING,
            .account = upn,
            .tried = "destination of <UPN> in sender_dependent_default_transport_maps",
            .seen = answer == TABLE_FAILED ? error.text
                    : answer == TABLE_NONE ? "it has none of its own"
                                           : report_format(report, "%s", destination),
            .meaning = "While this account is paused or has no room its mail holds up that "
                       "of the others.",
            .remedy = report_format(report,
                                    "In %s, in sender_dependent_default_transport_maps: "
                                    "`inline:{ { <UPN> = post365:unix:post365/accounts/<UPN> } "
                                    "}`",
                                    doctor->main_cf)});
    if (answer == TABLE_FOUND)
        free(destination);
}

static void check_destinations(struct doctor *doctor)
{
    static const char parameter[] = "sender_dependent_default_transport_maps";
    struct error error;
    struct tables *tables = tables_open(parameter, config_value(&doctor->config, parameter),
                                        doctor->settings->config_directory, TABLE_VALUES, &error);
    /* That it cannot be read was said before. */
    for (size_t i = 0; tables != NULL && i < doctor->account_count; i++)
        check_account(doctor, tables, doctor->accounts[i]);
    tables_close(tables);
}

/* --- who delivers, and who counts --------------------------------------------------- */

static void check_default(struct doctor *doctor, const char *destination, bool is_transport)
{
    struct report *report = &doctor->report;
    bool by_transport = doctor->settings->meter == METER_DELIVERY;
    bool is_fine = by_transport == is_transport;
    report_finding(
        report,
        &(struct finding){
            .check = "default-transport",
            .verdict = is_fine ? VERDICT_OK : VERDICT_WRONG,
            .tried = report_format(report, "default_transport, with post365_meter = %s",
                                   by_transport ? "delivery" : "submission"),
            .seen = destination,
            .meaning = by_transport ? "Mail goes past the transport, and nobody counts it."
                                    : "The policy service counts at submission, and the "
                                      "transport once more: half of the quota is lost.",
            .remedy = by_transport
                          ? report_format(report,
                                          "In %s: `default_transport = post365:%s`; or, without "
                                          "the transport, `post365_meter = submission`.",
                                          doctor->main_cf, doctor->settings->transport_socket)
                          : report_format(report,
                                          "In %s: take post365_meter out; or, without the "
                                          "transport, default_transport.",
                                          doctor->main_cf)});
}

void doctor_check_routing(struct doctor *doctor)
{
    const char *destination = config_value(&doctor->config, "default_transport");
    char name[128];
    bool is_transport = is_ours(doctor, destination, name, sizeof(name));
    check_default(doctor, destination, is_transport);
    if (doctor->settings->meter != METER_DELIVERY)
        return;
    check_service(doctor, is_transport ? name : "post365");
    check_past(doctor, "transport-maps", "transport_maps");
    check_senders(doctor);
    check_destinations(doctor);
}
