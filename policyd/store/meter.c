/* meter.c - a store that counts what another one does */
#include "policyd/store/meter.h"

#include "common/memory.h"

#include <stdlib.h>

struct store_meter {
    struct store store;
    struct store *inner;
    struct store_counts counts;
};

static struct store_meter *meter_of(struct store *store)
{
    return (struct store_meter *)(void *)store;
}

static bool meter_read(struct store *store, const struct store_reader *reader, struct error *error)
{
    struct store *inner = meter_of(store)->inner;
    return inner->operations->read(inner, reader, error);
}

static bool meter_read_clock(struct store *store, struct store_clock *clock, enum store_time *time,
                             struct error *error)
{
    struct store *inner = meter_of(store)->inner;
    return inner->operations->read_clock(inner, clock, time, error);
}

/* Records, each entry of a turn as one. */
static uint64_t size_of(const struct store_change *changes, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += changes[i].kind == STORE_PUT_TURN ? changes[i].turn.count : 1;
    return size;
}

static bool meter_write(struct store *store, const struct store_change *changes, size_t count,
                        struct error *error)
{
    struct store_meter *meter = meter_of(store);
    struct store_counts *counts = &meter->counts;
    uint64_t begin = distribution_clock();
    if (!meter->inner->operations->write(meter->inner, changes, count, error)) {
        counts->failed_writes++;
        counts->write_error = *error;
        return false;
    }
    distribution_add(&counts->write_times, distribution_clock() - begin);
    distribution_add(&counts->write_sizes, size_of(changes, count));
    counts->write_error.text[0] = '\0';
    return true;
}

static bool note_upkeep(struct store_meter *meter, bool worked, const struct error *error)
{
    if (worked) {
        meter->counts.upkeep_error.text[0] = '\0';
    } else {
        meter->counts.failed_upkeep++;
        meter->counts.upkeep_error = *error;
    }
    return worked;
}

static bool meter_expire(struct store *store, int64_t before, size_t most, struct store_rest *rest,
                         struct error *error)
{
    struct store_meter *meter = meter_of(store);
    const struct store_operations *operations = meter->inner->operations;
    uint64_t begin = distribution_clock();
    bool worked = operations->expire(meter->inner, before, most, rest, error);
    distribution_add(&meter->counts.expiry_times, distribution_clock() - begin);
    return worked || note_upkeep(meter, false, error);
}

static bool meter_maintain(struct store *store, struct error *error)
{
    struct store_meter *meter = meter_of(store);
    return note_upkeep(meter, meter->inner->operations->maintain(meter->inner, error), error);
}

static void meter_close(struct store *store)
{
    struct store_meter *meter = meter_of(store);
    meter->inner->operations->close(meter->inner);
    free(meter);
}

struct store *store_meter_new(struct store *inner)
{
    static const struct store_operations operations = {.read_clock = meter_read_clock,
                                                       .read = meter_read,
                                                       .write = meter_write,
                                                       .expire = meter_expire,
                                                       .maintain = meter_maintain,
                                                       .close = meter_close};
    struct store_meter *meter = memory_zero(1, sizeof(*meter));
    meter->store.operations = &operations;
    meter->inner = inner;
    meter->counts.write_times.scale = &distribution_times;
    meter->counts.write_sizes.scale = &distribution_sizes;
    meter->counts.expiry_times.scale = &distribution_times;
    return &meter->store;
}

const struct store_counts *store_meter_counts(const struct store *meter)
{
    return &((const struct store_meter *)(const void *)meter)->counts;
}
