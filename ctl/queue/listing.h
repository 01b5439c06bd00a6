/* listing.h - what is in Postfix's queue, message by message as postqueue(1) tells it
 *
 * Source: postqueue(1), "JSON object format".
 */
#ifndef POST365_CTL_QUEUE_LISTING_H
#define POST365_CTL_QUEUE_LISTING_H

#include "common/error.h"
#include "common/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum listing_queue {
    LISTING_DEFERRED,
    LISTING_ACTIVE,
    LISTING_HOLD,
    LISTING_INCOMING,
    LISTING_MAILDROP,
    LISTING_QUEUES,
};

struct listing_recipient {
    const char *address;
    const char *reason; /* NULL: none yet */
};

/* Valid until the next one is told. */
struct listing_message {
    const char *id;
    enum listing_queue queue;
    int64_t arrival;    /* microseconds since the epoch */
    int64_t size;       /* bytes */
    const char *sender; /* "": the null sender */
    const struct listing_recipient *recipients;
    size_t recipient_count;
};

/* "deferred"; and the other way round: LISTING_QUEUES if it is none. */
const char *listing_queue_name(enum listing_queue queue);
enum listing_queue listing_queue_named(const char *name);

/* Tells all messages to `tell`, in Postfix's order; to be told no more it returns false. What
 * postqueue complains of goes to stderr. False with the reason: it cannot be run, it has failed (in
 * the middle perhaps: what was told is true, but not all), or it says what is no such list. */
bool listing_each(const struct settings *settings,
                  bool (*tell)(void *context, const struct listing_message *message), void *context,
                  struct error *error);

#endif
