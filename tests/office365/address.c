/*
 * address.c - addresses in envelopes and in header fields
 *
 * One cursor over the bytes, one function for each rule of the grammar. Nothing recurses: comments
 * are counted, and groups do not nest.
 */
#include "address.h"

#include "allocate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_LOCAL  64
#define LONGEST_DOMAIN 255

struct cursor {
    const char *at;
    const char *end;
};

/* a growing text: a local part without its quotes, or a domain without its comments */
struct text {
    char *bytes;
    size_t length;
};

static void put(struct text *text, char byte)
{
    text->bytes = allocate_again(text->bytes, text->length + 2, 1);
    text->bytes[text->length++] = byte;
    text->bytes[text->length] = '\0';
}

static void put_range(struct text *text, const char *from, const char *to)
{
    size_t count = (size_t)(to - from);

    text->bytes = allocate_again(text->bytes, text->length + count + 1, 1);
    memcpy(text->bytes + text->length, from, count);
    text->length += count;
    text->bytes[text->length] = '\0';
}

static void text_clear(struct text *text)
{
    free(text->bytes);
    *text = (struct text){NULL, 0};
}

/* is_atext - a character of an atom (RFC 5322 section 3.2.3, RFC 6532 section 3.2) */
static bool is_atext(char byte)
{
    unsigned char value = (unsigned char)byte;

    if (value >= 0x80 || (value >= '0' && value <= '9') || (value >= 'A' && value <= 'Z') ||
        (value >= 'a' && value <= 'z'))
        return true;
    return value != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", value) != NULL;
}

static bool peek(const struct cursor *cursor, char byte)
{
    return cursor->at < cursor->end && *cursor->at == byte;
}

static bool take(struct cursor *cursor, char byte)
{
    if (!peek(cursor, byte))
        return false;
    cursor->at++;
    return true;
}

/* skip_blank - one blank, or the CRLF of a fold and the blank behind it */
static bool skip_blank(struct cursor *cursor)
{
    const char *at = cursor->at;

    if (cursor->end - at >= 3 && at[0] == '\r' && at[1] == '\n')
        at += 2;
    if (at >= cursor->end || (*at != ' ' && *at != '\t'))
        return false;
    cursor->at = at + 1;
    return true;
}

/* skip_pair - a quoted-pair, which may quote anything but a line end or NUL */
static bool skip_pair(struct cursor *cursor)
{
    if (cursor->end - cursor->at < 2 || strchr("\r\n", cursor->at[1]) != NULL)
        return false;
    cursor->at += 2;
    return true;
}

static bool skip_comment(struct cursor *cursor)
{
    size_t depth = 0;

    do {
        if (take(cursor, '('))
            depth++;
        else if (take(cursor, ')'))
            depth--;
        else if (peek(cursor, '\\')) {
            if (!skip_pair(cursor))
                return false;
        } else if (!skip_blank(cursor)) {
            if (cursor->at >= cursor->end || peek(cursor, '\r') || peek(cursor, '\n'))
                return false;
            cursor->at++;
        }
    } while (depth > 0);
    return true;
}

/* skip_space - comments and folding white space (CFWS) */
static bool skip_space(struct cursor *cursor)
{
    for (;;) {
        if (peek(cursor, '(')) {
            if (!skip_comment(cursor))
                return false;
        } else if (!skip_blank(cursor)) {
            return true;
        }
    }
}

static bool parse_quoted(struct cursor *cursor, struct text *text)
{
    const char *start;

    if (!take(cursor, '"'))
        return false;
    while (!take(cursor, '"')) {
        start = cursor->at;
        if (peek(cursor, '\\')) {
            if (!skip_pair(cursor))
                return false;
            put(text, start[1]);
        } else if (skip_blank(cursor)) {
            put(text, cursor->at[-1]);
        } else {
            if (cursor->at >= cursor->end || peek(cursor, '\r') || peek(cursor, '\n'))
                return false;
            put(text, *cursor->at++);
        }
    }
    return true;
}

static bool parse_atom(struct cursor *cursor, struct text *text)
{
    const char *start = cursor->at;

    while (cursor->at < cursor->end && is_atext(*cursor->at))
        cursor->at++;
    put_range(text, start, cursor->at);
    return cursor->at > start;
}

static bool parse_word(struct cursor *cursor, struct text *text)
{
    return peek(cursor, '"') ? parse_quoted(cursor, text) : parse_atom(cursor, text);
}

static bool parse_literal(struct cursor *cursor, struct text *text)
{
    if (!take(cursor, '['))
        return false;
    put(text, '[');
    while (!peek(cursor, ']')) {
        if (skip_blank(cursor))
            continue;
        if (cursor->at >= cursor->end || *cursor->at <= ' ' || strchr("[\\\x7f", *cursor->at))
            return false;
        put(text, *cursor->at++);
    }
    cursor->at++;
    put(text, ']');
    return true;
}

/* parse_domain - dot-atom, domain-literal, or atoms with blanks around the dots (obs-domain) */
static bool parse_domain(struct cursor *cursor, struct text *text)
{
    bool first = true;

    if (!skip_space(cursor))
        return false;
    if (peek(cursor, '['))
        return parse_literal(cursor, text) && skip_space(cursor);
    do {
        if (!first)
            put(text, '.');
        if (!skip_space(cursor) || !parse_atom(cursor, text) || !skip_space(cursor))
            return false;
        first = false;
    } while (take(cursor, '.'));
    return true;
}

/* needs_quotes - is the local part something else than a dot-atom? */
static bool needs_quotes(const struct text *local)
{
    for (size_t i = 0; i < local->length; i++) {
        bool edge = i == 0 || i + 1 == local->length || local->bytes[i - 1] == '.';
        if (local->bytes[i] == '.' ? edge : !is_atext(local->bytes[i]))
            return true;
    }
    return local->length == 0;
}

/* join - local part and domain as one address in the one form */
static char *join(const struct text *local, const struct text *domain)
{
    struct text address = {NULL, 0};
    bool quotes = needs_quotes(local);

    if (quotes)
        put(&address, '"');
    for (size_t i = 0; i < local->length; i++) {
        if (quotes && (local->bytes[i] == '"' || local->bytes[i] == '\\'))
            put(&address, '\\');
        put(&address, local->bytes[i]);
    }
    if (quotes)
        put(&address, '"');
    put(&address, '@');
    put_range(&address, domain->bytes, domain->bytes + domain->length);
    return address.bytes;
}

/* parse_local - words with dots between them (local-part and obs-local-part) */
static bool parse_local(struct cursor *cursor, struct text *text)
{
    bool first = true;

    do {
        if (!first)
            put(text, '.');
        if (!skip_space(cursor) || !parse_word(cursor, text) || !skip_space(cursor))
            return false;
        first = false;
    } while (take(cursor, '.'));
    return true;
}

static bool parse_addr_spec(struct cursor *cursor, struct list *list)
{
    struct text local = {NULL, 0}, domain = {NULL, 0};
    bool parsed = parse_local(cursor, &local) && take(cursor, '@') && parse_domain(cursor, &domain);

    if (parsed) {
        char *address = join(&local, &domain);
        list_add(list, address);
        free(address);
    }
    text_clear(&local);
    text_clear(&domain);
    return parsed;
}

/* skip_route - "@a,@b:" in front of an address (obs-route) */
static bool skip_route(struct cursor *cursor)
{
    struct text domain = {NULL, 0};
    bool parsed = true;

    if (!skip_space(cursor))
        return false;
    if (!peek(cursor, '@') && !peek(cursor, ','))
        return true;
    while (parsed && !take(cursor, ':')) {
        if (!take(cursor, ','))
            parsed = take(cursor, '@') && parse_domain(cursor, &domain);
        parsed = parsed && skip_space(cursor);
    }
    text_clear(&domain);
    return parsed;
}

static bool parse_angle(struct cursor *cursor, struct list *list)
{
    return take(cursor, '<') && skip_route(cursor) && parse_addr_spec(cursor, list) &&
           take(cursor, '>') && skip_space(cursor);
}

/* skip_phrase - a display name: a word, then words and dots (phrase and obs-phrase) */
static bool skip_phrase(struct cursor *cursor)
{
    struct text text = {NULL, 0};
    bool parsed = skip_space(cursor) && parse_word(cursor, &text);

    while (parsed && skip_space(cursor)) {
        text_clear(&text);
        if (!take(cursor, '.') && !parse_word(cursor, &text))
            break;
    }
    text_clear(&text);
    return parsed;
}

/* parse_mailbox - with a display name or without; which it is shows only behind the first words */
static bool parse_mailbox(struct cursor *cursor, struct list *list)
{
    struct cursor start = *cursor;

    if (peek(cursor, '<'))
        return parse_angle(cursor, list);
    if (skip_phrase(cursor) && peek(cursor, '<'))
        return parse_angle(cursor, list);
    *cursor = start;
    return parse_addr_spec(cursor, list);
}

/* parse_members - mailboxes with commas between them, empty places allowed, up to stop or the end
 */
static bool parse_members(struct cursor *cursor, char stop, struct list *list)
{
    for (;;) {
        if (!skip_space(cursor))
            return false;
        if (take(cursor, ','))
            continue;
        if (peek(cursor, stop))
            return true;
        if (!parse_mailbox(cursor, list) || (!peek(cursor, ',') && !peek(cursor, stop)))
            return false;
    }
}

/* try_group - "name: members;" if it is one; *group tells, and the cursor has not moved if not */
static bool try_group(struct cursor *cursor, struct list *list, bool *group)
{
    struct cursor start = *cursor;

    *group = skip_phrase(cursor) && take(cursor, ':');
    if (*group)
        return parse_members(cursor, ';', list) && take(cursor, ';') && skip_space(cursor);
    *cursor = start;
    return true;
}

bool address_list_parse(const char *value, size_t length, struct list *list)
{
    struct cursor cursor = {value, value + length};
    bool group;

    if (memchr(value, '\0', length) != NULL)
        return false;
    for (;;) {
        if (!skip_space(&cursor))
            return false;
        if (cursor.at == cursor.end)
            return true;
        if (take(&cursor, ','))
            continue;
        if (!try_group(&cursor, list, &group))
            return false;
        if (!group && !parse_mailbox(&cursor, list))
            return false;
        if (cursor.at < cursor.end && !peek(&cursor, ','))
            return false;
    }
}

/* in an envelope there are no comments and no blanks outside quotes (RFC 5321 section 4.1.2) */

static bool parse_path_local(struct cursor *cursor, struct text *local)
{
    bool first = true;

    if (peek(cursor, '"'))
        return parse_quoted(cursor, local);
    do {
        if (!first)
            put(local, '.');
        if (!parse_atom(cursor, local))
            return false;
        first = false;
    } while (take(cursor, '.'));
    return true;
}

static bool parse_path_domain(struct cursor *cursor, struct text *domain)
{
    bool first = true;

    if (peek(cursor, '['))
        return parse_literal(cursor, domain);
    do {
        if (!first)
            put(domain, '.');
        if (!parse_atom(cursor, domain))
            return false;
        first = false;
    } while (take(cursor, '.'));
    return true;
}

static bool skip_path_route(struct cursor *cursor)
{
    struct text domain = {NULL, 0};
    bool parsed = true;

    if (peek(cursor, '@')) {
        do {
            text_clear(&domain);
            parsed = take(cursor, '@') && parse_path_domain(cursor, &domain);
        } while (parsed && take(cursor, ','));
        parsed = parsed && take(cursor, ':');
    }
    text_clear(&domain);
    return parsed;
}

bool address_path_parse(const char *text, char **address, const char **end)
{
    struct cursor cursor = {text, text + strlen(text)};
    struct text local = {NULL, 0}, domain = {NULL, 0};
    bool parsed;

    *address = NULL;
    if (strncmp(text, "<>", 2) == 0) {
        *address = duplicate("");
        *end = text + 2;
        return true;
    }
    parsed = take(&cursor, '<') && skip_path_route(&cursor) && parse_path_local(&cursor, &local) &&
             take(&cursor, '@') && parse_path_domain(&cursor, &domain) && take(&cursor, '>') &&
             local.length <= LONGEST_LOCAL && domain.length <= LONGEST_DOMAIN;
    if (parsed) {
        *address = join(&local, &domain);
        *end = cursor.at;
    }
    text_clear(&local);
    text_clear(&domain);
    return parsed;
}
