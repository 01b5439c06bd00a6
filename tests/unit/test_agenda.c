/* test_agenda.c - the earliest comes first, whatever was moved or taken out */
#include "common/agenda.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ENTRIES 200
#define STEPS   20000

static uint64_t next_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static int64_t earliest_of(const struct agenda_entry *entries)
{
    int64_t earliest = AGENDA_NEVER;
    for (size_t i = 0; i < ENTRIES; i++)
        if (entries[i].place != 0 && entries[i].due < earliest)
            earliest = entries[i].due;
    return earliest;
}

static void an_empty_agenda_has_nothing(void **state)
{
    (void)state;
    struct agenda agenda = {0};
    struct agenda_entry entry = {0};
    assert_null(agenda_first(&agenda));
    agenda_set(&agenda, &entry, AGENDA_NEVER);
    assert_null(agenda_first(&agenda));
    agenda_free(&agenda);
}

static void the_earliest_is_first_after_every_step(void **state)
{
    (void)state;
    struct agenda agenda = {0};
    static struct agenda_entry entries[ENTRIES];
    uint64_t random = 365;
    for (int step = 0; step < STEPS; step++) {
        struct agenda_entry *entry = &entries[next_random(&random) % ENTRIES];
        uint64_t die = next_random(&random) % 4;
        agenda_set(&agenda, entry,
                   die == 0 ? AGENDA_NEVER : (int64_t)(next_random(&random) % 1000));
        const struct agenda_entry *first = agenda_first(&agenda);
        assert_true((first != NULL ? first->due : AGENDA_NEVER) == earliest_of(entries));
    }
    agenda_free(&agenda);
}

static void taken_out_one_by_one_they_are_in_order_of_time_and_turn(void **state)
{
    (void)state;
    struct agenda agenda = {0};
    static struct agenda_entry entries[ENTRIES];
    uint64_t random = 1;
    for (size_t i = 0; i < ENTRIES; i++)
        agenda_set(&agenda, &entries[i], (int64_t)(next_random(&random) % 50));
    const struct agenda_entry *last = NULL;
    int64_t last_due = -1;
    size_t count = 0;
    for (struct agenda_entry *first; (first = agenda_first(&agenda)) != NULL; count++) {
        assert_true(first->due > last_due || (first->due == last_due && first > last));
        last = first;
        last_due = first->due;
        agenda_set(&agenda, first, AGENDA_NEVER);
        assert_int_equal(first->place, 0);
    }
    assert_int_equal(count, ENTRIES);
    agenda_free(&agenda);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_agenda_has_nothing),
        cmocka_unit_test(the_earliest_is_first_after_every_step),
        cmocka_unit_test(taken_out_one_by_one_they_are_in_order_of_time_and_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
