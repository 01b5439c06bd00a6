/* closest.c - the name that somebody may have meant */
#include "common/closest.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#define NAME_MAX_LENGTH 63

static unsigned smallest(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

unsigned closest_distance(const char *one, const char *other)
{
    unsigned row[NAME_MAX_LENGTH + 1];
    size_t width = strlen(other);
    if (width > NAME_MAX_LENGTH)
        return UINT_MAX;
    for (unsigned i = 0; i <= width; i++)
        row[i] = i;
    for (unsigned line = 1; *one != '\0'; one++, line++) {
        unsigned diagonal = row[0];
        row[0] = line;
        for (size_t i = 1; i <= width; i++) {
            unsigned replaced = diagonal + (*one == other[i - 1] ? 0 : 1);
            diagonal = row[i];
            row[i] = smallest(row[i] + 1, row[i - 1] + 1, replaced);
        }
    }
    return row[width];
}
