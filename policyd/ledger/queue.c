/* queue.c - who waits for an account, first come first served */
#include "policyd/ledger/queue.h"

#include "common/memory.h"
#include "policyd/ledger/ledger.h"

#include <stdlib.h>

struct queue *queue_new(struct queue **queues, struct account *account)
{
    struct queue *queue = memory_zero(1, sizeof(*queue));
    queue->account = account;
    queue->promised = INT64_MIN;
    queue->next = *queues;
    queue->linked_by = queues;
    if (queue->next != NULL)
        queue->next->linked_by = &queue->next;
    *queues = queue;
    return queue;
}

static void give_to_owner(struct waiter *waiter, struct ledger_owner *owner)
{
    waiter->owner = owner;
    waiter->next_owned = owner->waiting;
    waiter->owned_by = &owner->waiting;
    if (waiter->next_owned != NULL)
        waiter->next_owned->owned_by = &waiter->next_owned;
    owner->waiting = waiter;
}

struct waiter *queue_add(struct queue *queue, struct ledger_owner *owner, const uint32_t *amount)
{
    struct waiter *waiter = memory_zero(1, sizeof(*waiter));
    waiter->queue = queue;
    waiter->previous = queue->last;
    if (queue->last != NULL)
        queue->last->next = waiter;
    else
        queue->first = waiter;
    queue->last = waiter;
    queue->count++;
    for (size_t i = 0; i < HISTORY_MEASURES; i++) {
        waiter->amount[i] = amount[i];
        queue->waiting[i] += amount[i];
    }
    give_to_owner(waiter, owner);
    return waiter;
}

void queue_remove(struct waiter *waiter)
{
    struct queue *queue = waiter->queue;
    if (waiter->previous != NULL)
        waiter->previous->next = waiter->next;
    else
        queue->first = waiter->next;
    if (waiter->next != NULL)
        waiter->next->previous = waiter->previous;
    else
        queue->last = waiter->previous;
    queue->count--;
    for (size_t i = 0; i < HISTORY_MEASURES; i++)
        queue->waiting[i] -= waiter->amount[i];
    *waiter->owned_by = waiter->next_owned;
    if (waiter->next_owned != NULL)
        waiter->next_owned->owned_by = waiter->owned_by;
    free(waiter);
}

void queue_free(struct queue *queue)
{
    *queue->linked_by = queue->next;
    if (queue->next != NULL)
        queue->next->linked_by = queue->linked_by;
    struct waiter *next;
    for (struct waiter *waiter = queue->first; waiter != NULL; waiter = next) {
        next = waiter->next;
        free(waiter);
    }
    free(queue);
}
