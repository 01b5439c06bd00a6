/* test_acceptance.c - whether a new access token may help after a refused login */
#include "tokend/acceptance.h"

#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MINUTE (60 * CLOCK_SECOND)
#define GOT    (1000 * MINUTE)

#define REFUSED "535 5.7.3 Authentication unsuccessful [FR0P281CA0001.DEUP281.PROD.OUTLOOK.COM]"

static bool helps(const struct acceptance *acceptance, const char *reply, int64_t now)
{
    int64_t renewed_at = 0;
    return acceptance_wants_new(acceptance, "a@x.example", reply, GOT, &renewed_at, now);
}

static void only_these_replies_speak_of_the_token(void **state)
{
    (void)state;
    static const struct acceptance nobody;
    int64_t now = GOT + 5 * MINUTE;
    assert_true(helps(&nobody, REFUSED, now));
    assert_true(helps(&nobody, "535-5.7.3 Authentication unsuccessful", now));
    assert_true(helps(&nobody, "535 5.7.3", now));
    assert_false(helps(&nobody, "535 5.7.139 Authentication unsuccessful, disabled", now));
    assert_false(helps(&nobody, "535 5.7.30 No", now));
    assert_false(helps(&nobody, "454 4.7.0 Temporary authentication failure", now));
    assert_false(helps(&nobody, "535", now));
    assert_false(helps(&nobody, "", now));
}

static void a_token_of_less_than_a_minute_is_not_to_blame(void **state)
{
    (void)state;
    static const struct acceptance nobody;
    assert_false(helps(&nobody, REFUSED, GOT + MINUTE - 1));
    assert_true(helps(&nobody, REFUSED, GOT + MINUTE));
}

static void nor_one_that_somebody_else_logs_in_with(void **state)
{
    (void)state;
    struct acceptance acceptance = {0};
    int64_t now = GOT + 20 * MINUTE;
    acceptance_note(&acceptance, "b@x.example", now);
    assert_false(helps(&acceptance, REFUSED, now + 5 * MINUTE - 1));
    assert_true(helps(&acceptance, REFUSED, now + 5 * MINUTE));
    /* That it did itself says nothing, and hides nobody. */
    acceptance_note(&acceptance, "A@X.example", now + MINUTE);
    acceptance_note(&acceptance, "a@x.example", now + 2 * MINUTE);
    assert_false(helps(&acceptance, REFUSED, now + 3 * MINUTE));
    assert_true(helps(&acceptance, REFUSED, now + 6 * MINUTE));
}

static void once_in_ten_minutes_for_an_account(void **state)
{
    (void)state;
    static const struct acceptance nobody;
    int64_t renewed_at = 0, now = GOT + 2 * MINUTE;
    assert_true(acceptance_wants_new(&nobody, "a@x.example", REFUSED, GOT, &renewed_at, now));
    assert_true(renewed_at == now);
    assert_false(acceptance_wants_new(&nobody, "a@x.example", REFUSED, GOT, &renewed_at,
                                      now + 10 * MINUTE - 1));
    assert_true(
        acceptance_wants_new(&nobody, "a@x.example", REFUSED, GOT, &renewed_at, now + 10 * MINUTE));
}

static void a_token_that_ends_is_replaced_whatever_its_age(void **state)
{
    (void)state;
    struct acceptance acceptance = {0};
    acceptance_note(&acceptance, "b@x.example", GOT);
    assert_true(helps(&acceptance, "501 5.5.127 Token will expire soon", GOT + 1));
    assert_true(helps(&acceptance, "535 5.7.142 Token will expire soon", GOT + 1));
    assert_true(helps(&acceptance, "535 5.7.143 Token expired", GOT + 1));
    assert_false(helps(&acceptance, "535 5.7.144 Invalid permissions", GOT + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_these_replies_speak_of_the_token),
        cmocka_unit_test(a_token_of_less_than_a_minute_is_not_to_blame),
        cmocka_unit_test(nor_one_that_somebody_else_logs_in_with),
        cmocka_unit_test(once_in_ten_minutes_for_an_account),
        cmocka_unit_test(a_token_that_ends_is_replaced_whatever_its_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
