/* identity.h - may this mailbox send this message in this name? */
#ifndef OFFICE365_IDENTITY_H
#define OFFICE365_IDENTITY_H

#include "mailbox.h"
#include "message.h"
#include "settings.h"

/*
 * identity_check - what Office 365 says at the end of DATA to the envelope sender ("" for the null
 * sender), From: and Sender:, or REPLY_NONE. *other is then the address that was not allowed, as a
 * new string or NULL.
 */
enum reply_row identity_check(const struct settings *settings, const struct mailbox *mailbox,
                              const char *sender, const struct message *message, char **other);

#endif
