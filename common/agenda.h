/* agenda.h - what is due when
 *
 * A heap of entries that live in the caller's structures. The earliest is found in O(1), an entry
 * is put in, moved or taken out in O(log n). Of those that are due at the same time the one that
 * was put in or moved first comes first.
 */
#ifndef POST365_COMMON_AGENDA_H
#define POST365_COMMON_AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGENDA_NEVER INT64_MAX

/* All zero is an entry that is not in the agenda. */
struct agenda_entry {
    int64_t due;
    uint64_t turn; /* among those of the same time */
    size_t place;  /* in the heap, from 1; 0: not in the agenda */
};

/* All zero is an empty agenda. */
struct agenda {
    struct agenda_entry **heap; /* from index 1 */
    size_t count, room;
    uint64_t turns;
};

/* Puts the entry where it belongs with another time; AGENDA_NEVER takes it out. The entry stays
 * where it is in memory until it is taken out. */
void agenda_set(struct agenda *agenda, struct agenda_entry *entry, int64_t due);

/* The earliest entry, NULL if there is none. */
struct agenda_entry *agenda_first(const struct agenda *agenda);

/* Releases the memory of the heap, not that of the entries. */
void agenda_free(struct agenda *agenda);

#endif
