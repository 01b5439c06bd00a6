/* owners.h - whose is a message in the queue?
 *
 * The account that post365-transport names in the reason why it waits; of a message that it has not
 * seen yet the one that its envelope sender has, as far as that tells. Who may not read the tables
 * (most hosts let root alone) is told the sender itself, which the milter has made the account.
 */
#ifndef POST365_CTL_QUEUE_OWNERS_H
#define POST365_CTL_QUEUE_OWNERS_H

#include "common/settings.h"
#include "ctl/queue/listing.h"

struct owners;

/* `settings` must outlive it. Release with owners_free(). */
struct owners *owners_new(const struct settings *settings);
void owners_free(struct owners *owners);

/* Why they are guessed, or, of those that were asked for until now, not known; or NULL. */
const char *owners_complaint(const struct owners *owners);

/* The account's folded UPN, "" if none is known. It is the owners', and the same pointer for the
 * same account. */
const char *owners_find(struct owners *owners, const struct listing_message *message);

#endif
