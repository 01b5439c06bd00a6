/* forecast.h - when an account's waiting messages will have room
 *
 * Plays the account's rolling windows forward: what was sent leaves them after its period (and the
 * guard, as in the ledger), and each waiting message goes as soon as it fits, in its order. Pure;
 * times are microseconds since the epoch.
 */
#ifndef POST365_CTL_QUEUE_FORECAST_H
#define POST365_CTL_QUEUE_FORECAST_H

#include "common/quota.h"

#include <stdint.h>

struct forecast;

/* `quota`'s periods are without `guard`, which is added to each. Nothing goes before `from`.
 * Release with forecast_free(); NULL is allowed. */
struct forecast *forecast_new(const struct quota *quota, int64_t guard, int64_t from);
void forecast_free(struct forecast *forecast);

/* What was sent already, in the order of time. */
void forecast_sent(struct forecast *forecast, int64_t when, uint32_t recipients, uint32_t messages);

/* When the next message, to so many recipients, goes; INT64_MAX: never, it is more than the quota
 * itself. One to more recipients than a message may have goes in several, of which the last counts.
 */
int64_t forecast_next(struct forecast *forecast, uint32_t recipients);

#endif
