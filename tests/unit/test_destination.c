/* test_destination.c - what relayhost means */
#include "common/destination.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_form_gives_host_and_port(void **state)
{
    (void)state;
    static const struct {
        const char *relayhost, *host, *port;
    } cases[] = {
        {"[smtp.office365.com]:587", "smtp.office365.com", "587"},
        {"[smtp.office365.com]", "smtp.office365.com", "587"},
        {"smtp.office365.com:25", "smtp.office365.com", "25"},
        {"smtp.office365.com", "smtp.office365.com", "587"},
        {"[smtp.office365.com]:submission", "smtp.office365.com", "587"},
        {"[2001:db8::1]:587", "2001:db8::1", "587"},
        {"[ipv6:2001:db8::1]:587", "2001:db8::1", "587"},
        {"[IPv6:::1]", "::1", "587"},
        {"[192.0.2.1]:submission", "192.0.2.1", "587"},
        {" [one.example]:1, [two.example]:2", "one.example", "1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char relayhost[64], directory[] = "/etc/postfix";
        snprintf(relayhost, sizeof(relayhost), "%s", cases[i].relayhost);
        struct settings settings = {.config_directory = directory, .relayhost = relayhost};
        struct destination destination;
        struct error error = {""};
        if (!destination_parse(&settings, &destination, &error))
            fail_msg("%s: %s", relayhost, error.text);
        assert_string_equal(destination.host, cases[i].host);
        assert_string_equal(destination.port, cases[i].port);
    }
}

static void what_makes_no_sense_is_named(void **state)
{
    (void)state;
    static const char *const cases[] = {"",          "[]",         ":587",         "[host",
                                        "[host]587", "[host]:0",   "[host]:65536", "[host]:x",
                                        "[host]:",   "[host]:587x"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char relayhost[64], directory[] = "/etc/postfix";
        snprintf(relayhost, sizeof(relayhost), "%s", cases[i]);
        struct settings settings = {.config_directory = directory, .relayhost = relayhost};
        struct destination destination;
        struct error error = {""};
        if (destination_parse(&settings, &destination, &error))
            fail_msg("%s was taken for %s port %s", relayhost, destination.host, destination.port);
        assert_non_null(strstr(error.text, "/etc/postfix/main.cf: relayhost = "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_gives_host_and_port),
        cmocka_unit_test(what_makes_no_sense_is_named),
    };
    return cmocka_run_group_tests_name("destination", tests, NULL, NULL);
}
