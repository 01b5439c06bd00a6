/* service.c - a line of master.cf as it is written */
#include "ctl/relay/service.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"

/* Takes "name=value" or "{ name = value }" apart. */
static void add_option(const struct text *text, struct text_span option, bool is_attached,
                       struct service *service)
{
    size_t begin = option.begin;
    if (option.end > option.begin + 1 && text->data[option.begin] == '{') {
        option.begin++;
        option.end--;
    }
    const char *equals = memchr(text->data + option.begin, '=', option.end - option.begin);
    if (equals == NULL)
        return;
    struct text_span value = {(size_t)(equals - text->data) + 1, option.end}, name;
    struct text_span rest = {option.begin, value.begin - 1};
    if (!text_next(text, BLANKS, &rest, &name))
        return;
    while (value.end > value.begin && strchr(BLANKS, text->data[value.end - 1]) != NULL)
        value.end--;
    char *content = text_copy(text, value);
    text_flatten(content);
    service->options =
        memory_grow(service->options, (service->option_count + 1) * sizeof(service->options[0]));
    service->options[service->option_count++] =
        (struct service_option){.name = text_copy(text, name),
                                .value = memory_copy(content + strspn(content, BLANKS)),
                                .value_span = value,
                                .attached_at = is_attached ? begin : 0};
    free(content);
}

bool service_read(const struct text *text, const struct text_entry *entry, struct service *service)
{
    struct text_span rest = entry->span, piece;
    bool is_next = false; /* an option's value comes */
    size_t count = 0;
    *service = (struct service){.options = NULL};
    for (; text_next(text, BLANKS, &rest, &piece); count++) {
        size_t length = piece.end - piece.begin;
        bool begins = count >= SERVICE_FIELDS && !is_next && length >= 2 &&
                      memcmp(text->data + piece.begin, "-o", 2) == 0;
        if (count < SERVICE_FIELDS)
            service->field[count] = text_copy(text, piece);
        else if (begins && length > 2)
            add_option(text, (struct text_span){piece.begin + 2, piece.end}, true, service);
        else if (is_next)
            add_option(text, piece, false, service);
        is_next = begins && length == 2;
    }
    return count >= SERVICE_FIELDS;
}

void service_free(struct service *service)
{
    for (size_t i = 0; i < SERVICE_FIELDS; i++)
        free(service->field[i]);
    for (size_t i = 0; i < service->option_count; i++) {
        free(service->options[i].name);
        free(service->options[i].value);
    }
    free(service->options);
    *service = (struct service){.options = NULL};
}

const struct service_option *service_option(const struct service *service, const char *name)
{
    for (size_t i = service->option_count; i > 0; i--)
        if (strcmp(service->options[i - 1].name, name) == 0)
            return &service->options[i - 1];
    return NULL;
}
