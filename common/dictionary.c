/* dictionary.c - keys and values in memory
 *
 * Chained buckets, doubled when there are as many keys as buckets.
 */
#include "common/dictionary.h"

#include "common/memory.h"
#include "common/siphash.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_AT_START 16

struct entry {
    struct entry *next;
    uint64_t hash;
    void *value;
    char key[];
};

struct dictionary {
    void (*release)(void *value);
    struct siphash_secret secret;
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
};

struct dictionary *dictionary_new(void (*release)(void *value))
{
    struct dictionary *dictionary = memory_zero(1, sizeof(*dictionary));
    dictionary->secret = siphash_make_secret();
    dictionary->release = release;
    dictionary->bucket_count = BUCKETS_AT_START;
    dictionary->buckets = memory_zero(BUCKETS_AT_START, sizeof(struct entry *));
    return dictionary;
}

static void release_entry(struct dictionary *dictionary, struct entry *entry)
{
    if (dictionary->release != NULL)
        dictionary->release(entry->value);
    free(entry);
}

void dictionary_free(struct dictionary *dictionary)
{
    if (dictionary == NULL)
        return;
    for (size_t i = 0; i < dictionary->bucket_count; i++)
        while (dictionary->buckets[i] != NULL) {
            struct entry *entry = dictionary->buckets[i];
            dictionary->buckets[i] = entry->next;
            release_entry(dictionary, entry);
        }
    free(dictionary->buckets);
    free(dictionary);
}

static uint64_t hash_key(const struct dictionary *dictionary, const char *key)
{
    return siphash(&dictionary->secret, key, strlen(key));
}

static struct entry **bucket_of(const struct dictionary *dictionary, uint64_t hash)
{
    return &dictionary->buckets[hash & (dictionary->bucket_count - 1)];
}

/* Where the pointer to the key's entry is, or where it would be: at the end of its chain. */
static struct entry **find_link(const struct dictionary *dictionary, const char *key, uint64_t hash)
{
    struct entry **link = bucket_of(dictionary, hash);
    while (*link != NULL && ((*link)->hash != hash || strcmp((*link)->key, key) != 0))
        link = &(*link)->next;
    return link;
}

void *dictionary_find(const struct dictionary *dictionary, const char *key)
{
    struct entry *entry = *find_link(dictionary, key, hash_key(dictionary, key));
    return entry != NULL ? entry->value : NULL;
}

static void grow(struct dictionary *dictionary)
{
    struct entry **old = dictionary->buckets;
    size_t old_count = dictionary->bucket_count;
    dictionary->bucket_count = old_count * 2;
    dictionary->buckets = memory_zero(dictionary->bucket_count, sizeof(struct entry *));
    for (size_t i = 0; i < old_count; i++)
        while (old[i] != NULL) {
            struct entry *entry = old[i];
            old[i] = entry->next;
            struct entry **bucket = bucket_of(dictionary, entry->hash);
            entry->next = *bucket;
            *bucket = entry;
        }
    free(old);
}

void dictionary_put(struct dictionary *dictionary, const char *key, void *value)
{
    uint64_t hash = hash_key(dictionary, key);
    struct entry **link = find_link(dictionary, key, hash);
    if (*link != NULL) {
        if (dictionary->release != NULL)
            dictionary->release((*link)->value);
        (*link)->value = value;
        return;
    }
    size_t size = strlen(key) + 1;
    struct entry *entry = memory_alloc(sizeof(*entry) + size);
    *entry = (struct entry){.hash = hash, .value = value};
    memcpy(entry->key, key, size);
    *link = entry;
    if (++dictionary->count > dictionary->bucket_count)
        grow(dictionary);
}

bool dictionary_remove(struct dictionary *dictionary, const char *key)
{
    struct entry **link = find_link(dictionary, key, hash_key(dictionary, key));
    struct entry *entry = *link;
    if (entry == NULL)
        return false;
    *link = entry->next;
    release_entry(dictionary, entry);
    dictionary->count--;
    return true;
}

void dictionary_each(const struct dictionary *dictionary,
                     void (*visit)(void *context, const char *key, void *value), void *context)
{
    for (size_t i = 0; i < dictionary->bucket_count; i++)
        for (struct entry *entry = dictionary->buckets[i]; entry != NULL; entry = entry->next)
            visit(context, entry->key, entry->value);
}

size_t dictionary_count(const struct dictionary *dictionary)
{
    return dictionary->count;
}
