/* fuzz_header.c - any message through the transport's header
 *
 * The first octet says how the rest is cut into pieces, and whose it is. The oracle takes the
 * message apart by another way, line by line and as a whole, makes the milter's edits to the list
 * of headers as Postfix does, and compares what is left: the same headers of those that are looked
 * at, every other line as it was, the body octet for octet. Where nothing is edited not an octet
 * may differ, and what has passed once is not changed a second time.
 */
#include "transport/delivery/header.h"

#include "tests/unit/rewrite_message.h"

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

struct text {
    char *octets;
    size_t length;
};

static enum rewrite_coverage covers_x(void *context, const char *address, size_t length)
{
    (void)context;
    return length > 2 && strcmp(address + length - 2, "@x") == 0 ? REWRITE_COVERED
                                                                 : REWRITE_NOT_COVERED;
}

/* As they come from the reader of the data: no CR or LF but in CRLF, and a whole last line. */
static struct text make_message(const uint8_t *data, size_t size)
{
    struct text text = {.octets = malloc(2 * size + 3)};
    demand(text.octets != NULL);
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n')
            text.octets[text.length++] = '\r';
        text.octets[text.length++] = data[i] == '\r' ? ' ' : (char)data[i];
    }
    if (text.length > 0 && text.octets[text.length - 1] != '\n') {
        text.octets[text.length++] = '\r';
        text.octets[text.length++] = '\n';
    }
    return text;
}

static struct text pass(const struct text *message, size_t piece, const struct rewrite_rules *rules,
                        size_t *edited)
{
    struct header *header = header_new();
    struct rewrite_edits edits;
    struct evbuffer *out = evbuffer_new();
    size_t taken = 0;
    while (taken < message->length && !header_is_whole(header)) {
        size_t part = message->length - taken < piece ? message->length - taken : piece;
        char *octets = malloc(part);
        demand(octets != NULL);
        memcpy(octets, message->octets + taken, part);
        taken += header_take(header, octets, part);
        free(octets);
        if (!header_is_full(header))
            continue;
        demand(header_judge(header, rules, &edits) == REWRITE_OK);
        header_pass(header, edits.count == 0, out);
        rewrite_edits_free(&edits);
    }
    if (!header_is_whole(header))
        header_end(header);
    demand(header_judge(header, rules, &edits) == REWRITE_OK);
    *edited = edits.count;
    header_write(header, &edits, out);
    evbuffer_add(out, message->octets + taken, message->length - taken);
    struct text passed = {.length = evbuffer_get_length(out)};
    passed.octets = malloc(passed.length + 1);
    demand(passed.octets != NULL);
    evbuffer_copyout(out, passed.octets, passed.length);
    evbuffer_free(out);
    rewrite_edits_free(&edits);
    header_free(header);
    return passed;
}

/* --- the oracle ------------------------------------------------------------------- */

/* A message as it is taken apart: the headers that are looked at, the rest of the header, where the
 * body begins. */
struct parts {
    struct message looked_at;
    struct text rest;
    size_t body;
};

static char *name_of(const char *line, const char *end)
{
    const char *colon = memchr(line, ':', (size_t)(end - line)), *last = colon;
    if (colon == NULL)
        return NULL;
    while (last > line && (last[-1] == ' ' || last[-1] == '\t'))
        last--;
    for (const char *octet = line; octet < last; octet++)
        if (*octet <= ' ' || *octet > '~')
            return NULL;
    return last > line ? strndup(line, (size_t)(last - line)) : NULL;
}

/* The end of the field that begins here: of its last line. */
static const char *field_end(const char *line, const char *end)
{
    do
        line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
    while (line < end && (*line == ' ' || *line == '\t'));
    return line;
}

/* What is read, and what is added alone. */
static bool is_looked_at(const char *name)
{
    return rewrite_reads(name) || strcasecmp(name, REWRITE_ORIGINAL) == 0;
}

static void add_looked_at(struct parts *parts, char *name, const char *field, const char *end)
{
    char *value = malloc((size_t)(end - field));
    size_t length = 0;
    demand(value != NULL);
    const char *octet = (const char *)memchr(field, ':', (size_t)(end - field)) + 1;
    end -= 2;
    while (octet < end && strchr(" \t\r\n", *octet) != NULL && *octet != '\0')
        octet++;
    for (; octet < end; octet++)
        if (*octet != '\r')
            value[length++] = *octet;
    message_add(&parts->looked_at, name, value, length);
    free(value);
}

static void add_rest(struct parts *parts, const char *field, const char *end)
{
    memcpy(parts->rest.octets + parts->rest.length, field, (size_t)(end - field));
    parts->rest.length += (size_t)(end - field);
}

static bool is_mbox(const struct text *message)
{
    const char *line = message->octets;
    if (message->length <= 6 || (memcmp(line, "From ", 5) != 0 && memcmp(line, ">From ", 6) != 0))
        return false;
    char *name = name_of(line, memchr(line, '\n', message->length));
    free(name);
    return name == NULL;
}

static struct parts take_apart(const struct text *message)
{
    struct parts parts = {.rest.octets = malloc(message->length + 1)};
    demand(parts.rest.octets != NULL);
    const char *line = message->octets, *end = line + message->length;
    if (is_mbox(message)) {
        const char *next = (const char *)memchr(line, '\n', message->length) + 1;
        add_rest(&parts, line, next);
        line = next;
    }
    while (line < end) {
        const char *begin = *line == '.' ? line + 1 : line;
        char *name = name_of(begin, memchr(line, '\n', (size_t)(end - line)));
        if (name == NULL)
            break;
        const char *next = field_end(line, end);
        if (is_looked_at(name)) {
            add_looked_at(&parts, name, line, next);
        } else {
            add_rest(&parts, line, next);
            free(name);
        }
        line = next;
    }
    parts.body = (size_t)(line - message->octets);
    return parts;
}

static void free_parts(struct parts *parts)
{
    for (size_t i = 0; i < parts->looked_at.count; i++)
        free((char *)parts->looked_at.headers[i].name);
    message_free(&parts->looked_at);
    free(parts->rest.octets);
}

/* The headers of one name, in their order. */
static void compare_headers(const struct message *got, const struct message *want)
{
    static const char *const names[] = {"From",           "Sender",
                                        "Reply-To",       REWRITE_ORIGINAL,
                                        "Auto-Submitted", "X-Auto-Response-Suppress"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int count = message_count(want, names[i]);
        demand(message_count(got, names[i]) == count);
        for (int j = 1; j <= count; j++) {
            const struct rewrite_header *one = message_find(got, names[i], j);
            const struct rewrite_header *other = message_find(want, names[i], j);
            demand(one->value_length == other->value_length &&
                   memcmp(one->value, other->value, one->value_length) == 0);
        }
    }
}

/* Its names are static where Postfix has added them: those of the message are freed here. */
static void check(const struct text *message, const struct text *passed,
                  const struct rewrite_rules *rules)
{
    struct parts before = take_apart(message), after = take_apart(passed);
    struct message edited = {0};
    struct rewrite_edits edits;
    for (size_t i = 0; i < before.looked_at.count; i++)
        message_add(&edited, before.looked_at.headers[i].name, before.looked_at.headers[i].value,
                    before.looked_at.headers[i].value_length);
    demand(rewrite_headers(edited.headers, edited.count, rules, &edits) == REWRITE_OK);
    demand(message_apply(&edited, &edits) == NULL);
    compare_headers(&after.looked_at, &edited);
    demand(before.rest.length == after.rest.length &&
           memcmp(before.rest.octets, after.rest.octets, before.rest.length) == 0);
    size_t body = message->length - before.body, now = passed->length - after.body;
    demand(now == body || now == body + 2); /* an empty line */
    demand(memcmp(message->octets + before.body, passed->octets + after.body + (now - body),
                  body) == 0);
    rewrite_edits_free(&edits);
    message_free(&edited);
    free_parts(&before);
    free_parts(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const senders[] = {"", "a@b", "u@v", "c@x"};
    if (size == 0)
        return 0;
    const struct rewrite_rules rules = {.upn = "u@v",
                                        .envelope_sender = senders[data[0] & 3],
                                        .rewrite_from = (data[0] & 4) == 0,
                                        .add_reply_to = (data[0] & 8) == 0,
                                        .replaces_null_sender = (data[0] & 3) == 0,
                                        .covered = covers_x};
    size_t piece = 1 + (data[0] >> 4), edited, again;
    struct text message = make_message(data + 1, size - 1);
    struct text passed = pass(&message, piece * piece, &rules, &edited);
    if (edited == 0)
        demand(passed.length == message.length &&
               memcmp(passed.octets, message.octets, message.length) == 0);
    check(&message, &passed, &rules);
    struct text twice = pass(&passed, 4096, &rules, &again);
    demand(again == 0 && twice.length == passed.length);
    free(message.octets);
    free(passed.octets);
    free(twice.octets);
    return 0;
}
