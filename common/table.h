/* table.h - Postfix lookup tables
 *
 * A parameter's value lists tables as in main.cf ("hash:/etc/postfix/x, inline:{ a=b }"); they are
 * asked in order and the first that knows the key answers. hash:, btree:, texthash: and inline: are
 * read into memory, static: answers by itself, every other type is asked through postmap(1) with a
 * bounded cache. A table whose file changed is read again at the next look-up; a file that cannot
 * be read again (permissions were dropped, say) is reported once per change with the remedy, and
 * the old contents stay.
 *
 * Sources: DATABASE_README, postmap(1), postconf(5) (inline:, static:, texthash: need Postfix 3.0).
 */
#ifndef POST365_COMMON_TABLE_H
#define POST365_COMMON_TABLE_H

#include "common/error.h"

#include <stdbool.h>

struct tables;

enum table_answer {
    TABLE_FOUND,
    TABLE_NONE,
    TABLE_FAILED, /* not an answer: a temporary failure, never "no match" */
};

/* What is kept of the right-hand sides. */
enum table_content {
    TABLE_VALUES,
    TABLE_USER_NAMES, /* of `user:password` only the user name; the password never stays in memory
                       */
};

/*
 * Opens what `value` lists. `parameter` names the main.cf parameter in messages, `config_directory`
 * is handed to postmap -c. An empty value gives tables that answer TABLE_NONE to everything.
 * Returns NULL with the reason (file, parameter, value, remedy) when a table is missing,
 * unreadable, malformed or of a type that Postfix does not support here.
 */
struct tables *tables_open(const char *parameter, const char *value, const char *config_directory,
                           enum table_content content, struct error *error);
void tables_close(struct tables *tables);

/*
 * Looks up one key exactly as given, folded to lower case. On TABLE_FOUND `*answer` is the caller's
 * to free(). On TABLE_FAILED `error` has the reason. Thread-safe.
 */
enum table_answer tables_find(struct tables *tables, const char *key, char **answer,
                              struct error *error);

/*
 * Looks up an address in Postfix's order: user+extension@domain, user@domain, user (only if the
 * domain is one of `local_domains`, as ADDRESS_CLASS and canonical(5) say), @domain. Table types
 * that match patterns (regexp:, pcre:, cidr:) see the whole address only. `delimiters` is
 * $recipient_delimiter. An address without a domain is looked up as it is.
 */
enum table_answer tables_find_address(struct tables *tables, const char *address,
                                      const char *delimiters, const char *local_domains,
                                      char **answer, struct error *error);

#endif
