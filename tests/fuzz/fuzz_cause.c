/* fuzz_cause.c - a reason in the queue, a server's words in it, into what names its cause
 *
 * libFuzzer (clang -fsanitize=fuzzer). Checks what cause.h promises of any reason, and that what is
 * shown of it cannot command a terminal.
 */
#include "ctl/cause.h"
#include "ctl/queue/queue_id.h"
#include "ctl/screen.h"

#include "common/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

static void check_shown(const char *text)
{
    struct buffer shown = {0};
    uint32_t code;
    screen_text(&shown, text);
    for (size_t at = 0; at < shown.length;) {
        size_t octets = utf8_decode(shown.data + at, shown.length - at, &code);
        demand(octets > 0 && code >= 0x20 && (code < 0x7f || code > 0x9f));
        at += octets;
    }
    buffer_free(&shown);
}

static void check_column(const char *text, size_t columns)
{
    const struct screen screen = {.has_utf8 = true, .width = 80};
    struct buffer line = {0};
    size_t count = 0;
    screen_column(&screen, &line, text, columns);
    for (size_t i = 0; i < line.length; i++)
        count += ((unsigned char)line.data[i] & 0xc0) != 0x80;
    demand(count == columns);
    buffer_free(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *reason = malloc(size + 1);
    memcpy(reason, data, size);
    reason[size] = '\0';
    static struct settings relays[] = {
        {.relayhost = "[smtp.office365.com]:587", .meter = METER_DELIVERY},
        {.relayhost = "relay.example", .meter = METER_SUBMISSION},
    };
    const char *name;
    const struct cause *cause = cause_find(reason, NULL);
    for (size_t i = 0; i < 2; i++)
        demand(cause_find(reason, &relays[i]) != NULL);
    demand(cause_server(reason, &name) <= size);
    demand(cause != NULL && cause == cause_named(cause->name) && cause == cause_find(reason, NULL));
    demand(queue_id_microseconds(reason) < 1000000);
    check_shown(reason);
    check_column(reason, size % 40);
    free(reason);
    return 0;
}
