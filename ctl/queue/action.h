/* action.h - flush, hold, release or delete messages of the queue
 *
 * Through postqueue(1) and postsuper(1), by queue id: what is no longer there is left alone.
 */
#ifndef POST365_CTL_QUEUE_ACTION_H
#define POST365_CTL_QUEUE_ACTION_H

#include "ctl/queue/survey.h"

#include <stdbool.h>

enum action { ACTION_NONE, ACTION_FLUSH, ACTION_HOLD, ACTION_RELEASE, ACTION_DELETE, ACTIONS };

/* The one of this name, or ACTION_NONE. */
enum action action_named(const char *name);

/* Does it to the chosen messages of a survey with labels, for which it is possible: what is on hold
 * is released, and all but that is held. Asks first, unless `is_confirmed`. Returns the exit
 * status. */
int action_run(enum action action, const struct survey *survey, bool is_confirmed);

#endif
