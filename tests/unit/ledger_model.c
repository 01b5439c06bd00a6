/* ledger_model.c - the ledger as simple as it can be written, to compare the real one with */
#include "tests/unit/ledger_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void model_copy(struct model *to, const struct model *from)
{
    memcpy(to, from, offsetof(struct model, events));
    memcpy(to->events, from->events, from->event_count * sizeof(*to->events));
    memcpy(to->reservations, from->reservations,
           from->reservation_count * sizeof(*to->reservations));
    memcpy(to->waiters, from->waiters, from->waiter_count * sizeof(*to->waiters));
}

static void add_event(struct model *model, int account, uint32_t recipients, uint32_t messages)
{
    if (model->event_count == MODEL_EVENTS)
        abort();
    model->events[model->event_count++] = (struct model_event){.account = account,
                                                               .time = model->now,
                                                               .written = model->now,
                                                               .truth = model->truth,
                                                               .amount = {recipients, messages}};
    model->memory[account].is_minded = true;
}

static void remove_reservation(struct model *model, size_t i)
{
    model->reservation_count--;
    memmove(&model->reservations[i], &model->reservations[i + 1],
            (model->reservation_count - i) * sizeof(*model->reservations));
}

static void remove_waiter(struct model *model, size_t i)
{
    model->waiter_count--;
    memmove(&model->waiters[i], &model->waiters[i + 1],
            (model->waiter_count - i) * sizeof(*model->waiters));
}

static size_t find(const struct model *model, uint64_t id)
{
    for (size_t i = 0; i < model->reservation_count; i++)
        if (model->reservations[i].id == id)
            return i;
    abort();
}

/* --- windows ----------------------------------------------------------------- */

/* What is assumed of who waits: granted and sent then. */
struct plan {
    size_t count;
    int64_t last; /* when the last one is granted */
    struct {
        int64_t time;
        const uint32_t *amount;
    } sent[MODEL_OPEN];
};

/* What the window holds at `when`, if open reservations count as sent now (or, `stays`, for ever)
 * and the plan comes true. */
static uint64_t used_at(const struct model *model, int account, int measure, int64_t period,
                        int64_t when, const struct plan *plan, bool stays)
{
    int64_t span = period + model->guard;
    uint64_t used = 0;
    for (size_t i = 0; i < model->event_count; i++) {
        const struct model_event *event = &model->events[i];
        if (event->account == account && !event->is_lost && when < event->time + span)
            used += event->amount[measure];
    }
    for (size_t i = 0; i < model->reservation_count; i++) {
        const struct model_reservation *reservation = &model->reservations[i];
        if (reservation->account == account && (stays || when < model->now + span))
            used += reservation->amount[measure];
    }
    for (size_t i = 0; plan != NULL && i < plan->count; i++)
        if (plan->sent[i].time > INT64_MAX - span || when < plan->sent[i].time + span)
            used += plan->sent[i].amount[measure];
    return used;
}

static bool fits_at(const struct model *model, const struct model_request *request, int measure,
                    int64_t when, const struct plan *plan, bool stays)
{
    const struct quota_rate *rate =
        measure == 0 ? &request->quota->recipients : &request->quota->messages;
    uint32_t wanted = request->wanted[measure];
    return rate->limit == QUOTA_UNLIMITED || wanted == 0 ||
           used_at(model, request->account, measure, rate->period, when, plan, stays) + wanted <=
               rate->limit;
}

/* The first time, from `from` on, at which one window has room: it only gets it when something
 * leaves it. INT64_MAX: never. */
static int64_t room_in(const struct model *model, const struct model_request *request, int measure,
                       int64_t from, const struct plan *plan, bool stays)
{
    const struct quota_rate *rate =
        measure == 0 ? &request->quota->recipients : &request->quota->messages;
    if (from == INT64_MAX || fits_at(model, request, measure, from, plan, stays))
        return from;
    int64_t span = rate->period + model->guard;
    int64_t best = INT64_MAX;
    size_t events = model->event_count, reservations = model->reservation_count;
    size_t planned = plan != NULL ? plan->count : 0;
    for (size_t i = 0; i < events + reservations + planned; i++) {
        int64_t time;
        if (i < events) {
            if (model->events[i].account != request->account || model->events[i].is_lost)
                continue;
            time = model->events[i].time;
        } else if (i < events + reservations) {
            if (stays || model->reservations[i - events].account != request->account)
                continue;
            time = model->now;
        } else {
            time = plan->sent[i - events - reservations].time;
        }
        int64_t when = time > INT64_MAX - span ? INT64_MAX : time + span;
        if (when > from && when < best && fits_at(model, request, measure, when, plan, stays))
            best = when;
    }
    return best;
}

static int64_t room_from(const struct model *model, const struct model_request *request,
                         int64_t from, const struct plan *plan, bool stays)
{
    return larger(room_in(model, request, 0, from, plan, stays),
                  room_in(model, request, 1, from, plan, stays));
}

uint32_t model_used(const struct model *model, int account, int measure, int64_t period)
{
    return (uint32_t)used_at(model, account, measure, period, model->now, NULL, false);
}

uint32_t model_reserved(const struct model *model, int account, int measure)
{
    uint32_t reserved = 0;
    for (size_t i = 0; i < model->reservation_count; i++)
        if (model->reservations[i].account == account)
            reserved += model->reservations[i].amount[measure];
    return reserved;
}

size_t model_waiting(const struct model *model, int account)
{
    size_t waiting = 0;
    for (size_t i = 0; i < model->waiter_count; i++)
        waiting += model->waiters[i].account == account;
    return waiting;
}

bool model_owns_any(const struct model *model, int owner)
{
    for (size_t i = 0; i < model->waiter_count; i++)
        if (model->waiters[i].owner == owner)
            return true;
    for (size_t i = 0; i < model->reservation_count; i++)
        if (model->reservations[i].owner == owner)
            return true;
    return false;
}

/* --- pauses ------------------------------------------------------------------ */

static bool is_paused(const struct model *model, int account)
{
    const struct model_pause *pause = &model->pauses[account];
    return pause->is_set && model->now < pause->until;
}

bool model_is_probing(const struct model *model, int account)
{
    const struct model_pause *pause = &model->pauses[account];
    return pause->is_set && pause->failures > 0 && model->now >= pause->until;
}

bool model_has_probe(const struct model *model, int account)
{
    if (!model_is_probing(model, account))
        return false;
    for (size_t i = 0; i < model->reservation_count; i++)
        if (model->reservations[i].account == account)
            return true;
    return false;
}

void model_pause(struct model *model, int account, const struct ledger_pause *pause)
{
    struct model_pause *now = &model->pauses[account];
    bool grows = pause->most > 0;
    if (grows && is_paused(model, account))
        return;
    uint32_t failures = grows ? (now->is_set ? now->failures : 0) + 1 : 0;
    int64_t length = pause->least;
    for (uint32_t i = 1; i < failures && length < pause->most; i++)
        length *= 2;
    now->is_set = true;
    now->since = now->written_since = model->now;
    now->until = grows ? model->now + smaller(length, pause->most) : pause->until;
    now->failures = failures;
    snprintf(now->cause, sizeof(now->cause), "%s", pause->cause);
}

bool model_resume(struct model *model, int account)
{
    bool was = is_paused(model, account) || model_is_probing(model, account);
    if (was)
        model->pauses[account] = (struct model_pause){.is_set = false};
    return was;
}

bool model_pause_of(const struct model *model, int account, struct ledger_pause_state *state)
{
    const struct model_pause *pause = &model->pauses[account];
    *state = (struct ledger_pause_state){.is_paused = is_paused(model, account),
                                         .is_probing = model_is_probing(model, account),
                                         .since = pause->since,
                                         .until = pause->until,
                                         .failures = pause->failures,
                                         .cause = pause->cause};
    return state->is_paused || state->is_probing;
}

/* A growing pause that began in the future begins now. */
static void move_pause(struct model_pause *pause, int64_t since, int64_t now)
{
    int64_t length = pause->until - pause->since;
    if (!pause->is_set || pause->failures == 0)
        return;
    pause->since = smaller(since, now);
    pause->until = pause->since + length;
}

void model_adopt_pause(struct model *model, int account, int64_t since)
{
    struct model_pause *pause = &model->pauses[account];
    if (since >= pause->since && since <= smaller(pause->written_since, model->now))
        move_pause(pause, since, model->now);
}

bool model_would_pause_again(const struct model *model, int64_t now)
{
    for (int i = 0; i < MODEL_ACCOUNTS; i++) {
        const struct model_pause *pause = &model->pauses[i];
        if (pause->is_set && pause->failures == 0 && model->now >= pause->until &&
            now < pause->until)
            return true;
    }
    return false;
}

static void succeed(struct model *model, int account)
{
    if (model_is_probing(model, account))
        model->pauses[account] = (struct model_pause){.is_set = false};
}

/* --- judging ----------------------------------------------------------------- */

static struct model_request request_of(const struct model_waiter *waiter)
{
    return (struct model_request){
        waiter->account, &waiter->quota, {waiter->wanted[0], waiter->wanted[1]}};
}

/* Who comes behind a probe is put off by as long as that is taken to last. */
static int64_t probed_until(const struct model *model, int account, size_t before)
{
    bool is_behind =
        model_has_probe(model, account) || (model_is_probing(model, account) && before > 0);
    return is_behind ? model->now + LEDGER_PROBE : model->now;
}

/* Who comes before: everybody of the account up to, not including, waiter `end` of the list. */
static void make_plan(const struct model *model, int account, size_t end, struct plan *plan)
{
    plan->count = 0;
    plan->last = is_paused(model, account) ? model->pauses[account].until : model->now;
    for (size_t i = 0; i < end; i++) {
        const struct model_waiter *waiter = &model->waiters[i];
        if (waiter->account != account)
            continue;
        const struct model_request request = request_of(waiter);
        plan->last = larger(plan->last, probed_until(model, account, plan->count));
        plan->last = room_from(model, &request, plan->last, plan, false);
        plan->sent[plan->count].time = plan->last;
        plan->sent[plan->count++].amount = waiter->wanted;
    }
}

static void judge(const struct model *model, const struct model_request *request, size_t end,
                  struct model_answer *answer)
{
    static struct plan plan;
    const struct quota_rate *rates[] = {&request->quota->recipients, &request->quota->messages};
    int account = request->account;
    int64_t now = model->now;
    *answer = (struct model_answer){.account = account, .verdict = LEDGER_GRANTED};
    for (int i = 0; i < 2; i++) {
        answer->used[i] = model_used(model, account, i, rates[i]->period);
        if (rates[i]->limit != QUOTA_UNLIMITED && request->wanted[i] > rates[i]->limit) {
            answer->measure[i] = true;
            answer->verdict = LEDGER_NEVER;
        }
    }
    if (answer->verdict == LEDGER_NEVER)
        return;
    make_plan(model, account, end, &plan);
    int64_t probed = probed_until(model, account, plan.count);
    int64_t when = room_from(model, request, larger(plan.last, probed), &plan, false);
    answer->earliest = when;
    if (when == now && plan.count == 0)
        return;
    answer->verdict = LEDGER_LATER;
    answer->obstacle[LEDGER_PAUSE] =
        (is_paused(model, account) && model->pauses[account].until == when) ||
        (probed > now && probed == when);
    answer->obstacle[LEDGER_ORDER] = plan.count > 0 && plan.last == when;
    for (int i = 0; i < 2 && when > now && when < INT64_MAX; i++)
        answer->measure[i] = room_in(model, request, i, now, NULL, false) == when ||
                             !fits_at(model, request, i, when - 1, &plan, false);
    answer->obstacle[LEDGER_QUOTA] = answer->measure[0] || answer->measure[1];
}

static bool is_known(const struct model *model, int account)
{
    const struct model_memory *memory = &model->memory[account];
    bool known = is_paused(model, account) || model_is_probing(model, account) ||
                 model_waiting(model, account) > 0;
    for (size_t i = 0; i < model->reservation_count && !known; i++)
        known = model->reservations[i].account == account;
    for (size_t i = 0; i < model->event_count && !known; i++)
        known = model->events[i].account == account && !model->events[i].is_lost &&
                model->events[i].time > memory->horizon;
    return known;
}

void model_mind(struct model *model, int account, const struct quota *quota)
{
    struct model_memory *memory = &model->memory[account];
    memory->is_longer = memory->is_longer || ledger_longest_period(quota) > memory->saved;
    if (!is_known(model, account))
        return;
    memory->asked = larger(memory->asked, ledger_longest_period(quota));
    memory->is_minded = true;
}

void model_judge(struct model *model, const struct model_request *request,
                 struct model_answer *answer)
{
    model_mind(model, request->account, request->quota);
    judge(model, request, model->waiter_count, answer);
}

void model_judge_wait(struct model *model, const struct model_request *request, int64_t wait,
                      struct model_answer *answer)
{
    model_judge(model, request, answer);
    if (answer->verdict == LEDGER_LATER && wait > 0 && answer->earliest <= model->now + wait)
        answer->verdict = LEDGER_WAITING;
}

/* --- changes ----------------------------------------------------------------- */

static void reserve(struct model *model, const struct model_request *request, uint64_t id,
                    int owner, int ticket)
{
    if (model->reservation_count == MODEL_OPEN)
        abort();
    model->reservations[model->reservation_count++] =
        (struct model_reservation){.id = id,
                                   .account = request->account,
                                   .owner = owner,
                                   .ticket = ticket,
                                   .amount = {request->wanted[0], request->wanted[1]}};
    model_mind(model, request->account, request->quota);
}

void model_reserve(struct model *model, const struct model_request *request, uint64_t id, int owner)
{
    reserve(model, request, id, owner, MODEL_NOBODY);
}

void model_count(struct model *model, const struct model_request *request)
{
    succeed(model, request->account);
    add_event(model, request->account, request->wanted[0], request->wanted[1]);
    model_mind(model, request->account, request->quota);
}

void model_enqueue(struct model *model, const struct model_request *request, int64_t wait,
                   int owner, int ticket)
{
    if (model->waiter_count == MODEL_OPEN)
        abort();
    model->waiters[model->waiter_count++] =
        (struct model_waiter){.account = request->account,
                              .owner = owner,
                              .ticket = ticket,
                              .quota = *request->quota,
                              .wanted = {request->wanted[0], request->wanted[1]},
                              .wait = wait,
                              .deadline = model->now + wait};
    model_mind(model, request->account, request->quota);
}

void model_give(struct model *model, uint64_t id, int owner)
{
    struct model_reservation *reservation = &model->reservations[find(model, id)];
    if (reservation->owner == MODEL_NOBODY)
        reservation->owner = owner;
}

static void count_as_sent(struct model *model, size_t i, uint32_t recipients)
{
    const struct model_reservation reservation = model->reservations[i];
    remove_reservation(model, i);
    add_event(model, reservation.account,
              recipients < reservation.amount[0] ? recipients : reservation.amount[0],
              reservation.amount[1]);
}

void model_settle(struct model *model, uint64_t id, uint32_t recipients)
{
    size_t i = find(model, id);
    if (recipients == 0) {
        remove_reservation(model, i);
        return;
    }
    succeed(model, model->reservations[i].account);
    count_as_sent(model, i, recipients);
}

void model_release(struct model *model, uint64_t id)
{
    remove_reservation(model, find(model, id));
}

void model_abandon(struct model *model, int owner)
{
    for (size_t i = model->waiter_count; i-- > 0;)
        if (model->waiters[i].owner == owner)
            remove_waiter(model, i);
    for (size_t i = model->reservation_count; i-- > 0;)
        if (model->reservations[i].owner == owner)
            count_as_sent(model, i, UINT32_MAX); /* unknown: no success */
}

/* --- serving ----------------------------------------------------------------- */

/* The account's first waiter, or `waiter_count`. */
static size_t head_of(const struct model *model, int account)
{
    size_t i = 0;
    while (i < model->waiter_count && model->waiters[i].account != account)
        i++;
    return i;
}

static bool is_late(const struct model *model, const struct model_waiter *waiter)
{
    int64_t until = model->pauses[waiter->account].until;
    return waiter->deadline <= model->now ||
           (is_paused(model, waiter->account) && until > waiter->deadline);
}

/* In the order in which they came: who has room is granted it, who is late is turned away, which
 * may make room for those behind. */
size_t model_serve(struct model *model, struct model_answer *answers, size_t most)
{
    size_t count = 0;
    for (size_t i = 0; i < model->waiter_count && count < most;) {
        const struct model_waiter waiter = model->waiters[i];
        const struct model_request request = request_of(&waiter);
        struct model_answer *answer = &answers[count];
        judge(model, &request, i, answer);
        answer->ticket = waiter.ticket;
        if (answer->verdict != LEDGER_GRANTED && !is_late(model, &waiter)) {
            i++;
            continue;
        }
        count++;
        remove_waiter(model, i);
        if (answer->verdict == LEDGER_GRANTED)
            reserve(model, &request, 0, waiter.owner, waiter.ticket);
    }
    return count;
}

void model_identify(struct model *model, int ticket, uint64_t id)
{
    for (size_t i = 0; i < model->reservation_count; i++)
        if (model->reservations[i].ticket == ticket && model->reservations[i].id == 0)
            model->reservations[i].id = id;
}

int64_t model_due(struct model *model, bool *exact)
{
    int64_t due = INT64_MAX;
    *exact = true;
    for (size_t i = 0; i < model->waiter_count; i++) {
        const struct model_waiter *waiter = &model->waiters[i];
        int account = waiter->account;
        due = smaller(due, is_late(model, waiter) ? model->now : waiter->deadline);
        if (head_of(model, account) != i)
            continue;
        const struct model_request request = request_of(waiter);
        int64_t from = is_paused(model, account) ? model->pauses[account].until : model->now;
        if (!model_has_probe(model, account))
            due = smaller(due, room_from(model, &request, from, NULL, true));
        for (size_t j = 0; j < model->reservation_count; j++)
            if (model->reservations[j].account == account)
                *exact = false;
    }
    return due;
}

/* --- batches ----------------------------------------------------------------- */

/* How long events are kept at least. */
static int64_t kept(const struct model *model, int account)
{
    return larger(model->retention, model->memory[account].asked) + model->guard;
}

static void move_horizons(struct model *model, int64_t now)
{
    for (int i = 0; i < MODEL_ACCOUNTS; i++)
        model->memory[i].horizon = larger(model->memory[i].horizon, now - kept(model, i));
}

/* What lies in the future is moved to the present. */
static void clamp(struct model *model)
{
    for (size_t i = 0; i < model->event_count; i++)
        model->events[i].time = smaller(model->events[i].time, model->now);
    for (size_t i = 0; i < model->waiter_count; i++)
        model->waiters[i].deadline =
            smaller(model->waiters[i].deadline, model->now + model->waiters[i].wait);
    for (int i = 0; i < MODEL_ACCOUNTS; i++)
        move_pause(&model->pauses[i], model->pauses[i].since, model->now);
}

void model_begin(struct model *model, int64_t now, int64_t truth)
{
    model->now = now;
    model->truth = truth;
    for (int i = 0; i < MODEL_ACCOUNTS; i++)
        model->memory[i].is_minded = model->memory[i].is_longer = false;
    clamp(model);
    move_horizons(model, now);
}

void model_commit(struct model *model)
{
    for (int i = 0; i < MODEL_ACCOUNTS; i++)
        if (model->memory[i].is_minded)
            model->memory[i].saved = model->memory[i].asked;
}

bool model_looks_further(const struct model *model)
{
    for (int i = 0; i < MODEL_ACCOUNTS; i++)
        if (model->memory[i].is_longer)
            return true;
    return false;
}

/* Only what is written is undone: who was answered has gone, and who came waits. */
void model_undo(struct model *model, const struct model *before)
{
    static struct model after;
    model_copy(&after, model);
    model_copy(model, before);
    memcpy(model->waiters, after.waiters, after.waiter_count * sizeof(*after.waiters));
    model->waiter_count = after.waiter_count;
}

void model_restart(struct model *model, int64_t now, int64_t truth)
{
    model->waiter_count = 0;
    for (int i = 0; i < MODEL_ACCOUNTS; i++)
        model->memory[i].asked = model->memory[i].saved;
    model_begin(model, now, truth);
    while (model->reservation_count > 0)
        count_as_sent(model, 0, UINT32_MAX);
    model_commit(model);
}

void model_configure(struct model *model, const struct ledger_rules *rules)
{
    model->guard = rules->guard;
    model->retention = rules->retention;
}

void model_tidy(struct model *model)
{
    for (int i = 0; i < MODEL_ACCOUNTS; i++)
        if (!is_known(model, i))
            model->memory[i].asked = model->memory[i].saved = 0;
}

/* --- what the ledger has kept ------------------------------------------------ */

bool model_is_certain(const struct model *model, const struct quota *quotas, size_t count,
                      int64_t now)
{
    for (size_t i = 0; i < model->event_count; i++) {
        const struct model_event *event = &model->events[i];
        int64_t longest = 0;
        for (size_t j = 0; j < count; j++)
            longest = larger(longest, ledger_longest_period(&quotas[j]));
        for (size_t j = 0; j < model->waiter_count; j++)
            if (model->waiters[j].account == event->account)
                longest = larger(longest, ledger_longest_period(&model->waiters[j].quota));
        int64_t horizon =
            larger(model->memory[event->account].horizon, now - kept(model, event->account));
        int64_t time = smaller(event->time, now);
        if (!event->is_lost && time > now - longest - model->guard && time <= horizon)
            return false;
    }
    return true;
}

/* The account's event before event `i`, or SIZE_MAX. */
static size_t previous(const struct model *model, int account, size_t i)
{
    while (i-- > 0)
        if (model->events[i].account == account)
            return i;
    return SIZE_MAX;
}

/*
 * Where an event may be put. A restart finds it as it was written, though not in the future, and
 * not later than what was sent after it: `later` is the earliest time of those.
 */
static const char *put_event(struct model_event *event, int64_t time, int64_t later,
                             const struct model *model, bool after_restart)
{
    int64_t earliest = event->time, latest = event->time;
    if (after_restart) {
        earliest = smaller(earliest, later);
        latest = larger(latest, smaller(event->written, model->now));
    }
    if (time < earliest)
        return "an event was moved back in time";
    if (time > latest)
        return "an event was moved forward in time";
    event->time = time;
    event->is_lost = false;
    return NULL;
}

/* An event from between others may be gone, if those were put later by a restart. */
static bool is_skipped(const struct model *model, const struct model_event *event, int64_t time,
                       bool after_restart)
{
    if (!after_restart)
        return event->is_lost;
    return event->time <= model->memory[event->account].horizon && time > event->time &&
           time > smaller(event->written, model->now);
}

static const char *adopt_slot(struct model *model, int account, const struct model_slot *slot,
                              size_t *i, int64_t *later, bool after_restart)
{
    uint64_t sum[2] = {0, 0};
    const char *wrong = NULL;
    while (wrong == NULL && (sum[0] < slot->sent[0] || sum[1] < slot->sent[1])) {
        if (*i == SIZE_MAX)
            return "the ledger holds more than was ever sent";
        struct model_event *event = &model->events[*i];
        *i = previous(model, account, *i);
        if (is_skipped(model, event, slot->time, after_restart)) {
            event->is_lost = true;
        } else {
            sum[0] += event->amount[0];
            sum[1] += event->amount[1];
            wrong = put_event(event, slot->time, *later, model, after_restart);
        }
        *later = smaller(*later, event->written);
    }
    if (wrong == NULL && (sum[0] != slot->sent[0] || sum[1] != slot->sent[1]))
        wrong = "the ledger counts something else than was sent";
    return wrong;
}

const char *model_adopt(struct model *model, int account, const struct model_slot *slots,
                        size_t count, bool after_restart)
{
    struct model_memory *memory = &model->memory[account];
    size_t i = previous(model, account, model->event_count);
    int64_t later = INT64_MAX;
    const char *wrong = NULL;
    while (count-- > 0 && wrong == NULL)
        wrong = adopt_slot(model, account, &slots[count], &i, &later, after_restart);
    for (; i != SIZE_MAX && wrong == NULL; i = previous(model, account, i)) {
        if (!model->events[i].is_lost && model->events[i].time > memory->horizon)
            wrong = "an event is lost";
        model->events[i].is_lost = true;
    }
    for (size_t k = 0; after_restart && k < model->event_count; k++)
        if (model->events[k].account == account)
            model->events[k].written = smaller(model->events[k].written, model->now);
    memory->horizon = model->now - kept(model, account);
    return wrong;
}

uint64_t model_peak(const struct model *model, int account, int measure, int64_t period)
{
    uint64_t peak = 0;
    for (size_t i = 0; i < model->event_count; i++) {
        uint64_t held = 0;
        for (size_t j = 0; j < model->event_count; j++) {
            const struct model_event *event = &model->events[j];
            if (event->account == account && event->truth >= model->events[i].truth &&
                event->truth - model->events[i].truth < period)
                held += event->amount[measure];
        }
        peak = held > peak ? held : peak;
    }
    return peak;
}
