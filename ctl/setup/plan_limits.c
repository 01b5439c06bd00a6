/* plan_limits.c - recipes against Office 365's limits that are no longer needed */
#include "ctl/setup/plan.h"

#include "common/buffer.h"

#include <string.h>

/* They concern smtp(8), which may still deliver what transport_maps send elsewhere. */
static const char *const recipes[] = {
    "smtp_destination_rate_delay",          "smtp_destination_concurrency_limit",
    "smtp_destination_recipient_limit",     "smtp_extra_recipient_limit",
    "smtp_initial_destination_concurrency",
};

void plan_limits(struct plan *plan)
{
    struct buffer names = {0};
    for (size_t i = 0; i < sizeof(recipes) / sizeof(recipes[0]); i++)
        if (relay_sets(plan->relay, recipes[i]))
            buffer_format(&names, "%s%s", names.length > 0 ? ", " : "", recipes[i]);
    if (names.length > 0)
        plan_remark(plan,
                    "No longer needed, since the transport keeps the limits itself, and without "
                    "effect on it: %s.",
                    names.data);
    buffer_free(&names);
}
