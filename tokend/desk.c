/* desk.c - answers what is asked on post365_oauth2_socket
 *
 * What cannot be answered at once is an errand: somebody waits for a token, or logs in, or has the
 * way to the endpoint looked at. Errands belong to their client and end with it.
 */
#include "tokend/desk.h"

#include "common/address.h"
#include "common/attr.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/oauth2/tokens.h"
#include "tokend/inspect.h"

#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define TAG_MAX     64U
#define REPLY_MAX   1000U
#define ID_MAX      8U
#define ERRANDS_MAX 20000 /* of one client */
#define LOGINS_MAX  32    /* of all */

enum kind {
    KIND_UNKNOWN,
    KIND_TOKEN,
    KIND_VERDICT,
    KIND_WATCH,
    KIND_LIST,
    KIND_STATUS,
    KIND_RENEW,
    KIND_CHECK,
    KIND_LOGIN,
    KIND_LOGOUT,
    KINDS
};

static const struct {
    const char *name;
    bool is_look; /* the group may */
    bool needs_account, needs_registration, needs_either;
} kinds[KINDS] = {
    [KIND_UNKNOWN] = {"", false, false, false, false},
    [KIND_TOKEN] = {TOKENS_TOKEN, false, true, false, false},
    [KIND_VERDICT] = {TOKENS_VERDICT, false, true, false, false},
    [KIND_WATCH] = {TOKENS_WATCH, true, false, false, false},
    [KIND_LIST] = {TOKENS_LIST, true, false, false, false},
    [KIND_STATUS] = {TOKENS_STATUS, true, false, false, true},
    [KIND_RENEW] = {TOKENS_RENEW, false, false, false, true},
    [KIND_CHECK] = {TOKENS_CHECK, false, false, true, false},
    [KIND_LOGIN] = {TOKENS_LOGIN, false, true, false, false},
    [KIND_LOGOUT] = {TOKENS_LOGOUT, false, true, false, false},
};

/* What is asked. */
struct question {
    enum kind kind;
    const char *mistake;
    char tag[TAG_MAX + 1];
    char account[ADDRESS_MAX + 1]; /* folded */
    char registration[PATH_MAX];
    char id[ID_MAX + 1];
    char reply[REPLY_MAX + 1];
    bool has_reply;
    char after[PATH_MAX];
};

struct visitor;

struct errand {
    struct errand *next, *previous;
    struct visitor *visitor;
    enum kind kind;
    char tag[TAG_MAX + 1];
    char *account; /* "": the registration's own subject */
    char *path;    /* renew, check, login: of the registration */
    struct subject_waiter waiter;
    bool is_ready; /* to be answered as soon as its client reads */
    struct device *device;
    struct inspection *inspection;
    char *user; /* who logged in */
};

/* A client that has asked for more than it was told at once. */
struct visitor {
    struct visitor *next, *previous;
    struct desk *desk;
    struct client *client;
    struct errand *first;
    size_t errands;
    bool watches;
    char watch_tag[TAG_MAX + 1];
    uint64_t told; /* the version of the last change that it knows */
};

struct desk {
    struct event_base *base;
    struct stock *stock;
    struct fetcher *fetcher;
    struct vault *vault;
    struct event *news; /* somebody watches, and something has changed */
    struct visitor *first;
    unsigned logins;
};

/* --- replies ----------------------------------------------------------------- */

static void begin_reply(struct buffer *reply, const char *tag, const char *result)
{
    if (tag[0] != '\0')
        attr_write(reply, TOKENS_TAG, tag);
    attr_write(reply, TOKENS_RESULT, result);
}

static void write_number(struct buffer *reply, const char *name, int64_t number)
{
    buffer_format(reply, "%s=%" PRId64 "\n", name, number);
}

static void write_text(struct buffer *reply, const char *name, const char *text)
{
    if (text[0] != '\0')
        attr_write(reply, name, text);
}

static void send_reply(struct client *client, struct buffer *reply)
{
    attr_write_end(reply);
    client_send(client, reply, NULL, NULL);
    buffer_free(reply);
}

static void send_reason(struct client *client, const char *tag, const char *result,
                        const char *reason)
{
    struct buffer reply = {0};
    begin_reply(&reply, tag, result);
    attr_write(&reply, TOKENS_REASON, reason);
    send_reply(client, &reply);
}

static const char *result_of(enum entra_class class)
{
    return class == ENTRA_RETRY || class == ENTRA_PENDING ? TOKENS_LATER : TOKENS_STOPPED;
}

static void write_names(struct buffer *reply, const struct subject *subject)
{
    attr_write(reply, TOKENS_REGISTRATION, subject->path);
    if (subject->account != NULL)
        attr_write(reply, TOKENS_ACCOUNT, subject->account);
}

static void send_failure(struct client *client, const char *tag, const struct subject *subject)
{
    struct buffer reply = {0};
    begin_reply(&reply, tag, result_of(subject->class));
    attr_write(&reply, TOKENS_CAUSE, subject->row->name);
    attr_write(&reply, TOKENS_REASON, subject->reason);
    write_number(&reply, TOKENS_UNTIL, stock_shown(renewal_next(&subject->renewal)));
    write_names(&reply, subject);
    send_reply(client, &reply);
}

static void send_token(struct client *client, const char *tag, const struct subject *subject,
                       bool with_token)
{
    struct buffer reply = {0}, end = {0};
    begin_reply(&reply, tag, TOKENS_DONE);
    attr_write(&reply, TOKENS_ID, subject->id);
    write_number(&reply, TOKENS_LEFT, renewal_left(&subject->renewal, stock_now()));
    write_names(&reply, subject);
    if (with_token)
        buffer_append_string(&reply, TOKENS_TOKEN "=");
    buffer_append_string(&end, with_token ? "\n\n" : "\n");
    client_send(client, &reply, with_token ? subject->token : NULL, &end);
    buffer_free(&reply);
    buffer_free(&end);
}

/* --- what is known of a subject ---------------------------------------------- */

static const char *state_name(const struct subject *subject)
{
    static const char *const names[] = {
        [RENEWAL_EMPTY] = "empty",     [RENEWAL_ASKING] = "asking",
        [RENEWAL_FRESH] = "fresh",     [RENEWAL_RENEWING] = "renewing",
        [RENEWAL_WAITING] = "waiting", [RENEWAL_STOPPED] = "stopped"};
    return names[renewal_state(&subject->renewal, stock_now())];
}

/* What the files have is not what is in use. */
static void write_complaint(struct buffer *reply, const struct app *app)
{
    char text[TOKENS_REASON_MAX + 1];
    const char *reason;
    const struct entra_row *row = app->proof != NULL ? proof_complaint(app->proof, &reason) : NULL;
    if (row == NULL)
        return;
    snprintf(text, sizeof(text), "%s", reason);
    attr_write(reply, TOKENS_CREDENTIAL_CAUSE, row->name);
    attr_write(reply, TOKENS_CREDENTIAL_REASON, text);
}

static void write_registration(struct buffer *reply, const struct app *app)
{
    const struct registration *registration = app->registration;
    bool is_known = registration != NULL;
    attr_write(reply, TOKENS_GRANT, is_known ? registration_grant_name(registration) : "app");
    attr_write(reply, TOKENS_CREDENTIAL,
               is_known ? registration_credential_name(registration) : "none");
    attr_write(reply, TOKENS_TENANT, is_known ? registration->tenant : "");
    attr_write(reply, TOKENS_CLIENT_ID, is_known ? registration->client_id : "");
    attr_write(reply, TOKENS_CLOUD, is_known ? registration->cloud->name : "");
    if (app->proof != NULL && proof_ends(app->proof) != 0)
        write_number(reply, TOKENS_CREDENTIAL_ENDS, proof_ends(app->proof));
    write_complaint(reply, app);
    if (app->has_skew)
        write_number(reply, TOKENS_SKEW, app->skew);
}

static void write_token(struct buffer *reply, const struct subject *subject)
{
    const struct renewal *renewal = &subject->renewal;
    int64_t now = stock_now(), due = renewal_due(renewal, now);
    if (renewal_is_good(renewal, now)) {
        write_number(reply, TOKENS_LEFT, renewal_left(renewal, now));
        attr_write(reply, TOKENS_ID, subject->id);
        write_number(reply, TOKENS_ISSUED, stock_shown(renewal->got_at));
    }
    if (renewal->got_at != 0)
        write_number(reply, TOKENS_RENEWED, stock_shown(renewal->got_at));
    if (due != RENEWAL_NEVER)
        write_number(reply, TOKENS_NEXT, stock_shown(due > now ? due : now));
    if (subject->has_claims)
        attr_write(reply, TOKENS_MODEL, claims_model_name(subject->claims.model));
}

static void write_trouble(struct buffer *reply, const struct subject *subject)
{
    if (subject->row == NULL)
        return;
    attr_write(reply, TOKENS_CAUSE, subject->row->name);
    attr_write(reply, TOKENS_REASON, subject->reason);
    write_number(reply, TOKENS_FAILED_SINCE, stock_shown(subject->renewal.failed_since));
    write_number(reply, TOKENS_FAILURES, subject->renewal.failures);
}

static void write_use(struct buffer *reply, struct subject *subject)
{
    if (subject->grant_since != 0)
        write_number(reply, TOKENS_GRANT_SINCE, subject->grant_since);
    write_number(reply, TOKENS_REQUESTS, (int64_t)subject->requests);
    write_number(reply, TOKENS_REQUESTS_REFUSED, (int64_t)subject->refused);
    write_number(reply, TOKENS_ACCOUNTS, subject_accounts(subject));
    if (subject->acceptance.last[0] == '\0')
        return;
    attr_write(reply, TOKENS_ACCEPTED_FOR, subject->acceptance.last);
    write_number(reply, TOKENS_ACCEPTED_AT, stock_shown(subject->acceptance.last_at));
}

static void write_subject(struct buffer *reply, struct subject *subject)
{
    write_names(reply, subject);
    attr_write(reply, TOKENS_STATE, state_name(subject));
    write_registration(reply, subject->app);
    write_token(reply, subject);
    write_trouble(reply, subject);
    write_use(reply, subject);
}

static void write_claims(struct buffer *reply, const struct subject *subject)
{
    const struct claims *claims = &subject->claims;
    if (!subject->has_claims)
        return;
    write_text(reply, TOKENS_CLAIM "aud", claims->audience);
    write_text(reply, TOKENS_CLAIM "tid", claims->tenant);
    write_text(reply, TOKENS_CLAIM "app", claims->app);
    write_text(reply, TOKENS_CLAIM "roles", claims->roles);
    write_text(reply, TOKENS_CLAIM "scp", claims->scopes);
    write_text(reply, TOKENS_CLAIM "user", claims->user);
    write_text(reply, TOKENS_CLAIM "oid", claims->object_id);
    if (claims->ends != 0)
        write_number(reply, TOKENS_CLAIM "exp", claims->ends);
}

/* --- visitors and errands ---------------------------------------------------- */

static struct visitor *visitor_of(struct desk *desk, struct client *client)
{
    struct visitor *visitor = client_state(client);
    if (visitor != NULL)
        return visitor;
    visitor = memory_zero(1, sizeof(*visitor));
    visitor->desk = desk;
    visitor->client = client;
    visitor->next = desk->first;
    if (visitor->next != NULL)
        visitor->next->previous = visitor;
    desk->first = visitor;
    client_set_state(client, visitor);
    return visitor;
}

static void wake_errand(struct subject_waiter *waiter);

static struct errand *new_errand(struct visitor *visitor, const struct question *question)
{
    struct errand *errand = memory_zero(1, sizeof(*errand));
    errand->visitor = visitor;
    errand->kind = question->kind;
    memcpy(errand->tag, question->tag, sizeof(errand->tag));
    errand->account = memory_copy(question->account);
    errand->path = memory_copy(question->registration);
    errand->waiter.wake = wake_errand;
    errand->next = visitor->first;
    if (errand->next != NULL)
        errand->next->previous = errand;
    visitor->first = errand;
    visitor->errands++;
    return errand;
}

static void end_errand(struct errand *errand)
{
    struct visitor *visitor = errand->visitor;
    subject_stop_waiting(&errand->waiter);
    device_cancel(errand->device);
    inspect_cancel(errand->inspection);
    if (errand->kind == KIND_LOGIN)
        visitor->desk->logins--;
    *(errand->previous != NULL ? &errand->previous->next : &visitor->first) = errand->next;
    if (errand->next != NULL)
        errand->next->previous = errand->previous;
    visitor->errands--;
    free(errand->account);
    free(errand->path);
    free(errand->user);
    free(errand);
}

static void leave(void *context, struct client *client)
{
    struct desk *desk = context;
    struct visitor *visitor = client_state(client);
    if (visitor == NULL)
        return;
    /* clang's analyzer does not see that an errand leaves the list before it is released. */
    while (visitor->first != NULL)
        end_errand(visitor->first); // NOLINT(clang-analyzer-unix.Malloc)
    *(visitor->previous != NULL ? &visitor->previous->next : &desk->first) = visitor->next;
    if (visitor->next != NULL)
        visitor->next->previous = visitor->previous;
    free(visitor);
}

/* --- token and renew --------------------------------------------------------- */

/* The account's subject; NULL after the reply that there is none. Whoever may only look makes none
 * by asking: of those that an account may have, there are so many. */
static struct subject *find_subject(struct desk *desk, struct client *client, const char *tag,
                                    const char *account)
{
    struct subject *subject = NULL;
    struct error error;
    bool may_make = client_right(client) == CLIENT_ALL;
    enum table_answer answer =
        (may_make ? stock_find : stock_look)(desk->stock, account, &subject, &error);
    if (answer != TABLE_FOUND)
        send_reason(client, tag, answer == TABLE_NONE ? TOKENS_NONE : TOKENS_ERROR, error.text);
    return subject;
}

/* The same where an account or else a registration is named. */
static struct subject *find_named(struct desk *desk, struct client *client, const char *tag,
                                  const char *account, const char *path)
{
    if (account[0] != '\0')
        return find_subject(desk, client, tag, account);
    struct subject *subject = NULL;
    const struct app *app = stock_app(desk->stock, path);
    subject = app != NULL ? stock_subject(app, NULL) : NULL;
    if (app == NULL)
        send_reason(client, tag, TOKENS_NONE, "post365_oauth2_maps names no such registration");
    else if (subject == NULL)
        send_reason(client, tag, TOKENS_ERROR,
                    "each account has a grant of its own there: name the account");
    return subject;
}

static void do_token(struct desk *desk, struct client *client, const struct question *question)
{
    struct subject *subject = find_subject(desk, client, question->tag, question->account);
    if (subject == NULL)
        return;
    struct visitor *visitor = visitor_of(desk, client);
    switch (subject_ask(subject, question->account)) {
    case SUBJECT_TOKEN:
        send_token(client, question->tag, subject, true);
        subject_give(subject, question->account);
        break;
    case SUBJECT_FAILED:
        send_failure(client, question->tag, subject);
        break;
    case SUBJECT_WAIT:
        if (visitor->errands >= ERRANDS_MAX)
            send_reason(client, question->tag, TOKENS_ERROR, "too many requests are under way");
        else
            subject_wait(subject, &new_errand(visitor, question)->waiter);
    }
}

/* An attempt has ended, or the subject is gone. Whoever wanted a token asks once more. */
static void answer_token(struct errand *errand)
{
    struct question question = {.kind = KIND_TOKEN};
    struct client *client = errand->visitor->client;
    struct desk *desk = errand->visitor->desk;
    memcpy(question.tag, errand->tag, sizeof(question.tag));
    strcpy(question.account, errand->account);
    end_errand(errand);
    do_token(desk, client, &question);
}

static void answer_renewal(struct errand *errand)
{
    struct client *client = errand->visitor->client;
    struct subject *subject =
        find_named(errand->visitor->desk, client, errand->tag, errand->account, errand->path);
    if (subject != NULL && subject->row != NULL)
        send_failure(client, errand->tag, subject);
    else if (subject != NULL && subject->token != NULL)
        send_token(client, errand->tag, subject, false);
    else if (subject != NULL)
        send_reason(client, errand->tag, TOKENS_ERROR, "there is no token yet");
    end_errand(errand);
}

static void do_renew(struct desk *desk, struct client *client, const struct question *question)
{
    struct subject *subject =
        find_named(desk, client, question->tag, question->account, question->registration);
    if (subject == NULL)
        return;
    bool is_pending = subject_renew(subject);
    struct errand *errand = new_errand(visitor_of(desk, client), question);
    if (is_pending)
        subject_wait(subject, &errand->waiter);
    else
        answer_renewal(errand);
}

static void do_verdict(struct desk *desk, struct client *client, const struct question *question)
{
    struct subject *subject = NULL;
    struct buffer reply = {0};
    struct error error;
    bool again = stock_find(desk->stock, question->account, &subject, &error) == TABLE_FOUND &&
                 subject_judge(subject, question->account, question->id,
                               question->has_reply ? question->reply : NULL);
    begin_reply(&reply, question->tag, TOKENS_DONE);
    attr_write(&reply, TOKENS_AGAIN, again ? "1" : "0");
    send_reply(client, &reply);
}

/* --- looking ----------------------------------------------------------------- */

static void do_status(struct desk *desk, struct client *client, const struct question *question)
{
    struct buffer reply = {0};
    struct subject *subject =
        find_named(desk, client, question->tag, question->account, question->registration);
    if (subject == NULL)
        return;
    begin_reply(&reply, question->tag, TOKENS_DONE);
    write_subject(&reply, subject);
    write_claims(&reply, subject);
    send_reply(client, &reply);
}

struct page {
    const char *after;
    const char *paths[TOKENS_LIST_MAX + 1]; /* the first ones behind `after`, sorted */
    size_t count;
};

static void add_to_page(void *context, const char *path, void *app)
{
    struct page *page = context;
    (void)app;
    size_t place = page->count;
    if (strcmp(path, page->after) <= 0)
        return;
    while (place > 0 && strcmp(page->paths[place - 1], path) > 0)
        place--;
    if (place > TOKENS_LIST_MAX)
        return;
    size_t kept = page->count < TOKENS_LIST_MAX ? page->count : TOKENS_LIST_MAX;
    memmove(page->paths + place + 1, page->paths + place,
            (kept - (place < kept ? place : kept)) * sizeof(page->paths[0]));
    page->paths[place] = path;
    page->count = kept + 1;
}

static void do_list(struct desk *desk, struct client *client, const struct question *question)
{
    struct buffer reply = {0};
    struct page page = {.after = question->after};
    dictionary_each(desk->stock->apps, add_to_page, &page);
    begin_reply(&reply, question->tag, TOKENS_DONE);
    for (size_t i = 0; i < page.count && i < TOKENS_LIST_MAX; i++)
        attr_write(&reply, TOKENS_REGISTRATION, page.paths[i]);
    if (page.count > TOKENS_LIST_MAX)
        attr_write(&reply, TOKENS_AFTER, page.paths[TOKENS_LIST_MAX - 1]);
    send_reply(client, &reply);
}

/* --- watching ---------------------------------------------------------------- */

static void tell_news(struct visitor *visitor, struct subject *subject)
{
    struct buffer reply = {0};
    begin_reply(&reply, visitor->watch_tag, subject->is_gone ? TOKENS_GONE : TOKENS_SUBJECT);
    if (subject->is_gone)
        write_names(&reply, subject);
    else
        write_subject(&reply, subject);
    send_reply(visitor->client, &reply);
}

/* What has changed since it was told last, the oldest change first, as far as it reads. */
static void tell_visitor(struct visitor *visitor)
{
    struct subject *subject = visitor->desk->stock->changed_last;
    if (!visitor->watches || subject == NULL)
        return;
    while (subject->changed_previous != NULL && subject->changed_previous->version > visitor->told)
        subject = subject->changed_previous;
    for (; subject != NULL && client_has_room(visitor->client); subject = subject->changed_next) {
        if (subject->version <= visitor->told)
            continue;
        tell_news(visitor, subject);
        visitor->told = subject->version;
    }
}

static void tell_all(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    const struct desk *desk = argument;
    for (struct visitor *visitor = desk->first; visitor != NULL; visitor = visitor->next)
        tell_visitor(visitor);
}

static void notice_change(void *context)
{
    struct desk *desk = context;
    event_active(desk->news, EV_TIMEOUT, 0);
}

/* What is gone is kept until everybody has heard of it. */
static uint64_t oldest_told(void *context)
{
    const struct desk *desk = context;
    uint64_t oldest = UINT64_MAX;
    for (const struct visitor *visitor = desk->first; visitor != NULL; visitor = visitor->next)
        if (visitor->watches && visitor->told < oldest)
            oldest = visitor->told;
    return oldest;
}

static void drain(void *context, struct client *client)
{
    struct visitor *visitor = client_state(client);
    struct errand *next;
    (void)context;
    if (visitor == NULL)
        return;
    for (struct errand *errand = visitor->first; errand != NULL && client_has_room(client);
         errand = next) {
        next = errand->next;
        if (errand->is_ready)
            answer_token(errand);
    }
    tell_visitor(visitor);
}

static void do_watch(struct desk *desk, struct client *client, const struct question *question)
{
    struct visitor *visitor = visitor_of(desk, client);
    struct buffer reply = {0};
    if (visitor->watches) {
        send_reason(client, question->tag, TOKENS_ERROR, "this connection watches already");
        return;
    }
    begin_reply(&reply, question->tag, TOKENS_DONE);
    send_reply(client, &reply);
    visitor->watches = true;
    memcpy(visitor->watch_tag, question->tag, sizeof(visitor->watch_tag));
    tell_visitor(visitor);
}

/* --- check ------------------------------------------------------------------- */

static void answer_check(void *context, const struct buffer *steps)
{
    struct errand *errand = context;
    struct buffer reply = {0};
    errand->inspection = NULL;
    begin_reply(&reply, errand->tag, TOKENS_DONE);
    buffer_append(&reply, steps->data, steps->length);
    send_reply(errand->visitor->client, &reply);
    end_errand(errand);
}

static void do_check(struct desk *desk, struct client *client, const struct question *question)
{
    if (stock_app(desk->stock, question->registration) == NULL) {
        send_reason(client, question->tag, TOKENS_NONE,
                    "post365_oauth2_maps names no such registration");
        return;
    }
    struct errand *errand = new_errand(visitor_of(desk, client), question);
    errand->inspection =
        inspect_begin(desk->base, desk->fetcher, question->registration, answer_check, errand);
}

/* --- login and logout -------------------------------------------------------- */

static void tell_code(void *context, const char *user_code, const char *uri, int64_t expires)
{
    const struct errand *errand = context;
    struct buffer reply = {0};
    begin_reply(&reply, errand->tag, TOKENS_CODE);
    attr_write(&reply, TOKENS_USER_CODE, user_code);
    attr_write(&reply, TOKENS_VERIFICATION_URI, uri);
    write_number(&reply, TOKENS_EXPIRES, expires);
    send_reply(errand->visitor->client, &reply);
}

static void tell_waiting(void *context, int64_t expires)
{
    const struct errand *errand = context;
    struct buffer reply = {0};
    begin_reply(&reply, errand->tag, TOKENS_WAITING);
    write_number(&reply, TOKENS_EXPIRES, expires);
    send_reply(errand->visitor->client, &reply);
}

static void send_cause(struct errand *errand, const struct entra_row *row, enum entra_class class,
                       const char *reason)
{
    struct buffer reply = {0};
    begin_reply(&reply, errand->tag, result_of(class));
    attr_write(&reply, TOKENS_CAUSE, row->name);
    attr_write(&reply, TOKENS_REASON, reason);
    send_reply(errand->visitor->client, &reply);
    end_errand(errand);
}

static void tell_failed(void *context, const struct entra_row *row, enum entra_class class,
                        const char *reason)
{
    struct errand *errand = context;
    struct subject *subject = NULL;
    struct error error;
    errand->device = NULL;
    if (row == entra_named(ENTRA_GRANT_OF_ANOTHER) &&
        stock_find(errand->visitor->desk->stock, errand->account, &subject, &error) == TABLE_FOUND)
        subject_note_stranger(subject, reason);
    send_cause(errand, row, class, reason);
}

/* The grant was used once, or could not be. */
static void answer_login(struct errand *errand)
{
    struct subject *subject = NULL;
    struct error error;
    struct buffer reply = {0};
    struct client *client = errand->visitor->client;
    if (stock_find(errand->visitor->desk->stock, errand->account, &subject, &error) !=
        TABLE_FOUND) {
        send_reason(client, errand->tag, TOKENS_ERROR, error.text);
        end_errand(errand);
    } else if (subject->row != NULL) {
        send_cause(errand, subject->row, subject->class, subject->reason);
    } else {
        begin_reply(&reply, errand->tag, TOKENS_DONE);
        attr_write(&reply, TOKENS_USER, errand->user);
        attr_write(&reply, TOKENS_REGISTRATION, errand->path);
        send_reply(client, &reply);
        end_errand(errand);
    }
}

static void tell_stored(void *context, const char *user)
{
    struct errand *errand = context;
    struct subject *subject = NULL;
    struct error error;
    errand->device = NULL;
    errand->user = memory_copy(user);
    struct stock *stock = errand->visitor->desk->stock;
    if (stock_find(stock, errand->account, &subject, &error) != TABLE_FOUND) {
        answer_login(errand);
        return;
    }
    subject_forget(subject);
    renewal_set_need(&subject->renewal, RENEWAL_DAILY);
    if (subject_ask(subject, errand->account) == SUBJECT_WAIT)
        subject_wait(subject, &errand->waiter);
    else
        answer_login(errand);
}

static const struct device_handler login_handler = {
    .code = tell_code, .waiting = tell_waiting, .stored = tell_stored, .failed = tell_failed};

static const char nobody_logs_in[] = "nobody logs in for it, since its registration has no "
                                     "`grant = user`";

static bool is_logging_in(const struct desk *desk, const char *account)
{
    for (const struct visitor *visitor = desk->first; visitor != NULL; visitor = visitor->next)
        for (const struct errand *errand = visitor->first; errand != NULL; errand = errand->next)
            if (errand->kind == KIND_LOGIN && strcmp(errand->account, account) == 0)
                return true;
    return false;
}

static void do_login(struct desk *desk, struct client *client, const struct question *question)
{
    struct subject *subject = find_subject(desk, client, question->tag, question->account);
    if (subject == NULL)
        return;
    if (subject->app->registration != NULL && !app_is_users(subject->app)) {
        send_reason(client, question->tag, TOKENS_NONE, nobody_logs_in);
        return;
    }
    if (desk->logins >= LOGINS_MAX || is_logging_in(desk, question->account)) {
        send_reason(client, question->tag, TOKENS_ERROR,
                    desk->logins >= LOGINS_MAX ? "too many logins are under way"
                                               : "a login of this account is under way");
        return;
    }
    const struct device_parts parts = {
        .base = desk->base, .fetcher = desk->fetcher, .vault = desk->vault};
    struct errand *errand = new_errand(visitor_of(desk, client), question);
    free(errand->path);
    errand->path = memory_copy(subject->path);
    desk->logins++;
    errand->device = device_begin(&parts, errand->path, errand->account, &login_handler, errand);
}

static void do_logout(struct desk *desk, struct client *client, const struct question *question)
{
    struct buffer reply = {0};
    struct error error;
    bool was_there = false;
    struct subject *subject = find_subject(desk, client, question->tag, question->account);
    if (subject == NULL)
        return;
    if (subject->account == NULL) {
        send_reason(client, question->tag, TOKENS_NONE, nobody_logs_in);
        return;
    }
    subject_forget(subject);
    const struct vault_key key = vault_key_of(subject->app->registration, question->account);
    if (!vault_remove(desk->vault, &key, &was_there, &error)) {
        send_reason(client, question->tag, TOKENS_ERROR, error.text);
        return;
    }
    if (was_there)
        log_info("registration %s, account %s: logged out; the grant is deleted", subject->path,
                 subject->account);
    begin_reply(&reply, question->tag, was_there ? TOKENS_DONE : TOKENS_NONE);
    if (!was_there)
        attr_write(&reply, TOKENS_REASON, "nobody has logged in for it");
    send_reply(client, &reply);
}

static void wake_errand(struct subject_waiter *waiter)
{
    struct errand *errand =
        (struct errand *)(void *)((char *)waiter - offsetof(struct errand, waiter));
    if (errand->kind == KIND_TOKEN && !client_has_room(errand->visitor->client))
        errand->is_ready = true;
    else if (errand->kind == KIND_TOKEN)
        answer_token(errand);
    else if (errand->kind == KIND_LOGIN)
        answer_login(errand);
    else
        answer_renewal(errand);
}

/* --- requests ---------------------------------------------------------------- */

static bool take_text(const struct attr *attr, char *text, size_t size)
{
    if (attr->value_length >= size)
        return false;
    attr_text(attr->value, attr->value_length, text, size);
    return true;
}

static void take_account(const struct attr *attr, struct question *question)
{
    char given[ADDRESS_MAX + 1];
    if (!take_text(attr, given, sizeof(given)) || !address_is_upn(given)) {
        question->mistake = "the account is no address";
        return;
    }
    char *folded = address_fold(given);
    if (strlen(folded) <= ADDRESS_MAX)
        strcpy(question->account, folded);
    free(folded);
}

static enum kind kind_of(const struct attr *attr)
{
    for (enum kind kind = KIND_UNKNOWN + 1; kind < KINDS; kind++)
        if (attr_has_value(attr, kinds[kind].name))
            return kind;
    return KIND_UNKNOWN;
}

static void take_attribute(const struct attr *attr, struct question *question)
{
    bool fits = true;
    if (attr_is(attr, TOKENS_REQUEST)) {
        question->kind = kind_of(attr);
    } else if (attr_is(attr, TOKENS_TAG)) {
        fits = take_text(attr, question->tag, sizeof(question->tag));
    } else if (attr_is(attr, TOKENS_ACCOUNT)) {
        take_account(attr, question);
    } else if (attr_is(attr, TOKENS_REGISTRATION)) {
        fits = take_text(attr, question->registration, sizeof(question->registration));
    } else if (attr_is(attr, TOKENS_ID)) {
        fits = take_text(attr, question->id, sizeof(question->id));
    } else if (attr_is(attr, TOKENS_REPLY)) {
        question->has_reply = true;
        attr_text(attr->value, attr->value_length, question->reply, sizeof(question->reply));
    } else if (attr_is(attr, TOKENS_AFTER)) {
        fits = take_text(attr, question->after, sizeof(question->after));
    }
    if (!fits)
        question->mistake = "an attribute is too long";
}

static const char *find_mistake(const struct question *question)
{
    enum kind kind = question->kind;
    bool has_account = question->account[0] != '\0';
    bool has_registration = question->registration[0] == '/';
    if (kind == KIND_UNKNOWN)
        return "unknown request";
    if (question->mistake != NULL)
        return question->mistake;
    if (kinds[kind].needs_account && !has_account)
        return "no account is named";
    if (kinds[kind].needs_registration && !has_registration)
        return "no registration is named by its path";
    if (kinds[kind].needs_either && !has_account && !has_registration)
        return "neither an account nor a registration is named";
    return NULL;
}

static void answer_question(struct desk *desk, struct client *client,
                            const struct question *question)
{
    static void (*const acts[KINDS])(struct desk *, struct client *, const struct question *) = {
        [KIND_TOKEN] = do_token, [KIND_VERDICT] = do_verdict, [KIND_WATCH] = do_watch,
        [KIND_LIST] = do_list,   [KIND_STATUS] = do_status,   [KIND_RENEW] = do_renew,
        [KIND_CHECK] = do_check, [KIND_LOGIN] = do_login,     [KIND_LOGOUT] = do_logout};
    acts[question->kind](desk, client, question);
}

static void ask(void *context, struct client *client, const char *request, size_t length)
{
    struct desk *desk = context;
    struct question question = {0};
    struct attr attr;
    size_t position = 0;
    while (attr_next(request, length, &position, &attr))
        take_attribute(&attr, &question);
    const char *mistake = find_mistake(&question);
    enum client_right right = client_right(client);
    const struct visitor *visitor = client_state(client);
    if (right == CLIENT_NOTHING || (right == CLIENT_LOOKS && !kinds[question.kind].is_look))
        send_reason(client, question.tag, TOKENS_REFUSED,
                    "only root and post365_user may ask for that");
    else if (mistake != NULL)
        send_reason(client, question.tag, TOKENS_ERROR, mistake);
    else if (visitor != NULL && visitor->errands >= ERRANDS_MAX)
        send_reason(client, question.tag, TOKENS_ERROR, "too many requests are under way");
    else
        answer_question(desk, client, &question);
}

/* --- beginning and ending ---------------------------------------------------- */

struct desk *desk_new(struct event_base *base, struct stock *stock, struct fetcher *fetcher,
                      struct vault *vault)
{
    struct desk *desk = memory_zero(1, sizeof(*desk));
    desk->base = base;
    desk->stock = stock;
    desk->fetcher = fetcher;
    desk->vault = vault;
    desk->news = event_new(base, -1, 0, tell_all, desk);
    if (desk->news == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    stock->on_change = notice_change;
    stock->oldest_told = oldest_told;
    stock->context = desk;
    return desk;
}

void desk_free(struct desk *desk)
{
    if (desk == NULL)
        return;
    desk->stock->on_change = NULL;
    desk->stock->oldest_told = NULL;
    event_free(desk->news);
    free(desk);
}

struct clients_handler desk_handler(struct desk *desk)
{
    return (struct clients_handler){.asked = ask, .drained = drain, .left = leave, .context = desk};
}
