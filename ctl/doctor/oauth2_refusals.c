/* oauth2_refusals.c - why logins with tokens were refused, and what is to be done in Exchange
 * Online
 *
 * All logins come first: that the same token works for another account tells more than any reply.
 * The commands are those of an administrator of Exchange Online, who copies them as they are.
 */
#include "common/clock.h"
#include "common/memory.h"
#include "ctl/doctor/oauth2.h"
#include "ctl/oauth2/permissions.h"
#include "ctl/oauth2/refusal.h"

#include <stdlib.h>
#include <string.h>

/* --- for whom else the token works ---------------------------------------------------------------
 */

/* Somebody else's account that has logged in with the token, in this run or, as tokend knows, with
 * the one that there is; NULL: nobody. */
static const char *find_other(const struct oauth2 *oauth2, const struct oauth2_account *refused)
{
    const struct oauth2_subject *subject = &oauth2->subjects[refused->subject];
    for (size_t i = 0; i < oauth2->account_count; i++)
        if (oauth2->accounts[i].subject == refused->subject && oauth2->accounts[i].has_logged_in)
            return oauth2->accounts[i].upn;
    const char *known = subject->state.accepted_for;
    return subject->is_told && known[0] != '\0' && strcasecmp(known, refused->upn) != 0 ? known
                                                                                        : NULL;
}

static struct refusal refusal_of(const struct oauth2 *oauth2, const struct oauth2_account *account)
{
    const struct oauth2_subject *subject = &oauth2->subjects[account->subject];
    return (struct refusal){.cause = account->refusal->name,
                            .grant = subject->account != NULL ? TOKEN_GRANT_USER : TOKEN_GRANT_APP,
                            .model = subject->state.model,
                            .is_high_volume = account->is_high_volume,
                            .is_unfit = subject->is_unfit,
                            .works_for_others = find_other(oauth2, account) != NULL};
}

/* --- what to type --------------------------------------------------------------------------------
 */

/* Two registrations of one organisation must not have one group. */
static const char *name_of(struct doctor *doctor, const struct oauth2_registration *registration)
{
    return doctor->oauth2->registration_count == 1
               ? "post365"
               : report_format(&doctor->report, "post365-%.8s", registration->file->client_id);
}

static struct permissions permissions_for(struct doctor *doctor,
                                          const struct oauth2_subject *subject,
                                          const char *const *accounts, size_t count)
{
    const struct oauth2_registration *registration =
        &doctor->oauth2->registrations[subject->registration];
    return (struct permissions){
        .client_id = subject->claims.are_there && subject->claims.value[CLAIM_APP][0] != '\0'
                         ? subject->claims.value[CLAIM_APP]
                         : registration->file->client_id,
        .object_id = subject->claims.value[CLAIM_OBJECT],
        .environment = permissions_environment(registration->file->cloud->name),
        .name = name_of(doctor, registration),
        .accounts = accounts,
        .account_count = count};
}

/* What concerns this account alone; NULL: nothing. The caller's. */
static char *write_commands(enum refusal_commands commands, const struct permissions *permissions)
{
    struct buffer text = {0};
    if (commands == REFUSAL_GATE)
        permissions_write_gate(&text, permissions);
    else if (commands == REFUSAL_SCOPE)
        permissions_write_scope(&text, permissions);
    else if (commands == REFUSAL_PRINCIPAL)
        permissions_write_principal(&text, permissions);
    else if (commands == REFUSAL_HIGH_VOLUME)
        permissions_write(&text, PERMISSIONS_HIGH_VOLUME, permissions);
    else
        return NULL;
    return buffer_take(&text);
}

static void report_refusal(struct doctor *doctor, const struct oauth2_account *account,
                           const struct refusal_words *words)
{
    const struct oauth2 *oauth2 = doctor->oauth2;
    const struct oauth2_subject *subject = &oauth2->subjects[account->subject];
    const char *other = find_other(oauth2, account);
    const struct permissions permissions =
        permissions_for(doctor, subject, (const char *const *)&account->upn, 1);
    char *commands = write_commands(words->commands, &permissions);
    report_finding(&doctor->report,
                   &(struct finding){.check = "oauth2-refusal",
                                     .verdict = VERDICT_WRONG,
                                     .account = account->upn,
                                     .names = &oauth2->registrations[subject->registration].names,
                                     .tried = "why <UPN> is refused",
                                     .seen = other != NULL && words->commands == REFUSAL_SCOPE
                                                 ? report_format(&doctor->report, "%s, %s (%s)",
                                                                 words->seen, other, words->name)
                                                 : report_format(&doctor->report, "%s (%s)",
                                                                 words->seen, words->name),
                                     .meaning = words->meaning,
                                     .remedy = words->remedy,
                                     .commands = commands});
    free(commands);
}

/* --- both models, once a registration
 * ------------------------------------------------------------- */

static void report_model(struct doctor *doctor, const struct oauth2_subject *subject,
                         enum permissions_model model, const struct permissions *permissions)
{
    struct buffer text = {0};
    bool is_rbac = model == PERMISSIONS_RBAC;
    permissions_write(&text, model, permissions);
    report_finding(
        &doctor->report,
        &(struct finding){
            .check = is_rbac ? "oauth2-permission-rbac" : "oauth2-permission-classic",
            .verdict = VERDICT_NOTE,
            .names = &doctor->oauth2->registrations[subject->registration].names,
            .tried = "permission for the application <client id>",
            .seen = is_rbac ? "by RBAC for Applications, in Exchange Online PowerShell"
                            : "or by the older model, if RBAC for Applications cannot be had",
            .meaning = is_rbac ? "It lets the application send as the members of a group, and "
                                 "nothing else."
                               : "It lets the application send as these mailboxes, and read all "
                                 "their mail.",
            .remedy = is_rbac ? "As Exchange administrator; what is there already is not made "
                                "again. Wait up to two hours before you judge:"
                              : "One of the two is enough; both add up:",
            .commands = text.data});
    buffer_free(&text);
}

static bool wants_permission(const struct oauth2 *oauth2, const struct oauth2_account *account)
{
    if (account->refusal == NULL)
        return false;
    const struct refusal refusal = refusal_of(oauth2, account);
    const struct refusal_words *words = refusal_explain(&refusal);
    return words != NULL &&
           (words->commands == REFUSAL_PRINCIPAL || words->commands == REFUSAL_PERMISSION);
}

static void report_permissions(struct doctor *doctor, size_t place)
{
    const struct oauth2 *oauth2 = doctor->oauth2;
    const char **accounts = memory_zero(oauth2->account_count, sizeof(accounts[0]));
    size_t count = 0;
    for (size_t i = 0; i < oauth2->account_count; i++)
        if (oauth2->accounts[i].subject == place && wants_permission(oauth2, &oauth2->accounts[i]))
            accounts[count++] = oauth2->accounts[i].upn;
    const struct oauth2_subject *subject = &oauth2->subjects[place];
    for (unsigned model = PERMISSIONS_RBAC; count > 0 && model <= PERMISSIONS_CLASSIC; model++) {
        /* Its texts are the report's until a finding was made. */
        const struct permissions permissions = permissions_for(doctor, subject, accounts, count);
        report_model(doctor, subject, (enum permissions_model)model, &permissions);
    }
    free(accounts);
}

void doctor_check_refusals(struct doctor *doctor)
{
    const struct oauth2 *oauth2 = doctor->oauth2;
    for (size_t i = 0; oauth2 != NULL && i < oauth2->account_count; i++) {
        const struct oauth2_account *account = &oauth2->accounts[i];
        if (account->refusal == NULL ||
            oauth2->registrations[oauth2->subjects[account->subject].registration].file == NULL)
            continue;
        const struct refusal refusal = refusal_of(oauth2, account);
        const struct refusal_words *words = refusal_explain(&refusal);
        if (words != NULL)
            report_refusal(doctor, account, words);
    }
    for (size_t i = 0; oauth2 != NULL && i < oauth2->subject_count; i++)
        if (oauth2->registrations[oauth2->subjects[i].registration].file != NULL)
            report_permissions(doctor, i);
}
