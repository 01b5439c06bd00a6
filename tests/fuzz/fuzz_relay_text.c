/* fuzz_relay_text.c - main.cf, master.cf and tables of any kind into what post365 setup reads
 *
 * libFuzzer (clang -fsanitize=fuzzer). Checks what text.h promises of any bytes: every entry lies
 * in the text, behind the one before it, and so do values and their pieces; and what service.h
 * does.
 */
#include "ctl/relay/service.h"
#include "ctl/relay/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

static void check_pieces(const struct text *text, struct text_span value)
{
    struct text_span rest = value, piece;
    size_t last = value.begin;
    while (text_next(text, ", \t\r\n", &rest, &piece)) {
        demand(piece.begin >= last && piece.begin < piece.end && piece.end <= value.end);
        last = piece.end;
        char *copy = text_copy(text, piece);
        demand(strlen(copy) <= piece.end - piece.begin);
        text_refers(copy, "name");
        text_flatten(copy);
        demand(strpbrk(copy, "\t\r\n") == NULL);
        free(copy);
    }
}

static void check_service(const struct text *text, const struct text_entry *entry)
{
    struct service service;
    service_read(text, entry, &service);
    for (size_t i = 0; i < service.option_count; i++) {
        const struct text_span span = service.options[i].value_span;
        demand(span.begin > entry->span.begin && span.begin <= span.end &&
               span.end <= entry->span.end);
        demand(service_option(&service, service.options[i].name) != NULL);
    }
    service_free(&service);
}

static void check_entry(const struct text *text, size_t number)
{
    const struct text_entry *entry = &text->entries[number];
    size_t before = number > 0 ? text->entries[number - 1].span.end : 0;
    demand(entry->span.begin >= before && entry->span.begin < entry->span.end);
    demand(entry->span.end <= text->length && entry->line >= 1);
    demand(text_entry_at(text, entry->span.begin) == entry);
    demand(text_find(text, entry->name) >= entry);
    size_t end = text_line_end(text, entry->span.begin);
    demand(end > entry->span.begin && end <= entry->span.end);
    struct text_span value = text_value(text, entry);
    demand(value.begin >= entry->span.begin && value.begin <= value.end &&
           value.end <= entry->span.end);
    check_pieces(text, value);
    check_service(text, entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text text;
    text_read(&text, (const char *)data, size);
    demand(text.length == size && memcmp(text.data, data, size) == 0);
    for (size_t i = 0; i < text.count; i++)
        check_entry(&text, i);
    text_free(&text);
    return 0;
}
