/* neighbours.h - are milter and transport there?
 *
 * policyd is the one that somebody always looks at, and as post365_user it may connect to their
 * sockets. A socket that systemd keeps over a restart counts as being there.
 */
#ifndef POST365_POLICYD_NEIGHBOURS_H
#define POST365_POLICYD_NEIGHBOURS_H

#include "common/settings.h"

#include <stdbool.h>
#include <time.h>

enum neighbour_name { NEIGHBOUR_MILTER, NEIGHBOUR_TRANSPORT, NEIGHBOURS };

struct neighbour {
    const char *program; /* "post365-milter" */
    bool is_wanted;      /* the settings have work for it */
    bool is_up;
    bool was_up; /* at some time since policyd began */
};

struct neighbours {
    struct neighbour each[NEIGHBOURS];
    time_t looked; /* monotonic seconds, 0: never */
};

/* Looks, every few seconds; a moment at most. */
void neighbours_look(struct neighbours *neighbours, const struct settings *settings);

/* The program that was there and is not any more, or NULL. */
const char *neighbours_lost(const struct neighbours *neighbours);

#endif
