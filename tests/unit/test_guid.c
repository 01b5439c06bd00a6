/* test_guid.c - the form of Microsoft's ids */
#include "common/guid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool is(const char *text)
{
    return guid_is(text, strlen(text));
}

static void an_id_is_one(void **state)
{
    (void)state;
    assert_true(is("c0ffee00-365a-4365-8365-0123456789ab"));
    assert_true(is("C0FFEE00-365A-4365-8365-0123456789AB"));
}

static void nothing_else_is(void **state)
{
    (void)state;
    static const char *const others[] = {"",
                                         "c0ffee00365a436583650123456789ab",
                                         "c0ffee00-365a-4365-8365-0123456789a",
                                         "c0ffee00-365a-4365-8365-0123456789ab ",
                                         "c0ffee00-365a-4365-8365-0123456789ag",
                                         "c0ffee0-0365a-4365-8365-0123456789ab",
                                         "c0ffee00-365a-4365-8365_0123456789ab",
                                         "{0ffee00-365a-4365-8365-0123456789a}",
                                         "------------------------------------"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(is(others[i]));
    assert_false(guid_is("c0ffee00-365a-4365-8365-0123456789a\0", 36));
    assert_true(guid_is("c0ffee00-365a-4365-8365-0123456789ab;", 36));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_one),
        cmocka_unit_test(nothing_else_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
