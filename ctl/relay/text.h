/* text.h - main.cf, master.cf and text tables as Postfix reads them, without losing a byte
 *
 * A logical line begins with something that is no white space, and goes on with lines that begin
 * with white space. Lines that are empty or begin with `#`, behind white space too, are no part of
 * it, also where they stand in its midst.
 *
 * Sources: postconf(5), master(5), postmap(1).
 */
#ifndef POST365_CTL_RELAY_TEXT_H
#define POST365_CTL_RELAY_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a text, from `begin` up to `end`. */
struct text_span {
    size_t begin;
    size_t end;
};

/* A logical line with its line end. Comments in its midst lie in the span. */
struct text_entry {
    struct text_span span;
    unsigned line; /* its first one, from 1 */
    char *name;    /* what stands before the first `=` or blank */
};

struct text {
    char *data; /* a NUL behind it */
    size_t length;
    struct text_entry *entries;
    size_t count;
};

/* Takes a copy of the bytes. Release with text_free(). */
void text_read(struct text *text, const char *data, size_t length);
void text_free(struct text *text);

/* The last definition of a name, which is the one that counts; NULL if there is none. */
const struct text_entry *text_find(const struct text *text, const char *name);

/* The entry that a byte lies in, or NULL. */
const struct text_entry *text_entry_at(const struct text *text, size_t at);

/* Where the line that a byte lies in ends: behind its line end, or at the end of the text. */
size_t text_line_end(const struct text *text, size_t at);

/* What stands behind an entry's name and `=`, up to its last byte that is no white space. */
struct text_span text_value(const struct text *text, const struct text_entry *entry);

/* The next of the pieces in `rest` between separators; these count only outside braces. Comments
 * are passed over. False at the end; advances rest->begin. */
bool text_next(const struct text *text, const char *separators, struct text_span *rest,
               struct text_span *piece);

/* A copy of a span without the comments in it. The caller's to free(). */
char *text_copy(const struct text *text, struct text_span span);

/* Whether `$name` stands in a value, in any of its spellings. */
bool text_refers(const char *value, const char *name);

/* Makes one line of several, in place: line ends and tabulators become blanks, white space at the
 * end goes. */
void text_flatten(char *words);

#endif
