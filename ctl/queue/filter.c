/* filter.c - which messages of the queue are meant */
#include "ctl/queue/filter.h"

#include "common/address.h"

#include <stdlib.h>
#include <string.h>

bool filter_is_set(const struct filter *filter)
{
    return filter->account != NULL || filter->cause != NULL || filter->recipient != NULL ||
           filter->arrived_before != 0;
}

bool filter_takes_message(const struct filter *filter, const struct listing_message *message,
                          const char *account)
{
    return (filter->account == NULL || strcmp(filter->account, account) == 0) &&
           (filter->arrived_before == 0 || message->arrival < filter->arrived_before) &&
           (!filter->has_queue || filter->queue == message->queue);
}

static bool is_at(const char *wanted, const char *address)
{
    char *folded = address_fold(address);
    const char *domain = strrchr(folded, '@');
    bool fits = strcmp(folded, wanted) == 0 ||
                (wanted[0] == '@' && domain != NULL && strcmp(domain, wanted) == 0);
    free(folded);
    return fits;
}

bool filter_takes_recipient(const struct filter *filter, const char *address,
                            const struct cause *cause)
{
    return (filter->cause == NULL || filter->cause == cause) &&
           (filter->recipient == NULL || is_at(filter->recipient, address));
}

void filter_free(struct filter *filter)
{
    free(filter->account);
    free(filter->recipient);
    *filter = (struct filter){.account = NULL};
}
