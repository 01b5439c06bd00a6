/* table.h - Postfix lookup tables
 *
 * A parameter's value lists tables as in main.cf ("hash:/etc/postfix/x, inline:{ a=b }"); they are
 * asked in order and the first that knows the key answers. hash:, btree:, texthash: and inline: are
 * read into memory, static: answers by itself, every other type is asked through postmap(1), as the
 * user that the program is at that moment, with a bounded cache whose answers live for a minute.
 * proxy:type:name is the same as type:name. A table whose file changed is read again at the next
 * look-up; a file that cannot be read again (permissions were dropped, say) is reported once per
 * change with the remedy, and the old contents stay and answer.
 *
 * Sources: DATABASE_README, postmap(1), postconf(5) (inline:, static:, texthash: need Postfix 3.0).
 */
#ifndef POST365_COMMON_TABLE_H
#define POST365_COMMON_TABLE_H

#include "common/domains.h"
#include "common/error.h"
#include "common/secret.h"

#include <stdbool.h>
#include <stdint.h>

struct tables;

enum table_answer {
    TABLE_FOUND,
    TABLE_NONE,
    TABLE_FAILED, /* not an answer: a temporary failure, never "no match" */
};

/* What is kept of the right-hand sides. */
enum table_content {
    TABLE_VALUES,
    /* Of `user:password` only the user name; the password never stays in memory, unless it stands
     * in main.cf itself (inline:, static:). */
    TABLE_USER_NAMES,
    /* The whole of `user:password`, as a secret. Answers of postmap(1) with a password in them are
     * not kept. */
    TABLE_PASSWORDS,
};

/*
 * Opens what `value` lists. `parameter` names the main.cf parameter in messages, `config_directory`
 * is handed to postmap -c. An empty value gives tables that answer TABLE_NONE to everything.
 * Returns NULL with the reason (file, parameter, value, remedy) when a table is missing,
 * unreadable, malformed or of a type that Postfix does not support here.
 */
struct tables *tables_open(const char *parameter, const char *value, const char *config_directory,
                           enum table_content content, struct error *error);

/* The same for a reload. A table whose file has not changed is not read again; where a changed file
 * cannot be read by the user that the program has become, the table that `old` (may be NULL) has of
 * it serves on, with a warning. `old` stays the caller's to close. */
struct tables *tables_reopen(struct tables *old, const char *parameter, const char *value,
                             const char *config_directory, enum table_content content,
                             struct error *error);

/* Tries what tables_open() tried and what must still work for the user that the program has become:
 * asking postmap. False with the reason. */
bool tables_check(struct tables *tables, struct error *error);

/* A list of tables as it may be shown to whoever asks: of TABLE_USER_NAMES and TABLE_PASSWORDS
 * without the contents of inline: and static:, which hold passwords. The caller frees it. */
char *tables_shown(const char *value, enum table_content content);

/* `tables` may be NULL. */
void tables_close(struct tables *tables);

/*
 * Reads again what changed of the tables' files, as every look-up begins: with one stat(2) for each
 * file, and with the same waiting and complaints. True: as long as `*version`, which may go up but
 * never down, is the same after such a call, each look-up between gave what it would give now; a
 * change that could not be read is none. False: some table is asked through postmap(1), whose
 * answers change without a trace; of these `*version` tells changes of a file alone. Thread-safe.
 */
bool tables_refresh(struct tables *tables, uint64_t *version);

/*
 * Looks up one key exactly as given, folded to lower case; not for TABLE_PASSWORDS. On TABLE_FOUND
 * `*answer` is the caller's to free(), and never empty. On TABLE_FAILED `error` has the reason with
 * parameter, table and remedy. An empty key, one with a line end, or one that is longer than any
 * address is in no table. Thread-safe.
 */
enum table_answer tables_find(struct tables *tables, const char *key, char **answer,
                              struct error *error);

/* The same for TABLE_PASSWORDS: `*answer` is `user:password`, and the caller's to secret_free(). */
enum table_answer tables_find_secret(struct tables *tables, const char *key, struct secret **answer,
                                     struct error *error);

/* tables_find() in tables that have lines of their own for keys: not in static:, nor in those that
 * match patterns, which know everybody. */
enum table_answer tables_find_exact(struct tables *tables, const char *key, char **answer,
                                    struct error *error);

/* Whether the following see all that the tables have: every one can be enumerated. */
bool tables_can_list(const struct tables *tables);

/* Calls `visit` with each key, folded, of the tables that can be enumerated, hash:, btree:,
 * texthash:, inline:. Reads again what changed. The entries come table by table, so that a key may
 * come twice, of which the first counts; within a table they come in no order. `visit` must not use
 * the tables. Thread-safe. */
void tables_each_key(struct tables *tables, void (*visit)(void *context, const char *key),
                     void *context);
/* The same with what is there; not for TABLE_PASSWORDS. */
void tables_each_value(struct tables *tables,
                       void (*visit)(void *context, const char *key, const char *value),
                       void *context);
/* Calls `visit` with what each static: table says to every key; not for TABLE_PASSWORDS. */
void tables_each_static(struct tables *tables, void (*visit)(void *context, const char *value),
                        void *context);
/* tables_each_value() for TABLE_PASSWORDS. */
void tables_each_secret(struct tables *tables,
                        void (*visit)(void *context, const char *key, const struct secret *secret),
                        void *context);

/*
 * Looks up an address in Postfix's order (mail_addr_find(3), canonical(5)): user+extension@domain,
 * user@domain, then user+extension and user if the domain is one of `local_domains`, @domain; all
 * tables are asked for one key before the next. A quoted local part is tried as it is and then
 * without its quotes. Tables that match patterns (regexp:, pcre:, cidr:, tcp:, socketmap:) see the
 * whole address only. `delimiters` is $recipient_delimiter. An address without a domain is looked
 * up as it is.
 */
enum table_answer tables_find_address(struct tables *tables, const char *address,
                                      const char *delimiters, const struct domains *local_domains,
                                      char **answer, struct error *error);

/* The same; on TABLE_FOUND `*key` is the key that answered, folded, and the caller's to free(). */
enum table_answer tables_find_address_key(struct tables *tables, const char *address,
                                          const char *delimiters,
                                          const struct domains *local_domains, char **key,
                                          char **answer, struct error *error);

#endif
