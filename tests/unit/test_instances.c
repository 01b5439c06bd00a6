/* test_instances.c - which messages were seen already */
#include "policyd/instances.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CAPACITY 8

static const char *name_of(unsigned number)
{
    static char name[32];
    snprintf(name, sizeof(name), "5a1.%u.0", number);
    return name;
}

/* The set has exactly the numbers first..end-1 of those up to `last`. */
static void expect_range(const struct instances *instances, unsigned first, unsigned end,
                         unsigned last)
{
    for (unsigned i = 0; i <= last; i++)
        if (instances_has(instances, name_of(i)) != (i >= first && i < end))
            fail_msg("%u is%s there, want %u to %u", i,
                     instances_has(instances, name_of(i)) ? "" : " not", first, end - 1);
    assert_int_equal(instances_count(instances), end - first);
}

static void the_oldest_is_forgotten_when_the_set_is_full(void **state)
{
    (void)state;
    struct instances *instances = instances_new(CAPACITY);
    for (unsigned i = 0; i < 100; i++) {
        instances_add(instances, name_of(i));
        expect_range(instances, i >= CAPACITY ? i - CAPACITY + 1 : 0, i + 1, 100);
    }
    instances_free(instances);
}

static void what_is_there_is_not_added_again(void **state)
{
    (void)state;
    struct instances *instances = instances_new(CAPACITY);
    for (unsigned i = 0; i < 100; i++)
        instances_add(instances, name_of(i % 3));
    expect_range(instances, 0, 3, 10);
    instances_free(instances);
}

static void additions_are_taken_back_until_they_are_kept(void **state)
{
    (void)state;
    struct instances *instances = instances_new(CAPACITY);
    for (unsigned i = 0; i < 5; i++)
        instances_add(instances, name_of(i));
    instances_keep(instances);
    for (unsigned i = 5; i < 7; i++)
        instances_add(instances, name_of(i));
    instances_undo(instances);
    expect_range(instances, 0, 5, 10);
    instances_undo(instances);
    expect_range(instances, 0, 5, 10);
    instances_free(instances);
}

static void taking_back_more_than_the_set_holds_leaves_it_empty(void **state)
{
    (void)state;
    struct instances *instances = instances_new(CAPACITY);
    instances_add(instances, name_of(0));
    instances_keep(instances);
    for (unsigned i = 1; i < 50; i++)
        instances_add(instances, name_of(i));
    instances_undo(instances);
    expect_range(instances, 0, 0, 60);
    for (unsigned i = 0; i < 5; i++)
        instances_add(instances, name_of(i));
    expect_range(instances, 0, 5, 60);
    instances_free(instances);
}

static void instances_that_look_alike_are_told_apart(void **state)
{
    (void)state;
    struct instances *instances = instances_new(CAPACITY);
    char longest[INSTANCE_MAX + 1];
    memset(longest, 'x', INSTANCE_MAX);
    longest[INSTANCE_MAX] = '\0';
    instances_add(instances, longest);
    assert_true(instances_has(instances, longest));
    longest[INSTANCE_MAX - 1] = '\0';
    assert_false(instances_has(instances, longest));
    longest[INSTANCE_MAX - 2] = 'y';
    assert_false(instances_has(instances, longest));
    assert_false(instances_has(instances, ""));
    instances_free(instances);
}

static void the_largest_set_works_as_any_other(void **state)
{
    (void)state;
    struct instances *instances = instances_new(INSTANCES_MAX);
    for (unsigned i = 0; i < 3 * INSTANCES_MAX; i++) {
        instances_add(instances, name_of(i));
        assert_true(instances_has(instances, name_of(i)));
        assert_true(i < INSTANCES_MAX || !instances_has(instances, name_of(i - INSTANCES_MAX)));
    }
    expect_range(instances, 2 * INSTANCES_MAX, 3 * INSTANCES_MAX, 3 * INSTANCES_MAX);
    instances_free(instances);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_is_forgotten_when_the_set_is_full),
        cmocka_unit_test(what_is_there_is_not_added_again),
        cmocka_unit_test(additions_are_taken_back_until_they_are_kept),
        cmocka_unit_test(taking_back_more_than_the_set_holds_leaves_it_empty),
        cmocka_unit_test(instances_that_look_alike_are_told_apart),
        cmocka_unit_test(the_largest_set_works_as_any_other),
    };
    return cmocka_run_group_tests_name("instances", tests, NULL, NULL);
}
