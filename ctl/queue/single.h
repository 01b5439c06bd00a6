/* single.h - all about one message in the queue */
#ifndef POST365_CTL_QUEUE_SINGLE_H
#define POST365_CTL_QUEUE_SINGLE_H

#include "ctl/command.h"
#include "ctl/queue/survey.h"

/* Shows the message, of a survey that was estimated. Returns the exit status. */
int single_show(const struct screen *screen, struct survey *survey, const char *queue_id,
                bool as_json);

#endif
