/* ledger.c - can policyd be asked, and does each account have a quota? */
#include "common/ledger_client.h"

#include "common/clock.h"
#include "common/quotas.h"
#include "common/table.h"
#include "ctl/doctor/doctor.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PARAMETER "post365_quota_maps"
#define TIMEOUT   (10 * CLOCK_SECOND)

bool doctor_ask_ledger(struct doctor *doctor, const char *account, struct ledger_reply *reply)
{
    const struct ledger_command command = {.kind = LEDGER_COMMAND_STATUS, .account = account};
    struct error error;
    if (doctor->is_ledger_mute)
        return false;
    struct ledger_client *client = ledger_client_open(doctor->settings, TIMEOUT, &error);
    doctor->is_ledger_mute = client == NULL || !ledger_client_ask(client, &command, reply, &error);
    ledger_client_close(client);
    return !doctor->is_ledger_mute && reply->result == LEDGER_REPLY_DONE;
}

static bool count_account(void *context, const struct ledger_reply_account *account)
{
    unsigned *count = context;
    (void)account;
    ++*count;
    return true;
}

static void check_daemon(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    struct error error;
    unsigned count = 0;
    struct ledger_client *client = ledger_client_open(doctor->settings, TIMEOUT, &error);
    bool fine = client != NULL && ledger_client_list(client, count_account, &count, &error);
    ledger_client_close(client);
    bool may_not = !fine && geteuid() != 0 && strcasestr(error.text, strerror(EACCES)) != NULL;
    report_finding(
        report, &(struct finding){
                    .check = "ledger",
                    .verdict = fine      ? VERDICT_OK
                               : may_not ? VERDICT_UNTRIED
                                         : VERDICT_WRONG,
                    .tried = "the ledger of post365-policyd",
                    .seen = fine ? report_format(report, "answers, and knows %u account%s", count,
                                                 count == 1 ? "" : "s")
                                 : error.text,
                    .meaning = "The transport puts off all mail, since it cannot count.",
                    .remedy = "`systemctl status post365-policyd` tells whether it runs, and why "
                              "not. Only root, post365_user and its group may ask."});
}

static void write_rate(struct buffer *text, const struct quota_rate *rate, const char *unit)
{
    char shown[64];
    buffer_format(text, "%s%s %s", text->length > 0 ? ", " : "",
                  quota_format_rate(rate, shown, sizeof(shown)), unit);
}

/* Microsoft's domain for an organisation without one of its own. */
static bool is_of_onmicrosoft(const char *upn)
{
    static const char *const ends[] = {".onmicrosoft.com", ".onmicrosoft.us", ".onmschina.cn"};
    size_t length = strlen(upn);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (length > strlen(ends[i]) && strcmp(upn + length - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

static void warn_of_onmicrosoft(struct doctor *doctor, const char *upn)
{
    report_finding(
        &doctor->report,
        &(struct finding){
            .check = "quota",
            .verdict = VERDICT_WARNING,
            .account = upn,
            .tried = "domain of <UPN>",
            .seen = "it is Microsoft's own for the organisation",
            .meaning =
                "From such an address Microsoft takes mail for 100 external recipients in 24 "
                "hours, of the whole organisation.",
            .remedy = "Give the account an address in a domain of your own (Microsoft 365 admin "
                      "centre, Users, Active users, Manage username and email). If it sends within "
                      "the organisation alone, there is nothing to do."});
}

static void check_quota(struct doctor *doctor, struct tables *quota_maps, const char *upn)
{
    struct quota quota;
    struct error error;
    struct buffer seen = {0};
    bool fine = quotas_find(doctor->settings, quota_maps, upn, &quota, &error) != TABLE_FAILED;
    if (fine) {
        write_rate(&seen, &quota.recipients, "recipients");
        write_rate(&seen, &quota.messages, "messages");
        buffer_format(&seen, ", %u connections", quota.connections);
    }
    report_finding(&doctor->report, &(struct finding){.check = "quota",
                                                      .verdict = fine ? VERDICT_OK : VERDICT_WRONG,
                                                      .account = upn,
                                                      .tried = "quota of <UPN>",
                                                      .seen = fine ? seen.data : error.text,
                                                      .meaning = "Its mail waits.",
                                                      .remedy = "Correct its line in the table."});
    buffer_free(&seen);
    if (is_of_onmicrosoft(upn))
        warn_of_onmicrosoft(doctor, upn);
}

void doctor_check_ledger(struct doctor *doctor)
{
    struct error error;
    check_daemon(doctor);
    struct tables *quota_maps =
        tables_open(PARAMETER, doctor->settings->quota_maps, doctor->settings->config_directory,
                    TABLE_VALUES, &error);
    if (quota_maps == NULL)
        report_finding(&doctor->report, &(struct finding){.check = "quota",
                                                          .verdict = VERDICT_WRONG,
                                                          .tried = PARAMETER,
                                                          .seen = error.text,
                                                          .meaning = "The daemons do not start.",
                                                          .remedy = "Correct it."});
    for (size_t i = 0; quota_maps != NULL && i < doctor->account_count; i++)
        check_quota(doctor, quota_maps, doctor->accounts[i]);
    tables_close(quota_maps);
}
