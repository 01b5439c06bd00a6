/* delivery.c - one message's way, from Postfix's DATA to the last reply
 *
 * The client may go away at any time; what Microsoft may have taken is then settled without him.
 */
#include "transport/delivery/delivery.h"

#include "common/buffer.h"
#include "common/dictionary.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/reason.h"
#include "transport/delivery/parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static void patience_ends(evutil_socket_t descriptor, short what, void *argument);

/* --- life ---------------------------------------------------------------------- */

void delivery_set_timer(struct delivery *delivery, time_t seconds)
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
    delivery_set_timer(delivery, DELIVERY_DATA_TIMEOUT);
    delivery->begun = distribution_clock();
    all->counts.messages++;
    all->counts.under_way++;
    return delivery;
}

static void free_delivery(struct delivery *delivery)
{
    if (delivery->is_stalled)
        delivery_note_stalled(delivery, false);
    *delivery->linked_by = delivery->next;
    if (delivery->next != NULL)
        delivery->next->linked_by = delivery->linked_by;
    delivery->all->counts.under_way--;
    for (size_t i = 0; i < delivery->recipients; i++)
        free(delivery->refusals[i]);
    free(delivery->refusals);
    event_free(delivery->timer);
    header_free(delivery->header);
    free(delivery->account);
    free(delivery->sender);
    free(delivery->envid);
    free(delivery);
}

const char *delivery_shown_id(const struct delivery *delivery)
{
    return delivery->queue_id[0] != '\0' ? delivery->queue_id : "NOQUEUE";
}

/* --- telling Postfix ------------------------------------------------------------ */

static void count_recipients(struct delivery *delivery, const char *reply, size_t number)
{
    enum delivery_fate fate = reply[0] == '2'   ? DELIVERY_ACCEPTED
                              : reply[0] == '4' ? DELIVERY_DEFERRED
                                                : DELIVERY_REFUSED;
    delivery->all->counts.recipients[fate] += number;
}

/* All is said about it. */
static void end_delivery(struct delivery *delivery)
{
    distribution_add(&delivery->all->counts.times, distribution_clock() - delivery->begun);
    free_delivery(delivery);
}

/* What stays in Postfix's queue says whose message it is. The caller's to free(). */
static char *name_account(const struct delivery *delivery, const char *reply)
{
    struct buffer text = {0};
    buffer_append_string(&text, reply);
    if (reply[0] == '4' && delivery->account != NULL)
        reason_append_account(&text, delivery->account);
    return buffer_take(&text);
}

static void refuse_all(struct delivery *delivery, const char *reply)
{
    char *text = name_account(delivery, reply);
    count_recipients(delivery, text, delivery->recipients);
    if (delivery->transaction != NULL)
        lmtp_refuse(delivery->transaction, text);
    free(text);
}

void delivery_refuse(struct delivery *delivery, const char *reply)
{
    log_info("%s: from=<%.*s>, account=<%s>, nrcpt=%zu: %s", delivery_shown_id(delivery),
             SENDER_SHOWN, delivery->sender, delivery->account, delivery->recipients, reply);
    delivery_release(delivery);
    refuse_all(delivery, reply);
    end_delivery(delivery);
}

static void reply_to(struct delivery *delivery, size_t recipient)
{
    const char *reply = delivery->refusals[recipient] != NULL ? delivery->refusals[recipient]
                                                              : delivery->verdict.reply;
    count_recipients(delivery, reply, 1);
    if (delivery->transaction == NULL)
        return;
    char *text = name_account(delivery, reply);
    lmtp_reply(delivery->transaction, recipient, text);
    free(text);
}

void delivery_reply(struct delivery *delivery)
{
    for (size_t i = 0; i < delivery->recipients; i++)
        reply_to(delivery, i);
    log_info("%s: from=<%.*s>, account=<%s>, nrcpt=%zu, refused=%zu: %s%s",
             delivery_shown_id(delivery), SENDER_SHOWN, delivery->sender, delivery->account,
             delivery->recipients, delivery->refused, delivery->verdict.reply,
             delivery->transaction == NULL ? " (Postfix has gone)" : "");
    end_delivery(delivery);
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
    struct delivery *delivery = context;
    delivery->request = NULL;
    verdict_of_end(end, end->host, &delivery->verdict);
    count_end(delivery, false);
    delivery_note_end(delivery, end);
    struct deliveries *all = delivery->all;
    char *account = memory_copy(delivery->account);
    delivery_refuse(delivery, delivery->verdict.reply);
    delivery_look_at_held(all, account);
    free(account);
}

static const struct pool_handler pool_handler = {.granted = connection_granted,
                                                 .refused = connection_refused};

void delivery_take_connection(struct delivery *delivery)
{
    delivery->state = DELIVERY_CONNECTING;
    if (delivery_must_wait(delivery)) {
        struct buffer reply = {0};
        delivery_write_paused(delivery, &reply);
        delivery->all->counts.waiting++;
        delivery_refuse(delivery, reply.data);
        buffer_free(&reply);
        return;
    }
    delivery->request =
        pool_take(delivery->all->parts.pool, delivery->account, delivery->quota.connections,
                  delivery->was_retried, &pool_handler, delivery);
}

/* Whether a server says that it does not understand what it was told: RFC 5321 4.2.2, 4.1.1.11. */
static bool is_about_syntax(const struct reply *reply)
{
    return reply->code == 500 || reply->code == 501 || reply->code == 504 || reply->code == 555;
}

/* Whether the recipient may have been refused for what he, or rather his sender, wants reported. A
 * wish for reports is no reason to lose mail: when all were refused it is said again without; else
 * those that were are tried once more, by themselves. */
static bool is_wish_refused(const struct delivery *delivery, size_t recipient,
                            const struct reply *reply)
{
    return is_about_syntax(reply) && submission_has_wishes(delivery->submission, recipient);
}

static void recipient_refused(void *context, size_t recipient, const struct reply *reply)
{
    struct delivery *delivery = context;
    verdict_of_recipient(reply, submission_host(delivery->submission), &delivery->verdict);
    free(delivery->refusals[recipient]);
    delivery->refused++;
    if (is_wish_refused(delivery, recipient, reply)) {
        delivery->wishes_refused++;
        delivery->refusals[recipient] = memory_format(
            "451 4.5.4 host %s said: %u %.200s; tried again without what is wanted reported",
            submission_host(delivery->submission), reply->code, reply->text);
        return;
    }
    delivery->refusals[recipient] = memory_copy(delivery->verdict.reply);
    delivery_obey(delivery);
}

static void body_wanted(void *context)
{
    struct delivery *delivery = context;
    delivery->state = DELIVERY_BODY;
    delivery_begin_content(delivery);
    event_del(delivery->timer);
    lmtp_go_on(delivery->transaction);
}

static void body_drained(void *context)
{
    const struct delivery *delivery = context;
    if (delivery->state == DELIVERY_BODY)
        lmtp_resume(delivery->transaction);
}

static void body_stalled(void *context, bool is_stalled)
{
    struct delivery *delivery = context;
    if (delivery->submission != NULL)
        pool_note_stalled(delivery->all->parts.pool, delivery->submission, is_stalled);
    delivery_note_stalled(delivery, is_stalled);
    if (is_stalled)
        delivery_look_at_held(delivery->all, delivery->account);
}

/* A connection that was idle may have been closed by the other side, unseen, and any may stall: up
 * to DATA nothing was lost, and a new one is worth a try. */
static bool is_stale(const struct delivery *delivery, const struct submission_end *end)
{
    bool is_lost = end->reply == NULL || end->reply->code == 421;
    bool has_stalled = end->reply == NULL && end->silence == SILENCE_STALLED;
    return !delivery->was_retried && delivery->state == DELIVERY_ENVELOPE &&
           (has_stalled || (is_lost && !delivery->is_fresh));
}

static void forget_refusals(struct delivery *delivery)
{
    for (size_t i = 0; i < delivery->sent.recipient_count; i++) {
        free(delivery->refusals[i]);
        delivery->refusals[i] = NULL;
    }
    delivery->refused = delivery->wishes_refused = 0;
}

/* What is wanted reported was too much: of the sender, or of all recipients. */
static bool is_for_wishes(const struct delivery *delivery, const struct submission_end *end)
{
    if (delivery->state != DELIVERY_ENVELOPE || end->reply == NULL ||
        delivery->reports == SUBMISSION_REPORTS_LEFT_OUT)
        return false;
    const struct envelope *sent = &delivery->sent;
    bool has_wishes = sent->ret[0] != '\0' || sent->envid[0] != '\0';
    return end->stage == REPLY_STAGE_MAIL ? has_wishes && is_about_syntax(end->reply)
                                          : delivery->wishes_refused > 0;
}

/* Says it all once more, on the same connection if that is still there. */
static void begin_again(struct delivery *delivery)
{
    forget_refusals(delivery);
    delivery_take_connection(delivery);
}

/* All recipients were refused, each for a reason of its own: they are told behind DATA. */
static void tell_recipients(struct delivery *delivery)
{
    delivery_release(delivery);
    lmtp_go_on(delivery->transaction);
    delivery_reply(delivery);
}

/* Settles what was, or may have been, sent, and tells Postfix. */
static void tell_end(struct delivery *delivery, const struct submission_end *end)
{
    if (delivery->verdict.is_accepted || end->is_unknown) {
        delivery_settle(delivery);
    } else if (delivery->state == DELIVERY_ENVELOPE && end->stage == REPLY_STAGE_RCPT) {
        tell_recipients(delivery);
    } else if (delivery->state == DELIVERY_ENVELOPE) {
        delivery_refuse(delivery, delivery->verdict.reply);
    } else {
        delivery_release(delivery);
        delivery_reply(delivery);
    }
}

static void message_ended(void *context, const struct submission_end *end)
{
    struct delivery *delivery = context;
    struct deliveries *all = delivery->all;
    struct submission *submission = delivery->submission;
    delivery->submission = NULL;
    if (submission_is_idle(submission))
        pool_put(delivery->all->parts.pool, submission);
    if (is_stale(delivery, end)) {
        delivery->was_retried = true;
        begin_again(delivery);
        return;
    }
    if (is_for_wishes(delivery, end)) {
        delivery->reports = SUBMISSION_REPORTS_LEFT_OUT;
        begin_again(delivery);
        return;
    }
    verdict_of_end(end, end->host, &delivery->verdict);
    count_end(delivery, end->is_unknown);
    delivery_note_end(delivery, end);
    delivery->is_unknown = end->is_unknown;
    char *account = memory_copy(delivery->account);
    tell_end(delivery, end);
    delivery_look_at_held(all, account);
    delivery_give_up_stalled(all, account);
    free(account);
}

static const struct submission_message_handler message_handler = {
    .refused = recipient_refused,
    .wants_body = body_wanted,
    .drained = body_drained,
    .stalled = body_stalled,
    .ended = message_ended,
};

static void connection_granted(void *context, struct submission *submission, bool is_fresh)
{
    struct delivery *delivery = context;
    delivery->request = NULL;
    delivery->submission = submission;
    delivery->is_fresh = is_fresh;
    delivery->connected = distribution_clock();
    delivery->is_given_up = false;
    delivery->state = DELIVERY_ENVELOPE;
    if (is_fresh && delivery->all->parts.worked != NULL)
        delivery->all->parts.worked(delivery->all->parts.context, delivery->account);
    submission_send(submission, &delivery->sent, delivery->sender, delivery->reports,
                    delivery_losses(delivery), &message_handler, delivery);
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
    delivery->is_claiming = false;
    delivery->request = NULL;
    delivery->submission = NULL;
}

void delivery_put_off(struct delivery *delivery, const char *reply)
{
    bool is_behind_data = delivery->state == DELIVERY_BODY || delivery->state == DELIVERY_HELD;
    let_go(delivery);
    if (!is_behind_data) {
        delivery_refuse(delivery, reply);
        return;
    }
    delivery->verdict = (struct verdict){.is_temporary = true};
    snprintf(delivery->verdict.reply, sizeof(delivery->verdict.reply), "%s", reply);
    delivery_release(delivery);
    delivery_reply(delivery);
}

/* The connection was to be given up, if it still stalls. */
static void give_up(struct delivery *delivery)
{
    uint64_t waited = (distribution_clock() - delivery->begun) / 1000000;
    delivery->is_given_up = false;
    if (delivery->state == DELIVERY_ENVELOPE)
        delivery_set_timer(
            delivery, waited < DELIVERY_DATA_TIMEOUT ? DELIVERY_DATA_TIMEOUT - (time_t)waited : 1);
    if (delivery->is_stalled && delivery->submission != NULL)
        submission_give_up(delivery->submission);
}

/* Postfix would give up, and with the whole connection. What was accepted is told although the
 * ledger has not answered: it has been asked, and will count. */
static void patience_ends(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct delivery *delivery = argument;
    if (delivery->is_given_up &&
        (delivery->state == DELIVERY_ENVELOPE || delivery->state == DELIVERY_BODY)) {
        give_up(delivery);
        return;
    }
    if (delivery->state == DELIVERY_HELD) {
        delivery_finish(delivery);
        return;
    }
    if (delivery->state == DELIVERY_SETTLING) {
        log_warning("%s: the ledger does not answer", delivery_shown_id(delivery));
        ledger_channel_cancel(delivery->call);
        delivery->call = NULL;
        delivery->is_claiming = false;
        delivery_reply(delivery);
        return;
    }
    if (delivery_is_unheard(delivery)) {
        delivery_tell_no_ledger(delivery);
        return;
    }
    delivery->all->counts.deferred++;
    delivery_note_silence(delivery->all, delivery->account);
    let_go(delivery);
    delivery_refuse(delivery, "451 4.4.1 no room, connection or answer within Postfix's patience");
}

/* --- the client ----------------------------------------------------------------- */

static void *begin(void *context, struct lmtp_transaction *transaction,
                   const struct envelope *envelope, const char *account)
{
    struct delivery *delivery = new_delivery(context, transaction, envelope);
    struct buffer reply = {0};
    if (delivery_find_account(delivery, account, &reply)) {
        buffer_free(&reply);
        return delivery_ask_ledger(delivery) ? delivery : NULL;
    }
    delivery->all->counts.failed++;
    log_warning("%s: from=<%.*s>: %s", delivery_shown_id(delivery), SENDER_SHOWN,
                delivery->sent.sender, reply.data);
    refuse_all(delivery, reply.data);
    buffer_free(&reply);
    end_delivery(delivery);
    return NULL;
}

void delivery_finish(struct delivery *delivery)
{
    delivery->state = DELIVERY_FINAL;
    event_del(delivery->timer);
    submission_end_body(delivery->submission, delivery_is_careful(delivery));
}

/* Before the final dot nothing has happened. After it, what Microsoft says is still settled. */
static void client_gone(void *message)
{
    struct delivery *delivery = message;
    delivery->transaction = NULL;
    if (delivery->state == DELIVERY_FINAL || delivery->state == DELIVERY_SETTLING)
        return;
    log_info("%s: account=<%s>: Postfix has gone before the end", delivery_shown_id(delivery),
             delivery->account);
    delivery->all->counts.abandoned++;
    let_go(delivery);
    delivery_release(delivery);
    free_delivery(delivery);
}

const struct lmtp_handler delivery_handler = {.greet = delivery_greet,
                                              .begin = begin,
                                              .body = delivery_take_content,
                                              .end = delivery_end_content,
                                              .gone = client_gone};

/* --- all of them ----------------------------------------------------------------- */

struct deliveries *deliveries_new(const struct delivery_parts *parts)
{
    struct deliveries *deliveries = memory_zero(1, sizeof(*deliveries));
    size_t rows, token_rows;
    (void)office365_rows(&rows);
    (void)entra_rows(&token_rows);
    deliveries->troubled = dictionary_new(delivery_release_trouble);
    deliveries->standings = dictionary_new(free);
    deliveries->doubtful = dictionary_new(free);
    deliveries->stalls = dictionary_new(free);
    deliveries->waiting = dictionary_new(free);
    deliveries->counts.pauses = memory_zero(rows, sizeof(*deliveries->counts.pauses));
    deliveries->counts.token_pauses =
        memory_zero(token_rows, sizeof(*deliveries->counts.token_pauses));
    deliveries->counts.room_times.scale = &distribution_waits;
    deliveries->counts.times.scale = &distribution_waits;
    deliveries_configure(deliveries, parts);
    delivery_look_begin(deliveries);
    return deliveries;
}

void deliveries_configure(struct deliveries *deliveries, const struct delivery_parts *parts)
{
    deliveries->parts = *parts;
}

void deliveries_ledger_up(struct deliveries *deliveries)
{
    struct delivery *next;
    deliveries->ledger_lost = 0;
    for (struct delivery *delivery = deliveries->first; delivery != NULL; delivery = next) {
        next = delivery->next;
        if (delivery_is_unheard(delivery))
            delivery_ask_ledger(delivery);
        else if (delivery->has_reservation && delivery->call == NULL)
            delivery_claim(delivery);
    }
    delivery_note_stalls_again(deliveries);
}

void deliveries_stop(struct deliveries *deliveries)
{
    struct delivery *next;
    for (struct delivery *delivery = deliveries->first; delivery != NULL; delivery = next) {
        next = delivery->next;
        if (delivery->state != DELIVERY_LEDGER && delivery->state != DELIVERY_CONNECTING &&
            delivery->state != DELIVERY_HELD)
            continue;
        deliveries->counts.deferred++;
        delivery_put_off(delivery, "451 4.3.2 post365-transport is closing");
    }
}

const struct delivery_counts *deliveries_counts(const struct deliveries *deliveries)
{
    return &deliveries->counts;
}

void deliveries_count_states(const struct deliveries *deliveries, uint64_t numbers[DELIVERY_STATES])
{
    for (size_t i = 0; i < DELIVERY_STATES; i++)
        numbers[i] = 0;
    for (const struct delivery *delivery = deliveries->first; delivery != NULL;
         delivery = delivery->next)
        numbers[delivery->state]++;
}

bool deliveries_have(const struct deliveries *deliveries, const char *queue_id)
{
    const struct delivery *delivery = deliveries->first;
    while (delivery != NULL && strcmp(delivery->queue_id, queue_id) != 0)
        delivery = delivery->next;
    return delivery != NULL;
}

size_t deliveries_troubled(const struct deliveries *deliveries)
{
    return dictionary_count(deliveries->troubled);
}

void deliveries_free(struct deliveries *deliveries)
{
    if (deliveries == NULL)
        return;
    while (deliveries->first != NULL) {
        struct delivery *delivery = deliveries->first;
        if (delivery->state == DELIVERY_FINAL)
            log_warning("%s: account=<%s>: the end comes between the final dot and the reply: it "
                        "may have been delivered",
                        delivery_shown_id(delivery), delivery->account);
        if (delivery->submission != NULL)
            submission_abandon(delivery->submission);
        if (delivery->request != NULL)
            pool_cancel(delivery->request);
        if (delivery->call != NULL)
            ledger_channel_cancel(delivery->call);
        free_delivery(delivery);
    }
    dictionary_free(deliveries->troubled);
    dictionary_free(deliveries->standings);
    dictionary_free(deliveries->doubtful);
    dictionary_free(deliveries->stalls);
    dictionary_free(deliveries->waiting);
    buffer_free(&deliveries->greeting);
    event_free(deliveries->look);
    free(deliveries->counts.pauses);
    free(deliveries->counts.token_pauses);
    free(deliveries);
}
