/* schedule.h - when Postfix tries a deferred message again
 *
 * The queue manager keeps that as the modification time of the queue file (qmgr(8), "deferred
 * queue"). Only root and Postfix may look at it.
 */
#ifndef POST365_CTL_QUEUE_SCHEDULE_H
#define POST365_CTL_QUEUE_SCHEDULE_H

#include "common/settings.h"

#include <stdint.h>

struct schedule;

/* Release with schedule_free(). Never NULL: what is not known then is not known. */
struct schedule *schedule_new(const struct settings *settings);
void schedule_free(struct schedule *schedule);

/* Microseconds since the epoch; 0 if it is not known: the message is gone, or may not be seen. */
int64_t schedule_next(const struct schedule *schedule, const char *queue_id);

#endif
