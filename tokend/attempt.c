/* attempt.c - one attempt to get an access token */
#include "tokend/attempt.h"

#include "common/log.h"
#include "common/memory.h"
#include "tokend/metadata.h"
#include "tokend/request.h"
#include "tokend/secret_file.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define SKEW_MAX ((int64_t)86400) /* seconds that are corrected for */

struct attempt {
    struct attempt_parts parts;
    struct attempt_outcome outcome;
    struct fetch *fetch;
    struct event *later; /* tells what needed no request */
    char *url;
    struct secret *form;          /* in use by the fetch, as the next one */
    struct secret *authorization; /* Azure Arc */
    struct vault_grant grant;
    int64_t skew; /* seconds that are added to our time */
    attempt_done *done;
    void *context;
};

static void ask(struct attempt *attempt);

static bool is_user(const struct attempt *attempt)
{
    return attempt->parts.account != NULL;
}

/* --- ending --- */

static void release(struct attempt *attempt)
{
    fetch_cancel(attempt->fetch);
    event_free(attempt->later);
    free(attempt->url);
    secret_free(attempt->form);
    secret_free(attempt->authorization);
    vault_release(&attempt->grant);
    answer_free(&attempt->outcome.answer);
    secret_free(attempt->outcome.unsaved);
    free(attempt);
}

void attempt_cancel(struct attempt *attempt)
{
    if (attempt != NULL)
        release(attempt);
}

static void tell(struct attempt *attempt)
{
    attempt->outcome.grant_since = attempt->grant.since;
    attempt->done(attempt->context, &attempt->outcome);
    release(attempt);
}

static void tell_later(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    tell(argument);
}

static void fail(struct attempt *attempt, const struct entra_row *row, const char *reason)
{
    answer_free(&attempt->outcome.answer);
    answer_fail(&attempt->outcome.answer, row->name, "%s", reason);
    event_active(attempt->later, EV_TIMEOUT, 0);
}

/* --- answers --- */

void attempt_read(struct answer *answer, enum answer_question question,
                  const struct fetch_reply *reply, const struct secret *form,
                  const struct secret *hidden)
{
    if (reply->trouble != NULL) {
        answer_fail(answer, reply->trouble->name, "%s", reply->reason);
        return;
    }
    const struct answer_received received = {
        .question = question,
        .status = reply->status,
        .retry_after = reply->retry_after[0] != '\0' ? reply->retry_after : NULL,
        .date = reply->date[0] != '\0' ? reply->date : NULL,
        .body = reply->body,
        .is_cut = reply->is_cut,
        .form = form,
        .hidden = hidden,
        .now = time(NULL)};
    answer_read(answer, &received);
}

/* The refresh token that came is stored before its access token is used. */
static void store(struct attempt *attempt)
{
    struct error error;
    const struct attempt_parts *parts = &attempt->parts;
    struct attempt_outcome *outcome = &attempt->outcome;
    const struct vault_key key = vault_key_of(parts->registration, parts->account);
    if (outcome->answer.refresh_token == NULL ||
        vault_write(parts->vault, &key, outcome->answer.refresh_token, attempt->grant.since,
                    time(NULL), &error))
        return;
    log_error("a refresh token of %s cannot be stored, and stays in memory until it can: %s",
              parts->account, error.text);
    outcome->unsaved = outcome->answer.refresh_token;
    outcome->answer.refresh_token = NULL;
}

static bool may_try_former(const struct attempt *attempt)
{
    return strcmp(attempt->outcome.answer.error, "invalid_client") == 0 &&
           !attempt->outcome.used_former && proof_has_former(attempt->parts.proof);
}

static bool may_try_previous(const struct attempt *attempt)
{
    return is_user(attempt) && strcmp(attempt->outcome.answer.error, "invalid_grant") == 0 &&
           !attempt->outcome.used_previous && attempt->grant.previous != NULL;
}

/* An assertion for a day that is far away would be good then, for whoever has kept it. */
static bool may_correct_clock(const struct attempt *attempt)
{
    const struct answer *answer = &attempt->outcome.answer;
    return !attempt->outcome.corrected_clock && answer->has_skew && answer->skew <= SKEW_MAX &&
           answer->skew >= -SKEW_MAX && strcmp(answer->row->name, ENTRA_CLOCK_WRONG) == 0;
}

/* Whether something else is tried at once. */
static bool try_otherwise(struct attempt *attempt)
{
    struct attempt_outcome *outcome = &attempt->outcome;
    if (outcome->answer.outcome != ANSWER_FAILED)
        return false;
    if (may_correct_clock(attempt)) {
        outcome->corrected_clock = true;
        attempt->skew = outcome->answer.skew;
    } else if (may_try_former(attempt)) {
        outcome->used_former = true;
        outcome->refused_row = outcome->answer.row;
        snprintf(outcome->refused_reason, sizeof(outcome->refused_reason), "%s",
                 outcome->answer.reason);
        memcpy(outcome->refused_id, outcome->id, sizeof(outcome->refused_id));
    } else if (may_try_previous(attempt)) {
        outcome->used_previous = true;
    } else {
        return false;
    }
    ask(attempt);
    return true;
}

/* Azure Arc wants to see that we may read a file. */
static bool is_challenge(const struct attempt *attempt, const struct fetch_reply *reply)
{
    return attempt->parts.registration->credential == REGISTRATION_MANAGED_ARC &&
           attempt->authorization == NULL && reply->trouble == NULL && reply->status == 401 &&
           reply->challenge[0] != '\0';
}

static void answer_challenge(struct attempt *attempt, const char *challenge)
{
    struct error error;
    const struct entra_row *row = NULL;
    char *path = metadata_key_path(challenge, METADATA_ARC_DIRECTORY, &error);
    /* It is root's and the group himds': others than these may not read it anyway. */
    struct secret *key =
        path != NULL ? secret_file_read(path, SECRET_FILE_PUBLIC, &row, &error) : NULL;
    if (key != NULL)
        attempt->authorization = metadata_authorization(key, &error);
    secret_free(key);
    free(path);
    if (attempt->authorization != NULL)
        ask(attempt);
    else
        fail(attempt, entra_named(ENTRA_IDENTITY_KEY), error.text);
}

static enum answer_question question_of(const struct attempt *attempt)
{
    if (registration_is_managed(attempt->parts.registration))
        return ANSWER_MANAGED;
    return is_user(attempt) ? ANSWER_REFRESH : ANSWER_APP;
}

static void take_reply(void *context, const struct fetch_reply *reply)
{
    struct attempt *attempt = context;
    struct attempt_outcome *outcome = &attempt->outcome;
    attempt->fetch = NULL;
    memcpy(outcome->id, reply->id, sizeof(outcome->id));
    outcome->requests++;
    if (is_challenge(attempt, reply)) {
        answer_challenge(attempt, reply->challenge);
        return;
    }
    answer_free(&outcome->answer);
    attempt_read(&outcome->answer, question_of(attempt), reply, attempt->form,
                 attempt->authorization);
    if (outcome->answer.outcome == ANSWER_FAILED)
        outcome->refused++;
    if (try_otherwise(attempt))
        return;
    if (outcome->answer.outcome == ANSWER_TOKEN && is_user(attempt))
        store(attempt);
    tell(attempt);
}

/* --- asking --- */

static void send_form(struct attempt *attempt)
{
    const struct fetch_request request = {.url = attempt->url, .form = attempt->form};
    attempt->fetch = fetch_begin(attempt->parts.fetcher, &request, take_reply, attempt);
}

static void ask_metadata(struct attempt *attempt)
{
    const struct fetch_request request = {.url = attempt->url,
                                          .header = attempt->authorization,
                                          .plain_header = METADATA_HEADER,
                                          .is_metadata = true};
    attempt->fetch = fetch_begin(attempt->parts.fetcher, &request, take_reply, attempt);
}

static void ask(struct attempt *attempt)
{
    const struct attempt_parts *parts = &attempt->parts;
    struct attempt_outcome *outcome = &attempt->outcome;
    struct request_proof shown;
    struct secret *made = NULL;
    const struct entra_row *row = NULL;
    struct error error;
    if (registration_is_managed(parts->registration)) {
        ask_metadata(attempt);
        return;
    }
    if (!proof_make(parts->proof, outcome->used_former, attempt->url,
                    (int64_t)time(NULL) + attempt->skew, &shown, &made, &row, &error)) {
        fail(attempt, row, error.text);
        return;
    }
    secret_free(attempt->form);
    attempt->form = !is_user(attempt)
                        ? request_app(parts->registration, &shown)
                        : request_refresh(parts->registration,
                                          outcome->used_previous ? attempt->grant.previous
                                                                 : attempt->grant.token,
                                          &shown);
    secret_free(made);
    send_form(attempt);
}

/* The user's grant. False if there is none to be used. */
static bool find_grant(struct attempt *attempt, const struct secret *unsaved)
{
    struct error error;
    const struct attempt_parts *parts = &attempt->parts;
    struct vault_grant *grant = &attempt->grant;
    const struct vault_key key = vault_key_of(parts->registration, parts->account);
    enum vault_answer answer = vault_read(parts->vault, &key, grant, &error);
    if (answer == VAULT_FOUND && grant->token == NULL) {
        grant->token = grant->previous; /* the other file is damaged */
        grant->previous = NULL;
    }
    if (unsaved != NULL) {
        secret_free(grant->previous);
        grant->previous = grant->token;
        grant->token = secret_copy(secret_reveal(unsaved), secret_length(unsaved));
        return true;
    }
    if (answer == VAULT_NONE)
        fail(attempt, entra_named(ENTRA_LOGIN_NEEDED), "nobody has logged in for it");
    else if (answer == VAULT_FAILED)
        fail(attempt, entra_named(ENTRA_GRANT_LOST), error.text);
    return answer == VAULT_FOUND;
}

struct attempt *attempt_begin(const struct attempt_parts *parts, const struct secret *unsaved,
                              attempt_done *done, void *context)
{
    struct attempt *attempt = memory_zero(1, sizeof(*attempt));
    attempt->parts = *parts;
    attempt->done = done;
    attempt->context = context;
    attempt->later = event_new(parts->base, -1, 0, tell_later, attempt);
    if (attempt->later == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    attempt->url = registration_is_managed(parts->registration)
                       ? metadata_url(parts->registration)
                       : request_token_url(parts->registration);
    if (!is_user(attempt) || find_grant(attempt, unsaved))
        ask(attempt);
    return attempt;
}
