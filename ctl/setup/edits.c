/* edits.c - what is to be changed in a text, and what was */
#include "ctl/setup/edits.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

void edits_add(struct edits *edits, struct text_span before, const char *name, char *lines)
{
    edits->list = memory_grow(edits->list, (edits->count + 1) * sizeof(edits->list[0]));
    size_t at = edits->count++;
    while (at > 0 && edits->list[at - 1].before.begin > before.begin) {
        edits->list[at] = edits->list[at - 1];
        at--;
    }
    edits->list[at] = (struct edit){.before = before, .name = memory_copy(name), .lines = lines};
}

void edits_free(struct edits *edits)
{
    for (size_t i = 0; i < edits->count; i++) {
        free(edits->list[i].name);
        free(edits->list[i].lines);
    }
    free(edits->list);
    *edits = (struct edits){.list = NULL};
}

/* Gives the last line a line end, if something is appended and no edit replaces that line. */
static void end_last_line(const struct text *text, struct edits *edits)
{
    size_t begin = text->length;
    if (text->length == 0 || text->data[text->length - 1] == '\n' || edits->count == 0 ||
        edits->list[edits->count - 1].before.begin < text->length)
        return;
    while (begin > 0 && text->data[begin - 1] != '\n')
        begin--;
    for (size_t i = 0; i < edits->count; i++)
        if (edits->list[i].before.begin < text->length && edits->list[i].before.end == text->length)
            return;
    edits_add(edits, (struct text_span){begin, text->length}, "",
              memory_format("%s\n", text->data + begin));
}

void edits_apply(const struct text *text, struct edits *edits, struct buffer *after)
{
    size_t at = 0;
    end_last_line(text, edits);
    for (size_t i = 0; i < edits->count; i++) {
        struct edit *edit = &edits->list[i];
        buffer_append(after, text->data + at, edit->before.begin - at);
        edit->after.begin = after->length;
        buffer_append_string(after, edit->lines);
        edit->after.end = after->length;
        at = edit->before.end;
    }
    buffer_append(after, text->data + at, text->length - at);
}
