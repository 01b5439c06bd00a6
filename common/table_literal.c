/* table_literal.c - tables whose contents stand in main.cf itself: inline: and static:
 *
 * inline:{ key=value, { key = value with blanks } } and static:value, static:{ value with blanks },
 * as postconf(5) has them.
 */
#include "common/memory.h"
#include "common/table_backend.h"

#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"

struct literal {
    struct table table;
    struct dictionary *entries; /* inline: */
    struct table_value value;   /* static: */
};

static bool refresh(struct table *table, uint64_t *changes)
{
    (void)table;
    *changes = 0;
    return true;
}

static enum table_answer find(struct table *table, const char *key, struct table_value *value,
                              struct error *error)
{
    (void)error;
    const struct literal *literal = (const struct literal *)table;
    if (literal->entries != NULL)
        return table_get(literal->entries, table->source->content, key, value);
    *value = table_value_copy(&literal->value);
    return TABLE_FOUND;
}

static void each(struct table *table, table_visit *visit, void *context)
{
    const struct literal *literal = (const struct literal *)table;
    if (literal->entries != NULL)
        table_each(literal->entries, table->source->content, visit, context);
}

static void close_literal(struct table *table)
{
    struct literal *literal = (struct literal *)table;
    dictionary_free(literal->entries);
    table_release(&literal->value);
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
    table_put(literal->entries, literal->table.source->content, pair, value, strlen(value));
    return true;
}

static bool read_inline(struct literal *literal, char *text, struct error *error)
{
    literal->entries = table_entries_new(literal->table.source->content);
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
        .refresh = refresh, .find = find, .each = each, .close = close_literal};
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
