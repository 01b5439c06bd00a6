/* envelope.c - what a transaction has said before its data */
#include "transport/lmtp/envelope.h"

#include "common/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define TOO_MANY     "452 4.5.3 Too many recipients"
#define TOO_MUCH     "452 4.3.1 Too much of an envelope"
#define WITHOUT_UTF8 "553 5.6.7 The recipient address needs SMTPUTF8"

/* Three strings in one piece of memory, which the first of them begins. */
static size_t pack(const char **first, const char **second, const char **third)
{
    size_t lengths[] = {strlen(*first) + 1, strlen(*second) + 1, strlen(*third) + 1};
    size_t length = lengths[0] + lengths[1] + lengths[2];
    char *memory = memory_alloc(length);
    memcpy(memory, *first, lengths[0]);
    memcpy(memory + lengths[0], *second, lengths[1]);
    memcpy(memory + lengths[0] + lengths[1], *third, lengths[2]);
    *first = memory;
    *second = memory + lengths[0];
    *third = *second + lengths[1];
    return length;
}

void envelope_forward(struct envelope *envelope, const struct lmtp_command *command)
{
    for (size_t i = 0; i < LMTP_FORWARDS; i++)
        if (command->forward[i] != NULL) {
            free(envelope->forward[i]);
            envelope->forward[i] = memory_copy(command->forward[i]);
        }
}

void envelope_begin(struct envelope *envelope, const struct lmtp_command *command)
{
    envelope->sender = command->address;
    envelope->ret = command->ret;
    envelope->envid = command->envid;
    envelope->octets = pack(&envelope->sender, &envelope->ret, &envelope->envid);
    envelope->size = command->size;
    envelope->body = command->body;
    envelope->utf8 = command->has_utf8;
}

bool envelope_has_begun(const struct envelope *envelope)
{
    return envelope->sender != NULL;
}

static void make_room(struct envelope *envelope)
{
    if (envelope->recipient_count < envelope->recipient_room)
        return;
    envelope->recipient_room = envelope->recipient_room > 0 ? envelope->recipient_room * 2 : 8;
    envelope->recipients =
        memory_grow(envelope->recipients, envelope->recipient_room * sizeof(*envelope->recipients));
}

const char *envelope_add(struct envelope *envelope, const struct lmtp_command *command)
{
    struct envelope_recipient recipient = {command->address, command->notify, command->orcpt};
    if (command->needs_utf8 && !envelope->utf8)
        return WITHOUT_UTF8;
    if (command->orcpt_needs_utf8 && !envelope->utf8)
        recipient.orcpt = "";
    if (envelope->recipient_count >= ENVELOPE_RECIPIENTS_MAX)
        return TOO_MANY;
    size_t octets = strlen(recipient.address) + strlen(recipient.notify) + strlen(recipient.orcpt) +
                    3 + sizeof(recipient);
    if (octets > ENVELOPE_OCTETS_MAX - envelope->octets)
        return TOO_MUCH;
    envelope->octets += octets;
    pack(&recipient.address, &recipient.notify, &recipient.orcpt);
    make_room(envelope);
    envelope->recipients[envelope->recipient_count++] = recipient;
    return NULL;
}

const char *envelope_queue_id(const struct envelope *envelope)
{
    const char *id = envelope->forward[LMTP_FORWARD_IDENT];
    for (const char *octet = id; octet != NULL && *octet != '\0'; octet++)
        if ((unsigned char)*octet >= 0x80 || !isalnum((unsigned char)*octet))
            return "";
    return id != NULL ? id : "";
}

void envelope_clear(struct envelope *envelope)
{
    for (size_t i = 0; i < envelope->recipient_count; i++)
        free((char *)envelope->recipients[i].address);
    free(envelope->recipients);
    free((char *)envelope->sender);
    for (size_t i = 0; i < LMTP_FORWARDS; i++)
        free(envelope->forward[i]);
    *envelope = (struct envelope){0};
}
