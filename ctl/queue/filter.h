/* filter.h - which messages of the queue are meant */
#ifndef POST365_CTL_QUEUE_FILTER_H
#define POST365_CTL_QUEUE_FILTER_H

#include "ctl/cause.h"
#include "ctl/queue/listing.h"

#include <stdbool.h>
#include <stdint.h>

/* All that are set must fit; all zero: every message fits. Strings are the caller's. */
struct filter {
    char *account;             /* folded UPN, or NULL */
    const struct cause *cause; /* or NULL */
    char *recipient;           /* folded address or @domain, or NULL */
    int64_t arrived_before;    /* microseconds since the epoch; 0: at any time */
    bool has_queue;
    enum listing_queue queue;
};

/* Whether anything is set but the queue. */
bool filter_is_set(const struct filter *filter);

bool filter_takes_message(const struct filter *filter, const struct listing_message *message,
                          const char *account);
bool filter_takes_recipient(const struct filter *filter, const char *address,
                            const struct cause *cause);

/* Releases what it holds. */
void filter_free(struct filter *filter);

#endif
