/* test_body.c - where a message ends, and what of it goes on */
#include "transport/lmtp/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct outcome {
    struct body body;
    char passed[4096];
    size_t length; /* of what has passed */
    size_t left;   /* octets behind the last one that passed */
};

/* Gives the text in pieces of `step` octets, each in memory of its own. */
static struct outcome run(const char *text, size_t length, size_t step)
{
    struct outcome outcome = {0};
    size_t taken = 0;
    for (size_t available = 0; available < length && !outcome.body.has_ended;) {
        available = length - available > step ? available + step : length;
        char *piece = malloc(available - taken);
        memcpy(piece, text + taken, available - taken);
        size_t passed = body_take(&outcome.body, piece, available - taken);
        memcpy(outcome.passed + outcome.length, piece, passed);
        outcome.length += passed;
        taken += passed;
        free(piece);
        assert_true(outcome.body.has_ended || available - taken <= BODY_UNDECIDED_MAX);
    }
    outcome.left = length - taken;
    return outcome;
}

static void expect(const char *text, size_t length, const char *passed, size_t passed_length,
                   bool ends, uint64_t replaced)
{
    for (size_t step = 1; step <= length + 1; step++) {
        struct outcome outcome = run(text, length, step);
        assert_int_equal(outcome.body.has_ended, ends);
        assert_int_equal(outcome.length, passed_length);
        assert_memory_equal(outcome.passed, passed, passed_length);
        assert_int_equal(outcome.body.replaced, replaced);
    }
}

static void only_crlf_dot_crlf_ends(void **state)
{
    (void)state;
    static const struct {
        const char *text, *passed;
    } cases[] = {
        {".\r\n", ""},
        {"\r\n.\r\n", "\r\n"},
        {"a\r\n.\r\n", "a\r\n"},
        {"a\r\n.\r\nQUIT\r\n", "a\r\n"},
        {".\r\n.\r\n", ""},
        {"..\r\n.\r\n", "..\r\n"},
        {"..\r\n..\r\n...\r\n.\r\n", "..\r\n..\r\n...\r\n"},
        {".a\r\n.\r\n", ".a\r\n"},
        {"a.\r\n.\r\n", "a.\r\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        expect(cases[i].text, strlen(cases[i].text), cases[i].passed, strlen(cases[i].passed), true,
               0);
}

/* What mail servers were found to take for an end. Each is followed by a second message. */
static void what_smuggles_passes_as_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *passed;
        uint64_t replaced;
    } cases[] = {
        {"a\n.\r\nMAIL", "a .\r\nMAIL", 1},
        {"a\n.\nMAIL", "a . MAIL", 2},
        {"a\r.\rMAIL", "a . MAIL", 2},
        {"a\r.\r\nMAIL", "a .\r\nMAIL", 1},
        {"a\r\n.\nMAIL", "a\r\n. MAIL", 1},
        {"a\r\n.\rMAIL", "a\r\n. MAIL", 1},
        {"a\r\n.\r\rMAIL", "a\r\n.  MAIL", 2},
        {"a\r\n.\r\r\nMAIL", "a\r\n. \r\nMAIL", 1},
        {"a\r\r\n.\nMAIL", "a \r\n. MAIL", 2},
        {"a\n\r.\n\rMAIL", "a  .  MAIL", 4},
        {"a\n\n.\n\nMAIL", "a  .  MAIL", 4},
        {"a\r\n\n.\r\nMAIL", "a\r\n .\r\nMAIL", 1},
        {"a\r\n\r.\r\nMAIL", "a\r\n .\r\nMAIL", 1},
        {"\n.\r\nMAIL", " .\r\nMAIL", 1},
        {".\nMAIL", ". MAIL", 1},
        {".\rMAIL", ". MAIL", 1},
        {"\r.\r\nMAIL", " .\r\nMAIL", 1},
        {".\r\r\nMAIL", ". \r\nMAIL", 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        expect(cases[i].text, strlen(cases[i].text), cases[i].passed, strlen(cases[i].passed),
               false, cases[i].replaced);
}

static void nuls_pass(void **state)
{
    (void)state;
    static const char text[] = "\0a\r\n.\0\r\n\0.\r\n\r\0\n.\r\n\r\n.\r\n";
    static const char passed[] = "\0a\r\n.\0\r\n\0.\r\n \0 .\r\n\r\n";
    expect(text, sizeof(text) - 1, passed, sizeof(passed) - 1, true, 2);
}

static void octets_above_ascii_pass(void **state)
{
    (void)state;
    char text[256 + 5];
    char passed[256 + 2];
    for (size_t i = 0; i < 256; i++)
        passed[i] = text[i] = (char)i;
    memcpy(text + 256, "\r\n.\r\n", 5);
    passed['\r'] = passed['\n'] = ' ';
    memcpy(passed + 256, "\r\n", 2);
    expect(text, sizeof(text), passed, sizeof(passed), true, 2);
}

static void what_cannot_be_told_waits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t left;
    } cases[] = {{"", 0},       {".", 1},       {".\r", 2}, {"a\r", 1},     {"a\r\n", 0},
                 {"a\r\n.", 1}, {"\r\n.\r", 2}, {"a.", 0},  {"a\r\n..", 0}, {"a\n", 0}};
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(run(cases[i].text, strlen(cases[i].text), 1).left, cases[i].left);
}

static void what_follows_the_end_is_left(void **state)
{
    (void)state;
    static const char text[] = "a\r\n.\r\nQUIT\r\n";
    struct outcome outcome = run(text, strlen(text), strlen(text));
    assert_int_equal(outcome.left, BODY_END_LENGTH + strlen("QUIT\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_crlf_dot_crlf_ends),
        cmocka_unit_test(what_smuggles_passes_as_text),
        cmocka_unit_test(nuls_pass),
        cmocka_unit_test(octets_above_ascii_pass),
        cmocka_unit_test(what_cannot_be_told_waits),
        cmocka_unit_test(what_follows_the_end_is_left),
    };
    return cmocka_run_group_tests_name("body", tests, NULL, NULL);
}
