/* test_fold.c - lines of header values */
#include "common/sender/fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
#define VALUE(string) (string), sizeof(string) - 1
#define TEN           "abcdefghij"
#define SEVENTY       TEN TEN TEN TEN TEN TEN TEN

struct text_case {
    const char *text;
    size_t length;
    const char *want;
};

static void cleaned_text_keeps_its_folds_and_no_other_control_characters(void **state)
{
    static const struct text_case cases[] = {
        {VALUE("a b\tc"), "a b\tc"},
        {VALUE("a\n b"), "a\n b"},
        {VALUE("a\r\n\tb"), "a\n\tb"},
        {VALUE("a\nb"), "a b"},
        {VALUE("a\r\nb"), "a b"},
        {VALUE("a\rb"), "a b"},
        {VALUE("a\n\n b"), "a \n b"},
        {VALUE("a\n \n b"), "a \n b"},
        {VALUE("a\n \r\n b"), "a \n b"},
        {VALUE("a\n "), "a "},
        {VALUE("a\n \x07\x07\r\n b"), "a   \n b"},
        {VALUE("a\n \x07"), "a  "},
        {VALUE("a\n"), "a "},
        {VALUE("a\0b\x1b\x7f\x80"), "a b  \x80"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer got = {0};
        fold_append_clean(&got, cases[i].text, cases[i].length);
        assert_string_equal(got.data, cases[i].want);
        buffer_free(&got);
    }
}

static void unfolded_text_is_one_line(void **state)
{
    static const struct text_case cases[] = {
        {VALUE("a\n b\r\n\tc"), "a b\tc"},
        {VALUE("a\nb\0c"), "a b c"},
        {VALUE("a                                                b"),
         "a                                b"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer got = {0};
        fold_append_unfolded(&got, cases[i].text, cases[i].length, 1000);
        assert_string_equal(got.data, cases[i].want);
        buffer_free(&got);
    }
}

static void a_clean_value_is_told_from_others(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        bool want;
    } cases[] = {
        {VALUE(""), true},           {VALUE("a"), true},     {VALUE("\n a"), true},
        {VALUE("a\n b\n\tc"), true}, {VALUE("a\n"), false},  {VALUE("a\nb"), false},
        {VALUE("a\n \n b"), false},  {VALUE("a\n "), false}, {VALUE("a\r\n b"), false},
        {VALUE("a\0"), false},       {VALUE("\x7f"), false}, {VALUE("\x80"), true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (fold_is_clean(cases[i].text, cases[i].length, 6) != cases[i].want)
            fail_msg("%s: got %d, want %d", cases[i].text, !cases[i].want, cases[i].want);
    }
}

static void a_line_may_have_998_octets_with_its_name(void **state)
{
    char text[1100];

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_true(fold_is_clean(text, 992, 6));
    assert_false(fold_is_clean(text, 993, 6));
    text[10] = '\n';
    text[11] = ' ';
    assert_true(fold_is_clean(text, 11 + 998, 6));
}

static void lines_are_folded_to_the_width_at_white_space(void **state)
{
    static const struct text_case cases[] = {
        {VALUE("short"), "short"},
        {VALUE(SEVENTY " b"), SEVENTY " b"},
        {VALUE(SEVENTY " b c"), SEVENTY " b\n c"},
        {VALUE(SEVENTY " " SEVENTY " c"), SEVENTY "\n " SEVENTY " c"},
        {VALUE(SEVENTY TEN "  b"), SEVENTY TEN " \n b"},
        {VALUE(SEVENTY "\\ " TEN), SEVENTY "\\ " TEN},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer got = {0};
        assert_true(fold_append(&got, cases[i].text, cases[i].length, 6, FOLD_TO_WIDTH));
        assert_string_equal(got.data, cases[i].want);
        buffer_free(&got);
    }
}

static void lines_are_left_alone_where_folding_is_not_needed(void **state)
{
    struct buffer got = {0};

    (void)state;
    assert_true(fold_append(&got, VALUE(SEVENTY " " SEVENTY "\n b"), 6, FOLD_WHERE_NEEDED));
    assert_string_equal(got.data, SEVENTY " " SEVENTY "\n b");
    buffer_free(&got);
}

static void a_word_that_is_too_long_fails_or_is_broken_between_characters(void **state)
{
    struct buffer text = {0};
    struct buffer got = {0};

    (void)state;
    for (int i = 0; i < 400; i++)
        buffer_append_string(&text, "\xe6\x97\xa5");
    buffer_append_string(&got, "kept");
    assert_false(fold_append(&got, text.data, text.length, 10, FOLD_WHERE_NEEDED));
    assert_int_equal(got.length, 4);
    buffer_clear(&got);
    assert_true(fold_append(&got, text.data, text.length, 10, FOLD_TO_WIDTH));
    const char *fold = strchr(got.data, '\n');
    assert_non_null(fold);
    assert_int_equal((fold - got.data) % 3, 0);
    assert_true(fold - got.data + 10 <= FOLD_LINE_MAX && fold - got.data + 10 > FOLD_LINE_MAX - 6);
    assert_int_equal(fold[1], ' ');
    assert_int_equal(got.length, text.length + 2);
    buffer_free(&text);
    buffer_free(&got);
}

static void the_column_is_counted_from_the_last_fold(void **state)
{
    struct buffer value = {0};

    (void)state;
    assert_int_equal(fold_column(&value, 6), 6);
    buffer_append_string(&value, "abc");
    assert_int_equal(fold_column(&value, 6), 9);
    buffer_append_string(&value, "\n d");
    assert_int_equal(fold_column(&value, 6), 2);
    buffer_free(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cleaned_text_keeps_its_folds_and_no_other_control_characters),
        cmocka_unit_test(unfolded_text_is_one_line),
        cmocka_unit_test(a_clean_value_is_told_from_others),
        cmocka_unit_test(a_line_may_have_998_octets_with_its_name),
        cmocka_unit_test(lines_are_folded_to_the_width_at_white_space),
        cmocka_unit_test(lines_are_left_alone_where_folding_is_not_needed),
        cmocka_unit_test(a_word_that_is_too_long_fails_or_is_broken_between_characters),
        cmocka_unit_test(the_column_is_counted_from_the_last_fold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
