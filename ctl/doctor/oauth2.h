/* oauth2.h - what the doctor finds out about OAuth2, from the registration's file to the token
 *
 * post365-tokend goes the way to Microsoft Entra, since it is its account, its proxy and its
 * authorities that count: the doctor asks it, and looks at the files that it reads. No secret, key
 * or token is shown.
 */
#ifndef POST365_CTL_DOCTOR_OAUTH2_H
#define POST365_CTL_DOCTOR_OAUTH2_H

#include "common/oauth2/registration.h"
#include "common/oauth2/token_client.h"
#include "common/office365.h"
#include "common/upstream/credentials.h"
#include "ctl/doctor/doctor.h"
#include "ctl/oauth2/claims.h"

#include <stdbool.h>
#include <stddef.h>

#define OAUTH2_MAPS "post365_oauth2_maps"

struct oauth2_registration {
    char *path;
    struct registration *file; /* NULL: it cannot be read, or makes no sense */
    struct screen_names names; /* for remedies, from `file` */
    bool is_known;             /* to post365-tokend */
    bool is_cut_off;           /* there is no way to the endpoint: it was told why */
};

/* What has a token: a registration, or an account of one with `grant = user`. */
struct oauth2_subject {
    size_t registration; /* its place in the list */
    const char *account; /* NULL: of all that share the registration */
    struct token_subject state;
    struct claims claims;
    bool is_told;  /* `state` and `claims` are post365-tokend's */
    bool is_unfit; /* something of the claims is wrong: it was told */
};

struct oauth2_account {
    const char *upn;
    size_t subject;                      /* its place in the list */
    bool has_logged_in;                  /* with its token, in this run */
    const struct office365_row *refusal; /* what was said in place of that, or what holds its mail
                                            up; NULL: nothing */
    bool is_high_volume;                 /* its server takes the mail of High Volume Email */
};

struct oauth2 {
    struct oauth2_registration *registrations;
    size_t registration_count;
    struct oauth2_subject *subjects;
    size_t subject_count;
    struct oauth2_account *accounts;
    size_t account_count;
    struct token_client *client; /* NULL: post365-tokend does not answer */
};

/* Which of the doctor's accounts log in with OAuth2, and with which registration; reads the
 * registrations. Behind the search for accounts; `credentials` may be NULL. */
void doctor_find_oauth2(struct doctor *doctor, struct credentials *credentials);
void doctor_free_oauth2(struct doctor *doctor);

/* The account's place in it; NULL: it logs in otherwise. */
struct oauth2_account *doctor_oauth2_account(const struct doctor *doctor, const char *upn);

/* Registrations and the files that they name. */
void doctor_check_registrations(struct doctor *doctor);
/* Whether post365-tokend answers, and who may ask it. Opens `client`. */
void doctor_check_token_daemon(struct doctor *doctor);
/* The way to Microsoft Entra, tokens, and what these say of themselves. */
void doctor_check_tokens(struct doctor *doctor);
/* All three. */
void doctor_check_oauth2(struct doctor *doctor);

/* The account's token, the caller's to secret_free(), and its id. NULL, and it is said why. */
struct secret *doctor_find_token(struct doctor *doctor, const struct oauth2_account *account,
                                 char id[TOKEN_ID_LENGTH + 1]);
/* Tells post365-tokend that a login with that token was accepted. */
void doctor_praise_token(struct doctor *doctor, const struct oauth2_account *account,
                         const char *id);

/* Why logins with tokens were refused, and what is to be done in Exchange Online. Behind the
 * logins. */
void doctor_check_refusals(struct doctor *doctor);

/* How long post365-tokend may take for what it asks the endpoint for, in microseconds. */
int64_t doctor_token_patience(const struct doctor *doctor);

/* A finding about a registration with an entra_row's meaning and remedy (`row` may be NULL for one
 * that is ok or not tried). */
void doctor_report_cause(struct doctor *doctor, const struct oauth2_registration *registration,
                         const char *account, const char *check, enum verdict verdict,
                         const char *tried, const char *seen, const struct entra_row *row);

#endif
