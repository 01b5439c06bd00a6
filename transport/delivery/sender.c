/* sender.c - whose message it is, who stands in MAIL FROM, and what may be sent of it at once */
#include "common/address.h"
#include "common/buffer.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/quotas.h"
#include "common/sender/sealer.h"
#include "common/xtext.h"
#include "transport/delivery/parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

/* The milter's decision, if there is one: of mail from sendmail(1) it alone tells the queue id. The
 * client's own ENVID, which stands before it, is what Microsoft is told. */
static void read_decision(struct delivery *delivery)
{
    struct buffer envid = {0};
    struct handover decision;
    if (!sealer_open(delivery->all->parts.sealer, delivery->sent.envid, &decision)) {
        if (handover_is_sealed(delivery->sent.envid))
            log_info("%s: its ENVID bears a seal that is not of this host's key: it is a client's "
                     "own, or of before the key was made anew",
                     delivery_shown_id(delivery));
        return;
    }
    xtext_append(&envid, decision.envid);
    delivery->account = memory_copy(decision.account);
    delivery->envid = buffer_take(&envid);
    delivery->sent.envid = delivery->envid;
    delivery->is_id_sealed = delivery->queue_id[0] == '\0';
    if (delivery->is_id_sealed)
        snprintf(delivery->queue_id, sizeof(delivery->queue_id), "%s", decision.queue_id);
    handover_free(&decision);
}

static bool find_account(struct delivery *delivery, const char *socket_account,
                         struct buffer *reply)
{
    struct error error;
    struct identity identity;
    read_decision(delivery);
    if (delivery->account != NULL)
        return true;
    /* The destination follows from the sender, which may not be believed. */
    if (socket_account != NULL && !delivery->all->parts.settings->login_only) {
        delivery->account = address_fold(socket_account);
        return true;
    }
    if (identity_find(delivery->all->parts.identities, "", delivery->sent.sender, &identity,
                      &error) != TABLE_FOUND) {
        buffer_format(reply, "451 4.3.0 %s", error.text);
        return false;
    }
    delivery->account = address_fold(identity.upn);
    free(identity.upn);
    if (identity.source != IDENTITY_ELSEWHERE)
        return true;
    buffer_format(reply, "451 4.3.5 %s", error.text);
    return false;
}

/* Who stands in MAIL FROM: the envelope's sender if the account may send as it, else the account.
 * Postfix makes senders that the milter has never seen: of owner- aliases, VERP, masquerading, its
 * own notices; what else could be meant by them? The null sender is the account as well, but
 * nobody reports to it. */
static bool choose_sender(struct delivery *delivery, struct buffer *reply)
{
    struct error error;
    const char *sender = delivery->sent.sender;
    enum table_answer covered = TABLE_NONE;
    bool is_fit = address_is_valid(sender) && (delivery->sent.utf8 || is_ascii(sender));
    if (is_fit)
        covered =
            identity_covers(delivery->all->parts.identities, delivery->account, sender, &error);
    if (covered == TABLE_FAILED) {
        buffer_format(reply, "451 4.3.0 %s", error.text);
        return false;
    }
    delivery->sender = memory_copy(covered == TABLE_FOUND ? sender : delivery->account);
    delivery->reports = sender[0] == '\0' ? SUBMISSION_NO_REPORTS : SUBMISSION_REPORTS;
    return true;
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

bool delivery_find_account(struct delivery *delivery, const char *socket_account,
                           struct buffer *reply)
{
    if (!find_account(delivery, socket_account, reply) || !choose_sender(delivery, reply) ||
        !find_quota(delivery, reply))
        return false;
    leave_out_recipients(delivery);
    return true;
}
