/* destinations.h - which server does mail of a sender go to, and whose is a key of a password
 * table?
 *
 * sender_dependent_relayhost_maps says it for a sender, else relayhost; before both, what
 * sender_dependent_default_transport_maps has with a next hop that is a server. Microsoft's servers
 * for submission (microsoft.h) and relayhost's are post365's business; mail for any other goes its
 * own way, and so does what the password table has for that server.
 *
 * Sources: sender_dependent_relayhost_maps and smtp_sasl_password_maps in postconf(5),
 * trivial-rewrite(8), SASL_README.
 */
#ifndef POST365_COMMON_DESTINATIONS_H
#define POST365_COMMON_DESTINATIONS_H

#include "common/destination.h"
#include "common/error.h"
#include "common/settings.h"
#include "common/table.h"

#include <stdbool.h>
#include <stdint.h>

#define DESTINATIONS_TRANSPORTS "sender_dependent_default_transport_maps"
#define DESTINATIONS_PARAMETER  "sender_dependent_relayhost_maps"

struct destinations;

/* Opens the tables. `settings` must outlive the result. With `old` (may be NULL, stays the
 * caller's) it is a reload, see tables_reopen(). NULL with the reason. A relayhost that makes no
 * sense is nobody's, and no failure here. */
struct destinations *destinations_reopen(struct destinations *old, const struct settings *settings,
                                         struct error *error);
/* tables_check() */
bool destinations_check(struct destinations *destinations, struct error *error);
/* `destinations` may be NULL. */
void destinations_close(struct destinations *destinations);

/* tables_refresh() */
bool destinations_refresh(struct destinations *destinations, uint64_t *version);

/* Where mail of this envelope sender goes ("" is the null sender), at least one server, and
 * `*is_ours`: whether the first is Microsoft's or one of relayhost's. TABLE_FOUND; TABLE_NONE:
 * relayhost is wanted, and names no server: that one's host is ""; TABLE_FAILED with the reason.
 * What the table has for a sender and is no destination is not ours. Thread-safe. */
enum table_answer destinations_find(struct destinations *destinations, const char *sender,
                                    struct destination_list *list, bool *is_ours,
                                    struct error *error);

/* Where mail may go that an account sends: where sender_dependent_relayhost_maps says, if it has
 * something for the account (a transport of the account as a sender does not count); else
 * relayhost's servers and, behind them, those of ours that the tables name for any sender, as far
 * as these can be enumerated. An account may be known for one of these alone. */
enum table_answer destinations_of_account(struct destinations *destinations, const char *upn,
                                          struct destination_list *list, bool *is_ours,
                                          struct error *error);

/* For which of the servers, all of them ours, a line of a password table with this key is. A key is
 * a host's, with or without brackets and port; or a sender's, user@domain, user or @domain: then it
 * is for the server that this one's own mail goes to. TABLE_FOUND: `*which` is in the list.
 * TABLE_NONE: for another. Thread-safe. */
enum table_answer destinations_owner(struct destinations *destinations, const char *key,
                                     const struct destination_list *list,
                                     const struct destination **which, struct error *error);

/* Calls `visit` with each sender, as the tables that can be enumerated have it (user@domain, user,
 * @domain), and where its mail goes. True: these are all that there are. `visit` must not use the
 * destinations. */
bool destinations_each(struct destinations *destinations,
                       void (*visit)(void *context, const char *sender,
                                     const struct destination *destination, bool is_ours),
                       void *context);

#endif
