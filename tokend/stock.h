/* stock.h - all registrations and subjects, and what is due when
 *
 * The stock begins attempts when they are due, a bounded number at once, looks every two seconds
 * whether a file has changed, and keeps in line with post365_oauth2_maps. Times are those of
 * clock_system(), which is steady (clock_make_steady()).
 */
#ifndef POST365_TOKEND_STOCK_H
#define POST365_TOKEND_STOCK_H

#include "common/agenda.h"
#include "common/destinations.h"
#include "common/dictionary.h"
#include "common/entra/cause.h"
#include "common/error.h"
#include "common/oauth2/registrations.h"
#include "common/settings.h"
#include "common/table.h"
#include "tokend/subject.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

/* All of it outlives its use here. */
struct stock_parts {
    struct event_base *base;
    struct fetcher *fetcher;
    struct vault *vault;
    const struct settings *settings;
    struct registrations *registrations;
    struct destinations *destinations;
};

struct stock {
    struct stock_parts parts;
    struct dictionary *apps; /* path to struct app */
    struct agenda agenda;
    struct event *due, *tick;
    unsigned under_way;
    size_t subjects;
    /* Those that have changed last stand last. */
    struct subject *changed_first, *changed_last;
    uint64_t version;      /* of the last change */
    uint64_t maps_version; /* of post365_oauth2_maps, as far as it was looked at */
    bool must_sync;
    struct subject_waiter *orphans; /* of subjects that are gone, who ask once more */
    uint64_t seed;
    int64_t tidied_at;
    void (*on_change)(void *context);       /* a subject has changed, or is gone */
    uint64_t (*oldest_told)(void *context); /* the version that everybody has been told */
    void *context;
};

/* Reads what the settings name. Release with stock_free(). */
struct stock *stock_new(const struct stock_parts *parts);
void stock_free(struct stock *stock);
/* Other settings and tables from now on, as after a reload. */
void stock_configure(struct stock *stock, const struct stock_parts *parts);

/* microseconds, steady; and the system's time to be shown for one, in seconds since the epoch */
int64_t stock_now(void);
int64_t stock_shown(int64_t time);

/* The account's subject; `account` is folded. TABLE_NONE: the tables do not know it. TABLE_FAILED
 * with the reason: the look-up failed. */
enum table_answer stock_find(struct stock *stock, const char *account, struct subject **subject,
                             struct error *error);

/* The same, but makes nothing that is not there: TABLE_NONE as well for an account that nothing was
 * asked for so far. */
enum table_answer stock_look(struct stock *stock, const char *account, struct subject **subject,
                             struct error *error);

/* The registration with this path that the settings name, or NULL. */
struct app *stock_app(struct stock *stock, const char *path);

/* The account of that registration, or, with NULL, the registration itself; NULL: there is none
 * (yet). */
struct subject *stock_subject(const struct app *app, const char *account);

/* For subject.c. */
void stock_schedule(struct subject *subject);
void stock_changed(struct subject *subject);
void stock_run(struct stock *stock);

#endif
