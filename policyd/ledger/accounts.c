/* accounts.c - the accounts that the ledger knows */
#include "policyd/ledger/accounts.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 64

/* FNV-1a. The names are those of mailboxes that the configuration knows, not a stranger's choice.
 */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return hash ^ (hash >> 32);
}

void accounts_init(struct accounts *accounts)
{
    *accounts = (struct accounts){.bucket_count = BUCKETS_MIN};
    accounts->buckets = memory_zero(BUCKETS_MIN, sizeof(struct account *));
}

struct account *accounts_find(const struct accounts *accounts, const char *name)
{
    uint64_t hash = hash_name(name);
    struct account *account = accounts->buckets[hash & (accounts->bucket_count - 1)];
    while (account != NULL && (account->hash != hash || strcmp(account->name, name) != 0))
        account = account->next;
    return account;
}

static void link_account(struct account **buckets, size_t count, struct account *account)
{
    struct account **bucket = &buckets[account->hash & (count - 1)];
    account->next = *bucket;
    *bucket = account;
}

static void grow(struct accounts *accounts)
{
    size_t count = accounts->bucket_count * 2;
    struct account **buckets = memory_zero(count, sizeof(struct account *));
    for (size_t i = 0; i < accounts->bucket_count; i++) {
        struct account *next;
        for (struct account *account = accounts->buckets[i]; account != NULL; account = next) {
            next = account->next;
            link_account(buckets, count, account);
        }
    }
    free(accounts->buckets);
    accounts->buckets = buckets;
    accounts->bucket_count = count;
}

static void add_place(struct accounts *accounts, struct account *account)
{
    if (accounts->place_count == accounts->place_room) {
        accounts->place_room = accounts->place_room > 0 ? accounts->place_room * 2 : 16;
        accounts->places =
            memory_grow(accounts->places, accounts->place_room * sizeof(struct account_place));
    }
    account->place = accounts->place_count;
    accounts->places[accounts->place_count++] = (struct account_place){account->number, account};
}

/* Gaps are closed when they are more than what is left. */
static void remove_place(struct accounts *accounts, const struct account *account)
{
    accounts->places[account->place].account = NULL;
    if (accounts->place_count <= 2 * accounts->count)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < accounts->place_count; i++) {
        if (accounts->places[i].account == NULL)
            continue;
        accounts->places[i].account->place = kept;
        accounts->places[kept++] = accounts->places[i];
    }
    accounts->place_count = kept;
}

struct account *accounts_add(struct accounts *accounts, const char *name, uint32_t number)
{
    if (accounts->count >= accounts->bucket_count)
        grow(accounts);
    size_t length = strlen(name);
    struct account *account = memory_zero(1, sizeof(*account) + length + 1);
    memcpy(account->name, name, length + 1);
    account->hash = hash_name(name);
    account->number = number;
    link_account(accounts->buckets, accounts->bucket_count, account);
    add_place(accounts, account);
    accounts->count++;
    return account;
}

static void free_account(struct account *account)
{
    history_free(&account->history);
    free(account->pause);
    free(account->pause_before);
    free(account);
}

void accounts_remove(struct accounts *accounts, struct account *account)
{
    struct account **link = &accounts->buckets[account->hash & (accounts->bucket_count - 1)];
    while (*link != account)
        link = &(*link)->next;
    *link = account->next;
    accounts->count--;
    remove_place(accounts, account);
    free_account(account);
}

size_t accounts_place_above(const struct accounts *accounts, uint32_t number)
{
    size_t low = 0, high = accounts->place_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (accounts->places[middle].number > number)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

struct account *accounts_numbered(const struct accounts *accounts, uint32_t number)
{
    size_t above = accounts_place_above(accounts, number);
    return above > 0 && accounts->places[above - 1].number == number
               ? accounts->places[above - 1].account
               : NULL;
}

void accounts_free(struct accounts *accounts)
{
    for (size_t i = 0; i < accounts->bucket_count; i++) {
        struct account *next;
        for (struct account *account = accounts->buckets[i]; account != NULL; account = next) {
            next = account->next;
            free_account(account);
        }
    }
    free(accounts->buckets);
    free(accounts->places);
    *accounts = (struct accounts){0};
}
