/* test_quota.c - limits as an admin writes them */
#include "common/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define S INT64_C(1000000)

static void a_rate_is_number_slash_period(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t limit;
        int64_t period;
        const char *printed;
    } cases[] = {
        {"10000/1d", 10000, 86400 * S, "10000/1d"},
        {"30/1m", 30, 60 * S, "30/1m"},
        {"30/60s", 30, 60 * S, "30/1m"},
        {"30/60", 30, 60 * S, "30/1m"},
        {"7/90s", 7, 90 * S, "7/90s"},
        {"1/2w", 1, 14 * 86400 * S, "1/2w"},
        {"5/250ms", 5, 250000, "5/250ms"},
        {"5/3h", 5, 3 * 3600 * S, "5/3h"},
        {"none", QUOTA_UNLIMITED, S, "none"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct quota_rate rate;
        struct error error = {{0}};
        char text[64];
        if (!quota_parse_rate(cases[i].text, &rate, &error))
            fail_msg("%s: got error %s", cases[i].text, error.text);
        assert_int_equal(rate.limit, cases[i].limit);
        assert_int_equal(rate.period, cases[i].period);
        assert_string_equal(quota_format_rate(&rate, text, sizeof(text)), cases[i].printed);
    }
}

static void what_is_no_rate_is_refused_with_an_example(void **state)
{
    (void)state;
    static const char *const cases[] = {"",
                                        "30",
                                        "/1m",
                                        "30/",
                                        "30/1y",
                                        "30/0s",
                                        "0/1m",
                                        "-1/1m",
                                        "1.5/1m",
                                        "30/1m ",
                                        " 30/1m",
                                        "30 / 1m",
                                        "30/1m/2",
                                        "30/+1m",
                                        "0x10/1m",
                                        "4294967295/1m",
                                        "30/53w",
                                        "30/1 m",
                                        "99999999999999999999/1m",
                                        "1/99999999999999999999s"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct quota_rate rate = {77, 77};
        struct error error = {{0}};
        if (quota_parse_rate(cases[i], &rate, &error))
            fail_msg("\"%s\" was taken for a rate", cases[i]);
        assert_int_equal(rate.limit, 77);
        assert_non_null(strchr(error.text, '"'));
    }
}

static void overrides_change_what_they_name(void **state)
{
    (void)state;
    const struct quota defaults = {{10000, 86400 * S}, {30, 60 * S}, 500, 3};
    struct quota quota = defaults;
    struct error error;
    assert_true(quota_override(&quota, "connections=2", &error));
    assert_int_equal(quota.connections, 2);
    assert_true(quota_override(&quota, "messages=20/1m  recipients=2000/1d", &error));
    assert_int_equal(quota.messages.limit, 20);
    assert_int_equal(quota.recipients.limit, 2000);
    assert_int_equal(quota.recipients_per_message, 500);
    assert_true(quota_override(&quota, "hve recipients_per_message=40", &error));
    assert_int_equal(quota.messages.limit, QUOTA_UNLIMITED);
    assert_int_equal(quota.recipients.limit, QUOTA_UNLIMITED);
    assert_int_equal(quota.recipients_per_message, 40);
    quota = defaults;
    assert_true(quota_override(&quota, "", &error));
    assert_int_equal(quota.messages.limit, 30);
}

static void a_wrong_override_changes_nothing(void **state)
{
    (void)state;
    static const char *const cases[] = {"messages=20/1m nonsense", "recipients=5", "hvee",
                                        "recipients_per_message=0", "messages="};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct quota quota = {{10000, 86400 * S}, {30, 60 * S}, 500, 3};
        struct error error = {{0}};
        if (quota_override(&quota, cases[i], &error))
            fail_msg("\"%s\" was taken", cases[i]);
        assert_int_equal(quota.messages.limit, 30);
        assert_int_equal(quota.recipients_per_message, 500);
        assert_true(error.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_is_number_slash_period),
        cmocka_unit_test(what_is_no_rate_is_refused_with_an_example),
        cmocka_unit_test(overrides_change_what_they_name),
        cmocka_unit_test(a_wrong_override_changes_nothing),
    };
    return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
