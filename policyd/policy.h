/* policy.h - what Postfix's smtpd is told about a message
 *
 * One request of Postfix's policy delegation protocol in, one action of access(5) out. Nothing here
 * touches a socket; account and quota come from payers.h, the answer from the ledger.
 *
 *   meter       RCPT                 DATA, END-OF-MESSAGE                    other stages
 *   submission  would one more fit?  counts the message, once                DUNNO
 *   delivery    DUNNO                refuses what no period could hold       DUNNO
 *
 * In submission meter a message counts for its recipients, and for as many messages as the
 * deliveries that Postfix will make of it. It is refused with 4.7.1 until there is room, and
 * for good (5.5.3) if it is more than the quota itself. Whatever cannot be found out is a temporary
 * failure (451 4.3.0): the reason goes to the log, not to the client. So does every refusal, with
 * queue id, client, sender and login; of each kind at most 60 lines a minute.
 *
 * Source: SMTPD_POLICY_README, access(5).
 */
#ifndef POST365_POLICYD_POLICY_H
#define POST365_POLICYD_POLICY_H

#include "common/clock.h"
#include "common/error.h"
#include "common/identity.h"
#include "common/settings.h"
#include "common/table.h"
#include "policyd/ledger/ledger.h"

#include <stdbool.h>
#include <stddef.h>

/* To a request that is none, and to those whose batch could not be written. */
#define POLICY_MALFORMED  "451 4.3.0 Malformed policy request"
#define POLICY_NOT_STORED "451 4.3.0 The sending quota cannot be checked now; try again later"

struct policy;

/* What a decision is made of. All of it belongs to the caller and outlives its use here. */
struct policy_parts {
    const struct settings *settings;
    struct identities *identities;
    struct tables *quota_maps; /* post365_quota_maps */
    struct ledger *ledger;
    struct clock *clock;
};

/* What was decided, by stage and by what Postfix was told. */
enum policy_stage {
    POLICY_STAGE_OTHER,
    POLICY_STAGE_RCPT,
    POLICY_STAGE_DATA,
    POLICY_STAGE_END_OF_MESSAGE,
    POLICY_STAGES,
};
enum policy_outcome {
    POLICY_PASSED,    /* DUNNO, nothing counted */
    POLICY_COUNTED,   /* DUNNO behind a commit: a message was counted, now or before */
    POLICY_DEFERRED,  /* not now: the quota is used up */
    POLICY_REJECTED,  /* never: more than the quota itself */
    POLICY_FAILED,    /* 451: it could not be found out */
    POLICY_SENSELESS, /* no policy request */
    POLICY_OUTCOMES,
};
struct policy_counts {
    uint64_t decisions[POLICY_STAGES][POLICY_OUTCOMES];
};

struct policy_decision {
    const char *action; /* valid until the next policy_decide() */
    bool counted;       /* to be told only if policy_commit() succeeds, else POLICY_NOT_STORED */
    bool malformed;     /* whoever sent this speaks another protocol */
};

/* Release with policy_free(). */
struct policy *policy_new(const struct policy_parts *parts);
void policy_free(struct policy *policy);

/* Other settings and tables from now on, as after a reload. The ledger must be the same. */
void policy_configure(struct policy *policy, const struct policy_parts *parts);

/* Decides about one request, which attr_read() found complete. */
void policy_decide(struct policy *policy, const char *request, size_t length,
                   struct policy_decision *decision);

/* Since the start; valid as long as the policy. */
const struct policy_counts *policy_counts(const struct policy *policy);

/* Ends a batch of decisions, see ledger_commit(). On false nothing of it was counted. */
bool policy_commit(struct policy *policy, struct error *error);

#endif
