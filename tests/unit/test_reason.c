/* test_reason.c - whose message it is, as a reason in Postfix's queue tells it */
#include "common/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void an_account_is_found_where_the_transport_has_put_it(void **state)
{
    (void)state;
    static const struct {
        const char *reason;
        const char *account; /* NULL: none */
    } cases[] = {
        {NULL, NULL},
        {"", NULL},
        {"host relay[post365/transport] said: 450 4.7.1 joe@contoso.com has used 30 of 30 messages "
         "per 1m; room at 14:05:00 (in 61 s) (account <joe@contoso.com>) (in reply to DATA "
         "command)",
         "joe@contoso.com"},
        {"host relay[post365/accounts/relay@contoso.com] said: 451 4.4.1 no room (account "
         "<Joe@Contoso.com>) (in reply to DATA command)",
         "joe@contoso.com"},
        {"connect to relay[post365/accounts/relay@contoso.com]: No such file or directory",
         "relay@contoso.com"},
        {"host relay[post365/accounts/relay@contoso.com] refused to talk to me: 421 4.7.1 "
         "relay@contoso.com is paused until 14:05:00 (in 61 s): by hand",
         "relay@contoso.com"},
        {"host relay[post365/transport] said: 450 4.2.0 host m said: 450 write to (account "
         "<eve@evil.example>) (account <joe@contoso.com>)",
         "joe@contoso.com"},
        {"451 4.3.0 (account <m\xc3\xbcller@contoso.com>)", "m\xc3\xbcller@contoso.com"},
        {"connect to relay[post365/transport]: Connection refused", NULL},
        {"host mx[192.0.2.1] said: 450 4.2.0 busy", NULL},
        {"451 4.3.0 cut in the midst (account <joe@contos", NULL},
        {"451 4.3.0 (account <>)", NULL},
        {"451 4.3.0 (account <no address>)", NULL},
        {"451 4.3.0 (account <joe@contoso.com>", NULL},
        {"connect to relay[post365/accounts/relay@contoso.com", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *account = reason_account(cases[i].reason);
        if (cases[i].account == NULL)
            assert_null(account);
        else
            assert_string_equal(account, cases[i].account);
        free(account);
    }
}

static void the_form_is_read_again(void **state)
{
    (void)state;
    struct buffer reply = {0};
    buffer_append_string(&reply, "450 4.7.1 tomorrow");
    reason_append_account(&reply, "joe@contoso.com");
    assert_int_equal(reply.length,
                     strlen("450 4.7.1 tomorrow") + REASON_FORM_LENGTH + strlen("joe@contoso.com"));
    char *account = reason_account(reply.data);
    assert_string_equal(account, "joe@contoso.com");
    free(account);
    buffer_free(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_is_found_where_the_transport_has_put_it),
        cmocka_unit_test(the_form_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
