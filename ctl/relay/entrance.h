/* entrance.h - by which ways mail comes in, and which of them do not lead through the milter
 *
 * Sources: MILTER_README, SMTPD_PROXY_README, smtpd_milter_maps, receive_override_options and
 * content_filter in postconf(5), smtpd(8), pickup(8), qmqpd(8), cleanup(8).
 */
#ifndef POST365_CTL_RELAY_ENTRANCE_H
#define POST365_CTL_RELAY_ENTRANCE_H

#include "ctl/relay/config.h"
#include "ctl/relay/milter.h"

#include <stdbool.h>

/* Why it does not. */
enum past {
    PAST_NOT,    /* it does, or main.cf alone decides */
    PAST_LIST,   /* a list of milters of its own, without ours */
    PAST_OPTION, /* no_milters */
    PAST_PROXY,  /* smtpd_proxy_filter: only the service that takes the mail back runs milters */
};

struct entrance {
    enum past past;
    const char *parameter; /* that decides: "smtpd_milters" */
    const char *value;     /* that of it, expanded */
    bool takes_logins;     /* by SMTP AUTH */
    bool is_reentry;       /* for a content filter to hand mail back, which came in elsewhere */
    struct milter_list list;
};

/* Looks at a service of master.cf. False: no mail comes in there. */
bool entrance_look(const struct config *config, const struct config_service *service,
                   struct entrance *entrance);

/* Whether some service takes logins. */
bool entrance_takes_logins(const struct config *config);

/* Whether mail passes milters by that receive_override_options, its value, holds. */
bool entrance_skips_milters(const char *options);

/* Of smtpd_milter_maps, expanded: whether every milter list in it has ours. Where the tables cannot
 * be listed: false. */
bool entrance_maps_have_ours(const struct config *config, const char *maps);

#endif
