/* test_ledger_model.c - random schedules of everything a ledger can do, against an exact log
 *
 * A schedule moves the clock, asks, reserves, waits, settles, pauses, fails, restarts; every answer
 * is compared with ledger_model's. One that fails prints its seed and all of its steps.
 *
 *   POST365_TEST_SEED=N            replays one
 *   POST365_TEST_SCHEDULES=20000   for more of them; prints how often what happened
 */
#include "common/memory.h"
#include "policyd/ledger/ledger.h"
#include "policyd/ledger/timescale.h"
#include "tests/unit/hand_clock.h"
#include "tests/unit/ledger_model.h"
#include "tests/unit/store_memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND CLOCK_SECOND
#define DAY    (86400 * SECOND)
#define START  (INT64_C(1700000000) * SECOND)

#define SCHEDULES 2000
#define STEPS     250
#define OWNERS    5
#define QUOTAS    2
#define ANSWERS   MODEL_OPEN
#define TICKETS   2000
/* A time that a person waits for: promises within it are tried. */
#define PATIENCE (600 * SECOND)

/* --- what happened ----------------------------------------------------------- */

/* Each must happen in the course of the schedules, lest the test stop testing. */
#define SITUATIONS(X)                                                                              \
    X(granted)                                                                                     \
    X(counted)                                                                                     \
    X(later_for_the_quota)                                                                         \
    X(later_for_the_order)                                                                         \
    X(later_for_a_pause)                                                                           \
    X(later_while_probed)                                                                          \
    X(later_until_resumed)                                                                         \
    X(never)                                                                                       \
    X(never_while_others_wait)                                                                     \
    X(never_while_paused)                                                                          \
    X(wait_granted_at_once)                                                                        \
    X(wait_refused)                                                                                \
    X(wait_refused_by_a_microsecond)                                                               \
    X(waiting)                                                                                     \
    X(waiting_for_a_pause)                                                                         \
    X(waiting_behind_others)                                                                       \
    X(twelve_waiting)                                                                              \
    X(waiting_with_two_quotas)                                                                     \
    X(waited_and_granted)                                                                          \
    X(waited_and_granted_when_due)                                                                 \
    X(waited_and_granted_after_a_release)                                                          \
    X(waited_and_granted_as_probe)                                                                 \
    X(several_granted_at_once)                                                                     \
    X(waited_and_late)                                                                             \
    X(waited_and_late_by_a_pause)                                                                  \
    X(late_before_another_is_granted)                                                              \
    X(settled)                                                                                     \
    X(settled_in_part)                                                                             \
    X(settled_with_nobody)                                                                         \
    X(settled_in_the_batch_it_was_granted_in)                                                      \
    X(released)                                                                                    \
    X(released_probe)                                                                              \
    X(given_in_vain)                                                                               \
    X(abandoned_reservations)                                                                      \
    X(abandoned_waiters)                                                                           \
    X(abandoned_in_vain)                                                                           \
    X(paused_by_hand)                                                                              \
    X(paused_without_end)                                                                          \
    X(paused_growing)                                                                              \
    X(paused_again_at_once)                                                                        \
    X(paused_after_a_failed_probe)                                                                 \
    X(paused_for_the_longest)                                                                      \
    X(paused_with_a_long_cause)                                                                    \
    X(paused_with_waiters)                                                                         \
    X(a_row_of_seventy_failures)                                                                   \
    X(success_after_failures)                                                                      \
    X(settled_while_paused)                                                                        \
    X(resumed)                                                                                     \
    X(resumed_in_vain)                                                                             \
    X(committed)                                                                                   \
    X(failed_commit)                                                                               \
    X(failed_with_a_granted_waiter)                                                                \
    X(failed_with_a_late_waiter)                                                                   \
    X(failed_with_a_new_waiter)                                                                    \
    X(failed_with_a_pause)                                                                         \
    X(failed_with_a_success)                                                                       \
    X(failed_and_due_at_once)                                                                      \
    X(nothing_to_commit)                                                                           \
    X(restarted)                                                                                   \
    X(crashed)                                                                                     \
    X(restarted_with_reservations)                                                                 \
    X(restarted_with_waiters)                                                                      \
    X(restarted_while_paused)                                                                      \
    X(restarted_while_probed)                                                                      \
    X(restarted_after_the_clock_was_set_back)                                                      \
    X(rebooted)                                                                                    \
    X(rebooted_and_settled)                                                                        \
    X(rebooted_with_a_clock_that_was_ahead)                                                        \
    X(rebooted_with_a_clock_that_was_behind)                                                       \
    X(slept)                                                                                       \
    X(wall_clock_set_forward)                                                                      \
    X(wall_clock_set_back)                                                                         \
    X(jumped_forward)                                                                              \
    X(jumped_back)                                                                                 \
    X(jumped_back_by_days)                                                                         \
    X(jumped_back_with_waiters)                                                                    \
    X(clock_moved_in_a_batch)                                                                      \
    X(changed_quota)                                                                               \
    X(changed_rules)                                                                               \
    X(changed_rules_with_waiters)                                                                  \
    X(tidied)                                                                                      \
    X(tidied_in_a_batch)                                                                           \
    X(forgot_what_is_too_old)                                                                      \
    X(promise_kept)                                                                                \
    X(promise_kept_behind_others)                                                                  \
    X(promise_kept_to_a_waiter)                                                                    \
    X(promise_kept_after_a_pause)                                                                  \
    X(followed_due)                                                                                \
    X(peak_checked)

enum situation {
#define SITUATION_NUMBER(name) SITUATION_##name,
    SITUATIONS(SITUATION_NUMBER) SITUATION_COUNT
};

static const char *const situation_names[] = {
#define SITUATION_NAME(name) #name,
    SITUATIONS(SITUATION_NAME)};

static unsigned long happened[SITUATION_COUNT];

#define HAPPENED(name)          (happened[SITUATION_##name]++)
#define HAPPENED_IF(name, when) (happened[SITUATION_##name] += (when) ? 1 : 0)

/* --- a schedule -------------------------------------------------------------- */

struct owner {
    struct ledger_owner owner;
    bool is_gone; /* abandoned in this batch */
};

struct answered {
    int ticket;
    struct ledger_answer answer;
    char cause[STORE_CAUSE_MAX + 1];
};

/* What a batch did that a failed commit is interesting for. */
struct deeds {
    bool changes;   /* there may be something to write */
    bool must_fail; /* there is something to write */
    bool granted_waiter, late_waiter, new_waiter, pause, success;
};

struct schedule {
    uint64_t seed, random;
    unsigned step;
    struct hand_clock clock; /* the ledger's, as it should be */
    /* With a time of its own: what the system's clocks show is made of that. */
    bool has_timescale, sees_wrong_clock;
    struct timescale timescale;
    int64_t boot_base,
        wall_error; /* the ledger's time without boottime, the wall clock beyond it */
    unsigned boot;
    int64_t kept_time, unseen_step, pending_step;
    struct store *store;
    struct ledger *ledger;
    struct ledger_rules rules;
    struct quota quotas[QUOTAS];
    bool jumps_back, jumps_forward, changes_quota, changes_rules, pauses, waits, fails;
    bool has_failed; /* a commit */
    bool is_crowded; /* one account, many who wait long */
    int64_t truth;   /* a clock that is never set */
    bool was_set_back;
    bool in_batch;
    bool must_sync; /* when the batch has ended */
    struct deeds deeds;
    struct owner owners[OWNERS];
    char tickets[TICKETS]; /* their addresses are the contexts of waiters */
    int ticket_accounts[TICKETS];
    int ticket_count;
    struct answered answered[ANSWERS]; /* by the last ledger_serve() */
    size_t answered_count;
    char *log;
    size_t log_length, log_room;
    struct model model, before;
};

static uint64_t random_below(struct schedule *schedule, uint64_t limit)
{
    schedule->random ^= schedule->random << 13; /* xorshift64 */
    schedule->random ^= schedule->random >> 7;
    schedule->random ^= schedule->random << 17;
    return schedule->random % limit;
}

static bool one_in(struct schedule *schedule, uint64_t chances)
{
    return random_below(schedule, chances) == 0;
}

__attribute__((format(printf, 2, 3))) static void say(struct schedule *schedule, const char *format,
                                                      ...)
{
    va_list arguments;
    if (schedule->log_room - schedule->log_length < 1024) {
        schedule->log_room = schedule->log_room * 2 + 4096;
        schedule->log = memory_grow(schedule->log, schedule->log_room);
    }
    va_start(arguments, format);
    int length = vsnprintf(schedule->log + schedule->log_length, 1024, format, arguments);
    va_end(arguments);
    schedule->log_length += length < 1024 ? (size_t)length : 1023;
}

/* The ledger warns of what it finds at a restart. */
static int saved_stderr = -1;

static void silence(void)
{
    int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(nothing >= 0 && saved_stderr >= 0);
    dup2(nothing, STDERR_FILENO);
    close(nothing);
}

static void speak(void)
{
    fflush(stderr);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
}

__attribute__((format(printf, 2, 3), noreturn)) static void
fail_schedule(const struct schedule *schedule, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "%.*s\n", (int)schedule->log_length, schedule->log);
    fail_msg("POST365_TEST_SEED=%" PRIu64 ", step %u: %s", schedule->seed, schedule->step, text);
    abort();
}

#define CHECK(schedule, condition, ...)                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_schedule(schedule, __VA_ARGS__);                                                  \
    } while (0)

/* A time in the log: seconds since the start of the schedule. */
struct shown {
    char text[40];
};

static struct shown show(int64_t time)
{
    struct shown shown;
    if (time == INT64_MAX)
        snprintf(shown.text, sizeof(shown.text), "never");
    else
        snprintf(shown.text, sizeof(shown.text), "%.6f", (double)(time - START) / (double)SECOND);
    return shown;
}

#define SHOW(time) (show(time).text)

static const char *name_of(int account)
{
    static const char *const names[MODEL_ACCOUNTS] = {"a@contoso.com", "b@contoso.com",
                                                      "c@contoso.com"};
    return names[account];
}

static int choose_account(struct schedule *schedule)
{
    return schedule->is_crowded || one_in(schedule, 2)
               ? 0
               : (int)random_below(schedule, MODEL_ACCOUNTS);
}

static void choose_quota(struct schedule *schedule, struct quota *quota)
{
    quota->recipients.limit = (uint32_t)random_below(schedule, 40) + 5;
    quota->recipients.period = (int64_t)(random_below(schedule, 20) + 1) * SECOND;
    quota->messages.limit = (uint32_t)random_below(schedule, 10) + 1;
    quota->messages.period = (int64_t)(random_below(schedule, 20) + 1) * SECOND;
    if (one_in(schedule, 8))
        quota->messages.limit = QUOTA_UNLIMITED;
    if (one_in(schedule, 16))
        quota->recipients.limit = QUOTA_UNLIMITED;
}

static void say_quotas(struct schedule *schedule)
{
    for (int i = 0; i < QUOTAS; i++) {
        char recipients[64], messages[64];
        say(schedule, "  quota %d: recipients=%s messages=%s\n", i,
            quota_format_rate(&schedule->quotas[i].recipients, recipients, sizeof(recipients)),
            quota_format_rate(&schedule->quotas[i].messages, messages, sizeof(messages)));
    }
}

static void choose_quotas(struct schedule *schedule)
{
    for (int i = 0; i < QUOTAS; i++)
        choose_quota(schedule, &schedule->quotas[i]);
    if (!schedule->changes_quota)
        schedule->quotas[1] = schedule->quotas[0];
    say_quotas(schedule);
}

static struct model_request choose_request(struct schedule *schedule)
{
    return (struct model_request){
        choose_account(schedule),
        &schedule->quotas[random_below(schedule, QUOTAS)],
        {(uint32_t)random_below(schedule, one_in(schedule, 10) ? 45 : 12) + 1,
         (uint32_t)random_below(schedule, one_in(schedule, 10) ? 10 : 3)}};
}

static struct ledger_request real_request(const struct model_request *request)
{
    return (struct ledger_request){name_of(request->account), request->quota, request->wanted[0],
                                   request->wanted[1]};
}

/* An owner that is there, or MODEL_NOBODY. */
static int choose_owner(struct schedule *schedule)
{
    int owner = (int)random_below(schedule, OWNERS);
    return schedule->owners[owner].is_gone ? MODEL_NOBODY : owner;
}

/* --- comparing --------------------------------------------------------------- */

static const char *verdict_name(enum ledger_verdict verdict)
{
    static const char *const names[] = {"GRANTED", "WAITING", "LATER", "NEVER"};
    return names[verdict];
}

static const char *obstacle_name(enum ledger_obstacle obstacle)
{
    static const char *const names[] = {"QUOTA", "PAUSE", "ORDER"};
    return names[obstacle];
}

static void say_answer(struct schedule *schedule, const struct ledger_answer *got)
{
    say(schedule, " -> %s", verdict_name(got->verdict));
    if (got->verdict == LEDGER_GRANTED)
        say(schedule, " id %" PRIu64, got->id);
    if (got->verdict == LEDGER_WAITING || got->verdict == LEDGER_LATER)
        say(schedule, " at %s for %s", SHOW(got->earliest), obstacle_name(got->obstacle));
    say(schedule, "\n");
}

/* What the model would have said, when the ledger said something else. */
static void say_expected(struct schedule *schedule, const struct model_answer *want)
{
    say(schedule, "  want: %s at %s for%s%s%s, window%s%s, used %u and %u\n",
        verdict_name(want->verdict), SHOW(want->earliest),
        want->obstacle[LEDGER_QUOTA] ? " QUOTA" : "", want->obstacle[LEDGER_PAUSE] ? " PAUSE" : "",
        want->obstacle[LEDGER_ORDER] ? " ORDER" : "", want->measure[0] ? " recipients" : "",
        want->measure[1] ? " messages" : "", want->used[0], want->used[1]);
}

static void compare_window(struct schedule *schedule, const struct quota *quota,
                           const struct ledger_answer *got, const struct model_answer *want)
{
    const struct quota_rate *rate =
        got->measure == LEDGER_RECIPIENTS ? &quota->recipients : &quota->messages;
    CHECK(schedule, want->measure[got->measure], "window %d does not refuse", got->measure);
    CHECK(schedule, got->used == want->used[got->measure], "used is %u", got->used);
    CHECK(schedule, got->rate.limit == rate->limit && got->rate.period == rate->period,
          "this is not the rate that refuses");
}

static void compare(struct schedule *schedule, const struct quota *quota,
                    const struct ledger_answer *got, const struct model_answer *want,
                    const char *cause)
{
    size_t length = schedule->log_length;
    say_expected(schedule, want);
    CHECK(schedule, got->verdict == want->verdict, "verdict %s", verdict_name(got->verdict));
    CHECK(schedule, got->now == schedule->model.now, "decided at %s, the batch is at %s",
          SHOW(got->now), SHOW(schedule->model.now));
    if (got->verdict == LEDGER_NEVER)
        compare_window(schedule, quota, got, want);
    if (got->verdict == LEDGER_LATER || got->verdict == LEDGER_WAITING) {
        CHECK(schedule, got->earliest == want->earliest, "earliest %s", SHOW(got->earliest));
        CHECK(schedule,
              want->obstacle[got->obstacle] ||
                  (!want->obstacle[0] && !want->obstacle[1] && !want->obstacle[2]),
              "the obstacle is not %s", obstacle_name(got->obstacle));
        if (got->obstacle == LEDGER_QUOTA && want->obstacle[LEDGER_QUOTA])
            compare_window(schedule, quota, got, want);
        if (got->obstacle == LEDGER_PAUSE)
            CHECK(schedule,
                  cause != NULL && strcmp(cause, schedule->model.pauses[want->account].cause) == 0,
                  "cause '%s' instead of '%s'", cause != NULL ? cause : "",
                  schedule->model.pauses[want->account].cause);
    }
    schedule->log_length = length;
}

static void note_refusal(const struct schedule *schedule, const struct ledger_answer *got,
                         int account)
{
    const struct model *model = &schedule->model;
    struct ledger_pause_state state;
    bool is_paused = model_pause_of(model, account, &state) && state.is_paused;
    if (got->verdict == LEDGER_NEVER) {
        HAPPENED(never);
        HAPPENED_IF(never_while_others_wait, model_waiting(model, account) > 0);
        HAPPENED_IF(never_while_paused, is_paused);
    }
    if (got->verdict != LEDGER_LATER)
        return;
    HAPPENED_IF(later_for_the_quota, got->obstacle == LEDGER_QUOTA);
    HAPPENED_IF(later_for_the_order, got->obstacle == LEDGER_ORDER);
    HAPPENED_IF(later_for_a_pause, got->obstacle == LEDGER_PAUSE && is_paused);
    HAPPENED_IF(later_while_probed, got->obstacle == LEDGER_PAUSE && !is_paused);
    HAPPENED_IF(later_until_resumed, got->earliest == INT64_MAX);
}

static void check_use(struct schedule *schedule, int account, const struct quota *quota)
{
    const struct quota_rate *rates[] = {&quota->recipients, &quota->messages};
    struct ledger_use use;
    ledger_use(schedule->ledger, name_of(account), quota, &use);
    model_mind(&schedule->model, account, quota);
    CHECK(schedule, use.now == schedule->model.now, "use is at %s", SHOW(use.now));
    for (int i = 0; i < 2; i++) {
        uint32_t used = model_used(&schedule->model, account, i, rates[i]->period);
        uint32_t reserved = model_reserved(&schedule->model, account, i);
        CHECK(schedule, rates[i]->limit == QUOTA_UNLIMITED || use.used[i] == used,
              "%s has used %u of window %d instead of %u", name_of(account), use.used[i], i, used);
        CHECK(schedule, use.reserved[i] == reserved, "%s has reserved %u instead of %u",
              name_of(account), use.reserved[i], reserved);
    }
    CHECK(schedule, use.waiting == model_waiting(&schedule->model, account), "%zu wait for %s",
          use.waiting, name_of(account));
}

static void check_pause(struct schedule *schedule, int account)
{
    struct ledger_pause_state got = {.is_paused = false}, want;
    bool has = ledger_pause_of(schedule->ledger, name_of(account), &got);
    bool should = model_pause_of(&schedule->model, account, &want);
    CHECK(schedule, has == should, "%s is %spaused or probed", name_of(account), has ? "" : "not ");
    if (!has)
        return;
    CHECK(schedule, got.is_paused == want.is_paused && got.is_probing == want.is_probing,
          "%s is paused: %d, probed: %d", name_of(account), got.is_paused, got.is_probing);
    CHECK(schedule,
          got.since == want.since && got.until == want.until && got.failures == want.failures,
          "%s is paused from %s to %s after %u failures instead of %s, %s, %u", name_of(account),
          SHOW(got.since), SHOW(got.until), got.failures, SHOW(want.since), SHOW(want.until),
          want.failures);
    CHECK(schedule, got.cause != NULL && strcmp(got.cause, want.cause) == 0,
          "cause '%s' instead of '%s'", got.cause != NULL ? got.cause : "(none)", want.cause);
}

/* Whom the ledger's lists still name. In a batch it may still name who has left. */
static void check_owners(struct schedule *schedule)
{
    const struct model *model = &schedule->model;
    for (int i = 0; i < OWNERS; i++) {
        bool owns = ledger_owns_any(&schedule->owners[i].owner);
        CHECK(schedule, owns == model_owns_any(model, i), "owner %d owns %s", i,
              owns ? "something" : "nothing");
    }
    for (size_t i = 0; i < model->reservation_count; i++) {
        const struct model_reservation *one = &model->reservations[i];
        for (int j = 0; j < OWNERS; j++)
            CHECK(schedule,
                  ledger_owns(schedule->ledger, &schedule->owners[j].owner, one->id) ==
                      (one->owner == j),
                  "reservation %" PRIu64 " does not belong to owner %d alone", one->id, one->owner);
    }
    size_t count = ledger_reservation_count(schedule->ledger);
    CHECK(schedule, count == model->reservation_count, "%zu reservations instead of %zu", count,
          model->reservation_count);
}

/* Everybody who could have been answered has been. */
static void check_due(struct schedule *schedule, bool was_served)
{
    bool exact;
    int64_t due = ledger_due(schedule->ledger);
    int64_t want = model_due(&schedule->model, &exact);
    size_t waiters = ledger_waiter_count(schedule->ledger);
    CHECK(schedule, waiters == schedule->model.waiter_count, "%zu wait instead of %zu", waiters,
          schedule->model.waiter_count);
    CHECK(schedule, waiters > 0 || due == INT64_MAX, "nobody waits, and it is due at %s",
          SHOW(due));
    CHECK(schedule, due <= want, "it is due at %s, too late: something changes at %s", SHOW(due),
          SHOW(want));
    if (!was_served)
        return;
    CHECK(schedule, due > schedule->model.now, "it is still due");
    CHECK(schedule, !exact || due == want, "it is due at %s, but nothing changes before %s",
          SHOW(due), SHOW(want));
}

/* --- batches ----------------------------------------------------------------- */

static void synchronize(struct schedule *schedule, bool after_restart);

static void begin_batch(struct schedule *schedule)
{
    if (schedule->in_batch)
        return;
    if (!model_is_certain(&schedule->model, schedule->quotas, QUOTAS, schedule->clock.now))
        synchronize(schedule, false);
    if (schedule->has_timescale)
        CHECK(schedule, clock_now(&schedule->timescale.clock) == schedule->clock.now,
              "the ledger's time is %s", SHOW(clock_now(&schedule->timescale.clock)));
    schedule->in_batch = true;
    schedule->deeds = (struct deeds){.changes = false};
    model_begin(&schedule->model, schedule->clock.now, schedule->truth);
    model_copy(&schedule->before, &schedule->model);
    say(schedule, "at %s\n", SHOW(schedule->clock.now));
}

/* Who is calling ledger_serve(); the contexts are those of waiters. */
static struct schedule *serving;

static void take_answer(void *context, const struct ledger_answer *answer)
{
    struct schedule *schedule = serving;
    CHECK(schedule, schedule != NULL, "somebody was answered outside ledger_serve()");
    CHECK(schedule, schedule->answered_count < ANSWERS, "too many answers");
    struct answered *answered = &schedule->answered[schedule->answered_count++];
    answered->ticket = (int)((char *)context - schedule->tickets);
    answered->answer = *answer;
    snprintf(answered->cause, sizeof(answered->cause), "%s",
             answer->verdict == LEDGER_LATER && answer->obstacle == LEDGER_PAUSE &&
                     answer->cause != NULL
                 ? answer->cause
                 : "");
}

static const struct answered *find_answered(const struct schedule *schedule, int ticket)
{
    const struct answered *found = NULL;
    for (size_t i = 0; i < schedule->answered_count; i++)
        if (schedule->answered[i].ticket == ticket) {
            CHECK(schedule, found == NULL, "waiter %d was answered twice", ticket);
            found = &schedule->answered[i];
        }
    return found;
}

static const struct model_waiter *find_waiter(const struct model *model, int ticket)
{
    for (size_t i = 0; i < model->waiter_count; i++)
        if (model->waiters[i].ticket == ticket)
            return &model->waiters[i];
    abort();
}

/* Compares one answer to a waiter; `before` knows who he was. */
static void compare_answered(struct schedule *schedule, const struct model *before,
                             const struct model_answer *want)
{
    const struct model_waiter *waiter = find_waiter(before, want->ticket);
    const struct answered *got = find_answered(schedule, want->ticket);
    if (got == NULL) {
        say_expected(schedule, want);
        fail_schedule(schedule, "waiter %d was not answered", want->ticket);
    }
    say(schedule, "  waiter %d", want->ticket);
    say_answer(schedule, &got->answer);
    compare(schedule, &waiter->quota, &got->answer, want, got->cause);
    if (want->verdict == LEDGER_LATER) {
        schedule->deeds.late_waiter = true;
        HAPPENED(waited_and_late);
        HAPPENED_IF(waited_and_late_by_a_pause, waiter->deadline > before->now);
        return;
    }
    schedule->deeds.granted_waiter = schedule->deeds.changes = true;
    HAPPENED(waited_and_granted);
    HAPPENED_IF(waited_and_granted_as_probe, model_is_probing(before, want->account));
    model_identify(&schedule->model, want->ticket, got->answer.id);
    CHECK(schedule,
          ledger_owns(schedule->ledger, &schedule->owners[waiter->owner].owner, got->answer.id),
          "owner %d did not get reservation %" PRIu64, waiter->owner, got->answer.id);
}

static void serve(struct schedule *schedule)
{
    static struct model before;
    static struct model_answer want[ANSWERS];
    model_copy(&before, &schedule->model);
    schedule->answered_count = 0;
    serving = schedule;
    ledger_serve(schedule->ledger);
    serving = NULL;
    size_t count = model_serve(&schedule->model, want, ANSWERS);
    if (schedule->answered_count > 0 || count > 0)
        say(schedule, "serve\n");
    unsigned granted = 0;
    bool late[MODEL_ACCOUNTS] = {false};
    for (size_t i = 0; i < count; i++) {
        compare_answered(schedule, &before, &want[i]);
        granted += want[i].verdict == LEDGER_GRANTED;
        HAPPENED_IF(late_before_another_is_granted,
                    want[i].verdict == LEDGER_GRANTED && late[want[i].account]);
        late[want[i].account] = late[want[i].account] || want[i].verdict == LEDGER_LATER;
    }
    HAPPENED_IF(several_granted_at_once, granted > 1);
    for (size_t i = 0; i < schedule->answered_count; i++) {
        bool wanted = false;
        for (size_t j = 0; j < count; j++)
            wanted = wanted || want[j].ticket == schedule->answered[i].ticket;
        if (!wanted) {
            say(schedule, "  waiter %d", schedule->answered[i].ticket);
            say_answer(schedule, &schedule->answered[i].answer);
            fail_schedule(schedule, "waiter %d was answered", schedule->answered[i].ticket);
        }
    }
    check_due(schedule, true);
}

static void note_failure(const struct schedule *schedule)
{
    const struct deeds *deeds = &schedule->deeds;
    HAPPENED(failed_commit);
    HAPPENED_IF(failed_with_a_granted_waiter, deeds->granted_waiter);
    HAPPENED_IF(failed_with_a_late_waiter, deeds->late_waiter);
    HAPPENED_IF(failed_with_a_new_waiter, deeds->new_waiter);
    HAPPENED_IF(failed_with_a_pause, deeds->pause);
    HAPPENED_IF(failed_with_a_success, deeds->success);
}

/* Returns whether it was committed. */
static bool end_batch(struct schedule *schedule, bool may_fail)
{
    if (!schedule->in_batch)
        return true;
    serve(schedule);
    bool fails = may_fail && schedule->fails && one_in(schedule, 6);
    struct error error = {""};
    if (fails)
        store_memory_fail_writes(schedule->store, 1);
    size_t writes = store_memory_writes(schedule->store);
    bool done = ledger_commit(schedule->ledger, &error);
    store_memory_fail_writes(schedule->store, 0);
    say(schedule, "commit%s\n", done ? "" : " fails");
    bool changes = schedule->deeds.changes || model_looks_further(&schedule->model) ||
                   schedule->has_failed; /* what failed is written with the next that may be */
    CHECK(schedule, done || (fails && changes), "commit: %s", error.text);
    CHECK(schedule, changes || store_memory_writes(schedule->store) == writes,
          "something was written for nothing");
    schedule->has_failed = schedule->has_failed || !done;
    CHECK(schedule, !done || !fails || !schedule->deeds.must_fail,
          "something was committed without being written");
    if (done) {
        HAPPENED(committed);
        HAPPENED_IF(nothing_to_commit, !schedule->deeds.changes);
        model_commit(&schedule->model);
    } else {
        note_failure(schedule);
        model_undo(&schedule->model, &schedule->before);
        bool exact;
        HAPPENED_IF(failed_and_due_at_once,
                    model_due(&schedule->model, &exact) <= schedule->model.now);
    }
    schedule->in_batch = false;
    for (int i = 0; i < OWNERS; i++)
        schedule->owners[i].is_gone = false;
    check_owners(schedule);
    check_due(schedule, done);
    if (schedule->must_sync) {
        int64_t clock = schedule->clock.now; /* which may have moved in the batch */
        schedule->clock.now = schedule->model.now;
        synchronize(schedule, false);
        schedule->clock.now = clock;
        if (clock < schedule->model.now)
            synchronize(schedule, false);
    }
    return done;
}

/*
 * Has all accounts notice the time and the quotas, and takes over what the ledger has kept of
 * events that it might have forgotten, and where a restart has put those that a clock was set back
 * behind. Everything else must be as the model has it.
 */
static void synchronize(struct schedule *schedule, bool after_restart)
{
    schedule->must_sync = false;
    model_begin(&schedule->model, schedule->clock.now, schedule->truth);
    say(schedule, "at %s all accounts are looked at\n", SHOW(schedule->clock.now));
    for (int account = 0; account < MODEL_ACCOUNTS; account++)
        for (int i = 0; i < QUOTAS; i++) {
            struct ledger_answer answer;
            const struct ledger_request request = {name_of(account), &schedule->quotas[i], 1, 1};
            struct model_answer ignored;
            ledger_ask(schedule->ledger, &request, &answer);
            model_judge(&schedule->model,
                        &(struct model_request){account, &schedule->quotas[i], {1, 1}}, &ignored);
        }
    for (int account = 0; account < MODEL_ACCOUNTS; account++) {
        struct ledger_slot slots[MODEL_EVENTS];
        struct model_slot sent[MODEL_EVENTS];
        int64_t from = 0;
        size_t count = 0;
        while (from != INT64_MAX && count < MODEL_EVENTS)
            count += ledger_history(schedule->ledger, name_of(account), &from, 1, slots + count,
                                    MODEL_EVENTS - count);
        for (size_t i = 0; i < count; i++)
            sent[i] = (struct model_slot){ledger_meant(schedule->ledger, slots[i].begin),
                                          {slots[i].sent[0], slots[i].sent[1]}};
        const char *wrong = model_adopt(&schedule->model, account, sent, count, after_restart);
        if (wrong != NULL) {
            for (size_t i = 0; i < count; i++)
                say(schedule, "  %s has sent %u to %u at %s\n", name_of(account), sent[i].sent[1],
                    sent[i].sent[0], SHOW(sent[i].time));
            fail_schedule(schedule, "%s: %s", name_of(account), wrong);
        }
    }
    for (size_t i = 0; i < schedule->model.event_count; i++)
        HAPPENED_IF(forgot_what_is_too_old, schedule->model.events[i].is_lost);
    for (int account = 0; account < MODEL_ACCOUNTS; account++) {
        struct ledger_pause_state state;
        if (after_restart && ledger_pause_of(schedule->ledger, name_of(account), &state))
            model_adopt_pause(&schedule->model, account, state.since);
        check_pause(schedule, account);
        for (int i = 0; i < QUOTAS; i++)
            check_use(schedule, account, &schedule->quotas[i]);
    }
    schedule->in_batch = true;
    schedule->deeds = (struct deeds){.changes = false};
    model_copy(&schedule->before, &schedule->model);
    end_batch(schedule, false);
}

/* --- asking and sending ------------------------------------------------------ */

enum way { ASK, RESERVE, COUNT };

/* Asks both, or takes from both, and compares their answers. */
static struct ledger_answer try_both(struct schedule *schedule, const struct model_request *request,
                                     enum way way, int owner)
{
    static const char *const words[] = {"ask", "reserve", "count"};
    const struct ledger_request real = real_request(request);
    struct ledger_answer got;
    struct model_answer want;
    begin_batch(schedule);
    struct deeds *deeds = &schedule->deeds;
    bool was_probing = model_is_probing(&schedule->model, request->account);
    say(schedule, "%s %s quota %d, %u recipients, %u messages, owner %d", words[way],
        name_of(request->account), (int)(request->quota - schedule->quotas), request->wanted[0],
        request->wanted[1], owner);
    if (way == ASK)
        ledger_ask(schedule->ledger, &real, &got);
    else if (way == RESERVE)
        ledger_reserve(schedule->ledger, &real, &got);
    else
        ledger_count(schedule->ledger, &real, &got);
    say_answer(schedule, &got);
    model_judge(&schedule->model, request, &want);
    compare(schedule, request->quota, &got, &want, got.cause);
    note_refusal(schedule, &got, request->account);
    if (way == ASK || got.verdict != LEDGER_GRANTED)
        return got;
    deeds->changes = true;
    if (way == COUNT) {
        HAPPENED(counted);
        HAPPENED_IF(success_after_failures, was_probing);
        deeds->success = deeds->success || was_probing;
        deeds->must_fail = true;
        model_count(&schedule->model, request);
        return got;
    }
    HAPPENED(granted);
    model_reserve(&schedule->model, request, got.id, MODEL_NOBODY);
    if (owner == MODEL_NOBODY)
        return got;
    ledger_give(schedule->ledger, got.id, &schedule->owners[owner].owner);
    model_give(&schedule->model, got.id, owner);
    int other = choose_owner(schedule);
    if (other != MODEL_NOBODY && other != owner) {
        HAPPENED(given_in_vain);
        ledger_give(schedule->ledger, got.id, &schedule->owners[other].owner);
        model_give(&schedule->model, got.id, other);
    }
    return got;
}

static void try_to_send(struct schedule *schedule, enum way way)
{
    const struct model_request request = choose_request(schedule);
    int owner = one_in(schedule, 2) ? MODEL_NOBODY : choose_owner(schedule);
    try_both(schedule, &request, way, way == RESERVE ? owner : MODEL_NOBODY);
}

static void note_wait(const struct schedule *schedule, const struct ledger_answer *got,
                      const struct model_request *request)
{
    const struct model *model = &schedule->model;
    HAPPENED_IF(wait_granted_at_once, got->verdict == LEDGER_GRANTED);
    HAPPENED_IF(wait_refused, got->verdict == LEDGER_LATER);
    if (got->verdict != LEDGER_WAITING)
        return;
    HAPPENED(waiting);
    HAPPENED_IF(waiting_for_a_pause, got->obstacle == LEDGER_PAUSE);
    HAPPENED_IF(twelve_waiting, model_waiting(model, request->account) == 11);
    HAPPENED_IF(waiting_behind_others, model_waiting(model, request->account) > 0);
    bool other = false;
    for (size_t i = 0; i < model->waiter_count; i++)
        other = other || (model->waiters[i].account == request->account &&
                          memcmp(&model->waiters[i].quota.messages, &request->quota->messages,
                                 sizeof(request->quota->messages)) != 0);
    HAPPENED_IF(waiting_with_two_quotas, other);
}

/* The ticket if he waits, else MODEL_NOBODY. */
static int wait_in_both(struct schedule *schedule, const struct model_request *request,
                        int64_t wait, int owner, struct ledger_answer *got)
{
    const struct ledger_request real = real_request(request);
    struct model_answer want;
    int ticket = schedule->ticket_count++;
    begin_batch(schedule);
    CHECK(schedule, ticket < TICKETS, "out of tickets");
    schedule->ticket_accounts[ticket] = request->account;
    say(schedule, "wait %s quota %d, %u recipients, %u messages, owner %d, for %.6f: waiter %d",
        name_of(request->account), (int)(request->quota - schedule->quotas), request->wanted[0],
        request->wanted[1], owner, (double)wait / (double)SECOND, ticket);
    ledger_wait(schedule->ledger, &real, wait, &schedule->owners[owner].owner,
                &schedule->tickets[ticket], got);
    say_answer(schedule, got);
    model_judge_wait(&schedule->model, request, wait, &want);
    compare(schedule, request->quota, got, &want, got->cause);
    note_refusal(schedule, got, request->account);
    note_wait(schedule, got, request);
    if (got->verdict == LEDGER_GRANTED) {
        schedule->deeds.changes = true;
        model_reserve(&schedule->model, request, got->id, owner);
    }
    if (got->verdict != LEDGER_WAITING)
        return MODEL_NOBODY;
    schedule->deeds.new_waiter = true;
    model_enqueue(&schedule->model, request, wait, owner, ticket);
    return ticket;
}

static void try_to_wait(struct schedule *schedule)
{
    const struct model_request request = choose_request(schedule);
    int64_t wait = (int64_t)random_below(schedule, 30 * (uint64_t)SECOND);
    int owner = choose_owner(schedule);
    struct ledger_answer answer;
    if (schedule->is_crowded)
        wait *= 10;
    if (one_in(schedule, 10))
        wait = one_in(schedule, 2) ? 0 : (int64_t)random_below(schedule, (uint64_t)DAY);
    if (owner != MODEL_NOBODY)
        wait_in_both(schedule, &request, wait, owner, &answer);
}

static bool is_of_this_batch(const struct schedule *schedule, uint64_t id)
{
    for (size_t i = 0; i < schedule->before.reservation_count; i++)
        if (schedule->before.reservations[i].id == id)
            return false;
    return true;
}

static void settle(struct schedule *schedule, const struct model_reservation *reservation,
                   uint32_t recipients)
{
    const struct model_reservation one = *reservation;
    struct ledger_pause_state state;
    bool is_paused = model_pause_of(&schedule->model, one.account, &state) && state.is_paused;
    bool success = recipients > 0 && model_is_probing(&schedule->model, one.account);
    say(schedule, "settle %" PRIu64 " of %s with %u\n", one.id, name_of(one.account), recipients);
    CHECK(schedule, ledger_settle(schedule->ledger, one.id, recipients), "it is not there");
    model_settle(&schedule->model, one.id, recipients);
    schedule->deeds.changes = true;
    schedule->deeds.must_fail = schedule->deeds.must_fail || recipients > 0;
    schedule->deeds.success = schedule->deeds.success || success;
    HAPPENED_IF(settled, recipients >= one.amount[0]);
    HAPPENED_IF(settled_in_part, recipients > 0 && recipients < one.amount[0]);
    HAPPENED_IF(settled_with_nobody, recipients == 0);
    HAPPENED_IF(settled_in_the_batch_it_was_granted_in, is_of_this_batch(schedule, one.id));
    HAPPENED_IF(success_after_failures, success);
    HAPPENED_IF(settled_while_paused, is_paused && recipients > 0);
}

static void end_one(struct schedule *schedule)
{
    const struct model *model = &schedule->model;
    if (model->reservation_count == 0)
        return;
    begin_batch(schedule);
    const struct model_reservation one =
        model->reservations[random_below(schedule, model->reservation_count)];
    bool waiting = model_waiting(model, one.account) > 0;
    if (one_in(schedule, 3)) {
        HAPPENED(released);
        HAPPENED_IF(released_probe, model_has_probe(model, one.account));
        say(schedule, "release %" PRIu64 " of %s\n", one.id, name_of(one.account));
        CHECK(schedule, ledger_release(schedule->ledger, one.id), "it is not there");
        model_release(&schedule->model, one.id);
        schedule->deeds.changes = true;
        if (waiting && one_in(schedule, 2)) {
            serve(schedule);
            HAPPENED_IF(waited_and_granted_after_a_release, schedule->answered_count > 0);
        }
    } else {
        settle(schedule, &one, (uint32_t)random_below(schedule, one_in(schedule, 2) ? 60 : 14));
    }
    CHECK(schedule,
          !ledger_settle(schedule->ledger, one.id, 1) && !ledger_release(schedule->ledger, one.id),
          "reservation %" PRIu64 " was ended twice", one.id);
}

static void abandon(struct schedule *schedule)
{
    int owner = choose_owner(schedule);
    if (owner == MODEL_NOBODY)
        return;
    begin_batch(schedule);
    struct model *model = &schedule->model;
    size_t reservations = model->reservation_count, waiters = model->waiter_count;
    say(schedule, "abandon owner %d\n", owner);
    ledger_abandon(schedule->ledger, &schedule->owners[owner].owner);
    model_abandon(model, owner);
    schedule->owners[owner].is_gone = true;
    bool counts = model->reservation_count < reservations;
    schedule->deeds.changes = schedule->deeds.changes || counts;
    schedule->deeds.must_fail = schedule->deeds.must_fail || counts;
    HAPPENED_IF(abandoned_reservations, counts);
    HAPPENED_IF(abandoned_waiters, model->waiter_count < waiters);
    HAPPENED_IF(abandoned_in_vain, model->waiter_count == waiters && !counts);
}

/* --- pausing ----------------------------------------------------------------- */

#define LEAST (2 * SECOND)
#define MOST  (15 * SECOND)

static void pause_account(struct schedule *schedule, int account, const struct ledger_pause *pause)
{
    begin_batch(schedule);
    struct ledger_pause_state state;
    struct model *model = &schedule->model;
    model_pause_of(model, account, &state);
    bool ignored = pause->most > 0 && state.is_paused;
    say(schedule, "pause %s for '%.20s'", name_of(account), pause->cause);
    if (pause->most > 0)
        say(schedule, ", growing\n");
    else
        say(schedule, " until %s\n", SHOW(pause->until));
    ledger_pause(schedule->ledger, name_of(account), pause);
    model_pause(model, account, pause);
    schedule->deeds.changes = schedule->deeds.pause = true;
    schedule->deeds.must_fail = schedule->deeds.must_fail || !ignored;
    HAPPENED_IF(paused_by_hand, pause->most == 0);
    HAPPENED_IF(paused_without_end, pause->most == 0 && pause->until == INT64_MAX);
    HAPPENED_IF(paused_growing, pause->most > 0);
    HAPPENED_IF(paused_again_at_once, ignored);
    HAPPENED_IF(paused_after_a_failed_probe, pause->most > 0 && state.is_probing);
    HAPPENED_IF(paused_with_a_long_cause, strlen(pause->cause) > STORE_CAUSE_MAX);
    HAPPENED_IF(paused_with_waiters, model_waiting(model, account) > 0);
    HAPPENED_IF(paused_for_the_longest,
                pause->most > 0 &&
                    model->pauses[account].until - model->pauses[account].since == MOST);
    check_pause(schedule, account);
}

static void pause_one(struct schedule *schedule)
{
    char cause[STORE_CAUSE_MAX + 100];
    snprintf(cause, sizeof(cause), "432 4.3.2 no %u", schedule->step);
    if (one_in(schedule, 8)) {
        size_t length = strlen(cause);
        memset(cause + length, 'x', sizeof(cause) - length);
        cause[sizeof(cause) - 1] = '\0';
    }
    struct ledger_pause pause = {.cause = cause, .least = LEAST, .most = MOST};
    int account = choose_account(schedule);
    if (one_in(schedule, 4)) {
        begin_batch(schedule);
        pause.least = pause.most = 0;
        pause.until =
            schedule->model.now + 1 + (int64_t)random_below(schedule, 20 * (uint64_t)SECOND);
        if (one_in(schedule, 4))
            pause.until = INT64_MAX;
    }
    pause_account(schedule, account, &pause);
}

static void resume(struct schedule *schedule, int account)
{
    begin_batch(schedule);
    bool want = model_resume(&schedule->model, account);
    bool got = ledger_resume(schedule->ledger, name_of(account), NULL);
    say(schedule, "resume %s\n", name_of(account));
    CHECK(schedule, got == want, "%s was %spaused", name_of(account), got ? "" : "not ");
    schedule->deeds.changes = schedule->deeds.changes || got;
    schedule->deeds.must_fail = schedule->deeds.must_fail || got;
    HAPPENED_IF(resumed, got);
    HAPPENED_IF(resumed_in_vain, !got);
    check_pause(schedule, account);
}

static void move_to(struct schedule *schedule, int64_t time);

/* Nothing overflows when Microsoft says no for a long time. */
static void fail_seventy_times(struct schedule *schedule)
{
    const struct ledger_pause pause = {.cause = "550 5.7.1 no", .least = LEAST, .most = MOST};
    int account = choose_account(schedule);
    end_batch(schedule, true);
    for (int i = 0; i < 70; i++) {
        pause_account(schedule, account, &pause);
        end_batch(schedule, false);
        int64_t until = schedule->model.pauses[account].until;
        if (until - schedule->clock.now > DAY) /* paused by hand or by another clock */
            return;
        if (until > schedule->clock.now)
            move_to(schedule, until);
    }
    HAPPENED(a_row_of_seventy_failures);
}

/* --- time -------------------------------------------------------------------- */

/* The time passes. */
static void move_to(struct schedule *schedule, int64_t time)
{
    schedule->truth += time - schedule->clock.now;
    schedule->clock.now = time;
}

/* --- clocks --------------------------------------------------------------------- */

static struct timescale_reading read_clocks(struct timescale *timescale)
{
    const struct schedule *schedule =
        (const struct schedule *)(const void *)((const char *)timescale -
                                                offsetof(struct schedule, timescale));
    return (struct timescale_reading){schedule->clock.now + schedule->wall_error,
                                      schedule->clock.now - schedule->boot_base};
}

/* As the daemon does at its start, and when the clock was set. */
static void keep_time(struct schedule *schedule)
{
    struct error error;
    struct store_change change = {.kind = STORE_PUT_CLOCK};
    timescale_keep(&schedule->timescale, &change.clock);
    CHECK(schedule, schedule->store->operations->write(schedule->store, &change, 1, &error),
          "the time cannot be kept");
    schedule->kept_time = change.clock.time;
}

static void begin_time(struct schedule *schedule)
{
    char boot[STORE_BOOT_SIZE];
    struct store_clock kept;
    enum store_time time;
    struct error error;
    snprintf(boot, sizeof(boot), "boot %u", schedule->boot);
    schedule->store->operations->read_clock(schedule->store, &kept, &time, &error);
    timescale_begin(&schedule->timescale, read_clocks, boot, time == STORE_TIME_KEPT ? &kept : NULL,
                    time == STORE_TIME_UNKNOWN);
    schedule->unseen_step = schedule->pending_step = 0;
}

/* A step of a second or more is told once. */
static void take_step(struct schedule *schedule, int64_t by)
{
    clock_now(&schedule->timescale.clock);
    int64_t step = timescale_take_step(&schedule->timescale);
    schedule->unseen_step += by;
    if (schedule->unseen_step >= SECOND / 10 || schedule->unseen_step <= -SECOND / 10) {
        schedule->pending_step += schedule->unseen_step;
        schedule->unseen_step = 0; /* less is the time between two readings */
    }
    bool is_told = schedule->pending_step >= SECOND || schedule->pending_step <= -SECOND;
    CHECK(schedule, step == (is_told ? schedule->pending_step : 0), "a step of %" PRId64, step);
    if (is_told)
        schedule->pending_step = 0;
    keep_time(schedule);
}

/* The wall clock is set, which is nothing to the ledger; behind a boot it would be. */
static void set_wall_clock(struct schedule *schedule, int64_t by)
{
    if (schedule->timescale.follows && by < 0)
        return; /* behind a boot it takes the time with it, see correct_clock() */
    say(schedule, "the wall clock is set by %" PRId64 " us\n", by);
    schedule->wall_error += by;
    HAPPENED_IF(wall_clock_set_forward, by > 0);
    HAPPENED_IF(wall_clock_set_back, by < 0);
    take_step(schedule, by);
}

static int64_t choose_jump(struct schedule *schedule)
{
    static const int64_t sizes[] = {30, 30, 30, 3600, 86400, 10 * 86400};
    return (int64_t)random_below(schedule, (uint64_t)(sizes[random_below(schedule, 6)] * SECOND));
}

static void jump(struct schedule *schedule, int64_t by)
{
    if (schedule->has_timescale) {
        set_wall_clock(schedule, by);
        return;
    }
    int64_t now = schedule->clock.now + by;
    if (model_would_pause_again(&schedule->model, now) ||
        (schedule->in_batch && model_would_pause_again(&schedule->before, now)))
        return; /* whether it does is left open */
    say(schedule, "the clock is set to %s\n", SHOW(now));
    schedule->clock.now = now;
    HAPPENED_IF(jumped_forward, by > 0);
    HAPPENED_IF(jumped_back, by < 0);
    HAPPENED_IF(jumped_back_by_days, by < -DAY);
    HAPPENED_IF(jumped_back_with_waiters, by < 0 && schedule->model.waiter_count > 0);
    if (by < 0)
        schedule->must_sync = schedule->was_set_back = true;
}

/* The ledger's batch, too, has begun when it was first asked something. */
static void touch_batch(struct schedule *schedule)
{
    struct ledger_use use;
    ledger_use(schedule->ledger, "z@contoso.com", &schedule->quotas[0], &use);
    CHECK(schedule, use.now == schedule->model.now, "the batch is at %s", SHOW(use.now));
    CHECK(schedule, use.used[0] == 0 && use.waiting == 0, "nobody has used something");
}

static void move_clock(struct schedule *schedule)
{
    if (schedule->in_batch && one_in(schedule, 4)) {
        HAPPENED(clock_moved_in_a_batch); /* which the batch does not notice */
        touch_batch(schedule);
    } else {
        end_batch(schedule, true);
    }
    move_to(schedule, schedule->clock.now + (int64_t)random_below(schedule, 3 * (uint64_t)SECOND));
    if (schedule->has_timescale && one_in(schedule, 30)) {
        bool follows = schedule->timescale.follows;
        HAPPENED(slept); /* boottime goes on in suspend */
        move_to(schedule, schedule->clock.now + choose_jump(schedule));
        clock_now(&schedule->timescale.clock);
        HAPPENED_IF(rebooted_and_settled, follows && !schedule->timescale.follows);
    }
    if (schedule->jumps_back && one_in(schedule, 8))
        jump(schedule, -choose_jump(schedule));
    if (schedule->jumps_forward && one_in(schedule, 12))
        jump(schedule, choose_jump(schedule));
}

/* Goes to where ledger_serve() will have something to do, and to just before. */
static void follow_due(struct schedule *schedule)
{
    end_batch(schedule, false);
    begin_batch(schedule);
    end_batch(schedule, false);
    int64_t due = ledger_due(schedule->ledger);
    if (due == INT64_MAX)
        return;
    move_to(schedule, due - 1 > schedule->clock.now ? due - 1 : schedule->clock.now);
    begin_batch(schedule);
    serve(schedule);
    CHECK(schedule, schedule->answered_count == 0, "somebody was answered before it was due");
    end_batch(schedule, false);
    move_to(schedule, due);
    begin_batch(schedule);
    serve(schedule);
    HAPPENED_IF(followed_due, schedule->answered_count > 0);
    for (size_t i = 0; i < schedule->answered_count; i++)
        HAPPENED_IF(waited_and_granted_when_due,
                    schedule->answered[i].answer.verdict == LEDGER_GRANTED);
}

/* --- promises ---------------------------------------------------------------- */

/* What happened to those who waited for an account while time passed. */
struct passage {
    int account;
    bool turned_away;
    int ticket; /* of whom this is about */
    int64_t granted_at;
};

static void settle_granted(struct schedule *schedule)
{
    for (size_t i = 0; i < schedule->answered_count; i++) {
        const struct answered *one = &schedule->answered[i];
        for (size_t j = 0; j < schedule->model.reservation_count; j++)
            if (one->answer.verdict == LEDGER_GRANTED &&
                schedule->model.reservations[j].id == one->answer.id) {
                const struct model_reservation *reservation = &schedule->model.reservations[j];
                settle(schedule, reservation, reservation->amount[0]);
                break;
            }
    }
}

static void note_answers(const struct schedule *schedule, struct passage *passage)
{
    for (size_t i = 0; i < schedule->answered_count; i++) {
        const struct answered *one = &schedule->answered[i];
        if (schedule->ticket_accounts[one->ticket] != passage->account)
            continue;
        if (one->answer.verdict != LEDGER_GRANTED)
            passage->turned_away = true;
        else if (one->ticket == passage->ticket)
            passage->granted_at = schedule->model.now;
    }
}

/* Serves who waits, has them send at once, and so on. */
static void serve_and_send(struct schedule *schedule, struct passage *passage)
{
    schedule->answered_count = 0;
    begin_batch(schedule); /* which may have served somebody */
    do {
        note_answers(schedule, passage);
        settle_granted(schedule);
        serve(schedule);
    } while (schedule->answered_count > 0);
}

static void pass_until(struct schedule *schedule, int64_t time, struct passage *passage)
{
    for (;;) {
        serve_and_send(schedule, passage);
        int64_t due = ledger_due(schedule->ledger);
        if (due > time || schedule->clock.now == time)
            break;
        end_batch(schedule, false);
        move_to(schedule, due);
    }
    if (schedule->clock.now == time)
        return;
    end_batch(schedule, false);
    move_to(schedule, time);
    serve_and_send(schedule, passage);
}

/* Ends all reservations of an account, so that nothing is left to guess. */
static void settle_all(struct schedule *schedule, struct passage *passage)
{
    end_batch(schedule, false);
    begin_batch(schedule);
    for (size_t i = schedule->model.reservation_count; i-- > 0;) {
        const struct model_reservation *one = &schedule->model.reservations[i];
        if (one->account == passage->account)
            settle(schedule, one, one->amount[0]);
    }
    serve_and_send(schedule, passage);
    end_batch(schedule, false);
}

/* What a refusal promises is when it is granted, and not a microsecond earlier. */
static void check_promise(struct schedule *schedule)
{
    const struct model_request request = choose_request(schedule);
    struct passage passage = {.account = request.account, .ticket = MODEL_NOBODY};
    settle_all(schedule, &passage);
    struct ledger_answer refused = try_both(schedule, &request, ASK, MODEL_NOBODY);
    if (refused.verdict != LEDGER_LATER || refused.earliest > schedule->clock.now + PATIENCE)
        return;
    bool behind = model_waiting(&schedule->model, request.account) > 0;
    bool is_probing = model_is_probing(&schedule->model, request.account);
    if (refused.earliest > schedule->clock.now) {
        pass_until(schedule, refused.earliest - 1, &passage);
        struct ledger_answer answer = try_both(schedule, &request, ASK, MODEL_NOBODY);
        CHECK(schedule, passage.turned_away || is_probing || answer.verdict != LEDGER_GRANTED,
              "granted before it was promised");
        end_batch(schedule, false);
        pass_until(schedule, refused.earliest, &passage);
    }
    struct ledger_answer answer = try_both(schedule, &request, ASK, MODEL_NOBODY);
    if (passage.turned_away)
        return;
    CHECK(schedule, answer.verdict == LEDGER_GRANTED, "not granted when it was promised");
    HAPPENED(promise_kept);
    HAPPENED_IF(promise_kept_behind_others, behind);
    HAPPENED_IF(promise_kept_after_a_pause, refused.obstacle == LEDGER_PAUSE);
}

/* The same for somebody who is ready to wait for exactly that long. */
static void check_promise_to_waiter(struct schedule *schedule)
{
    const struct model_request request = choose_request(schedule);
    struct passage passage = {.account = request.account, .ticket = MODEL_NOBODY};
    settle_all(schedule, &passage);
    int owner = choose_owner(schedule);
    struct ledger_answer refused = try_both(schedule, &request, ASK, MODEL_NOBODY), waiting;
    int64_t wait = refused.earliest - refused.now;
    if (refused.verdict != LEDGER_LATER || wait <= 0 || wait > PATIENCE || owner == MODEL_NOBODY)
        return;
    wait_in_both(schedule, &request, wait - 1, owner, &waiting);
    CHECK(schedule, waiting.verdict == LEDGER_LATER, "he could not be granted in time");
    HAPPENED(wait_refused_by_a_microsecond);
    passage.ticket = wait_in_both(schedule, &request, wait, owner, &waiting);
    CHECK(schedule, waiting.verdict == LEDGER_WAITING, "he could be granted in time");
    passage.turned_away = false;
    bool is_probing = model_is_probing(&schedule->model, request.account);
    pass_until(schedule, refused.earliest - 1, &passage);
    CHECK(schedule, passage.turned_away || is_probing || passage.granted_at == 0,
          "granted before it was promised");
    end_batch(schedule, false);
    pass_until(schedule, refused.earliest, &passage);
    if (passage.turned_away)
        return;
    CHECK(schedule,
          passage.granted_at == refused.earliest || (is_probing && passage.granted_at != 0),
          "not granted when it was promised");
    HAPPENED(promise_kept_to_a_waiter);
}

/* --- restarts, rules, background --------------------------------------------- */

static void open_ledger(struct schedule *schedule)
{
    struct error error = {""};
    silence();
    if (schedule->has_timescale)
        begin_time(schedule);
    schedule->ledger =
        ledger_open(schedule->has_timescale ? &schedule->timescale.clock : &schedule->clock.clock,
                    schedule->store, &schedule->rules, &error);
    speak();
    CHECK(schedule, schedule->ledger != NULL, "the ledger does not open: %s", error.text);
    ledger_on_answer(schedule->ledger, take_answer);
    if (schedule->has_timescale)
        keep_time(schedule);
}

/* A boot, with a wall clock that is as right as before. */
static void reboot(struct schedule *schedule)
{
    move_to(schedule, schedule->clock.now + (int64_t)random_below(schedule, 20 * (uint64_t)SECOND));
    schedule->boot++;
    schedule->boot_base =
        schedule->clock.now - (int64_t)random_below(schedule, 5 * (uint64_t)SECOND);
    HAPPENED(rebooted);
}

/* The wall clock is wrong by `error` at a boot: what the ledger takes for the time. */
static void mislead(struct schedule *schedule, int64_t error)
{
    if (error < 0 && schedule->clock.now + error < schedule->kept_time)
        error = schedule->kept_time - schedule->clock.now;
    say(schedule, "the clock is wrong by %" PRId64 " us\n", error);
    schedule->clock.now += error;
    schedule->boot_base += error;
    HAPPENED_IF(rebooted_with_a_clock_that_was_ahead, error > 0);
    HAPPENED_IF(rebooted_with_a_clock_that_was_behind, error < 0);
}

/* Returns how far the clock is ahead. */
static int64_t boot_again(struct schedule *schedule)
{
    reboot(schedule);
    int64_t by = SECOND + choose_jump(schedule);
    if (one_in(schedule, 3)) {
        mislead(schedule, by);
        return by;
    }
    if (one_in(schedule, 3) &&
        !model_would_pause_again(&schedule->model, schedule->clock.now - by)) {
        mislead(schedule, -by);
        schedule->was_set_back = schedule->must_sync = true;
    }
    return 0;
}

/* Nothing is forgotten for it, and what the ledger does meanwhile is background work alone. */
static void correct_clock(struct schedule *schedule, int64_t error)
{
    struct error ignored;
    bool more = true;
    int64_t horizons[MODEL_ACCOUNTS];
    for (int i = 0; i < MODEL_ACCOUNTS; i++)
        horizons[i] = schedule->model.memory[i].horizon;
    move_to(schedule, schedule->clock.now + 3 * SECOND);
    for (int i = 0; i < 100 && more; i++)
        ledger_tidy(schedule->ledger, &more, &ignored);
    say(schedule, "the clock is set right, by %" PRId64 " us\n", -error);
    schedule->clock.now -= error;
    schedule->boot_base -= error;
    for (int i = 0; i < MODEL_ACCOUNTS; i++)
        schedule->model.memory[i].horizon = horizons[i];
    model_begin(&schedule->model, schedule->clock.now, schedule->truth);
    model_tidy(&schedule->model);
    schedule->was_set_back = true;
    take_step(schedule, -error);
    synchronize(schedule, false);
}

static void restart(struct schedule *schedule)
{
    struct model *model = &schedule->model;
    int64_t error = 0;
    bool crash = schedule->in_batch && one_in(schedule, 2);
    if (!crash)
        end_batch(schedule, false);
    size_t waiters = model->waiter_count;
    if (crash)
        model_undo(model, &schedule->before); /* what was not committed is gone */
    schedule->in_batch = schedule->must_sync = false;
    say(schedule, "%s at %s\n", crash ? "crash" : "restart", SHOW(schedule->clock.now));
    HAPPENED_IF(crashed, crash);
    HAPPENED_IF(restarted, !crash);
    HAPPENED_IF(restarted_with_reservations, model->reservation_count > 0);
    HAPPENED_IF(restarted_with_waiters, waiters > 0);
    HAPPENED_IF(restarted_after_the_clock_was_set_back, schedule->was_set_back);
    ledger_close(schedule->ledger);
    for (int i = 0; i < OWNERS; i++)
        schedule->owners[i] = (struct owner){.is_gone = false};
    if (schedule->has_timescale && one_in(schedule, 2))
        error = boot_again(schedule);
    open_ledger(schedule);
    model_restart(model, schedule->clock.now, schedule->truth);
    for (int i = 0; i < MODEL_ACCOUNTS; i++) {
        struct ledger_pause_state state;
        model_pause_of(model, i, &state);
        HAPPENED_IF(restarted_while_paused, state.is_paused);
        HAPPENED_IF(restarted_while_probed, state.is_probing);
    }
    synchronize(schedule, true);
    if (error > 0)
        correct_clock(schedule, error);
}

static void change_quota(struct schedule *schedule)
{
    if (!schedule->changes_quota)
        return;
    end_batch(schedule, true);
    say(schedule, "other quotas\n");
    choose_quotas(schedule);
    synchronize(schedule, false);
    HAPPENED(changed_quota);
}

static void choose_rules(struct schedule *schedule)
{
    static const int64_t retentions[] = {1, 10, 20, 60};
    schedule->rules.guard = (int64_t)random_below(schedule, 3) * SECOND;
    schedule->rules.retention = retentions[random_below(schedule, 4)] * SECOND + 7;
    say(schedule, "rules: guard %.0f s, retention %.0f s\n",
        (double)schedule->rules.guard / (double)SECOND,
        (double)schedule->rules.retention / (double)SECOND);
}

static void change_rules(struct schedule *schedule)
{
    if (!schedule->changes_rules)
        return;
    end_batch(schedule, true);
    choose_rules(schedule);
    /* What a larger guard looks at again may be gone, so that only the ledger knows. */
    bool shrinks = schedule->rules.guard <= schedule->model.guard;
    ledger_configure(schedule->ledger, &schedule->rules);
    model_configure(&schedule->model, &schedule->rules);
    HAPPENED(changed_rules);
    HAPPENED_IF(changed_rules_with_waiters, schedule->model.waiter_count > 0);
    if (shrinks && schedule->clock.now >= schedule->model.now)
        check_due(schedule, false);
    synchronize(schedule, false);
}

static void tidy(struct schedule *schedule)
{
    struct error error = {""};
    bool more = true;
    if (schedule->in_batch && one_in(schedule, 2)) {
        HAPPENED(tidied_in_a_batch);
        touch_batch(schedule);
        say(schedule, "tidy, to no effect\n");
        CHECK(schedule, ledger_tidy(schedule->ledger, &more, &error), "tidy: %s", error.text);
        return;
    }
    end_batch(schedule, true);
    say(schedule, "tidy at %s\n", SHOW(schedule->clock.now));
    model_begin(&schedule->model, schedule->clock.now, schedule->truth);
    for (int i = 0; i < 100 && more; i++)
        CHECK(schedule, ledger_tidy(schedule->ledger, &more, &error), "tidy: %s", error.text);
    CHECK(schedule, !more, "there is always more to tidy");
    model_tidy(&schedule->model);
    HAPPENED(tidied);
    if (schedule->must_sync)
        synchronize(schedule, false);
}

static void look(struct schedule *schedule)
{
    int account = choose_account(schedule);
    begin_batch(schedule);
    check_use(schedule, account, &schedule->quotas[random_below(schedule, QUOTAS)]);
    check_pause(schedule, account);
}

/* --- all of it --------------------------------------------------------------- */

static void take_a_step(struct schedule *schedule)
{
    static const struct {
        unsigned weight;
        enum {
            SEND,
            QUESTION,
            COUNTED,
            WAIT,
            END,
            MOVE,
            ABANDON,
            PAUSE,
            RESUME,
            ROW,
            RESTART,
            DUE,
            PROMISE,
            WAITER_PROMISE,
            TIDY,
            QUOTA,
            RULES,
            LOOK,
            SERVE
        } step;
    } steps[] = {{200, SEND},   {60, QUESTION}, {40, COUNTED}, {160, WAIT},          {200, END},
                 {200, MOVE},   {15, ABANDON},  {30, PAUSE},   {10, RESUME},         {1, ROW},
                 {20, RESTART}, {20, DUE},      {15, PROMISE}, {15, WAITER_PROMISE}, {20, TIDY},
                 {15, QUOTA},   {10, RULES},    {30, LOOK},    {20, SERVE}};
    unsigned total = 0;
    size_t chosen = 0;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        total += steps[i].weight;
    unsigned rest = (unsigned)random_below(schedule, total);
    while (rest >= steps[chosen].weight)
        rest -= steps[chosen++].weight;
    switch (steps[chosen].step) {
    case SEND:
        if (schedule->is_crowded)
            try_to_wait(schedule);
        else
            try_to_send(schedule, RESERVE);
        break;
    case QUESTION:
        try_to_send(schedule, ASK);
        break;
    case COUNTED:
        try_to_send(schedule, COUNT);
        break;
    case WAIT:
        if (schedule->waits)
            try_to_wait(schedule);
        break;
    case END:
        end_one(schedule);
        break;
    case MOVE:
        move_clock(schedule);
        break;
    case ABANDON:
        abandon(schedule);
        break;
    case PAUSE:
        if (schedule->pauses)
            pause_one(schedule);
        break;
    case RESUME:
        resume(schedule, choose_account(schedule));
        break;
    case ROW:
        if (schedule->pauses)
            fail_seventy_times(schedule);
        break;
    case RESTART:
        restart(schedule);
        break;
    case DUE:
        follow_due(schedule);
        break;
    case PROMISE:
        check_promise(schedule);
        break;
    case WAITER_PROMISE:
        if (schedule->waits)
            check_promise_to_waiter(schedule);
        break;
    case TIDY:
        tidy(schedule);
        break;
    case QUOTA:
        change_quota(schedule);
        break;
    case RULES:
        change_rules(schedule);
        break;
    case LOOK:
        look(schedule);
        break;
    case SERVE:
        begin_batch(schedule);
        serve(schedule);
        break;
    }
}

/* No interval as long as a period ever held more than the limit. */
static void check_intervals(const struct schedule *schedule)
{
    if ((schedule->jumps_forward && !schedule->has_timescale) || schedule->changes_quota ||
        schedule->changes_rules)
        return;
    HAPPENED(peak_checked);
    const struct quota_rate *rates[] = {&schedule->quotas[0].recipients,
                                        &schedule->quotas[0].messages};
    for (int account = 0; account < MODEL_ACCOUNTS; account++)
        for (int i = 0; i < 2; i++) {
            uint64_t peak =
                model_peak(&schedule->model, account, i, rates[i]->period + schedule->rules.guard);
            CHECK(schedule, peak <= rates[i]->limit, "an interval of %s holds %" PRIu64,
                  name_of(account), peak);
        }
}

/* When everything is over, nothing is left of it. */
static void check_nothing_stays(struct schedule *schedule)
{
    for (int i = 0; i < OWNERS; i++) {
        begin_batch(schedule);
        say(schedule, "abandon owner %d\n", i);
        ledger_abandon(schedule->ledger, &schedule->owners[i].owner);
        model_abandon(&schedule->model, i);
    }
    while (schedule->model.reservation_count > 0)
        settle(schedule, &schedule->model.reservations[0], 0);
    for (int i = 0; i < MODEL_ACCOUNTS; i++)
        resume(schedule, i);
    end_batch(schedule, false);
    CHECK(schedule, ledger_waiter_count(schedule->ledger) == 0, "somebody still waits");
    move_to(schedule, schedule->clock.now + 1000 * DAY);
    tidy(schedule);
    tidy(schedule);
    size_t accounts = ledger_account_count(schedule->ledger);
    CHECK(schedule, accounts == 0, "%zu accounts stay", accounts);
    CHECK(schedule,
          store_memory_turns(schedule->store) == 0 &&
              store_memory_reservations(schedule->store) == 0 &&
              store_memory_accounts(schedule->store) == 0,
          "%zu turns, %zu reservations and %zu accounts stay in the store",
          store_memory_turns(schedule->store), store_memory_reservations(schedule->store),
          store_memory_accounts(schedule->store));
}

static void begin_schedule(struct schedule *schedule, uint64_t seed)
{
    schedule->seed = seed;
    schedule->random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    schedule->clock = (struct hand_clock){{.now = read_hand_clock}, START};
    schedule->store = store_memory_new();
    schedule->has_timescale = one_in(schedule, 2);
    schedule->boot_base = START - 100 * SECOND;
    schedule->jumps_back = one_in(schedule, 3);
    schedule->jumps_forward = one_in(schedule, 4);
    schedule->changes_quota = one_in(schedule, 3);
    schedule->changes_rules = one_in(schedule, 4);
    schedule->pauses = !one_in(schedule, 3);
    schedule->waits = !one_in(schedule, 5);
    schedule->is_crowded = one_in(schedule, 10);
    schedule->fails = !one_in(schedule, 4);
    choose_rules(schedule);
    choose_quotas(schedule);
    model_configure(&schedule->model, &schedule->rules);
    open_ledger(schedule);
}

static void run_schedule(uint64_t seed)
{
    struct schedule *schedule = memory_zero(1, sizeof(*schedule));
    begin_schedule(schedule, seed);
    for (schedule->step = 0; schedule->step < STEPS; schedule->step++)
        take_a_step(schedule);
    restart(schedule); /* so that open reservations count, too */
    check_intervals(schedule);
    check_nothing_stays(schedule);
    ledger_close(schedule->ledger);
    store_memory_free(schedule->store);
    free(schedule->log);
    free(schedule);
}

static void random_schedules_agree_with_an_exact_log(void **state)
{
    (void)state;
    const char *seed = getenv("POST365_TEST_SEED"), *more = getenv("POST365_TEST_SCHEDULES");
    uint64_t first = seed != NULL ? strtoull(seed, NULL, 10) : 0;
    uint64_t count = seed != NULL ? 1 : more != NULL ? strtoull(more, NULL, 10) : SCHEDULES;
    for (uint64_t i = first; i < first + count; i++)
        run_schedule(i);
    for (size_t i = 0; i < SITUATION_COUNT; i++) {
        if (more != NULL || seed != NULL)
            print_message("%10lu %s\n", happened[i], situation_names[i]);
        if (happened[i] == 0 && count >= SCHEDULES)
            fail_msg("never happened: %s", situation_names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_schedules_agree_with_an_exact_log),
    };
    return cmocka_run_group_tests_name("ledger against a model", tests, NULL, NULL);
}
