/* account_text.c - an account's status, for people */
#include "ctl/account_text.h"

#include "common/quota.h"
#include "common/room.h"

#define BAR   20 /* columns */
#define LABEL 13 /* columns */

bool account_is_paused(const struct ledger_reply *reply)
{
    return reply->pause.is_there && reply->pause.until > reply->now;
}

static void write_label(struct buffer *lines, const char *label)
{
    buffer_format(lines, "  %-*s", LABEL - 2, label);
}

static void write_window(const struct screen *screen, struct buffer *lines, const char *name,
                         const struct ledger_reply_window *window)
{
    char period[32];
    write_label(lines, name);
    if (window->rate.limit == QUOTA_UNLIMITED) {
        buffer_format(lines, "%*s %u, no limit\n", BAR, "", window->used);
        return;
    }
    bool is_full = window->used >= window->rate.limit;
    struct buffer bar = {0};
    screen_bar(screen, &bar, window->used, window->rate.limit, BAR);
    screen_paint(screen, lines, is_full ? SCREEN_BAD : SCREEN_GOOD, bar.data);
    quota_format_period(window->rate.period, period, sizeof(period));
    buffer_format(lines, " %u of %u per %s", window->used, window->rate.limit, period);
    if (window->reserved > 0)
        buffer_format(lines, ", %u of them under way", window->reserved);
    buffer_append_char(lines, '\n');
    buffer_free(&bar);
}

static void write_room(struct buffer *lines, const struct ledger_reply *reply)
{
    write_label(lines, "room");
    if (reply->earliest <= reply->now)
        buffer_append_string(lines, "now");
    else if (reply->earliest == LEDGER_FOREVER)
        buffer_append_string(lines, "never: the limit is 0");
    else
        room_write_when(lines, reply->earliest, reply->now);
    buffer_append_char(lines, '\n');
}

static void write_pause(const struct screen *screen, struct buffer *lines,
                        const struct ledger_reply *reply)
{
    struct buffer state = {0}, cause = {0};
    if (!account_is_paused(reply)) {
        buffer_append_string(&state,
                             "was paused; one message is tried, to see whether it works again");
    } else {
        buffer_append_string(&state, "paused until ");
        room_write_until(&state, reply->pause.until, reply->now);
    }
    write_label(lines, "");
    screen_paint(screen, lines, SCREEN_BAD, state.data);
    buffer_append_char(lines, '\n');
    write_label(lines, "cause");
    screen_text(&cause, reply->pause.cause);
    screen_append_wrapped(screen, lines, cause.length > 0 ? cause.data : "none was given", LABEL);
    buffer_free(&state);
    buffer_free(&cause);
}

/* Trouble that is not enough for a pause. */
static void write_note(const struct screen *screen, struct buffer *lines,
                       const struct ledger_reply *reply)
{
    struct buffer state = {0}, cause = {0};
    buffer_append_string(&state, "in trouble for ");
    screen_age(&state, reply->now - reply->note.since);
    write_label(lines, "");
    screen_paint(screen, lines, SCREEN_BAD, state.data);
    buffer_append_char(lines, '\n');
    write_label(lines, "cause");
    screen_text(&cause, reply->note.cause);
    screen_append_wrapped(screen, lines, cause.data, LABEL);
    buffer_free(&state);
    buffer_free(&cause);
}

void account_write(const struct screen *screen, struct buffer *lines,
                   const struct ledger_reply *reply)
{
    struct buffer name = {0};
    screen_text(&name, reply->account);
    screen_paint(screen, lines, SCREEN_BOLD, name.data);
    buffer_append_char(lines, '\n');
    write_window(screen, lines, "recipients", &reply->recipients);
    write_window(screen, lines, "messages", &reply->messages);
    if (!reply->pause.is_there)
        write_room(lines, reply);
    if (reply->waiting > 0) {
        write_label(lines, "");
        buffer_format(lines, "%u messages wait for it\n", reply->waiting);
    }
    if (reply->pause.is_there)
        write_pause(screen, lines, reply);
    else if (reply->note.since != 0)
        write_note(screen, lines, reply);
    buffer_free(&name);
}
