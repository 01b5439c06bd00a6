/* account_metrics.c - the figures of each account, and of which accounts */
#include "transport/account_metrics.h"

#include "common/memory.h"
#include "common/metrics/exposition.h"

#include <stdlib.h>
#include <string.h>

/* An account that is shown. */
struct shown {
    char *name;
    bool is_limit_known;
    uint64_t connections, limit, waiting;
};

struct account_metrics {
    struct shown *shown; /* METRICS_ACCOUNTS_MAX at most, by name */
    size_t count;
    size_t known; /* shown or not */
};

/* --- which accounts are shown -------------------------------------------------- */

/* Where it is, or would be. */
static size_t place_of(const struct account_metrics *accounts, const char *name)
{
    size_t low = 0, high = accounts->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(accounts->shown[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct shown *find(const struct account_metrics *accounts, const char *name)
{
    size_t place = place_of(accounts, name);
    return place < accounts->count && strcmp(accounts->shown[place].name, name) == 0
               ? &accounts->shown[place]
               : NULL;
}

/* One that is not there. Where there are too many the last one by name has to go. */
static void add(struct account_metrics *accounts, const char *name)
{
    size_t place = place_of(accounts, name);
    accounts->known++;
    if (place == METRICS_ACCOUNTS_MAX)
        return;
    if (accounts->count == METRICS_ACCOUNTS_MAX)
        free(accounts->shown[--accounts->count].name);
    memmove(&accounts->shown[place + 1], &accounts->shown[place],
            (accounts->count - place) * sizeof(*accounts->shown));
    accounts->shown[place] = (struct shown){.name = memory_copy(name)};
    accounts->count++;
}

static void add_listed(void *context, const char *upn)
{
    add(context, upn);
}

static void release_shown(struct account_metrics *accounts)
{
    for (size_t i = 0; i < accounts->count; i++)
        free(accounts->shown[i].name);
    free(accounts->shown);
}

/* A limit is known from the last message alone. */
static void keep_limits(const struct account_metrics *old, struct account_metrics *accounts)
{
    for (size_t i = 0; i < accounts->count; i++) {
        struct shown *shown = &accounts->shown[i];
        const struct shown *before = find(old, shown->name);
        shown->is_limit_known = before != NULL && before->is_limit_known;
        shown->limit = before != NULL ? before->limit : 0;
    }
}

void account_metrics_list(struct account_metrics *accounts, struct credentials *credentials,
                          struct identities *identities)
{
    struct account_metrics old = *accounts;
    *accounts = (struct account_metrics){
        .shown = memory_zero(METRICS_ACCOUNTS_MAX, sizeof(*accounts->shown))};
    accounts_each(credentials, identities, add_listed, accounts);
    keep_limits(&old, accounts);
    release_shown(&old);
}

/* --- their figures --------------------------------------------------------------- */

static void note_use(void *context, const struct pool_use *use)
{
    struct account_metrics *accounts = context;
    struct shown *shown = find(accounts, use->account);
    if (shown == NULL && use->connections > 0 && accounts->count < METRICS_ACCOUNTS_MAX) {
        add(accounts, use->account);
        shown = find(accounts, use->account);
    }
    if (shown == NULL)
        return;
    shown->is_limit_known = true;
    shown->limit = use->limit;
    shown->connections = use->connections;
    shown->waiting = use->waiting;
}

static void read_use(struct account_metrics *accounts, const struct pool *pool)
{
    for (size_t i = 0; i < accounts->count; i++)
        accounts->shown[i].connections = accounts->shown[i].waiting = 0;
    pool_each(pool, note_use, accounts);
}

enum column { COLUMN_CONNECTIONS, COLUMN_LIMIT, COLUMN_WAITING };

static void write_column(const struct account_metrics *accounts, struct buffer *text,
                         const char *family, const char *help, enum column column)
{
    exposition_family(text, family, EXPOSITION_GAUGE, help);
    for (size_t i = 0; i < accounts->count; i++) {
        const struct shown *shown = &accounts->shown[i];
        const struct exposition_label label = {"account", shown->name};
        if (column == COLUMN_CONNECTIONS)
            exposition_integer(text, family, &label, 1, shown->connections);
        else if (column == COLUMN_WAITING)
            exposition_integer(text, family, &label, 1, shown->waiting);
        else if (shown->is_limit_known)
            exposition_integer(text, family, &label, 1, shown->limit);
    }
}

void account_metrics_write(struct account_metrics *accounts, const struct pool *pool,
                           struct buffer *text)
{
    read_use(accounts, pool);
    exposition_number(text, "transport_accounts", EXPOSITION_GAUGE,
                      "Accounts that are known to have credentials.", accounts->known);
    exposition_number(text, "transport_accounts_omitted", EXPOSITION_GAUGE,
                      "Accounts that have no samples here, since there are too many.",
                      accounts->known - accounts->count);
    write_column(accounts, text, "transport_account_connections",
                 "An account's connections to Microsoft, those that are being opened included.",
                 COLUMN_CONNECTIONS);
    write_column(accounts, text, "transport_account_connections_limit",
                 "How many connections it may have; absent until it has sent something.",
                 COLUMN_LIMIT);
    write_column(accounts, text, "transport_account_waiting",
                 "Messages that wait for one of its connections.", COLUMN_WAITING);
}

/* --- life -------------------------------------------------------------------------- */

struct account_metrics *account_metrics_new(void)
{
    return memory_zero(1, sizeof(struct account_metrics));
}

void account_metrics_free(struct account_metrics *accounts)
{
    if (accounts == NULL)
        return;
    release_shown(accounts);
    free(accounts);
}
