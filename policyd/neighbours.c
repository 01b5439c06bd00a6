/* neighbours.c - are milter and transport there? */
#include "policyd/neighbours.h"

#include "common/socket.h"

#include <stddef.h>

#define INTERVAL 5  /* seconds */
#define PATIENCE 20 /* milliseconds: all requests wait meanwhile */

static bool answers(const struct settings *settings, const char *where)
{
    struct socket_place place;
    return socket_parse(where, settings->queue_directory, &place, NULL) &&
           socket_try(&place, PATIENCE) == 0;
}

static void look(struct neighbour *neighbour, const struct settings *settings, const char *where)
{
    neighbour->is_up = neighbour->is_wanted && answers(settings, where);
    neighbour->was_up = neighbour->is_wanted && (neighbour->was_up || neighbour->is_up);
}

void neighbours_look(struct neighbours *neighbours, const struct settings *settings)
{
    struct neighbour *milter = &neighbours->each[NEIGHBOUR_MILTER],
                     *transport = &neighbours->each[NEIGHBOUR_TRANSPORT];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (neighbours->looked != 0 && now.tv_sec - neighbours->looked < INTERVAL)
        return;
    neighbours->looked = now.tv_sec;
    milter->program = "post365-milter";
    milter->is_wanted = true;
    transport->program = "post365-transport";
    transport->is_wanted = settings->meter == METER_DELIVERY;
    look(milter, settings, settings->milter_socket);
    look(transport, settings, settings->transport_socket);
}

const char *neighbours_lost(const struct neighbours *neighbours)
{
    for (size_t i = 0; i < NEIGHBOURS; i++)
        if (neighbours->each[i].was_up && !neighbours->each[i].is_up)
            return neighbours->each[i].program;
    return NULL;
}
