/* desk.h - answers what is asked on post365_oauth2_socket
 *
 * The protocol is common/oauth2/tokens.h; clients.h receives and sends, stock.h knows.
 */
#ifndef POST365_TOKEND_DESK_H
#define POST365_TOKEND_DESK_H

#include "tokend/clients.h"
#include "tokend/device.h"
#include "tokend/fetch.h"
#include "tokend/stock.h"

#include <event2/event.h>

struct desk;

/* All of it outlives the desk, whose clients end first: clients_free(), then desk_free(). */
struct desk *desk_new(struct event_base *base, struct stock *stock, struct fetcher *fetcher,
                      struct vault *vault);
/* NULL is allowed. */
void desk_free(struct desk *desk);

/* For clients_new(). */
struct clients_handler desk_handler(struct desk *desk);

#endif
