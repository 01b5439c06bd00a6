/* fuzz_ledger_reply.c - bytes from the control socket into the reader of replies
 *
 * libFuzzer (clang -fsanitize=fuzzer). The first byte says which kind of request is answered.
 * Checks what ledger_message.h promises of any reply.
 */
#include "common/ledger_message.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

/* One line, with an end. */
static void check_text(const char *text, size_t size)
{
    demand(memchr(text, '\0', size) != NULL);
    for (; *text != '\0'; text++)
        demand((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void check_window(const struct ledger_reply_window *window)
{
    demand(window->rate.period >= 0);
    demand(window->rate.limit != QUOTA_UNLIMITED || window->rate.period == 0);
}

static void check_pages(const struct ledger_reply *reply, enum ledger_command_kind kind)
{
    struct ledger_reply_account account;
    struct ledger_reply_slot slot;
    struct attr setting;
    size_t position = 0, count = 0;
    while (ledger_reply_next_account(reply, &position, &account)) {
        check_text(account.name, sizeof(account.name));
        count++;
    }
    demand(kind != LEDGER_COMMAND_LIST || count <= CONTROL_LIST_MAX);
    for (position = count = 0; ledger_reply_next_slot(reply, &position, &slot); count++)
        demand(slot.begin >= 0);
    demand(kind != LEDGER_COMMAND_HISTORY || count <= CONTROL_HISTORY_MAX);
    for (position = 0; ledger_reply_next_setting(reply, &position, &setting);)
        demand(setting.value >= reply->text &&
               setting.value + setting.value_length < reply->text + reply->length);
}

static void check_reply(const struct ledger_reply *reply, enum ledger_command_kind kind)
{
    demand(reply->result < LEDGER_REPLY_RESULTS);
    demand(kind == LEDGER_COMMAND_RESERVE ? reply->result != LEDGER_REPLY_DONE
                                          : reply->result >= LEDGER_REPLY_DONE);
    demand(reply->measure < LEDGER_REPLY_MEASURES);
    demand(reply->rate.limit != QUOTA_UNLIMITED && reply->rate.period >= 0);
    demand(reply->earliest >= 0 && reply->now >= 0 && reply->from >= 0);
    demand(reply->pause.since >= 0 && reply->pause.until >= 0);
    check_window(&reply->recipients);
    check_window(&reply->messages);
    check_text(reply->reason, sizeof(reply->reason));
    check_text(reply->account, sizeof(reply->account));
    check_text(reply->pause.cause, sizeof(reply->pause.cause));
    if (reply->result == LEDGER_REPLY_DONE)
        check_pages(reply, kind);
}

/* The replies of a stream, each in memory of its own, so that a sanitizer sees a look beyond. */
static void read_all(enum ledger_command_kind kind, const char *stream, size_t available)
{
    struct attr_reader reader = {0};
    struct error error = {""};
    size_t length = 0;
    while (attr_read(&reader, stream, available, &length, &error) == ATTR_REQUEST) {
        struct ledger_reply reply;
        uint64_t tag;
        char *text = malloc(length);
        demand(text != NULL);
        memcpy(text, stream, length);
        ledger_reply_tag(text, length, &tag);
        if (ledger_reply_read(&reply, kind, text, length, &error))
            check_reply(&reply, kind);
        else
            demand(strncmp(error.text, "malformed reply: ", 17) == 0);
        check_text(error.text, sizeof(error.text));
        free(text);
        stream += length;
        available -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        read_all(data[0] % LEDGER_COMMANDS, (const char *)data + 1, size - 1);
    return 0;
}
