/* asking.h - the credential of an account, from an event loop
 *
 * What is in a table or in a file is there at once; an access token of post365_oauth2_maps comes
 * from post365-tokend, which may have to ask Microsoft for it first. Whoever asks bounds the time,
 * and may do something else meanwhile.
 */
#ifndef POST365_COMMON_UPSTREAM_ASKING_H
#define POST365_COMMON_UPSTREAM_ASKING_H

#include "common/entra/cause.h"
#include "common/oauth2/token_channel.h"
#include "common/upstream/credentials.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct asking;

/* Why there is no credential now. */
struct asking_failure {
    const char *text;              /* one line; the remedy is in it where there is no `cause` */
    const struct entra_row *cause; /* why there is no token; NULL: it is not that */
    bool is_stopped;               /* it does not pass by itself: somebody must act */
    int64_t until; /* microseconds since the epoch, of clock_system(): tried again then; or 0 */
    const char *registration; /* the path of the token's; NULL where there is no `cause` */
};

/* How it ended, once. One of both is NULL. A credential is to be taken over or released; what a
 * failure points to is valid during the call. */
typedef void asking_done(void *context, struct credential *credential,
                         const struct asking_failure *failure);

struct asking_parts {
    struct event_base *base;
    struct token_channel *channel;
    int64_t patience; /* microseconds */
};

/* Asks. What is at hand is told at once, with `*asking` NULL; else `*asking` is what can be
 * cancelled, and `done` is called from the event loop. What is in `parts` outlives that;
 * `credentials` and `upn` need not. */
void asking_begin(const struct asking_parts *parts, struct credentials *credentials,
                  const char *upn, asking_done *done, void *context, struct asking **asking);

/* `done` is not called any more. NULL is allowed. */
void asking_cancel(struct asking *asking);

#endif
