/* dictionary.h - keys and values in memory
 *
 * A hash table whose hash is keyed with random bytes, since keys may come from the network. Not
 * thread-safe.
 */
#ifndef POST365_COMMON_DICTIONARY_H
#define POST365_COMMON_DICTIONARY_H

#include <stdbool.h>
#include <stddef.h>

struct dictionary;

/* An empty dictionary. `release` is called for every value that is replaced, removed or left at the
 * end; it may be NULL. */
struct dictionary *dictionary_new(void (*release)(void *value));
/* `dictionary` may be NULL. */
void dictionary_free(struct dictionary *dictionary);

/* The value, or NULL. It stays the dictionary's, and valid until the key is put again or removed.
 */
void *dictionary_find(const struct dictionary *dictionary, const char *key);

/* Puts `value` (not NULL) under a copy of `key`, in place of the one that is there. Takes the value
 * over. */
void dictionary_put(struct dictionary *dictionary, const char *key, void *value);

/* Whether there was something to remove. `key` may be part of the value that goes. */
bool dictionary_remove(struct dictionary *dictionary, const char *key);

/* Calls `visit` for each key, in no order; it must not change the dictionary. */
void dictionary_each(const struct dictionary *dictionary,
                     void (*visit)(void *context, const char *key, void *value), void *context);

size_t dictionary_count(const struct dictionary *dictionary);

#endif
