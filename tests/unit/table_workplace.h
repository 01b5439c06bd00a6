/* table_workplace.h - a directory with lookup tables, made with the real postmap(1), and the log */
#ifndef POST365_TESTS_UNIT_TABLE_WORKPLACE_H
#define POST365_TESTS_UNIT_TABLE_WORKPLACE_H

/* A fresh directory below /tmp with a main.cf that suffices for postmap -c; others may read it.
 * This and the next are a group's set-up and tear-down for cmocka; the state is not used. */
int workplace_make(void **state);
/* Removes it with all that is in it. */
int workplace_remove(void **state);

const char *workplace_directory(void);
/* The path of a file in it; valid until the eighth call after this one. */
const char *workplace_path(const char *name);

/* Writes over a file in place, or puts a new one in its place with rename(2). */
void workplace_write(const char *name, const char *text);
void workplace_replace(const char *name, const char *text);

/* postmap -c DIRECTORY type:DIRECTORY/name */
void workplace_postmap(const char *type, const char *name);

/* What the code under test logs between the two calls; the text is valid until the next start. */
void workplace_log_start(void);
const char *workplace_log_end(void);

/* Fails with both texts if `part` is not in `text`. */
void assert_contains(const char *text, const char *part);
/* How often `part` is in `text`. */
int workplace_count(const char *text, const char *part);

#endif
