/* table_cache.h - answers of a slow table, kept for a short while
 *
 * Holds answers, found or not, each for `lifetime`, and at most `capacity` bytes of them; the
 * oldest goes first. Time is the caller's: microseconds of a clock that never goes back. Not
 * thread-safe.
 */
#ifndef POST365_COMMON_TABLE_CACHE_H
#define POST365_COMMON_TABLE_CACHE_H

#include "common/table.h"

#include <stddef.h>
#include <stdint.h>

struct table_cache;

struct table_cache *table_cache_new(size_t capacity, int64_t lifetime);
void table_cache_free(struct table_cache *cache);

/* Whether the cache knows: then `*answer` is TABLE_FOUND, with a copy in `*value` that is the
 * caller's to free(), or TABLE_NONE. */
bool table_cache_find(struct table_cache *cache, const char *key, int64_t now,
                      enum table_answer *answer, char **value);

/* Keeps an answer, if it is not larger than the cache; `value` NULL means TABLE_NONE. */
void table_cache_store(struct table_cache *cache, const char *key, int64_t now, const char *value);

void table_cache_clear(struct table_cache *cache);

#endif
