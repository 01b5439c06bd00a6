/*
 * identity.c - may this mailbox send this message in this name?
 *
 * First whether From: and Sender: are what RFC 5322 section 3.6.2 asks for, then the envelope, then
 * the names in the header: the order in which the front end and the mailbox server see them.
 */
#include "identity.h"

#include "address.h"
#include "allocate.h"

/* read_field - the addresses of a field that must be there at most once; false if it is broken */
static bool read_field(const struct message *message, const char *name, struct list *addresses,
                       bool *present)
{
    struct message_field field, second;

    *present = message_field(message, name, 0, &field);
    if (!*present)
        return true;
    if (message_field(message, name, 1, &second))
        return false;
    return address_list_parse(field.value, field.length, addresses) && addresses->count > 0;
}

/* check_syntax - read both fields, and see whether they make sense */
static enum reply_row check_syntax(const struct message *message, struct list *from,
                                   struct list *sender)
{
    bool has_from, has_sender;

    if (!read_field(message, "From", from, &has_from) || !has_from)
        return REPLY_INVALID_FROM;
    if (!read_field(message, "Sender", sender, &has_sender) || sender->count > 1)
        return REPLY_INVALID_FROM;
    if (from->count > 1 && !has_sender)
        return REPLY_MULTIPLE_FROM;
    return REPLY_NONE;
}

/* first_foreign - the first address that the mailbox may not use, or NULL */
static const char *first_foreign(const struct mailbox *mailbox, const struct list *addresses)
{
    for (size_t i = 0; i < addresses->count; i++) {
        if (!mailbox_may_send_as(mailbox, addresses->items[i]))
            return addresses->items[i];
    }
    return NULL;
}

static bool envelope_allowed(const struct settings *settings, const struct mailbox *mailbox,
                             const char *sender)
{
    if (*sender == '\0')
        return settings->null_sender_passes;
    return mailbox_may_send_as(mailbox, sender);
}

enum reply_row identity_check(const struct settings *settings, const struct mailbox *mailbox,
                              const char *sender, const struct message *message, char **other)
{
    struct list from_list = {NULL, 0}, sender_list = {NULL, 0};
    enum reply_row row = check_syntax(message, &from_list, &sender_list);
    const char *foreign = NULL;

    if (row == REPLY_NONE && !envelope_allowed(settings, mailbox, sender)) {
        row = REPLY_NOT_THIS_SENDER;
        foreign = sender;
    }
    if (row == REPLY_NONE) {
        foreign = first_foreign(mailbox, &from_list);
        if (foreign == NULL)
            foreign = first_foreign(mailbox, &sender_list);
        if (foreign != NULL)
            row = settings->send_as_denied;
    }
    *other = duplicate(foreign);
    list_clear(&from_list);
    list_clear(&sender_list);
    return row;
}
