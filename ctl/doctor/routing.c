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

#include <stdlib.h>
#include <string.h>

#define CONCURRENCY_MAX  50  /* messages at once; more than that waits for 3 connections */
#define DATA_TIMEOUT_MIN 300 /* seconds: the transport decides at DATA, within 240 */
#define SHOWN_MAX        5   /* keys of a table */

/* Splits "post365:unix:post365/transport" at its first colon. Whether it leads to the transport. */
static bool is_ours(const struct doctor *doctor, const char *destination, char *name, size_t size)
{
    size_t length = strcspn(destination, ":");
    snprintf(name, size, "%.*s", (int)length, destination);
    return destination[length] == ':' &&
           (config_same_socket(&doctor->config, destination + length + 1,
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
                         const char *name, bool is_fine, const char *wanted, const char *meaning)
{
    struct report *report = &doctor->report;
    report_finding(
        report,
        &(struct finding){.check = "transport-option",
                          .verdict = is_fine ? VERDICT_OK : VERDICT_WRONG,
                          .tried = report_format(report, "%s of %s", name, service->id),
                          .seen = config_service_value(&doctor->config, service, name),
                          .meaning = meaning,
                          .remedy = report_format(report,
                                                  "In %s, below the service %s: `-o %s=%s`, then "
                                                  "`postfix reload`.",
                                                  doctor->master_cf, service->name, name, wanted)});
}

/* A duration of Postfix's in seconds. */
static long seconds_of(const char *text)
{
    char *unit;
    long number = strtol(text, &unit, 10);
    return number * (*unit == 'm' ? 60 : *unit == 'h' ? 3600 : *unit == 'd' ? 86400 : 1);
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
    const char *forward =
        config_service_value(&doctor->config, service, "lmtp_send_xforward_command");
    const char *timeout = config_service_value(&doctor->config, service, "lmtp_data_init_timeout");
    check_option(doctor, service, "lmtp_send_xforward_command", strcmp(forward, "yes") == 0, "yes",
                 "The transport does not learn the queue id, so that it cannot wake up a message "
                 "that had to wait.");
    check_option(doctor, service, "lmtp_data_init_timeout", seconds_of(timeout) >= DATA_TIMEOUT_MIN,
                 "300s", "Postfix gives up while the transport waits for room in the quota.");
    check_concurrency(doctor, service);
}

/* --- tables that lead past the transport ------------------------------------------ */

/* What is asked of a table beside its own keys: tables of patterns, and static:, have none. */
#define NOBODY "post365.doctor@nowhere.invalid"

struct past {
    const struct doctor *doctor;
    struct destinations *senders; /* keys are senders, of which this knows who may go past; NULL:
                                     they are recipients */
    char **keys;
    size_t count;
};

static void note_key(void *context, const char *key)
{
    struct past *past = context;
    past->keys = memory_grow(past->keys, (past->count + 1) * sizeof(char *));
    past->keys[past->count++] = memory_copy(key);
}

/* Whether a right-hand side hands mail to smtp(8), or to another next hop; ":" and "" change
 * nothing. */
static bool is_client(const struct doctor *doctor, const char *destination)
{
    size_t length = strcspn(destination, ":");
    if (length == 0)
        return destination[0] == ':' && destination[1] != '\0';
    if (strncmp(destination + length, ":unix:", strlen(":unix:")) == 0)
        return false;
    char *name = memory_copy_bytes(destination, length);
    const struct config_service *service = config_service(&doctor->config, name, "unix");
    free(name);
    return service != NULL && strcmp(service->command, "smtp") == 0;
}

/* Mail for some recipients may go to servers of one's own. All mail, and what goes to Microsoft
 * all the same, may not go past the transport. */
static bool leads_past(const struct past *past, const char *key, const char *destination)
{
    struct destination_list list;
    struct error error;
    bool ours = true;
    if (!is_client(past->doctor, destination))
        return false;
    if (past->senders != NULL)
        return destinations_find(past->senders, key, &list, &ours, &error) != TABLE_FOUND || ours;
    return strcmp(key, "*") == 0 || strcmp(key, NOBODY) == 0 ||
           (past->doctor->way.is_known &&
            strcasestr(destination, past->doctor->way.host) != NULL) ||
           strcasestr(destination, ".outlook.com") != NULL ||
           strcasestr(destination, ".office365.com") != NULL;
}

static size_t list_past(struct past *past, struct tables *tables, struct buffer *shown)
{
    size_t found = 0;
    note_key(past, NOBODY);
    tables_each_key(tables, note_key, past);
    for (size_t i = 0; i < past->count; i++) {
        char *answer = NULL;
        if (tables_find(tables, past->keys[i], &answer, NULL) != TABLE_FOUND)
            continue;
        if (leads_past(past, past->keys[i], answer) && found++ < SHOWN_MAX)
            buffer_format(shown, "%s%.100s %.200s", shown->length > 0 ? "; " : "", past->keys[i],
                          answer);
        free(answer);
    }
    if (found > SHOWN_MAX)
        buffer_format(shown, "; and %zu more", found - SHOWN_MAX);
    for (size_t i = 0; i < past->count; i++)
        free(past->keys[i]);
    free(past->keys);
    return found;
}

static void check_past(struct doctor *doctor, const char *check, const char *parameter,
                       struct destinations *senders)
{
    struct report *report = &doctor->report;
    const char *value = config_value(&doctor->config, parameter);
    struct past past = {.doctor = doctor, .senders = senders};
    struct buffer shown = {0};
    struct error error;
    if (value[0] == '\0')
        return;
    struct tables *tables =
        tables_open(parameter, value, doctor->settings->config_directory, TABLE_VALUES, &error);
    size_t found = tables != NULL ? list_past(&past, tables, &shown) : 0;
    report_finding(report,
                   &(struct finding){
                       .check = check,
                       .verdict = tables == NULL ? VERDICT_UNTRIED
                                  : found > 0    ? VERDICT_WRONG
                                                 : VERDICT_OK,
                       .tried = parameter,
                       .seen = tables == NULL ? error.text
                               : found > 0    ? shown.data
                                              : "nothing goes past the transport",
                       .meaning = "This mail does not pass the transport: Microsoft's limits are "
                                  "met uncounted, and what it refuses bounces.",
                       .remedy = report_format(report, "In the table of %s: take these lines out.",
                                               parameter)});
    buffer_free(&shown);
    tables_close(tables);
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
    check_past(doctor, "sender-transports", parameter, destinations);
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
    check_past(doctor, "transport-maps", "transport_maps", NULL);
    check_senders(doctor);
    check_destinations(doctor);
}
