/* test_address.c - mail addresses */
#include "common/address.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct conversion {
    const char *from;
    const char *want; /* NULL: no result */
};

static void check_result(const char *from, char *got, const char *want)
{
    bool same = got == NULL ? want == NULL : want != NULL && strcmp(got, want) == 0;
    if (!same)
        fail_msg("\"%s\": got \"%s\", want \"%s\"", from, got != NULL ? got : "(none)",
                 want != NULL ? want : "(none)");
    free(got);
}

static void angle_brackets_and_blanks_are_stripped(void **state)
{
    (void)state;
    static const struct conversion cases[] = {
        {"a@b.c", "a@b.c"},
        {"<a@b.c>", "a@b.c"},
        {" \t<a@b.c>\r\n", "a@b.c"},
        {"< a@b.c >", "a@b.c"},
        {"<>", ""},
        {"", ""},
        {"<", "<"},
        {"<<a@b.c>>", "<a@b.c>"},
        {"<a@b.c", "<a@b.c"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_result(cases[i].from, address_strip(cases[i].from), cases[i].want);
}

static const struct conversion folding[] = {
    {"Alice@Example.COM", "alice@example.com"},
    {"already@lower.case", "already@lower.case"},
    {"\"A B\"@X", "\"a b\"@x"},
    {"[@`{Z", "[@`{z"},
    {"JÖRG@BÜCHER.example", "jörg@bücher.example"},
    {"ΣΊΣΥΦΟΣ@x", "σίσυφοσ@x"},
    {"σίσυφος@x", "σίσυφοσ@x"},
    {"ПОЧТА@ПРИМЕР.рф", "почта@пример.рф"},
    {"STRASSE@x", "strasse@x"},
    {"straße@x", "strasse@x"},
    {"STRAẞE@x", "strasse@x"},
    {"İ@x", "i̇@x"},
    {"ı@x", "ı@x"},
    {"用户@例子.公司", "用户@例子.公司"},
    {"\360\220\220\200@x", "\360\220\220\250@x"}, /* Deseret, beyond the basic plane */
    {"\303\226\377A@X", "\303\226\377a@x"},       /* not UTF-8: ASCII only */
    {"\303A", "\303a"},
    {"\300\201A", "\300\201a"},                       /* overlong */
    {"\355\240\200\303\204", "\355\240\200\303\204"}, /* a surrogate */
    {"", ""},
};

static void letters_are_folded_whatever_the_locale(void **state)
{
    (void)state;
    static const char *const locales[] = {"C", "C.UTF-8", "tr_TR.UTF-8"};
    for (size_t l = 0; l < sizeof(locales) / sizeof(locales[0]); l++) {
        setlocale(LC_ALL, locales[l]);
        for (size_t i = 0; i < sizeof(folding) / sizeof(folding[0]); i++)
            check_result(folding[i].from, address_fold(folding[i].from), folding[i].want);
    }
    setlocale(LC_ALL, "C");
}

static void folding_twice_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(folding) / sizeof(folding[0]); i++)
        check_result(folding[i].want, address_fold(folding[i].want), folding[i].want);
}

static void the_domain_is_behind_the_last_at_outside_quotes(void **state)
{
    (void)state;
    static const struct conversion cases[] = {
        {"a@b.c", "b.c"},
        {"a@b@c", "c"},
        {"\"a@b\"@c", "c"},
        {"\"a@b\"", NULL},
        {"\"a\\\"@b\"@c", "c"},
        {"\"open@b", NULL},
        {"a", NULL},
        {"", NULL},
        {"a@", ""},
        {"@d", "d"},
        {"a@[192.0.2.1]", "[192.0.2.1]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *domain = address_domain(cases[i].from);
        check_result(cases[i].from, domain != NULL ? strdup(domain) : NULL, cases[i].want);
    }
}

static void the_extension_goes_as_in_postfix(void **state)
{
    (void)state;
    static const struct {
        const char *from, *delimiters, *want;
    } cases[] = {
        {"user+ext@d", "+", "user@d"},
        {"user+a+b@d", "+", "user@d"},
        {"user-a+b@d", "+-", "user@d"},
        {"user+a-b@d", "+-", "user@d"},
        {"user-ext@d", "+", NULL},
        {"user@d", "+", NULL},
        {"user+@d", "+", "user@d"},
        {"+ext@d", "+", NULL},
        {"++ext@d", "+", NULL},
        {"user@d+e", "+", NULL},
        {"user+ext", "+", "user"},
        {"user+ext@d", "", NULL},
        {"owner-list@d", "-", NULL},
        {"Owner-list@d", "+-", NULL},
        {"list-request@d", "-", NULL},
        {"owner-list+x@d", "+", "owner-list@d"},
        {"owner-@d", "-", "owner@d"},
        {"-request@d", "-", NULL},
        {"MAILER-DAEMON@d", "-", NULL},
        {"double-bounce@d", "-", NULL},
        {"double-bounces@d", "-", "double@d"},
        {"\"a b+ext\"@d", "+", "\"a b\"@d"},
        {"\"+ext\"@d", "+", NULL},
        {"\"a@b+ext\"@d", "+", "\"a@b\"@d"},
        {"jörg+ext@d", "+", "jörg@d"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_result(cases[i].from, address_without_extension(cases[i].from, cases[i].delimiters),
                     cases[i].want);
}

static void quotes_come_off_the_local_part(void **state)
{
    (void)state;
    static const struct conversion cases[] = {
        {"\"a b\"@d", "a b@d"}, {"\"ab\"@d", "ab@d"}, {"\"a\\\"b\\\\\"@d", "a\"b\\@d"},
        {"a@d", NULL},          {"\"a\"b@d", NULL},   {"\"a@d", NULL},
        {"\"\"@d", "@d"},       {"\"a\"", "a"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_result(cases[i].from, address_unquoted(cases[i].from), cases[i].want);
}

static void only_mailboxes_are_valid(void **state)
{
    (void)state;
    static const char *const valid[] = {
        "a@b",
        "a@b.c",
        "first.last+ext@sub.example.com",
        "\"a b\"@example.com",
        "\"a\\\"@b\"@example.com",
        "!#$%&'*+-/=?^_`{|}~@example.com",
        "jörg@bücher.example",
        "a@[192.0.2.1]",
        "a@[IPv6:2001:db8::1]",
        "a@under_score.example",
        "a@xn--bcher-kva.example",
    };
    static const char *const invalid[] = {
        "",
        "a",
        "@b",
        "a@",
        "a b@c",
        "a@b c",
        "a@b..c",
        "a@.b",
        "a@b.",
        "a@-b",
        ".a@b",
        "a.@b",
        "a..b@c",
        "a@b@c",
        "<a@b>",
        "a,b@c",
        "a@b,c",
        "a@b>",
        "\"a@b",
        "\"a\"b@c",
        "a\"b\"@c",
        "a@[]",
        "a@[192.0.2.1",
        "a@[x y]",
        "a\n@b",
        "a@b\r\nX: y",
        "a\177@b",
        "\"a\001b\"@c",
        "a\377@b",
        "a:b@c",
        "(x)a@b",
        "a@b(x)",
        "user@exa\\mple.com",
    };
    for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
        if (!address_is_valid(valid[i]))
            fail_msg("\"%s\": got invalid, want valid", valid[i]);
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
        if (address_is_valid(invalid[i]))
            fail_msg("\"%s\": got valid, want invalid", invalid[i]);
}

static void an_upn_is_an_address_that_needs_no_quotes(void **state)
{
    (void)state;
    assert_true(address_is_upn("relay@contoso.com"));
    assert_true(address_is_upn("o'neil#ext#@contoso.onmicrosoft.com"));
    assert_true(address_is_upn("j\xc3\xb6rg@contoso.com"));
    static const char *const others[] = {
        "", "relay", "@contoso.com", "a b@c.com", "\"a b\"@c.com", "\"ab\"@c.com", "a@[1.2.3.4]"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (address_is_upn(others[i]))
            fail_msg("\"%s\" was taken for a UPN", others[i]);
    char address[400];
    memset(address, 'a', sizeof(address));
    strcpy(address + 316, "@b.c");
    assert_true(address_is_upn(address));
    strcpy(address + 317, "@b.c");
    assert_false(address_is_upn(address));
}

static void what_is_too_long_is_invalid(void **state)
{
    (void)state;
    char address[ADDRESS_MAX + 16];
    memset(address, 'a', sizeof(address));
    strcpy(address + ADDRESS_MAX - 4, "@b.c");
    assert_true(address_is_valid(address));
    strcpy(address + ADDRESS_MAX - 3, "@b.c");
    assert_false(address_is_valid(address));
    address[0] = 'x';
    memcpy(address, "x@", 2);
    memset(address + 2, 'a', 256);
    address[2 + 255] = '\0';
    assert_true(address_is_valid(address));
    address[2 + 255] = 'a';
    address[2 + 256] = '\0';
    assert_false(address_is_valid(address));
}

static void equal_means_equal_after_folding(void **state)
{
    (void)state;
    assert_true(address_equal("A@B", "a@b"));
    assert_true(address_equal("JÖRG@x", "jörg@X"));
    assert_false(address_equal("a@b", "a@b.c"));
    assert_true(address_equal("", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(angle_brackets_and_blanks_are_stripped),
        cmocka_unit_test(letters_are_folded_whatever_the_locale),
        cmocka_unit_test(folding_twice_changes_nothing),
        cmocka_unit_test(the_domain_is_behind_the_last_at_outside_quotes),
        cmocka_unit_test(the_extension_goes_as_in_postfix),
        cmocka_unit_test(quotes_come_off_the_local_part),
        cmocka_unit_test(only_mailboxes_are_valid),
        cmocka_unit_test(an_upn_is_an_address_that_needs_no_quotes),
        cmocka_unit_test(what_is_too_long_is_invalid),
        cmocka_unit_test(equal_means_equal_after_folding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
