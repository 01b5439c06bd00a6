/* subject.c - what has a token, a state and a next attempt of its own
 *
 * The log gets a line when a subject has its first token, when an attempt fails for another reason
 * than the last one, when the token has ended meanwhile, and when all is well again: not one for
 * each attempt, account or message.
 */
#include "tokend/subject.h"

#include "common/address.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "tokend/stock.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MINUTE       (60 * CLOCK_SECOND)
#define DAY          (24 * (60 * MINUTE))
#define ACCOUNTS_MAX 100000 /* that are remembered; others get tokens, too */
/* A trouble that changes its face with each attempt is told of once in so long. */
#define TELL_AGAIN (10 * MINUTE)

struct subject *subject_new(struct stock *stock, struct app *app, const char *account,
                            uint64_t seed)
{
    struct subject *subject = memory_zero(1, sizeof(*subject));
    subject->stock = stock;
    subject->app = app;
    subject->path = memory_copy(app->path);
    subject->account = memory_copy(account);
    subject->accounts = dictionary_new(free);
    renewal_begin(&subject->renewal, RENEWAL_WHEN_WANTED, cloud_margin(NULL), seed);
    subject->next = app->first;
    app->first = subject;
    dictionary_put(app->subjects, account != NULL ? account : "", subject);
    return subject;
}

void subject_free(struct subject *subject)
{
    attempt_cancel(subject->attempt);
    secret_free(subject->token);
    secret_free(subject->unsaved);
    dictionary_free(subject->accounts);
    free(subject->path);
    free(subject->account);
    free(subject->stranger);
    free(subject);
}

/* --- the log --- */

/* "registration /etc/x.cf" or "registration /etc/x.cf, account a@b" */
static char *name_of(const struct subject *subject)
{
    return subject->account == NULL
               ? memory_format("registration %s", subject->path)
               : memory_format("registration %s, account %s", subject->path, subject->account);
}

static void tell_failure(struct subject *subject, const struct attempt_outcome *outcome)
{
    int64_t now = stock_now();
    bool is_good = renewal_is_good(&subject->renewal, now);
    bool is_worse = subject->class != ENTRA_RETRY && subject->told_class == ENTRA_RETRY;
    if (subject->told_row == subject->row ||
        (subject->told_row != NULL && !is_worse && now < subject->told_at + TELL_AGAIN))
        return;
    char *name = name_of(subject);
    int64_t next = (renewal_next(&subject->renewal) - now) / CLOCK_SECOND;
    char *state = is_good
                      ? memory_format("the token that there is serves for another %" PRIu32 " s",
                                      renewal_left(&subject->renewal, now))
                      : memory_copy("mail of its accounts waits");
    log_warning("%s: %s: %s: %s (%s)%s%s; %s; next attempt in %" PRId64 " s", name,
                subject->token != NULL ? "not renewed" : "no token", subject->row->name,
                subject->reason, entra_class_words(subject->class),
                outcome->id[0] != '\0' ? ", client-request-id " : "", outcome->id, state, next);
    free(state);
    free(name);
    subject->told_row = subject->row;
    subject->told_class = subject->class;
    subject->told_at = now;
    subject->told_end = !is_good;
}

void subject_tell_end(struct subject *subject)
{
    if (subject->row == NULL || subject->told_end || subject->token == NULL ||
        renewal_is_good(&subject->renewal, stock_now()))
        return;
    struct app *app = subject->app;
    bool is_refusal = subject->row == app->refusal;
    char *name = name_of(subject);
    if (!is_refusal || !app->told_refusal_end)
        log_error("%s: the token has ended and there is no other: %s: %s; mail of its accounts "
                  "waits",
                  name, subject->row->name, subject->reason);
    free(name);
    app->told_refusal_end |= is_refusal;
    subject->told_end = true;
    stock_changed(subject);
}

static void tell_success(struct subject *subject, const struct attempt_outcome *outcome)
{
    char *name = name_of(subject);
    uint32_t left = renewal_left(&subject->renewal, stock_now());
    if (outcome->used_former)
        log_warning("%s: the new secret or key was refused; the former one still serves: %s: %s, "
                    "client-request-id %s",
                    name, outcome->refused_row->name, outcome->refused_reason, outcome->refused_id);
    if (outcome->used_previous)
        log_warning("%s: the stored refresh token was refused; the one before still served", name);
    if (outcome->corrected_clock)
        log_warning("%s: this host's clock is off by %" PRId64 " s: set it", name,
                    subject->app->skew);
    if (subject->told_row != NULL)
        log_info("%s: all is well again: token %s, good for %" PRIu32 " s", name, subject->id,
                 left);
    else if (!subject->told_first)
        log_info("%s: token %s, good for %" PRIu32 " s", name, subject->id, left);
    else
        log_debug("%s: token %s, good for %" PRIu32 " s, client-request-id %s", name, subject->id,
                  left, outcome->id);
    subject->told_first = true;
    subject->told_row = NULL;
    subject->told_end = false;
    free(name);
}

/* --- attempts --- */

static void set_failure(struct subject *subject, const struct entra_row *row,
                        enum entra_class class, const char *reason)
{
    subject->row = row;
    subject->class = class;
    snprintf(subject->reason, sizeof(subject->reason), "%s", reason);
}

/* Nobody but a stranger has logged in. */
static void tell_stranger(struct subject *subject)
{
    if (subject->stranger != NULL && subject->row == entra_named(ENTRA_LOGIN_NEEDED))
        set_failure(subject, entra_named(ENTRA_GRANT_OF_ANOTHER), subject->class,
                    subject->stranger);
}

void subject_note_stranger(struct subject *subject, const char *reason)
{
    free(subject->stranger);
    subject->stranger = memory_copy(reason);
    tell_stranger(subject);
    stock_changed(subject);
}

static void make_id(struct subject *subject)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)secret_reveal(subject->token), secret_length(subject->token),
           digest);
    for (size_t i = 0; i < (SUBJECT_ID_SIZE - 1) / 2; i++)
        snprintf(subject->id + 2 * i, 3, "%02x", digest[i]);
}

static void take_token(struct subject *subject, struct attempt_outcome *outcome)
{
    struct error error;
    secret_free(subject->token);
    subject->token = outcome->answer.token;
    outcome->answer.token = NULL;
    subject->serial++;
    subject->row = NULL;
    app_forget_refusal(subject->app);
    subject->acceptance = (struct acceptance){0};
    make_id(subject);
    subject->has_claims = claims_read(subject->token, &subject->claims, &error);
    renewal_got(&subject->renewal, outcome->answer.life, outcome->answer.refresh_in);
    proof_accept(subject->app->proof, outcome->used_former);
    if (outcome->used_former)
        proof_refuse(subject->app->proof, outcome->refused_row, outcome->refused_reason);
    tell_success(subject, outcome);
}

/* Users' grants have the application's secret or key in common: what is wrong with that is wrong
 * for all of them. True: it was known, and told. */
static bool note_refusal(struct subject *subject, const struct answer *answer)
{
    struct app *app = subject->app;
    bool is_application = strcmp(answer->error, "invalid_client") == 0 ||
                          strcmp(answer->error, "unauthorized_client") == 0;
    bool was_known = app->refusal == answer->row;
    if (subject->account == NULL || !is_application)
        return false;
    app->refusal = answer->row;
    app->refused_until = renewal_next(&subject->renewal);
    snprintf(app->refusal_reason, sizeof(app->refusal_reason), "%s", answer->reason);
    return was_known;
}

static void take_failure(struct subject *subject, const struct attempt_outcome *outcome)
{
    const struct answer *answer = &outcome->answer;
    set_failure(subject, answer->row, answer->class, answer->reason);
    tell_stranger(subject);
    /* A failure that passes says nothing of it. */
    if (outcome->used_former && strcmp(answer->error, "invalid_client") == 0)
        proof_drop_former(subject->app->proof);
    /* The endpoint counts what the application asks for, whoever it is for. */
    if (answer->wait > 0)
        subject->app->paused_until = stock_now() + (int64_t)answer->wait * CLOCK_SECOND;
    renewal_failed(&subject->renewal, stock_now(), answer->class, answer->wait);
    if (!note_refusal(subject, answer))
        tell_failure(subject, outcome);
}

static void take_skew(struct app *app, const struct answer *answer)
{
    if (!answer->has_skew)
        return;
    app->has_skew = true;
    app->skew = answer->skew;
}

/* A refresh token that is newer than what could not be written before, or also could not. */
static void take_unsaved(struct subject *subject, struct attempt_outcome *outcome)
{
    if (outcome->unsaved == NULL && outcome->answer.refresh_token == NULL)
        return;
    secret_free(subject->unsaved);
    subject->unsaved = outcome->unsaved;
    outcome->unsaved = NULL;
}

static void end_attempt(void *context, struct attempt_outcome *outcome)
{
    struct subject *subject = context;
    subject->attempt = NULL;
    subject->app->under_way--;
    subject->stock->under_way--;
    subject->requests += outcome->requests;
    subject->refused += outcome->refused;
    if (subject->account != NULL && outcome->grant_since != 0)
        subject->grant_since = outcome->grant_since;
    take_skew(subject->app, &outcome->answer);
    take_unsaved(subject, outcome);
    if (outcome->answer.outcome == ANSWER_TOKEN)
        take_token(subject, outcome);
    else
        take_failure(subject, outcome);
    stock_changed(subject);
    subject_wake(subject);
    stock_schedule(subject);
    stock_run(subject->stock);
}

/* What keeps an attempt from being made at all. */
static const struct entra_row *trouble(const struct subject *subject, const char **reason)
{
    const struct app *app = subject->app;
    const struct entra_row *row = app_trouble(app, reason);
    if (row == NULL)
        row = proof_trouble(app->proof, reason);
    if (row != NULL || app->refusal == NULL || stock_now() >= app->refused_until)
        return row;
    *reason = app->refusal_reason;
    return app->refusal;
}

void subject_begin(struct subject *subject)
{
    const char *reason = "";
    const struct entra_row *row = trouble(subject, &reason);
    struct stock *stock = subject->stock;
    renewal_asked(&subject->renewal, stock_now());
    if (row != NULL) {
        const struct attempt_outcome none = {0};
        set_failure(subject, row, row->class, reason);
        renewal_failed(&subject->renewal, stock_now(), row->class, 0);
        if (row != subject->app->refusal)
            tell_failure(subject, &none);
        subject_wake(subject);
    } else {
        const struct attempt_parts parts = {.base = stock->parts.base,
                                            .fetcher = stock->parts.fetcher,
                                            .vault = stock->parts.vault,
                                            .registration = subject->app->registration,
                                            .proof = subject->app->proof,
                                            .account = subject->account};
        subject->app->under_way++;
        stock->under_way++;
        subject->attempt = attempt_begin(&parts, subject->unsaved, end_attempt, subject);
    }
    stock_changed(subject);
    stock_schedule(subject);
}

void subject_cancel(struct subject *subject)
{
    if (subject->attempt == NULL)
        return;
    attempt_cancel(subject->attempt);
    subject->attempt = NULL;
    subject->app->under_way--;
    subject->stock->under_way--;
    renewal_abandon(&subject->renewal, stock_now());
}

void subject_forget(struct subject *subject)
{
    subject_cancel(subject);
    secret_free(subject->token);
    secret_free(subject->unsaved);
    subject->token = subject->unsaved = NULL;
    subject->id[0] = '\0';
    subject->has_claims = false;
    subject->row = NULL;
    subject->grant_since = 0;
    free(subject->stranger);
    subject->stranger = NULL;
    renewal_forget(&subject->renewal);
    stock_changed(subject);
    stock_schedule(subject);
}

void subject_save(struct subject *subject)
{
    struct error error;
    if (subject->unsaved == NULL || subject->attempt != NULL || subject->app->registration == NULL)
        return;
    const struct vault_key key = vault_key_of(subject->app->registration, subject->account);
    if (!vault_write(subject->stock->parts.vault, &key, subject->unsaved, subject->grant_since,
                     time(NULL), &error))
        return;
    log_info("the refresh token of %s is stored now", subject->account);
    secret_free(subject->unsaved);
    subject->unsaved = NULL;
}

/* Whether something will come of it soon: others may be ahead of it. */
static bool is_pending(const struct subject *subject)
{
    int64_t now = stock_now();
    return subject->attempt != NULL || renewal_due(&subject->renewal, now) <= now;
}

bool subject_renew(struct subject *subject)
{
    if (renewal_force(&subject->renewal, stock_now())) {
        app_forget_refusal(subject->app);
        stock_schedule(subject);
        stock_run(subject->stock);
    }
    return is_pending(subject);
}

/* --- who asks --- */

static struct subject_account *find_account(struct subject *subject, const char *account)
{
    struct subject_account *found = dictionary_find(subject->accounts, account);
    if (found != NULL || dictionary_count(subject->accounts) >= ACCOUNTS_MAX)
        return found;
    found = memory_zero(1, sizeof(*found));
    dictionary_put(subject->accounts, account, found);
    return found;
}

/* Those that mail goes to other servers with want another margin. */
static void set_margin(struct subject *subject, const char *account)
{
    struct destination_list list;
    struct error error;
    bool is_ours;
    struct destinations *destinations = subject->stock->parts.destinations;
    if (destinations == NULL ||
        destinations_of_account(destinations, account, &list, &is_ours, &error) != TABLE_FOUND)
        return;
    int64_t margin = (int64_t)cloud_margin(list.items[0].host) * CLOCK_SECOND;
    if (margin > subject->renewal.margin)
        renewal_set_margin(&subject->renewal, (unsigned)(margin / CLOCK_SECOND));
}

enum subject_answer subject_ask(struct subject *subject, const char *account)
{
    int64_t now = stock_now();
    struct renewal *renewal = &subject->renewal;
    set_margin(subject, account);
    const struct subject_account *known = dictionary_find(subject->accounts, account);
    bool needs_newer = known != NULL && known->serial > subject->serial;
    if (!needs_newer && renewal_is_good(renewal, now))
        return SUBJECT_TOKEN;
    /* Where no table that can be listed has the registration, it stays for those who ask. */
    find_account(subject, account);
    if (subject->attempt != NULL)
        return SUBJECT_WAIT;
    if (!renewal_want(renewal, now))
        return SUBJECT_FAILED;
    stock_schedule(subject);
    stock_run(subject->stock);
    /* What needs no request has failed by now. */
    return is_pending(subject) || subject->row == NULL ? SUBJECT_WAIT : SUBJECT_FAILED;
}

void subject_give(struct subject *subject, const char *account)
{
    int64_t now = stock_now();
    struct subject_account *known = find_account(subject, account);
    if (known != NULL)
        known->given_at = now;
    renewal_use(&subject->renewal, now);
    stock_schedule(subject);
}

static void put_first(struct subject_waiter **list, struct subject_waiter *waiter)
{
    waiter->link = list;
    waiter->next = *list;
    if (waiter->next != NULL)
        waiter->next->link = &waiter->next;
    *list = waiter;
}

void subject_wait(struct subject *subject, struct subject_waiter *waiter)
{
    put_first(&subject->waiters, waiter);
}

void subject_stop_waiting(struct subject_waiter *waiter)
{
    if (waiter->link == NULL)
        return;
    *waiter->link = waiter->next;
    if (waiter->next != NULL)
        waiter->next->link = waiter->link;
    *waiter = (struct subject_waiter){.wake = waiter->wake};
}

void subject_move_waiters(struct subject *subject, struct subject_waiter **list)
{
    struct subject_waiter *waiter;
    while ((waiter = subject->waiters) != NULL) {
        subject_stop_waiting(waiter);
        put_first(list, waiter);
    }
}

void subject_wake_all(struct subject_waiter **list)
{
    struct subject_waiter *waiter;
    while ((waiter = *list) != NULL) {
        subject_stop_waiting(waiter);
        waiter->wake(waiter);
    }
}

/* Who waits again is behind those that wait now. */
void subject_wake(struct subject *subject)
{
    struct subject_waiter *woken = NULL;
    subject_move_waiters(subject, &woken);
    subject_wake_all(&woken);
}

bool subject_judge(struct subject *subject, const char *account, const char *id, const char *reply)
{
    int64_t now = stock_now();
    if (strcmp(id, subject->id) != 0)
        /* There is another one already. */
        return reply != NULL && acceptance_is_of_token(reply) && subject->token != NULL &&
               renewal_is_good(&subject->renewal, now);
    if (reply == NULL) {
        acceptance_note(&subject->acceptance, account, now);
        stock_changed(subject);
        return false;
    }
    /* A server that refuses whatever it is shown makes no requests, however many the accounts. */
    if (subject->judged_at != 0 && now < subject->judged_at + MINUTE)
        return false;
    struct subject_account *known = find_account(subject, account);
    if (known == NULL || !acceptance_wants_new(&subject->acceptance, account, reply,
                                               subject->renewal.got_at, &known->renewed_at, now))
        return false;
    /* The others go on with the one that there is. */
    subject->judged_at = now > 0 ? now : 1;
    known->serial = subject->serial + 1;
    renewal_change(&subject->renewal, now);
    stock_schedule(subject);
    stock_run(subject->stock);
    return true;
}

struct count {
    int64_t since;
    uint32_t accounts;
};

static void count_account(void *context, const char *account, void *value)
{
    struct count *count = context;
    const struct subject_account *known = value;
    (void)account;
    if (known->given_at != 0 && known->given_at >= count->since)
        count->accounts++;
}

uint32_t subject_accounts(struct subject *subject)
{
    struct count count = {.since = stock_now() - DAY};
    dictionary_each(subject->accounts, count_account, &count);
    return count.accounts;
}
