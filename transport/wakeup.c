/* wakeup.c - messages that leave Postfix's queue when their time has come */
#include "transport/wakeup.h"

#include "common/agenda.h"
#include "common/clock.h"
#include "common/dictionary.h"
#include "common/log.h"
#include "common/memory.h"
#include "transport/scan.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#define PAUSE_MICROS 100000       /* between two messages */
#define CHECK_MICROS CLOCK_SECOND /* the clock may be set */

enum subject { SUBJECT_MESSAGE, SUBJECT_ACCOUNT };

struct entry {
    struct agenda_entry due;
    enum subject subject;
    char name[]; /* queue id or UPN: no queue id has an @ */
};

struct wakeup {
    struct event_base *base;
    char *program, *config_directory;
    struct dictionary *entries; /* by name */
    struct agenda agenda;
    struct event *timer, *ended;
    pid_t child;   /* 0: none */
    char *running; /* its queue id */
    struct scan *scan;
    char *scanned; /* the account */
};

static struct entry *first_entry(const struct wakeup *wakeup)
{
    struct agenda_entry *due = agenda_first(&wakeup->agenda);
    return due != NULL ? (struct entry *)(void *)((char *)due - offsetof(struct entry, due)) : NULL;
}

static void set_timer(struct wakeup *wakeup, int64_t least)
{
    const struct entry *entry = first_entry(wakeup);
    if (entry == NULL || wakeup->child != 0 || wakeup->scan != NULL)
        return;
    int64_t wait = entry->due.due - clock_now(clock_system());
    wait = wait < least ? least : wait > CHECK_MICROS ? CHECK_MICROS : wait;
    const struct timeval timeout = {.tv_sec = wait / CLOCK_SECOND, .tv_usec = wait % CLOCK_SECOND};
    event_add(wakeup->timer, &timeout);
}

/* postqueue(1) needs no shell, no input, and no more of an environment than a path. */
static void run(struct wakeup *wakeup, const char *queue_id)
{
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    char *const environment[] = {path, NULL};
    char *id = memory_copy(queue_id);
    char *const arguments[] = {
        wakeup->program, (char[]){"-c"}, wakeup->config_directory, (char[]){"-i"}, id, NULL};
    int code = posix_spawn(&wakeup->child, wakeup->program, NULL, NULL, arguments, environment);
    if (code == 0) {
        wakeup->running = id;
        return;
    }
    log_warning("%s cannot be run: %s; %s waits for Postfix's next attempt", wakeup->program,
                strerror(code), queue_id);
    wakeup->child = 0;
    free(id);
}

static void remove_entry(struct wakeup *wakeup, struct entry *entry)
{
    agenda_set(&wakeup->agenda, &entry->due, AGENDA_NEVER);
    dictionary_remove(wakeup->entries, entry->name);
}

static void scanned(void *context, const char *const ids[], size_t count)
{
    struct wakeup *wakeup = context;
    int64_t now = clock_now(clock_system());
    for (size_t i = 0; i < count; i++)
        if (dictionary_find(wakeup->entries, ids[i]) == NULL) /* it has a time of its own */
            wakeup_put(wakeup, ids[i], now);
    wakeup->scan = NULL;
    free(wakeup->scanned);
    wakeup->scanned = NULL;
    set_timer(wakeup, PAUSE_MICROS);
}

static void look_for(struct wakeup *wakeup, const char *account)
{
    wakeup->scanned = memory_copy(account);
    wakeup->scan = scan_start(wakeup->base, wakeup->program, wakeup->config_directory, account,
                              scanned, wakeup);
    if (wakeup->scan != NULL)
        return;
    free(wakeup->scanned);
    wakeup->scanned = NULL;
}

static void wake_next(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct wakeup *wakeup = argument;
    struct entry *entry = first_entry(wakeup);
    if (entry != NULL && wakeup->child == 0 && wakeup->scan == NULL &&
        entry->due.due <= clock_now(clock_system())) {
        log_debug("%s: its time has come", entry->name);
        if (entry->subject == SUBJECT_MESSAGE)
            run(wakeup, entry->name);
        else
            look_for(wakeup, entry->name);
        remove_entry(wakeup, entry);
    }
    set_timer(wakeup, PAUSE_MICROS);
}

/* A message that has gone meanwhile makes postqueue complain: that is fine. */
static void child_ended(evutil_socket_t signal, short what, void *argument)
{
    (void)signal;
    (void)what;
    struct wakeup *wakeup = argument;
    int status = 0;
    pid_t pid;
    bool is_ours = false;
    while (!is_ours && (pid = waitpid(-1, &status, WNOHANG)) > 0)
        is_ours = pid == wakeup->child;
    if (!is_ours)
        return;
    if (status != 0)
        log_debug("%s: postqueue ended with status %d", wakeup->running, status);
    wakeup->child = 0;
    free(wakeup->running);
    wakeup->running = NULL;
    set_timer(wakeup, PAUSE_MICROS);
}

static void put(struct wakeup *wakeup, const char *name, enum subject subject, int64_t when)
{
    struct entry *entry = dictionary_find(wakeup->entries, name);
    if (entry == NULL && dictionary_count(wakeup->entries) >= WAKEUP_MAX)
        return;
    if (entry == NULL) {
        size_t length = strlen(name);
        entry = memory_zero(1, sizeof(*entry) + length + 1);
        memcpy(entry->name, name, length + 1);
        entry->subject = subject;
        dictionary_put(wakeup->entries, name, entry);
    }
    agenda_set(&wakeup->agenda, &entry->due, when);
    set_timer(wakeup, PAUSE_MICROS);
}

void wakeup_put(struct wakeup *wakeup, const char *queue_id, int64_t when)
{
    put(wakeup, queue_id, SUBJECT_MESSAGE, when);
}

void wakeup_put_account(struct wakeup *wakeup, const char *account, int64_t when)
{
    put(wakeup, account, SUBJECT_ACCOUNT, when);
}

size_t wakeup_count(const struct wakeup *wakeup)
{
    return dictionary_count(wakeup->entries);
}

struct wakeup *wakeup_new(struct event_base *base, const char *program,
                          const char *config_directory)
{
    struct wakeup *wakeup = memory_zero(1, sizeof(*wakeup));
    wakeup->base = base;
    wakeup->program = memory_copy(program);
    wakeup->config_directory = memory_copy(config_directory);
    wakeup->entries = dictionary_new(free);
    wakeup->timer = evtimer_new(base, wake_next, wakeup);
    wakeup->ended = evsignal_new(base, SIGCHLD, child_ended, wakeup);
    if (wakeup->timer == NULL || wakeup->ended == NULL || event_add(wakeup->ended, NULL) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    return wakeup;
}

void wakeup_free(struct wakeup *wakeup)
{
    if (wakeup == NULL)
        return;
    if (wakeup->scan != NULL)
        scan_cancel(wakeup->scan);
    event_free(wakeup->timer);
    event_free(wakeup->ended);
    agenda_free(&wakeup->agenda);
    dictionary_free(wakeup->entries);
    free(wakeup->program);
    free(wakeup->config_directory);
    free(wakeup->running);
    free(wakeup->scanned);
    free(wakeup);
}
