/* reservations.c - what was granted, and is not settled or released yet */
#include "policyd/ledger/reservations.h"

#include "common/memory.h"
#include "policyd/ledger/accounts.h"
#include "policyd/ledger/ledger.h"

#include <stdlib.h>

#define BUCKETS_MIN 64

void reservations_init(struct reservations *reservations)
{
    *reservations = (struct reservations){.bucket_count = BUCKETS_MIN};
    reservations->buckets = memory_zero(BUCKETS_MIN, sizeof(struct reservation *));
}

static struct reservation **bucket_of(const struct reservations *reservations, uint64_t id)
{
    return &reservations->buckets[id & (reservations->bucket_count - 1)];
}

struct reservation *reservations_find(const struct reservations *reservations, uint64_t id)
{
    struct reservation *reservation = *bucket_of(reservations, id);
    while (reservation != NULL && reservation->id != id)
        reservation = reservation->next;
    return reservation;
}

static void grow(struct reservations *reservations)
{
    size_t count = reservations->bucket_count;
    struct reservation **old = reservations->buckets;
    reservations->buckets = memory_zero(count * 2, sizeof(struct reservation *));
    reservations->bucket_count = count * 2;
    for (size_t i = 0; i < count; i++) {
        struct reservation *next;
        for (struct reservation *one = old[i]; one != NULL; one = next) {
            next = one->next;
            one->next = *bucket_of(reservations, one->id);
            *bucket_of(reservations, one->id) = one;
        }
    }
    free(old);
}

struct reservation *reservations_add(struct reservations *reservations, uint64_t id,
                                     struct account *account, const uint32_t *amount)
{
    if (reservations->count >= reservations->bucket_count)
        grow(reservations);
    struct reservation *reservation = memory_alloc(sizeof(*reservation));
    *reservation =
        (struct reservation){.id = id, .account = account, .amount = {amount[0], amount[1]}};
    struct reservation **bucket = bucket_of(reservations, id);
    reservation->next = *bucket;
    *bucket = reservation;
    reservations->count++;
    reservation_reopen(reservation);
    return reservation;
}

void reservation_reopen(struct reservation *reservation)
{
    reservation->is_ended = false;
    reservation->account->open++;
    for (size_t i = 0; i < HISTORY_MEASURES; i++)
        reservation->account->reserved[i] += reservation->amount[i];
}

void reservation_end(struct reservation *reservation)
{
    reservation->is_ended = true;
    reservation->account->open--;
    for (size_t i = 0; i < HISTORY_MEASURES; i++)
        reservation->account->reserved[i] -= reservation->amount[i];
}

void reservation_give(struct reservation *reservation, struct ledger_owner *owner)
{
    reservation->owner = owner;
    reservation->next_owned = owner->first;
    reservation->owned_by = &owner->first;
    if (owner->first != NULL)
        owner->first->owned_by = &reservation->next_owned;
    owner->first = reservation;
}

void reservations_remove(struct reservations *reservations, struct reservation *reservation)
{
    struct reservation **link = bucket_of(reservations, reservation->id);
    while (*link != reservation)
        link = &(*link)->next;
    *link = reservation->next;
    if (reservation->owner != NULL) {
        *reservation->owned_by = reservation->next_owned;
        if (reservation->next_owned != NULL)
            reservation->next_owned->owned_by = reservation->owned_by;
    }
    reservations->count--;
    free(reservation);
}

void reservations_free(struct reservations *reservations)
{
    for (size_t i = 0; i < reservations->bucket_count; i++) {
        struct reservation *next;
        for (struct reservation *one = reservations->buckets[i]; one != NULL; one = next) {
            next = one->next;
            free(one);
        }
    }
    free(reservations->buckets);
    *reservations = (struct reservations){0};
}
