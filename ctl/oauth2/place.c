/* place.c - where registrations lie, and the secrets that belong to them */
#include "ctl/oauth2/place.h"

#include "common/memory.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>

char *place_of_registrations(const struct settings *settings)
{
    char *copy = memory_copy(settings->config_directory);
    const char *parent = dirname(copy);
    char *place = memory_format("%s/post365", strcmp(parent, "/") == 0 ? "" : parent);
    free(copy);
    return place;
}
