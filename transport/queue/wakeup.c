/* wakeup.c - messages that leave Postfix's queue when their time has come */
#include "transport/queue/wakeup.h"

#include "common/agenda.h"
#include "common/clock.h"
#include "common/dictionary.h"
#include "common/log.h"
#include "common/memory.h"
#include "transport/queue/postqueue.h"
#include "transport/queue/scan.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define PAUSE_MICROS    100000       /* between two messages */
#define CHECK_MICROS    CLOCK_SECOND /* the clock may be set */
#define UNDER_WAY_AGAIN (2 * CLOCK_SECOND)
/* When Postfix does not run, it is looked for again after this time; when it does again it needs
 * some until its services are there. */
#define POSTFIX_AGAIN CLOCK_SECOND
#define POSTFIX_READY (2 * CLOCK_SECOND)
/* A look into the queue that has failed is taken again after this time, then twice as long, and so
 * on so many times. */
#define SCAN_AGAIN     (5 * CLOCK_SECOND)
#define SCAN_DOUBLINGS 6
/* After a probe of which nothing was heard, then twice as long, and so on so many times. */
#define PROBE_AGAIN     (60 * CLOCK_SECOND)
#define PROBE_DOUBLINGS 4
/* So many are looked for at once: these are woken up before the first of them is due again. */
#define PROBES_MOST 100
/* Looks for the oldest message: this often at most, and with this many times what a look takes in
 * between. While postqueue is busy, or Postfix does not run, it is soon tried again. */
#define WATCH_MICROS (60 * CLOCK_SECOND)
#define WATCH_SHARE  100
#define WATCH_AGAIN  (2 * CLOCK_SECOND)

enum subject {
    SUBJECT_MESSAGE,
    SUBJECT_ACCOUNT,
    SUBJECT_PROBE,
};

struct entry {
    struct agenda_entry due;
    enum subject subject;
    int64_t since;    /* of an account: older messages were woken up; seconds since the epoch */
    bool is_hastened; /* of an account: those that are put down, too */
    size_t probes;    /* of an account: how many there were since something was heard of it */
    char name[];      /* queue id or UPN: no queue id has an @ */
};

struct wakeup {
    struct dictionary *entries; /* by name */
    struct agenda agenda;
    struct event *timer;
    int64_t fires; /* when, if it is set */
    struct postqueue *postqueue;
    struct wakeup_knowledge knowledge;
    struct scan *scan; /* under way, or NULL */
    int64_t probed;    /* since when the probes were due that are looked for */
    size_t failures;   /* of looks into the queue, in a row */
    bool was_away;     /* Postfix did not run */
    uint64_t woken;
    struct event *watch; /* when the oldest message is looked for, or NULL: never */
    int64_t looks_since; /* when this look began */
    bool postfix_ran;    /* when it was last tried */
    bool has_looked;
    int64_t oldest; /* as scan_oldest() */
};

static struct entry *first_entry(const struct wakeup *wakeup)
{
    struct agenda_entry *due = agenda_first(&wakeup->agenda);
    return due != NULL ? (struct entry *)(void *)((char *)due - offsetof(struct entry, due)) : NULL;
}

static struct entry *first_due(const struct wakeup *wakeup)
{
    struct entry *entry = first_entry(wakeup);
    return entry != NULL && entry->due.due <= clock_now(clock_system()) ? entry : NULL;
}

/* Never later than it is set already: who puts much down must not hold up what is due. */
static void set_timer(struct wakeup *wakeup)
{
    const struct entry *entry = first_entry(wakeup);
    if (entry == NULL || postqueue_is_running(wakeup->postqueue))
        return;
    int64_t now = clock_now(clock_system()), wait = entry->due.due - now;
    wait = wait < PAUSE_MICROS ? PAUSE_MICROS : wait > CHECK_MICROS ? CHECK_MICROS : wait;
    if (event_pending(wakeup->timer, EV_TIMEOUT, NULL) && now + wait >= wakeup->fires)
        return;
    const struct timeval timeout = {.tv_sec = wait / CLOCK_SECOND, .tv_usec = wait % CLOCK_SECOND};
    wakeup->fires = now + wait;
    event_add(wakeup->timer, &timeout);
}

static void remove_entry(struct wakeup *wakeup, struct entry *entry)
{
    agenda_set(&wakeup->agenda, &entry->due, AGENDA_NEVER);
    dictionary_remove(wakeup->entries, entry->name);
}

/* Returns the entry, or NULL if there is no room: accounts, which are few, always find some. */
static struct entry *put(struct wakeup *wakeup, const char *name, enum subject subject,
                         int64_t when)
{
    struct entry *entry = dictionary_find(wakeup->entries, name);
    if (entry == NULL && subject == SUBJECT_MESSAGE &&
        dictionary_count(wakeup->entries) >= WAKEUP_MAX)
        return NULL;
    if (entry == NULL) {
        size_t length = strlen(name);
        entry = memory_zero(1, sizeof(*entry) + length + 1);
        memcpy(entry->name, name, length + 1);
        dictionary_put(wakeup->entries, name, entry);
    }
    entry->subject = subject;
    agenda_set(&wakeup->agenda, &entry->due, when);
    set_timer(wakeup);
    return entry;
}

void wakeup_put(struct wakeup *wakeup, const char *queue_id, int64_t when)
{
    put(wakeup, queue_id, SUBJECT_MESSAGE, when);
}

void wakeup_put_account(struct wakeup *wakeup, const char *account, int64_t when)
{
    const struct entry *known = dictionary_find(wakeup->entries, account);
    bool is_earlier = known != NULL && known->subject == SUBJECT_ACCOUNT && known->since == 0 &&
                      known->due.due <= when;
    if (!is_earlier)
        put(wakeup, account, SUBJECT_ACCOUNT, when)->since = 0;
}

/* A probe shows whether the others may go: it comes first. */
void wakeup_hasten_account(struct wakeup *wakeup, const char *account)
{
    const struct entry *known = dictionary_find(wakeup->entries, account);
    if (known != NULL && known->subject == SUBJECT_PROBE)
        return;
    struct entry *entry = put(wakeup, account, SUBJECT_ACCOUNT, clock_now(clock_system()));
    entry->since = 0;
    entry->is_hastened = true;
}

void wakeup_put_probe(struct wakeup *wakeup, const char *account, int64_t when)
{
    struct entry *entry = put(wakeup, account, SUBJECT_PROBE, when);
    entry->since = 0;
    entry->is_hastened = false;
    entry->probes = 0;
}

uint64_t wakeup_woken(const struct wakeup *wakeup)
{
    return wakeup->woken;
}

size_t wakeup_count(const struct wakeup *wakeup)
{
    return dictionary_count(wakeup->entries);
}

/* --- one message --------------------------------------------------------------- */

/* A message that has gone meanwhile makes postqueue complain: that is fine. */
static void message_ended(void *context, bool worked)
{
    (void)worked;
    set_timer(context);
}

static bool is_under_way(const struct wakeup *wakeup, const struct entry *entry)
{
    return wakeup->knowledge.is_under_way(wakeup->knowledge.context, entry->name);
}

static void wake(struct wakeup *wakeup, const struct entry *entry)
{
    static const struct postqueue_handler handler = {.ended = message_ended};
    log_debug("%s: its time has come", entry->name);
    wakeup->woken += postqueue_run(wakeup->postqueue, "-i", entry->name, &handler, wakeup);
}

/* --- the messages of accounts --------------------------------------------------- */

/* What may have been delivered is not made another copy of. */
static bool may_be_woken(void *context, const char *queue_id)
{
    const struct wakeup_knowledge *knowledge = &((const struct wakeup *)context)->knowledge;
    return knowledge->is_doubtful == NULL || !knowledge->is_doubtful(knowledge->context, queue_id);
}

static bool has_no_time(void *context, const char *queue_id)
{
    const struct wakeup *wakeup = context;
    return dictionary_find(wakeup->entries, queue_id) == NULL && may_be_woken(context, queue_id);
}

static void scan_output(void *context, struct evbuffer *bytes)
{
    const struct wakeup *wakeup = context;
    scan_read(wakeup->scan, bytes);
}

/* At once it may be that Postfix is about to start, or to stop. */
static void complain(struct wakeup *wakeup)
{
    if (++wakeup->failures != 2)
        return;
    log_warning("postqueue -j has failed: mail waits for Postfix's next attempt; postqueue must be "
                "setgid, the service needs NoNewPrivileges=no, and authorized_mailq_users and "
                "authorized_flush_users must have post365_user");
}

struct page {
    struct wakeup *wakeup;
    int64_t when, since;
};

static void look_on(void *context, const char *account)
{
    const struct page *page = context;
    const struct entry *known = dictionary_find(page->wakeup->entries, account);
    if (known == NULL || known->subject != SUBJECT_PROBE)
        put(page->wakeup, account, SUBJECT_ACCOUNT, page->when)->since = page->since;
}

/* Where there are more than it could take the accounts are looked at again behind those. No message
 * is met twice but those that came in the second of the last one. */
static void turn_page(struct wakeup *wakeup, const struct scan *scan, int64_t when)
{
    int64_t first = scan_arrival(scan, 0), last = scan_arrival(scan, SCAN_MOST - 1);
    struct page page = {wakeup, when, last > first ? last : last + 1};
    scan_each_account(scan, look_on, &page);
}

/* Nothing is known of those that were not found: they are looked for once more. */
static void look_later(struct wakeup *wakeup, const struct scan *scan, int64_t now)
{
    size_t doublings = wakeup->failures < SCAN_DOUBLINGS ? wakeup->failures : SCAN_DOUBLINGS;
    struct page page = {wakeup, now + (SCAN_AGAIN << doublings), 0};
    complain(wakeup);
    scan_each_account(scan, look_on, &page);
}

static void scan_ended(void *context, bool worked)
{
    struct wakeup *wakeup = context;
    struct scan *scan = wakeup->scan;
    int64_t now = clock_now(clock_system());
    wakeup->scan = NULL;
    for (size_t i = 0; i < scan_count(scan); i++)
        wakeup_put(wakeup, scan_id(scan, i), now + (int64_t)i);
    if (!worked)
        look_later(wakeup, scan, now);
    else if (scan_is_full(scan))
        turn_page(wakeup, scan, now + SCAN_MOST);
    if (worked)
        wakeup->failures = 0;
    scan_free(scan);
    set_timer(wakeup);
}

struct probing {
    struct wakeup *wakeup;
    const struct scan *scan;
};

/* Ahead of the probes that are still to be looked for. Of an account of which something was put
 * down meanwhile there is no probe any more, or a later one. */
static void put_probe_message(void *context, const char *account)
{
    const struct probing *probing = context;
    const struct entry *entry = dictionary_find(probing->wakeup->entries, account);
    if (entry == NULL || entry->subject != SUBJECT_PROBE || entry->probes == 0)
        return;
    const char *queue_id = scan_probe(probing->scan, account, entry->probes - 1);
    if (queue_id != NULL)
        wakeup_put(probing->wakeup, queue_id, probing->wakeup->probed);
}

static void probes_ended(void *context, bool worked)
{
    struct wakeup *wakeup = context;
    struct scan *scan = wakeup->scan;
    struct probing probing = {wakeup, scan};
    wakeup->scan = NULL;
    if (!worked)
        complain(wakeup);
    else
        wakeup->failures = 0;
    scan_each_account(scan, put_probe_message, &probing);
    scan_free(scan);
    set_timer(wakeup);
}

/* The message that is tried may not be for Microsoft, or have no room, or be gone: nothing is heard
 * of it, and then another is tried. */
static void expect_another_probe(struct wakeup *wakeup, struct entry *entry)
{
    size_t doublings = entry->probes < PROBE_DOUBLINGS ? entry->probes : PROBE_DOUBLINGS;
    entry->probes++;
    agenda_set(&wakeup->agenda, &entry->due,
               clock_now(clock_system()) + (PROBE_AGAIN << doublings));
}

static void look_for(struct wakeup *wakeup, struct entry *entry)
{
    char *send_as = wakeup->knowledge.send_as(wakeup->knowledge.context, entry->name);
    if (entry->subject == SUBJECT_PROBE) {
        scan_add_probe(wakeup->scan, entry->name, send_as, entry->probes);
        expect_another_probe(wakeup, entry);
    } else {
        scan_add(wakeup->scan, entry->name, send_as, entry->since);
        remove_entry(wakeup, entry);
    }
    free(send_as);
}

/* All accounts whose time has come are looked for at once; but probes by themselves, and those that
 * are hastened, since what is put down counts there: so it does for a probe. Of probes no more than
 * can be woken up before others take their turn. */
static void look_for_accounts(struct wakeup *wakeup)
{
    static const struct postqueue_handler all = {.output = scan_output, .ended = scan_ended};
    static const struct postqueue_handler probes = {.output = scan_output, .ended = probes_ended};
    struct entry *entry = first_due(wakeup);
    enum subject subject = entry->subject;
    bool is_probe = subject == SUBJECT_PROBE, is_hastened = entry->is_hastened;
    wakeup->scan = scan_new(is_probe || is_hastened ? may_be_woken : has_no_time, wakeup);
    wakeup->probed = entry->due.due;
    size_t count = 0;
    do {
        look_for(wakeup, entry);
        entry = first_due(wakeup);
    } while (entry != NULL && entry->subject == subject && entry->is_hastened == is_hastened &&
             (!is_probe || ++count < PROBES_MOST));
    if (postqueue_run(wakeup->postqueue, "-j", NULL, is_probe ? &probes : &all, wakeup))
        return;
    scan_free(wakeup->scan);
    wakeup->scan = NULL;
}

static bool has_postfix(const struct wakeup *wakeup)
{
    const struct wakeup_knowledge *knowledge = &wakeup->knowledge;
    return knowledge->has_postfix == NULL || knowledge->has_postfix(knowledge->context);
}

/* What is due stays so until Postfix is there. Returns whether it has to wait. */
static bool wait_for_postfix(struct wakeup *wakeup)
{
    bool is_away = !has_postfix(wakeup), was_away = wakeup->was_away;
    wakeup->was_away = is_away;
    if (!is_away && !was_away)
        return false;
    int64_t wait = is_away ? POSTFIX_AGAIN : POSTFIX_READY;
    const struct timeval timeout = {.tv_sec = wait / CLOCK_SECOND};
    wakeup->fires = clock_now(clock_system()) + wait;
    event_add(wakeup->timer, &timeout);
    return true;
}

static void timer_ends(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct wakeup *wakeup = argument;
    struct entry *entry = postqueue_is_running(wakeup->postqueue) ? NULL : first_due(wakeup);
    if (entry != NULL && wait_for_postfix(wakeup))
        return;
    if (entry != NULL && entry->subject != SUBJECT_MESSAGE) {
        look_for_accounts(wakeup);
    } else if (entry != NULL && is_under_way(wakeup, entry)) {
        agenda_set(&wakeup->agenda, &entry->due, clock_now(clock_system()) + UNDER_WAY_AGAIN);
    } else if (entry != NULL) {
        wake(wakeup, entry);
        remove_entry(wakeup, entry);
    }
    set_timer(wakeup);
}

/* --- the oldest message --------------------------------------------------------- */

static void watch_after(struct wakeup *wakeup, int64_t wait)
{
    const struct timeval timeout = {.tv_sec = wait / CLOCK_SECOND, .tv_usec = wait % CLOCK_SECOND};
    event_add(wakeup->watch, &timeout);
}

static void watch_ended(void *context, bool worked)
{
    struct wakeup *wakeup = context;
    int64_t rest = (clock_now(clock_system()) - wakeup->looks_since) * WATCH_SHARE;
    if (worked) {
        wakeup->has_looked = true;
        wakeup->oldest = scan_oldest(wakeup->scan);
        wakeup->failures = 0;
    } else {
        complain(wakeup);
    }
    scan_free(wakeup->scan);
    wakeup->scan = NULL;
    watch_after(wakeup, rest > WATCH_MICROS ? rest : WATCH_MICROS);
    set_timer(wakeup);
}

/* A Postfix that has just started needs some time until its services are there. */
static bool postfix_is_settled(struct wakeup *wakeup)
{
    bool ran = wakeup->postfix_ran;
    wakeup->postfix_ran = has_postfix(wakeup);
    return ran && wakeup->postfix_ran;
}

/* A scan of no account: nothing is kept but the time. */
static void watch_ends(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    static const struct postqueue_handler handler = {.output = scan_output, .ended = watch_ended};
    struct wakeup *wakeup = argument;
    if (!postfix_is_settled(wakeup) || postqueue_is_running(wakeup->postqueue)) {
        watch_after(wakeup, WATCH_AGAIN);
        return;
    }
    wakeup->scan = scan_new(may_be_woken, wakeup);
    wakeup->looks_since = clock_now(clock_system());
    if (postqueue_run(wakeup->postqueue, "-j", NULL, &handler, wakeup))
        return;
    scan_free(wakeup->scan);
    wakeup->scan = NULL;
    watch_after(wakeup, WATCH_MICROS);
}

void wakeup_watch_age(struct wakeup *wakeup)
{
    wakeup->watch = evtimer_new(event_get_base(wakeup->timer), watch_ends, wakeup);
    if (wakeup->watch == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    watch_after(wakeup, WATCH_AGAIN);
}

bool wakeup_oldest(const struct wakeup *wakeup, int64_t *arrival)
{
    *arrival = wakeup->oldest;
    return wakeup->has_looked;
}

struct wakeup *wakeup_new(struct event_base *base, const char *program,
                          const char *config_directory, const struct wakeup_knowledge *knowledge)
{
    struct wakeup *wakeup = memory_zero(1, sizeof(*wakeup));
    wakeup->knowledge = *knowledge;
    wakeup->postqueue = postqueue_new(base, program, config_directory);
    wakeup->entries = dictionary_new(free);
    wakeup->timer = evtimer_new(base, timer_ends, wakeup);
    if (wakeup->timer == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    return wakeup;
}

void wakeup_free(struct wakeup *wakeup)
{
    if (wakeup == NULL)
        return;
    postqueue_free(wakeup->postqueue);
    scan_free(wakeup->scan);
    event_free(wakeup->timer);
    if (wakeup->watch != NULL)
        event_free(wakeup->watch);
    agenda_free(&wakeup->agenda);
    dictionary_free(wakeup->entries);
    free(wakeup);
}
