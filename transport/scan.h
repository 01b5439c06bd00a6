/* scan.h - which messages of an account wait in Postfix's queue
 *
 * Reads what `postqueue -j` says, line by line as it comes, and keeps the oldest deferred messages
 * alone: the queue may be long. For mail whose queue id Postfix does not tell (XFORWARD has none
 * for sendmail(1)), and after a restart, which forgets what was to be woken up.
 *
 * Source: postqueue(1), "JSON object format".
 */
#ifndef POST365_TRANSPORT_SCAN_H
#define POST365_TRANSPORT_SCAN_H

#include <event2/event.h>
#include <stddef.h>

#define SCAN_MOST 20

struct scan;

/* `ids` are the oldest first; empty if there are none or the queue cannot be read. Called once,
 * from the event loop, unless the scan is cancelled. */
typedef void scan_done(void *context, const char *const ids[], size_t count);

/* Runs postqueue(1) as a child. Messages whose envelope sender is `account`, in any case, or null
 * count. NULL with a log line if it cannot be run. */
struct scan *scan_start(struct event_base *base, const char *program, const char *config_directory,
                        const char *account, scan_done *done, void *context);

void scan_cancel(struct scan *scan);

#endif
