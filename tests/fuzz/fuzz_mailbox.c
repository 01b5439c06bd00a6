/* fuzz_mailbox.c - any octets as a list of mailboxes */
#include "common/memory.h"
#include "common/sender/encoded_word.h"
#include "common/sender/mailbox.h"
#include "common/sender/salvage.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An address that was handed out must parse to itself. */
static void check_address(const char *address)
{
    char again[MAILBOX_ADDRESS_MAX + 1];

    assert(strlen(address) <= MAILBOX_ADDRESS_MAX);
    for (const char *at = address; *at != '\0'; at++)
        assert((unsigned char)*at >= ' ' && *at != 0x7f);
    assert(mailbox_address_parse(address, strlen(address), again));
    assert(strcmp(address, again) == 0);
}

/* inside - is it a part of the value? */
static void check_inside(struct mailbox_text text, const char *value, size_t size)
{
    assert(text.bytes >= value && text.bytes + text.length <= value + size);
}

static void check_list(const struct mailbox_list *list, const char *value, size_t size)
{
    assert(list->count <= MAILBOX_LIST_MAX && list->count <= list->total);
    for (size_t i = 0; i < list->count; i++) {
        const struct mailbox *mailbox = &list->items[i];
        check_address(mailbox->address);
        check_inside(mailbox->text, value, size);
        check_inside(mailbox->name, value, size);
        check_inside(mailbox->comment, value, size);
        assert(mailbox->strict || !list->strict);
    }
}

/* What parses as strict, alone, must do so again; a phrase must be the display name of what is made
 * of it. */
static void check_again(const struct mailbox *mailbox, struct mailbox_list *list)
{
    struct buffer made = {0};

    if (mailbox->strict) {
        mailbox_list_init(list);
        assert(mailbox_list_parse(list, mailbox->text.bytes, mailbox->text.length));
        assert(list->total == 1 && list->strict);
    }
    if (mailbox->name.length > 0 && !mailbox->name_is_text) {
        mailbox_append_phrase(&made, mailbox->name);
        buffer_append_string(&made, " <a@b>");
        mailbox_list_init(list);
        assert(mailbox_list_parse(list, made.data, made.length));
        assert(list->total == 1 && list->strict);
        assert(strcmp(list->items[0].address, "a@b") == 0);
        assert(list->items[0].name.bytes == made.data &&
               list->items[0].name.length == made.length - strlen(" <a@b>"));
    }
    buffer_free(&made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *value = memory_copy_bytes((const char *)data, size);
    struct mailbox_list *list = memory_alloc(sizeof(*list));
    struct mailbox_list *again = memory_alloc(sizeof(*again));
    bool is_text;

    mailbox_list_init(list);
    if (mailbox_list_parse(list, value, size) || salvage_mailbox(list, value, size)) {
        check_list(list, value, size);
        for (size_t i = 0; i < list->count; i++)
            check_again(&list->items[i], again);
    } else {
        assert(list->count == 0 && list->total == 0);
        check_inside(salvage_name(value, size, &is_text), value, size);
    }
    assert(encoded_word_length(value, size) <= size);
    free(again);
    free(list);
    free((void *)(size_t)value);
    return 0;
}
