/* exposition.c - figures in Prometheus' text format */
#include "common/metrics/exposition.h"

#include "common/clock.h"
#include "common/utf8.h"

#include <inttypes.h>
#include <string.h>

#define PREFIX "post365_"

void exposition_family(struct buffer *text, const char *name, enum exposition_type type,
                       const char *help)
{
    static const char *const types[] = {[EXPOSITION_COUNTER] = "counter",
                                        [EXPOSITION_GAUGE] = "gauge",
                                        [EXPOSITION_HISTOGRAM] = "histogram"};
    buffer_format(text, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name,
                  types[type]);
}

/* In a label's value a backslash, a quote and a line feed are escaped, and nothing else. */
static void append_escaped(struct buffer *text, const char *value)
{
    bool sound = utf8_is_valid(value, strlen(value));
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            buffer_append_char(text, '\\');
        if (*value == '\n')
            buffer_append_string(text, "\\n");
        else if (!sound && ((unsigned char)*value & 0x80U) != 0)
            buffer_append_char(text, '?');
        else
            buffer_append_char(text, *value);
    }
}

static void append_name(struct buffer *text, const char *name, const char *suffix,
                        const struct exposition_label labels[], size_t count)
{
    buffer_append_string(text, PREFIX);
    buffer_append_string(text, name);
    buffer_append_string(text, suffix);
    for (size_t i = 0; i < count; i++) {
        buffer_append_char(text, i == 0 ? '{' : ',');
        buffer_append_string(text, labels[i].name);
        buffer_append_string(text, "=\"");
        append_escaped(text, labels[i].value);
        buffer_append_char(text, '"');
    }
    buffer_append_string(text, count > 0 ? "} " : " ");
}

/* Exact, where a floating point number would not be. */
static void append_seconds(struct buffer *text, int64_t time)
{
    uint64_t size = time < 0 ? 0 - (uint64_t)time : (uint64_t)time;
    buffer_format(text, "%s%" PRIu64 ".%06" PRIu64, time < 0 ? "-" : "", size / CLOCK_SECOND,
                  size % CLOCK_SECOND);
}

void exposition_integer(struct buffer *text, const char *name,
                        const struct exposition_label labels[], size_t count, uint64_t value)
{
    append_name(text, name, "", labels, count);
    buffer_format(text, "%" PRIu64 "\n", value);
}

void exposition_seconds(struct buffer *text, const char *name,
                        const struct exposition_label labels[], size_t count, int64_t time)
{
    append_name(text, name, "", labels, count);
    append_seconds(text, time);
    buffer_append_char(text, '\n');
}

void exposition_number(struct buffer *text, const char *name, enum exposition_type type,
                       const char *help, uint64_t value)
{
    exposition_family(text, name, type, help);
    exposition_integer(text, name, NULL, 0, value);
}

void exposition_numbers(struct buffer *text, const char *name, enum exposition_type type,
                        const char *help, const char *label, const char *const values[],
                        const uint64_t numbers[], size_t count)
{
    exposition_family(text, name, type, help);
    for (size_t i = 0; i < count; i++)
        exposition_integer(text, name, &(struct exposition_label){label, values[i]}, 1, numbers[i]);
}

static void append_bucket(struct buffer *text, const char *name, const char *bound, uint64_t value)
{
    const struct exposition_label label = {"le", bound};
    append_name(text, name, "_bucket", &label, 1);
    buffer_format(text, "%" PRIu64 "\n", value);
}

void exposition_distribution(struct buffer *text, const char *name, const char *help,
                             const struct distribution *distribution, bool is_time)
{
    struct buffer bound = {0};
    uint64_t total = 0;
    exposition_family(text, name, EXPOSITION_HISTOGRAM, help);
    for (size_t i = 0; i < distribution->scale->count; i++) {
        total += distribution->counts[i];
        buffer_clear(&bound);
        if (is_time)
            append_seconds(&bound, (int64_t)distribution->scale->bounds[i]);
        else
            buffer_format(&bound, "%" PRIu64, distribution->scale->bounds[i]);
        append_bucket(text, name, bound.data, total);
    }
    buffer_free(&bound);
    total += distribution->counts[distribution->scale->count];
    append_bucket(text, name, "+Inf", total);
    append_name(text, name, "_sum", NULL, 0);
    if (is_time)
        append_seconds(text, (int64_t)distribution->sum);
    else
        buffer_format(text, "%" PRIu64, distribution->sum);
    buffer_append_char(text, '\n');
    append_name(text, name, "_count", NULL, 0);
    buffer_format(text, "%" PRIu64 "\n", total);
}
