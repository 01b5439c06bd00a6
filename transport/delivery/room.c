/* room.c - the ledger: room is asked for before a message is sent, and told afterwards what was */
#include "common/room.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/log.h"
#include "transport/delivery/parts.h"

#include <inttypes.h>

#define WAKE_LEAST (2 * CLOCK_SECOND)
/* A queue id that the milter has told is another's by then if an alias has forwarded the message or
 * it was requeued: so long after it was to be woken up the account's mail is looked for. */
#define LOOK_AFTER     (60 * CLOCK_SECOND)
#define SETTLE_TIMEOUT 20 /* seconds for the ledger, when Microsoft has accepted */
/* So long an outage of the ledger is waited out, seconds: that is a restart. Beyond that mail does
 * not hold Postfix's processes, but waits in its queue. */
#define LEDGER_PATIENCE 5
#define NO_LEDGER       "451 4.3.0 the sending quota cannot be checked now: "

/* --- before --------------------------------------------------------------------- */

static void write_later(const struct delivery *delivery, const struct ledger_reply *answer,
                        struct buffer *reply)
{
    int64_t now = clock_now(clock_system());
    buffer_append_string(reply, "450 4.7.1 ");
    switch (answer->measure) {
    case LEDGER_REPLY_RECIPIENTS:
        room_write_used(reply, delivery->account, answer->used, &answer->rate, "recipients",
                        (uint32_t)delivery->sent.recipient_count, answer->earliest, now);
        break;
    case LEDGER_REPLY_MESSAGES:
        room_write_used(reply, delivery->account, answer->used, &answer->rate, "messages", 1,
                        answer->earliest, now);
        break;
    case LEDGER_REPLY_PAUSE:
        room_write_paused(reply, delivery->account, answer->pause.cause, answer->earliest, now);
        break;
    case LEDGER_REPLY_ORDER:
    case LEDGER_REPLY_MEASURES:
        room_write_turn(reply, delivery->account, answer->earliest, now);
        break;
    }
}

static void wake_at(const struct delivery *delivery, int64_t when)
{
    int64_t soonest = clock_now(clock_system()) + WAKE_LEAST; /* Postfix must have put it off */
    if (when == LEDGER_FOREVER)
        return;
    when = when > soonest ? when : soonest;
    if (delivery->queue_id[0] != '\0')
        wakeup_put(delivery->all->parts.wakeup, delivery->queue_id, when);
    if (delivery->queue_id[0] == '\0')
        wakeup_put_account(delivery->all->parts.wakeup, delivery->account, when);
    else if (delivery->is_id_sealed)
        wakeup_put_account(delivery->all->parts.wakeup, delivery->account, when + LOOK_AFTER);
}

void delivery_wake_soon(const struct delivery *delivery)
{
    wake_at(delivery, 0);
}

static void note_room(const struct delivery *delivery, const struct ledger_reply *answer)
{
    delivery_note_waiting(delivery, answer);
    wake_at(delivery, answer->earliest);
}

/* Postfix puts off for minutes who was left out, or is to be tried in another way: they may go when
 * the others are through. */
static void wake_rest(const struct delivery *delivery)
{
    bool is_left_out = delivery->sent.recipient_count < delivery->recipients;
    if (delivery->verdict.is_accepted && (is_left_out || delivery->wishes_refused > 0))
        delivery_wake_soon(delivery);
}

/* The ledger has not granted it. */
static void tell_no_room(struct delivery *delivery, const struct ledger_reply *answer)
{
    struct buffer reply = {0};
    char period[32];
    if (answer->result == LEDGER_REPLY_LATER) {
        delivery->all->counts.waiting++;
        write_later(delivery, answer, &reply);
        if (answer->measure == LEDGER_REPLY_PAUSE)
            delivery_note_pause(delivery->all, delivery->account, answer->pause.cause,
                                answer->earliest);
        else
            note_room(delivery, answer);
    } else if (answer->result == LEDGER_REPLY_NEVER) {
        delivery->all->counts.refused++;
        quota_format_period(answer->rate.period, period, sizeof(period));
        buffer_format(
            &reply,
            "554 5.5.3 %zu recipients are more than %s may ever send to: %" PRIu32 " %s per %s",
            delivery->sent.recipient_count, delivery->account, answer->rate.limit,
            answer->measure == LEDGER_REPLY_RECIPIENTS ? "recipients" : "messages", period);
    } else {
        delivery->all->counts.failed++;
        delivery_note_silence(delivery->all, delivery->account);
        buffer_format(&reply, NO_LEDGER "%s", answer->reason);
    }
    delivery_refuse(delivery, reply.data);
    buffer_free(&reply);
}

static void tell_no_ledger(struct delivery *delivery, const struct error *error)
{
    struct buffer reply = {0};
    delivery->all->counts.failed++;
    buffer_format(&reply, NO_LEDGER "%s", error->text);
    delivery_refuse(delivery, reply.data);
    buffer_free(&reply);
}

bool delivery_is_unheard(const struct delivery *delivery)
{
    return delivery->state == DELIVERY_LEDGER && delivery->call == NULL;
}

void delivery_tell_no_ledger(struct delivery *delivery)
{
    struct error error;
    if (ledger_channel_is_up(delivery->all->parts.channel, &error))
        error_set(&error, "post365-policyd has gone again and again; try again later");
    tell_no_ledger(delivery, &error);
}

/* Seconds that may still be waited since then; less than 1: none. */
static int64_t patience_left(uint64_t since)
{
    return LEDGER_PATIENCE - (int64_t)((distribution_clock() - since) / CLOCK_SECOND);
}

/* The ledger has gone, and is asked again as soon as it is back: what it may have granted it counts
 * as sent, and nobody has sent it. False if it has been away for too long. */
static bool wait_for_ledger(struct delivery *delivery)
{
    struct deliveries *all = delivery->all;
    if (all->ledger_lost == 0)
        all->ledger_lost = distribution_clock();
    if (delivery->unheard == 0)
        delivery->unheard = distribution_clock();
    uint64_t since = delivery->unheard < all->ledger_lost ? delivery->unheard : all->ledger_lost;
    if (patience_left(since) < 1)
        return false;
    delivery_set_timer(delivery, patience_left(since));
    return true;
}

static void reserved(void *context, const struct ledger_reply *reply, const struct error *error)
{
    struct delivery *delivery = context;
    delivery->call = NULL;
    if (reply == NULL) {
        if (!wait_for_ledger(delivery))
            tell_no_ledger(delivery, error);
        return;
    }
    distribution_add(&delivery->all->counts.room_times, distribution_clock() - delivery->begun);
    if (reply->result == LEDGER_REPLY_GRANTED) {
        delivery->has_reservation = true;
        delivery->reservation = reply->reservation;
        delivery_take_connection(delivery);
    } else {
        tell_no_room(delivery, reply);
    }
}

bool delivery_ask_ledger(struct delivery *delivery)
{
    const struct delivery_parts *parts = &delivery->all->parts;
    const struct ledger_command command = {.kind = LEDGER_COMMAND_RESERVE,
                                           .account = delivery->account,
                                           .recipients = (uint32_t)delivery->sent.recipient_count,
                                           .messages = 1,
                                           .wait = parts->settings->max_wait};
    struct error error;
    delivery->state = DELIVERY_LEDGER;
    delivery->call = ledger_channel_ask(parts->channel, &command, reserved, delivery, &error);
    if (delivery->call != NULL) {
        if (delivery->unheard != 0)
            delivery_set_timer(delivery, DELIVERY_DATA_TIMEOUT - LEDGER_PATIENCE);
        return true;
    }
    if (!ledger_channel_is_up(parts->channel, NULL) && wait_for_ledger(delivery))
        return true;
    tell_no_ledger(delivery, &error);
    return false;
}

/* --- afterwards ------------------------------------------------------------------ */

void delivery_release(struct delivery *delivery)
{
    const struct ledger_command command = {.kind = LEDGER_COMMAND_RELEASE,
                                           .reservation = delivery->reservation};
    if (delivery->is_claiming) { /* what is granted to nobody is released */
        ledger_channel_cancel(delivery->call);
        delivery->call = NULL;
        delivery->is_claiming = false;
    } else if (delivery->has_reservation) {
        ledger_channel_ask(delivery->all->parts.channel, &command, NULL, NULL, NULL);
    }
    delivery->has_reservation = false;
}

static void settled(void *context, const struct ledger_reply *reply, const struct error *error)
{
    struct delivery *delivery = context;
    delivery->call = NULL;
    if (reply == NULL)
        log_warning("%s: the ledger counts it as sent: %s", delivery_shown_id(delivery),
                    error->text);
    wake_rest(delivery);
    delivery_reply(delivery);
}

static void claimed(void *context, const struct ledger_reply *reply, const struct error *error)
{
    (void)error;
    struct delivery *delivery = context;
    delivery->call = NULL;
    delivery->is_claiming = false;
    if (reply != NULL && reply->result == LEDGER_REPLY_GRANTED)
        delivery->reservation = reply->reservation;
    if (delivery->is_to_settle)
        delivery_settle(delivery);
}

void delivery_claim(struct delivery *delivery)
{
    const struct ledger_command command = {.kind = LEDGER_COMMAND_RESERVE,
                                           .account = delivery->account,
                                           .recipients = (uint32_t)delivery->sent.recipient_count,
                                           .messages = 1,
                                           .is_under_way = true};
    delivery->call =
        ledger_channel_ask(delivery->all->parts.channel, &command, claimed, delivery, NULL);
    delivery->is_claiming = delivery->call != NULL;
}

void delivery_settle(struct delivery *delivery)
{
    size_t accepted = delivery->sent.recipient_count - delivery->refused;
    const struct ledger_command command = {.kind = LEDGER_COMMAND_SETTLE,
                                           .reservation = delivery->reservation,
                                           .recipients = (uint32_t)accepted,
                                           .is_doubtful = delivery->is_unknown};
    struct error error;
    delivery->state = DELIVERY_SETTLING;
    delivery_set_timer(delivery, SETTLE_TIMEOUT);
    delivery->is_to_settle = delivery->is_claiming;
    if (delivery->is_to_settle)
        return;
    delivery->has_reservation = false;
    delivery->call =
        ledger_channel_ask(delivery->all->parts.channel, &command, settled, delivery, &error);
    if (delivery->call == NULL)
        settled(delivery, NULL, &error);
}
