/* fill.c - a ledger with a past
 *
 * SYNOPSIS
 *     fill CONFIG-DIRECTORY ACCOUNTS EVENTS SECONDS
 *
 * DESCRIPTION
 *     Writes EVENTS messages to one recipient each for each of ACCOUNTS accounts, spread evenly
 *     over the last SECONDS, each in a turn of its own, into the ledger that main.cf names, with
 *     policyd's own ledger and a clock that runs through these seconds as fast as it can. The
 *     accounts are those that load asks for. Started as root it changes to post365_user as policyd
 *     does.
 */
#include "common/clock.h"
#include "common/service.h"
#include "common/settings.h"
#include "policyd/ledger/ledger.h"
#include "policyd/store/bdb.h"
#include "policyd/store/directory.h"
#include "tests/bench/question.h"

#include <err.h>
#include <stdlib.h>
#include <sysexits.h>

struct past {
    struct clock clock;
    int64_t now;
};

static int64_t past_now(struct clock *clock)
{
    return ((const struct past *)(const void *)clock)->now;
}

static struct ledger *open_ledger(const struct settings *settings, struct past *past,
                                  struct error *error)
{
    const struct ledger_rules rules = {.guard = settings->quota_guard,
                                       .retention = ledger_longest_period(&settings->quota)};
    if (!store_directory_prepare(settings, false, error) ||
        !service_drop_privileges(settings, error))
        return NULL;
    struct store *store = store_bdb_open(settings, error);
    return store != NULL ? ledger_open(&past->clock, store, &rules, error) : NULL;
}

static void send_one(struct ledger *ledger, const struct settings *settings, uint32_t account)
{
    char name[QUESTION_SENDER_SIZE];
    struct ledger_answer answer;
    const struct ledger_request request = {.account = question_sender(account, name),
                                           .quota = &settings->quota,
                                           .recipients = 1,
                                           .messages = 1};
    ledger_count(ledger, &request, &answer);
    if (answer.verdict != LEDGER_GRANTED)
        errx(EX_SOFTWARE, "%s may not send; raise the quotas", name);
}

/* A time in which each account sends one message. */
struct round {
    int64_t begin, length;
};

static void send_round(struct ledger *ledger, const struct settings *settings, uint32_t accounts,
                       struct past *past, struct round round)
{
    struct error error;
    bool more;
    for (uint32_t account = 0; account < accounts; account++) {
        past->now = round.begin + round.length * account / accounts;
        send_one(ledger, settings, account);
        if (!ledger_commit(ledger, &error))
            errx(EX_IOERR, "%s", error.text);
    }
    if (!ledger_tidy(ledger, &more, &error))
        errx(EX_IOERR, "%s", error.text);
}

int main(int argc, char *argv[])
{
    struct error error;
    if (argc != 5)
        errx(EX_USAGE, "usage: fill CONFIG-DIRECTORY ACCOUNTS EVENTS SECONDS");
    uint32_t accounts = (uint32_t)strtoul(argv[2], NULL, 10);
    uint32_t events = (uint32_t)strtoul(argv[3], NULL, 10);
    int64_t length = (int64_t)strtoul(argv[4], NULL, 10) * CLOCK_SECOND;
    struct settings *settings = settings_read(argv[1], NULL, &error);
    if (settings == NULL)
        errx(EX_CONFIG, "%s", error.text);
    int64_t begin = clock_now(clock_system()) - length;
    struct past past = {.clock = {.now = past_now}, .now = begin};
    struct ledger *ledger = open_ledger(settings, &past, &error);
    if (ledger == NULL)
        errx(EX_CONFIG, "%s", error.text);
    for (uint32_t event = 0; event < events; event++)
        send_round(ledger, settings, accounts, &past,
                   (struct round){begin + length / events * event, length / events});
    ledger_close(ledger);
    settings_free(settings);
    return EX_OK;
}
