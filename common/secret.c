/* secret.c - passwords and tokens in memory
 *
 * Secrets are cut out of chunks of pages, a chunk for one size each, so that many passwords need
 * few pages of what may be locked; a large secret has a chunk for itself. A free slot is all zero
 * but for the link to the next one. What describes a chunk is no secret and lies in the heap.
 */
#include "common/secret.h"

#include "common/log.h"
#include "common/memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#define CHUNK_SIZE ((size_t)64 * 1024) /* a multiple of every page size */
#define SLOT_MIN   ((size_t)64)
#define SLOT_MAX   ((size_t)4096)
#define SIZES      7 /* from SLOT_MIN to SLOT_MAX, doubling */

struct secret {
    struct chunk *chunk;
    size_t capacity;
    size_t length;
    char bytes[]; /* one more than `capacity`, for the NUL */
};

struct free_slot {
    struct free_slot *next;
};

struct chunk {
    struct chunk *next, *previous;
    char *memory;
    size_t size;
    size_t slot_size; /* as large as the chunk: it is one secret's */
    size_t used;      /* slots */
    struct free_slot *free;
};

static struct {
    pthread_mutex_t mutex;       /* protects what follows */
    struct chunk *chunks[SIZES]; /* those with a free slot come first */
    bool warned;
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* --- chunks --- */

static void protect(void *memory, size_t size)
{
    if (madvise(memory, size, MADV_DONTDUMP) == 0 && mlock(memory, size) == 0)
        return;
    if (!pool.warned)
        log_warning("passwords cannot be kept out of the swap: %s; raise the limit of locked "
                    "memory (LimitMEMLOCK= in the systemd unit), or run without swap",
                    strerror(errno));
    pool.warned = true;
}

static struct chunk *make_chunk(size_t size, size_t slot_size)
{
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        log_fatal(EX_OSERR, "out of memory (%zu bytes wanted)", size);
    protect(memory, size);
    struct chunk *chunk = memory_zero(1, sizeof(*chunk));
    chunk->memory = memory;
    chunk->size = size;
    chunk->slot_size = slot_size;
    for (size_t end = size; end >= slot_size; end -= slot_size) {
        struct free_slot *slot = (struct free_slot *)(void *)(memory + end - slot_size);
        slot->next = chunk->free;
        chunk->free = slot;
    }
    return chunk;
}

static void destroy_chunk(struct chunk *chunk)
{
    munmap(chunk->memory, chunk->size);
    free(chunk);
}

static void link_first(struct chunk **list, struct chunk *chunk)
{
    chunk->previous = NULL;
    chunk->next = *list;
    if (chunk->next != NULL)
        chunk->next->previous = chunk;
    *list = chunk;
}

static void unlink_chunk(struct chunk **list, struct chunk *chunk)
{
    *(chunk->previous != NULL ? &chunk->previous->next : list) = chunk->next;
    if (chunk->next != NULL)
        chunk->next->previous = chunk->previous;
}

static void link_last(struct chunk **list, struct chunk *chunk)
{
    struct chunk *last = *list;
    while (last != NULL && last->next != NULL)
        last = last->next;
    chunk->previous = last;
    chunk->next = NULL;
    *(last != NULL ? &last->next : list) = chunk;
}

/* --- slots --- */

static struct chunk **list_for(size_t slot_size)
{
    size_t i = 0;
    while (SLOT_MIN << i < slot_size)
        i++;
    return &pool.chunks[i];
}

static void *take_slot(struct chunk *chunk)
{
    struct free_slot *slot = chunk->free;
    chunk->free = slot->next;
    slot->next = NULL;
    chunk->used++;
    return slot;
}

static struct secret *take_small(size_t size)
{
    size_t slot_size = SLOT_MIN;
    while (slot_size < size)
        slot_size *= 2;
    struct chunk **list = list_for(slot_size);
    if (*list == NULL || (*list)->free == NULL)
        link_first(list, make_chunk(CHUNK_SIZE, slot_size));
    struct chunk *chunk = *list;
    struct secret *secret = take_slot(chunk);
    secret->chunk = chunk;
    if (chunk->free == NULL && chunk->next != NULL) {
        unlink_chunk(list, chunk);
        link_last(list, chunk);
    }
    return secret;
}

static struct secret *take_large(size_t size)
{
    size_t whole = (size + CHUNK_SIZE - 1) / CHUNK_SIZE * CHUNK_SIZE;
    struct chunk *chunk = make_chunk(whole, whole);
    struct secret *secret = take_slot(chunk);
    secret->chunk = chunk;
    return secret;
}

static void give_back_small(struct chunk *chunk, void *memory)
{
    struct chunk **list = list_for(chunk->slot_size);
    struct free_slot *slot = memory;
    slot->next = chunk->free;
    chunk->free = slot;
    unlink_chunk(list, chunk);
    if (--chunk->used > 0)
        link_first(list, chunk);
    else
        destroy_chunk(chunk);
}

/* --- secrets --- */

struct secret *secret_new(size_t capacity)
{
    if (capacity > SIZE_MAX / 2)
        log_fatal(EX_OSERR, "out of memory (%zu bytes wanted)", capacity);
    size_t size = sizeof(struct secret) + capacity + 1;
    pthread_mutex_lock(&pool.mutex);
    struct secret *secret = size <= SLOT_MAX ? take_small(size) : take_large(size);
    pthread_mutex_unlock(&pool.mutex);
    secret->capacity = capacity;
    return secret;
}

struct secret *secret_copy(const char *bytes, size_t length)
{
    struct secret *secret = secret_new(length);
    secret_append(secret, bytes, length);
    return secret;
}

void secret_free(struct secret *secret)
{
    if (secret == NULL)
        return;
    struct chunk *chunk = secret->chunk;
    explicit_bzero(secret, sizeof(*secret) + secret->capacity + 1);
    if (chunk->slot_size == chunk->size) {
        destroy_chunk(chunk);
        return;
    }
    pthread_mutex_lock(&pool.mutex);
    give_back_small(chunk, secret);
    pthread_mutex_unlock(&pool.mutex);
}

void secret_append(struct secret *secret, const char *bytes, size_t length)
{
    if (length > secret->capacity - secret->length)
        log_fatal(EX_SOFTWARE, "a secret of %zu bytes has no room for %zu more", secret->length,
                  length);
    if (length > 0)
        memcpy(secret->bytes + secret->length, bytes, length);
    secret->length += length;
}

ssize_t secret_read(struct secret *secret, int descriptor)
{
    size_t before = secret->length;
    while (secret->length < secret->capacity) {
        ssize_t got =
            read(descriptor, secret->bytes + secret->length, secret->capacity - secret->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        secret->length += (size_t)got;
    }
    return (ssize_t)(secret->length - before);
}

void secret_trim(struct secret *secret, size_t start, size_t length)
{
    memmove(secret->bytes, secret->bytes + start, length);
    explicit_bzero(secret->bytes + length, secret->length - length);
    secret->length = length;
}

size_t secret_length(const struct secret *secret)
{
    return secret->length;
}

const char *secret_reveal(const struct secret *secret)
{
    return secret->bytes;
}
