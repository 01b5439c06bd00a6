/* exposition.h - figures in Prometheus' text format
 *
 * Each family is one exposition_family() and then its samples, all of them: the format wants them
 * in one group. Times are given in microseconds and written in seconds.
 *
 * Source: Prometheus, "Exposition formats", text format 0.0.4.
 */
#ifndef POST365_COMMON_METRICS_EXPOSITION_H
#define POST365_COMMON_METRICS_EXPOSITION_H

#include "common/buffer.h"
#include "common/metrics/distribution.h"

#include <stddef.h>
#include <stdint.h>

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct exposition_label {
    const char *name;  /* of ours: letters and _ */
    const char *value; /* anybody's: it is escaped, and what is no UTF-8 is shown as `?` */
};

enum exposition_type { EXPOSITION_COUNTER, EXPOSITION_GAUGE, EXPOSITION_HISTOGRAM };

/* Begins a family: its HELP and TYPE lines. Names come without post365_. */
void exposition_family(struct buffer *text, const char *name, enum exposition_type type,
                       const char *help);

/* One sample. `labels` are `count` many, none if 0. */
void exposition_integer(struct buffer *text, const char *name,
                        const struct exposition_label labels[], size_t count, uint64_t value);
void exposition_seconds(struct buffer *text, const char *name,
                        const struct exposition_label labels[], size_t count, int64_t time);

/* Accounts that a page shows at most: each takes some samples. */
#define METRICS_ACCOUNTS_MAX 1000

/* A family of one sample without labels; of `count` many that one label tells apart. */
void exposition_number(struct buffer *text, const char *name, enum exposition_type type,
                       const char *help, uint64_t value);
void exposition_numbers(struct buffer *text, const char *name, enum exposition_type type,
                        const char *help, const char *label, const char *const values[],
                        const uint64_t numbers[], size_t count);

/* Family and samples of a distribution; `is_time` if it holds microseconds. */
void exposition_distribution(struct buffer *text, const char *name, const char *help,
                             const struct distribution *distribution, bool is_time);

#endif
