/* agenda.c - what is due when */
#include "common/agenda.h"

#include "common/memory.h"

#include <stdlib.h>

static void put(struct agenda *agenda, size_t place, struct agenda_entry *entry)
{
    agenda->heap[place] = entry;
    entry->place = place;
}

static bool is_before(const struct agenda_entry *one, const struct agenda_entry *other)
{
    return one->due != other->due ? one->due < other->due : one->turn < other->turn;
}

static void move_up(struct agenda *agenda, struct agenda_entry *entry)
{
    size_t place = entry->place;
    for (; place > 1 && is_before(entry, agenda->heap[place / 2]); place /= 2)
        put(agenda, place, agenda->heap[place / 2]);
    put(agenda, place, entry);
}

static void move_down(struct agenda *agenda, struct agenda_entry *entry)
{
    size_t place = entry->place;
    for (;;) {
        size_t child = place * 2;
        if (child < agenda->count && is_before(agenda->heap[child + 1], agenda->heap[child]))
            child++;
        if (child > agenda->count || is_before(entry, agenda->heap[child]))
            break;
        put(agenda, place, agenda->heap[child]);
        place = child;
    }
    put(agenda, place, entry);
}

static void add(struct agenda *agenda, struct agenda_entry *entry)
{
    if (agenda->count + 1 >= agenda->room) {
        agenda->room = agenda->room > 0 ? agenda->room * 2 : 16;
        agenda->heap = memory_grow(agenda->heap, agenda->room * sizeof(struct agenda_entry *));
    }
    put(agenda, ++agenda->count, entry);
    move_up(agenda, entry);
}

static void take_out(struct agenda *agenda, struct agenda_entry *entry)
{
    struct agenda_entry *last = agenda->heap[agenda->count--];
    if (last != entry) {
        put(agenda, entry->place, last);
        move_up(agenda, last);
        move_down(agenda, last);
    }
    entry->place = 0;
}

void agenda_set(struct agenda *agenda, struct agenda_entry *entry, int64_t due)
{
    entry->due = due;
    entry->turn = agenda->turns++;
    if (entry->place == 0 && due != AGENDA_NEVER) {
        add(agenda, entry);
    } else if (entry->place != 0 && due == AGENDA_NEVER) {
        take_out(agenda, entry);
    } else if (entry->place != 0) {
        move_up(agenda, entry);
        move_down(agenda, entry);
    }
}

struct agenda_entry *agenda_first(const struct agenda *agenda)
{
    return agenda->count > 0 ? agenda->heap[1] : NULL;
}

void agenda_free(struct agenda *agenda)
{
    free(agenda->heap);
    *agenda = (struct agenda){0};
}
