/* rewriting.c - is there an older recipe that rewrites senders, or something that changes the
 * account?
 *
 * Sources: ADDRESS_REWRITING_README, header_checks(5), canonical(5), generic(5).
 */
#include "common/address.h"
#include "common/domains.h"
#include "common/memory.h"
#include "common/table.h"
#include "ctl/doctor/doctor.h"
#include "ctl/relay/delivery.h"
#include "ctl/relay/recipe.h"

#include <stdlib.h>
#include <string.h>

/* --- every sender --- */

static void report_harm(struct doctor *doctor, const struct recipe *recipe, const char *value,
                        const char *harmful)
{
    struct report *report = &doctor->report;
    bool is_unused = doctor->settings->meter == METER_DELIVERY ? recipe->unused_in_delivery
                                                               : recipe->unused_in_submission;
    report_finding(
        report,
        &(struct finding){
            .check = recipe->check,
            .verdict = is_unused ? VERDICT_WARNING : VERDICT_WRONG,
            .tried = recipe->parameter,
            .seen = report_format(report, "%s, which makes \"%s\" of a sender that nobody has",
                                  value, harmful),
            .meaning = is_unused ? "Nothing, as long as nobody delivers by this way: a remnant of "
                                   "an older recipe."
                                 : recipe->meaning,
            .remedy = report_format(report, "In %s: take %s out; the milter does what it was for.",
                                    doctor->main_cf, recipe->parameter)});
}

/* The service by which mail goes to the transport; NULL: there is none, or it is not used. */
static const struct config_service *find_delivery(const struct doctor *doctor)
{
    return doctor->settings->meter == METER_DELIVERY
               ? config_service(&doctor->config, "post365", "unix")
               : NULL;
}

static void check(struct doctor *doctor, const struct recipe *recipe)
{
    struct report *report = &doctor->report;
    const struct config_service *service = find_delivery(doctor);
    const char *value = service != NULL
                            ? config_service_value(&doctor->config, service, recipe->parameter)
                            : config_value(&doctor->config, recipe->parameter);
    char *harmful = NULL;
    struct error error;
    if (value[0] == '\0')
        return;
    enum table_answer answer = recipe_ask(recipe, doctor->settings, value, &harmful, &error);
    if (answer == TABLE_FOUND)
        report_harm(doctor, recipe, value, harmful);
    else
        report_finding(report, &(struct finding){
                                   .check = recipe->check,
                                   .verdict = answer == TABLE_NONE ? VERDICT_OK : VERDICT_UNTRIED,
                                   .tried = recipe->parameter,
                                   .seen = answer == TABLE_NONE ? "does not rewrite all senders"
                                                                : error.text});
    free(harmful);
}

/* --- tables of smtp(8) that the transport's service does not have --- */

static void check_tables(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    const struct config_service *service = find_delivery(doctor);
    for (size_t i = 0; service != NULL && i < delivery_table_count; i++) {
        const struct delivery_table *table = &delivery_tables[i];
        if (delivery_loss(&doctor->config, service, table) != DELIVERY_LOSS_CURABLE)
            continue;
        report_finding(
            report,
            &(struct finding){.check = "lmtp-table",
                              .verdict = VERDICT_WARNING,
                              .tried = report_format(report, "%s of %s", table->name, service->id),
                              .seen = report_format(report, "empty, and %s is set", table->other),
                              .meaning = table->why,
                              .remedy = report_format(
                                  report,
                                  "In %s, below the service %s: `-o %s=$%s`, then `postfix "
                                  "reload`.",
                                  doctor->master_cf, service->name, table->name, table->other)});
    }
}

/* --- the account's own address --- */

/* "a.example" in "!b.example, a.example": whether it masks the domain. Sources: masquerade_domains
 * in postconf(5): the first name that fits counts, and `!name` exempts. */
static bool is_masked(const char *list, const char *domain)
{
    char *copy = memory_copy(list), *rest = copy, *word;
    bool masked = false, found = false;
    while (!found && (word = config_next(&rest)) != NULL) {
        bool exempts = word[0] == '!';
        const char *name = word + exempts;
        size_t length = strlen(name), size = strlen(domain);
        bool is_parent = size > length && domain[size - length - 1] == '.' &&
                         strcasecmp(domain + size - length, name) == 0;
        found = is_parent || strcasecmp(domain, name) == 0;
        masked = found && is_parent && !exempts;
    }
    free(copy);
    return masked;
}

static void report_changed(struct doctor *doctor, const char *parameter, const char *upn,
                           const char *seen)
{
    struct report *report = &doctor->report;
    bool mends = doctor->settings->meter == METER_DELIVERY;
    report_finding(
        report,
        &(struct finding){
            .check = "account-rewritten",
            .verdict = mends ? VERDICT_OK : VERDICT_WRONG,
            .account = upn,
            .tried = report_format(report, "%s, for the sender <UPN>", parameter),
            .seen =
                mends ? report_format(report, "%s; post365-transport puts that right", seen) : seen,
            .meaning = "It changes the sender behind the milter, and Microsoft refuses it.",
            .remedy = report_format(report, "In %s, in %s: leave this address out.",
                                    doctor->main_cf, parameter)});
}

static void check_account(struct doctor *doctor, const struct domains *local, const char *upn)
{
    static const char *const maps[] = {"sender_canonical_maps", "canonical_maps"};
    struct report *report = &doctor->report;
    const char *masquerade = config_value(&doctor->config, "masquerade_domains");
    const char *domain = address_domain(upn);
    if (domain != NULL && is_masked(masquerade, domain))
        report_changed(doctor, "masquerade_domains", upn,
                       report_format(report, "%s takes a part off its domain", masquerade));
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        struct tables *tables = tables_open(maps[i], config_value(&doctor->config, maps[i]),
                                            doctor->settings->config_directory, TABLE_VALUES, NULL);
        char *answer = NULL;
        if (tables != NULL &&
            tables_find_address(tables, upn, doctor->settings->recipient_delimiter, local, &answer,
                                NULL) == TABLE_FOUND &&
            !address_equal(answer, upn))
            report_changed(doctor, maps[i], upn,
                           report_format(report, "makes \"%s\" of it", answer));
        free(answer);
        tables_close(tables);
    }
}

void doctor_check_rewriting(struct doctor *doctor)
{
    for (size_t i = 0; i < recipe_count; i++)
        check(doctor, &recipes[i]);
    check_tables(doctor);
}

void doctor_check_rewritten(struct doctor *doctor)
{
    struct domains *local = domains_new(doctor->settings->local_domains);
    for (size_t i = 0; i < doctor->account_count; i++)
        check_account(doctor, local, doctor->accounts[i]);
    domains_free(local);
}
