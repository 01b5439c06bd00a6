/* ini.c - files of sections, as Python's configparser reads them */
#include "ctl/setup/ini.h"

#include "common/buffer.h"
#include "common/memory.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\f\v"

struct reader {
    void (*visit)(void *context, const char *section, const char *name, const char *value);
    void *context;
    char *section;
    char *name; /* whose value is being read; NULL: none */
    struct buffer value;
    size_t indent; /* of the line on which that began */
};

static void end_value(struct reader *reader)
{
    if (reader->name != NULL)
        reader->visit(reader->context, reader->section, reader->name,
                      reader->value.data != NULL ? reader->value.data : "");
    free(reader->name);
    reader->name = NULL;
    buffer_clear(&reader->value);
}

static void begin_section(struct reader *reader, const char *line)
{
    end_value(reader);
    free(reader->section);
    reader->section = memory_copy_bytes(line + 1, strcspn(line + 1, "]"));
}

/* "name = value"; a line without `=` and `:` is passed over. */
static void begin_value(struct reader *reader, const char *line, size_t indent)
{
    end_value(reader);
    size_t length = strcspn(line, "=:");
    const char *value = line + length;
    if (*value == '\0')
        return;
    value += 1 + strspn(value + 1, BLANKS);
    while (length > 0 && strchr(BLANKS, line[length - 1]) != NULL)
        length--;
    reader->name = memory_copy_bytes(line, length);
    for (char *byte = reader->name; *byte != '\0'; byte++)
        *byte = (char)tolower((unsigned char)*byte);
    reader->indent = indent;
    buffer_append_string(&reader->value, value);
}

/* A line without its end. */
static void read_line(struct reader *reader, char *line)
{
    size_t length = strlen(line), indent = strspn(line, BLANKS);
    while (length > indent && strchr(BLANKS, line[length - 1]) != NULL)
        line[--length] = '\0';
    const char *words = line + indent;
    if (*words == '\0' || *words == '#' || *words == ';')
        return;
    if (reader->name != NULL && indent > reader->indent)
        buffer_format(&reader->value, "\n%s", words);
    else if (*words == '[' && strchr(words, ']') != NULL)
        begin_section(reader, words);
    else
        begin_value(reader, words, indent);
}

void ini_each(const char *text, size_t length,
              void (*visit)(void *context, const char *section, const char *name,
                            const char *value),
              void *context)
{
    struct reader reader = {.visit = visit, .context = context, .section = memory_copy("")};
    char *copy = memory_copy_bytes(text, length);
    for (char *line = copy; line <= copy + length;) {
        size_t end = strcspn(line, "\n");
        line[end] = '\0';
        read_line(&reader, line);
        line += end + 1;
    }
    end_value(&reader);
    free(reader.section);
    if (reader.value.data != NULL)
        explicit_bzero(reader.value.data, reader.value.capacity);
    buffer_free(&reader.value);
    explicit_bzero(copy, length);
    free(copy);
}
