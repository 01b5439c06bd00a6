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

char *table_keep(enum table_content content, const char *value, size_t length)
{
    if (content == TABLE_USER_NAMES) {
        /* Without a colon it may be the password that stands there. */
        const char *colon = memchr(value, ':', length);
        length = colon != NULL ? (size_t)(colon - value) : 0;
    }
    return memory_copy_bytes(value, length);
}

bool table_add(struct dictionary *entries, enum table_content content, const char *key,
               const char *value, size_t length)
{
    char *folded = address_fold(key);
    bool added = dictionary_find(entries, folded) == NULL;
    if (added)
        dictionary_put(entries, folded, table_keep(content, value, length));
    free(folded);
    return added;
}
