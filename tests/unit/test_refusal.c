/* test_refusal.c - which of the causes behind one reply it is */
#include "common/office365.h"
#include "ctl/oauth2/refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *name_of(struct refusal refusal)
{
    const struct refusal_words *words = refusal_explain(&refusal);
    return words != NULL ? words->name : "none";
}

static void each_has_its_words(void **state)
{
    (void)state;
    static const struct {
        struct refusal refusal;
        const char *name;
        enum refusal_commands commands;
    } cases[] = {
        {{.cause = "token-refused", .model = TOKEN_MODEL_RBAC},
         "principal-or-scope",
         REFUSAL_PRINCIPAL},
        {{.cause = "token-refused", .model = TOKEN_MODEL_CLASSIC},
         "principal-or-scope",
         REFUSAL_PRINCIPAL},
        {{.cause = "token-refused", .model = TOKEN_MODEL_RBAC, .works_for_others = true},
         "outside-scope",
         REFUSAL_SCOPE},
        {{.cause = "token-refused", .model = TOKEN_MODEL_CLASSIC, .works_for_others = true},
         "mailbox-permission",
         REFUSAL_PERMISSION},
        {{.cause = "mailbox-logon", .model = TOKEN_MODEL_CLASSIC, .works_for_others = true},
         "mailbox-permission",
         REFUSAL_PERMISSION},
        {{.cause = "tenant-switch", .model = TOKEN_MODEL_RBAC}, "gate-closed", REFUSAL_GATE},
        {{.cause = "mailbox-switch", .grant = TOKEN_GRANT_USER, .model = TOKEN_MODEL_DELEGATED},
         "gate-closed",
         REFUSAL_GATE},
        {{.cause = "credentials-refused"}, "principal-or-scope", REFUSAL_PRINCIPAL},
        {{.cause = "token-permission"}, "high-volume-access", REFUSAL_HIGH_VOLUME},
        {{.cause = "application-not-listed"}, "high-volume-access", REFUSAL_HIGH_VOLUME},
        {{.cause = "token-refused", .is_high_volume = true},
         "high-volume-access",
         REFUSAL_HIGH_VOLUME},
        {{.cause = "token-refused", .grant = TOKEN_GRANT_USER, .model = TOKEN_MODEL_DELEGATED},
         "mailbox-refused",
         REFUSAL_NOTHING},
        {{.cause = "token-refused", .is_unfit = true, .works_for_others = true},
         "token-unfit",
         REFUSAL_NOTHING},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct refusal_words *words = refusal_explain(&cases[i].refusal);
        assert_non_null(words);
        assert_string_equal(words->name, cases[i].name);
        assert_int_equal(words->commands, cases[i].commands);
        assert_true(words->seen != NULL && words->meaning != NULL && words->remedy != NULL);
    }
}

/* What can be right a little later is not mended by changing something now. */
static void whoever_changed_something_is_told_to_wait(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {.cause = "token-refused"},
        {.cause = "token-refused", .works_for_others = true},
        {.cause = "mailbox-logon"},
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        assert_non_null(strstr(refusal_explain(&refusals[i])->remedy, "two hours ago, wait"));
}

static void other_causes_are_none_of_the_token(void **state)
{
    (void)state;
    size_t count, about = 0;
    const struct office365_row *rows = office365_rows(&count);
    for (size_t i = 0; i < count; i++)
        about += strcmp(name_of((struct refusal){.cause = rows[i].name}), "none") != 0;
    assert_int_equal(about, 7); /* so each name above is a row's */
    assert_string_equal(name_of((struct refusal){.cause = "throttled"}), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_its_words),
        cmocka_unit_test(whoever_changed_something_is_told_to_wait),
        cmocka_unit_test(other_causes_are_none_of_the_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
