/* delivery.h - the service in master.cf by which Postfix hands mail to post365-transport
 *
 * conf/master.cf says why it is as it is.
 */
#ifndef POST365_CTL_RELAY_DELIVERY_H
#define POST365_CTL_RELAY_DELIVERY_H

#include "common/buffer.h"
#include "ctl/relay/config.h"

#include <stdbool.h>
#include <stddef.h>

/* An -o of it. */
struct delivery_option {
    const char *name;
    const char *value;   /* that post365 comes with */
    const char *meaning; /* of its lack; NULL: that does no harm */
};

extern const struct delivery_option delivery_options[];
extern const size_t delivery_option_count;

/* Whether a service's value for an option does what that is for. */
bool delivery_option_is_fine(const struct delivery_option *option, const char *value);

/* What of smtp(8)'s own tables the service must be told of, since lmtp(8) has others: "lmtp_..."
 * and the reference to the one of smtp(8). */
struct delivery_table {
    const char *name;  /* "lmtp_generic_maps" */
    const char *other; /* "smtp_generic_maps" */
    const char *why;
};

extern const struct delivery_table delivery_tables[];
extern const size_t delivery_table_count;

/* What mail that goes through the transport loses of what a table of smtp(8)'s does for it. */
enum delivery_loss {
    DELIVERY_LOSS_NONE,
    DELIVERY_LOSS_CURABLE, /* the service may have the table, too */
    DELIVERY_LOSS_FINAL,   /* it is a recipe that rewrites all senders, or replaces From: */
    DELIVERY_LOSS_UNKNOWN, /* it cannot be looked into */
};

/* `service` is NULL where there is none yet. */
enum delivery_loss delivery_loss(const struct config *config, const struct config_service *service,
                                 const struct delivery_table *table);

#endif
