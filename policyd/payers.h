/* payers.h - who pays for a message, and under which quota?
 *
 * The account of identity.h and its quota of quotas.h, or that of the profile that policy_context
 * names. Answers are remembered, a bounded number of them, for as long as no table changes. Whether
 * one did is asked once a batch (a turn of the event loop), at its first question: within a batch
 * an answer may be as old as that. Failures, and answers for which a table was, or could be, asked
 * through postmap(1), are never remembered.
 *
 * Payers belong to one thread.
 */
#ifndef POST365_POLICYD_PAYERS_H
#define POST365_POLICYD_PAYERS_H

#include "common/clock.h"
#include "common/error.h"
#include "common/identity.h"
#include "common/quota.h"
#include "common/settings.h"
#include "common/table.h"

#include <stdbool.h>

struct payers;

/* What an answer is made of. All of it belongs to the caller and outlives its use here. */
struct payers_parts {
    const struct settings *settings;
    struct identities *identities;
    struct tables *quota_maps; /* post365_quota_maps */
    struct clock *clock;       /* for warnings */
};

/* What is known of a message; "" for what is not. */
struct payers_question {
    const char *login;
    const char *sender;
    const char *context; /* policy_context */
};

struct payer {
    const char *account; /* the folded UPN; valid until the next payers_find() */
    struct quota quota;
    bool is_overridden; /* the quota comes from post365_quota_maps */
    bool is_nobody;     /* the mail is for another server: nobody pays, and the rest says nothing */
};

/* Release with payers_free(). */
struct payers *payers_new(const struct payers_parts *parts);
void payers_free(struct payers *payers);

/* Other settings and tables from now on, as after a reload. Forgets everything. */
void payers_configure(struct payers *payers, const struct payers_parts *parts);

/*
 * TABLE_FOUND: `payer` is filled in. TABLE_NONE: no account is known; `error` says which parameter
 * to set. TABLE_FAILED: a look-up failed, or an entry makes no sense; `error` says which. A context
 * that is neither "hve" nor in post365_quota_maps is reported, at most once a minute, and the
 * account's own quota applies.
 */
enum table_answer payers_find(struct payers *payers, const struct payers_question *question,
                              struct payer *payer, struct error *error);

/* The next question begins a batch. */
void payers_end_batch(struct payers *payers);

#endif
