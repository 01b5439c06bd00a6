/* attempt.h - one attempt to get an access token
 *
 * From what proves the application (or the user's grant) to the token, or to why there is none. One
 * attempt is one request, and a second one where that may help at once: with the former secret
 * after the new one was refused, with the refresh token before after the last one was refused, with
 * the endpoint's time after ours was refused, with the key that Azure Arc asks for. A refresh token
 * that comes is on disk before anybody hears of the token.
 */
#ifndef POST365_TOKEND_ATTEMPT_H
#define POST365_TOKEND_ATTEMPT_H

#include "common/oauth2/registration.h"
#include "tokend/answer.h"
#include "tokend/fetch.h"
#include "tokend/proof.h"
#include "tokend/vault.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct attempt;

/* All of it outlives the attempt. */
struct attempt_parts {
    struct event_base *base;
    struct fetcher *fetcher;
    struct vault *vault;
    const struct registration *registration;
    struct proof *proof;
    const char *account; /* grant = user; else NULL */
};

/* What is told. */
struct attempt_outcome {
    struct answer answer;   /* ANSWER_TOKEN or ANSWER_FAILED; whoever takes the token leaves NULL */
    char id[FETCH_ID_SIZE]; /* client-request-id of the last request; "": there was none */
    unsigned requests, refused;                 /* of this attempt */
    bool used_former;                           /* secret or key */
    const struct entra_row *refused_row;        /* with used_former: why the current one was not */
    char refused_reason[TOKENS_REASON_MAX + 1]; /* taken */
    char refused_id[FETCH_ID_SIZE];             /* that request's */
    bool used_previous;                         /* refresh token */
    bool corrected_clock;
    int64_t grant_since;    /* grant = user: seconds since the epoch; 0: there is none */
    struct secret *unsaved; /* a refresh token that could not be written; or NULL; may be taken */
};

/* The outcome is released behind the call; the attempt has ended. */
typedef void attempt_done(void *context, struct attempt_outcome *outcome);

/* Begins; `done` is called later, never from within. `unsaved`: a refresh token to be used in place
 * of what the vault has, since it could not be written; or NULL. */
struct attempt *attempt_begin(const struct attempt_parts *parts, const struct secret *unsaved,
                              attempt_done *done, void *context);
/* Gives it up. NULL is allowed. */
void attempt_cancel(struct attempt *attempt);

/* Reads what came for a question as an answer; also for who does not get tokens. `form` and
 * `hidden` are what was sent, see answer_received. */
void attempt_read(struct answer *answer, enum answer_question question,
                  const struct fetch_reply *reply, const struct secret *form,
                  const struct secret *hidden);

#endif
