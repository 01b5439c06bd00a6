/* inspect.h - the way to the endpoint, step by step, for the doctor
 *
 * One request for what the tenant says of itself, which needs no login: with the proxy, the
 * authorities and the time limit that all requests have.
 */
#ifndef POST365_TOKEND_INSPECT_H
#define POST365_TOKEND_INSPECT_H

#include "common/buffer.h"
#include "tokend/fetch.h"

#include <event2/event.h>

struct inspection;

/* The steps as lines of tokens.h. */
typedef void inspect_done(void *context, const struct buffer *steps);

/* Of the registration with this path. `done` is called later, never from within. */
struct inspection *inspect_begin(struct event_base *base, struct fetcher *fetcher, const char *path,
                                 inspect_done *done, void *context);
/* NULL is allowed. */
void inspect_cancel(struct inspection *inspection);

#endif
