/* ledger_client.h - asks policyd's ledger and waits for the reply
 *
 * For programs that do one thing after the other, such as the post365 command. A program with an
 * event loop uses ledger_channel.h.
 *
 * After a failure of the connection the client is of no further use: policyd counts what was
 * reserved on it as sent, and whether the last request was carried out is not known.
 *
 * A client belongs to one thread; opening one is not thread-safe (it looks up groups for messages).
 */
#ifndef POST365_COMMON_LEDGER_CLIENT_H
#define POST365_COMMON_LEDGER_CLIENT_H

#include "common/error.h"
#include "common/ledger_message.h"
#include "common/settings.h"

#include <stdbool.h>
#include <stdint.h>

struct ledger_client;

/* Connects to post365_control_socket. Connecting, and later each request, takes at most `timeout`
 * microseconds (a reserve that waits: as much longer). NULL with the reason and the remedy. Release
 * with ledger_client_close(). */
struct ledger_client *ledger_client_open(const struct settings *settings, int64_t timeout,
                                         struct error *error);

/* NULL is allowed. Reservations that are still open count as sent. */
void ledger_client_close(struct ledger_client *client);

/*
 * Asks and waits for the reply, of whatever result; it is valid until the next call with this
 * client. False with the reason, and what to do where that is known: the request makes no sense,
 * policyd is gone, did not answer in time, or answered what is no reply.
 */
bool ledger_client_ask(struct ledger_client *client, const struct ledger_command *command,
                       struct ledger_reply *reply, struct error *error);

/* What is told one by one. False to be told no more. What it points to is valid during the call; it
 * must not use the client. */
typedef bool ledger_client_account(void *context, const struct ledger_reply_account *account);
typedef bool ledger_client_slot(void *context, const struct ledger_reply_slot *slot);

/* Tells all accounts that the ledger knows, page after page, in its order. False as above, or with
 * policyd's own reason not to answer. */
bool ledger_client_list(struct ledger_client *client, ledger_client_account *tell, void *context,
                        struct error *error);

/* Tells what an account sent by hour, by minute or one by one, from the slot of the time `from` on
 * (0: all that is known), in the order of time. False likewise. */
bool ledger_client_history(struct ledger_client *client, const char *account, enum ledger_per per,
                           int64_t from, ledger_client_slot *tell, void *context,
                           struct error *error);

#endif
