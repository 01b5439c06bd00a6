/* store_memory.c - a store in memory, for tests */
#include "tests/unit/store_memory.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

struct account {
    uint32_t number;
    int64_t retention;
    char *name;
};

struct memory {
    struct store store;
    struct account *accounts;
    size_t account_count;
    struct store_event *events; /* in the order of their sequence */
    size_t event_count;
    int failures;
    size_t writes;
};

static struct memory *memory_of(struct store *store)
{
    return (struct memory *)(void *)store;
}

static bool read_all(struct store *store, const struct store_reader *reader, struct error *error)
{
    const struct memory *memory = memory_of(store);
    for (size_t i = 0; i < memory->account_count; i++) {
        const struct account *account = &memory->accounts[i];
        const struct store_account record = {account->number, account->retention, account->name};
        if (!reader->account(reader->context, &record, error))
            return false;
    }
    for (size_t i = 0; i < memory->event_count; i++)
        if (!reader->event(reader->context, &memory->events[i], error))
            return false;
    return true;
}

/* Where the account is, or would be. */
static size_t find_account(const struct memory *memory, uint32_t number)
{
    size_t i = 0;
    while (i < memory->account_count && memory->accounts[i].number < number)
        i++;
    return i;
}

static bool has_account(const struct memory *memory, size_t i, uint32_t number)
{
    return i < memory->account_count && memory->accounts[i].number == number;
}

static void put_account(struct memory *memory, const struct store_account *record)
{
    size_t i = find_account(memory, record->number);
    if (!has_account(memory, i, record->number)) {
        memory->accounts =
            memory_grow(memory->accounts, (memory->account_count + 1) * sizeof(struct account));
        memmove(&memory->accounts[i + 1], &memory->accounts[i],
                (memory->account_count++ - i) * sizeof(struct account));
        memory->accounts[i] = (struct account){.number = record->number};
    }
    free(memory->accounts[i].name);
    memory->accounts[i].name = memory_copy(record->name);
    memory->accounts[i].retention = record->retention;
}

static void remove_account(struct memory *memory, uint32_t number)
{
    size_t i = find_account(memory, number);
    if (!has_account(memory, i, number))
        return;
    free(memory->accounts[i].name);
    memmove(&memory->accounts[i], &memory->accounts[i + 1],
            (--memory->account_count - i) * sizeof(struct account));
}

/* Where the sequence is, or would be. */
static size_t find_event(const struct memory *memory, uint64_t sequence)
{
    size_t i = memory->event_count;
    while (i > 0 && memory->events[i - 1].sequence >= sequence)
        i--;
    return i;
}

static void put_event(struct memory *memory, const struct store_event *event)
{
    size_t i = find_event(memory, event->sequence);
    if (i == memory->event_count || memory->events[i].sequence != event->sequence) {
        memory->events =
            memory_grow(memory->events, (memory->event_count + 1) * sizeof(struct store_event));
        memmove(&memory->events[i + 1], &memory->events[i],
                (memory->event_count++ - i) * sizeof(struct store_event));
    }
    memory->events[i] = *event;
}

static void remove_event(struct memory *memory, uint64_t sequence)
{
    size_t i = find_event(memory, sequence);
    if (i < memory->event_count && memory->events[i].sequence == sequence)
        memmove(&memory->events[i], &memory->events[i + 1],
                (--memory->event_count - i) * sizeof(struct store_event));
}

static bool write_all(struct store *store, const struct store_change *changes, size_t count,
                      struct error *error)
{
    struct memory *memory = memory_of(store);
    if (memory->failures != 0) {
        if (memory->failures > 0)
            memory->failures--;
        return error_set(error, "the store was told to fail");
    }
    memory->writes++;
    for (size_t i = 0; i < count; i++) {
        switch (changes[i].kind) {
        case STORE_PUT_ACCOUNT:
            put_account(memory, &changes[i].account);
            break;
        case STORE_REMOVE_ACCOUNT:
            remove_account(memory, changes[i].account.number);
            break;
        case STORE_PUT_EVENT:
            put_event(memory, &changes[i].event);
            break;
        case STORE_REMOVE_EVENT:
            remove_event(memory, changes[i].event.sequence);
            break;
        }
    }
    return true;
}

static bool expire(struct store *store, int64_t before, size_t most, struct store_rest *rest,
                   struct error *error)
{
    (void)error;
    struct memory *memory = memory_of(store);
    size_t expired = 0;
    while (expired < memory->event_count && memory->events[expired].time < before &&
           !memory->events[expired].reserved)
        expired++;
    rest->more = expired > most;
    expired = rest->more ? most : expired;
    memory->event_count -= expired;
    if (memory->event_count > 0)
        memmove(memory->events, memory->events + expired,
                memory->event_count * sizeof(struct store_event));
    rest->first = memory->event_count > 0 ? memory->events[0].sequence : UINT64_MAX;
    return true;
}

static bool maintain(struct store *store, struct error *error)
{
    (void)store;
    (void)error;
    return true;
}

static void close_nothing(struct store *store)
{
    (void)store;
}

struct store *store_memory_new(void)
{
    static const struct store_operations operations = {.read = read_all,
                                                       .write = write_all,
                                                       .expire = expire,
                                                       .maintain = maintain,
                                                       .close = close_nothing};
    struct memory *memory = memory_zero(1, sizeof(*memory));
    memory->store.operations = &operations;
    return &memory->store;
}

void store_memory_free(struct store *store)
{
    struct memory *memory = memory_of(store);
    for (size_t i = 0; i < memory->account_count; i++)
        free(memory->accounts[i].name);
    free(memory->accounts);
    free(memory->events);
    free(memory);
}

void store_memory_fail_writes(struct store *store, int count)
{
    memory_of(store)->failures = count;
}

size_t store_memory_events(const struct store *store)
{
    return ((const struct memory *)(const void *)store)->event_count;
}

size_t store_memory_accounts(const struct store *store)
{
    return ((const struct memory *)(const void *)store)->account_count;
}

size_t store_memory_writes(const struct store *store)
{
    return ((const struct memory *)(const void *)store)->writes;
}
