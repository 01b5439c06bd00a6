/* consequence.c - what Microsoft's answer means for all other mail of an account
 *
 * An account in trouble is paused in the ledger, or nobody has answered it. Of a pause it is known
 * here until when, so that the account's own socket turns Postfix away in one step. One message is
 * woken up when the trouble may be over: Postfix by itself waits longer and longer. When Microsoft
 * has answered that one without a word about the account, the others are.
 */
#include "common/clock.h"
#include "common/control.h"
#include "common/dictionary.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/room.h"
#include "transport/delivery/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define SECOND CLOCK_SECOND
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

/* The ledger is asked so often whether a pause has ended: somebody may end it by hand. */
#define LOOK_SECONDS 5
/* When nobody has answered, one message is tried again after this time. */
#define UNANSWERED (10 * SECOND)

/* All zero: nobody has answered. */
struct trouble {
    int64_t until; /* LEDGER_FOREVER: until somebody ends it; 0: not paused, or not any more */
    bool is_login; /* ends with other credentials */
    char cause[CONTROL_CAUSE_MAX + 1];
};

/* What a request to the ledger is about. */
struct asked {
    struct deliveries *all;
    char *account, *cause;
};

static struct asked *new_asked(struct deliveries *all, const char *account, const char *cause)
{
    struct asked *asked = memory_zero(1, sizeof(*asked));
    asked->all = all;
    asked->account = memory_copy(account);
    asked->cause = memory_copy(cause);
    return asked;
}

static void free_asked(struct asked *asked)
{
    free(asked->account);
    free(asked->cause);
    free(asked);
}

/* --- knowing --------------------------------------------------------------------- */

void delivery_note_pause(struct deliveries *all, const char *account, const char *cause,
                         int64_t until)
{
    struct trouble *trouble = memory_zero(1, sizeof(*trouble));
    trouble->until = until;
    trouble->is_login = strstr(cause, office365_stage_words(REPLY_STAGE_AUTH)) != NULL;
    snprintf(trouble->cause, sizeof(trouble->cause), "%s", cause);
    dictionary_put(all->troubled, account, trouble);
    wakeup_put_probe(all->parts.wakeup, account, until);
}

void delivery_note_health(const struct delivery *delivery)
{
    struct deliveries *all = delivery->all;
    if (!dictionary_remove(all->troubled, delivery->account))
        return;
    log_info("account <%s> works again", delivery->account);
    wakeup_put_account(all->parts.wakeup, delivery->account, clock_now(clock_system()));
}

void delivery_note_silence(struct deliveries *all, const char *account)
{
    if (dictionary_find(all->troubled, account) == NULL)
        dictionary_put(all->troubled, account, memory_zero(1, sizeof(struct trouble)));
    wakeup_put_probe(all->parts.wakeup, account, clock_now(clock_system()) + UNANSWERED);
}

const char *delivery_greet(void *context, const char *account)
{
    struct deliveries *all = context;
    int64_t now = clock_now(clock_system());
    const struct trouble *trouble = dictionary_find(all->troubled, account);
    if (trouble == NULL || now >= trouble->until)
        return NULL;
    all->counts.turned_away++;
    buffer_clear(&all->greeting);
    buffer_append_string(&all->greeting, "421 4.7.1 ");
    room_write_paused(&all->greeting, account, trouble->cause, trouble->until, now);
    return all->greeting.data;
}

/* --- looking again --------------------------------------------------------------- */

static void status_told(void *context, const struct ledger_reply *reply, const struct error *error)
{
    (void)error;
    struct asked *asked = context;
    struct trouble *trouble = dictionary_find(asked->all->troubled, asked->account);
    if (trouble != NULL && trouble->until != 0 && reply != NULL &&
        reply->result == LEDGER_REPLY_DONE) {
        bool is_over = !reply->pause.is_there || reply->pause.until <= reply->now;
        trouble->until = is_over ? 0 : reply->pause.until;
        wakeup_put_probe(asked->all->parts.wakeup, asked->account,
                         is_over ? clock_now(clock_system()) : reply->pause.until);
    }
    free_asked(asked);
}

static void ask_status(void *context, const char *account, void *value)
{
    struct deliveries *all = context;
    const struct trouble *trouble = value;
    const struct ledger_command command = {.kind = LEDGER_COMMAND_STATUS, .account = account};
    if (trouble->until == 0)
        return;
    struct asked *asked = new_asked(all, account, NULL);
    if (ledger_channel_ask(all->parts.channel, &command, status_told, asked, NULL) == NULL)
        free_asked(asked);
}

static void look_again(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct deliveries *all = argument;
    dictionary_each(all->troubled, ask_status, all);
}

void delivery_look_begin(struct deliveries *all)
{
    const struct timeval often = {.tv_sec = LOOK_SECONDS};
    all->look = event_new(all->parts.base, -1, EV_PERSIST, look_again, all);
    if (all->look == NULL || event_add(all->look, &often) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

/* --- pausing --------------------------------------------------------------------- */

static void paused(void *context, const struct ledger_reply *reply, const struct error *error)
{
    (void)error;
    struct asked *asked = context;
    if (reply != NULL && reply->result == LEDGER_REPLY_DONE)
        delivery_note_pause(asked->all, asked->account, asked->cause, reply->pause.until);
    else
        delivery_note_silence(asked->all, asked->account); /* it is not paused */
    free_asked(asked);
}

/* The cause begins with its name, for programs, and for people who see no more than its beginning;
 * the remedy is no part of it. */
static void pause_account(struct delivery *delivery, int64_t least, int64_t most)
{
    const struct verdict *verdict = &delivery->verdict;
    char *cause = memory_format("%s: %.*s", verdict->row->name, (int)verdict->said, verdict->reply);
    const struct ledger_command command = {.kind = LEDGER_COMMAND_PAUSE,
                                           .account = delivery->account,
                                           .cause = cause,
                                           .least = least,
                                           .most = most};
    struct asked *asked = new_asked(delivery->all, delivery->account, cause);
    if (ledger_channel_ask(delivery->all->parts.channel, &command, paused, asked, NULL) == NULL)
        free_asked(asked);
    delivery->all->counts.pauses[office365_row_number(verdict->row)]++;
    log_warning("%s: account <%s> is paused, cause %s", delivery_shown_id(delivery),
                delivery->account, cause);
    free(cause);
}

static void do_as_told(struct delivery *delivery)
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

/* Five hundred recipients that are refused for one reason are one reason. */
void delivery_obey(struct delivery *delivery)
{
    if (delivery->verdict.row == delivery->obeyed)
        return;
    delivery->obeyed = delivery->verdict.row;
    do_as_told(delivery);
}

/* --- credentials ---------------------------------------------------------------- */

/* One message shows whether it was the credentials. */
static void resume(void *context, const char *account, void *value)
{
    const struct deliveries *all = context;
    struct trouble *trouble = value;
    const struct ledger_command command = {.kind = LEDGER_COMMAND_RESUME, .account = account};
    if (!trouble->is_login)
        return;
    ledger_channel_ask(all->parts.channel, &command, NULL, NULL, NULL);
    trouble->until = 0;
    wakeup_put_probe(all->parts.wakeup, account, clock_now(clock_system()) + SECOND);
    log_info("the credentials have changed: account <%s> is resumed", account);
}

void deliveries_credentials_changed(struct deliveries *deliveries)
{
    dictionary_each(deliveries->troubled, resume, deliveries);
}
