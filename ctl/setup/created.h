/* created.h - files that setup has made, and their removal
 *
 * Of each the record has a fingerprint, by which it is known whether somebody has edited it since;
 * of a secret nothing else is kept.
 */
#ifndef POST365_CTL_SETUP_CREATED_H
#define POST365_CTL_SETUP_CREATED_H

#include "common/error.h"
#include "common/settings.h"
#include "ctl/setup/takeover.h"

#include <stdbool.h>
#include <stddef.h>

#define CREATED_FINGERPRINT 65 /* SHA-256 in hexadecimal digits, and a NUL */

struct created {
    char *path;
    char fingerprint[CREATED_FINGERPRINT]; /* "-": a directory */
};

struct created_list {
    struct created *items;
    size_t count;
};

/* What takeover's files will be, the directory in front if it is not there yet. Release with
 * created_free(). */
void created_plan(const struct takeover *takeover, struct created_list *list);
void created_add(struct created_list *list, const char *path, const char *fingerprint);
void created_free(struct created_list *list);

/* Makes them. False with the reason: there is something of that name, or no post365_oauth2_user. */
bool created_make(const struct takeover *takeover, const struct created_list *list,
                  const struct settings *settings, struct error *error);

/* Whether it is as setup has made it. One that is not there is not. */
bool created_is_ours(const struct created *created);

/* Removes what is as it was made: a directory only if nothing is in it. False with the reason. */
bool created_remove(const struct created_list *list, struct error *error);

#endif
