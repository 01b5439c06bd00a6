/* doubt.c - messages of which nobody knows whether they were delivered
 *
 * Whoever takes the final dot and closes, time after time, gets a copy each time, and so perhaps
 * does the recipient; each is counted, for Microsoft may count it, too. So copies are bounded: of
 * an account of which no message has had its reply yet, or the last one had none, only one final
 * dot at a time is sent, the others are held back until that is answered; nothing here wakes up a
 * message that may have been delivered, it waits for Postfix's next attempt, which comes later and
 * later; and the second end of that kind in a row pauses the account (consequence.c).
 *
 * A small body and its final dot leave together, and whoever breaks the connection off at the first
 * octet of the body has the dot, too, as far as we can know. So until enough messages of an account
 * in a row have had their reply, the dot leaves only when the connection has outlived the body for
 * a moment (submission/message.c): what breaks in the body may then be sent again at once.
 */
#include "common/dictionary.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/silence.h"
#include "transport/delivery/parts.h"

#include <stdlib.h>
#include <string.h>

/* Queue ids that are kept; beyond that the reason in Postfix's queue must do (queue/scan.h). */
#define DOUBTFUL_MAX 10000
/* After that Postfix may have given the id to another message. */
#define DOUBTFUL_MICROS UINT64_C(86400000000)
/* So long a final dot is held back: the one before is late then, but Postfix's patience has an end
 * (submission/message.c). */
#define HOLD_SECONDS 20

/* So many replies in a row show that no care is needed. */
#define REPLIES_PROVING 20

/* Of an account. */
struct standing {
    bool is_proven;   /* the last message that was sent had its reply */
    unsigned replies; /* in a row, no connection lost in between; no more than suffice */
    uint64_t replied; /* the last, distribution_clock() */
};

#define ANOTHER_PART                                                                               \
    "451 4.4.2 another part of this message ended between the final dot and the "                  \
    "reply: " SILENCE_DOUBT_WORDS ", and this one waits for Postfix's next attempt"

/* Whether it became doubtful while this part of it was under way. */
static bool is_part_of_doubtful(const struct delivery *delivery)
{
    const uint64_t *when = delivery->queue_id[0] != '\0'
                               ? dictionary_find(delivery->all->doubtful, delivery->queue_id)
                               : NULL;
    return when != NULL && *when >= delivery->begun;
}

static bool is_proven(const struct delivery *delivery)
{
    const struct standing *standing = dictionary_find(delivery->all->standings, delivery->account);
    return standing != NULL && standing->is_proven;
}

bool delivery_is_careful(const struct delivery *delivery)
{
    const struct standing *standing = dictionary_find(delivery->all->standings, delivery->account);
    return standing == NULL || standing->replies < REPLIES_PROVING;
}

bool delivery_is_overtaken(const struct delivery *delivery)
{
    const struct standing *standing = dictionary_find(delivery->all->standings, delivery->account);
    return standing != NULL && standing->replied > delivery->connected;
}

static struct standing *standing_of(struct delivery *delivery)
{
    struct dictionary *standings = delivery->all->standings;
    struct standing *standing = dictionary_find(standings, delivery->account);
    if (standing == NULL) {
        standing = memory_zero(1, sizeof(*standing));
        dictionary_put(standings, delivery->account, standing);
    }
    return standing;
}

/* Whether the final dot of another message of the account waits for its reply, and not for too long
 * already. */
static bool is_another_final(const struct delivery *delivery)
{
    const struct delivery *other = delivery->all->first;
    while (other != NULL && (other->state != DELIVERY_FINAL || other->is_stalled ||
                             strcmp(other->account, delivery->account) != 0))
        other = other->next;
    return other != NULL;
}

static void put_off_paused(struct delivery *delivery)
{
    struct buffer reply = {0};
    delivery_write_paused(delivery, &reply);
    delivery_put_off(delivery, reply.data);
    buffer_free(&reply);
}

/* Returns whether it is over. */
static bool put_off_if_doubtful(struct delivery *delivery)
{
    if (is_part_of_doubtful(delivery))
        delivery_put_off(delivery, ANOTHER_PART);
    else if (delivery_must_wait(delivery))
        put_off_paused(delivery);
    else
        return false;
    return true;
}

void delivery_close_body(struct delivery *delivery)
{
    if (put_off_if_doubtful(delivery))
        return;
    if (is_proven(delivery) || !is_another_final(delivery)) {
        delivery_finish(delivery);
        return;
    }
    delivery->state = DELIVERY_HELD;
    delivery_set_timer(delivery, HOLD_SECONDS);
}

void delivery_look_at_held(struct deliveries *all, const char *account)
{
    struct delivery *next, *longest = NULL;
    for (struct delivery *delivery = all->first; delivery != NULL; delivery = next) {
        next = delivery->next;
        bool is_meant =
            (delivery->state == DELIVERY_CONNECTING || delivery->state == DELIVERY_HELD) &&
            strcmp(delivery->account, account) == 0;
        if (!is_meant || put_off_if_doubtful(delivery) || delivery->state != DELIVERY_HELD)
            continue;
        if (is_proven(delivery))
            delivery_finish(delivery);
        else
            longest = delivery; /* new ones stand in front */
    }
    if (longest != NULL && !is_another_final(longest))
        delivery_finish(longest);
}

void delivery_note_known(struct delivery *delivery)
{
    struct deliveries *all = delivery->all;
    const uint64_t *when = dictionary_find(all->doubtful, delivery->queue_id);
    if (when != NULL && *when < delivery->begun) /* not the fate of another part */
        dictionary_remove(all->doubtful, delivery->queue_id);
    struct standing *standing = standing_of(delivery);
    standing->is_proven = true;
    standing->replied = distribution_clock();
    if (standing->replies < REPLIES_PROVING)
        standing->replies++;
}

void delivery_note_broken(struct delivery *delivery)
{
    standing_of(delivery)->replies = 0;
}

void delivery_note_unknown(struct delivery *delivery)
{
    struct deliveries *all = delivery->all;
    *standing_of(delivery) = (struct standing){.is_proven = false};
    if (delivery->queue_id[0] == '\0')
        return;
    bool is_new = dictionary_find(all->doubtful, delivery->queue_id) == NULL;
    if (is_new && dictionary_count(all->doubtful) >= DOUBTFUL_MAX)
        return;
    uint64_t *when = memory_zero(1, sizeof(*when));
    *when = distribution_clock();
    dictionary_put(all->doubtful, delivery->queue_id, when);
}

bool deliveries_doubt(const struct deliveries *deliveries, const char *queue_id)
{
    const uint64_t *when = dictionary_find(deliveries->doubtful, queue_id);
    return when != NULL && distribution_clock() - *when < DOUBTFUL_MICROS;
}
