/* test_room.c - lack of room in words that people read */
#include "common/clock.h"
#include "common/room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND CLOCK_SECOND

static void long_times_are_told_in_units_of_their_own(void **state)
{
    (void)state;
    static const struct {
        int64_t length;
        const char *words;
    } cases[] = {
        {0, "0 s"},
        {1, "1 s"},
        {61 * SECOND, "61 s"},
        {599 * SECOND, "599 s"},
        {600 * SECOND, "10 min"},
        {601 * SECOND, "11 min"},
        {3599 * SECOND, "1 h 0 min"},
        {3600 * SECOND, "1 h 0 min"},
        {86145 * SECOND, "23 h 56 min"},
        {86100 * SECOND, "23 h 55 min"},
        {48 * 3600 * SECOND, "2 d 0 h"},
        {51 * 3600 * SECOND + 1, "2 d 4 h"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer text = {0};
        room_write_length(&text, cases[i].length);
        assert_string_equal(text.data, cases[i].words);
        buffer_free(&text);
    }
}

static void a_pause_says_until_when(void **state)
{
    (void)state;
    struct buffer text = {0};
    int64_t now = INT64_C(1700000000) * SECOND;
    room_write_paused(&text, "relay@contoso.com", "tenant-switch: closed", now + 7200 * SECOND,
                      now);
    assert_non_null(strstr(text.data, " (in 2 h 0 min): tenant-switch: closed"));
    buffer_clear(&text);
    room_write_paused(&text, "relay@contoso.com", "by hand", INT64_MAX, now);
    assert_string_equal(text.data,
                        "relay@contoso.com is paused until somebody resumes it: by hand");
    buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_times_are_told_in_units_of_their_own),
        cmocka_unit_test(a_pause_says_until_when),
    };
    return cmocka_run_group_tests_name("room", tests, NULL, NULL);
}
