/* table_syntax.c - how lists, braces and right-hand sides of tables are written
 *
 * The syntax of main.cf where it names tables: DATABASE_README, inline: and static: in postconf(5).
 */
#include "common/address.h"
#include "common/memory.h"
#include "common/table_backend.h"

#include <stdlib.h>
#include <string.h>

#define BLANKS     " \t\r\n"
#define SEPARATORS "," BLANKS

char *table_next_piece(char **list)
{
    char *piece = *list + strspn(*list, SEPARATORS);
    if (*piece == '\0')
        return NULL;
    unsigned level = 0;
    char *end = piece;
    for (; *end != '\0' && (level > 0 || strchr(SEPARATORS, *end) == NULL); end++) {
        if (*end == '{')
            level++;
        else if (*end == '}' && level > 0)
            level--;
    }
    *list = *end != '\0' ? end + 1 : end;
    *end = '\0';
    return piece;
}

/* The brace that closes the one at `open`, or NULL. */
static char *closing_brace(char *open)
{
    unsigned level = 0;
    for (char *byte = open; *byte != '\0'; byte++) {
        if (*byte == '{')
            level++;
        else if (*byte == '}' && --level == 0)
            return byte;
    }
    return NULL;
}

char *table_strip_braces(char *text, struct error *error)
{
    if (text[0] != '{')
        return text;
    char *end = closing_brace(text);
    if (end == NULL) {
        error_set(error, "missing '}'; close the braces");
        return NULL;
    }
    if (end[1] != '\0') {
        error_set(error, "text after '}'; put a comma or a blank there");
        return NULL;
    }
    *end = '\0';
    text += 1 + strspn(text + 1, BLANKS);
    while (end > text && strchr(BLANKS, end[-1]) != NULL)
        *--end = '\0';
    return text;
}

/* --- keys and values --- */

struct table_value table_keep(enum table_content content, const char *value, size_t length)
{
    if (content != TABLE_VALUES) {
        /* Without a colon it may be the password that stands there. */
        const char *colon = memchr(value, ':', length);
        if (colon == NULL)
            length = 0;
        else if (content == TABLE_USER_NAMES)
            length = (size_t)(colon - value);
    }
    if (content == TABLE_PASSWORDS)
        return (struct table_value){.secret = secret_copy(value, length)};
    return (struct table_value){.text = memory_copy_bytes(value, length)};
}

struct table_value table_value_copy(const struct table_value *value)
{
    if (value->secret == NULL)
        return (struct table_value){.text = memory_copy(value->text)};
    return (struct table_value){
        .secret = secret_copy(secret_reveal(value->secret), secret_length(value->secret))};
}

bool table_value_empty(const struct table_value *value)
{
    return value->secret != NULL ? secret_length(value->secret) == 0 : value->text[0] == '\0';
}

void table_release(struct table_value *value)
{
    free(value->text);
    secret_free(value->secret);
    *value = (struct table_value){0};
}

static void release_secret(void *secret)
{
    secret_free(secret);
}

struct dictionary *table_entries_new(enum table_content content)
{
    return dictionary_new(content == TABLE_PASSWORDS ? release_secret : free);
}

/* The dictionary takes over the one of the two that is there. */
void table_put_kept(struct dictionary *entries, const char *folded, struct table_value kept)
{
    dictionary_put(entries, folded, kept.secret != NULL ? (void *)kept.secret : kept.text);
}

void table_put(struct dictionary *entries, enum table_content content, const char *key,
               const char *value, size_t length)
{
    char *folded = address_fold(key);
    table_put_kept(entries, folded, table_keep(content, value, length));
    free(folded);
}

bool table_add(struct dictionary *entries, enum table_content content, const char *key,
               const char *value, size_t length)
{
    char *folded = address_fold(key);
    bool added = dictionary_find(entries, folded) == NULL;
    if (added)
        table_put_kept(entries, folded, table_keep(content, value, length));
    free(folded);
    return added;
}

/* The other way round. */
static struct table_value value_of(enum table_content content, void *kept)
{
    if (content == TABLE_PASSWORDS)
        return (struct table_value){.secret = kept};
    return (struct table_value){.text = kept};
}

enum table_answer table_get(const struct dictionary *entries, enum table_content content,
                            const char *key, struct table_value *value)
{
    void *found = dictionary_find(entries, key);
    if (found == NULL)
        return TABLE_NONE;
    const struct table_value kept = value_of(content, found);
    *value = table_value_copy(&kept);
    return TABLE_FOUND;
}

struct entries_visit {
    enum table_content content;
    table_visit *visit;
    void *context;
};

static void visit_entry(void *context, const char *key, void *kept)
{
    const struct entries_visit *entries = context;
    const struct table_value value = value_of(entries->content, kept);
    entries->visit(entries->context, key, &value);
}

void table_each(const struct dictionary *entries, enum table_content content, table_visit *visit,
                void *context)
{
    struct entries_visit all = {.content = content, .visit = visit, .context = context};
    dictionary_each(entries, visit_entry, &all);
}
