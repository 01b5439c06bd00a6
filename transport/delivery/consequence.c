/* consequence.c - what Microsoft's answer means for all other mail of an account
 *
 * An account in trouble is paused in the ledger, or nobody has answered it. Of a pause it is known
 * here until when, so that the account's own socket turns Postfix away in one step. One message is
 * woken up when the trouble may be over: Postfix by itself waits longer and longer. When Microsoft
 * has answered that one without a word about the account, the others are.
 */
#include "common/attr.h"
#include "common/clock.h"
#include "common/control.h"
#include "common/dictionary.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/room.h"
#include "common/silence.h"
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
/* So many ends of a kind in a row, without a reply to a whole message in between, pause the
 * account: behind the final dot each may be a copy, before it nothing is lost. */
#define UNKNOWN_MOST 2
#define LOST_MOST    3
/* So many stalls of one message double the patience with it; of so many messages that is known. */
#define STALLS_A_DOUBLING 4
#define STALLS_MOST       10000

/* All zero: nobody has answered. */
struct trouble {
    int64_t until; /* LEDGER_FOREVER: until somebody ends it; 0: not paused, or not any more */
    bool is_asked; /* the ledger is to pause it, and has not answered: `until` is a guess */
    enum verdict_end end; /* what ends it before its time */
    char *registration;   /* of the token that is refused, or not there; NULL: none, or not known */
    unsigned unknown, lost; /* ends in a row, behind the final dot and before */
    uint64_t lost_at;       /* the last that counted among the latter; distribution_clock() */
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

static struct trouble *trouble_of(struct deliveries *all, const char *account)
{
    struct trouble *trouble = dictionary_find(all->troubled, account);
    if (trouble == NULL) {
        trouble = memory_zero(1, sizeof(*trouble));
        dictionary_put(all->troubled, account, trouble);
    }
    return trouble;
}

void delivery_release_trouble(void *value)
{
    struct trouble *trouble = value;
    free(trouble->registration);
    free(trouble);
}

static void note_way_out(struct trouble *trouble, enum verdict_end end, const char *registration)
{
    char *copy = registration != NULL ? memory_copy(registration) : NULL;
    free(trouble->registration);
    trouble->registration = copy;
    trouble->end = end;
}

/* The same cause leaves what is known of it. */
static struct trouble *note_cause(struct deliveries *all, const char *account, const char *cause,
                                  int64_t until)
{
    char text[CONTROL_CAUSE_MAX + 1];
    struct trouble *trouble = trouble_of(all, account);
    attr_text(cause, strlen(cause), text, sizeof(text));
    trouble->until = until;
    trouble->is_asked = false;
    if (strcmp(text, trouble->cause) != 0)
        note_way_out(trouble, verdict_end_of_cause(text), NULL);
    strcpy(trouble->cause, text);
    return trouble;
}

void delivery_note_pause(struct deliveries *all, const char *account, const char *cause,
                         int64_t until)
{
    note_cause(all, account, cause, until);
    wakeup_put_probe(all->parts.wakeup, account, until);
}

/* Microsoft has answered, and has nothing against the account. Where messages did not get through
 * only the reply to a whole one shows that they do. */
static void note_health(const struct delivery *delivery, enum reply_stage stage)
{
    struct deliveries *all = delivery->all;
    const struct trouble *trouble = dictionary_find(all->troubled, delivery->account);
    if (trouble == NULL ||
        (trouble->unknown + trouble->lost > 0 && stage != REPLY_STAGE_END_OF_DATA))
        return;
    dictionary_remove(all->troubled, delivery->account);
    log_info("account <%s> works again", delivery->account);
    wakeup_put_account(all->parts.wakeup, delivery->account, clock_now(clock_system()));
}

void delivery_note_silence(struct deliveries *all, const char *account)
{
    trouble_of(all, account);
    wakeup_put_probe(all->parts.wakeup, account, clock_now(clock_system()) + UNANSWERED);
}

bool delivery_must_wait(const struct delivery *delivery)
{
    const struct trouble *trouble = dictionary_find(delivery->all->troubled, delivery->account);
    return trouble != NULL && (trouble->is_asked || trouble->unknown >= UNKNOWN_MOST) &&
           clock_now(clock_system()) < trouble->until;
}

void delivery_write_paused(const struct delivery *delivery, struct buffer *reply)
{
    const struct trouble *trouble = dictionary_find(delivery->all->troubled, delivery->account);
    buffer_append_string(reply, "450 4.7.1 ");
    room_write_paused(reply, delivery->account, trouble->cause, trouble->until,
                      clock_now(clock_system()));
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
    delivery_look_for_width(all);
}

void delivery_look_begin(struct deliveries *all)
{
    const struct timeval often = {.tv_sec = LOOK_SECONDS};
    all->look = event_new(all->parts.base, -1, EV_PERSIST, look_again, all);
    if (all->look == NULL || event_add(all->look, &often) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

/* --- pausing --------------------------------------------------------------------- */

static void note_not_paused(struct deliveries *all, const char *account)
{
    struct trouble *trouble = trouble_of(all, account);
    if (trouble->is_asked)
        trouble->until = 0;
    trouble->is_asked = false;
    delivery_note_silence(all, account);
}

static void paused(void *context, const struct ledger_reply *reply, const struct error *error)
{
    (void)error;
    struct asked *asked = context;
    if (reply != NULL && reply->result == LEDGER_REPLY_DONE)
        delivery_note_pause(asked->all, asked->account, asked->cause, reply->pause.until);
    else
        note_not_paused(asked->all, asked->account);
    free_asked(asked);
}

static void count_pause(struct delivery_counts *counts, const struct verdict *verdict)
{
    size_t count;
    if (verdict->row != NULL) {
        counts->pauses[office365_row_number(verdict->row)]++;
        return;
    }
    if (verdict->entra != NULL) {
        counts->token_pauses[verdict->entra - entra_rows(&count)]++;
        return;
    }
    for (enum silence silence = SILENCE_NONE + 1; silence < SILENCES; silence++)
        counts->silences[silence] += strcmp(silence_name(silence), verdict->name) == 0;
}

/* What lacks is one token, for however many accounts: post365-tokend has said what there is to say
 * of it. */
static void log_pause(const struct delivery *delivery, const char *cause)
{
    if (delivery->verdict.entra != NULL)
        log_info("%s: account <%s> is paused for want of an access token: %s, registration %s",
                 delivery_shown_id(delivery), delivery->account, delivery->verdict.name,
                 delivery->registration != NULL ? delivery->registration : "unknown");
    else
        log_warning("%s: account <%s> is paused, cause %s", delivery_shown_id(delivery),
                    delivery->account, cause);
}

static bool is_paused_for(const struct trouble *trouble, const char *cause, int64_t now)
{
    char text[CONTROL_CAUSE_MAX + 1];
    attr_text(cause, strlen(cause), text, sizeof(text));
    return now < trouble->until && strcmp(trouble->cause, text) == 0;
}

static void ask_pause(struct delivery *delivery, const char *cause, int64_t least, int64_t most)
{
    const struct ledger_command command = {.kind = LEDGER_COMMAND_PAUSE,
                                           .account = delivery->account,
                                           .cause = cause,
                                           .least = least,
                                           .most = most};
    struct asked *asked = new_asked(delivery->all, delivery->account, cause);
    struct trouble *trouble = trouble_of(delivery->all, delivery->account);
    int64_t now = clock_now(clock_system());
    if (now >= trouble->until) {
        note_cause(delivery->all, delivery->account, cause, now + least);
        note_way_out(trouble, delivery->verdict.end, delivery->registration);
    }
    trouble->is_asked =
        ledger_channel_ask(delivery->all->parts.channel, &command, paused, asked, NULL) != NULL;
    if (!trouble->is_asked)
        free_asked(asked);
}

/* The cause begins with its name, for programs, and for people who see no more than its beginning;
 * the remedy is no part of it. From now on nothing of the account begins: what has its room already
 * does not wait for the ledger's answer to send one more password, or one more copy. Those who
 * waited together, and are refused together, are one reason. */
static void pause_account(struct delivery *delivery, int64_t least, int64_t most)
{
    const struct verdict *verdict = &delivery->verdict;
    char *cause = memory_format("%s: %.*s", verdict->name, (int)verdict->said, verdict->reply);
    const struct trouble *trouble = trouble_of(delivery->all, delivery->account);
    if (!is_paused_for(trouble, cause, clock_now(clock_system()))) {
        ask_pause(delivery, cause, least, most);
        count_pause(&delivery->all->counts, verdict);
        log_pause(delivery, cause);
    }
    free(cause);
}

/* Until post365-tokend's next attempt, within bounds. It tells when there is a token, and that ends
 * the pause: so the first attempts, which follow each other quickly, need not be asked about with
 * a message of each account. */
static void pause_until(struct delivery *delivery, int64_t until)
{
    int64_t length = until - clock_now(clock_system());
    length = length > MINUTE ? length : MINUTE;
    length = length < HOUR ? length : HOUR;
    pause_account(delivery, length, length);
}

static void do_as_told(struct delivery *delivery)
{
    switch (delivery->verdict.account) {
    case OFFICE365_ACCOUNT_NOTHING:
        return;
    case OFFICE365_ACCOUNT_RETRY_SOON:
        pool_shrink(delivery->all->parts.pool, delivery->account);
        if (pool_refuse_spare(delivery->all->parts.pool, delivery->account)) {
            delivery_note_silence(delivery->all, delivery->account);
            return;
        }
        pause_account(delivery, 5 * SECOND, MINUTE);
        return;
    case OFFICE365_ACCOUNT_PAUSE_SHORT:
        if (delivery->verdict.until > 0)
            pause_until(delivery, delivery->verdict.until);
        else
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
    if (delivery->verdict.name == delivery->obeyed)
        return;
    delivery->obeyed = delivery->verdict.name;
    do_as_told(delivery);
}

static void count_stall(struct delivery *delivery)
{
    struct dictionary *all = delivery->all->stalls;
    unsigned *stalls = dictionary_find(all, delivery->queue_id);
    if (stalls != NULL) {
        ++*stalls;
        return;
    }
    if (delivery->queue_id[0] == '\0' || dictionary_count(all) >= STALLS_MOST)
        return;
    stalls = memory_zero(1, sizeof(*stalls));
    *stalls = 1;
    dictionary_put(all, delivery->queue_id, stalls);
}

/* Nothing was sent: another connection may carry it at once. Those that were there at the same time
 * and are lost together are one loss. */
static void note_lost(struct delivery *delivery, struct trouble *trouble)
{
    delivery_note_broken(delivery);
    if (delivery->connected >= trouble->lost_at) {
        trouble->lost++;
        trouble->lost_at = distribution_clock();
    }
    delivery_note_silence(delivery->all, delivery->account);
    if (trouble->lost >= LOST_MOST)
        pause_account(delivery, 5 * SECOND, MINUTE);
    else
        delivery_wake_soon(delivery);
}

/* Nobody has replied. */
static void note_loss(struct delivery *delivery, enum silence silence)
{
    struct deliveries *all = delivery->all;
    struct trouble *trouble = trouble_of(all, delivery->account);
    switch (silence) {
    case SILENCE_MAYBE_DELIVERED:
        delivery_note_unknown(delivery);
        if (++trouble->unknown >= UNKNOWN_MOST)
            pause_account(delivery, 5 * MINUTE, HOUR);
        return;
    case SILENCE_STALLED:
        count_stall(delivery);
        note_lost(delivery, trouble);
        return;
    case SILENCE_LOST:
        note_lost(delivery, trouble);
        return;
    case SILENCE_LOGIN:
        delivery_obey(delivery);
        return;
    case SILENCE_NONE:
    case SILENCES:
        delivery_note_silence(all, delivery->account);
        return;
    }
}

/* There is no token to log in with. */
static void note_no_token(struct delivery *delivery)
{
    struct deliveries *all = delivery->all;
    if (delivery->verdict.account != OFFICE365_ACCOUNT_NOTHING) {
        delivery_obey(delivery);
        return;
    }
    delivery_note_silence(all, delivery->account);
    note_way_out(trouble_of(all, delivery->account), VERDICT_ENDS_WITH_TOKEN,
                 delivery->registration);
}

void delivery_note_end(struct delivery *delivery, const struct submission_end *end)
{
    const struct verdict *verdict = &delivery->verdict;
    delivery->registration = end->registration;
    if (end->token_cause != NULL) {
        note_no_token(delivery);
        return;
    }
    if (end->reply == NULL) {
        note_loss(delivery, end->silence);
        return;
    }
    if (end->stage == REPLY_STAGE_END_OF_DATA) {
        dictionary_remove(delivery->all->stalls, delivery->queue_id);
        delivery_note_known(delivery);
    }
    if (verdict->account == OFFICE365_ACCOUNT_NOTHING)
        note_health(delivery, end->stage);
    if (!verdict->is_accepted && end->stage != REPLY_STAGE_RCPT)
        delivery_obey(delivery);
}

/* A message that stalls while others get through is what stalls: it is shown more patience, too,
 * though not as soon. Ever the same patience could be too little for ever. */
unsigned delivery_losses(const struct delivery *delivery)
{
    const struct trouble *trouble = dictionary_find(delivery->all->troubled, delivery->account);
    const unsigned *stalls = dictionary_find(delivery->all->stalls, delivery->queue_id);
    unsigned lost = trouble != NULL ? trouble->lost : 0;
    unsigned stalled = stalls != NULL ? *stalls / STALLS_A_DOUBLING : 0;
    return lost > stalled ? lost : stalled;
}

/* --- stalls ---------------------------------------------------------------------- */

/* What to say about an account whose connection stalls. It has one: that a stall is over is told
 * before a connection goes. */
static char *stall_cause(const struct delivery *delivery)
{
    static const char *const waits[DELIVERY_STATES] = {
        [DELIVERY_ENVELOPE] = "does not answer sender, recipients or DATA",
        [DELIVERY_BODY] = "does not take the message",
        [DELIVERY_FINAL] = "does not answer the end of the message"};
    const char *wait = waits[delivery->state];
    return memory_format("%s: host %s %s; other connections are tried",
                         silence_name(SILENCE_STALLED), submission_host(delivery->submission),
                         wait != NULL ? wait : "does not answer");
}

static void leave_note(struct deliveries *all, const char *account, const char *cause)
{
    const struct ledger_command command = {
        .kind = LEDGER_COMMAND_NOTE, .account = account, .cause = cause};
    ledger_channel_ask(all->parts.channel, &command, NULL, NULL, NULL);
}

static const struct delivery *find_stalled(const struct deliveries *all, const char *account)
{
    const struct delivery *delivery = all->first;
    while (delivery != NULL && (!delivery->is_stalled || strcmp(delivery->account, account) != 0))
        delivery = delivery->next;
    return delivery;
}

/* The way is free, and it is this connection that stalls: up to the final dot nothing is lost by
 * taking another one at once. */
static void give_up_if_overtaken(struct delivery *delivery)
{
    bool is_before_dot = delivery->state == DELIVERY_ENVELOPE || delivery->state == DELIVERY_BODY;
    if (!is_before_dot || delivery_losses(delivery) > 0 || !delivery_is_overtaken(delivery))
        return;
    delivery->is_given_up = true;
    delivery_set_timer(delivery, 0);
}

void delivery_note_stalled(struct delivery *delivery, bool is_stalled)
{
    struct deliveries *all = delivery->all;
    delivery->is_stalled = is_stalled;
    const struct delivery *stalled = find_stalled(all, delivery->account);
    char *cause = stalled != NULL ? stall_cause(stalled) : NULL;
    if (is_stalled)
        log_warning("%s: account <%s>: %s", delivery_shown_id(delivery), delivery->account, cause);
    leave_note(all, delivery->account, cause);
    free(cause);
    if (is_stalled)
        give_up_if_overtaken(delivery);
}

void delivery_give_up_stalled(struct deliveries *all, const char *account)
{
    for (struct delivery *delivery = all->first; delivery != NULL; delivery = delivery->next)
        if (delivery->is_stalled && strcmp(delivery->account, account) == 0)
            give_up_if_overtaken(delivery);
}

void delivery_note_stalls_again(struct deliveries *all)
{
    for (const struct delivery *delivery = all->first; delivery != NULL; delivery = delivery->next)
        if (delivery->is_stalled) {
            char *cause = stall_cause(delivery);
            leave_note(all, delivery->account, cause);
            free(cause);
        }
}

/* --- credentials ---------------------------------------------------------------- */

/* One message shows whether that was it. What somebody has paused by hand meanwhile stays so. */
static void resume(const struct deliveries *all, const char *account, struct trouble *trouble)
{
    const struct ledger_command command = {
        .kind = LEDGER_COMMAND_RESUME, .account = account, .cause = trouble->cause};
    if (trouble->cause[0] != '\0')
        ledger_channel_ask(all->parts.channel, &command, NULL, NULL, NULL);
    trouble->until = 0;
    trouble->is_asked = false;
    wakeup_put_probe(all->parts.wakeup, account, clock_now(clock_system()) + SECOND);
}

static void resume_for_credentials(void *context, const char *account, void *value)
{
    struct trouble *trouble = value;
    if (trouble->end == VERDICT_ENDS_WITH_TIME)
        return;
    resume(context, account, trouble);
    log_info("the credentials have changed: account <%s> is resumed", account);
}

void deliveries_credentials_changed(struct deliveries *deliveries)
{
    dictionary_each(deliveries->troubled, resume_for_credentials, deliveries);
}

/* Of which subject there is a token. */
struct fresh {
    const struct deliveries *all;
    const char *registration, *account;
    bool is_another;
};

/* Whose pause another process has begun may be anybody's. */
static bool is_of_subject(const struct fresh *fresh, const char *account,
                          const struct trouble *trouble)
{
    const char *registration = trouble->registration;
    if (fresh->account[0] != '\0' && strcmp(fresh->account, account) != 0)
        return false;
    if (registration == NULL)
        return trouble->end == VERDICT_ENDS_WITH_TOKEN;
    return strcmp(registration, fresh->registration) == 0;
}

static void resume_for_token(void *context, const char *account, void *value)
{
    const struct fresh *fresh = context;
    struct trouble *trouble = value;
    bool is_over = trouble->end == VERDICT_ENDS_WITH_TOKEN ||
                   (trouble->end == VERDICT_ENDS_WITH_CREDENTIALS && fresh->is_another);
    if (!is_over || !is_of_subject(fresh, account, trouble))
        return;
    resume(fresh->all, account, trouble);
    log_info("there is an access token of %s: account <%s> is resumed", fresh->registration,
             account);
}

void deliveries_token_fresh(struct deliveries *deliveries, const char *registration,
                            const char *account, bool is_another)
{
    struct fresh fresh = {.all = deliveries,
                          .registration = registration,
                          .account = account,
                          .is_another = is_another};
    dictionary_each(deliveries->troubled, resume_for_token, &fresh);
}

static void try_again(void *context, const char *account, void *value)
{
    const struct deliveries *all = context;
    const struct trouble *trouble = value;
    if (trouble->end == VERDICT_ENDS_WITH_TOKEN && trouble->until == 0)
        wakeup_put_probe(all->parts.wakeup, account, clock_now(clock_system()) + SECOND);
}

void deliveries_tokens_up(struct deliveries *deliveries)
{
    dictionary_each(deliveries->troubled, try_again, deliveries);
}
