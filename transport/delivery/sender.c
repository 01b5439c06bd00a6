/* sender.c - whose message it is, and what may be sent of it at once */
#include "common/address.h"
#include "common/buffer.h"
#include "common/memory.h"
#include "common/quotas.h"
#include "transport/delivery/parts.h"

#include <inttypes.h>
#include <stdlib.h>

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
        if (identity.source == IDENTITY_ELSEWHERE) {
            delivery->sender = memory_copy(sender);
            buffer_format(reply, "451 4.3.5 %s", error.text);
            return false;
        }
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

bool delivery_find_account(struct delivery *delivery, const char *socket_account,
                           struct buffer *reply)
{
    if (!find_account(delivery, socket_account, reply) || !find_quota(delivery, reply))
        return false;
    leave_out_recipients(delivery);
    return true;
}
