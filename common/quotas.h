/* quotas.h - which quota applies to an account?
 *
 * The defaults of main.cf, with what post365_quota_maps overrides of them. The policy service and
 * the control socket both ask here, so that they always name the same limits.
 */
#ifndef POST365_COMMON_QUOTAS_H
#define POST365_COMMON_QUOTAS_H

#include "common/error.h"
#include "common/quota.h"
#include "common/settings.h"
#include "common/table.h"

/*
 * Sets `quota` to that of `key`: a folded UPN, or the name of a profile. TABLE_NONE:
 * post365_quota_maps has no line for it, `quota` holds the defaults. TABLE_FAILED: the look-up
 * failed or the line makes no sense, `error` says why; that is a temporary failure, never the
 * defaults.
 */
enum table_answer quotas_find(const struct settings *settings, struct tables *quota_maps,
                              const char *key, struct quota *quota, struct error *error);

#endif
