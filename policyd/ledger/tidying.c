/* tidying.c - what is done between batches, a little at a time */
#include "policyd/ledger/parts.h"

/* How much at a time, so that nobody waits for it. */
#define TIDY_TURNS   1000
#define TIDY_BUCKETS 256

/* Whether nothing in memory or in the store refers to the account: what it sent is older than the
 * first turn that the store still has. */
static bool is_idle(const struct account *account, uint64_t first_sequence, int64_t now,
                    int64_t passed)
{
    return history_is_empty(&account->history) && account->open == 0 && account->queue == NULL &&
           !account->is_unserved && !pause_is_in_force(account->pause, passed) &&
           !pause_is_probing(account->pause, now) && account->last_sequence < first_sequence;
}

/* Puts the idle accounts of one bucket on the batch's list. */
static void find_idle(struct ledger *ledger, size_t bucket, uint64_t first_sequence, int64_t now)
{
    struct batch *batch = &ledger->batch;
    struct account *account = ledger->accounts.buckets[bucket];
    for (; account != NULL; account = account->next) {
        history_clamp(&account->history, now);
        history_prune(&account->history, ledger_retained(ledger, account), ledger->passed);
        pause_clamp(account->pause, now);
        if (!is_idle(account, first_sequence, now, ledger->passed))
            continue;
        batch_touch(batch, account);
        batch_add_change(batch, STORE_REMOVE_ACCOUNT)->account.number = account->number;
    }
}

static bool remove_idle(struct ledger *ledger, uint64_t first_sequence, int64_t now,
                        struct error *error)
{
    struct batch *batch = &ledger->batch;
    size_t buckets = ledger->accounts.bucket_count;
    for (size_t i = 0; i < TIDY_BUCKETS && i < buckets; i++)
        find_idle(ledger, ledger->tidy_bucket++ & (buckets - 1), first_sequence, now);
    bool written =
        batch->change_count == 0 ||
        ledger->store->operations->write(ledger->store, batch->changes, batch->change_count, error);
    for (size_t i = 0; i < batch->account_count; i++) {
        if (written)
            accounts_remove(&ledger->accounts, batch->accounts[i]);
        else
            batch->accounts[i]->is_touched = false;
    }
    batch_close(batch);
    return written;
}

bool ledger_tidy(struct ledger *ledger, bool *more, struct error *error)
{
    const struct store_operations *operations = ledger->store->operations;
    *more = false;
    if (ledger->batch.is_open)
        return true;
    int64_t now = ledger_read_clock(ledger);
    struct store_rest rest = {0};
    bool tidied =
        operations->expire(ledger->store, ledger->passed - ledger->retention - ledger->rules.guard,
                           TIDY_TURNS, &rest, error) &&
        remove_idle(ledger, rest.first, now, error) && operations->maintain(ledger->store, error);
    *more = tidied && rest.more;
    return tidied;
}
