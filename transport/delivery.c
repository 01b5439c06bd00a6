/* delivery.c - one message's way, from Postfix's DATA to the last reply
 *
 *   LEDGER      room is asked for, and waited for
 *   CONNECTING  a connection of the account is asked for
 *   ENVELOPE    Microsoft is told sender and recipients
 *   BODY        the message streams through
 *   FINAL       the final dot was sent
 *   SETTLING    the ledger is told what was accepted; then Postfix is
 *
 * The client may go away at any time; what Microsoft may have taken is then settled without him.
 */
#include "transport/delivery.h"

#include "common/address.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/dictionary.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/quotas.h"
#include "common/room.h"
#include "transport/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define SECOND CLOCK_SECOND
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

#define WAKE_LEAST     (2 * SECOND)
#define DATA_TIMEOUT   240 /* seconds until DATA is answered; conf/master.cf grants 300 */
#define SETTLE_TIMEOUT 20  /* seconds for the ledger, when Microsoft has accepted */

#define NO_LEDGER    "451 4.3.0 the sending quota cannot be checked now: "
#define SENDER_SHOWN 256

enum state {
    STATE_LEDGER,
    STATE_CONNECTING,
    STATE_ENVELOPE,
    STATE_BODY,
    STATE_FINAL,
    STATE_SETTLING,
};

struct delivery {
    struct deliveries *all;
    struct delivery *next, **linked_by;
    struct lmtp_transaction *transaction; /* NULL: nobody is to be told any more */
    enum state state;
    char *account; /* the folded UPN */
    char *sender;  /* on the wire */
    char queue_id[64];
    struct quota quota;
    struct envelope sent; /* what is sent of the envelope, whose strings these are */
    size_t recipients;    /* of the whole envelope */
    char **refusals;      /* for each recipient, or NULL */
    size_t refused;
    struct ledger_call *call;
    bool has_reservation;
    uint64_t reservation;
    struct pool_request *request;
    struct submission *submission;
    bool is_fresh, was_retried;
    struct event *timer; /* the end of Postfix's patience */
    struct verdict verdict;
};

struct deliveries {
    struct delivery_parts parts;
    struct delivery_counts counts;
    struct delivery *first;
    struct dictionary *locked_out; /* accounts that are paused since their login failed */
};

static bool ask_ledger(struct delivery *delivery);
static void take_connection(struct delivery *delivery);
static void refuse(struct delivery *delivery, const char *reply);
static void reply_to_all(struct delivery *delivery);
static void patience_ends(evutil_socket_t descriptor, short what, void *argument);

/* --- life ---------------------------------------------------------------------- */

static void set_timer(struct delivery *delivery, time_t seconds)
{
    const struct timeval timeout = {.tv_sec = seconds};
    event_add(delivery->timer, &timeout);
}

static struct delivery *new_delivery(struct deliveries *all, struct lmtp_transaction *transaction,
                                     const struct envelope *envelope)
{
    struct delivery *delivery = memory_zero(1, sizeof(*delivery));
    delivery->all = all;
    delivery->transaction = transaction;
    delivery->sent = *envelope;
    delivery->recipients = envelope->recipient_count;
    delivery->refusals = memory_zero(envelope->recipient_count, sizeof(char *));
    snprintf(delivery->queue_id, sizeof(delivery->queue_id), "%s", envelope_queue_id(envelope));
    delivery->next = all->first;
    delivery->linked_by = &all->first;
    if (delivery->next != NULL)
        delivery->next->linked_by = &delivery->next;
    all->first = delivery;
    delivery->timer = evtimer_new(all->parts.base, patience_ends, delivery);
    if (delivery->timer == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    set_timer(delivery, DATA_TIMEOUT);
    all->counts.messages++;
    all->counts.under_way++;
    return delivery;
}

static void free_delivery(struct delivery *delivery)
{
    *delivery->linked_by = delivery->next;
    if (delivery->next != NULL)
        delivery->next->linked_by = delivery->linked_by;
    delivery->all->counts.under_way--;
    for (size_t i = 0; i < delivery->recipients; i++)
        free(delivery->refusals[i]);
    free(delivery->refusals);
    event_free(delivery->timer);
    free(delivery->account);
    free(delivery->sender);
    free(delivery);
}

static const char *shown_id(const struct delivery *delivery)
{
    return delivery->queue_id[0] != '\0' ? delivery->queue_id : "NOQUEUE";
}

/* --- whose message is it? ------------------------------------------------------ */

/* Whether the account may send as the envelope's sender. False with the reply. */
static bool may_send_as(const struct delivery *delivery, const char *sender, struct buffer *reply)
{
    struct error error;
    enum table_answer answer =
        identity_covers(delivery->all->parts.identities, delivery->account, sender, &error);
    if (answer == TABLE_FOUND)
        return true;
    if (answer == TABLE_FAILED)
        buffer_format(reply, "451 4.3.0 %s", error.text);
    else
        buffer_format(
            reply,
            "451 4.7.1 sender <%.*s> is not the account %s; let the milter rewrite it, or "
            "name it in post365_send_as_maps",
            SENDER_SHOWN, sender, delivery->account);
    return false;
}

static bool find_account(struct delivery *delivery, const char *socket_account,
                         struct buffer *reply)
{
    struct error error;
    struct identity identity;
    const char *sender = delivery->sent.sender;
    if (socket_account != NULL) {
        delivery->account = address_fold(socket_account);
    } else if (identity_find(delivery->all->parts.identities, "", sender, &identity, &error) ==
               TABLE_FOUND) {
        delivery->account = address_fold(identity.upn);
        free(identity.upn);
    } else {
        buffer_format(reply, "451 4.3.0 %s", error.text);
        return false;
    }
    delivery->sender = memory_copy(sender[0] != '\0' ? sender : delivery->account);
    return sender[0] == '\0' || may_send_as(delivery, sender, reply);
}

static bool find_quota(struct delivery *delivery, struct buffer *reply)
{
    struct error error;
    const struct delivery_parts *parts = &delivery->all->parts;
    if (quotas_find(parts->settings, parts->quota_maps, delivery->account, &delivery->quota,
                    &error) != TABLE_FAILED)
        return true;
    buffer_format(reply, "451 4.3.0 %s", error.text);
    return false;
}

/* More recipients than Microsoft takes at once are left for Postfix's next attempt. */
static void leave_out_recipients(struct delivery *delivery)
{
    uint32_t limit = delivery->quota.recipients_per_message;
    if (delivery->recipients <= limit)
        return;
    delivery->sent.recipient_count = limit;
    for (size_t i = limit; i < delivery->recipients; i++)
        delivery->refusals[i] = memory_format("452 4.5.3 more than %" PRIu32
                                              " recipients for %s at once (post365_recipients_per_"
                                              "message); these follow in another message",
                                              limit, delivery->account);
}

static void *begin(void *context, struct lmtp_transaction *transaction,
                   const struct envelope *envelope, const char *account)
{
    struct delivery *delivery = new_delivery(context, transaction, envelope);
    struct buffer reply = {0};
    if (find_account(delivery, account, &reply) && find_quota(delivery, &reply)) {
        leave_out_recipients(delivery);
        buffer_free(&reply);
        return ask_ledger(delivery) ? delivery : NULL;
    }
    delivery->all->counts.failed++;
    log_warning("%s: from=<%.*s>: %s", shown_id(delivery), SENDER_SHOWN, delivery->sent.sender,
                reply.data);
    lmtp_refuse(transaction, reply.data);
    buffer_free(&reply);
    free_delivery(delivery);
    return NULL;
}

/* --- room ---------------------------------------------------------------------- */

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
    else
        wakeup_put_account(delivery->all->parts.wakeup, delivery->account, when);
}

/* The ledger has not granted it. */
static void tell_no_room(struct delivery *delivery, const struct ledger_reply *answer)
{
    struct buffer reply = {0};
    char period[32];
    if (answer->result == LEDGER_REPLY_LATER) {
        delivery->all->counts.waiting++;
        write_later(delivery, answer, &reply);
        wake_at(delivery, answer->earliest);
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
        buffer_format(&reply, NO_LEDGER "%s", answer->reason);
    }
    refuse(delivery, reply.data);
    buffer_free(&reply);
}

static void tell_no_ledger(struct delivery *delivery, const struct error *error)
{
    struct buffer reply = {0};
    delivery->all->counts.failed++;
    buffer_format(&reply, NO_LEDGER "%s", error->text);
    refuse(delivery, reply.data);
    buffer_free(&reply);
}

static void reserved(void *context, const struct ledger_reply *reply, const struct error *error)
{
    struct delivery *delivery = context;
    delivery->call = NULL;
    if (reply == NULL) {
        tell_no_ledger(delivery, error);
    } else if (reply->result == LEDGER_REPLY_GRANTED) {
        delivery->has_reservation = true;
        delivery->reservation = reply->reservation;
        take_connection(delivery);
    } else {
        tell_no_room(delivery, reply);
    }
}

/* False if it is over already. */
static bool ask_ledger(struct delivery *delivery)
{
    const struct delivery_parts *parts = &delivery->all->parts;
    const struct ledger_command command = {.kind = LEDGER_COMMAND_RESERVE,
                                           .account = delivery->account,
                                           .recipients = (uint32_t)delivery->sent.recipient_count,
                                           .messages = 1,
                                           .wait = parts->settings->max_wait};
    struct error error;
    delivery->state = STATE_LEDGER;
    delivery->call = ledger_channel_ask(parts->channel, &command, reserved, delivery, &error);
    if (delivery->call != NULL)
        return true;
    tell_no_ledger(delivery, &error);
    return false;
}

static void ignore_reply(void *context, const struct ledger_reply *reply, const struct error *error)
{
    (void)context;
    (void)reply;
    (void)error;
}

/* It was not sent. If policyd is not told, it counts: that is the safe side. */
static void release_reservation(struct delivery *delivery)
{
    const struct ledger_command command = {.kind = LEDGER_COMMAND_RELEASE,
                                           .reservation = delivery->reservation};
    if (delivery->has_reservation)
        ledger_channel_ask(delivery->all->parts.channel, &command, ignore_reply, NULL, NULL);
    delivery->has_reservation = false;
}

/* --- what happens to the account ------------------------------------------------ */

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
    log_warning("%s: account <%s> is paused, cause %s: %s", shown_id(delivery), delivery->account,
                verdict->row->name, verdict->reply);
}

static void obey(struct delivery *delivery)
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

/* --- telling Postfix ------------------------------------------------------------ */

/* At DATA: the whole message. */
static void refuse(struct delivery *delivery, const char *reply)
{
    log_info("%s: from=<%.*s>, account=<%s>, nrcpt=%zu: %s", shown_id(delivery), SENDER_SHOWN,
             delivery->sender, delivery->account, delivery->recipients, reply);
    release_reservation(delivery);
    if (delivery->transaction != NULL)
        lmtp_refuse(delivery->transaction, reply);
    free_delivery(delivery);
}

/* Behind DATA: each recipient. */
static void reply_to_all(struct delivery *delivery)
{
    struct lmtp_transaction *transaction = delivery->transaction;
    for (size_t i = 0; transaction != NULL && i < delivery->recipients; i++)
        lmtp_reply(transaction, i,
                   delivery->refusals[i] != NULL ? delivery->refusals[i] : delivery->verdict.reply);
    log_info("%s: from=<%.*s>, account=<%s>, nrcpt=%zu, refused=%zu: %s%s", shown_id(delivery),
             SENDER_SHOWN, delivery->sender, delivery->account, delivery->recipients,
             delivery->refused, delivery->verdict.reply,
             transaction == NULL ? " (Postfix has gone)" : "");
    free_delivery(delivery);
}

static void settled(void *context, const struct ledger_reply *reply, const struct error *error)
{
    struct delivery *delivery = context;
    delivery->call = NULL;
    if (reply == NULL)
        log_warning("%s: the ledger counts it as sent: %s", shown_id(delivery), error->text);
    reply_to_all(delivery);
}

/* It was sent, or may have been, to those that were not refused. */
static void settle(struct delivery *delivery)
{
    size_t accepted = delivery->sent.recipient_count - delivery->refused;
    const struct ledger_command command = {.kind = LEDGER_COMMAND_SETTLE,
                                           .reservation = delivery->reservation,
                                           .recipients = (uint32_t)accepted};
    struct error error;
    delivery->state = STATE_SETTLING;
    delivery->has_reservation = false;
    set_timer(delivery, SETTLE_TIMEOUT);
    delivery->call =
        ledger_channel_ask(delivery->all->parts.channel, &command, settled, delivery, &error);
    if (delivery->call == NULL)
        settled(delivery, NULL, &error);
}

/* --- Microsoft ------------------------------------------------------------------ */

static void count_end(struct delivery *delivery, bool is_unknown)
{
    struct delivery_counts *counts = &delivery->all->counts;
    if (delivery->verdict.is_accepted)
        counts->accepted++;
    else if (is_unknown)
        counts->unknown++;
    else if (delivery->verdict.is_temporary)
        counts->deferred++;
    else
        counts->refused++;
}

static void connection_granted(void *context, struct submission *submission, bool is_fresh);

static void connection_refused(void *context, const struct submission_end *end)
{
    static char known[] = "";
    struct delivery *delivery = context;
    delivery->request = NULL;
    verdict_of_end(end, delivery->all->parts.host, &delivery->verdict);
    count_end(delivery, false);
    obey(delivery);
    if (end->stage == REPLY_STAGE_AUTH && end->reply != NULL)
        dictionary_put(delivery->all->locked_out, delivery->account, known);
    refuse(delivery, delivery->verdict.reply);
}

static const struct pool_handler pool_handler = {.granted = connection_granted,
                                                 .refused = connection_refused};

static void take_connection(struct delivery *delivery)
{
    delivery->state = STATE_CONNECTING;
    delivery->request =
        pool_take(delivery->all->parts.pool, delivery->account, delivery->quota.connections,
                  delivery->was_retried, &pool_handler, delivery);
}

static void recipient_refused(void *context, size_t recipient, const struct reply *reply)
{
    struct delivery *delivery = context;
    verdict_of_recipient(reply, delivery->all->parts.host, &delivery->verdict);
    free(delivery->refusals[recipient]);
    delivery->refusals[recipient] = memory_copy(delivery->verdict.reply);
    delivery->refused++;
    obey(delivery);
}

static void body_wanted(void *context)
{
    struct delivery *delivery = context;
    delivery->state = STATE_BODY;
    event_del(delivery->timer);
    lmtp_go_on(delivery->transaction);
}

static void body_drained(void *context)
{
    const struct delivery *delivery = context;
    lmtp_resume(delivery->transaction);
}

/* A connection that was idle may have been closed by the other side, unseen: nothing was lost, and
 * a new one is worth a try. */
static bool is_stale(const struct delivery *delivery, const struct submission_end *end)
{
    return !delivery->is_fresh && !delivery->was_retried && delivery->state == STATE_ENVELOPE &&
           (end->reply == NULL || end->reply->code == 421);
}

static void forget_refusals(struct delivery *delivery)
{
    for (size_t i = 0; i < delivery->sent.recipient_count; i++) {
        free(delivery->refusals[i]);
        delivery->refusals[i] = NULL;
    }
    delivery->refused = 0;
}

/* All recipients were refused, each for a reason of its own: they are told behind DATA. */
static void tell_recipients(struct delivery *delivery)
{
    release_reservation(delivery);
    lmtp_go_on(delivery->transaction);
    reply_to_all(delivery);
}

static void message_ended(void *context, const struct submission_end *end)
{
    struct delivery *delivery = context;
    struct submission *submission = delivery->submission;
    delivery->submission = NULL;
    if (submission_is_idle(submission))
        pool_put(delivery->all->parts.pool, submission);
    if (is_stale(delivery, end)) {
        delivery->was_retried = true;
        forget_refusals(delivery);
        take_connection(delivery);
        return;
    }
    verdict_of_end(end, delivery->all->parts.host, &delivery->verdict);
    count_end(delivery, end->is_unknown);
    if (!delivery->verdict.is_accepted && !end->is_unknown && end->stage != REPLY_STAGE_RCPT)
        obey(delivery);
    if (delivery->verdict.is_accepted || end->is_unknown) {
        settle(delivery);
    } else if (delivery->state == STATE_ENVELOPE && end->stage == REPLY_STAGE_RCPT) {
        tell_recipients(delivery);
    } else if (delivery->state == STATE_ENVELOPE) {
        refuse(delivery, delivery->verdict.reply);
    } else {
        release_reservation(delivery);
        reply_to_all(delivery);
    }
}

static const struct submission_message_handler message_handler = {
    .refused = recipient_refused,
    .wants_body = body_wanted,
    .drained = body_drained,
    .ended = message_ended,
};

static void connection_granted(void *context, struct submission *submission, bool is_fresh)
{
    struct delivery *delivery = context;
    delivery->request = NULL;
    dictionary_remove(delivery->all->locked_out, delivery->account);
    delivery->submission = submission;
    delivery->is_fresh = is_fresh;
    delivery->state = STATE_ENVELOPE;
    submission_send(submission, &delivery->sent, delivery->sender, &message_handler, delivery);
}

/* Lets go of what the message has taken, before anything was sent. */
static void let_go(struct delivery *delivery)
{
    if (delivery->call != NULL)
        ledger_channel_cancel(delivery->call);
    if (delivery->request != NULL)
        pool_cancel(delivery->request);
    if (delivery->submission != NULL)
        submission_abandon(delivery->submission);
    delivery->call = NULL;
    delivery->request = NULL;
    delivery->submission = NULL;
}

/* Postfix would give up, and with the whole connection. What was accepted is told although the
 * ledger has not answered: it has been asked, and will count. */
static void patience_ends(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct delivery *delivery = argument;
    if (delivery->state == STATE_SETTLING) {
        log_warning("%s: the ledger does not answer", shown_id(delivery));
        ledger_channel_cancel(delivery->call);
        delivery->call = NULL;
        reply_to_all(delivery);
        return;
    }
    delivery->all->counts.deferred++;
    let_go(delivery);
    refuse(delivery, "451 4.4.1 no room, connection or answer within Postfix's patience");
}

/* --- the body, and the client's end --------------------------------------------- */

static void take_body(void *message, struct evbuffer *bytes)
{
    struct delivery *delivery = message;
    if (delivery->state == STATE_BODY && delivery->submission != NULL)
        submission_write(delivery->submission, bytes);
    else
        evbuffer_drain(bytes, evbuffer_get_length(bytes));
}

static void body_ended(void *message, uint64_t replaced)
{
    struct delivery *delivery = message;
    if (delivery->state != STATE_BODY || delivery->submission == NULL)
        return;
    if (replaced > 0)
        log_info("%s: %" PRIu64 " bare CR or LF became blanks", shown_id(delivery), replaced);
    delivery->state = STATE_FINAL;
    submission_end_body(delivery->submission);
}

/* Before the final dot nothing has happened. After it, what Microsoft says is still settled. */
static void client_gone(void *message)
{
    struct delivery *delivery = message;
    delivery->transaction = NULL;
    if (delivery->state == STATE_FINAL || delivery->state == STATE_SETTLING)
        return;
    log_info("%s: account=<%s>: Postfix has gone before the end", shown_id(delivery),
             delivery->account);
    let_go(delivery);
    release_reservation(delivery);
    free_delivery(delivery);
}

const struct lmtp_handler delivery_handler = {
    .begin = begin, .body = take_body, .end = body_ended, .gone = client_gone};

/* --- all of them ----------------------------------------------------------------- */

struct deliveries *deliveries_new(const struct delivery_parts *parts)
{
    struct deliveries *deliveries = memory_zero(1, sizeof(*deliveries));
    deliveries->locked_out = dictionary_new(NULL);
    deliveries_configure(deliveries, parts);
    return deliveries;
}

void deliveries_configure(struct deliveries *deliveries, const struct delivery_parts *parts)
{
    deliveries->parts = *parts;
}

static void resume(void *context, const char *account, void *value)
{
    (void)value;
    const struct deliveries *deliveries = context;
    const struct ledger_command command = {.kind = LEDGER_COMMAND_RESUME, .account = account};
    ledger_channel_ask(deliveries->parts.channel, &command, ignore_reply, NULL, NULL);
    wakeup_put_account(deliveries->parts.wakeup, account, clock_now(clock_system()) + SECOND);
    log_info("the credentials have changed: account <%s> is resumed", account);
}

void deliveries_credentials_changed(struct deliveries *deliveries)
{
    dictionary_each(deliveries->locked_out, resume, deliveries);
    dictionary_free(deliveries->locked_out);
    deliveries->locked_out = dictionary_new(NULL);
}

const struct delivery_counts *deliveries_counts(const struct deliveries *deliveries)
{
    return &deliveries->counts;
}

void deliveries_free(struct deliveries *deliveries)
{
    if (deliveries == NULL)
        return;
    while (deliveries->first != NULL) {
        struct delivery *delivery = deliveries->first;
        if (delivery->submission != NULL)
            submission_abandon(delivery->submission);
        if (delivery->request != NULL)
            pool_cancel(delivery->request);
        if (delivery->call != NULL)
            ledger_channel_cancel(delivery->call);
        free_delivery(delivery);
    }
    dictionary_free(deliveries->locked_out);
    free(deliveries);
}
