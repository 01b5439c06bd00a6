/* test_log.c - log lines: one for each call, and nothing in them that steers a terminal */
#include "common/log.h"

#include "common/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char logged[8192];

/* The text of one warning on stderr, behind "post365/test[pid]: warning: ", with its line end. */
static const char *log_text(const char *text)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    const int before = dup(STDERR_FILENO);
    assert_true(before >= 0);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    log_warning("%s", text);
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    close(before);
    rewind(file);
    logged[fread(logged, 1, sizeof(logged) - 1, file)] = '\0';
    fclose(file);
    const char *severity = strstr(logged, ": warning: ");
    assert_non_null(severity);
    return severity + strlen(": warning: ");
}

static void letters_of_all_languages_are_kept(void **state)
{
    (void)state;
    assert_string_equal(
        log_text("from=<J\xc3\xb6rg@ex\xc3\xa4mple.com> \xe2\x82\xac \xf0\x9f\x98\x80"),
        "from=<J\xc3\xb6rg@ex\xc3\xa4mple.com> \xe2\x82\xac \xf0\x9f\x98\x80\n");
}

static void what_could_forge_a_line_or_steer_a_terminal_is_not(void **state)
{
    (void)state;
    assert_string_equal(log_text("a\r\nb\tc\x1b[2J\x7f"
                                 "d"),
                        "a??b?c?[2J?d\n");
    /* CSI as one character, in UTF-8 and as a byte */
    assert_string_equal(log_text("a\xc2\x9b"
                                 "2Jb\x9b"
                                 "2Jc\xc2\x80\xc2\x85"),
                        "a?2Jb?2Jc??\n");
    /* what turns the direction, and what ends a line for some */
    assert_string_equal(log_text("a\xe2\x80\xae"
                                 "b\xe2\x81\xa6"
                                 "c\xe2\x80\xa8"
                                 "d\xe2\x80\xa9"
                                 "e\xe2\x80\x8f"
                                 "f\xd8\x9c"),
                        "a?b?c?d?e?f?\n");
    assert_string_equal(log_text("\xe2\x82"
                                 "a\xff\xc0\x8a"),
                        "??a???\n");
}

static void a_long_line_is_cut_and_stays_utf8(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 2; shift++) {
        char text[4096 + 1];
        for (size_t i = 0; i < 4096; i++)
            text[i] = "\xc3\xb6"[(i + shift) % 2];
        text[4096] = '\0';
        const char *cut = log_text(text + shift);
        assert_true(strlen(cut) < 2048);
        assert_true(utf8_is_valid(cut, strlen(cut)));
        assert_string_equal(cut + strlen(cut) - 1, "\n");
    }
}

static int open_log(void **state)
{
    (void)state;
    log_open("test", true, false);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_of_all_languages_are_kept),
        cmocka_unit_test(what_could_forge_a_line_or_steer_a_terminal_is_not),
        cmocka_unit_test(a_long_line_is_cut_and_stays_utf8),
    };
    return cmocka_run_group_tests(tests, open_log, NULL);
}
