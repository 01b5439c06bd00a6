/* test_harmless.c - what others say steers no terminal, no log and no reader */
#include "common/harmless.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *made(const char *text)
{
    static char copy[256];
    strcpy(copy, text);
    size_t length = harmless_make(copy, '?');
    assert_int_equal(length, strlen(copy));
    return copy;
}

static void text_of_all_languages_stays(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "plain", "J\xc3\xb6rg", "\xe2\x82\xac \xf0\x9f\x98\x80",
                                        "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d"}; /* Hebrew */
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_string_equal(made(texts[i]), texts[i]);
}

static void each_control_is_one_mark(void **state)
{
    (void)state;
    assert_string_equal(made("a\r\nb\tc\x1b[31m\x7f"), "a??b?c?[31m?");
    assert_string_equal(made("a\xc2\x85"
                             "b\xc2\x9b"
                             "31m"),
                        "a?b?31m"); /* NEL, CSI */
    assert_string_equal(made("a\xe2\x80\xa8"
                             "b\xe2\x80\xa9"
                             "c"),
                        "a?b?c"); /* U+2028, U+2029 */
}

static void nothing_turns_the_direction(void **state)
{
    (void)state;
    static const uint32_t codes[] = {0x61c,  0x200e, 0x200f, 0x202a, 0x202b, 0x202c,
                                     0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        assert_false(harmless_is(codes[i]));
    assert_true(harmless_is(0x2010));
    assert_true(harmless_is(0x202f));
    assert_string_equal(made("451 \xe2\x80\xae"
                             "fdp.exe\xe2\x81\xa9"),
                        "451 ?fdp.exe?");
}

static void octets_that_are_no_character_are_marked(void **state)
{
    (void)state;
    assert_string_equal(made("a\xff"
                             "b\xc0\x8a"
                             "c\xe2\x82"),
                        "a?b??c??");
    assert_string_equal(made("\xed\xa0\x80"), "???"); /* a surrogate */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_all_languages_stays),
        cmocka_unit_test(each_control_is_one_mark),
        cmocka_unit_test(nothing_turns_the_direction),
        cmocka_unit_test(octets_that_are_no_character_are_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
