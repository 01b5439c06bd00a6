/* accounts.c - may each account log in, and may it send as itself?
 *
 * One connection and one AUTH an account: repeated failures would lock it out. Microsoft tells
 * which gate is closed, and of those behind it nothing.
 */
#include "common/clock.h"
#include "common/entra/cloud.h"
#include "common/judgement.h"
#include "common/memory.h"
#include "common/room.h"
#include "common/upstream/credentials.h"
#include "ctl/account_text.h"
#include "ctl/doctor/dialogue.h"
#include "ctl/doctor/oauth2.h"
#include "ctl/doctor/stamp.h"

#include <stdlib.h>
#include <string.h>

struct visit {
    struct doctor *doctor;
    const char *upn;
    struct credential credential;
    struct oauth2_account *oauth2; /* NULL: it logs in otherwise */
    struct way *way;               /* to the server that the credential is for */
    struct dialogue dialogue;
    bool is_paused; /* in the ledger */
};

/* --- the ledger's word ----------------------------------------------------------------- */

/* What comes at the end of a message, which nothing here sends, is known from the pause alone. */
static void note_refusal(struct visit *visit, const char *cause)
{
    size_t count, length = strcspn(cause, ": ");
    const struct office365_row *rows = office365_rows(&count);
    for (size_t i = 0; i < count && visit->oauth2 != NULL; i++)
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, cause, length) == 0)
            visit->oauth2->refusal = &rows[i];
}

/* That it cannot be asked is told once, by doctor_check_ledger(). */
static void check_pause(struct visit *visit)
{
    struct ledger_reply reply;
    struct buffer seen = {0};
    if (!doctor_ask_ledger(visit->doctor, visit->upn, &reply) || !reply.pause.is_there)
        return;
    visit->is_paused = true;
    if (account_is_paused(&reply)) {
        buffer_append_string(&seen, "paused until ");
        room_write_until(&seen, reply.pause.until, reply.now);
    } else {
        buffer_append_string(&seen, "was paused; one message is tried next");
    }
    if (reply.pause.cause[0] != '\0')
        buffer_format(&seen, ": %s", reply.pause.cause);
    note_refusal(visit, reply.pause.cause);
    report_finding(&visit->doctor->report,
                   &(struct finding){.check = "pause",
                                     .verdict = VERDICT_WARNING,
                                     .account = visit->upn,
                                     .tried = "<UPN> in the ledger",
                                     .seen = seen.data,
                                     .meaning = "Its mail waits in the queue, also when the login "
                                                "below works.",
                                     .remedy = "Mend the cause; then `post365 resume <UPN>` lets "
                                               "its mail go."});
    buffer_free(&seen);
}

/* --- the three gates --------------------------------------------------------------------- */

static const struct {
    const char *check, *tried, *cause; /* the row of common/office365 that says it is closed */
} gates[] = {
    {"gate-1", "gate 1, security defaults (Microsoft Entra)", "security-defaults"},
    {"gate-2", "gate 2, SMTP AUTH of the organisation (Exchange)", "tenant-switch"},
    {"gate-3", "gate 3, SMTP AUTH of the mailbox", "mailbox-switch"},
};
#define GATES (sizeof(gates) / sizeof(gates[0]))

/* `row` is NULL after a login that worked. What opens a gate was said of the login. The mailbox's
 * own switch overrides the organisation's: that both are open is known for this mailbox alone. */
static void report_gates(struct visit *visit, const struct office365_row *row)
{
    for (size_t i = 0; i < GATES; i++) {
        bool is_closed = row != NULL && strcmp(row->name, gates[i].cause) == 0;
        bool is_passed_by = row == NULL && i == 0 && visit->credential.mechanism == SASL_XOAUTH2;
        report_finding(&visit->doctor->report,
                       &(struct finding){.check = gates[i].check,
                                         .verdict = is_closed     ? VERDICT_WRONG
                                                    : row != NULL ? VERDICT_UNTRIED
                                                                  : VERDICT_OK,
                                         .account = visit->upn,
                                         .tried = gates[i].tried,
                                         .seen = is_closed      ? "closed, see above"
                                                 : row != NULL  ? "cannot be known: Microsoft "
                                                                  "names one cause at a time"
                                                 : is_passed_by ? "does not matter to a token"
                                                                : "open for this account"});
    }
}

/* --- the dialogue -------------------------------------------------------------------------- */

static const char *reply_text(struct visit *visit, const struct reply *reply)
{
    struct buffer text = {0};
    dialogue_write_reply(&text, reply);
    const char *kept = report_format(&visit->doctor->report, "%s", text.data);
    buffer_free(&text);
    return kept;
}

/* By doctor_check_refusals(), which knows more than the reply. */
static bool is_explained(const struct visit *visit, const struct office365_row *row)
{
    return visit->oauth2 != NULL && strcmp(row->name, "token-refused") == 0;
}

/* What was said to AUTH or MAIL. Returns the row, NULL if it was yes. */
static const struct office365_row *report_reply(struct visit *visit, const char *check,
                                                const char *tried, enum reply_stage stage,
                                                const struct reply *reply)
{
    bool is_fine = reply->code / 100 == 2;
    struct judgement judgement;
    judgement_of_reply(reply, stage, &judgement);
    const struct office365_row *row = is_fine ? NULL : judgement.row;
    if (row != NULL && stage == REPLY_STAGE_AUTH && visit->credential.mechanism == SASL_XOAUTH2)
        row = office365_of_token(row);
    report_finding(
        &visit->doctor->report,
        &(struct finding){.check = check,
                          .verdict = is_fine            ? VERDICT_OK
                                     : row->needs_admin ? VERDICT_WRONG
                                                        : VERDICT_WARNING,
                          .account = visit->upn,
                          .tried = tried,
                          .seen = is_fine ? reply_text(visit, reply)
                                          : report_format(&visit->doctor->report, "%s (%s)",
                                                          reply_text(visit, reply), row->name),
                          .meaning = is_fine ? NULL : row->meaning,
                          .remedy = is_fine                    ? NULL
                                    : is_explained(visit, row) ? "See below why, and what to do."
                                                               : row->remedy});
    return row;
}

static void report_trouble(struct visit *visit, const char *check, const char *tried,
                           const struct error *error)
{
    report_finding(&visit->doctor->report,
                   &(struct finding){.check = check,
                                     .verdict = VERDICT_WRONG,
                                     .account = visit->upn,
                                     .tried = tried,
                                     .seen = error->text,
                                     .meaning = "It is not known whether the account may send.",
                                     .remedy = "Try again in a minute; if it stays so, see what is "
                                               "said of the server above."});
}

static bool say_secret(struct dialogue *dialogue, struct secret *line, struct error *error)
{
    bool fine = (secret_length(line) == 0 ||
                 dialogue_say(dialogue, secret_reveal(line), secret_length(line), error)) &&
                dialogue_say(dialogue, "\r\n", 2, error);
    secret_free(line);
    return fine;
}

/* False if it came to no answer. */
static bool authenticate(struct visit *visit, struct reply *reply, struct error *error)
{
    const struct credential *credential = &visit->credential;
    struct sasl sasl;
    sasl_start(&sasl, credential->mechanism, credential->user, credential->secret);
    struct secret *line = sasl_first(&sasl, SASL_COMMAND_MAX);
    while (line != NULL) {
        if (!say_secret(&visit->dialogue, line, error) ||
            !dialogue_hear(&visit->dialogue, reply, error))
            return false;
        if (reply->code / 100 != 3)
            return true;
        line = sasl_next(&sasl, reply->text, error);
    }
    return false;
}

/* That it may be the sender; nothing is sent. */
static void try_sender(struct visit *visit)
{
    static const char tried[] = "MAIL FROM:<<UPN>>, then RSET";
    struct reply reply, reset;
    struct error error;
    if (!dialogue_ask(&visit->dialogue, &reply, &error, "MAIL FROM:<%s>", visit->upn)) {
        report_trouble(visit, "sender", tried, &error);
        return;
    }
    report_reply(visit, "sender", tried, REPLY_STAGE_MAIL, &reply);
    if (dialogue_ask(&visit->dialogue, &reset, &error, "RSET"))
        dialogue_quit(&visit->dialogue);
}

/* For what is told of all accounts of a registration, and for post365-tokend, which knows then that
 * its token is good. Of what a pause has told stays what comes later than a login that works. */
static void note_login(struct visit *visit, const struct office365_row *row)
{
    struct oauth2_account *oauth2 = visit->oauth2;
    if (oauth2 == NULL)
        return;
    oauth2->has_logged_in = row == NULL;
    if (row != NULL)
        oauth2->refusal = row;
    else if (oauth2->refusal != NULL && strcmp(oauth2->refusal->name, "mailbox-logon") != 0)
        oauth2->refusal = NULL;
    if (row == NULL)
        doctor_praise_token(visit->doctor, oauth2, visit->credential.token_id);
}

static void try_login(struct visit *visit)
{
    const char *tried =
        visit->credential.mechanism == SASL_LOGIN ? "AUTH LOGIN of <UPN>" : "AUTH XOAUTH2 of <UPN>";
    struct reply reply;
    struct error error;
    reply_begin(&reply);
    if (!way_dial(visit->way, visit->doctor->settings, &visit->dialogue, &error) ||
        !authenticate(visit, &reply, &error)) {
        report_trouble(visit, "auth", tried, &error);
        return;
    }
    const struct office365_row *row = report_reply(visit, "auth", tried, REPLY_STAGE_AUTH, &reply);
    report_gates(visit, row);
    note_login(visit, row);
    if (row != NULL)
        return;
    if (visit->is_paused)
        report_finding(&visit->doctor->report,
                       &(struct finding){.check = "resume",
                                         .verdict = VERDICT_WARNING,
                                         .account = visit->upn,
                                         .tried = "mail of <UPN>",
                                         .seen = "the login works, and the account is paused all "
                                                 "the same",
                                         .meaning = "Its mail waits until the pause is over.",
                                         .remedy = "`post365 resume <UPN>` lets it go now."});
    try_sender(visit);
}

/* Whether there is a way to log in; else it is said why not. */
static bool can_log_in(struct visit *visit)
{
    const struct way *way = visit->way;
    struct report *report = &visit->doctor->report;
    enum sasl_mechanism mechanism = visit->credential.mechanism;
    bool is_offered = mechanism == SASL_LOGIN ? way->offers_login : way->offers_xoauth2;
    if (way->is_fine && is_offered)
        return true;
    report_finding(
        report,
        &(struct finding){
            .check = "auth",
            .verdict = way->is_fine ? VERDICT_WRONG : VERDICT_UNTRIED,
            .account = visit->upn,
            .tried = "login of <UPN>",
            .seen = way->is_fine ? report_format(report, "the server does not offer %s",
                                                 sasl_mechanism_name(mechanism))
                                 : "there is no way to the server",
            .meaning = "This account cannot log in there.",
            .remedy =
                "A password takes LOGIN, a token (" OAUTH2_MAPS ", "
                "post365_token_maps) XOAUTH2; Microsoft offers both. See who answers there."});
    return false;
}

/* Whether the login may be tried now; else it is said why not. */
static bool may_log_in(struct visit *visit)
{
    struct doctor *doctor = visit->doctor;
    struct report *report = &doctor->report;
    struct error error;
    int seconds = 0;
    const char *server = report_format(report, "%s:%s", visit->way->host, visit->way->port);
    bool may = stamp_claim(server, visit->upn, doctor->force, &seconds, &error);
    if (!may)
        report_finding(
            report, &(struct finding){.check = "auth",
                                      .verdict = VERDICT_UNTRIED,
                                      .account = visit->upn,
                                      .tried = "login of <UPN>",
                                      .seen = report_format(report,
                                                            "the last one was %d seconds ago, and "
                                                            "many that fail lock an account out: "
                                                            "wait a minute, or use --force",
                                                            seconds)});
    else if (error.text[0] != '\0')
        report_finding(report, &(struct finding){.check = "stamp",
                                                 .verdict = VERDICT_WARNING,
                                                 .account = visit->upn,
                                                 .tried = "keeping the time of this login",
                                                 .seen = error.text,
                                                 .meaning = "The next run does not know of this "
                                                            "one, and logs in again.",
                                                 .remedy = "Let a minute pass between two runs: "
                                                           "many logins that fail lock an account "
                                                           "out."});
    return may;
}

static bool leads_to(const struct way *way, const struct destination *server)
{
    return way->is_known && strcasecmp(way->host, server->host) == 0 &&
           strcmp(way->port, server->port) == 0;
}

/* The way to the server that the credential is for and to no other: it sees the password. One that
 * was not gone yet is gone now. NULL, and it is said, if there are too many. */
static struct way *find_way(struct visit *visit)
{
    struct doctor *doctor = visit->doctor;
    const struct destination *server = &visit->credential.destination;
    if (leads_to(&doctor->way, server))
        return &doctor->way;
    for (size_t i = 0; i < doctor->way_count; i++)
        if (leads_to(&doctor->ways[i], server))
            return &doctor->ways[i];
    if (doctor->way_count == DESTINATIONS_MAX) {
        report_finding(&doctor->report,
                       &(struct finding){.check = "auth",
                                         .verdict = VERDICT_UNTRIED,
                                         .account = visit->upn,
                                         .tried = "login of <UPN>",
                                         .seen = "so many servers are not tried in one run; name "
                                                 "the account: `post365 doctor <UPN>`"});
        return NULL;
    }
    struct way *way = &doctor->ways[doctor->way_count++];
    *way = (struct way){.is_known = true};
    memcpy(way->host, server->host, sizeof(way->host));
    memcpy(way->port, server->port, sizeof(way->port));
    way_check(way, doctor->settings, &doctor->report);
    return way;
}

/* False where there is none, which was said. */
static bool find_credential(struct visit *visit, struct credentials *credentials)
{
    struct credential *credential = &visit->credential;
    struct error error;
    if (credentials_find(credentials, visit->upn, credential, &error) != TABLE_FOUND)
        return false;
    if (visit->oauth2 == NULL)
        return credential->secret != NULL;
    visit->oauth2->is_high_volume = cloud_is_high_volume(credential->destination.host);
    credential->secret = doctor_find_token(visit->doctor, visit->oauth2, credential->token_id);
    return credential->secret != NULL;
}

static void check_account(struct doctor *doctor, struct credentials *credentials, const char *upn)
{
    struct visit visit = {
        .doctor = doctor, .upn = upn, .oauth2 = doctor_oauth2_account(doctor, upn)};
    dialogue_init(&visit.dialogue);
    check_pause(&visit);
    if (find_credential(&visit, credentials) && (visit.way = find_way(&visit)) != NULL &&
        can_log_in(&visit) && may_log_in(&visit))
        try_login(&visit);
    dialogue_close(&visit.dialogue);
    credential_release(&visit.credential);
}

void doctor_check_accounts(struct doctor *doctor)
{
    struct error error;
    struct credentials *credentials = credentials_open(doctor->settings, &error);
    for (size_t i = 0; credentials != NULL && i < doctor->account_count; i++)
        check_account(doctor, credentials, doctor->accounts[i]);
    credentials_close(credentials);
}
