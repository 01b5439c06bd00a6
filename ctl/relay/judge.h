/* judge.h - what a setting means for mail, said once for `post365 setup` and `post365 doctor`
 *
 * Pure: values in, expanded, a judgement out. In delivery meter post365-transport makes sender and
 * From: right whatever way a message came, so that what passes the milter by is not refused any
 * more: what it loses is the login, and with it the account that the login stands for.
 *
 * Sources: postconf(5), MILTER_README.
 */
#ifndef POST365_CTL_RELAY_JUDGE_H
#define POST365_CTL_RELAY_JUDGE_H

#include "common/buffer.h"
#include "common/settings.h"

#include <stdbool.h>

enum judged_as { JUDGED_RIGHT, JUDGED_DOUBTFUL, JUDGED_WRONG };

struct judged {
    enum judged_as judgement;
    const char *meaning; /* a constant; NULL where all is right */
};

/* Whether who logs in may have another account than his sender would get: then a message must not
 * pass without its login. */
bool judge_logins_decide(const struct settings *settings);

/* The default_action that setup gives post365's milter. While it is down `accept` lets mail in, for
 * the transport to make right; `tempfail`, where logins decide, leaves it at the client. */
const char *judge_action_wanted(const struct settings *settings);
struct judged judge_action(const struct settings *settings, const char *action);

/* milter_protocol, or the protocol of one milter: "6". */
struct judged judge_protocol(const struct settings *settings, const char *protocol);

/* Mail that comes in by a way that does not lead through the milter; `takes_logins`: by SMTP AUTH,
 * too. */
struct judged judge_past(const struct settings *settings, bool takes_logins);

/* internal_mail_filter_classes. Appends the names that should be in it and are not, as
 * "bounce, notify". */
struct judged judge_classes(const struct settings *settings, const char *classes,
                            struct buffer *missing);

/* maximal_queue_lifetime, or with `of_bounces` bounce_queue_lifetime: a time as in postconf(5), in
 * days if it names no unit. */
struct judged judge_lifetime(const char *lifetime, bool of_bounces);

/* defer_transports, for the transport `name` of master.cf. */
struct judged judge_deferred(const char *transports, const char *name);

/* The port of relayhost. */
struct judged judge_port(const char *port);

/* `list` is mydestination or one of its like: whether colleagues at `account`'s domain (a UPN) are
 * looked for on this host. */
struct judged judge_domain(const char *list, const char *account);

/* How many recipients Postfix puts into one message (NAME_destination_recipient_limit): 0 is no
 * limit. */
struct judged judge_recipients(const struct settings *settings, unsigned long limit, bool is_set);

/* A time as in postconf(5) in seconds, where a number without a unit counts `unit`, one of smhdw;
 * -1 for what is none. */
long judge_seconds(const char *text, char unit);

#endif
