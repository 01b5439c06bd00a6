/* consequence.c - what Microsoft's answer means for all other mail of an account */
#include "common/clock.h"
#include "common/dictionary.h"
#include "common/log.h"
#include "common/memory.h"
#include "transport/delivery/parts.h"

#include <stdlib.h>
#include <string.h>

#define SECOND CLOCK_SECOND
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

struct waker {
    struct deliveries *all;
    char *account;
};

/* The account is paused: its mail goes when that is over. */
static void paused(void *context, const struct ledger_reply *reply, const struct error *error)
{
    (void)error;
    struct waker *waker = context;
    if (reply != NULL && reply->result == LEDGER_REPLY_DONE && reply->pause.until != LEDGER_FOREVER)
        wakeup_put_account(waker->all->parts.wakeup, waker->account, reply->pause.until);
    free(waker->account);
    free(waker);
}

static void pause_account(struct delivery *delivery, int64_t least, int64_t most)
{
    const struct verdict *verdict = &delivery->verdict;
    const struct ledger_command command = {.kind = LEDGER_COMMAND_PAUSE,
                                           .account = delivery->account,
                                           .cause = verdict->reply,
                                           .least = least,
                                           .most = most};
    struct waker *waker = memory_zero(1, sizeof(*waker));
    waker->all = delivery->all;
    waker->account = memory_copy(delivery->account);
    if (ledger_channel_ask(delivery->all->parts.channel, &command, paused, waker, NULL) == NULL) {
        free(waker->account);
        free(waker);
    }
    log_warning("%s: account <%s> is paused, cause %s: %s", delivery_shown_id(delivery),
                delivery->account, verdict->row->name, verdict->reply);
}

void delivery_obey(struct delivery *delivery)
{
    switch (delivery->verdict.account) {
    case OFFICE365_ACCOUNT_NOTHING:
        return;
    case OFFICE365_ACCOUNT_RETRY_SOON:
        pool_shrink(delivery->all->parts.pool, delivery->account);
        pause_account(delivery, 5 * SECOND, MINUTE);
        return;
    case OFFICE365_ACCOUNT_PAUSE_SHORT:
        pause_account(delivery, MINUTE, MINUTE);
        return;
    case OFFICE365_ACCOUNT_PAUSE_FOR_ROOM:
        pause_account(delivery, 5 * MINUTE, HOUR);
        return;
    case OFFICE365_ACCOUNT_PAUSE_UNTIL_FIXED:
        pause_account(delivery, MINUTE, HOUR);
        return;
    }
}

/* --- credentials ---------------------------------------------------------------- */

void delivery_lock_out(struct delivery *delivery)
{
    static char known[] = "";
    dictionary_put(delivery->all->locked_out, delivery->account, known);
}

/* Its cause is the reply that paused it, which says at what stage it came. */
void delivery_note_pause(struct delivery *delivery, const char *cause)
{
    if (strstr(cause, office365_stage_words(REPLY_STAGE_AUTH)) != NULL)
        delivery_lock_out(delivery);
}

void delivery_unlock(struct delivery *delivery)
{
    dictionary_remove(delivery->all->locked_out, delivery->account);
}

static void resume(void *context, const char *account, void *value)
{
    (void)value;
    const struct deliveries *deliveries = context;
    const struct ledger_command command = {.kind = LEDGER_COMMAND_RESUME, .account = account};
    ledger_channel_ask(deliveries->parts.channel, &command, NULL, NULL, NULL);
    wakeup_put_account(deliveries->parts.wakeup, account, clock_now(clock_system()) + SECOND);
    log_info("the credentials have changed: account <%s> is resumed", account);
}

void deliveries_credentials_changed(struct deliveries *deliveries)
{
    dictionary_each(deliveries->locked_out, resume, deliveries);
    dictionary_free(deliveries->locked_out);
    deliveries->locked_out = dictionary_new(NULL);
}
