/* content.c - a message's octets on their way from Postfix to Microsoft
 *
 * The header is held back until it is whole, and judged by the rules that the milter has: what came
 * past the milter, or was changed behind it, leaves right. Then everything streams.
 *
 * A header that cannot be judged now, since a look-up fails, is found when Microsoft has said yes
 * to the envelope already: the connection is given up before the final dot, so that nothing was
 * sent.
 */
#include "common/buffer.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/sender/coverage.h"
#include "transport/delivery/parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void delivery_begin_content(struct delivery *delivery)
{
    header_free(delivery->header);
    delivery->header = header_new();
}

/* Nothing was sent. The delivery is over. */
static void give_up(struct delivery *delivery, const char *reason)
{
    submission_abandon(delivery->submission);
    delivery->submission = NULL;
    delivery->all->counts.failed++;
    delivery->verdict = (struct verdict){.is_temporary = true};
    snprintf(delivery->verdict.reply, sizeof(delivery->verdict.reply), "451 4.3.0 %.*s",
             VERDICT_SIZE - 20, reason);
    delivery_release(delivery);
    delivery_reply(delivery);
}

/* False with the reason. */
static bool judge(const struct delivery *delivery, struct rewrite_edits *edits, struct error *error)
{
    struct coverage_question question = {.identities = delivery->all->parts.identities,
                                         .upn = delivery->account};
    const char *sender = delivery->sent.sender;
    const struct rewrite_rules rules =
        coverage_rules(&question, delivery->all->parts.settings, sender, sender[0] == '\0');
    return coverage_is_decided(header_judge(delivery->header, &rules, edits), &question, error);
}

static void log_edits(const struct delivery *delivery, const struct rewrite_edits *edits)
{
    static const char *const words[] = {
        [REWRITE_CHANGE] = "rewritten", [REWRITE_DELETE] = "removed", [REWRITE_ADD] = "added"};
    struct buffer text = {0};
    for (size_t i = 0; i < edits->count && text.length < SENDER_SHOWN; i++)
        buffer_format(&text, ", %s=%s", edits->items[i].name, words[edits->items[i].action]);
    log_info("%s: from=<%.*s>, account=<%s>: made right on its way out%s",
             delivery_shown_id(delivery), SENDER_SHOWN, delivery->sent.sender, delivery->account,
             text.data);
    buffer_free(&text);
}

/* The header is whole. False if the delivery is over. */
static bool send_header(struct delivery *delivery)
{
    struct rewrite_edits edits;
    struct error error;
    if (!judge(delivery, &edits, &error)) {
        give_up(delivery, error.text);
        return false;
    }
    struct evbuffer *text = evbuffer_new();
    header_write(delivery->header, &edits, text);
    if (edits.count > 0)
        log_edits(delivery, &edits);
    delivery->all->counts.octets += evbuffer_get_length(text);
    submission_write_all(delivery->submission, text);
    evbuffer_free(text);
    rewrite_edits_free(&edits);
    header_free(delivery->header);
    delivery->header = NULL;
    return true;
}

/* The header is longer than what is held: what is none of the fields that are judged goes ahead.
 * False if the delivery is over. */
static bool pass_header(struct delivery *delivery)
{
    struct rewrite_edits edits;
    struct error error;
    if (!judge(delivery, &edits, &error)) {
        give_up(delivery, error.text);
        return false;
    }
    struct evbuffer *text = evbuffer_new();
    header_pass(delivery->header, edits.count == 0, text);
    delivery->all->counts.octets += evbuffer_get_length(text);
    submission_write_all(delivery->submission, text);
    evbuffer_free(text);
    rewrite_edits_free(&edits);
    return true;
}

/* Takes no more than can be held or there is room for. False if the delivery is over. */
static bool hold(struct delivery *delivery, struct evbuffer *bytes)
{
    while (evbuffer_get_length(bytes) > 0 && !header_is_whole(delivery->header) &&
           submission_has_room(delivery->submission)) {
        struct evbuffer_iovec piece;
        evbuffer_peek(bytes, -1, NULL, &piece, 1);
        evbuffer_drain(bytes, header_take(delivery->header, piece.iov_base, piece.iov_len));
        if (header_is_full(delivery->header) && !pass_header(delivery))
            return false;
    }
    return true;
}

void delivery_take_content(void *message, struct evbuffer *bytes)
{
    struct delivery *delivery = message;
    if (delivery->state != DELIVERY_BODY || delivery->submission == NULL) {
        evbuffer_drain(bytes, evbuffer_get_length(bytes));
        return;
    }
    if (delivery->header != NULL) {
        if (!hold(delivery, bytes) || !header_is_whole(delivery->header) || !send_header(delivery))
            return;
    }
    size_t before = evbuffer_get_length(bytes);
    submission_write(delivery->submission, bytes);
    delivery->all->counts.octets += before - evbuffer_get_length(bytes);
}

void delivery_end_content(void *message, uint64_t replaced)
{
    struct delivery *delivery = message;
    if (delivery->state != DELIVERY_BODY || delivery->submission == NULL)
        return;
    if (delivery->header != NULL) {
        header_end(delivery->header);
        if (!send_header(delivery))
            return;
    }
    if (replaced > 0)
        log_info("%s: %" PRIu64 " bare CR or LF became blanks", delivery_shown_id(delivery),
                 replaced);
    delivery_close_body(delivery);
}
