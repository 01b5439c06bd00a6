/* output.c - what is said to programs: JSON, one object a line */
#include "ctl/output.h"

#include <stdio.h>

json_t *output_text_named(const char *text, const struct screen_names *names)
{
    struct buffer shown = {0};
    if (text == NULL)
        return json_null();
    screen_text_named(&shown, text, names);
    json_t *value = json_stringn(shown.data, shown.length);
    buffer_free(&shown);
    return value;
}

json_t *output_text(const char *text)
{
    return output_text_named(text, &(struct screen_names){.account = NULL});
}

void output_line(json_t *object)
{
    json_dumpf(object, stdout, JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(object);
}
