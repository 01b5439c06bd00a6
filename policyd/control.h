/* control.h - the ledger's answers on the control socket
 *
 * The protocol is in common/control.h; server.h receives and sends. What is reserved, or waited
 * for, belongs to the connection; when that closes, it counts as sent, or is forgotten, at the end
 * of the turn, or, if the store refuses, of one of the next.
 */
#ifndef POST365_POLICYD_CONTROL_H
#define POST365_POLICYD_CONTROL_H

#include "common/buffer.h"
#include "common/settings.h"
#include "common/table.h"
#include "policyd/ledger/ledger.h"
#include "policyd/server.h"

#include <stdbool.h>
#include <stddef.h>

struct control;
struct control_client;

/* All of it belongs to the caller and outlives its use here. */
struct control_parts {
    const struct settings *settings;
    struct tables *quota_maps; /* post365_quota_maps */
    struct ledger *ledger;
};

/* Release with control_free(). */
struct control *control_new(const struct control_parts *parts);
void control_free(struct control *control);

/* Other settings and tables from now on, as after a reload. The ledger must be the same. */
void control_configure(struct control *control, const struct control_parts *parts);

/* Listens on a descriptor, which becomes the server's. */
void control_listen(struct control *control, struct server *server, int descriptor);

/* A connection, which is the client's `peer`, begins and ends. Who `may_change` may reserve. For
 * server.h's sake a client is made at the first request. */
struct control_client *control_open_client(struct control *control, void *peer, bool may_change);
void control_close_client(struct control *control, struct control_client *client);

/* Answers one request, which attr_read() found complete. */
void control_answer(struct control *control, struct control_client *client, const char *request,
                    size_t length, struct buffer *reply, struct server_verdict *verdict);

/* Sends a reply that was postponed to a peer. control_listen() has it sent to the connection. */
typedef void control_deliver(void *peer, const struct buffer *reply,
                             const struct server_verdict *verdict);
void control_on_delivery(struct control *control, control_deliver *deliver);

/* Before each ledger_commit(): who waited is answered; what belongs to connections that are closed
 * counts as sent. */
void control_before_commit(struct control *control);

/* After it. False: something is left for another commit. */
bool control_after_commit(struct control *control, bool written);

#endif
