/* instances.c - which messages were seen already
 *
 * A ring in the order of arrival, with chains through it by hash. The ring's positions are counted
 * without end; position i is in entries[i % capacity].
 */
#include "policyd/instances.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    uint32_t next; /* in its chain: position modulo capacity, plus 1; 0 is the end */
    uint32_t hash;
    char instance[INSTANCE_MAX + 1];
};

struct instances {
    size_t capacity;
    uint64_t first, end;
    uint64_t kept; /* positions from here on can be taken back */
    struct entry *entries;
    uint32_t *chains;
};

struct instances *instances_new(size_t capacity)
{
    struct instances *instances = memory_zero(1, sizeof(*instances));
    instances->capacity = capacity;
    instances->entries = memory_zero(capacity, sizeof(struct entry));
    instances->chains = memory_zero(capacity, sizeof(uint32_t));
    return instances;
}

void instances_free(struct instances *instances)
{
    if (instances == NULL)
        return;
    free(instances->entries);
    free(instances->chains);
    free(instances);
}

static uint32_t hash_of(const char *text)
{
    uint32_t hash = 2166136261U;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619U;
    return hash ^ (hash >> 15);
}

static size_t slot_of(const struct instances *instances, uint64_t position)
{
    return position & (instances->capacity - 1);
}

static uint32_t *chain_of(const struct instances *instances, uint32_t hash)
{
    return &instances->chains[hash & (instances->capacity - 1)];
}

bool instances_has(const struct instances *instances, const char *instance)
{
    uint32_t hash = hash_of(instance);
    for (uint32_t at = *chain_of(instances, hash); at != 0; at = instances->entries[at - 1].next)
        if (instances->entries[at - 1].hash == hash &&
            strcmp(instances->entries[at - 1].instance, instance) == 0)
            return true;
    return false;
}

static void unlink_entry(struct instances *instances, size_t slot)
{
    uint32_t *link = chain_of(instances, instances->entries[slot].hash);
    while (*link != slot + 1)
        link = &instances->entries[*link - 1].next;
    *link = instances->entries[slot].next;
}

void instances_add(struct instances *instances, const char *instance)
{
    if (instances_has(instances, instance) || strlen(instance) > INSTANCE_MAX)
        return;
    if (instances->end - instances->first == instances->capacity)
        unlink_entry(instances, slot_of(instances, instances->first++));
    size_t slot = slot_of(instances, instances->end++);
    struct entry *entry = &instances->entries[slot];
    strcpy(entry->instance, instance);
    entry->hash = hash_of(instance);
    uint32_t *chain = chain_of(instances, entry->hash);
    entry->next = *chain;
    *chain = (uint32_t)slot + 1;
}

void instances_keep(struct instances *instances)
{
    instances->kept = instances->end;
}

void instances_undo(struct instances *instances)
{
    while (instances->end > instances->kept && instances->end > instances->first)
        unlink_entry(instances, slot_of(instances, --instances->end));
}

size_t instances_count(const struct instances *instances)
{
    return instances->end - instances->first;
}
