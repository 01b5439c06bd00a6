/* list.h - a list of words from JSON: addresses, domains, tokens, names */
#ifndef OFFICE365_LIST_H
#define OFFICE365_LIST_H

#include "problem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct list {
    char **items;
    size_t count;
};

/*
 * list_read - replace the list by a JSON string or array of strings. On failure the list is as it
 * was, and problem names what was wrong with the value called name.
 */
bool list_read(struct list *list, const char *name, const json_t *value, struct problem *problem);

/* list_add - append a copy of a word */
void list_add(struct list *list, const char *word);

/* list_has - is this very word in the list? */
bool list_has(const struct list *list, const char *word);

/*
 * list_covers - is the address in a list of addresses and @domains? Case does not matter; an
 * @domain covers this domain alone, not the ones below it.
 */
bool list_covers(const struct list *list, const char *address);

/* list_clear - free all words; the list is empty and may be used again */
void list_clear(struct list *list);

#endif
