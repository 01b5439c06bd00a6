/* table_literal.c - tables whose contents stand in main.cf itself: inline: and static:
 *
 * inline:{ key=value, { key = value with blanks } } and static:value, static:{ value with blanks },
 * as postconf(5) has them.
 */
#include "common/address.h"
#include "common/memory.h"
#include "common/table_backend.h"

#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"

struct literal {
    struct table table;
    struct dictionary *entries; /* inline: */
    char *value;                /* static: */
};

static uint64_t refresh(struct table *table)
{
    (void)table;
    return 0;
}

static enum table_answer find(struct table *table, const char *key, char **value,
                              struct error *error)
{
    (void)error;
    const struct literal *literal = (const struct literal *)table;
    const char *found =
        literal->entries != NULL ? dictionary_find(literal->entries, key) : literal->value;
    if (found == NULL)
        return TABLE_NONE;
    *value = memory_copy(found);
    return TABLE_FOUND;
}

static void close_literal(struct table *table)
{
    struct literal *literal = (struct literal *)table;
    dictionary_free(literal->entries);
    free(literal->value);
    free(literal);
}

/* The '=' behind a key, which may be quoted. */
static char *find_equals(char *text)
{
    bool quoted = false;
    for (char *byte = text; *byte != '\0'; byte++) {
        if (*byte == '\\' && byte[1] != '\0')
            byte++;
        else if (*byte == '"')
            quoted = !quoted;
        else if (!quoted && *byte == '=')
            return byte;
    }
    return NULL;
}

static void cut_blanks(char *start, char *end)
{
    while (end > start && strchr(BLANKS, end[-1]) != NULL)
        end--;
    *end = '\0';
}

static bool add_pair(struct literal *literal, char *pair, unsigned number, struct error *error)
{
    pair = table_strip_braces(pair, error);
    if (pair == NULL)
        return error_prefix(error, "entry %u", number);
    char *equals = find_equals(pair);
    if (equals == NULL || equals == pair)
        return error_set(error, "entry %u has no key and value; write inline:{ key=value, ... }",
                         number);
    char *value = equals + 1 + strspn(equals + 1, BLANKS);
    cut_blanks(pair, equals);
    /* The last one counts, as in Postfix. */
    char *folded = address_fold(pair);
    dictionary_put(literal->entries, folded,
                   table_keep(literal->table.source->content, value, strlen(value)));
    free(folded);
    return true;
}

static bool read_inline(struct literal *literal, char *text, struct error *error)
{
    literal->entries = dictionary_new(free);
    if (text[0] != '{')
        return error_set(error, "write inline:{ key=value, ... }");
    char *rest = table_strip_braces(text, error);
    if (rest == NULL)
        return false;
    unsigned number = 0;
    char *pair;
    while ((pair = table_next_piece(&rest)) != NULL)
        if (!add_pair(literal, pair, ++number, error))
            return false;
    return number > 0 || error_set(error, "an empty table; write inline:{ key=value, ... }");
}

static bool read_static(struct literal *literal, char *text, struct error *error)
{
    char *value = table_strip_braces(text, error);
    if (value == NULL)
        return false;
    if (value[0] == '\0')
        return error_set(error, "an empty value; write static:value");
    literal->value = table_keep(literal->table.source->content, value, strlen(value));
    return true;
}

struct table *table_open_literal(const struct table_source *source, enum table_trouble *trouble,
                                 struct error *error)
{
    static const struct table_operations operations = {
        .refresh = refresh, .find = find, .close = close_literal};
    struct literal *literal = memory_zero(1, sizeof(*literal));
    literal->table = (struct table){.operations = &operations, .source = source};
    char *text = memory_copy(source->name);
    bool fine = strcmp(source->type, "inline") == 0 ? read_inline(literal, text, error)
                                                    : read_static(literal, text, error);
    explicit_bzero(text, strlen(source->name));
    free(text);
    if (fine)
        return &literal->table;
    *trouble = TABLE_TROUBLE_WRONG;
    close_literal(&literal->table);
    return NULL;
}
