/* ledger_health.h - does the ledger answer?
 *
 * A connection to policyd may stand while nobody at its other end does anything, or does so only to
 * say that the ledger cannot be used. So it is asked, once a second, and its answer awaited.
 */
#ifndef POST365_TRANSPORT_LEDGER_HEALTH_H
#define POST365_TRANSPORT_LEDGER_HEALTH_H

#include "common/ledger_channel.h"

#define LEDGER_HEALTH_PATIENCE 3 /* seconds without an answer */

struct ledger_health;

/* The channel outlives the result. Release with ledger_health_free(); NULL is allowed there. */
struct ledger_health *ledger_health_new(struct ledger_channel *channel);
void ledger_health_free(struct ledger_health *health);

/* Looks, and asks again if the last question was answered: call it once a second. */
void ledger_health_check(struct ledger_health *health);

/* Why mail has to wait, "" if it has not; until the next look. */
const char *ledger_health_trouble(const struct ledger_health *health);

#endif
