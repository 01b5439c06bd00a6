/* postconf.h - values of main.cf, as Postfix itself understands them
 *
 * Through postconf(1), so that $name, ${name?text}, continuation lines and -o mean what they mean
 * to Postfix.
 */
#ifndef POST365_COMMON_POSTCONF_H
#define POST365_COMMON_POSTCONF_H

#include "common/buffer.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Whose values: `directory` is Postfix's configuration directory, NULL for postconf's own;
 * `overrides` a NULL-terminated list of "name=value", or NULL. Both are the caller's. */
struct postconf {
    const char *directory;
    const char *const *overrides;
};

/* Postfix's configuration directory: `named` if that is not NULL, else $MAIL_CONFIG, else
 * postconf's own. The caller's to free(); NULL with the reason. */
char *postconf_directory(const char *named, struct error *error);

/* Runs postconf with `options` (a NULL-terminated list, such as "-M") behind -c and -o, and appends
 * what it prints, without the last line end. False with the reason. */
bool postconf_run(const struct postconf *postconf, const char *const options[],
                  struct buffer *answer, struct error *error);

/* Expands `count` texts with `$name` in them, in one call. `values` are the caller's to free(),
 * also after a failure: those not known are NULL, as they must be before. */
bool postconf_expand(const struct postconf *postconf, const char *const expressions[], size_t count,
                     char *values[], struct error *error);

#endif
