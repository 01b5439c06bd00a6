/* ledger_health.c - does the ledger answer? */
#include "transport/ledger_health.h"

#include "common/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

struct ledger_health {
    struct ledger_channel *channel;
    struct ledger_call *call; /* the question under way, or NULL */
    time_t asked;             /* when, by a clock that only goes forward */
    struct error refusal;     /* what was answered instead of an answer */
    struct error trouble;
};

static time_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

static void answered(void *context, const struct ledger_reply *reply, const struct error *error)
{
    (void)error;
    struct ledger_health *health = context;
    health->call = NULL;
    health->refusal.text[0] = '\0';
    if (reply != NULL && reply->result != LEDGER_REPLY_DONE)
        error_set(&health->refusal, "%s", reply->reason);
}

/* The question that costs policyd least, and needs no ledger. */
static void ask(struct ledger_health *health)
{
    const struct ledger_command command = {.kind = LEDGER_COMMAND_SETTINGS};
    health->call = ledger_channel_ask(health->channel, &command, answered, health, NULL);
    health->asked = seconds();
}

void ledger_health_check(struct ledger_health *health)
{
    struct error error;
    time_t silence = health->call != NULL ? seconds() - health->asked : 0;
    health->trouble.text[0] = '\0';
    if (!ledger_channel_is_up(health->channel, &error))
        error_set(&health->trouble, "the ledger does not answer: %s", error.text);
    else if (silence > LEDGER_HEALTH_PATIENCE)
        error_set(&health->trouble,
                  "the ledger does not answer: post365-policyd has said nothing for %" PRIdMAX " s",
                  (intmax_t)silence);
    else if (health->refusal.text[0] != '\0')
        error_set(&health->trouble, "the ledger cannot be used: %s", health->refusal.text);
    if (health->call == NULL)
        ask(health);
}

const char *ledger_health_trouble(const struct ledger_health *health)
{
    return health->trouble.text;
}

struct ledger_health *ledger_health_new(struct ledger_channel *channel)
{
    struct ledger_health *health = memory_zero(1, sizeof(*health));
    health->channel = channel;
    return health;
}

void ledger_health_free(struct ledger_health *health)
{
    if (health == NULL)
        return;
    if (health->call != NULL)
        ledger_channel_cancel(health->call);
    free(health);
}
