/* delivery.h - one message's way, from Postfix's DATA to the last reply
 *
 * For each message: whose account is it; the ledger is asked for room, and waits for it; a
 * connection; the envelope; the header is made right; the body streams through; the ledger is told
 * what was accepted; Postfix gets a reply for each recipient. What has no room in time is left in
 * Postfix's queue and woken up when it will have (wakeup.h). What Microsoft says about the account
 * pauses it for everybody (verdict.h).
 *
 * No message is lost: whatever is not known to be delivered is answered with a temporary failure,
 * and whatever may have been delivered is counted.
 */
#ifndef POST365_TRANSPORT_DELIVERY_DELIVERY_H
#define POST365_TRANSPORT_DELIVERY_DELIVERY_H

#include "common/identity.h"
#include "common/ledger_channel.h"
#include "common/metrics/distribution.h"
#include "common/sender/sealer.h"
#include "common/settings.h"
#include "common/silence.h"
#include "common/table.h"
#include "transport/lmtp/server.h"
#include "transport/queue/wakeup.h"
#include "transport/submission/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deliveries;

/* What messages are delivered with. All of it belongs to the caller and outlives its use here. */
struct delivery_parts {
    struct event_base *base;
    const struct settings *settings;
    struct identities *identities;
    struct sealer *sealer;
    struct tables *quota_maps;
    struct ledger_channel *channel;
    struct pool *pool;
    struct wakeup *wakeup;
    /* An account (folded UPN) has logged in; or NULL. */
    void (*worked)(void *context, const char *account);
    void *context;
};

/* Where a message is, from DATA to its last reply. */
enum delivery_state {
    DELIVERY_LEDGER,     /* room is asked for, and waited for */
    DELIVERY_CONNECTING, /* a connection of the account is asked for */
    DELIVERY_ENVELOPE,   /* Microsoft is told sender and recipients */
    DELIVERY_BODY,       /* the message streams through */
    DELIVERY_HELD,       /* all but its final dot was sent: what becomes of another is awaited */
    DELIVERY_FINAL,      /* the final dot was sent */
    DELIVERY_SETTLING,   /* the ledger is told what was accepted; then Postfix is */
    DELIVERY_STATES,
};

/* What became of a recipient. */
enum delivery_fate { DELIVERY_ACCEPTED, DELIVERY_DEFERRED, DELIVERY_REFUSED, DELIVERY_FATES };

/* Since the start. */
struct delivery_counts {
    uint64_t messages;                   /* begun */
    uint64_t accepted;                   /* by Microsoft */
    uint64_t refused;                    /* for good */
    uint64_t deferred;                   /* by Microsoft, or for want of a connection */
    uint64_t waiting;                    /* left in the queue for want of room */
    uint64_t failed;                     /* no account, no ledger */
    uint64_t unknown;                    /* between the final dot and the reply */
    uint64_t abandoned;                  /* Postfix has gone before the final dot */
    uint64_t under_way;                  /* now */
    uint64_t recipients[DELIVERY_FATES]; /* of messages that were not abandoned */
    uint64_t turned_away;                /* clients of an account that is paused */
    uint64_t octets;                     /* of messages, handed to a connection */
    uint64_t *pauses;                    /* asked for, by the row of office365_rows() */
    uint64_t *token_pauses;              /* likewise, by the row of entra_rows() */
    uint64_t silences[SILENCES];         /* likewise, where nobody has replied */
    struct distribution room_times;      /* microseconds until the ledger had answered */
    struct distribution times;           /* and until Postfix had its last reply */
};

/* Release with deliveries_free(), when nothing is under way or the program ends. */
struct deliveries *deliveries_new(const struct delivery_parts *parts);
void deliveries_free(struct deliveries *deliveries);

/* Other parts from now on, as after a reload; what is under way goes on with those that it has. */
void deliveries_configure(struct deliveries *deliveries, const struct delivery_parts *parts);

/* The ledger answers again. Of messages that are being sent it has counted what was reserved, when
 * it went away: now it is told that they are still under way. Those that wait for it are asked for
 * again. */
void deliveries_ledger_up(struct deliveries *deliveries);

/* Credentials may have changed: accounts that are paused since their login failed, or since they
 * had nothing to log in with, are resumed. */
void deliveries_credentials_changed(struct deliveries *deliveries);

/* There is an access token of this registration, of this account's alone unless `account` is "":
 * accounts that are paused for want of it are resumed. With `is_another` it is no successor of the
 * one that there was, but of other credentials: those whose login failed with that are, too. */
void deliveries_token_fresh(struct deliveries *deliveries, const char *registration,
                            const char *account, bool is_another);

/* post365-tokend answers again: accounts that could not ask it are tried. */
void deliveries_tokens_up(struct deliveries *deliveries);

/* Where lmtp.h hands messages to; its context is the deliveries. */
extern const struct lmtp_handler delivery_handler;

const struct delivery_counts *deliveries_counts(const struct deliveries *deliveries);

/* How many are in each state now. */
void deliveries_count_states(const struct deliveries *deliveries,
                             uint64_t numbers[DELIVERY_STATES]);

/* The program ends: who waits for room or a connection is put off. */
void deliveries_stop(struct deliveries *deliveries);

/* Whether some recipients of the message with this queue id are being delivered to. */
bool deliveries_have(const struct deliveries *deliveries, const char *queue_id);

/* Whether it may have been delivered to some: each further attempt may make a copy. */
bool deliveries_doubt(const struct deliveries *deliveries, const char *queue_id);

/* The accounts that are known to be paused, or to which nobody has answered. */
size_t deliveries_troubled(const struct deliveries *deliveries);

#endif
