/* control.h - what is spoken on post365_control_socket
 *
 * The name=value protocol of attr.h on a UNIX socket: requests and replies are lines `name=value`,
 * ended by an empty line. Any number of requests may be under way on a connection. A request may
 * have a `tag`, which its reply repeats first. Unknown attributes are ignored, so that later
 * versions may add some. Times and periods are microseconds (since the epoch, UTC); a limit is a
 * number, or `none`.
 *
 *   request=reserve account recipients [messages=1]
 *       result=granted reservation     in the ledger's store, and the connection's
 *       result=later earliest measure used limit period [wait]
 *       result=never measure limit period       more than the quota itself
 *   request=settle reservation recipients       sent now, to that many
 *   request=release reservation                 not sent, costs nothing
 *       result=done
 *       result=unknown                          not (or no longer) one of this connection's
 *   request=status account
 *       result=done account now, and for recipients and messages: X_used (open reservations
 *       included), X_reserved, X_limit, X_period; recipients_per_message; earliest (when one more
 *       message to one recipient has room; now: at once)
 *   request=list [after] [count=50]             accounts that the ledger knows, at most 100 a reply
 *       result=done, then for each account=UPN recipients=USED/LIMIT messages=USED/LIMIT (one
 *       value, words may be added), then, if there is more, after=NUMBER for the next request
 *   request=history account [per=hour] [from] [count=100]    per is `minute` or `hour`
 *       result=done account, then for each slot in which something was sent, at most 200 a reply,
 *       slot=BEGIN RECIPIENTS MESSAGES, then, if there is more, from=TIME for the next request
 *   request=settings
 *       result=done, then the effective parameters of main.cf, post365_NAME=value, no passwords
 *   to any
 *       result=refused reason                   the peer may not
 *       result=error reason                     not understood, or not possible now; nothing has
 *                                               happened
 *
 * Who may connect may read; root and the user that policyd runs as may reserve, settle and release.
 * A reservation belongs to its connection: when that closes, what is still open counts as sent.
 */
#ifndef POST365_COMMON_CONTROL_H
#define POST365_COMMON_CONTROL_H

#define CONTROL_PARAMETER "post365_control_socket"

#define CONTROL_REQUEST  "request"
#define CONTROL_RESERVE  "reserve"
#define CONTROL_SETTLE   "settle"
#define CONTROL_RELEASE  "release"
#define CONTROL_STATUS   "status"
#define CONTROL_LIST     "list"
#define CONTROL_HISTORY  "history"
#define CONTROL_SETTINGS "settings"

#define CONTROL_TAG         "tag"
#define CONTROL_ACCOUNT     "account"
#define CONTROL_RECIPIENTS  "recipients"
#define CONTROL_MESSAGES    "messages"
#define CONTROL_RESERVATION "reservation"
#define CONTROL_AFTER       "after"
#define CONTROL_COUNT       "count"
#define CONTROL_PER         "per"
#define CONTROL_FROM        "from"
#define CONTROL_SLOT        "slot"

#define CONTROL_RESULT   "result"
#define CONTROL_GRANTED  "granted"
#define CONTROL_LATER    "later"
#define CONTROL_NEVER    "never"
#define CONTROL_DONE     "done"
#define CONTROL_UNKNOWN  "unknown"
#define CONTROL_REFUSED  "refused"
#define CONTROL_ERROR    "error"
#define CONTROL_REASON   "reason"
#define CONTROL_NOW      "now"
#define CONTROL_EARLIEST "earliest"
#define CONTROL_MEASURE  "measure"
#define CONTROL_USED     "used"
#define CONTROL_LIMIT    "limit"
#define CONTROL_PERIOD   "period"
#define CONTROL_NONE     "none"

#define CONTROL_TAG_MAX     64
#define CONTROL_LIST_MAX    100
#define CONTROL_HISTORY_MAX 200

#endif
