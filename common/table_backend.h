/* table_backend.h - what table.c and the kinds of tables agree on; private to common/table*.c
 *
 * Every kind opens with a function of the same shape. A table is used by many threads at once and
 * does its own locking. Keys reach it folded, not empty, without line ends, at most
 * TABLE_KEY_MAX bytes long.
 */
#ifndef POST365_COMMON_TABLE_BACKEND_H
#define POST365_COMMON_TABLE_BACKEND_H

#include "common/dictionary.h"
#include "common/error.h"
#include "common/file_state.h"
#include "common/secret.h"
#include "common/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define TABLE_KEY_MAX   2048                 /* bytes; an address has at most ADDRESS_MAX */
#define TABLE_VALUE_MAX ((size_t)256 * 1024) /* bytes */
#define TABLE_FILE_MAX  (256U << 20)         /* bytes */

/* Which table, and for whom; lives as long as the table. */
struct table_source {
    char *place; /* "/etc/postfix/main.cf: post365_upn = hash:/etc/postfix/x", for messages */
    char *type;  /* "hash" */
    char *name;  /* "/etc/postfix/x" */
    char *config_directory;
    enum table_content content;
};

struct table;

/* What `content` keeps of a right-hand side: of TABLE_PASSWORDS the secret, else the text; the
 * other is NULL. */
struct table_value {
    char *text;
    struct secret *secret;
};

typedef void table_visit(void *context, const char *key, const struct table_value *value);

struct table_operations {
    /* Reads again what changed, as every look-up begins, and gives the number of changes so far,
     * without those that could not be read. True: as long as that stays the same, so do the
     * answers. False: they change without a trace. */
    bool (*refresh)(struct table *table, uint64_t *changes);
    /* As tables_find(), after refresh(); what is found is the caller's to table_release(). */
    enum table_answer (*find)(struct table *table, const char *key, struct table_value *value,
                              struct error *error);
    /* Calls `visit` with each entry; NULL if nobody knows them all. */
    void (*each)(struct table *table, table_visit *visit, void *context);
    /* Tries again, as the user that the program now is, what opening tried; NULL if there is
     * nothing to try. */
    bool (*check)(struct table *table, struct error *error);
    /* Whether it is not worth opening anew; NULL: it always is. */
    bool (*is_current)(struct table *table);
    void (*close)(struct table *table);
};

/* The start of every kind's own struct. */
struct table {
    const struct table_operations *operations;
    const struct table_source *source;
};

enum table_trouble {
    TABLE_TROUBLE_NONE,
    TABLE_TROUBLE_LATER,  /* locked, missing for a moment, just being written */
    TABLE_TROUBLE_DENIED, /* not readable for this user */
    TABLE_TROUBLE_WRONG,
};

/* All return NULL with the reason, which does not repeat source->place, and what kind of trouble it
 * is. */
struct table *table_open_file(const struct table_source *source, enum table_trouble *trouble,
                              struct error *error); /* hash, btree, texthash */
struct table *table_open_literal(const struct table_source *source, enum table_trouble *trouble,
                                 struct error *error); /* inline, static */
struct table *table_open_postmap(const struct table_source *source, enum table_trouble *trouble,
                                 struct error *error); /* all others */

/* --- reading files --- */

/* What a table held at one moment. */
struct table_contents {
    struct dictionary *entries;
    struct file_state state;
};

/* Reads the file behind a table once. On trouble `error` names file, reason and remedy, and
 * `contents->entries` is untouched. */
typedef enum table_trouble table_reader(const struct table_source *source, const char *path,
                                        struct table_contents *contents, struct error *error);
table_reader table_read_text;     /* texthash */
table_reader table_read_database; /* hash, btree */

/* Reads the file behind a hash:, btree: or texthash: table when it has been left alone for a
 * moment, as the user that the program is. */
enum table_trouble table_file_read(const struct table_source *source,
                                   struct table_contents *contents, struct error *error);

/* The file behind a table of any type, the caller's to free(), or NULL if it has none. */
char *table_file_behind(const struct table_source *source);

/* One question to postmap(1), as the user that the program is: nothing is kept, nor waited for. */
enum table_answer table_ask_postmap(const struct table_source *source, const char *key,
                                    struct table_value *value, struct error *error);

/* Opens a regular file of at most TABLE_FILE_MAX bytes for reading: a close-on-exec descriptor and
 * its status, or -1 with the trouble; `missing_remedy` is what to do if there is no such file. */
int table_open_descriptor(const char *path, const char *missing_remedy, struct stat *status,
                          enum table_trouble *trouble, struct error *error);

/* Warnings about single lines of a file, at most a handful for each reading. */
struct table_warnings {
    const char *path;
    unsigned count;
};
__attribute__((format(printf, 2, 3))) void table_warn(struct table_warnings *warnings,
                                                      const char *format, ...);
void table_warn_rest(const struct table_warnings *warnings);

/* --- keys and values --- */

/* What `content` keeps of a right-hand side: a copy, which is the caller's to table_release(). Of
 * what should be user:password and has no colon nothing is kept, "". */
struct table_value table_keep(enum table_content content, const char *value, size_t length);
struct table_value table_value_copy(const struct table_value *value);
/* Whether there is nothing in it. */
bool table_value_empty(const struct table_value *value);
void table_release(struct table_value *value);

/* A dictionary of what `content` keeps, for the following three. */
struct dictionary *table_entries_new(enum table_content content);

/* Puts what is kept of `value` under the key, folded, in place of what is there. */
void table_put(struct dictionary *entries, enum table_content content, const char *key,
               const char *value, size_t length);

/* Puts what is kept already, and takes it over. The key is folded. */
void table_put_kept(struct dictionary *entries, const char *key, struct table_value kept);

/* The same, unless the key is there: the first counts, as with postmap(1). False if it is there. */
bool table_add(struct dictionary *entries, enum table_content content, const char *key,
               const char *value, size_t length);

/* A copy of what is under the folded key. */
enum table_answer table_get(const struct dictionary *entries, enum table_content content,
                            const char *key, struct table_value *value);

/* Calls `visit` with each entry. */
void table_each(const struct dictionary *entries, enum table_content content, table_visit *visit,
                void *context);

/* Takes the text out of "{ text }", without the white space around it, in place; NULL with the
 * reason if the braces do not match. Text without braces is returned as it is. */
char *table_strip_braces(char *text, struct error *error);

/* Cuts the next piece off a list whose separators count only outside braces; NULL at the end.
 * Advances `*list`. */
char *table_next_piece(char **list);

#endif
