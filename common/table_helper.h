/* table_helper.h - a process that stays root and reads tables for a daemon that does not
 *
 * Password tables are root's on most hosts, and change. A daemon that starts as root forks a helper
 * before it opens anything, and becomes somebody else. The helper answers for the tables that
 * main.cf names and for no others: it reads them, looks a key up by postmap(1), and tells of what
 * is `user:password` to a daemon that needs the user names no more than these. It has
 * CAP_DAC_READ_SEARCH alone, no descriptor but the socket to its daemon, hears no signal and ends
 * with the daemon. When it has ended that is said once, and the daemon goes on as far as it can
 * read by itself.
 *
 * A program that does not call table_helper_start(), or is not root, has none: all answers are
 * "no". What asks is private to common/table*.c. Thread-safe.
 */
#ifndef POST365_COMMON_TABLE_HELPER_H
#define POST365_COMMON_TABLE_HELPER_H

#include "common/error.h"
#include "common/settings.h"
#include "common/table_backend.h"

#include <stdbool.h>
#include <sys/stat.h>

/* How the helper reads main.cf again when the daemon does: the settings, or NULL with the reason.
 */
typedef struct settings *table_helper_settings(const void *context, struct error *error);

/* Forks it, if the program is root. `settings` are those in force; with `needs_passwords` it tells
 * passwords, else of password tables the user names alone. Call it while there is one thread. False
 * with the reason. */
bool table_helper_start(const struct settings *settings, bool needs_passwords,
                        table_helper_settings *read, const void *context, struct error *error);

/* This program never has one, nor root's rights, whoever starts it: a table that it may not read is
 * said to be closed, instead of that the program should be started as root. */
void table_helper_forgo(void);
bool table_helper_is_possible(void);

/* main.cf may name other tables; before they are opened. */
void table_helper_reload(void);

/* Whether there is one. */
bool table_helper_is_there(void);

/* As a table_reader: TABLE_TROUBLE_DENIED, and `error` untouched, where there is no helper. */
enum table_trouble table_helper_read(const struct table_source *source,
                                     struct table_contents *contents, struct error *error);

/* stat(2) of the file behind a table. False with errno; EACCES where there is no helper. */
bool table_helper_stat(const struct table_source *source, struct stat *status);

/* A look-up through postmap(1) by root; `*asked` is whether there was a helper to ask. */
enum table_answer table_helper_find(const struct table_source *source, const char *key,
                                    struct table_value *value, bool *asked, struct error *error);

#endif
