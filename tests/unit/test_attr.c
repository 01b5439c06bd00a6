/* test_attr.c - the name=value protocol */
#include "common/attr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* What a stream of bytes comes to: how many requests, and whether it is malformed after them. */
struct outcome {
    size_t requests;
    bool is_malformed;
    size_t left; /* bytes of a request that is not complete */
};

/* Feeds a stream in pieces of `step` bytes, each piece in memory of its own size, so that a
 * sanitizer sees any look beyond it. */
static struct outcome feed(const char *stream, size_t length, size_t step)
{
    struct outcome outcome = {0};
    struct attr_reader reader = {0};
    struct error error;
    size_t start = 0;
    for (size_t available = step < length ? step : length;;
         available = available + step < length ? available + step : length) {
        for (;;) {
            size_t request = 0;
            char *copy = malloc(available - start + 1);
            memcpy(copy, stream + start, available - start);
            enum attr_progress progress =
                attr_read(&reader, copy, available - start, &request, &error);
            free(copy);
            if (progress == ATTR_MALFORMED) {
                outcome.is_malformed = true;
                return outcome;
            }
            if (progress == ATTR_MORE)
                break;
            outcome.requests++;
            start += request;
        }
        if (available == length)
            break;
    }
    outcome.left = length - start;
    return outcome;
}

static void requests_are_found_however_they_are_cut(void **state)
{
    (void)state;
    static const struct {
        const char *stream;
        struct outcome want;
    } cases[] = {
        {"", {0, false, 0}},
        {"\n", {1, false, 0}},
        {"a=b\n\n", {1, false, 0}},
        {"a=b\n", {0, false, 4}},
        {"a=b", {0, false, 3}},
        {"a=\n\n", {1, false, 0}},
        {"a=b=c==\n\n", {1, false, 0}},
        {"a=b\n\nc=d\n\n", {2, false, 0}},
        {"a=b\n\nc=d\n\ne=", {2, false, 2}},
        {"\n\n\n", {3, false, 0}},
        {"a=b\nc=d\n\n", {1, false, 0}},
        {"garbage\n", {0, true, 0}},
        {"a=b\ngarbage\n\n", {0, true, 0}},
        {"a=b\n\n=b\n\n", {1, true, 0}},
        {"a=b\r\n\r\n", {0, true, 0}},
        {"EHLO mail.example.com\r\n", {0, true, 0}},
    };
    for (size_t i = 0; i < LENGTH(cases); i++)
        for (size_t step = 1; step <= 16; step++) {
            struct outcome got = feed(cases[i].stream, strlen(cases[i].stream), step);
            const struct outcome *want = &cases[i].want;
            if (got.requests != want->requests || got.is_malformed != want->is_malformed ||
                got.left != want->left)
                fail_msg("\"%s\" in steps of %zu: got %zu requests, malformed %d, left %zu; want "
                         "%zu, %d, %zu",
                         cases[i].stream, step, got.requests, got.is_malformed, got.left,
                         want->requests, want->is_malformed, want->left);
        }
}

/* Everywhere in a block and across two: where a name, a value and the request end. */
static void lines_of_any_length_are_told_apart(void **state)
{
    (void)state;
    for (size_t name = 1; name < 140; name++)
        for (size_t value = 0; value < 140; value += 1 + value / 8) {
            char *stream = malloc(name + value + 8);
            memset(stream, 'n', name);
            memset(stream + name, 'v', value + 1);
            strcpy(stream + name + 1 + value, "\na=b\n\n");
            assert_true(feed(stream, name + value + 7, SIZE_MAX / 2).is_malformed);
            assert_true(feed(stream, name + value + 7, 50).is_malformed);
            stream[name] = '=';
            assert_int_equal(feed(stream, name + value + 7, SIZE_MAX / 2).requests, 1);
            assert_int_equal(feed(stream, name + value + 7, 50).requests, 1);
            free(stream);
        }
}

static void ten_requests_in_one_write_are_ten(void **state)
{
    (void)state;
    char stream[1024] = "";
    for (int i = 0; i < 10; i++)
        strcat(stream, "request=smtpd_access_policy\nprotocol_state=RCPT\n\n");
    for (size_t step = 1; step < 1024; step += 31)
        assert_int_equal(feed(stream, strlen(stream), step).requests, 10);
}

static void a_nul_byte_is_malformed(void **state)
{
    (void)state;
    for (size_t step = 1; step < 8; step++) {
        struct outcome got = feed("a=b\0c\n\n", 7, step);
        assert_int_equal(got.requests, 0);
        assert_true(got.is_malformed);
    }
}

/* A line of that many bytes and the end of the request. */
static char *long_line(size_t length)
{
    char *stream = malloc(length + 3);
    memset(stream, 'x', length);
    stream[1] = '=';
    memcpy(stream + length, "\n\n", 3);
    return stream;
}

static void a_line_may_be_as_long_as_the_maximum_and_no_longer(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 1000, 4096, 100000};
    for (size_t i = 0; i < LENGTH(steps); i++) {
        char *fits = long_line(ATTR_LINE_MAX);
        assert_int_equal(feed(fits, ATTR_LINE_MAX + 2, steps[i]).requests, 1);
        free(fits);
        char *over = long_line(ATTR_LINE_MAX + 1);
        assert_true(feed(over, ATTR_LINE_MAX + 3, steps[i]).is_malformed);
        free(over);
    }
}

static void an_endless_line_is_refused_before_its_end(void **state)
{
    (void)state;
    char *line = long_line(ATTR_LINE_MAX * 2);
    assert_true(feed(line, ATTR_LINE_MAX + 1, 4096).is_malformed);
    free(line);
}

static void a_request_is_bounded_in_attributes_and_size(void **state)
{
    (void)state;
    struct buffer stream = {0};
    for (size_t i = 0; i < ATTR_COUNT_MAX; i++)
        buffer_append_string(&stream, "a=b\n");
    buffer_append_string(&stream, "\n");
    assert_int_equal(feed(stream.data, stream.length, 4096).requests, 1);
    stream.length--;
    buffer_append_string(&stream, "a=b\n\n");
    assert_true(feed(stream.data, stream.length, 4096).is_malformed);
    buffer_clear(&stream);
    char *line = long_line(ATTR_LINE_MAX - 1);
    for (int i = 0; i < 7; i++)
        buffer_append(&stream, line, ATTR_LINE_MAX);
    buffer_append(&stream, line + 2, ATTR_LINE_MAX - 2);
    stream.data[stream.length - ATTR_LINE_MAX + 3] = '=';
    size_t length = stream.length;
    assert_int_equal(length, ATTR_REQUEST_MAX - 2);
    buffer_append_string(&stream, "\n\n");
    assert_false(feed(stream.data, stream.length, 9999).is_malformed);
    stream.length = length;
    buffer_append_string(&stream, "x\n\n");
    assert_true(feed(stream.data, stream.length, 9999).is_malformed);
    buffer_free(&stream);
    free(line);
}

static void attributes_are_split_at_the_first_equals_sign(void **state)
{
    (void)state;
    static const char request[] = "sender=a=b@example.com\nrecipient=\nsize=12\n\n";
    static const struct {
        const char *name, *value;
    } want[] = {{"sender", "a=b@example.com"}, {"recipient", ""}, {"size", "12"}};
    size_t position = 0;
    struct attr attr;
    for (size_t i = 0; i < LENGTH(want); i++) {
        assert_true(attr_next(request, strlen(request), &position, &attr));
        assert_true(attr_is(&attr, want[i].name));
        assert_false(attr_is(&attr, "sende"));
        assert_false(attr_is(&attr, "sender_"));
        assert_int_equal(attr.value_length, strlen(want[i].value));
        assert_memory_equal(attr.value, want[i].value, attr.value_length);
    }
    assert_false(attr_next(request, strlen(request), &position, &attr));
}

/* The walk over lines gives the same as attr_next(), whatever lies behind the request. */
static void a_walk_gives_every_line(void **state)
{
    (void)state;
    for (size_t value = 0; value < 200; value++) {
        char request[512] = "sender=";
        memset(request + 7, '=', value);
        strcpy(request + 7 + value, "\nrecipient=\nsize=12\n\n");
        size_t length = strlen(request), position = 0;
        char *copy = memcpy(malloc(length + 3), request, length);
        memcpy(copy + length, "x=y", 3);
        struct attr_walk walk = {.request = copy, .length = length};
        struct attr_line line;
        struct attr want, got;
        while (attr_next(copy, length, &position, &want)) {
            char name[64] = "";
            memcpy(name, want.name, want.name_length);
            assert_true(attr_next_line(&walk, &line));
            assert_true(attr_named(&line, name, &got));
            assert_memory_equal(&got, &want, sizeof(got));
            assert_false(attr_named(&line, "siz", &got));
            assert_false(attr_named(&line, "sizes", &got));
            assert_false(attr_named(&line, "", &got));
        }
        assert_false(attr_next_line(&walk, &line));
        free(copy);
    }
}

static void numbers_are_digits_only(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_number;
        uint32_t want;
    } cases[] = {
        {"", true, 0},
        {"0", true, 0},
        {"007", true, 7},
        {"4294967295", true, 4294967295U},
        {"4294967296", false, 0},
        {"99999999999999999999999", false, 0},
        {"-1", false, 0},
        {" 1", false, 0},
        {"1x", false, 0},
        {"0x10", false, 0},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct attr attr = {.value = cases[i].text, .value_length = strlen(cases[i].text)};
        uint32_t number = 0;
        bool got = attr_number(&attr, &number);
        if (got != cases[i].is_number || number != cases[i].want)
            fail_msg("\"%s\": got %d %u, want %d %u", cases[i].text, got, number,
                     cases[i].is_number, cases[i].want);
    }
}

static void a_value_cannot_add_a_line_to_a_reply(void **state)
{
    (void)state;
    struct buffer reply = {0};
    attr_write(&reply, "action", "DEFER one\ntwo\r\n\nthree");
    attr_write_end(&reply);
    assert_string_equal(reply.data, "action=DEFER one two   three\n\n");
    buffer_free(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_found_however_they_are_cut),
        cmocka_unit_test(lines_of_any_length_are_told_apart),
        cmocka_unit_test(ten_requests_in_one_write_are_ten),
        cmocka_unit_test(a_nul_byte_is_malformed),
        cmocka_unit_test(a_line_may_be_as_long_as_the_maximum_and_no_longer),
        cmocka_unit_test(an_endless_line_is_refused_before_its_end),
        cmocka_unit_test(a_request_is_bounded_in_attributes_and_size),
        cmocka_unit_test(attributes_are_split_at_the_first_equals_sign),
        cmocka_unit_test(a_walk_gives_every_line),
        cmocka_unit_test(numbers_are_digits_only),
        cmocka_unit_test(a_value_cannot_add_a_line_to_a_reply),
    };
    return cmocka_run_group_tests_name("attr", tests, NULL, NULL);
}
