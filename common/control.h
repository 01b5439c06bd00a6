/* control.h - what is spoken on post365_control_socket
 *
 * The name=value protocol of attr.h on a UNIX socket: requests and replies are lines `name=value`,
 * ended by an empty line. Any number of requests may be under way on a connection. A request may
 * have a `tag`, which its reply repeats first. Unknown attributes are ignored, so that later
 * versions may add some. Times and periods are microseconds (since the epoch, UTC); a limit is a
 * number, or `none`.
 *
 *   request=reserve account recipients [messages=1] [wait] [under_way=1]
 *       result=granted reservation     in the ledger's store, and the connection's
 *       result=later earliest measure [used limit period] [cause]
 *       result=never measure limit period       more than the quota itself
 *     Without `wait` (microseconds) the reply comes at once. With it, a request that will have room
 *     within that time waits its turn, first come first served by account, and the reply comes
 *     then, behind those to later requests: give such requests a tag. `measure` is what stands in
 *     the way: `recipients` or `messages` (with used, limit and period), `pause` (with the cause),
 *     or `order`, somebody who came first. Without `earliest` nobody knows when: the pause lasts
 *     until `resume`. With under_way=1 it is granted at once, room or not: the message is being
 *     sent, and its reservation was lost with a connection, or with policyd.
 *   request=settle reservation recipients [doubtful=1]       sent now, to that many; with
 *     doubtful=1 it may have been sent, nobody has said so: it counts, but shows not that the
 *     account works again
 *   request=release reservation                 not sent, costs nothing
 *       result=done
 *       result=unknown                          not (or no longer) one of this connection's
 *   request=pause account cause [until] [least most]
 *       Microsoft has refused the account: nothing is granted to it before `until`, a time. With
 *       `least` and `most` (durations) instead the pause grows: least, then twice as long each time
 *       it fails again, up to most; when it is over one reservation is granted as a probe, and the
 *       next only when the probe was settled with a recipient, which also ends the row. With none
 *       of them the pause lasts until `resume`. Who waits longer than he may is answered. A pause
 *       without least and most ends the row, too.
 *       result=done account until (left out: until `resume`) failures (in a row)
 *   request=note account [cause]
 *       What is wrong with the account, which is not paused; without a cause: nothing any more. A
 *       later note takes the place of the one before; it is the connection's, and gone with it.
 *       result=done account
 *   request=resume account [cause]              ends the pause and the row of failures; with a
 *     cause only if that is the pause's
 *       result=done
 *       result=unknown                          it is not paused, or not for this cause
 *   request=status account
 *       result=done account now, and for recipients and messages: X_used (open reservations
 *       included), X_reserved, X_limit, X_period; recipients_per_message; earliest (when one more
 *       message to one recipient has room; now: at once; left out: not before `resume`); waiting
 *       (requests); where it is paused or probed: pause_since, pause_until (left out: until
 *       `resume`), pause_failures, pause_cause; where there is a note: note_since, note_cause
 *   request=list [after] [count=50]             accounts that the ledger knows, at most 100 a reply
 *       result=done, then for each account=UPN recipients=USED/LIMIT messages=USED/LIMIT
 *       waiting=NUMBER [paused | probed] (one value, words may be added), then, if there is more,
 *       after=NUMBER for the next request
 *   request=history account [per=hour] [from] [count=100]    per is `hour`, `minute`, or
 *     `event`: what was sent at the same microsecond, which is what the windows are made of
 *       result=done account, then for each slot in which something was sent, at most 200 a reply,
 *       slot=BEGIN RECIPIENTS MESSAGES, then, if there is more, from=TIME for the next request
 *   request=settings
 *       result=done, then the effective parameters of main.cf, post365_NAME=value, no passwords
 *   to any
 *       result=refused reason                   the peer may not
 *       result=error reason                     not understood, or not possible now; nothing has
 *                                               happened
 *
 * Who may connect may read; root and the user that policyd runs as may change: reserve, settle,
 * release, pause, resume and note. A reservation belongs to its connection: when that closes, what
 * is still open counts as sent, and who waits on it waits no more.
 */
#ifndef POST365_COMMON_CONTROL_H
#define POST365_COMMON_CONTROL_H

#define CONTROL_PARAMETER "post365_control_socket"

#define CONTROL_REQUEST  "request"
#define CONTROL_RESERVE  "reserve"
#define CONTROL_SETTLE   "settle"
#define CONTROL_RELEASE  "release"
#define CONTROL_PAUSE    "pause"
#define CONTROL_RESUME   "resume"
#define CONTROL_NOTE     "note"
#define CONTROL_STATUS   "status"
#define CONTROL_LIST     "list"
#define CONTROL_HISTORY  "history"
#define CONTROL_SETTINGS "settings"

#define CONTROL_TAG         "tag"
#define CONTROL_ACCOUNT     "account"
#define CONTROL_RECIPIENTS  "recipients"
#define CONTROL_MESSAGES    "messages"
#define CONTROL_RESERVATION "reservation"
#define CONTROL_WAIT        "wait"
#define CONTROL_UNDER_WAY   "under_way"
#define CONTROL_DOUBTFUL    "doubtful"
#define CONTROL_CAUSE       "cause"
#define CONTROL_UNTIL       "until"
#define CONTROL_LEAST       "least"
#define CONTROL_MOST        "most"
#define CONTROL_AFTER       "after"
#define CONTROL_COUNT       "count"
#define CONTROL_PER         "per"
#define CONTROL_FROM        "from"
#define CONTROL_PER_HOUR    "hour"
#define CONTROL_PER_MINUTE  "minute"
#define CONTROL_PER_EVENT   "event"
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
#define CONTROL_ORDER    "order"
#define CONTROL_FAILURES "failures"
#define CONTROL_WAITING  "waiting"
#define CONTROL_PAUSED   "paused"
#define CONTROL_PROBED   "probed"

#define CONTROL_PAUSE_SINCE    "pause_since"
#define CONTROL_PAUSE_UNTIL    "pause_until"
#define CONTROL_PAUSE_FAILURES "pause_failures"
#define CONTROL_PAUSE_CAUSE    "pause_cause"
#define CONTROL_NOTE_SINCE     "note_since"
#define CONTROL_NOTE_CAUSE     "note_cause"

#define CONTROL_TAG_MAX     64
#define CONTROL_CAUSE_MAX   512
#define CONTROL_LIST_MAX    100
#define CONTROL_HISTORY_MAX 200

#endif
