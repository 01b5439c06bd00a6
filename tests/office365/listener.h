/* listener.h - the sockets on which the service is offered */
#ifndef OFFICE365_LISTENER_H
#define OFFICE365_LISTENER_H

#include "problem.h"
#include "server.h"

#include <jansson.h>

struct listener;

/* listener_create - listen on all "address:port" of the settings (port 0: any); NULL: problem */
struct listener *listener_create(struct server *server, struct problem *problem);
void listener_free(struct listener *listener);

/* listener_describe - [{"address": "127.0.0.1", "port": 40123}, ...]; new reference */
json_t *listener_describe(const struct listener *listener);

#endif
