/* fuzz_rewrite.c - any headers through rewrite
 *
 * The first octet chooses rules and an envelope sender; then a letter names each header and a NUL
 * NUL ends it.
 */
#include "common/sender/rewrite.h"

#include "tests/unit/rewrite_message.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum rewrite_coverage covers_x(void *context, const char *address, size_t length)
{
    (void)context;
    if (strlen(address) != length)
        abort();
    return length > 2 && strcmp(address + length - 2, "@x") == 0 ? REWRITE_COVERED
                                                                 : REWRITE_NOT_COVERED;
}

static const char *name_of(uint8_t letter)
{
    switch (letter) {
    case 's':
        return "Sender";
    case 'r':
        return "Reply-To";
    case 'o':
        return REWRITE_ORIGINAL;
    case 'a':
        return "Auto-Submitted";
    case 'm':
        return "X-Auto-Response-Suppress";
    default:
        return "From";
    }
}

static void read_headers(struct message *message, const uint8_t *data, size_t size)
{
    while (size > 0) {
        const char *name = name_of(*data++);
        size--;
        const uint8_t *end = memmem(data, size, "\0\0", 2);
        size_t length = end == NULL ? size : (size_t)(end - data);
        message_add(message, name, (const char *)data, length);
        length += end == NULL ? 0 : 2;
        data += length;
        size -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const senders[] = {"",     "a@b",         "u@v", "<c@d>",
                                          "root", "\"q\\\"\"@e", "\n",  "@"};
    struct message message = {0};
    struct rewrite_edits edits;

    if (size == 0)
        return 0;
    const struct rewrite_rules rules = {.upn = "u@v",
                                        .envelope_sender = senders[data[0] & 7],
                                        .rewrite_from = true,
                                        .add_reply_to = (data[0] & 8) == 0,
                                        .replaces_null_sender = (data[0] & 16) != 0,
                                        .covered = covers_x};
    read_headers(&message, data + 1, size - 1);
    if (rewrite_headers(message.headers, message.count, &rules, &edits) != REWRITE_OK)
        abort();
    const char *complaint = message_check(&message, &rules, &edits);
    if (complaint != NULL) {
        fprintf(stderr, "%s\n", complaint);
        abort();
    }
    rewrite_edits_free(&edits);
    message_free(&message);
    return 0;
}
