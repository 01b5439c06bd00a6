/* credentials.c - which accounts there are, and do they find their credentials?
 *
 * What holds passwords is closed again at once: they are in memory while somebody logs in, and not
 * while other checks run programs and become other users.
 */
#include "common/upstream/accounts.h"

#include "common/address.h"
#include "common/destination.h"
#include "common/entra/cloud.h"
#include "common/identity.h"
#include "common/memory.h"
#include "common/microsoft.h"
#include "common/relayhost.h"
#include "common/table.h"
#include "ctl/doctor/oauth2.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PASSWORDS_NAMED 3

/* --- relayhost --------------------------------------------------------------------- */

static void check_relayhost(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    struct error error;
    struct destination destination;
    bool is_fine = destination_parse(doctor->settings, &destination, &error);
    bool is_465 = is_fine && strcmp(destination.port, "465") == 0;
    bool is_25 = is_fine && strcmp(destination.port, "25") == 0;
    bool is_mx = is_fine && microsoft_host(destination.host) == MICROSOFT_MX;
    bool logs_in = doctor->settings->meter == METER_DELIVERY;
    doctor->way.is_known = is_fine;
    if (is_fine) {
        snprintf(doctor->way.host, sizeof(doctor->way.host), "%s", destination.host);
        snprintf(doctor->way.port, sizeof(doctor->way.port), "%s", destination.port);
    }
    report_finding(
        report,
        &(struct finding){
            .check = "relayhost",
            .verdict = !is_fine || is_465 || (is_mx && logs_in) ? VERDICT_WRONG
                       : is_25 || is_mx                         ? VERDICT_WARNING
                                                                : VERDICT_OK,
            .tried = "relayhost",
            .seen = is_fine ? doctor->settings->relayhost : error.text,
            .meaning = !is_fine ? "It is not known where mail is to go."
                       : is_mx  ? "This is a tenant's mail exchanger (MX): direct send, over port "
                                  "25. There is no login, and only the tenant's own recipients are "
                                  "reached."
                       : is_465 ? "Microsoft does not answer on port 465."
                                : "Many providers close port 25; 587 is the one for this.",
            .remedy = report_format(report,
                                    "In %s: `relayhost = [smtp.office365.com]:587`, and the "
                                    "same spelling in the password table.",
                                    doctor->main_cf)});
}

/* --- the line for relayhost in the password table ------------------------------------- */

struct search {
    char *host;
    char *resembling; /* a key for the same host, else one for another host; or NULL */
    bool is_same_host;
};

/* "[smtp.office365.com]:587" and "smtp.office365.com" are for the same host. One for another is
 * told as well: relayhost may be misspelled. */
static void note_resembling(void *context, const char *key)
{
    struct search *search = context;
    const char *host = key + (key[0] == '[');
    size_t length = strcspn(host, "]:");
    bool is_same = length == strlen(search->host) && strncasecmp(host, search->host, length) == 0;
    bool is_account = strchr(key, '@') != NULL;
    if (search->is_same_host || (!is_same && (is_account || search->resembling != NULL)))
        return;
    free(search->resembling);
    search->resembling = memory_copy(key);
    search->is_same_host = is_same;
}

static enum table_answer find_relayhost(struct doctor *doctor, struct tables *tables, char **key,
                                        char **user, struct error *error)
{
    char **keys = relayhost_keys(doctor->settings->relayhost);
    enum table_answer answer = TABLE_NONE;
    for (char **each = keys; *each != NULL && answer == TABLE_NONE; each++) {
        answer = tables_find(tables, *each, user, error);
        if (answer == TABLE_FOUND)
            *key = memory_copy(*each);
    }
    relayhost_keys_free(keys);
    return answer;
}

/* Without a line for relayhost accounts are found by their own names, where somebody looks for
 * these. */
static bool needs_line(const struct doctor *doctor)
{
    bool by_sender =
        doctor->settings->meter == METER_DELIVERY ||
        strcmp(config_value(&doctor->config, "smtp_sender_dependent_authentication"), "yes") == 0;
    return !by_sender || doctor->settings->upn[0] == '\0';
}

static void report_line(struct doctor *doctor, const char *parameter, enum table_answer answer,
                        const char *seen, const struct search *search)
{
    struct report *report = &doctor->report;
    bool is_wrong = answer == TABLE_NONE && needs_line(doctor);
    report_finding(
        report,
        &(struct finding){
            .check = "relayhost-credentials",
            .verdict = answer == TABLE_FAILED ? VERDICT_UNTRIED
                       : is_wrong             ? VERDICT_WRONG
                                              : VERDICT_OK,
            .tried =
                report_format(report, "line for %s in %s", doctor->settings->relayhost, parameter),
            .seen = seen,
            .meaning = search->resembling != NULL ? "The two are spelled unlike each other: nobody "
                                                    "finds the user name and the password."
                                                  : "Mail that no table claims has no account.",
            .remedy = search->is_same_host
                          ? report_format(report,
                                          "In the table: spell the key as relayhost in %s does, "
                                          "`%s relay@contoso.com:password`, and run postmap.",
                                          doctor->main_cf, doctor->settings->relayhost)
                      : search->resembling != NULL
                          ? report_format(report,
                                          "If relayhost is misspelled, correct it in %s. Else add "
                                          "the line `%s relay@contoso.com:password` to the table, "
                                          "and run postmap.",
                                          doctor->main_cf, doctor->settings->relayhost)
                          : report_format(report,
                                          "Add the line `%s relay@contoso.com:password` to the "
                                          "table, and run postmap; or name the account in %s: "
                                          "`post365_upn = relay@contoso.com`.",
                                          doctor->settings->relayhost, doctor->main_cf)});
}

static void check_line(struct doctor *doctor)
{
    bool by_client = doctor->settings->meter == METER_SUBMISSION;
    const char *parameter = by_client ? "smtp_sasl_password_maps" : DOCTOR_PASSWORD_MAPS;
    const char *value =
        by_client ? config_value(&doctor->config, parameter) : doctor->settings->password_maps;
    struct search search = {.host = doctor->way.host};
    struct buffer seen = {0};
    struct error error;
    char *key = NULL, *user = NULL;
    struct tables *tables =
        tables_open(parameter, value, doctor->settings->config_directory, TABLE_USER_NAMES, &error);
    enum table_answer answer =
        tables != NULL ? find_relayhost(doctor, tables, &key, &user, &error) : TABLE_FAILED;
    if (answer == TABLE_NONE)
        tables_each_key(tables, note_resembling, &search);
    if (answer == TABLE_FAILED)
        buffer_append_string(&seen, error.text);
    else if (answer == TABLE_FOUND)
        buffer_format(&seen, "%s, user name %s", key, user);
    else if (search.resembling != NULL)
        buffer_format(&seen, "there is none, but one for %s", search.resembling);
    else
        buffer_append_string(&seen, "there is none");
    report_line(doctor, parameter, answer, seen.data, &search);
    free(search.resembling);
    free(key);
    free(user);
    buffer_free(&seen);
    tables_close(tables);
}

/* --- accounts ------------------------------------------------------------------------ */

static void add_account(void *context, const char *upn)
{
    doctor_add_account(context, upn);
}

/* Who sends what no table claims, bounces among them; and who else, unless accounts are named. */
static void find_accounts(struct doctor *doctor, struct credentials *credentials)
{
    struct report *report = &doctor->report;
    struct error error;
    struct identity identity = {.upn = NULL};
    struct identities *identities = identities_open(doctor->settings, &error);
    enum table_answer answer =
        identities != NULL ? identity_find_default(identities, &identity, &error) : TABLE_FAILED;
    if (answer == TABLE_FOUND)
        doctor->upn = identity.upn;
    report_finding(
        report,
        &(struct finding){.check = "default-account",
                          .verdict = answer == TABLE_FOUND                      ? VERDICT_OK
                                     : answer == TABLE_FAILED && geteuid() != 0 ? VERDICT_UNTRIED
                                                                                : VERDICT_WRONG,
                          .tried = "account of bounces and of mail that no table claims",
                          .seen = answer == TABLE_FOUND ? doctor->upn : error.text,
                          .meaning = "The milter puts this mail off (451).",
                          .remedy = answer == TABLE_FAILED
                                        ? "Do what the error says."
                                        : report_format(report,
                                                        "In %s: `post365_upn = "
                                                        "relay@contoso.com`, and a line for it "
                                                        "in the password table.",
                                                        doctor->main_cf)});
    if (identities != NULL && credentials != NULL && !doctor->are_named)
        accounts_each(credentials, identities, add_account, doctor);
    if (!doctor->are_named && doctor->upn != NULL)
        doctor_add_account(doctor, doctor->upn);
    identities_close(identities);
}

/* Accounts that log in with a password where Microsoft does not take one for much longer. */
struct passwords {
    unsigned count;
    struct buffer names; /* of the first few */
};

static void note_password(struct passwords *passwords, const char *upn)
{
    if (++passwords->count <= PASSWORDS_NAMED)
        buffer_format(&passwords->names, "%s%s", passwords->count > 1 ? ", " : "", upn);
}

/* That it will stop is no trouble yet: a note, and one for all. */
static void report_passwords(struct doctor *doctor, const struct passwords *passwords)
{
    struct report *report = &doctor->report;
    if (passwords->count == 0)
        return;
    unsigned others = passwords->count > PASSWORDS_NAMED ? passwords->count - PASSWORDS_NAMED : 0;
    const char *more = others > 0 ? report_format(report, " and %u more", others) : "";
    report_finding(
        report,
        &(struct finding){
            .check = "passwords",
            .verdict = VERDICT_NOTE,
            .tried = "logins with passwords",
            .seen = report_format(report, "%s%s", passwords->names.data, more),
            .meaning = "At the end of December 2026 Microsoft switches basic authentication for "
                       "SMTP AUTH off by default (basic-auth-retired, basic-auth-disabled): then "
                       "their mail waits, until somebody switches it on again for the time that "
                       "is left.",
            .remedy = "Move them to OAuth2, one by one: ADMIN.md, \"Moving to OAuth2\"; `post365 "
                      "setup` helps. A line in " OAUTH2_MAPS " wins over the password, whose line "
                      "may stay for the way back."});
}

static const char *words_of(struct report *report, const struct credential *credential)
{
    const char *host = credential->destination.host;
    if (credential->registration != NULL)
        return report_format(report, "OAuth2, by %s, for %s", credential->registration, host);
    return report_format(report, "%s, for %s",
                         credential->mechanism == SASL_XOAUTH2 ? "an access token (XOAUTH2)"
                                                               : "a password (LOGIN)",
                         host);
}

static void check_account(struct doctor *doctor, struct credentials *credentials, const char *upn,
                          struct passwords *passwords)
{
    struct credential credential;
    struct error error;
    enum table_answer answer = credentials_find(credentials, upn, &credential, &error);
    if (answer == TABLE_FOUND && credential.mechanism == SASL_LOGIN &&
        !cloud_is_high_volume(credential.destination.host))
        note_password(passwords, upn);
    report_finding(
        &doctor->report,
        &(struct finding){
            .check = "credentials",
            .verdict = answer == TABLE_FOUND ? VERDICT_OK : VERDICT_WRONG,
            .account = upn,
            .tried = "credentials of <UPN>",
            .seen = answer != TABLE_FOUND ? error.text : words_of(&doctor->report, &credential),
            .meaning = "Its mail waits: it cannot log in.",
            .remedy = "Do what the error says; run postmap if the table is an indexed one."});
    credential_release(&credential);
}

void doctor_check_credentials(struct doctor *doctor)
{
    struct error error;
    struct passwords passwords = {0};
    check_relayhost(doctor);
    check_line(doctor);
    struct credentials *credentials = credentials_open(doctor->settings, &error);
    find_accounts(doctor, credentials);
    doctor_find_oauth2(doctor, credentials);
    if (credentials == NULL)
        report_finding(
            &doctor->report,
            &(struct finding){.check = "credentials",
                              .verdict = geteuid() == 0 ? VERDICT_WRONG : VERDICT_UNTRIED,
                              .tried = "tables of passwords and tokens",
                              .seen = error.text,
                              .meaning = "Nobody can log in.",
                              .remedy = "Do what the error says; only root may read "
                                        "passwords: run this as root."});
    for (size_t i = 0; credentials != NULL && i < doctor->account_count; i++)
        check_account(doctor, credentials, doctor->accounts[i], &passwords);
    credentials_close(credentials);
    report_passwords(doctor, &passwords);
    buffer_free(&passwords.names);
}
