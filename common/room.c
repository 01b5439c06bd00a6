/* room.c - how an account's lack of room is put into words */
#include "common/room.h"

#include "common/clock.h"
#include "common/harmless.h"

#include <inttypes.h>
#include <time.h>

/* The two largest units, the smaller one rounded up. */
void room_write_length(struct buffer *text, int64_t length)
{
    int64_t seconds = (length + CLOCK_SECOND - 1) / CLOCK_SECOND;
    int64_t minutes = (seconds + 59) / 60, hours = (minutes + 59) / 60;
    if (seconds < 600)
        buffer_format(text, "%" PRId64 " s", seconds);
    else if (minutes < 60)
        buffer_format(text, "%" PRId64 " min", minutes);
    else if (minutes < 48 * 60)
        buffer_format(text, "%" PRId64 " h %" PRId64 " min", minutes / 60, minutes % 60);
    else
        buffer_format(text, "%" PRId64 " d %" PRId64 " h", hours / 24, hours % 24);
}

void room_write_when(struct buffer *text, int64_t time, int64_t now)
{
    char when[32];
    int64_t ahead = clock_set_since();
    time_t then = (time_t)((time + ahead + CLOCK_SECOND - 1) / CLOCK_SECOND);
    time_t present = (time_t)((now + ahead) / CLOCK_SECOND);
    struct tm then_parts, present_parts;
    localtime_r(&then, &then_parts);
    localtime_r(&present, &present_parts);
    bool today =
        then_parts.tm_year == present_parts.tm_year && then_parts.tm_yday == present_parts.tm_yday;
    strftime(when, sizeof(when), today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &then_parts);
    buffer_format(text, "%s (in ", when);
    room_write_length(text, time - now);
    buffer_append_char(text, ')');
}

void room_write_used(struct buffer *text, const char *account, uint32_t used,
                     const struct quota_rate *rate, const char *unit, uint32_t wanted,
                     int64_t earliest, int64_t now)
{
    char period[32];
    quota_format_period(rate->period, period, sizeof(period));
    buffer_format(text, "%.*s has used %" PRIu32 " of %" PRIu32 " %s per %s", ROOM_ACCOUNT_SHOWN,
                  account, used, rate->limit, unit, period);
    if (wanted > 1)
        buffer_format(text, ", this one needs %" PRIu32, wanted);
    buffer_append_string(text, "; room at ");
    room_write_when(text, earliest, now);
}

void room_write_until(struct buffer *text, int64_t until, int64_t now)
{
    if (until == INT64_MAX)
        buffer_append_string(text, "somebody resumes it");
    else
        room_write_when(text, until, now);
}

void room_write_paused(struct buffer *text, const char *account, const char *cause,
                       int64_t earliest, int64_t now)
{
    buffer_format(text, "%.*s is paused until ", ROOM_ACCOUNT_SHOWN, account);
    room_write_until(text, earliest, now);
    size_t start = text->length;
    buffer_format(text, ": %.*s", ROOM_CAUSE_SHOWN, cause);
    text->length = start + harmless_make(text->data + start, '?'); /* a server's words */
}

void room_write_turn(struct buffer *text, const char *account, int64_t earliest, int64_t now)
{
    buffer_format(text, "mail of %.*s waits its turn; room at ", ROOM_ACCOUNT_SHOWN, account);
    room_write_when(text, earliest, now);
}
