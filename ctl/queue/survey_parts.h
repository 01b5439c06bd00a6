/* survey_parts.h - what survey.c and estimate.c share */
#ifndef POST365_CTL_QUEUE_SURVEY_PARTS_H
#define POST365_CTL_QUEUE_SURVEY_PARTS_H

#include "ctl/queue/survey.h"

/* What an entry is found by. */
uint64_t survey_key(const char *queue_id, const struct cause *cause);

#endif
