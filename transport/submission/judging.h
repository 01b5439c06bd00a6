/* judging.h - what post365-tokend is told of a login with its token, and says to a refusal
 *
 * Whether another token is worth one more try is its decision alone: it knows what else the token
 * was good for.
 */
#ifndef POST365_TRANSPORT_SUBMISSION_JUDGING_H
#define POST365_TRANSPORT_SUBMISSION_JUDGING_H

#include "common/oauth2/token_channel.h"
#include "transport/submission/submission.h"

#include <event2/event.h>
#include <stdbool.h>

struct judging;

/* A login with a token: whose, and the token's fingerprint. */
struct judging_login {
    struct event_base *base;
    struct token_channel *channel;
    const char *account, *token_id;
};

/* It was accepted. */
void judging_tell_accepted(const struct judging_login *login);

/* Whether to try once more with another token; no answer within some seconds is a no. `end` is what
 * judging_begin() was given, valid during the call. */
typedef void judging_done(void *context, bool again, const struct submission_end *end);

/* It was refused with a reply at the stage AUTH. `done` is called once, from the event loop. NULL:
 * nobody can be asked. */
struct judging *judging_begin(const struct judging_login *login, const struct submission_end *end,
                              judging_done *done, void *context);

/* `done` is not called any more. NULL is allowed. */
void judging_cancel(struct judging *judging);

#endif
