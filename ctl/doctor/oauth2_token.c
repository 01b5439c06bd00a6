/* oauth2_token.c - the way to Microsoft Entra, and what comes from there
 *
 * post365-tokend goes it. A token is asked for anew at most once a minute, by the stamp of the
 * logins: somebody who runs the doctor again and again must not get the organisation throttled.
 */
#include "common/clock.h"
#include "common/memory.h"
#include "ctl/doctor/oauth2.h"
#include "ctl/doctor/stamp.h"

#include <stdlib.h>
#include <string.h>

/* --- the way, step by step ----------------------------------------------------------------------
 */

static const struct {
    const char *name, *check, *tried;
    const char *cause; /* where a step's text names none */
    bool is_way;       /* without it nothing else can be asked for */
} steps[] = {
    {"file", "oauth2-file", "<registration>, as post365-tokend sees it", ENTRA_REGISTRATION_WRONG,
     false},
    {"resolve", "oauth2-resolve", "address of the token endpoint", ENTRA_ENDPOINT_UNRESOLVED, true},
    {"connect", "oauth2-connect", "connection to the token endpoint", ENTRA_ENDPOINT_UNREACHABLE,
     true},
    {"tls", "oauth2-tls", "certificate of the token endpoint", ENTRA_ENDPOINT_TLS, true},
    {"tenant", "oauth2-tenant", "tenant <tenant> and its cloud", "tenant-unknown", false},
    {"clock", "oauth2-clock", "this machine's clock, beside Microsoft's", ENTRA_CLOCK_WRONG, false},
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

/* The machine's own metadata service is no endpoint with a name, a certificate and tenants. */
static bool is_left_out(const struct oauth2_registration *registration,
                        const struct token_step *step)
{
    return step->result == TOKEN_STEP_UNKNOWN && registration->file != NULL &&
           registration_is_managed(registration->file);
}

static void report_step(struct doctor *doctor, struct oauth2_registration *registration,
                        const struct token_step *step)
{
    static const enum verdict verdicts[] = {[TOKEN_STEP_OK] = VERDICT_OK,
                                            [TOKEN_STEP_WRONG] = VERDICT_WRONG,
                                            [TOKEN_STEP_UNKNOWN] = VERDICT_UNTRIED};
    size_t i = 0;
    while (i < STEPS && strcmp(steps[i].name, step->name) != 0)
        i++;
    if (i == STEPS || is_left_out(registration, step))
        return;
    const struct entra_row *row = entra_of_text(step->text, strlen(step->text));
    if (step->result == TOKEN_STEP_WRONG && steps[i].is_way)
        registration->is_cut_off = true;
    doctor_report_cause(doctor, registration, NULL, steps[i].check, verdicts[step->result],
                        steps[i].tried, step->text,
                        row != NULL ? row : entra_named(steps[i].cause));
}

/* Whatever the reply is. False with the reason; after a failure of the connection nothing more can
 * be asked. */
static bool reach(struct doctor *doctor, const struct token_command *command,
                  struct token_reply *reply, struct error *error)
{
    struct oauth2 *oauth2 = doctor->oauth2;
    if (oauth2->client == NULL)
        return error_set(error, "post365-tokend does not answer");
    if (token_client_ask(oauth2->client, command, reply, error))
        return true;
    token_client_close(oauth2->client);
    oauth2->client = NULL;
    return false;
}

/* The reply to a request that says something. False with the reason. */
static bool ask(struct doctor *doctor, const struct token_command *command,
                struct token_reply *reply, struct error *error)
{
    if (!reach(doctor, command, reply, error))
        return false;
    if (reply->result != TOKEN_REPLY_REFUSED && reply->result != TOKEN_REPLY_ERROR &&
        reply->result != TOKEN_REPLY_NONE)
        return true;
    error_set(error, "post365-tokend: %s", reply->reason);
    token_reply_release(reply);
    return false;
}

static void check_way(struct doctor *doctor, struct oauth2_registration *registration)
{
    const struct token_command command = {.kind = TOKEN_COMMAND_CHECK,
                                          .registration = registration->path};
    struct token_reply reply;
    struct token_step step;
    struct error error;
    size_t position = 0;
    if (!ask(doctor, &command, &reply, &error)) {
        doctor_report_cause(doctor, registration, NULL, "oauth2-connect", VERDICT_UNTRIED,
                            "the way to the token endpoint", error.text, NULL);
        return;
    }
    while (token_reply_next_step(&reply, &position, &step))
        report_step(doctor, registration, &step);
    token_reply_release(&reply);
}

/* --- the token
 * ------------------------------------------------------------------------------------ */

/* Whether tokend may be asked to renew it now; else it is said why not. */
static bool may_renew(struct doctor *doctor, const struct oauth2_subject *subject,
                      const struct oauth2_registration *registration, const char *tried)
{
    struct error error;
    int seconds = 0;
    const char *account = subject->account != NULL ? subject->account : "";
    const char *what = report_format(&doctor->report, "oauth2 %s", registration->path);
    if (stamp_claim(what, account, doctor->force, &seconds, &error))
        return true;
    doctor_report_cause(doctor, registration, subject->account, "oauth2-token", VERDICT_UNTRIED,
                        tried,
                        report_format(&doctor->report,
                                      "the doctor asked for a new one %d seconds ago: wait a "
                                      "minute, or use --force",
                                      seconds),
                        NULL);
    return false;
}

/* A failure that lasts, or has passed meanwhile; a token that is still good carries the mail on. */
static void report_failure(struct doctor *doctor, const struct oauth2_subject *subject,
                           const struct oauth2_registration *registration, const char *tried,
                           const char *cause, const char *reason)
{
    struct report *report = &doctor->report;
    const struct entra_row *row = entra_named(cause);
    const struct token_subject *state = &subject->state;
    bool goes_on = subject->is_told && state->has_token && state->left > 0;
    const char *meaning = row != NULL ? row->meaning : NULL;
    report_finding(
        report,
        &(struct finding){
            .check = "oauth2-token",
            .verdict = goes_on ? VERDICT_WARNING : VERDICT_WRONG,
            .account = subject->account,
            .names = &registration->names,
            .tried = tried,
            .seen = report_format(report, "%s (%s)", reason, cause),
            .meaning =
                !goes_on ? meaning
                         : report_format(report,
                                         "%s%sMail goes by the token that there is, for %lld "
                                         "more minutes.",
                                         meaning != NULL ? meaning : "", meaning != NULL ? " " : "",
                                         (long long)(state->left / 60)),
            .remedy = row != NULL ? row->remedy : NULL});
}

static void report_renewal(struct doctor *doctor, const struct oauth2_subject *subject,
                           const struct oauth2_registration *registration, const char *tried,
                           const struct token_reply *reply)
{
    struct report *report = &doctor->report;
    const struct token_subject *state = &subject->state;
    if (reply->result == TOKEN_REPLY_DONE && state->credential_cause[0] != '\0')
        doctor_report_cause(
            doctor, registration, subject->account, "oauth2-token", VERDICT_WARNING, tried,
            report_format(report,
                          "Microsoft Entra gives one for the former secret or key alone, and "
                          "of the new one says: %s (%s)",
                          state->credential_reason, state->credential_cause),
            entra_named(state->credential_cause));
    else if (reply->result == TOKEN_REPLY_DONE)
        doctor_report_cause(
            doctor, registration, subject->account, "oauth2-token", VERDICT_OK, tried,
            report_format(report, "Microsoft Entra gives one, good for %lld minutes",
                          (long long)(reply->left / 60)),
            NULL);
    else
        report_failure(doctor, subject, registration, tried, reply->cause, reply->reason);
}

/* How it stands, and what the token says of itself. False with the reason. */
static bool learn_state(struct doctor *doctor, struct oauth2_subject *subject,
                        const struct oauth2_registration *registration, struct error *error)
{
    const struct token_command command = {.kind = TOKEN_COMMAND_STATUS,
                                          .account = subject->account,
                                          .registration = registration->path};
    struct token_reply reply;
    if (!ask(doctor, &command, &reply, error))
        return false;
    subject->state = reply.subject;
    claims_take(&subject->claims, &reply);
    subject->is_told = true;
    token_reply_release(&reply);
    return true;
}

/* False with the reason, where tokend has not said how it went. */
static bool renew(struct doctor *doctor, struct oauth2_subject *subject,
                  const struct oauth2_registration *registration, const char *tried,
                  struct error *error)
{
    const struct token_command command = {.kind = TOKEN_COMMAND_RENEW,
                                          .account = subject->account,
                                          .registration = registration->path};
    struct token_reply reply;
    if (!may_renew(doctor, subject, registration, tried))
        return true;
    if (!ask(doctor, &command, &reply, error))
        return false;
    bool is_told = learn_state(doctor, subject, registration, error);
    if (is_told)
        report_renewal(doctor, subject, registration, tried, &reply);
    token_reply_release(&reply);
    return is_told;
}

static void check_token(struct doctor *doctor, struct oauth2_subject *subject,
                        const struct oauth2_registration *registration)
{
    struct error error;
    const char *tried = subject->account != NULL ? "access token of <UPN>" : "access token";
    bool is_told = learn_state(doctor, subject, registration, &error);
    if (is_told && registration->is_cut_off)
        doctor_report_cause(doctor, registration, subject->account, "oauth2-token", VERDICT_UNTRIED,
                            tried, "there is no way to the token endpoint", NULL);
    else if (!is_told || !renew(doctor, subject, registration, tried, &error))
        doctor_report_cause(doctor, registration, subject->account, "oauth2-token", VERDICT_WRONG,
                            tried, error.text, entra_named(ENTRA_DAEMON_DOWN));
}

/* --- what it says of itself
 * ------------------------------------------------------------------------ */

static const struct {
    const char *label, *check; /* claims.h's */
    const char *meaning, *remedy;
} claims_words[] = {
    {"good at", "oauth2-audience",
     "Exchange Online refuses a token that is for something else (535 5.7.3).",
     "Take `scope` out of <registration>, so that post365's own is asked for, and see that `cloud` "
     "there is the organisation's. The new token comes by itself."},
    {"tenant id", "oauth2-tenant-id", "The token is for another organisation.",
     "Let `tenant` in <registration> be the Directory (tenant) ID of the organisation whose "
     "mailboxes these are."},
    {"app id", "oauth2-app-id", "The token is another application's.",
     "Compare `client_id` in <registration> with the application's Overview in the Microsoft Entra "
     "admin centre."},
    {"permission", "oauth2-permission", "Exchange Online takes no mail with such a token.",
     "Microsoft Entra admin centre, App registrations, the application `<client id>`, API "
     "permissions: Office 365 Exchange Online, the delegated permission SMTP.Send; take `scope` "
     "out of <registration>; then `post365 login <UPN>`."},
    {"user", "oauth2-user", NULL, NULL}, /* a row of common/entra */
    {"object id", "oauth2-object-id", NULL, NULL},
};
#define CLAIMS_WORDS (sizeof(claims_words) / sizeof(claims_words[0]))

struct claims_told {
    struct doctor *doctor;
    struct oauth2_subject *subject;
    const struct oauth2_registration *registration;
};

static void report_claim(void *context, const char *label, const char *text, bool is_wrong)
{
    const struct claims_told *told = context;
    struct report *report = &told->doctor->report;
    size_t i = 0;
    while (i < CLAIMS_WORDS && strcmp(claims_words[i].label, label) != 0)
        i++;
    if (i == CLAIMS_WORDS)
        return;
    const struct entra_row *another = entra_named(ENTRA_GRANT_OF_ANOTHER);
    bool is_user = strcmp(claims_words[i].check, "oauth2-user") == 0;
    told->subject->is_unfit = told->subject->is_unfit || is_wrong;
    report_finding(
        report, &(struct finding){.check = claims_words[i].check,
                                  .verdict = is_wrong ? VERDICT_WRONG : VERDICT_OK,
                                  .account = told->subject->account,
                                  .names = &told->registration->names,
                                  .tried = report_format(report, "the token: %s", label),
                                  .seen = text,
                                  .meaning = is_user ? another->meaning : claims_words[i].meaning,
                                  .remedy = is_user ? another->remedy : claims_words[i].remedy});
}

static void check_subject(struct doctor *doctor, struct oauth2_subject *subject)
{
    const struct oauth2_registration *registration =
        &doctor->oauth2->registrations[subject->registration];
    struct claims_told told = {doctor, subject, registration};
    if (doctor->oauth2->client == NULL || !registration->is_known)
        return;
    check_token(doctor, subject, registration);
    if (subject->is_told)
        claims_explain(&subject->claims, &subject->state, report_claim, &told);
}

void doctor_check_tokens(struct doctor *doctor)
{
    struct oauth2 *oauth2 = doctor->oauth2;
    for (size_t i = 0; i < oauth2->registration_count; i++) {
        if (oauth2->client != NULL && oauth2->registrations[i].is_known)
            check_way(doctor, &oauth2->registrations[i]);
        for (size_t j = 0; j < oauth2->subject_count; j++)
            if (oauth2->subjects[j].registration == i)
                check_subject(doctor, &oauth2->subjects[j]);
    }
}

/* --- for a login ---------------------------------------------------------------------------------
 */

/* Why an account is not tried. */
static void report_no_token(struct doctor *doctor, const struct oauth2_account *account,
                            const struct token_reply *reply)
{
    struct report *report = &doctor->report;
    const struct entra_row *row =
        reply->result == TOKEN_REPLY_NONE ? entra_named(ENTRA_DAEMON_UNAWARE) : NULL;
    report_finding(
        report,
        &(struct finding){.check = "auth",
                          .verdict = row != NULL ? VERDICT_WRONG : VERDICT_UNTRIED,
                          .account = account->upn,
                          .tried = "login of <UPN>",
                          .seen = reply->cause[0] != '\0'
                                      ? report_format(report, "there is no token: %s (%s)",
                                                      reply->reason, reply->cause)
                                      : report_format(report, "post365-tokend: %s", reply->reason),
                          .meaning = row != NULL ? row->meaning : NULL,
                          .remedy = row != NULL ? row->remedy : NULL});
}

struct secret *doctor_find_token(struct doctor *doctor, const struct oauth2_account *account,
                                 char id[TOKEN_ID_LENGTH + 1])
{
    const struct token_command command = {.kind = TOKEN_COMMAND_TOKEN, .account = account->upn};
    struct token_reply reply;
    struct error error;
    if (!reach(doctor, &command, &reply, &error)) {
        report_finding(&doctor->report, &(struct finding){.check = "auth",
                                                          .verdict = VERDICT_UNTRIED,
                                                          .account = account->upn,
                                                          .tried = "login of <UPN>",
                                                          .seen = error.text});
        return NULL;
    }
    struct secret *token = reply.token;
    reply.token = NULL;
    if (token == NULL)
        report_no_token(doctor, account, &reply);
    else
        memcpy(id, reply.id, TOKEN_ID_LENGTH + 1);
    token_reply_release(&reply);
    return token;
}

void doctor_praise_token(struct doctor *doctor, const struct oauth2_account *account,
                         const char *id)
{
    const struct token_command command = {
        .kind = TOKEN_COMMAND_VERDICT, .account = account->upn, .id = id};
    struct token_reply reply;
    struct error error;
    if (ask(doctor, &command, &reply, &error))
        token_reply_release(&reply);
}
