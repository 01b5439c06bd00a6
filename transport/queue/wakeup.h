/* wakeup.h - messages that leave Postfix's queue when their time has come
 *
 * Postfix tries a deferred message again after minutes, and after hours when it has failed often. A
 * message that is deferred because its account has no room is put down here with the time when it
 * will have; then `postqueue -i` hands it to the queue manager, the oldest first and a few at a
 * time, so that no storm of attempts breaks loose. What is due while Postfix does not run is due
 * when it does again; a look into the queue that has failed is taken again, later and later.
 */
#ifndef POST365_TRANSPORT_QUEUE_WAKEUP_H
#define POST365_TRANSPORT_QUEUE_WAKEUP_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Messages that are put down at most; what is beyond is left to Postfix. Accounts always are. */
#define WAKEUP_MAX 100000

struct wakeup;

/* What has to be known about mail. */
struct wakeup_knowledge {
    /* What else than its UPN an account's mail has as its envelope sender, as in
     * post365_send_as_maps; to be free()d, or NULL. */
    char *(*send_as)(void *context, const char *account);
    /* Whether some recipients of the message are being delivered to: Postfix then does not hear
     * that it is to be tried. */
    bool (*is_under_way)(void *context, const char *queue_id);
    /* Whether the message may have been delivered: it is left to Postfix. NULL: none may. */
    bool (*is_doubtful)(void *context, const char *queue_id);
    /* Whether Postfix runs: while it does not, nothing is asked of it. NULL: it does. */
    bool (*has_postfix)(void *context);
    void *context;
};

/* `program` is postqueue(1), `config_directory` its -c; both are copied, and `knowledge` is, too.
 * Release with wakeup_free(). */
struct wakeup *wakeup_new(struct event_base *base, const char *program,
                          const char *config_directory, const struct wakeup_knowledge *knowledge);
void wakeup_free(struct wakeup *wakeup);

/* The message with this queue id (letters and digits) is to be tried at this time, in microseconds
 * since the epoch. Twice the same message: the later call counts. */
void wakeup_put(struct wakeup *wakeup, const char *queue_id, int64_t when);

/* The deferred messages of this account (a folded UPN) that are not put down are to be tried from
 * this time on: for those whose queue id is not known. The oldest first; each that has to wait
 * again is put down again. Of two times for one account the earlier counts. */
void wakeup_put_account(struct wakeup *wakeup, const char *account, int64_t when);

/* All deferred messages of this account, put down or not, are to be tried from now on: there is
 * more room than they were told. */
void wakeup_hasten_account(struct wakeup *wakeup, const char *account);

/* One deferred message of this account is to be tried at this time, the oldest: to see whether
 * others would go. In place of what was put down for the account. Others follow, less and less
 * often, until something is put down for the account. */
void wakeup_put_probe(struct wakeup *wakeup, const char *account, int64_t when);

/* From now on the age of the oldest message is looked at: once a minute, or less often where that
 * would take more than a hundredth of the time, as in a long queue. */
void wakeup_watch_age(struct wakeup *wakeup);

/* When the oldest message of the queue came that is not held, at the last look, in seconds since
 * the epoch; 0: there was none. False: nobody has looked yet. */
bool wakeup_oldest(const struct wakeup *wakeup, int64_t *arrival);

/* How many were woken up since the start. */
uint64_t wakeup_woken(const struct wakeup *wakeup);

/* How many are put down. */
size_t wakeup_count(const struct wakeup *wakeup);

#endif
