/* instances.c - which messages were seen already
 *
 * A ring in the order of arrival, with chains through it by hash. The ring's positions are counted
 * without end; position i is in slot i % capacity.
 *
 * Of an instance only a hash of 128 bits is kept, with a secret of this process: twenty bytes for
 * each, so that the whole set stays in the processor's cache. That two of 2^15 instances have the
 * same hash, and a message is not counted, has a chance of 2^-99; nobody can better it without the
 * secret.
 */
#include "policyd/instances.h"

#include "common/memory.h"
#include "common/siphash.h"

#include <stdlib.h>
#include <string.h>

/* Links are slots plus 1; 0 is the end of a chain. */
struct instances {
    size_t capacity;
    uint64_t first, end;
    uint64_t kept; /* positions from here on can be taken back */
    struct siphash_secret secret;
    struct siphash_wide *hashes; /* of the slots */
    uint16_t *next;              /* of the slots, in their chains */
    uint16_t *chains;
};

struct instances *instances_new(size_t capacity)
{
    struct instances *instances = memory_zero(1, sizeof(*instances));
    instances->capacity = capacity;
    instances->secret = siphash_make_secret();
    instances->hashes = memory_zero(capacity, sizeof(instances->hashes[0]));
    instances->next = memory_zero(capacity, sizeof(instances->next[0]));
    instances->chains = memory_zero(capacity, sizeof(instances->chains[0]));
    return instances;
}

void instances_free(struct instances *instances)
{
    if (instances == NULL)
        return;
    free(instances->hashes);
    free(instances->next);
    free(instances->chains);
    free(instances);
}

static size_t slot_of(const struct instances *instances, uint64_t position)
{
    return position & (instances->capacity - 1);
}

static uint16_t *chain_of(const struct instances *instances, const struct siphash_wide *hash)
{
    return &instances->chains[hash->words[0] & (instances->capacity - 1)];
}

static struct siphash_wide hash_of(const struct instances *instances, const char *instance)
{
    return siphash_wide(&instances->secret, instance, strlen(instance));
}

static bool has_hash(const struct instances *instances, const struct siphash_wide *hash)
{
    for (size_t at = *chain_of(instances, hash); at != 0; at = instances->next[at - 1]) {
        const struct siphash_wide *there = &instances->hashes[at - 1];
        if (there->words[0] == hash->words[0] && there->words[1] == hash->words[1])
            return true;
    }
    return false;
}

bool instances_has(const struct instances *instances, const char *instance)
{
    const struct siphash_wide hash = hash_of(instances, instance);
    return has_hash(instances, &hash);
}

static void unlink_slot(struct instances *instances, size_t slot)
{
    uint16_t *link = chain_of(instances, &instances->hashes[slot]);
    while (*link != slot + 1)
        link = &instances->next[*link - 1];
    *link = instances->next[slot];
}

void instances_add(struct instances *instances, const char *instance)
{
    const struct siphash_wide hash = hash_of(instances, instance);
    if (has_hash(instances, &hash))
        return;
    if (instances->end - instances->first == instances->capacity)
        unlink_slot(instances, slot_of(instances, instances->first++));
    size_t slot = slot_of(instances, instances->end++);
    uint16_t *chain = chain_of(instances, &hash);
    instances->hashes[slot] = hash;
    instances->next[slot] = *chain;
    *chain = (uint16_t)(slot + 1);
}

void instances_keep(struct instances *instances)
{
    instances->kept = instances->end;
}

void instances_undo(struct instances *instances)
{
    while (instances->end > instances->kept && instances->end > instances->first)
        unlink_slot(instances, slot_of(instances, --instances->end));
}

size_t instances_count(const struct instances *instances)
{
    return instances->end - instances->first;
}
