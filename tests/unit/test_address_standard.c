/* test_address_standard.c - what Postfix takes a sender for; test_sender.py asks Postfix the same
 */
#include "common/address_standard.h"

#include "common/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct standard_case {
    const char *text;
    const char *want;
};

static const struct address_rules usual = {
    .origin = "corp.example", .swap_bangpath = true, .allow_percent_hack = true};

static void check(const struct standard_case *cases, size_t count,
                  const struct address_rules *rules)
{
    for (size_t i = 0; i < count; i++) {
        char *got = address_standard(cases[i].text, rules);
        char *again = address_standard(got, rules);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s: got %s, want %s", cases[i].text, got, cases[i].want);
        if (strcmp(again, got) != 0)
            fail_msg("%s: got %s at the second time, want %s", cases[i].text, again, got);
        free(got);
        free(again);
    }
}

#define CHECK(cases, rules) check(cases, sizeof(cases) / sizeof((cases)[0]), rules)

static void one_form_is_made_of_all_spellings(void **state)
{
    static const struct standard_case cases[] = {
        {"<news@corp.example>", "news@corp.example"},
        {"news@corp.example", "news@corp.example"},
        {"<news@corp.example.>", "news@corp.example"},
        {"<news@corp.example..>", "news@corp.example.."},
        {"<news@.>", "news@."},
        {"<news>", "news@corp.example"},
        {"< news @ corp.example >", "news@corp.example"},
        {"<NEWS@Corp.Example>", "NEWS@Corp.Example"},
        {"<(a (b\\)) c)news(d)@corp.example(e)>", "news@corp.example"},
        {"<news(@corp.example>", "news@corp.example"},
        {"<@a.example:news@corp.example>", "news@corp.example"},
        {"<@a.example,@b.example:news@corp.example.>", "news@corp.example"},
        {"<@[IPv6:::1]:news@corp.example>", "news@corp.example"},
        {"<@a.example:news>", "news@corp.example"},
        {"<@a.example:>", "\"\"@a.example:"},
        {"<corp.example!news>", "news@corp.example"},
        {"<b!corp.example!news>", "corp.example!news@b"},
        {"<a!b%c>", "b%c@a"},
        {"<corp.example!news@x.example>", "corp.example!news@x.example"},
        {"<news%corp.example>", "news@corp.example"},
        {"<news%a%corp.example>", "news%a@corp.example"},
        {"<news%corp.example@x.example>", "news%corp.example@x.example"},
        {"<%x>", "\"\"@x"},
        {"<x!>", "\"\"@x"},
        {"<news@host>", "news@host"},
        {"<news@[192.0.2.1]>", "news@[192.0.2.1]"},
        {"<j\xc3\xb6rg>", "j\xc3\xb6rg@corp.example"},
        {"<>", ""},
        {"", ""},
        {"<\"\">", ""},
        {"<(nobody)>", ""},
    };

    (void)state;
    CHECK(cases, &usual);
}

static void quotes_are_where_the_local_part_needs_them(void **state)
{
    static const struct standard_case cases[] = {
        {"<\"news\"@corp.example>", "news@corp.example"},
        {"<\"n\\ew\\s\"@corp.example>", "news@corp.example"},
        {"<\"two words\"@corp.example>", "\"two words\"@corp.example"},
        {"<two\\ words@corp.example>", "\"two\\\\words\"@corp.example"},
        {"<\"two words\">", "\"two words\"@corp.example"},
        {"<\"a@b\"@corp.example>", "\"a@b\"@corp.example"},
        {"<\"a@b\">", "a@b"},
        {"<a@b@corp.example>", "\"a@b\"@corp.example"},
        {"<@corp.example>", "\"\"@corp.example"},
        {"<\"\"@corp.example>", "\"\"@corp.example"},
        {"<\"\"@a:news@corp.example>", "\"@a:news\"@corp.example"},
        {"<(a) @a:news@corp.example>", "news@corp.example"},
        {"<\"@a:b\"@corp.example>", "\"@a:b\"@corp.example"},
        {"<mailto:news@corp.example>", "\"mailto:news\"@corp.example"},
        {"<ne..ws@corp.example>", "\"ne..ws\"@corp.example"},
        {"<.news@corp.example>", "\".news\"@corp.example"},
        {"<news.@corp.example>", "\"news.\"@corp.example"},
        {"<\"q\\\"\\\\\"@corp.example>", "\"q\\\"\\\\\"@corp.example"},
        {"<\"corp!news\">", "news@corp"},
        {"<\"open>", "open@corp.example"},
        {"<\"tab\there\"@x>", "\"tab\there\"@x"},
    };

    (void)state;
    CHECK(cases, &usual);
}

static void what_postfix_does_not_complete_stays_incomplete(void **state)
{
    static const struct address_rules nothing = {.origin = NULL};
    static const struct standard_case cases[] = {
        {"<news>", "news"},
        {"<two words>", "twowords"},
        {"<\"two words\">", "\"two words\""},
        {"<corp!news>", "corp!news"},
        {"<news%corp>", "news%corp"},
        {"<news@host.>", "news@host"},
    };

    (void)state;
    CHECK(cases, &nothing);
}

static void a_host_without_a_dot_gets_the_domain(void **state)
{
    static const struct address_rules rules = {.origin = "here",
                                               .domain = "corp.example",
                                               .swap_bangpath = true,
                                               .allow_percent_hack = true};
    static const struct standard_case cases[] = {
        {"<news@host>", "news@host.corp.example"}, {"<news@host.>", "news@host"},
        {"<news>", "news@here.corp.example"},      {"<host!news>", "news@host.corp.example"},
        {"<news@[host]>", "news@[host]"},          {"<news@a.b>", "news@a.b"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *got = address_standard(cases[i].text, &rules);
        assert_string_equal(got, cases[i].want);
        free(got);
    }
}

static void lost_quotes_come_back(void **state)
{
    static const struct standard_case cases[] = {
        {"news@corp.example", "news@corp.example"},
        {"two words@corp.example", "\"two words\"@corp.example"},
        {"a@b@corp.example", "\"a@b\"@corp.example"},
        {"quo\"te@x", "\"quo\\\"te\"@x"},
        {"two words", "\"two words\""},
        {"news", "news"},
        {"b!news", "b!news"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *got = address_quoted(cases[i].text);
        assert_string_equal(got, cases[i].want);
        free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_form_is_made_of_all_spellings),
        cmocka_unit_test(quotes_are_where_the_local_part_needs_them),
        cmocka_unit_test(what_postfix_does_not_complete_stays_incomplete),
        cmocka_unit_test(a_host_without_a_dot_gets_the_domain),
        cmocka_unit_test(lost_quotes_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
