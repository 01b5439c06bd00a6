/* test_store_meter.c - what is counted of a store, and that everything reaches it */
#include "policyd/store/meter.h"

#include "store_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct store_sent sent[] = {{1, 1, 1}, {2, 1, 1}};
static const struct store_change changes[] = {
    {.kind = STORE_PUT_ACCOUNT, .account = {.number = 1, .retention = 9, .name = "a@b.example"}},
    {.kind = STORE_PUT_TURN, .turn = {.sequence = 5, .time = 1, .sent = sent, .count = 2}},
};

static uint64_t total(const struct distribution *distribution)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= distribution->scale->count; i++)
        sum += distribution->counts[i];
    return sum;
}

static void writes_are_passed_on_and_counted(void **state)
{
    (void)state;
    struct error error = {""};
    struct store *inner = store_memory_new(), *meter = store_meter_new(inner);
    const struct store_counts *counts = store_meter_counts(meter);
    assert_true(meter->operations->write(meter, changes, 2, &error));
    assert_true(meter->operations->write(meter, changes + 1, 1, &error));
    assert_int_equal(store_memory_writes(inner), 2);
    assert_int_equal(store_memory_accounts(inner), 1);
    assert_int_equal(total(&counts->write_times), 2);
    assert_int_equal(counts->write_sizes.sum, 5);
    assert_int_equal(counts->failed_writes, 0);
    meter->operations->close(meter);
    store_memory_free(inner);
}

static void the_last_write_says_whether_all_is_well(void **state)
{
    (void)state;
    struct error error = {""};
    struct store *inner = store_memory_new(), *meter = store_meter_new(inner);
    const struct store_counts *counts = store_meter_counts(meter);
    store_memory_fail_writes(inner, 1);
    assert_false(meter->operations->write(meter, changes, 2, &error));
    assert_string_equal(counts->write_error.text, error.text);
    assert_string_not_equal(counts->write_error.text, "");
    assert_int_equal(counts->failed_writes, 1);
    assert_int_equal(total(&counts->write_times), 0);
    assert_true(meter->operations->write(meter, changes, 2, &error));
    assert_string_equal(counts->write_error.text, "");
    assert_int_equal(counts->failed_writes, 1);
    meter->operations->close(meter);
    store_memory_free(inner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_are_passed_on_and_counted),
        cmocka_unit_test(the_last_write_says_whether_all_is_well),
    };
    return cmocka_run_group_tests_name("store_meter", tests, NULL, NULL);
}
