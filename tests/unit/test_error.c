/* test_error.c - reasons in one line, however long their parts are */
#include "common/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void a_prefix_stands_in_front(void **state)
{
    (void)state;
    struct error error;
    assert_false(error_set(&error, "reason %d", 1));
    assert_false(error_prefix(&error, "/etc/postfix/main.cf: %s", "name"));
    assert_string_equal(error.text, "/etc/postfix/main.cf: name: reason 1");
    assert_false(error_set(NULL, "reason"));
    assert_false(error_prefix(NULL, "prefix"));
}

static void of_a_long_prefix_and_a_reason_the_reason_is_kept(void **state)
{
    (void)state;
    char value[3 * ERROR_TEXT_SIZE];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (size_t length = 0; length < sizeof(value); length++) {
        struct error error;
        error_set(&error, "missing '}'; close the braces");
        error_prefix(&error, "main.cf: name = %s", value + sizeof(value) - 1 - length);
        const char *reason = strstr(error.text, ": missing '}'; close the braces");
        assert_non_null(reason);
        assert_true(strlen(error.text) < ERROR_TEXT_SIZE);
        assert_memory_equal(error.text, "main.cf: name = ", 16);
        assert_int_equal(reason == error.text + 16 + length,
                         strlen(error.text) == 16 + length + strlen(reason));
    }
}

static void of_a_long_reason_the_prefix_is_shown_too(void **state)
{
    (void)state;
    char value[3 * ERROR_TEXT_SIZE];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    struct error error;
    error_set(&error, "%s", value);
    error_prefix(&error, "main.cf: %s", value);
    assert_int_equal(strlen(error.text), ERROR_TEXT_SIZE - 1);
    assert_memory_equal(error.text, "main.cf: x", 10);
    assert_non_null(strstr(error.text, "...: xxx"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prefix_stands_in_front),
        cmocka_unit_test(of_a_long_prefix_and_a_reason_the_reason_is_kept),
        cmocka_unit_test(of_a_long_reason_the_prefix_is_shown_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
