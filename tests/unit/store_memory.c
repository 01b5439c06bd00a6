/* store_memory.c - a store in memory, for tests */
#include "tests/unit/store_memory.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

struct account {
    struct store_account record;
    char *name;
    char *cause;
};

struct turn {
    struct store_turn record;
    struct store_sent *sent;
};

struct memory {
    struct store store;
    struct account *accounts; /* in the order of their number */
    size_t account_count;
    struct turn *turns; /* in the order of their sequence */
    size_t turn_count;
    struct store_reservation *reservations; /* in the order of their id */
    size_t reservation_count;
    struct store_clock clock;
    bool has_clock;
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
    for (size_t i = 0; i < memory->account_count; i++)
        if (!reader->account(reader->context, &memory->accounts[i].record, error))
            return false;
    reader->horizon(reader->context);
    for (size_t i = 0; i < memory->turn_count; i++)
        if (!reader->turn(reader->context, &memory->turns[i].record, error))
            return false;
    for (size_t i = 0; i < memory->reservation_count; i++)
        if (!reader->reservation(reader->context, &memory->reservations[i], error))
            return false;
    return true;
}

static bool read_clock(struct store *store, struct store_clock *clock, enum store_time *time,
                       struct error *error)
{
    (void)error;
    const struct memory *memory = memory_of(store);
    *clock = memory->clock;
    *time = memory->has_clock           ? STORE_TIME_KEPT
            : memory->account_count > 0 ? STORE_TIME_UNKNOWN
                                        : STORE_TIME_EMPTY;
    return true;
}

/* An array with room for one more element of `size` bytes, at index `i`, all zero. */
static void *insert_at(void *array, size_t *count, size_t i, size_t size)
{
    char *grown = memory_grow(array, (*count + 1) * size);
    memmove(grown + (i + 1) * size, grown + i * size, (*count - i) * size);
    memset(grown + i * size, 0, size);
    ++*count;
    return grown;
}

static void remove_at(void *array, size_t *count, size_t i, size_t size)
{
    --*count;
    memmove((char *)array + i * size, (char *)array + (i + 1) * size, (*count - i) * size);
}

/* Where the account is, or would be; likewise for the others. */
static bool find_account(const struct memory *memory, uint32_t number, size_t *i)
{
    *i = 0;
    while (*i < memory->account_count && memory->accounts[*i].record.number < number)
        ++*i;
    return *i < memory->account_count && memory->accounts[*i].record.number == number;
}

static void free_strings(struct account *account)
{
    free(account->name);
    free(account->cause);
}

static void put_account(struct memory *memory, const struct store_account *record)
{
    size_t i;
    if (!find_account(memory, record->number, &i))
        memory->accounts =
            insert_at(memory->accounts, &memory->account_count, i, sizeof(struct account));
    struct account *account = &memory->accounts[i];
    free_strings(account);
    account->record = *record;
    account->record.name = account->name = memory_copy(record->name);
    account->record.pause.cause = account->cause = memory_copy(record->pause.cause);
}

static void remove_account(struct memory *memory, uint32_t number)
{
    size_t i;
    if (!find_account(memory, number, &i))
        return;
    free_strings(&memory->accounts[i]);
    remove_at(memory->accounts, &memory->account_count, i, sizeof(struct account));
}

/* From the end: that is where most are put. */
static bool find_turn(const struct memory *memory, uint64_t sequence, size_t *i)
{
    *i = memory->turn_count;
    while (*i > 0 && memory->turns[*i - 1].record.sequence >= sequence)
        --*i;
    return *i < memory->turn_count && memory->turns[*i].record.sequence == sequence;
}

static void put_turn(struct memory *memory, const struct store_turn *record)
{
    size_t i;
    if (!find_turn(memory, record->sequence, &i))
        memory->turns = insert_at(memory->turns, &memory->turn_count, i, sizeof(struct turn));
    struct turn *turn = &memory->turns[i];
    free(turn->sent);
    turn->sent = memory_zero(record->count, sizeof(struct store_sent));
    for (size_t j = 0; j < record->count; j++)
        turn->sent[j] = record->sent[j];
    turn->record = *record;
    turn->record.sent = turn->sent;
}

static bool find_reservation(const struct memory *memory, uint64_t id, size_t *i)
{
    *i = memory->reservation_count;
    while (*i > 0 && memory->reservations[*i - 1].id >= id)
        --*i;
    return *i < memory->reservation_count && memory->reservations[*i].id == id;
}

static void put_reservation(struct memory *memory, const struct store_reservation *record)
{
    size_t i;
    if (!find_reservation(memory, record->id, &i))
        memory->reservations = insert_at(memory->reservations, &memory->reservation_count, i,
                                         sizeof(struct store_reservation));
    memory->reservations[i] = *record;
}

static void remove_reservation(struct memory *memory, uint64_t id)
{
    size_t i;
    if (find_reservation(memory, id, &i))
        remove_at(memory->reservations, &memory->reservation_count, i,
                  sizeof(struct store_reservation));
}

static void make_change(struct memory *memory, const struct store_change *change)
{
    switch (change->kind) {
    case STORE_PUT_ACCOUNT:
        put_account(memory, &change->account);
        break;
    case STORE_REMOVE_ACCOUNT:
        remove_account(memory, change->account.number);
        break;
    case STORE_PUT_TURN:
        put_turn(memory, &change->turn);
        break;
    case STORE_PUT_RESERVATION:
        put_reservation(memory, &change->reservation);
        break;
    case STORE_REMOVE_RESERVATION:
        remove_reservation(memory, change->reservation.id);
        break;
    case STORE_PUT_CLOCK:
        memory->clock = change->clock;
        memory->has_clock = true;
        break;
    }
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
    memory->writes += count > 0 && changes[0].kind != STORE_PUT_CLOCK;
    for (size_t i = 0; i < count; i++)
        make_change(memory, &changes[i]);
    return true;
}

static bool expire(struct store *store, int64_t before, size_t most, struct store_rest *rest,
                   struct error *error)
{
    (void)error;
    struct memory *memory = memory_of(store);
    size_t expired = 0;
    while (expired < memory->turn_count && memory->turns[expired].record.time < before)
        expired++;
    rest->more = expired > most;
    expired = rest->more ? most : expired;
    for (size_t i = 0; i < expired; i++)
        free(memory->turns[i].sent);
    memory->turn_count -= expired;
    if (memory->turn_count > 0)
        memmove(memory->turns, memory->turns + expired, memory->turn_count * sizeof(struct turn));
    rest->first = memory->turn_count > 0 ? memory->turns[0].record.sequence : UINT64_MAX;
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
    static const struct store_operations operations = {.read_clock = read_clock,
                                                       .read = read_all,
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
        free_strings(&memory->accounts[i]);
    for (size_t i = 0; i < memory->turn_count; i++)
        free(memory->turns[i].sent);
    free(memory->accounts);
    free(memory->turns);
    free(memory->reservations);
    free(memory);
}

void store_memory_fail_writes(struct store *store, int count)
{
    memory_of(store)->failures = count;
}

size_t store_memory_turns(const struct store *store)
{
    return ((const struct memory *)(const void *)store)->turn_count;
}

size_t store_memory_reservations(const struct store *store)
{
    return ((const struct memory *)(const void *)store)->reservation_count;
}

size_t store_memory_accounts(const struct store *store)
{
    return ((const struct memory *)(const void *)store)->account_count;
}

size_t store_memory_writes(const struct store *store)
{
    return ((const struct memory *)(const void *)store)->writes;
}
