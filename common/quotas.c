/* quotas.c - which quota applies to an account? */
#include "common/quotas.h"

#include <stdlib.h>

enum table_answer quotas_find(const struct settings *settings, struct tables *quota_maps,
                              const char *key, struct quota *quota, struct error *error)
{
    char *text = NULL;
    *quota = settings->quota;
    enum table_answer found = tables_find(quota_maps, key, &text, error);
    if (found == TABLE_FOUND && !quota_override(quota, text, error)) {
        error_prefix(error, "post365_quota_maps gives \"%s\" for %s", text, key);
        found = TABLE_FAILED;
    }
    free(text);
    return found;
}
