/* rules.h - what a table does, line by line
 *
 * Of text tables (hash: and its like by the file that they are made of, texthash:, regexp:, pcre:,
 * cidr:) and static:. Others are not looked into.
 */
#ifndef POST365_CTL_RELAY_RULES_H
#define POST365_CTL_RELAY_RULES_H

#include <stdbool.h>
#include <stddef.h>

struct rule {
    const char *table; /* "/etc/postfix/header_checks" */
    unsigned line;     /* 0 for static: */
    const char *result;
};

/* Calls `visit` with each rule of the tables that `value` lists. False if some table could not be
 * looked into. */
bool rules_each(const char *value, void (*visit)(void *context, const struct rule *rule),
                void *context);

#endif
