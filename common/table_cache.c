/* table_cache.c - answers of a slow table, kept for a short while */
#include "common/table_cache.h"

#include "common/dictionary.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct cached {
    TAILQ_ENTRY(cached) link;
    int64_t time;
    size_t cost; /* bytes */
    char *key;
    char *value; /* NULL: the table does not know the key */
};

struct table_cache {
    size_t capacity;
    size_t used;
    int64_t lifetime;
    struct dictionary *entries;
    TAILQ_HEAD(, cached) by_age; /* oldest first */
};

struct table_cache *table_cache_new(size_t capacity, int64_t lifetime)
{
    struct table_cache *cache = memory_zero(1, sizeof(*cache));
    cache->capacity = capacity;
    cache->lifetime = lifetime;
    cache->entries = dictionary_new(NULL);
    TAILQ_INIT(&cache->by_age);
    return cache;
}

static void discard(struct table_cache *cache, struct cached *cached)
{
    TAILQ_REMOVE(&cache->by_age, cached, link);
    dictionary_remove(cache->entries, cached->key);
    cache->used -= cached->cost;
    free(cached->key);
    free(cached->value);
    free(cached);
}

void table_cache_clear(struct table_cache *cache)
{
    while (!TAILQ_EMPTY(&cache->by_age))
        discard(cache, TAILQ_FIRST(&cache->by_age));
}

void table_cache_free(struct table_cache *cache)
{
    if (cache == NULL)
        return;
    table_cache_clear(cache);
    dictionary_free(cache->entries);
    free(cache);
}

static void discard_expired(struct table_cache *cache, int64_t now)
{
    struct cached *oldest;
    while ((oldest = TAILQ_FIRST(&cache->by_age)) != NULL && now - oldest->time >= cache->lifetime)
        discard(cache, oldest);
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
        discard(cache, TAILQ_FIRST(&cache->by_age));
    struct cached *cached = memory_zero(1, sizeof(*cached));
    *cached = (struct cached){
        .time = now, .cost = cost, .key = memory_copy(key), .value = memory_copy(value)};
    dictionary_put(cache->entries, key, cached);
    TAILQ_INSERT_TAIL(&cache->by_age, cached, link);
    cache->used += cost;
}
