/* list.c - a list of words from JSON: addresses, domains, tokens, names */
#include "list.h"

#include "allocate.h"

#include <stdlib.h>
#include <string.h>

void list_add(struct list *list, const char *word)
{
    list->items = allocate_again(list->items, list->count + 1, sizeof *list->items);
    list->items[list->count++] = duplicate(word);
}

void list_clear(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct list){NULL, 0};
}

bool list_read(struct list *list, const char *name, const json_t *value, struct problem *problem)
{
    struct list fresh = {NULL, 0};
    size_t count = json_is_array(value) ? json_array_size(value) : 1;

    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_string(item)) {
            list_clear(&fresh);
            return problem_set(problem, "\"%s\" must be a string or a list of strings", name);
        }
        list_add(&fresh, json_string_value(item));
    }
    list_clear(list);
    *list = fresh;
    return true;
}

bool list_has(const struct list *list, const char *word)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], word) == 0)
            return true;
    }
    return false;
}

bool list_covers(const struct list *list, const char *address)
{
    const char *domain = strrchr(address, '@');

    for (size_t i = 0; i < list->count; i++) {
        const char *item = list->items[i];
        if (strcasecmp(item, address) == 0)
            return true;
        if (item[0] == '@' && domain != NULL && strcasecmp(item, domain) == 0)
            return true;
    }
    return false;
}
