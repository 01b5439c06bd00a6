/* history.c - post365 history: what an account sent, by hour or by minute */
#include "common/clock.h"
#include "common/quota.h"
#include "ctl/command.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#define HOUR        (3600 * CLOCK_SECOND)
#define SLOTS_MAX   100
#define BAR_MAX     60
#define BESIDE_BARS 40 /* columns */

struct history {
    struct ledger_reply_slot slots[SLOTS_MAX];
    size_t count;
};

static bool add_slot(void *context, const struct ledger_reply_slot *slot)
{
    struct history *history = context;
    if (history->count == SLOTS_MAX)
        return false;
    history->slots[history->count++] = *slot;
    return true;
}

static void print_json(const struct history *history)
{
    for (size_t i = 0; i < history->count; i++) {
        const struct ledger_reply_slot *slot = &history->slots[i];
        json_t *object =
            json_pack("{s:f, s:I, s:I}", "begin", (double)slot->begin / 1e6, "recipients",
                      (json_int_t)slot->recipients, "messages", (json_int_t)slot->messages);
        json_dumpf(object, stdout, JSON_PRESERVE_ORDER);
        putchar('\n');
        json_decref(object);
    }
}

static uint32_t most_of(const struct history *history)
{
    uint32_t most = 0;
    for (size_t i = 0; i < history->count; i++)
        most = history->slots[i].recipients > most ? history->slots[i].recipients : most;
    return most;
}

/* Slots in which nothing was sent are not told by the ledger: a gap is shown as one. */
static void print_text(const struct screen *screen, const struct history *history, int64_t length)
{
    size_t room = screen->width > BESIDE_BARS ? screen->width - BESIDE_BARS : 0;
    uint32_t most = most_of(history);
    printf("%-10s %10s %10s\n", "begins", "recipients", "messages");
    for (size_t i = 0; i < history->count; i++) {
        const struct ledger_reply_slot *slot = &history->slots[i];
        char begin[32];
        struct tm local;
        struct buffer bar = {0};
        time_t seconds = (time_t)(slot->begin / CLOCK_SECOND);
        strftime(begin, sizeof(begin), "%a %H:%M", localtime_r(&seconds, &local));
        screen_bar(screen, &bar, slot->recipients, most, room < BAR_MAX ? room : BAR_MAX);
        if (i > 0 && slot->begin - history->slots[i - 1].begin > length)
            puts("...");
        printf("%-10s %10u %10u  %s\n", begin, slot->recipients, slot->messages, bar.data);
        buffer_free(&bar);
    }
}

/* The sum, beside what may be sent. */
static void print_limit(struct command_ledger *ledger, const char *account)
{
    const struct ledger_command command = {.kind = LEDGER_COMMAND_STATUS, .account = account};
    struct ledger_reply reply;
    char period[32];
    int status;
    if (!command_ask(ledger, &command, &reply, &status) ||
        reply.recipients.rate.limit == QUOTA_UNLIMITED)
        return;
    quota_format_period(reply.recipients.rate.period, period, sizeof(period));
    printf("\n%u of %u recipients are used in the last %s\n", reply.recipients.used,
           reply.recipients.rate.limit, period);
}

static int show(struct command_call *call, const char *account, bool per_minute, bool as_json)
{
    struct command_ledger ledger;
    struct history history = {.count = 0};
    struct error error;
    int status = COMMAND_FINE;
    int64_t length = per_minute ? 60 * CLOCK_SECOND : HOUR;
    int64_t from = clock_now(clock_system()) - (per_minute ? HOUR : 24 * HOUR);
    if (!command_open(call, &ledger, &status))
        return status;
    if (!ledger_client_history(ledger.client, account,
                               per_minute ? LEDGER_PER_MINUTE : LEDGER_PER_HOUR, from, add_slot,
                               &history, &error))
        status = command_fail(EX_UNAVAILABLE, "%s", error.text);
    else if (as_json)
        print_json(&history);
    else if (history.count == 0)
        printf("%s has sent nothing in the last %s\n", account, per_minute ? "hour" : "24 hours");
    else
        print_text(&call->screen, &history, length);
    if (status == COMMAND_FINE && !as_json)
        print_limit(&ledger, account);
    command_close(&ledger);
    return status;
}

int history_run(struct command_call *call, int argc, char *argv[])
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"minutes", no_argument, NULL, 'm'}, {0}};
    bool as_json = false, per_minute = false;
    int letter;
    while ((letter = command_option(argc, argv, "jm", options)) != -1) {
        if (letter == '?')
            return COMMAND_USAGE;
        as_json = as_json || letter == 'j';
        per_minute = per_minute || letter == 'm';
    }
    if (argc - optind != 1)
        return command_fail(COMMAND_USAGE, "usage: post365 history [--minutes] [--json] ACCOUNT");
    return show(call, argv[optind], per_minute, as_json);
}
