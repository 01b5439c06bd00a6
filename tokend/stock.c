/* stock.c - all registrations and subjects, and what is due when */
#include "tokend/stock.h"

#include "common/address.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/siphash.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define ATTEMPTS_MAX     16 /* at once */
#define APP_ATTEMPTS_MAX 4  /* of one registration, whose endpoint may be slow */
#define SUBJECTS_MAX     20000
/* Before a subject is looked at again that others of its registration are ahead of. */
#define CROWD_PAUSE  (CLOCK_SECOND / 4)
#define WAITED_PAUSE (CLOCK_SECOND / 100) /* somebody waits for it */
#define TICK         2                    /* seconds between two looks at the files */
#define HOUR         (3600 * CLOCK_SECOND)
#define DAY          (24 * HOUR)

static void sync_all(struct stock *stock);

int64_t stock_now(void)
{
    return clock_now(clock_system());
}

int64_t stock_shown(int64_t time)
{
    return (time + clock_set_since()) / CLOCK_SECOND;
}

/* --- subjects ---------------------------------------------------------------- */

static void link_last(struct stock *stock, struct subject *subject)
{
    subject->changed_next = NULL;
    subject->changed_previous = stock->changed_last;
    *(stock->changed_last != NULL ? &stock->changed_last->changed_next : &stock->changed_first) =
        subject;
    stock->changed_last = subject;
    subject->version = ++stock->version;
}

static void unlink_changed(struct stock *stock, struct subject *subject)
{
    struct subject *previous = subject->changed_previous, *next = subject->changed_next;
    *(previous != NULL ? &previous->changed_next : &stock->changed_first) = next;
    *(next != NULL ? &next->changed_previous : &stock->changed_last) = previous;
}

void stock_changed(struct subject *subject)
{
    struct stock *stock = subject->stock;
    unlink_changed(stock, subject);
    link_last(stock, subject);
    if (stock->on_change != NULL)
        stock->on_change(stock->context);
}

struct subject *stock_subject(const struct app *app, const char *account)
{
    return dictionary_find(app->subjects, account != NULL ? account : "");
}

/* NULL: there are too many. */
static struct subject *get_subject(struct stock *stock, struct app *app, const char *account)
{
    struct subject *subject = stock_subject(app, account);
    if (subject != NULL || stock->subjects >= SUBJECTS_MAX)
        return subject;
    subject = subject_new(stock, app, account, stock->seed++);
    stock->subjects++;
    link_last(stock, subject);
    stock_changed(subject);
    return subject;
}

/* Nobody finds it any more; who watches is told. Who waited is woken when all is in line with the
 * tables again: what he then asks for may need another registration, or subject. */
static void remove_subject(struct subject *subject)
{
    struct stock *stock = subject->stock;
    struct subject **link = &subject->app->first;
    subject_cancel(subject);
    agenda_set(&stock->agenda, &subject->entry, AGENDA_NEVER);
    while (*link != subject)
        link = &(*link)->next;
    *link = subject->next;
    dictionary_remove(subject->app->subjects, subject->account != NULL ? subject->account : "");
    subject->app = NULL;
    subject->is_gone = true;
    stock_changed(subject);
    subject_move_waiters(subject, &stock->orphans);
}

static void free_told(struct stock *stock)
{
    uint64_t told = stock->oldest_told != NULL ? stock->oldest_told(stock->context) : UINT64_MAX;
    struct subject *next;
    for (struct subject *subject = stock->changed_first; subject != NULL; subject = next) {
        next = subject->changed_next;
        if (!subject->is_gone || subject->version > told)
            continue;
        unlink_changed(stock, subject);
        stock->subjects--;
        subject_free(subject);
    }
}

static void need(struct subject *subject, enum renewal_need what)
{
    renewal_set_need(&subject->renewal, what);
    stock_schedule(subject);
}

/* --- what is due ------------------------------------------------------------- */

static struct subject *subject_of(struct agenda_entry *entry)
{
    return (struct subject *)(void *)((char *)entry - offsetof(struct subject, entry));
}

static void set_timer(struct stock *stock)
{
    const struct agenda_entry *first = agenda_first(&stock->agenda);
    if (first == NULL || stock->under_way >= ATTEMPTS_MAX) {
        event_del(stock->due); /* the end of an attempt, or the tick, goes on */
        return;
    }
    int64_t left = first->due - stock_now();
    left = left > 0 ? left : 0;
    const struct timeval wait = {.tv_sec = (time_t)(left / CLOCK_SECOND),
                                 .tv_usec = (suseconds_t)(left % CLOCK_SECOND)};
    if (event_add(stock->due, &wait) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
}

void stock_schedule(struct subject *subject)
{
    struct stock *stock = subject->stock;
    if (subject->is_gone)
        return;
    agenda_set(&stock->agenda, &subject->entry, renewal_due(&subject->renewal, stock_now()));
    set_timer(stock);
}

/* When a subject that is due may be looked at again; 0: now is its time. */
static int64_t hold_back(const struct subject *subject, int64_t now)
{
    if (subject->app->paused_until > now)
        return subject->app->paused_until;
    if (subject->app->under_way >= APP_ATTEMPTS_MAX)
        return now + (subject->waiters != NULL ? WAITED_PAUSE : CROWD_PAUSE);
    return 0;
}

void stock_run(struct stock *stock)
{
    struct agenda_entry *first;
    while (stock->under_way < ATTEMPTS_MAX && (first = agenda_first(&stock->agenda)) != NULL &&
           first->due <= stock_now()) {
        struct subject *subject = subject_of(first);
        int64_t later = hold_back(subject, stock_now());
        agenda_set(&stock->agenda, first, later != 0 ? later : AGENDA_NEVER);
        if (later == 0)
            subject_begin(subject);
    }
    set_timer(stock);
}

static void run_due(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    stock_run(argument);
}

/* --- registrations ----------------------------------------------------------- */

/* What is not an account's is the registration's own. */
static void set_own_subject(struct stock *stock, struct app *app)
{
    struct subject *own = stock_subject(app, NULL), *next;
    if (!app_is_users(app))
        own = get_subject(stock, app, NULL);
    for (struct subject *subject = app->first; subject != NULL; subject = next) {
        next = subject->next;
        if (app->registration != NULL && (subject->account != NULL) != app_is_users(app))
            remove_subject(subject);
    }
    (void)own;
}

static struct app *get_app(struct stock *stock, const char *path)
{
    struct app *app = dictionary_find(stock->apps, path);
    if (app == NULL) {
        app = app_new(path);
        dictionary_put(stock->apps, path, app);
        set_own_subject(stock, app);
    }
    app->is_listed = true;
    return app;
}

/* Each registration has a subject, or gets one with the account that it is looked for for. */
static bool has_room(const struct stock *stock, const char *path)
{
    return stock->subjects < SUBJECTS_MAX || dictionary_find(stock->apps, path) != NULL;
}

struct app *stock_app(struct stock *stock, const char *path)
{
    return dictionary_find(stock->apps, path);
}

static enum table_answer find_path(struct stock *stock, const char *account, char **path,
                                   struct error *error)
{
    enum table_answer answer = registrations_find(stock->parts.registrations, account, path, error);
    if (answer == TABLE_NONE)
        error_set(error, "post365_oauth2_maps does not know the account " ERROR_SHOWN, account);
    return answer;
}

enum table_answer stock_look(struct stock *stock, const char *account, struct subject **subject,
                             struct error *error)
{
    char *path = NULL;
    *subject = NULL;
    enum table_answer answer = find_path(stock, account, &path, error);
    if (answer != TABLE_FOUND)
        return answer;
    const struct app *app = dictionary_find(stock->apps, path);
    free(path);
    if (app != NULL)
        *subject = stock_subject(app, app_is_users(app) ? account : NULL);
    if (*subject != NULL)
        return TABLE_FOUND;
    error_set(error, "no token was asked for so far for the account " ERROR_SHOWN, account);
    return TABLE_NONE;
}

enum table_answer stock_find(struct stock *stock, const char *account, struct subject **subject,
                             struct error *error)
{
    char *path = NULL;
    *subject = NULL;
    enum table_answer answer = find_path(stock, account, &path, error);
    if (answer != TABLE_FOUND)
        return answer;
    struct app *app = has_room(stock, path) ? get_app(stock, path) : NULL;
    free(path);
    if (app != NULL)
        *subject = get_subject(stock, app, app_is_users(app) ? account : NULL);
    if (*subject != NULL)
        return TABLE_FOUND;
    error_set(error, "more than %d grants are in use", SUBJECTS_MAX);
    return TABLE_FAILED;
}

/* Whether a new secret or key is to be tried while the token is good: one that is wrong shall be
 * known before mail needs it. Of users' grants one would do; a foreign token changes every hour. */
static bool proves_anew(const struct app *app)
{
    return !app_is_users(app) && app->registration->credential != REGISTRATION_FEDERATED;
}

/* A file has changed: who is concerned asks anew. */
static void bring_in_line(struct app *app, enum app_change change)
{
    struct subject *next;
    app->paused_until = 0;
    app_forget_refusal(app);
    for (struct subject *subject = app->first; subject != NULL; subject = next) {
        next = subject->next;
        if (change == APP_REPLACED)
            subject_cancel(subject);
        if (change == APP_REPLACED && app->replaced != NULL &&
            !registration_equal(app->replaced, app->registration))
            subject_forget(subject);
        if (subject->row != NULL || proves_anew(app))
            renewal_change(&subject->renewal, stock_now());
        stock_changed(subject);
        stock_schedule(subject);
    }
    app_settle(app);
}

static void look_at_app(void *context, const char *path, void *value)
{
    struct stock *stock = context;
    struct app *app = value;
    (void)path;
    enum app_change change = app_refresh(app);
    if (change != APP_SAME)
        bring_in_line(app, change);
    if (change == APP_REPLACED)
        stock->must_sync = true; /* it may be another kind */
    app_warn(app, stock->parts.settings->oauth2_warn_time, stock_shown(stock_now()));
}

/* --- in line with the tables ------------------------------------------------- */

static void unlist(void *context, const char *path, void *value)
{
    struct app *app = value;
    (void)context;
    (void)path;
    app->is_listed = false;
}

static void list_file(void *context, const char *path)
{
    get_app(context, path);
}

struct name_list {
    char **names;
    size_t count;
};

/* The name is the list's from now on. */
static void add_name(struct name_list *list, char *name)
{
    list->names = memory_grow(list->names, (list->count + 1) * sizeof(list->names[0]));
    list->names[list->count++] = name;
}

static void collect(void *context, const char *name)
{
    add_name(context, address_fold(name));
}

static void release_list(struct name_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
}

static void need_account(struct stock *stock, const char *account)
{
    struct subject *subject;
    struct error error;
    if (stock_find(stock, account, &subject, &error) == TABLE_FAILED)
        log_warning("%s", error.text);
    if (subject != NULL)
        need(subject, subject->account != NULL ? RENEWAL_DAILY : RENEWAL_ALWAYS);
}

/* A registration that stands in the tables is asked for always. */
static void reset_need(void *context, const char *path, void *value)
{
    struct app *app = value;
    (void)context;
    (void)path;
    for (struct subject *subject = app->first; subject != NULL; subject = subject->next)
        need(subject,
             app->is_listed && subject->account == NULL ? RENEWAL_ALWAYS : RENEWAL_WHEN_WANTED);
}

struct use {
    struct stock *stock;
    const struct app *app;
    bool is_used;
};

static void look_for_use(void *context, const char *account, void *value)
{
    struct use *use = context;
    char *path = NULL;
    (void)value;
    if (use->is_used)
        return;
    enum table_answer answer =
        registrations_find(use->stock->parts.registrations, account, &path, NULL);
    /* A table that cannot be asked now may have it still. */
    use->is_used =
        answer == TABLE_FAILED || (answer == TABLE_FOUND && strcmp(path, use->app->path) == 0);
    free(path);
}

/* Tables that cannot be enumerated still name it for somebody who had a token. */
static bool is_used(struct stock *stock, const struct app *app)
{
    struct use use = {.stock = stock, .app = app};
    for (struct subject *subject = app->first; subject != NULL && !use.is_used;
         subject = subject->next) {
        if (subject->account != NULL)
            look_for_use(&use, subject->account, NULL);
        dictionary_each(subject->accounts, look_for_use, &use);
    }
    return use.is_used;
}

static void collect_unlisted(void *context, const char *path, void *value)
{
    const struct app *app = value;
    if (!app->is_listed)
        add_name(context, memory_copy(path));
}

static void remove_unlisted(struct stock *stock)
{
    struct name_list paths = {0};
    dictionary_each(stock->apps, collect_unlisted, &paths);
    for (size_t i = 0; i < paths.count; i++) {
        struct app *app = dictionary_find(stock->apps, paths.names[i]);
        if (app == NULL || is_used(stock, app))
            continue;
        log_info("registration %s: post365_oauth2_maps names it no longer", app->path);
        while (app->first != NULL)
            remove_subject(app->first);
        dictionary_remove(stock->apps, paths.names[i]);
    }
    release_list(&paths);
}

/* Accounts that the tables know no longer have no subject of their own. */
static void remove_strangers(struct stock *stock)
{
    struct subject *next;
    for (struct subject *subject = stock->changed_first; subject != NULL; subject = next) {
        char *path = NULL;
        struct error error;
        next = subject->changed_next;
        if (subject->is_gone || subject->account == NULL)
            continue;
        enum table_answer answer =
            registrations_find(stock->parts.registrations, subject->account, &path, &error);
        if (answer == TABLE_NONE || (answer == TABLE_FOUND && strcmp(path, subject->path) != 0)) {
            remove_subject(subject);
        }
        free(path);
    }
}

static void set_own(void *context, const char *path, void *value)
{
    (void)path;
    set_own_subject(context, value);
}

static void sync_all(struct stock *stock)
{
    struct name_list accounts = {0};
    dictionary_each(stock->apps, unlist, stock);
    registrations_each_file(stock->parts.registrations, list_file, stock);
    dictionary_each(stock->apps, set_own, stock);
    dictionary_each(stock->apps, reset_need, stock);
    registrations_each(stock->parts.registrations, collect, &accounts);
    for (size_t i = 0; i < accounts.count; i++)
        need_account(stock, accounts.names[i]);
    release_list(&accounts);
    accounts = (struct name_list){0};
    vault_each(stock->parts.vault, collect, &accounts);
    for (size_t i = 0; i < accounts.count; i++) {
        struct subject *subject;
        if (stock_find(stock, accounts.names[i], &subject, NULL) == TABLE_FOUND &&
            subject->account != NULL)
            need(subject, RENEWAL_DAILY);
    }
    release_list(&accounts);
    remove_unlisted(stock);
    remove_strangers(stock);
    stock->must_sync = false;
    stock->maps_version = registrations_version(stock->parts.registrations);
    subject_wake_all(&stock->orphans);
}

/* --- every two seconds ------------------------------------------------------- */

struct stale {
    struct name_list names;
    int64_t before;
};

static void collect_stale(void *context, const char *account, void *value)
{
    struct stale *stale = context;
    const struct subject_account *known = value;
    if (known->given_at < stale->before && known->renewed_at < stale->before)
        collect(&stale->names, account);
}

/* Forgets accounts that have had no token for a day. */
static void tidy(struct stock *stock)
{
    for (struct subject *subject = stock->changed_first; subject != NULL;
         subject = subject->changed_next) {
        struct stale stale = {.before = stock_now() - DAY};
        dictionary_each(subject->accounts, collect_stale, &stale);
        for (size_t i = 0; i < stale.names.count; i++)
            dictionary_remove(subject->accounts, stale.names.names[i]);
        release_list(&stale.names);
    }
    stock->tidied_at = stock_now();
}

static void look_at_subjects(struct stock *stock)
{
    struct subject *last = stock->changed_last, *next;
    for (struct subject *subject = stock->changed_first; subject != NULL; subject = next) {
        next = subject != last ? subject->changed_next : NULL;
        if (subject->is_gone)
            continue;
        subject_tell_end(subject);
        subject_save(subject);
        stock_schedule(subject);
    }
}

static void tick(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct stock *stock = argument;
    dictionary_each(stock->apps, look_at_app, stock);
    if (stock->must_sync ||
        registrations_version(stock->parts.registrations) != stock->maps_version)
        sync_all(stock);
    look_at_subjects(stock);
    free_told(stock);
    if (stock_now() >= stock->tidied_at + HOUR)
        tidy(stock);
    stock_run(stock);
}

/* --- beginning and ending ---------------------------------------------------- */

static void release_app(void *app)
{
    app_free(app);
}

struct stock *stock_new(const struct stock_parts *parts)
{
    const struct timeval interval = {.tv_sec = TICK};
    struct stock *stock = memory_zero(1, sizeof(*stock));
    stock->parts = *parts;
    stock->apps = dictionary_new(release_app);
    stock->seed = siphash_make_secret().words[0];
    stock->due = event_new(parts->base, -1, 0, run_due, stock);
    stock->tick = event_new(parts->base, -1, EV_PERSIST, tick, stock);
    if (stock->due == NULL || stock->tick == NULL || event_add(stock->tick, &interval) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    stock->tidied_at = stock_now();
    sync_all(stock);
    return stock;
}

void stock_configure(struct stock *stock, const struct stock_parts *parts)
{
    stock->parts = *parts;
    sync_all(stock);
    stock_run(stock);
}

void stock_free(struct stock *stock)
{
    struct subject *subject;
    if (stock == NULL)
        return;
    while ((subject = stock->changed_first) != NULL) {
        unlink_changed(stock, subject);
        if (!subject->is_gone)
            subject_cancel(subject);
        subject_free(subject);
    }
    dictionary_free(stock->apps);
    agenda_free(&stock->agenda);
    event_free(stock->due);
    event_free(stock->tick);
    free(stock);
}
