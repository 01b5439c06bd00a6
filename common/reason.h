/* reason.h - whose message it is, as the reason in Postfix's queue tells it
 *
 * The transport ends each temporary failure that it gives for a message with the account that it
 * was about, in one form, so that whoever reads the queue (postqueue(1) shows no more than sender
 * and reason) names the same account: "... room at 14:05:00 (in 61 s) (account
 * <relay@contoso.com>)".
 *
 * Pure.
 */
#ifndef POST365_COMMON_REASON_H
#define POST365_COMMON_REASON_H

#include "common/buffer.h"

/* Octets that the form takes beside the account. */
#define REASON_FORM_LENGTH (sizeof(" (account <>)") - 1)

/* Appends it to a reply. */
void reason_append_account(struct buffer *reply, const char *account);

/*
 * The folded account that a reason names, or NULL if it names none: by the form above, of several
 * the last, since a server's own words stand before it; or by the account's own socket, where
 * Postfix could not get as far as a reply ("connect to relay[post365/accounts/relay@contoso.com]:
 * ..."). The caller's to free(). Anybody's text is believed: for showing, and for choosing what to
 * try again.
 */
char *reason_account(const char *reason);

#endif
