/* scan.h - which messages of some accounts wait in Postfix's queue
 *
 * Reads what `postqueue -j` says, line by line as it comes, and keeps the oldest deferred messages
 * alone: the queue may be long. For mail whose queue id Postfix does not tell (XFORWARD has none
 * for sendmail(1)), and after a restart, which forgets what was to be woken up. What may have been
 * delivered to somebody is left to Postfix's own next attempt: each may make a copy.
 *
 * Source: postqueue(1), "JSON object format". Pure.
 */
#ifndef POST365_TRANSPORT_QUEUE_SCAN_H
#define POST365_TRANSPORT_QUEUE_SCAN_H

#include <event2/buffer.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_MOST 1000

struct scan;

/* Whether a message with this queue id is looked for. */
typedef bool scan_wanted(void *context, const char *queue_id);

/* Looks for deferred messages of no account so far. Release with scan_free(); NULL is allowed. */
struct scan *scan_new(scan_wanted *wanted, void *context);
void scan_free(struct scan *scan);

/* Those whose reason names `account` (a folded UPN; reason.h) count as well, if they have arrived
 * at `since` (seconds since the epoch) or later. Of those whose reason names none, those with an
 * envelope sender that is the account or one of `send_as` (addresses and @domains, comma or white
 * space between; may be NULL), in any case; with the first account those of the null sender, too.
 */
void scan_add(struct scan *scan, const char *account, const char *send_as, int64_t since);

/* One message of this account is looked for, that number `turn` of its oldest, counted from 0 and
 * round and round; scan_count() and what goes with it know nothing of it. */
void scan_add_probe(struct scan *scan, const char *account, const char *send_as, size_t turn);

/* Its queue id, or that of a message of the null sender, which may be anybody's, where the account
 * has none; NULL: there is neither. `turn` as in scan_add_probe(). It is the scan's. */
const char *scan_probe(const struct scan *scan, const char *account, size_t turn);

/* Takes all whole lines out of `bytes`. A line that is too long, or no JSON, is passed over. */
void scan_read(struct scan *scan, struct evbuffer *bytes);

/* What was found: at most SCAN_MOST queue ids, the oldest message first. They are the scan's. */
size_t scan_count(const struct scan *scan);
bool scan_is_full(const struct scan *scan);
const char *scan_id(const struct scan *scan, size_t number);
int64_t scan_arrival(const struct scan *scan, size_t number);

/* When the oldest message of all came that Postfix has not sent and nobody holds: of any account
 * and none, in any queue but hold and corrupt. Seconds since the epoch; 0: there is none. */
int64_t scan_oldest(const struct scan *scan);

/* Calls `visit` for each account, in no order. */
void scan_each_account(const struct scan *scan, void (*visit)(void *context, const char *account),
                       void *context);

#endif
