/* rewriting.c - is there an older recipe that rewrites senders?
 *
 * The usual recipes make every sender and From: the account with lookup tables; the person is lost
 * by that, also for the milter behind. The tables are asked as Postfix would ask them, about a
 * sender that nobody has. Sources: ADDRESS_REWRITING_README, header_checks(5), canonical(5).
 */
#include "common/memory.h"
#include "common/table.h"
#include "ctl/doctor/doctor.h"

#include <stdlib.h>
#include <string.h>

#define NOBODY        "post365.doctor@nowhere.invalid"
#define NOBODYS_PLACE "@nowhere.invalid"

static const char *const addresses[] = {NOBODY, NOBODYS_PLACE, "post365.doctor", NULL};
static const char *const headers[] = {"From: " NOBODY, "From: \"Doctor\" <" NOBODY ">", NULL};

struct rewriting {
    const char *check;
    const char *parameter;
    const char *const *questions;
    const char *answer; /* what a harmful one begins with */
    bool unused_in_delivery, unused_in_submission;
    const char *meaning;
};

#define SENDER_MEANING                                                                             \
    "Every sender becomes this one before the milter sees it: who sent the message is lost, and "  \
    "so is the way to answer."
#define FROM_MEANING                                                                               \
    "From: is replaced, with the name in it and the way to answer; the pattern may hit other "     \
    "headers, and Sender: stays behind."

static const struct rewriting rewritings[] = {
    {"sender-canonical", "sender_canonical_maps", addresses, "", false, false, SENDER_MEANING},
    {"canonical", "canonical_maps", addresses, "", false, false, SENDER_MEANING},
    {"header-checks", "header_checks", headers, "replace", false, false, FROM_MEANING},
    {"smtp-header-checks", "smtp_header_checks", headers, "replace", true, false, FROM_MEANING},
    {"lmtp-header-checks", "lmtp_header_checks", headers, "replace", false, true, FROM_MEANING},
    {"smtp-generic", "smtp_generic_maps", addresses, "", true, false, SENDER_MEANING},
    {"lmtp-generic", "lmtp_generic_maps", addresses, "", false, true, SENDER_MEANING},
};

/* The first harmful answer, the caller's to free(). */
static enum table_answer ask(struct tables *tables, const struct rewriting *rewriting,
                             char **harmful, struct error *error)
{
    for (const char *const *question = rewriting->questions; *question != NULL; question++) {
        enum table_answer answer = tables_find(tables, *question, harmful, error);
        if (answer == TABLE_FAILED)
            return answer;
        if (answer == TABLE_FOUND &&
            strncasecmp(*harmful, rewriting->answer, strlen(rewriting->answer)) == 0)
            return answer;
        if (answer == TABLE_FOUND)
            free(*harmful);
    }
    return TABLE_NONE;
}

static void report_harm(struct doctor *doctor, const struct rewriting *rewriting, const char *value,
                        const char *harmful)
{
    struct report *report = &doctor->report;
    bool is_unused = doctor->settings->meter == METER_DELIVERY ? rewriting->unused_in_delivery
                                                               : rewriting->unused_in_submission;
    report_finding(
        report,
        &(struct finding){
            .check = rewriting->check,
            .verdict = is_unused ? VERDICT_WARNING : VERDICT_WRONG,
            .tried = rewriting->parameter,
            .seen = report_format(report, "%s, which makes \"%s\" of a sender that nobody has",
                                  value, harmful),
            .meaning = is_unused ? "Nothing, as long as nobody delivers by this way: a remnant of "
                                   "an older recipe."
                                 : rewriting->meaning,
            .remedy = report_format(report, "In %s: take %s out; the milter does what it was for.",
                                    doctor->main_cf, rewriting->parameter)});
}

static void check(struct doctor *doctor, const struct rewriting *rewriting)
{
    struct report *report = &doctor->report;
    const char *value = config_value(&doctor->config, rewriting->parameter);
    char *harmful = NULL;
    struct error error;
    if (value[0] == '\0')
        return;
    struct tables *tables = tables_open(rewriting->parameter, value,
                                        doctor->settings->config_directory, TABLE_VALUES, &error);
    enum table_answer answer =
        tables != NULL ? ask(tables, rewriting, &harmful, &error) : TABLE_FAILED;
    if (answer == TABLE_FOUND)
        report_harm(doctor, rewriting, value, harmful);
    else
        report_finding(report, &(struct finding){
                                   .check = rewriting->check,
                                   .verdict = answer == TABLE_NONE ? VERDICT_OK : VERDICT_UNTRIED,
                                   .tried = rewriting->parameter,
                                   .seen = answer == TABLE_NONE ? "does not rewrite all senders"
                                                                : error.text});
    if (answer == TABLE_FOUND)
        free(harmful);
    tables_close(tables);
}

void doctor_check_rewriting(struct doctor *doctor)
{
    for (size_t i = 0; i < sizeof(rewritings) / sizeof(rewritings[0]); i++)
        check(doctor, &rewritings[i]);
}
