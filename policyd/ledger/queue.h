/* queue.h - who waits for an account, first come first served
 *
 * A queue lives as long as somebody is in it. Private to the ledger, which decides.
 */
#ifndef POST365_POLICYD_LEDGER_QUEUE_H
#define POST365_POLICYD_LEDGER_QUEUE_H

#include "common/agenda.h"
#include "common/quota.h"
#include "policyd/ledger/history.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct account;
struct ledger_owner;

struct waiter {
    struct waiter *next, *previous;        /* in the queue */
    struct waiter *next_owned, **owned_by; /* the owner's list, and the link that points here */
    struct queue *queue;
    struct ledger_owner *owner;
    void *context;
    struct quota quota;
    uint32_t amount[HISTORY_MEASURES];
    int64_t wait;
    int64_t promise;              /* when it will be granted, as of queue->promised */
    struct agenda_entry deadline; /* when it has waited for long enough */
    bool is_overdue;
};

struct queue {
    struct queue *next, **linked_by; /* of all queues */
    struct account *account;
    struct waiter *first, *last;
    size_t count;
    uint64_t waiting[HISTORY_MEASURES]; /* what they want together */
    int64_t promised;         /* when the promises were computed; they hold no longer: INT64_MIN */
    struct agenda_entry head; /* when the first may be granted something */
    bool has_overdue;
};

static inline struct queue *queue_of_head(struct agenda_entry *head)
{
    return (struct queue *)(void *)((char *)head - offsetof(struct queue, head));
}

static inline struct waiter *queue_waiter_of_deadline(struct agenda_entry *deadline)
{
    return (struct waiter *)(void *)((char *)deadline - offsetof(struct waiter, deadline));
}

/* Adds a queue to the list of all. */
struct queue *queue_new(struct queue **queues, struct account *account);

/* Adds somebody who wants this at the end, and to the owner's list. */
struct waiter *queue_add(struct queue *queue, struct ledger_owner *owner, const uint32_t *amount);

/* Takes somebody out and releases him; not what is in an agenda. */
void queue_remove(struct waiter *waiter);

/* Takes a queue out of the list of all and releases it, with whoever is left in it; their owners,
 * who may be gone, are not told. */
void queue_free(struct queue *queue);

#endif
