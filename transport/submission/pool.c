/* pool.c - the connections of each account
 *
 * Each account that has a connection or a request is in a list; there are as many as there are
 * accounts in use. What can be done for an account is done by serve(), from the event loop.
 */
#include "transport/submission/pool.h"

#include "common/clock.h"
#include "common/entra/cloud.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/upstream/asking.h"
#include "transport/submission/judging.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

/* So long a token is waited for, which tokend may have to ask Microsoft for. Postfix waits longer.
 */
#define TOKEN_PATIENCE (60 * CLOCK_SECOND)

struct lane;

enum line_state {
    LINE_WAITING, /* for the credential */
    LINE_OPENING,
    LINE_JUDGED, /* its login was refused: tokend says whether another token is worth a try */
    LINE_IDLE,
    LINE_BUSY,
};

/* A connection and what the pool knows about it. */
struct line {
    struct line *next;
    struct lane *lane;
    struct submission *submission; /* NULL: LINE_WAITING, LINE_JUDGED */
    enum line_state state;
    bool was_used, is_stalled;
    bool is_outdated;           /* opened by settings that are no longer in force */
    int64_t opened, idle_since; /* microseconds of the monotonic clock */
    int64_t ends;               /* likewise: it takes no message any more; INT64_MAX: never */
    struct event *idle_timer;
    struct asking *asking;              /* LINE_WAITING */
    char *registration;                 /* of the token that it logs in with, or NULL */
    char token_id[TOKEN_ID_LENGTH + 1]; /* of that token, else "" */
    struct judging *judging;            /* LINE_JUDGED */
    bool was_judged;                    /* there is no third login */
};

struct pool_request {
    struct pool_request *next;
    struct lane *lane;
    const struct pool_handler *handler;
    void *context;
    bool wants_fresh;
};

/* An account in use. */
struct lane {
    struct lane *next;
    struct pool *pool;
    struct line *lines;
    size_t line_count, limit;
    size_t spares; /* as many as may stall and not count; beyond the first each was earned */
    bool is_spare_refused;
    struct pool_request *first, **last; /* who waits */
    struct event *serve;
    char account[];
};

struct pool {
    const struct submission_parts *parts;
    struct asking_parts asking;
    struct credentials *credentials;
    struct pool_limits limits;
    struct lane *lanes;
    struct pool_counts counts;
    bool is_ending;
};

static int64_t monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct event *new_event(struct pool *pool, event_callback_fn callback, void *context)
{
    struct event *event = event_new(pool->parts->base, -1, 0, callback, context);
    if (event == NULL)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    return event;
}

/* --- lanes --------------------------------------------------------------------- */

static void serve(evutil_socket_t descriptor, short what, void *argument);

static struct lane *find_lane(const struct pool *pool, const char *account)
{
    struct lane *lane = pool->lanes;
    while (lane != NULL && strcmp(lane->account, account) != 0)
        lane = lane->next;
    return lane;
}

static struct lane *add_lane(struct pool *pool, const char *account)
{
    size_t length = strlen(account);
    struct lane *lane = memory_zero(1, sizeof(*lane) + length + 1);
    memcpy(lane->account, account, length + 1);
    lane->pool = pool;
    lane->last = &lane->first;
    lane->spares = 1;
    lane->serve = new_event(pool, serve, lane);
    lane->next = pool->lanes;
    pool->lanes = lane;
    return lane;
}

static void remove_lane(struct lane *lane)
{
    struct lane **link = &lane->pool->lanes;
    while (*link != lane)
        link = &(*link)->next;
    *link = lane->next;
    event_free(lane->serve);
    free(lane);
}

static void want_service(struct lane *lane)
{
    event_active(lane->serve, 0, 0);
}

/* --- lines --------------------------------------------------------------------- */

static void opened(void *context);
static void closed(void *context, const struct submission_end *end);

static const struct submission_handler line_handler = {.opened = opened, .closed = closed};

static void close_idle(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct line *line = argument;
    submission_close(line->submission);
}

static void become_idle(struct line *line)
{
    const int64_t wait = line->lane->pool->limits.idle;
    const struct timeval timeout = {.tv_sec = wait / 1000000, .tv_usec = wait % 1000000};
    line->state = LINE_IDLE;
    line->idle_since = monotonic();
    event_add(line->idle_timer, &timeout);
    want_service(line->lane);
}

static struct judging_login login_of(const struct line *line)
{
    const struct pool *pool = line->lane->pool;
    return (struct judging_login){.base = pool->parts->base,
                                  .channel = pool->asking.channel,
                                  .account = line->lane->account,
                                  .token_id = line->token_id};
}

static void opened(void *context)
{
    struct line *line = context;
    struct pool_counts *counts = &line->lane->pool->counts;
    counts->opened++;
    counts->resumed += submission_is_resumed(line->submission);
    line->opened = monotonic();
    if (line->token_id[0] != '\0') {
        const struct judging_login login = login_of(line);
        judging_tell_accepted(&login);
    }
    become_idle(line);
}

static void remove_line(struct line *line)
{
    struct lane *lane = line->lane;
    struct line **link = &lane->lines;
    while (*link != line)
        link = &(*link)->next;
    *link = line->next;
    lane->line_count--;
    asking_cancel(line->asking);
    judging_cancel(line->judging);
    event_free(line->idle_timer);
    free(line->registration);
    free(line);
}

static struct pool_request *pop_request(struct lane *lane)
{
    struct pool_request *request = lane->first;
    lane->first = request->next;
    if (lane->first == NULL)
        lane->last = &lane->first;
    return request;
}

/* All who wait: the next try would say the same. */
static void refuse_all(struct lane *lane, const struct submission_end *end)
{
    while (lane->first != NULL) {
        struct pool_request *request = pop_request(lane);
        request->handler->refused(request->context, end);
        free(request);
    }
}

static enum pool_failure failure_of(const struct submission_end *end)
{
    if (end->stage == REPLY_STAGE_AUTH)
        return end->reply != NULL ? POOL_LOGIN_REFUSED : POOL_NOT_LOGGED_IN;
    return end->stage == REPLY_STAGE_STARTTLS ? POOL_NOT_SECURE : POOL_NOT_CONNECTED;
}

/* The line could not be opened, and is no more. */
static void give_up(struct line *line, const struct submission_end *end)
{
    struct lane *lane = line->lane;
    char *registration = line->registration;
    line->registration = NULL;
    remove_line(line);
    refuse_all(lane, end);
    want_service(lane);
    free(registration);
}

static void ask_credential(struct line *line);

static void judged(void *context, bool again, const struct submission_end *end)
{
    struct line *line = context;
    bool was_judged = line->was_judged;
    line->judging = NULL;
    line->was_judged = true;
    if (again && !was_judged)
        ask_credential(line);
    else
        give_up(line, end);
}

/* The login was refused, and the connection is gone. Whoever gave the token may have a better one.
 */
static bool is_judged(struct line *line, const struct submission_end *end)
{
    if (line->token_id[0] == '\0' || end->stage != REPLY_STAGE_AUTH || end->reply == NULL)
        return false;
    const struct judging_login login = login_of(line);
    line->judging = judging_begin(&login, end, judged, line);
    if (line->judging == NULL)
        return false;
    line->submission = NULL;
    line->state = LINE_JUDGED;
    return true;
}

static void closed(void *context, const struct submission_end *end)
{
    struct line *line = context;
    struct lane *lane = line->lane;
    bool was_opening = line->state == LINE_OPENING;
    if (!lane->pool->is_ending && was_opening && end != NULL) {
        struct submission_end told = *end;
        told.registration = line->registration;
        lane->pool->counts.failed[failure_of(end)]++;
        if (!is_judged(line, &told))
            give_up(line, &told);
        return;
    }
    remove_line(line);
    if (!lane->pool->is_ending)
        want_service(lane);
}

/* A session that outlives its token is ended by the servers of High Volume Email alone. */
static int64_t end_of(const struct credential *credential)
{
    bool is_bounded =
        credential->token_id[0] != '\0' && cloud_is_high_volume(credential->destination.host);
    return is_bounded ? monotonic() + credential->token_left : INT64_MAX;
}

static void credential_told(void *context, struct credential *credential,
                            const struct asking_failure *failure)
{
    struct line *line = context;
    struct pool *pool = line->lane->pool;
    line->asking = NULL;
    if (failure != NULL) {
        const struct submission_end end = {.stage = REPLY_STAGE_AUTH,
                                           .text = failure->text,
                                           .token_cause = failure->cause,
                                           .is_stopped = failure->is_stopped,
                                           .until = failure->until,
                                           .registration = failure->registration};
        if (failure->cause != NULL)
            pool->counts.failed[POOL_NO_TOKEN]++;
        give_up(line, &end);
        return;
    }
    line->state = LINE_OPENING;
    line->ends = end_of(credential);
    free(line->registration);
    line->registration =
        credential->registration != NULL ? memory_copy(credential->registration) : NULL;
    memcpy(line->token_id, credential->token_id, sizeof(line->token_id));
    line->submission = submission_open(pool->parts, credential, &line_handler, line);
}

/* What is at hand is told before this returns, and the line may be gone then. */
static void ask_credential(struct line *line)
{
    const struct pool *pool = line->lane->pool;
    line->state = LINE_WAITING;
    asking_begin(&pool->asking, pool->credentials, line->lane->account, credential_told, line,
                 &line->asking);
}

static void open_line(struct lane *lane)
{
    struct line *line = memory_zero(1, sizeof(*line));
    line->lane = lane;
    line->idle_timer = new_event(lane->pool, close_idle, line);
    line->next = lane->lines;
    lane->lines = line;
    lane->line_count++;
    ask_credential(line);
}

/* --- serving ------------------------------------------------------------------- */

static bool is_old(const struct line *line)
{
    int64_t now = monotonic();
    return line->is_outdated || now - line->opened >= line->lane->pool->limits.age ||
           now >= line->ends;
}

/* The idle line that was used last: the others may then become old enough to be closed. */
static struct line *best_idle(const struct lane *lane, bool fresh)
{
    struct line *best = NULL;
    for (struct line *line = lane->lines; line != NULL; line = line->next)
        if (line->state == LINE_IDLE && submission_is_idle(line->submission) &&
            !(fresh && line->was_used) && !is_old(line) &&
            (best == NULL || line->idle_since > best->idle_since))
            best = line;
    return best;
}

static size_t count_lines(const struct lane *lane, enum line_state state)
{
    size_t count = 0;
    for (const struct line *line = lane->lines; line != NULL; line = line->next)
        count += line->state == state;
    return count;
}

/* Up to the login. */
static size_t count_openings(const struct lane *lane)
{
    return count_lines(lane, LINE_WAITING) + count_lines(lane, LINE_OPENING) +
           count_lines(lane, LINE_JUDGED);
}

static size_t count_stalled(const struct lane *lane)
{
    size_t stalled = 0;
    for (const struct line *line = lane->lines; line != NULL; line = line->next)
        stalled += line->state == LINE_BUSY && line->is_stalled;
    return stalled;
}

/* Where all that may be there stall, some of them are not counted. */
static size_t count_lines_that_count(const struct lane *lane)
{
    size_t stalled = count_stalled(lane);
    if (lane->is_spare_refused || stalled < lane->limit)
        return lane->line_count;
    return lane->line_count - (stalled < lane->spares ? stalled : lane->spares);
}

/* A message has got through over a connection too many: another one may, too. */
static void earn_spare(struct lane *lane)
{
    if (count_stalled(lane) >= lane->limit && lane->spares < lane->limit)
        lane->spares++;
}

static void forget_spares(struct lane *lane)
{
    lane->is_spare_refused = false;
    lane->spares = 1;
}

/* How many may be opened at the same time. */
static size_t openings_at_once(const struct lane *lane)
{
    bool is_logged_in = count_openings(lane) < lane->line_count;
    return is_logged_in ? lane->limit : 1;
}

static size_t count_requests(const struct lane *lane)
{
    size_t count = 0;
    for (const struct pool_request *request = lane->first; request != NULL; request = request->next)
        count++;
    return count;
}

static void grant(struct lane *lane, struct line *line)
{
    struct pool_request *request = pop_request(lane);
    bool is_fresh = !line->was_used;
    event_del(line->idle_timer);
    line->state = LINE_BUSY;
    line->is_stalled = false;
    line->was_used = true;
    request->handler->granted(request->context, line->submission, is_fresh);
    free(request);
}

/* Idle ones that nobody may use make room. */
static void close_useless(struct lane *lane)
{
    struct line *next;
    for (struct line *line = lane->lines; line != NULL; line = next) {
        next = line->next;
        if (line->state == LINE_IDLE &&
            (is_old(line) || (lane->first != NULL && lane->first->wants_fresh && line->was_used)))
            submission_close(line->submission);
    }
}

static bool may_be_busy(const struct lane *lane)
{
    size_t idle = count_lines(lane, LINE_IDLE) + count_openings(lane);
    return count_lines_that_count(lane) - idle < lane->limit;
}

static void serve(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct lane *lane = argument;
    struct line *line;
    while (lane->first != NULL && may_be_busy(lane) &&
           (line = best_idle(lane, lane->first->wants_fresh)) != NULL)
        grant(lane, line);
    close_useless(lane);
    size_t wanted = count_requests(lane);
    size_t opening = count_openings(lane);
    for (; opening < wanted && opening < openings_at_once(lane) &&
           count_lines_that_count(lane) < lane->limit && lane->first != NULL;
         opening++)
        open_line(lane);
    if (lane->first == NULL && lane->lines == NULL)
        remove_lane(lane);
}

/* --- asking -------------------------------------------------------------------- */

struct pool_request *pool_take(struct pool *pool, const char *account, size_t limit,
                               bool wants_fresh, const struct pool_handler *handler, void *context)
{
    struct lane *lane = find_lane(pool, account);
    if (lane == NULL)
        lane = add_lane(pool, account);
    struct pool_request *request = memory_zero(1, sizeof(*request));
    *request = (struct pool_request){
        .lane = lane, .handler = handler, .context = context, .wants_fresh = wants_fresh};
    lane->limit = limit > 0 ? limit : 1;
    *lane->last = request;
    lane->last = &request->next;
    want_service(lane);
    return request;
}

void pool_cancel(struct pool_request *request)
{
    struct lane *lane = request->lane;
    struct pool_request **link = &lane->first;
    while (*link != request)
        link = &(*link)->next;
    *link = request->next;
    if (lane->last == &request->next)
        lane->last = link;
    free(request);
    want_service(lane);
}

static struct line *line_of(const struct pool *pool, const struct submission *submission)
{
    for (const struct lane *lane = pool->lanes; lane != NULL; lane = lane->next)
        for (struct line *line = lane->lines; line != NULL; line = line->next)
            if (line->submission == submission)
                return line;
    return NULL;
}

void pool_put(struct pool *pool, struct submission *submission)
{
    struct line *line = line_of(pool, submission);
    if (line == NULL || !submission_is_idle(submission))
        return;
    earn_spare(line->lane);
    become_idle(line);
}

void pool_note_stalled(struct pool *pool, struct submission *submission, bool is_stalled)
{
    struct line *line = line_of(pool, submission);
    if (line == NULL || line->is_stalled == is_stalled)
        return;
    line->is_stalled = is_stalled;
    if (count_stalled(line->lane) == 0)
        forget_spares(line->lane);
    want_service(line->lane);
}

bool pool_refuse_spare(struct pool *pool, const char *account)
{
    struct lane *lane = find_lane(pool, account);
    if (lane == NULL || count_stalled(lane) == 0)
        return false;
    lane->is_spare_refused = true;
    return true;
}

void pool_shrink(struct pool *pool, const char *account)
{
    struct lane *lane = find_lane(pool, account);
    struct line *next;
    for (struct line *line = lane != NULL ? lane->lines : NULL; line != NULL; line = next) {
        next = line->next;
        if (line->state == LINE_IDLE)
            submission_close(line->submission);
    }
}

const struct pool_counts *pool_counts(const struct pool *pool)
{
    return &pool->counts;
}

size_t pool_count(const struct pool *pool, const char *account)
{
    size_t count = 0;
    for (const struct lane *lane = pool->lanes; lane != NULL; lane = lane->next)
        if (account == NULL || strcmp(lane->account, account) == 0)
            count += lane->line_count;
    return count;
}

void pool_each(const struct pool *pool, void (*visit)(void *context, const struct pool_use *use),
               void *context)
{
    for (const struct lane *lane = pool->lanes; lane != NULL; lane = lane->next) {
        const struct pool_use use = {.account = lane->account,
                                     .connections = lane->line_count,
                                     .limit = lane->limit,
                                     .waiting = count_requests(lane)};
        visit(context, &use);
    }
}

/* --- life ---------------------------------------------------------------------- */

struct pool *pool_new(const struct submission_parts *parts, struct credentials *credentials,
                      struct token_channel *tokens, const struct pool_limits *limits)
{
    struct pool *pool = memory_zero(1, sizeof(*pool));
    pool->parts = parts;
    pool->asking =
        (struct asking_parts){.base = parts->base, .channel = tokens, .patience = TOKEN_PATIENCE};
    pool->credentials = credentials;
    pool->limits = *limits;
    return pool;
}

void pool_configure(struct pool *pool, struct credentials *credentials)
{
    pool->credentials = credentials;
    pool_renew(pool);
}

void pool_renew(struct pool *pool)
{
    for (struct lane *lane = pool->lanes; lane != NULL; lane = lane->next) {
        for (struct line *line = lane->lines; line != NULL; line = line->next)
            line->is_outdated = true;
        want_service(lane);
    }
}

static void free_lane(struct lane *lane)
{
    while (lane->first != NULL)
        free(pop_request(lane));
    struct line *next;
    for (struct line *line = lane->lines; line != NULL; line = next) {
        next = line->next;
        if (line->submission != NULL)
            submission_drop(line->submission);
        else
            remove_line(line);
    }
    remove_lane(lane);
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    pool->is_ending = true;
    while (pool->lanes != NULL)
        free_lane(pool->lanes);
    free(pool);
}
