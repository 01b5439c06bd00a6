/* backlog.h - how much mail waits in Postfix's queue */
#ifndef POST365_CTL_RELAY_BACKLOG_H
#define POST365_CTL_RELAY_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>

/* Counts the queue files below a queue directory, those on hold and in maildrop among them. False
 * where it may not be read. */
bool backlog_count(const char *queue_directory, size_t *count);

#endif
