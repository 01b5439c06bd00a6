/* table_cache.c - answers of a slow table, kept for a short while */
#include "common/table_cache.h"

#include "common/dictionary.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

struct cached {
    struct cached *older, *younger;
    int64_t time;
    size_t cost; /* bytes */
    char *key;
    char *value; /* NULL: the table does not know the key */
};

struct table_cache {
    size_t capacity;
    size_t used;
    int64_t lifetime;
    struct dictionary *entries; /* owns them */
    struct cached *oldest, *youngest;
};

static void release_cached(void *value)
{
    struct cached *cached = value;
    free(cached->key);
    free(cached->value);
    free(cached);
}

struct table_cache *table_cache_new(size_t capacity, int64_t lifetime)
{
    struct table_cache *cache = memory_zero(1, sizeof(*cache));
    cache->capacity = capacity;
    cache->lifetime = lifetime;
    cache->entries = dictionary_new(release_cached);
    return cache;
}

static void unlink_cached(struct table_cache *cache, const struct cached *cached)
{
    if (cached->older != NULL)
        cached->older->younger = cached->younger;
    else
        cache->oldest = cached->younger;
    if (cached->younger != NULL)
        cached->younger->older = cached->older;
    else
        cache->youngest = cached->older;
}

static void discard(struct table_cache *cache, struct cached *cached)
{
    unlink_cached(cache, cached);
    cache->used -= cached->cost;
    dictionary_remove(cache->entries, cached->key);
}

void table_cache_clear(struct table_cache *cache)
{
    while (cache->oldest != NULL)
        discard(cache, cache->oldest);
}

void table_cache_free(struct table_cache *cache)
{
    if (cache == NULL)
        return;
    dictionary_free(cache->entries);
    free(cache);
}

static void discard_expired(struct table_cache *cache, int64_t now)
{
    while (cache->oldest != NULL && now - cache->oldest->time >= cache->lifetime)
        discard(cache, cache->oldest);
}

bool table_cache_find(struct table_cache *cache, const char *key, int64_t now,
                      enum table_answer *answer, char **value)
{
    discard_expired(cache, now);
    const struct cached *cached = dictionary_find(cache->entries, key);
    if (cached == NULL)
        return false;
    *answer = cached->value != NULL ? TABLE_FOUND : TABLE_NONE;
    *value = memory_copy(cached->value);
    return true;
}

/* The key is held twice, here and in the dictionary; its entry there is about as large as ours. */
static size_t cost_of(const char *key, const char *value)
{
    return 2 * sizeof(struct cached) + 2 * (strlen(key) + 1) +
           (value != NULL ? strlen(value) + 1 : 0);
}

void table_cache_store(struct table_cache *cache, const char *key, int64_t now, const char *value)
{
    size_t cost = cost_of(key, value);
    struct cached *old = dictionary_find(cache->entries, key);
    if (old != NULL)
        discard(cache, old);
    if (cost > cache->capacity)
        return;
    while (cache->used + cost > cache->capacity)
        discard(cache, cache->oldest);
    struct cached *cached = memory_zero(1, sizeof(*cached));
    *cached = (struct cached){.older = cache->youngest,
                              .time = now,
                              .cost = cost,
                              .key = memory_copy(key),
                              .value = memory_copy(value)};
    *(cache->youngest != NULL ? &cache->youngest->younger : &cache->oldest) = cached;
    cache->youngest = cached;
    dictionary_put(cache->entries, key, cached);
    cache->used += cost;
}
