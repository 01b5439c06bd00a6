/* test_exposition.c - figures in Prometheus' text format, byte by byte */
#include "common/metrics/exposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void expect_text(struct buffer *text, const char *wanted)
{
    assert_string_equal(text->data != NULL ? text->data : "", wanted);
    buffer_free(text);
}

static void a_family_has_its_help_and_its_type(void **state)
{
    (void)state;
    struct buffer text = {0};
    exposition_family(&text, "things_total", EXPOSITION_COUNTER, "Things seen.");
    exposition_integer(&text, "things_total", NULL, 0, UINT64_MAX);
    expect_text(&text, "# HELP post365_things_total Things seen.\n"
                       "# TYPE post365_things_total counter\n"
                       "post365_things_total 18446744073709551615\n");
}

static const struct {
    const char *value;
    const char *wanted;
} values[] = {
    {"", ""},
    {"a@b.example", "a@b.example"},
    {"a\"b", "a\\\"b"},
    {"a\\b", "a\\\\b"},
    {"a\nb", "a\\nb"},
    {"\\\"\n", "\\\\\\\"\\n"},
    {"{a=\"b\",c}", "{a=\\\"b\\\",c}"},
    {"j\xc3\xb6rg@b.example", "j\xc3\xb6rg@b.example"},
    {"\xc3(@b.example", "?(@b.example"},
    {"ok\xff\"", "ok?\\\""},
};

static void labels_are_escaped(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct buffer text = {0}, wanted = {0};
        const struct exposition_label labels[] = {{"account", values[i].value}, {"x", "y"}};
        exposition_integer(&text, "used", labels, 2, 7);
        buffer_format(&wanted, "post365_used{account=\"%s\",x=\"y\"} 7\n", values[i].wanted);
        assert_string_equal(text.data, wanted.data);
        buffer_free(&text);
        buffer_free(&wanted);
    }
}

static void one_call_writes_a_family_of_one_or_of_several_samples(void **state)
{
    (void)state;
    struct buffer text = {0};
    exposition_number(&text, "open", EXPOSITION_GAUGE, "Now.", 3);
    exposition_numbers(&text, "done_total", EXPOSITION_COUNTER, "Done.", "how",
                       (const char *const[]){"well", "badly"}, (const uint64_t[]){5, 0}, 2);
    expect_text(&text, "# HELP post365_open Now.\n# TYPE post365_open gauge\npost365_open 3\n"
                       "# HELP post365_done_total Done.\n# TYPE post365_done_total counter\n"
                       "post365_done_total{how=\"well\"} 5\npost365_done_total{how=\"badly\"} 0\n");
}

static void times_are_written_in_seconds_exactly(void **state)
{
    (void)state;
    struct buffer text = {0};
    exposition_seconds(&text, "t", NULL, 0, 1);
    exposition_seconds(&text, "t", NULL, 0, INT64_C(1700000000123456));
    exposition_seconds(&text, "t", NULL, 0, -1500000);
    expect_text(&text, "post365_t 0.000001\npost365_t 1700000000.123456\npost365_t -1.500000\n");
}

static void a_distribution_becomes_cumulative_buckets(void **state)
{
    (void)state;
    static const struct distribution_scale scale = {.count = 3, .bounds = {1, 10, 1000000}};
    struct distribution distribution = {.scale = &scale};
    const uint64_t numbers[] = {0, 1, 2, 10, 11, 1000000, 1000001};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        distribution_add(&distribution, numbers[i]);
    struct buffer text = {0};
    exposition_distribution(&text, "d", "D.", &distribution, false);
    expect_text(&text, "# HELP post365_d D.\n# TYPE post365_d histogram\n"
                       "post365_d_bucket{le=\"1\"} 2\n"
                       "post365_d_bucket{le=\"10\"} 4\n"
                       "post365_d_bucket{le=\"1000000\"} 6\n"
                       "post365_d_bucket{le=\"+Inf\"} 7\n"
                       "post365_d_sum 2000025\n"
                       "post365_d_count 7\n");
    exposition_distribution(&text, "d_seconds", "D.", &distribution, true);
    expect_text(&text, "# HELP post365_d_seconds D.\n# TYPE post365_d_seconds histogram\n"
                       "post365_d_seconds_bucket{le=\"0.000001\"} 2\n"
                       "post365_d_seconds_bucket{le=\"0.000010\"} 4\n"
                       "post365_d_seconds_bucket{le=\"1.000000\"} 6\n"
                       "post365_d_seconds_bucket{le=\"+Inf\"} 7\n"
                       "post365_d_seconds_sum 2.000025\n"
                       "post365_d_seconds_count 7\n");
}

static void the_scales_ascend(void **state)
{
    (void)state;
    const struct distribution_scale *scales[] = {&distribution_times, &distribution_waits,
                                                 &distribution_sizes};
    for (size_t s = 0; s < sizeof(scales) / sizeof(scales[0]); s++) {
        assert_in_range(scales[s]->count, 1, DISTRIBUTION_BOUNDS_MAX);
        for (size_t i = 1; i < scales[s]->count; i++)
            assert_true(scales[s]->bounds[i - 1] < scales[s]->bounds[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_family_has_its_help_and_its_type),
        cmocka_unit_test(labels_are_escaped),
        cmocka_unit_test(one_call_writes_a_family_of_one_or_of_several_samples),
        cmocka_unit_test(times_are_written_in_seconds_exactly),
        cmocka_unit_test(a_distribution_becomes_cumulative_buckets),
        cmocka_unit_test(the_scales_ascend),
    };
    return cmocka_run_group_tests_name("exposition", tests, NULL, NULL);
}
