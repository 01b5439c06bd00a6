/*
 * control.h - the tests' hand on the running program
 *
 * A UNIX socket (mode 0600); each line in is a JSON object with "command", each line out its
 * answer:
 * {"ok": true, ...} or {"ok": false, "error": "..."}. README.md lists the commands.
 */
#ifndef OFFICE365_CONTROL_H
#define OFFICE365_CONTROL_H

#include "problem.h"
#include "server.h"

struct control;

/* control_create - listen at this path; what a dead process left there is removed */
struct control *control_create(struct server *server, const char *path, struct problem *problem);
void control_free(struct control *control);

#endif
