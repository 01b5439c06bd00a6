/* rules.c - what a table does, line by line */
#include "ctl/relay/rules.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "ctl/relay/file.h"
#include "ctl/relay/text.h"

#include <stdlib.h>
#include <string.h>

#define SEPARATORS ", \t\r\n"
#define BLANKS     " \t\r\n"

typedef void rule_visit(void *context, const struct rule *rule);

/* What stands behind the pattern: of "/pattern/flags result", or of "key result". NULL in a line
 * that has none, as `endif`. */
static const char *result_of(const char *line, bool has_patterns)
{
    if (has_patterns) {
        if (strncasecmp(line, "if", 2) == 0 || strncasecmp(line, "endif", 5) == 0)
            return NULL;
        line += *line == '!';
        const char delimiter = *line;
        line += delimiter != '\0';
        while (*line != '\0' && *line != delimiter)
            line += *line == '\\' && line[1] != '\0' ? 2 : 1;
    }
    line += strcspn(line, BLANKS);
    return line + strspn(line, BLANKS);
}

static bool read_file(const char *path, bool has_patterns, rule_visit *visit, void *context)
{
    struct buffer contents = {0};
    struct text text = {.data = NULL};
    bool fine = file_read(path, &contents, NULL);
    if (fine && contents.length > 0)
        text_read(&text, contents.data, contents.length);
    for (size_t i = 0; i < text.count; i++) {
        char *line = text_copy(&text, text.entries[i].span);
        text_flatten(line);
        const struct rule rule = {
            .table = path, .line = text.entries[i].line, .result = result_of(line, has_patterns)};
        if (rule.result != NULL)
            visit(context, &rule);
        free(line);
    }
    text_free(&text);
    buffer_free(&contents);
    return fine;
}

static bool read_table(const char *table, rule_visit *visit, void *context)
{
    static const char *const keyed[] = {"hash", "btree", "texthash", "lmdb", "cdb", "dbm", "sdbm"};
    static const char *const patterns[] = {"regexp", "pcre"};
    const char *name = strchr(table, ':');
    if (name == NULL)
        return false;
    size_t length = (size_t)(name++ - table);
    if (strncmp(table, "proxy:", 6) == 0)
        return read_table(name, visit, context);
    if (strncmp(table, "static:", 7) == 0) {
        visit(context, &(struct rule){.table = table, .result = name});
        return true;
    }
    for (size_t i = 0; i < sizeof(keyed) / sizeof(keyed[0]); i++)
        if (strlen(keyed[i]) == length && strncmp(table, keyed[i], length) == 0)
            return read_file(name, false, visit, context);
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
        if (strlen(patterns[i]) == length && strncmp(table, patterns[i], length) == 0)
            return read_file(name, true, visit, context);
    return false;
}

bool rules_each(const char *value, rule_visit *visit, void *context)
{
    struct text text;
    bool all = true;
    text_read(&text, value, strlen(value));
    struct text_span rest = {0, text.length}, piece;
    while (text_next(&text, SEPARATORS, &rest, &piece)) {
        char *table = text_copy(&text, piece);
        all = read_table(table, visit, context) && all;
        free(table);
    }
    text_free(&text);
    return all;
}
