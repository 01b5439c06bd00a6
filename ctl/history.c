/* history.c - post365 history: what an account sent, by hour or by minute, against its limit
 *
 * By hour it is about recipients, by minute about messages, as Microsoft's limits are. What counts
 * against a rolling limit at the end of a slot is what was sent in it, and before it within the
 * period: the two parts of a column. What counts in the hours to come, if nothing more is sent, is
 * known as well. The ledger remembers one period: of what counted in the past, and does not
 * any more, nothing is known.
 */
#include "common/clock.h"
#include "common/memory.h"
#include "common/quota.h"
#include "common/room.h"
#include "ctl/command.h"
#include "ctl/output.h"
#include "ctl/plot.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#define MINUTE (60 * CLOCK_SECOND)
#define HOUR   (60 * MINUTE)

#define COLUMNS_MAX  60
#define BESIDE_PLOT  12 /* lines: the limit, axis, title, legend, sums, the next prompt */
#define HEIGHT_LEAST 4
#define HEIGHT_MOST  16

/* What is plotted. */
struct kind {
    int64_t length; /* of a slot */
    size_t past;    /* slots, the present one among them */
    size_t expected;
    int64_t label_every; /* in local time */
    const char *title, *unit, *slot, *span;
};
static const struct kind by_hour = {HOUR,         24,           24,     6 * HOUR,
                                    "Recipients", "recipients", "hour", "24 hours"};
static const struct kind by_minute = {MINUTE,     60,         0,        15 * MINUTE,
                                      "Messages", "messages", "minute", "hour"};

struct history {
    const struct kind *kind;
    struct ledger_reply status;
    struct ledger_reply_slot *slots; /* by minute, from a period before the first column on */
    size_t count;
};

static const struct ledger_reply_window *window_of(const struct history *history)
{
    return history->kind == &by_hour ? &history->status.recipients : &history->status.messages;
}

/* Where the slot begins that is going on. */
static int64_t present_of(const struct history *history)
{
    return history->status.now - history->status.now % history->kind->length;
}

/* --- for programs --------------------------------------------------------------- */

static bool print_slot(void *context, const struct ledger_reply_slot *slot)
{
    (void)context;
    json_t *object =
        json_pack("{s:f, s:I, s:I}", "begin", (double)slot->begin / 1e6, "recipients",
                  (json_int_t)slot->recipients, "messages", (json_int_t)slot->messages);
    output_line(object);
    return true;
}

static int print_json(struct command_ledger *ledger, const char *account, const struct kind *kind)
{
    struct error error;
    int64_t from = clock_now(clock_system()) - (int64_t)kind->past * kind->length;
    if (!ledger_client_history(ledger->client, account,
                               kind == &by_minute ? LEDGER_PER_MINUTE : LEDGER_PER_HOUR, from,
                               print_slot, NULL, &error))
        return command_fail(EX_UNAVAILABLE, "%s", error.text);
    return COMMAND_FINE;
}

/* --- for people ------------------------------------------------------------------- */

static bool add_slot(void *context, const struct ledger_reply_slot *slot)
{
    struct history *history = context;
    history->slots = memory_grow(history->slots, (history->count + 1) * sizeof(*slot));
    history->slots[history->count++] = *slot;
    return true;
}

/* What was sent from `begin` up to, not including, `end`. */
static uint64_t sum(const struct history *history, int64_t begin, int64_t end)
{
    uint64_t sent = 0;
    for (size_t i = 0; i < history->count; i++) {
        const struct ledger_reply_slot *slot = &history->slots[i];
        if (slot->begin >= begin && slot->begin < end)
            sent += history->kind == &by_hour ? slot->recipients : slot->messages;
    }
    return sent;
}

/* A period that is shorter than a slot says nothing about the slot. */
static bool is_limited(const struct history *history)
{
    const struct quota_rate *rate = &window_of(history)->rate;
    return rate->limit != QUOTA_UNLIMITED && rate->period >= history->kind->length;
}

/* Hours and quarters are those of the local time. */
static void write_label(struct plot_column *column, const struct kind *kind, int64_t begin)
{
    struct tm local;
    time_t seconds = (time_t)(begin / CLOCK_SECOND);
    localtime_r(&seconds, &local);
    int64_t of_day = (local.tm_hour * 60 + local.tm_min) * MINUTE;
    if (of_day % kind->label_every < kind->length)
        strftime(column->label, sizeof(column->label), "%H:%M", &local);
}

/* The ledger's own word is exact for the present. */
static struct plot_column make_column(const struct history *history, int64_t begin)
{
    const struct ledger_reply_window *window = window_of(history);
    int64_t end = begin + history->kind->length, present = present_of(history);
    struct plot_column column = {.added = sum(history, begin, end)};
    if (is_limited(history) && begin == present)
        column.before = window->used > column.added ? window->used - column.added : 0;
    else if (is_limited(history))
        column.before = sum(history, end - window->rate.period, begin);
    if (begin == present)
        snprintf(column.label, sizeof(column.label), "now");
    else
        write_label(&column, history->kind, begin);
    return column;
}

/* Whether columns lack what counted then and counts no more. */
static bool is_cut_off(const struct history *history)
{
    const struct kind *kind = history->kind;
    int64_t recipients = history->status.recipients.rate.period;
    int64_t messages = history->status.messages.rate.period;
    int64_t known = recipients > messages ? recipients : messages;
    return (int64_t)kind->past * kind->length + window_of(history)->rate.period > known;
}

static void write_legend(const struct screen *screen, struct buffer *lines,
                         const struct history *history, bool has_expected)
{
    struct buffer legend = {0};
    char period[32];
    buffer_format(&legend, "%s sent in that %s", plot_added_sign(screen), history->kind->slot);
    if (is_limited(history))
        buffer_format(&legend, "; %s sent before, counts then", plot_before_sign(screen));
    if (is_limited(history) && is_cut_off(history))
        buffer_format(&legend, " (what is older than %s is not known)",
                      quota_format_period(window_of(history)->rate.period, period, sizeof(period)));
    if (has_expected)
        buffer_append_string(&legend, "; behind now: if nothing more is sent");
    buffer_append_char(lines, '\n');
    screen_append_wrapped(screen, lines, legend.data, 0);
    buffer_free(&legend);
}

/* Where the terminal is narrow what is expected gives way first, then the older past. */
static void write_plot(const struct screen *screen, struct buffer *lines,
                       const struct history *history)
{
    const struct kind *kind = history->kind;
    struct plot_column columns[COLUMNS_MAX];
    size_t fit = plot_most_columns(screen, UINT32_MAX); /* no number is longer */
    bool has_expected =
        is_limited(history) && kind->expected > 0 && kind->past + kind->expected <= fit;
    size_t expected = has_expected ? kind->expected : 0;
    size_t past = kind->past < fit ? kind->past : fit;
    size_t height = screen->height > BESIDE_PLOT ? (screen->height - BESIDE_PLOT) & ~(size_t)1 : 0;
    int64_t begin = present_of(history) - (int64_t)(past - 1) * kind->length;
    for (size_t i = 0; i < past + expected; i++)
        columns[i] = make_column(history, begin + (int64_t)i * kind->length);
    const struct plot plot = {.columns = columns,
                              .count = past + expected,
                              .expected = expected,
                              .limit = is_limited(history) ? window_of(history)->rate.limit
                                                           : PLOT_UNLIMITED,
                              .height = height < HEIGHT_LEAST  ? HEIGHT_LEAST
                                        : height > HEIGHT_MOST ? HEIGHT_MOST
                                                               : height};
    plot_write(screen, lines, &plot);
    write_legend(screen, lines, history, has_expected);
}

static void write_title(const struct screen *screen, struct buffer *lines,
                        const struct history *history)
{
    struct buffer name = {0}, title = {0};
    char rate[64];
    screen_text(&name, history->status.account);
    screen_paint(screen, lines, SCREEN_BOLD, name.data);
    buffer_append_char(lines, '\n');
    buffer_format(&title, "%s by %s", history->kind->title, history->kind->slot);
    if (is_limited(history))
        buffer_format(&title, ", limit %s",
                      quota_format_rate(&window_of(history)->rate, rate, sizeof(rate)));
    screen_append_wrapped(screen, lines, title.data, 0);
    buffer_append_char(lines, '\n');
    buffer_free(&name);
    buffer_free(&title);
}

/* What is used now, and when there is room. */
static void write_use(const struct screen *screen, struct buffer *lines,
                      const struct history *history)
{
    const struct ledger_reply *status = &history->status;
    const struct ledger_reply_window *window = window_of(history);
    char period[32];
    struct buffer use = {0};
    if (window->rate.limit == QUOTA_UNLIMITED) {
        buffer_format(&use, "There is no limit to its %s.", history->kind->unit);
    } else {
        quota_format_period(window->rate.period, period, sizeof(period));
        buffer_format(&use, "%" PRIu32 " of %" PRIu32 " %s are used in the last %s", window->used,
                      window->rate.limit, history->kind->unit, period);
    }
    if (status->pause.is_there)
        buffer_append_string(&use, "; it is paused, see post365 status");
    else if (status->earliest > status->now && status->earliest != LEDGER_FOREVER) {
        buffer_append_string(&use, "; room at ");
        room_write_when(&use, status->earliest, status->now);
    }
    screen_append_wrapped(screen, lines, use.data, 0);
    buffer_free(&use);
}

static bool find(struct command_ledger *ledger, const char *account, struct history *history,
                 int *status)
{
    const struct ledger_command command = {.kind = LEDGER_COMMAND_STATUS, .account = account};
    struct error error;
    if (!command_ask(ledger, &command, &history->status, status))
        return false;
    int64_t before = (int64_t)history->kind->past * history->kind->length;
    if (is_limited(history))
        before += window_of(history)->rate.period;
    int64_t from = before < history->status.now ? history->status.now - before : 0;
    if (ledger_client_history(ledger->client, account, LEDGER_PER_MINUTE, from, add_slot, history,
                              &error))
        return true;
    *status = command_fail(EX_UNAVAILABLE, "%s", error.text);
    return false;
}

static int print_text(const struct screen *screen, struct command_ledger *ledger,
                      const char *account, const struct kind *kind)
{
    struct history history = {.kind = kind};
    struct buffer lines = {0};
    int status = COMMAND_FINE;
    if (find(ledger, account, &history, &status)) {
        int64_t first = present_of(&history) - (int64_t)(kind->past - 1) * kind->length;
        write_title(screen, &lines, &history);
        if (sum(&history, first, INT64_MAX) > 0)
            write_plot(screen, &lines, &history);
        else
            buffer_format(&lines, "Nothing was sent in the last %s.\n", kind->span);
        write_use(screen, &lines, &history);
        fputs(lines.data, stdout);
    }
    buffer_free(&lines);
    free(history.slots);
    return status;
}

int history_run(struct command_call *call, int argc, char *argv[])
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"minutes", no_argument, NULL, 'm'}, {0}};
    struct command_ledger ledger;
    const struct kind *kind = &by_hour;
    bool as_json = false;
    int letter, status;
    while ((letter = command_option(argc, argv, options)) != -1) {
        if (letter == '?')
            return COMMAND_USAGE;
        as_json = as_json || letter == 'j';
        kind = letter == 'm' ? &by_minute : kind;
    }
    if (argc - optind != 1)
        return command_fail(COMMAND_USAGE, "usage: post365 history [--minutes] [--json] ACCOUNT");
    if (command_check_accounts(argv + optind, 1) != COMMAND_FINE)
        return COMMAND_USAGE;
    if (!command_open(call, &ledger, &status))
        return status;
    status = as_json ? print_json(&ledger, argv[optind], kind)
                     : print_text(&call->screen, &ledger, argv[optind], kind);
    command_close(&ledger);
    return status;
}
