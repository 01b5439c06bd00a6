/* room.h - how an account's lack of room is put into words
 *
 * For the replies of the policy service and of the transport, which the same people read. Times are
 * microseconds since the epoch, shown in local time, rounded up so that none is too early.
 */
#ifndef POST365_COMMON_ROOM_H
#define POST365_COMMON_ROOM_H

#include "common/buffer.h"
#include "common/quota.h"

#include <stdint.h>

/* How much of a name and of a cause is shown: an SMTP reply has 512 bytes, Postfix's own words
 * included. */
#define ROOM_ACCOUNT_SHOWN 128
#define ROOM_CAUSE_SHOWN   180

/* "61 s" up to ten minutes, "23 min", "23 h 55 min", "2 d 3 h"; microseconds. */
void room_write_length(struct buffer *text, int64_t length);

/* "14:05:00 (in 61 s)"; with the date if it is not today's. By the system's clock, if `time` and
 * `now` are of clock_system(). */
void room_write_when(struct buffer *text, int64_t time, int64_t now);

/* "relay@contoso.com has used 30 of 30 messages per 1m, this one needs 2; room at 14:05:00 (in 61
 * s)". `unit` is recipients or messages. */
void room_write_used(struct buffer *text, const char *account, uint32_t used,
                     const struct quota_rate *rate, const char *unit, uint32_t wanted,
                     int64_t earliest, int64_t now);

/* The end of a pause: a time as above, or, for INT64_MAX, "somebody resumes it". */
void room_write_until(struct buffer *text, int64_t until, int64_t now);

/* "relay@contoso.com is paused until 14:05:00 (in 61 s): cause"; INT64_MAX: somebody resumes it. */
void room_write_paused(struct buffer *text, const char *account, const char *cause,
                       int64_t earliest, int64_t now);

/* "mail of relay@contoso.com waits its turn; room at 14:05:00 (in 61 s)" */
void room_write_turn(struct buffer *text, const char *account, int64_t earliest, int64_t now);

#endif
