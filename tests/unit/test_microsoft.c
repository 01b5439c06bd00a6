/* test_microsoft.c - which of Microsoft's servers a host is */
#include "common/microsoft.h"
#include "common/relayhost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void every_host_is_known_for_what_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        enum microsoft_host is;
    } cases[] = {
        {"smtp.office365.com", MICROSOFT_SUBMISSION},
        {"SMTP.Office365.com.", MICROSOFT_SUBMISSION},
        {"smtp-hve.office365.com", MICROSOFT_SUBMISSION},
        {"smtp-mail.outlook.com", MICROSOFT_SUBMISSION},
        {"smtp.office365.us", MICROSOFT_SUBMISSION},
        {"smtp.partner.outlook.cn", MICROSOFT_SUBMISSION},
        {"fabrikam-com.mail.protection.outlook.com", MICROSOFT_MX},
        {"FABRIKAM-COM.Mail.Protection.Outlook.COM.", MICROSOFT_MX},
        {"fabrikam-com.mail.protection.office365.us", MICROSOFT_MX},
        {"fabrikam-cn.mail.protection.partner.outlook.cn", MICROSOFT_MX},
        {"fabrikam-de.mail.protection.outlook.de", MICROSOFT_MX},
        {"fabrikam-com.o-v1.mx.microsoft", MICROSOFT_MX},
        {"fabrikam-com.b-v1.mx.microsoft", MICROSOFT_MX},
        {"fabrikam-com.mail.eo.outlook.com", MICROSOFT_MX},
        {"mail.protection.outlook.com.example", MICROSOFT_NONE},
        {"notoffice365.com", MICROSOFT_NONE},
        {"mx.microsoft", MICROSOFT_NONE},
        {"smtp.gmail.com", MICROSOFT_NONE},
        {"192.0.2.1", MICROSOFT_NONE},
        {"", MICROSOFT_NONE},
        {".", MICROSOFT_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (microsoft_host(cases[i].host) != cases[i].is)
            fail_msg("%s is taken for something else", cases[i].host);
}

static void a_relayhost_where_nobody_can_log_in_is_named(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "fabrikam-com.mail.protection.outlook.com", "[fabrikam-com.mail.protection.outlook.com]:25",
        "[smtp.office365.com]:587, [fabrikam-com.o-v1.mx.microsoft]"};
    struct error error;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(relayhost_takes_logins(wrong[i], &error));
        assert_non_null(strstr(error.text, "direct send"));
        assert_non_null(strstr(error.text, "fabrikam-com."));
    }
    assert_true(relayhost_takes_logins("[smtp.office365.com]:587", &error));
    assert_true(relayhost_takes_logins("", &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_host_is_known_for_what_it_is),
        cmocka_unit_test(a_relayhost_where_nobody_can_log_in_is_named),
    };
    return cmocka_run_group_tests_name("microsoft", tests, NULL, NULL);
}
