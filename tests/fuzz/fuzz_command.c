/* fuzz_command.c - a line from a stranger into the reader of LMTP's commands
 *
 * libFuzzer (clang -fsanitize=fuzzer). Checks what transport/lmtp/command.h and envelope.h promise
 * of any line; one that is a command for an envelope is given to one, as well.
 */
#include "transport/lmtp/envelope.h"

#include "common/address.h"
#include "common/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

/* May stand in a line of SMTP, as one word if it has no quotes. */
static void check_text(const char *text, size_t most)
{
    demand(strlen(text) <= most);
    for (const char *byte = text; *byte != '\0'; byte++) {
        demand((unsigned char)*byte >= ' ' && *byte != 0x7f);
        demand(*byte != ' ' || text[0] == '"');
    }
}

static void check_mistake(const struct lmtp_command *command)
{
    demand(command->mistake[0] == '5' && command->mistake[3] == ' ');
    demand(strlen(command->mistake) < 80);
}

/* A sender need not be an address, but no control character is in it. */
static void check_address(const struct lmtp_command *command)
{
    const char *address = command->address;
    if (command->verb == LMTP_MAIL) {
        for (const char *byte = address; *byte != '\0'; byte++)
            demand((unsigned char)*byte >= ' ' && *byte != 0x7f);
        return;
    }
    demand(address_is_valid(address) || strcasecmp(address, "postmaster") == 0);
    check_text(address, ADDRESS_MAX);
}

static void check_envelope_command(const struct lmtp_command *command)
{
    check_address(command);
    check_text(command->ret, 4);
    check_text(command->envid, LMTP_LINE_MAX);
    check_text(command->notify, strlen("SUCCESS,FAILURE,DELAY"));
    check_text(command->orcpt, LMTP_LINE_MAX);
    demand(utf8_is_valid(command->orcpt, strlen(command->orcpt)));
}

static void check_forward(const struct lmtp_command *command)
{
    size_t count = 0;
    for (enum lmtp_forward which = 0; which < LMTP_FORWARDS; which++) {
        const char *value = command->forward[which];
        if (value == NULL)
            continue;
        count++;
        demand(strlen(value) <= LMTP_FORWARD_MAX);
        for (; *value != '\0'; value++)
            demand((unsigned char)*value >= ' ' && *value != 0x7f);
    }
    demand(count > 0);
}

static void try_envelope(const struct lmtp_command *command)
{
    static const struct lmtp_command mail = {
        .verb = LMTP_MAIL, .address = "", .ret = "", .envid = "", .has_utf8 = true};
    struct envelope envelope = {0};
    if (command->verb == LMTP_XFORWARD)
        envelope_forward(&envelope, command);
    envelope_begin(&envelope, command->verb == LMTP_MAIL ? command : &mail);
    if (command->verb == LMTP_RCPT)
        demand(envelope_add(&envelope, command) == NULL);
    demand(strcspn(envelope_queue_id(&envelope), " -/;.\"'") ==
           strlen(envelope_queue_id(&envelope)));
    envelope_clear(&envelope);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line = malloc(size + 1);
    struct lmtp_command command;
    demand(line != NULL);
    memcpy(line, data, size);
    lmtp_command_read(line, size, &command);
    demand(command.verb < LMTP_VERBS);
    if (command.mistake != NULL) {
        check_mistake(&command);
    } else {
        demand(command.verb != LMTP_UNKNOWN && command.verb != LMTP_HELO);
        if (command.verb == LMTP_MAIL || command.verb == LMTP_RCPT)
            check_envelope_command(&command);
        if (command.verb == LMTP_XFORWARD)
            check_forward(&command);
        try_envelope(&command);
    }
    free(line);
    return 0;
}
