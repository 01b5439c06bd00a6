/* ledger_model.c - the ledger as simple as it can be written, to compare the real one with */
#include "tests/unit/ledger_model.h"

#include <stdlib.h>

static struct model_event *add(struct model *model, int account)
{
    if (model->count == MODEL_EVENTS)
        abort();
    struct model_event *event = &model->events[model->count++];
    *event = (struct model_event){.account = account};
    return event;
}

static void take_out(struct model *model, size_t i)
{
    for (; i + 1 < model->count; i++)
        model->events[i] = model->events[i + 1];
    model->count--;
}

/* Moves what is later than `now` to `now`. */
static void clamp(struct model *model, int account, int64_t now)
{
    for (size_t i = 0; i < model->count; i++) {
        struct model_event *event = &model->events[i];
        if (event->account == account && !event->is_reserved && event->time > now)
            event->time = now;
    }
}

/* Forgets what is out of every window. */
static void prune(struct model *model, int account, int64_t now)
{
    for (size_t i = 0; i < model->count; i++) {
        struct model_event *event = &model->events[i];
        if (event->account == account && !event->is_reserved &&
            event->time + model->retention + model->guard <= now)
            event->is_pruned = true;
    }
}

/* What the window holds at `when`, if open reservations count as sent `now`. */
static uint64_t used_at(const struct model *model, int account, int measure, int64_t period,
                        int64_t when, int64_t now)
{
    uint64_t used = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct model_event *event = &model->events[i];
        int64_t time = event->is_reserved ? now : event->time;
        if (event->account == account && !event->is_pruned && when < time + period + model->guard)
            used += event->amount[measure];
    }
    return used;
}

static int64_t earliest(const struct model *model, int account, int measure,
                        const struct quota_rate *rate, uint32_t wanted, int64_t now)
{
    int64_t best = INT64_MAX;
    for (size_t i = 0; i < model->count; i++) {
        const struct model_event *event = &model->events[i];
        int64_t when = (event->is_reserved ? now : event->time) + rate->period + model->guard;
        if (event->account == account && when > now && when < best &&
            used_at(model, account, measure, rate->period, when, now) + wanted <= rate->limit)
            best = when;
    }
    return best;
}

void model_judge(struct model *model, int account, const struct quota *quota,
                 const uint32_t *wanted, int64_t now, struct ledger_answer *answer)
{
    const struct quota_rate *rates[] = {&quota->recipients, &quota->messages};
    clamp(model, account, now);
    prune(model, account, now);
    model->asked[account] = true;
    *answer = (struct ledger_answer){.verdict = LEDGER_GRANTED, .now = now, .earliest = now};
    for (int i = 0; i < 2; i++) {
        if (rates[i]->limit == QUOTA_UNLIMITED || wanted[i] == 0)
            continue;
        uint64_t used = used_at(model, account, i, rates[i]->period, now, now);
        if (wanted[i] > rates[i]->limit) {
            answer->verdict = LEDGER_NEVER;
        } else if (answer->verdict != LEDGER_NEVER && used + wanted[i] > rates[i]->limit) {
            int64_t when = earliest(model, account, i, rates[i], wanted[i], now);
            if (answer->verdict == LEDGER_LATER && when <= answer->earliest)
                continue;
            answer->verdict = LEDGER_LATER;
            answer->earliest = when;
            answer->measure = (enum ledger_measure)i;
            answer->used = (uint32_t)used;
        }
    }
}

void model_reserve(struct model *model, int account, const uint32_t *wanted, uint64_t id,
                   int64_t now)
{
    struct model_event *event = add(model, account);
    event->time = event->written = now;
    event->amount[0] = wanted[0];
    event->amount[1] = wanted[1];
    event->id = id;
    event->is_reserved = true;
}

static size_t find(const struct model *model, uint64_t id)
{
    size_t i = 0;
    while (i < model->count && (model->events[i].id != id || !model->events[i].is_reserved))
        i++;
    if (i == model->count)
        abort();
    return i;
}

void model_settle(struct model *model, uint64_t id, uint32_t recipients, int64_t now, int64_t truth)
{
    struct model_event sent = model->events[find(model, id)];
    model_release(model, id);
    if (recipients == 0)
        return;
    clamp(model, sent.account, now);
    model->settled[sent.account] = true;
    sent.amount[0] = recipients < sent.amount[0] ? recipients : sent.amount[0];
    sent.time = sent.written = now;
    sent.truth = truth;
    sent.id = 0;
    sent.is_reserved = false;
    *add(model, sent.account) = sent;
}

void model_release(struct model *model, uint64_t id)
{
    take_out(model, find(model, id));
}

void model_commit(struct model *model)
{
    for (int i = 0; i < MODEL_ACCOUNTS; i++)
        model->asked[i] = model->settled[i] = false;
}

void model_undo(struct model *model, const struct model *before, int64_t now)
{
    struct model after = *model;
    *model = *before;
    for (int i = 0; i < MODEL_ACCOUNTS; i++) {
        if (after.asked[i] || after.settled[i])
            clamp(model, i, now);
        if (after.asked[i])
            prune(model, i, now);
        model->asked[i] = model->settled[i] = false;
    }
}

void model_tidy(struct model *model, int64_t now)
{
    for (int i = 0; i < MODEL_ACCOUNTS; i++) {
        clamp(model, i, now);
        prune(model, i, now);
    }
}

void model_restart(struct model *model, int64_t now, int64_t truth)
{
    for (size_t i = 0; i < model->count; i++) {
        struct model_event *event = &model->events[i];
        if (event->written > now && !event->is_reserved)
            event->written = now;
        event->time = event->written;
        if (!event->is_reserved)
            event->is_pruned = event->time + model->retention + model->guard <= now;
        for (size_t j = 0; j < i && !event->is_reserved && !event->is_pruned; j++)
            if (model->events[j].account == event->account && model->events[j].time > event->time)
                model->events[j].time = event->time;
    }
    for (size_t i = 0, count = model->count; i < count; i++)
        if (model->events[i].is_reserved) {
            uint64_t id = model->events[i].id;
            model_settle(model, id, UINT32_MAX, now, truth);
            i--;
            count--;
        }
    model_commit(model);
}

uint64_t model_open_reservation(const struct model *model, unsigned nth)
{
    size_t open = 0;
    for (size_t i = 0; i < model->count; i++)
        open += model->events[i].is_reserved;
    if (open == 0)
        return 0;
    size_t wanted = nth % open;
    size_t i = 0;
    for (;; i++)
        if (model->events[i].is_reserved && wanted-- == 0)
            break;
    return model->events[i].id;
}

uint64_t model_peak(const struct model *model, int account, enum ledger_measure measure,
                    int64_t period)
{
    uint64_t peak = 0;
    for (size_t i = 0; i < model->count; i++) {
        uint64_t held = 0;
        for (size_t j = 0; j < model->count; j++) {
            const struct model_event *event = &model->events[j];
            if (event->account == account && event->truth >= model->events[i].truth &&
                event->truth - model->events[i].truth < period)
                held += event->amount[measure];
        }
        peak = held > peak ? held : peak;
    }
    return peak;
}
