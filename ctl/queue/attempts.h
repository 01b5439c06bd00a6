/* attempts.h - what Postfix's log says about the attempts to deliver a message */
#ifndef POST365_CTL_QUEUE_ATTEMPTS_H
#define POST365_CTL_QUEUE_ATTEMPTS_H

#include "common/settings.h"

#include <stddef.h>
#include <time.h>

#define ATTEMPTS_KEPT 10

/* The last attempts, the oldest first. */
struct attempts {
    char *log;                  /* which one was read; NULL: there is none that may be */
    size_t count;               /* of all that were seen */
    char *lines[ATTEMPTS_KEPT]; /* "14:00:01 to=<ann@example.org>, ... status=deferred (...)" */
};

/* Reads the log (ctl/maillog.h), in the journal from `since` on, when the message came. Release
 * with attempts_free(). `attempts` may be anything before. */
void attempts_read(struct attempts *attempts, const struct settings *settings, const char *queue_id,
                   time_t since);
void attempts_free(struct attempts *attempts);

/* One that was kept, counted from 0, or NULL. */
const char *attempts_line(const struct attempts *attempts, size_t number);

#endif
