/* quota.h - the limits of an account
 *
 * Defaults come from post365_recipient_quota, post365_message_quota, post365_recipients_per_message
 * and post365_connection_limit; post365_quota_maps overrides them per account:
 * "recipients=2000/1d messages=20/1m recipients_per_message=100 connections=2", in any order,
 * separated by blanks; "hve" names the High Volume Email profile.
 */
#ifndef POST365_COMMON_QUOTA_H
#define POST365_COMMON_QUOTA_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUOTA_UNLIMITED UINT32_MAX

/* At most `limit` in every interval of `period` microseconds. */
struct quota_rate {
    uint32_t limit; /* QUOTA_UNLIMITED: no limit, the period does not matter */
    int64_t period;
};

struct quota {
    struct quota_rate recipients;
    struct quota_rate messages;
    uint32_t recipients_per_message;
    uint32_t connections; /* at once, of the transport */
};

/* "10000/1d" -> {10000, 86400 s}. The period takes Postfix's units s, m, h, d, w (and ms, which
 * tests use); a number without a unit counts seconds. "none" is no limit. False with what is wrong
 * with `text`. */
bool quota_parse_rate(const char *text, struct quota_rate *rate, struct error *error);

/* A duration such as "1s", "500ms", "1d" in microseconds. False with what is wrong. */
bool quota_parse_period(const char *text, int64_t *period, struct error *error);

/* Applies one account's overrides to `quota`, which holds the defaults. On an error `quota` is
 * unchanged. */
bool quota_override(struct quota *quota, const char *text, struct error *error);

/* "10000/1d" again, into `text`, for messages and -t. Returns `text`. */
const char *quota_format_rate(const struct quota_rate *rate, char *text, size_t size);
const char *quota_format_period(int64_t period, char *text, size_t size);

#endif
