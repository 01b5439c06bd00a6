/* test_domains.c - the domains in a list such as mydestination */
#include "common/domains.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void names_and_literals_are_in_it(void **state)
{
    (void)state;
    static const struct {
        const char *list, *domain;
        bool want;
    } cases[] = {
        {"", "a.example", false},
        {"a.example", "a.example", true},
        {"a.example", "example", false},
        {"a.example", "b.a.example", false},
        {"a.example", "", false},
        {" x, A.Example\tb\n", "a.example", true},
        {" x, A.Example\tb\n", "b", true},
        {"a.example.", "a.example", true},
        {"JÖRG.example", "jörg.example", true},
        {"[192.0.2.1] [IPv6:::1]", "[192.0.2.1]", true},
        {"[192.0.2.1] [IPv6:::1]", "[ipv6:::1]", true},
        {"!a.example", "a.example", false},
        {"!a.example a.example", "a.example", false},
        {"a.example !A.example", "a.example", true},
        {"/a.example hash:/b", "/a.example", false},
        {"/a.example hash:/b", "hash:/b", false},
        {"!/a.example a.example", "a.example", true},
        {"inline:{a.example=b.example c} d", "c", false},
        {"inline:{a.example=b.example c} d", "d", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct domains *domains = domains_new(cases[i].list);
        if (domains_have(domains, cases[i].domain) != cases[i].want)
            fail_msg("\"%s\" in \"%s\": want %d", cases[i].domain, cases[i].list, cases[i].want);
        domains_free(domains);
    }
    domains_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_and_literals_are_in_it)};
    return cmocka_run_group_tests_name("domains", tests, NULL, NULL);
}
