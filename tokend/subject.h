/* subject.h - what has a token, a state and a next attempt of its own
 *
 * That is a registration, or, where users have logged in (grant = user), an account of one. All of
 * them, with who is due when, are the stock (stock.h).
 */
#ifndef POST365_TOKEND_SUBJECT_H
#define POST365_TOKEND_SUBJECT_H

#include "common/agenda.h"
#include "common/dictionary.h"
#include "common/oauth2/tokens.h"
#include "tokend/acceptance.h"
#include "tokend/app.h"
#include "tokend/attempt.h"
#include "tokend/claims.h"
#include "tokend/renewal.h"

#include <stdbool.h>
#include <stdint.h>

#define SUBJECT_ID_SIZE 9 /* of a token's fingerprint, with the NUL */

struct stock;

/* Who waits until it is known whether there is a token. `wake` is called once, with the waiter out
 * of the list; it may have any other one wait, or stop waiting. */
struct subject_waiter {
    struct subject_waiter *next;
    struct subject_waiter **link; /* what points to it; NULL: it does not wait */
    void (*wake)(struct subject_waiter *waiter);
};

/* An account that was given tokens. */
struct subject_account {
    int64_t given_at;
    int64_t renewed_at; /* because of a refusal; 0: never */
    uint64_t serial;    /* the first token that is good enough for it */
};

struct subject {
    struct stock *stock;
    struct app *app;                                 /* NULL: it is gone */
    char *path;                                      /* of the registration */
    struct subject *next;                            /* of the same app */
    struct subject *changed_next, *changed_previous; /* in the order of their last change */
    uint64_t version;                                /* of that change */
    bool is_gone;  /* the settings have it no longer; kept until that was told */
    char *account; /* grant = user; else NULL */
    struct renewal renewal;
    struct agenda_entry entry;
    struct attempt *attempt;
    struct secret *token;
    uint64_t serial; /* of the token, from 1 */
    char id[SUBJECT_ID_SIZE];
    bool has_claims;
    struct claims claims;
    struct secret *unsaved; /* a refresh token that is not on disk yet */
    int64_t grant_since;    /* seconds since the epoch */
    char *stranger; /* who logged in in the user's place, in words, and was refused; or NULL */
    struct acceptance acceptance;
    int64_t judged_at;           /* when a new token was asked for because of a refusal; 0: never */
    struct dictionary *accounts; /* folded to struct subject_account */
    struct subject_waiter *waiters;
    /* of the last failure */
    const struct entra_row *row; /* NULL: the last attempt succeeded */
    enum entra_class class;
    char reason[TOKENS_REASON_MAX + 1];
    /* what was said of it in the log */
    const struct entra_row *told_row;
    enum entra_class told_class;
    int64_t told_at;
    bool told_end, told_first;
    uint64_t requests, refused;
};

/* What there is for an account. */
enum subject_answer {
    SUBJECT_TOKEN,
    SUBJECT_WAIT,   /* an attempt is under way, or about to be: wait */
    SUBJECT_FAILED, /* see row, class, reason, renewal_next() */
};

/* Asks for an account, folded; begins an attempt where that is needed. */
enum subject_answer subject_ask(struct subject *subject, const char *account);
/* It was given the token. */
void subject_give(struct subject *subject, const char *account);
void subject_wait(struct subject *subject, struct subject_waiter *waiter);
void subject_stop_waiting(struct subject_waiter *waiter);

/* An AUTH with the token `id` was accepted (`reply` NULL) or refused. True: a new token may help,
 * and is being asked for. */
bool subject_judge(struct subject *subject, const char *account, const char *id, const char *reply);

/* A new token now, but at most once a minute. True: an attempt is under way, or about to be. */
bool subject_renew(struct subject *subject);

/* Its grant is another one, or was given up; what was got with the last one is of no use. */
void subject_forget(struct subject *subject);

/* Somebody else than the account's user has logged in, which was not stored: that is the cause from
 * now on, as long as there is no grant. */
void subject_note_stranger(struct subject *subject, const char *reason);

/* How many accounts were given a token within a day. */
uint32_t subject_accounts(struct subject *subject);

/* Of the stock. */
struct subject *subject_new(struct stock *stock, struct app *app, const char *account,
                            uint64_t seed);
void subject_free(struct subject *subject);
void subject_begin(struct subject *subject);
void subject_cancel(struct subject *subject);
void subject_wake(struct subject *subject);
/* Moves all who wait into another list, for subject_wake_all(). */
void subject_move_waiters(struct subject *subject, struct subject_waiter **list);
void subject_wake_all(struct subject_waiter **list);
/* Says what the log does not know yet: that mail stops, since the token has ended. */
void subject_tell_end(struct subject *subject);
void subject_save(struct subject *subject);

#endif
