/* test_utf8.c - characters of UTF-8 */
#include "common/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *bytes;
    size_t length;
    uint32_t code;
} characters[] = {
    {"a", 1, 'a'},
    {"\x7f", 1, 0x7f},
    {"\xc2\x80", 2, 0x80},
    {"\xdf\xbf", 2, 0x7ff},
    {"\xe0\xa0\x80", 3, 0x800},
    {"\xed\x9f\xbf", 3, 0xd7ff},
    {"\xee\x80\x80", 3, 0xe000},
    {"\xf0\x90\x80\x80", 4, 0x10000},
    {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
    /* malformed */
    {"\x80", 0, 0},
    {"\xbf", 0, 0},
    {"\xc0\x80", 0, 0},
    {"\xc1\xbf", 0, 0},
    {"\xc3", 0, 0},
    {"\xc3(", 0, 0},
    {"\xe0\x9f\xbf", 0, 0},
    {"\xe2\x82", 0, 0},
    {"\xed\xa0\x80", 0, 0},
    {"\xed\xbf\xbf", 0, 0},
    {"\xf0\x8f\xbf\xbf", 0, 0},
    {"\xf4\x90\x80\x80", 0, 0},
    {"\xf5\x80\x80\x80", 0, 0},
    {"\xff", 0, 0},
};

static void characters_are_read_and_malformed_ones_are_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
        const char *bytes = characters[i].bytes;
        uint32_t code = 0;
        size_t length = utf8_decode(bytes, strlen(bytes), &code);
        if (length != characters[i].length || code != characters[i].code)
            fail_msg("character %zu: got %zu octets, U+%04X, want %zu, U+%04X", i, length, code,
                     characters[i].length, characters[i].code);
        assert_int_equal(utf8_is_valid(bytes, strlen(bytes)), length > 0);
    }
}

static void a_character_that_is_cut_off_is_malformed(void **state)
{
    (void)state;
    uint32_t code;
    for (size_t length = 1; length < 4; length++)
        assert_int_equal(utf8_decode("\xf0\x9f\x98\x80", length, &code), 0);
    assert_true(utf8_is_valid("J\xc3\xb6rg", 5));
    assert_false(utf8_is_valid("J\xc3\xb6rg", 2));
    assert_true(utf8_is_valid("", 0));
}

static void a_byte_order_mark_is_three_octets(void **state)
{
    (void)state;
    assert_int_equal(utf8_mark_length("\xef\xbb\xbfx", 4), 3);
    assert_int_equal(utf8_mark_length("\xef\xbb\xbf", 3), 3);
    assert_int_equal(utf8_mark_length("\xef\xbb", 2), 0);
    assert_int_equal(utf8_mark_length("x\xef\xbb\xbf", 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_read_and_malformed_ones_are_not),
        cmocka_unit_test(a_character_that_is_cut_off_is_malformed),
        cmocka_unit_test(a_byte_order_mark_is_three_octets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
