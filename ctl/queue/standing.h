/* standing.h - what holds up mail that Postfix is working on
 *
 * A message of the active queue has no reason yet: it is on its way, unless its account is paused,
 * or connections of it stall; the ledger knows. Asked once for each account, and only when there is
 * such a message.
 */
#ifndef POST365_CTL_QUEUE_STANDING_H
#define POST365_CTL_QUEUE_STANDING_H

#include "common/settings.h"
#include "ctl/cause.h"

struct standing;

/* `settings` must outlive it. Release with standing_free(). */
struct standing *standing_new(const struct settings *settings);
void standing_free(struct standing *standing);

/* The cause for mail of this account (folded UPN, "": none is known); NULL: nothing holds it up, or
 * the ledger does not tell. */
const struct cause *standing_find(struct standing *standing, const char *account);

#endif
