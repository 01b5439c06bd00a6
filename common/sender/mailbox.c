/* mailbox.c - read the mailboxes of a From:, Sender: or Reply-To: header
 *
 * A parser that never looks beyond one token. What stands in front of "@" or "<" is read once, as a
 * phrase and as a local part at the same time; the next token decides which it was.
 *
 * Security: the text comes from whoever wrote the message. There is no recursion, nothing is
 * allocated, each byte is looked at a constant number of times, and an address that is handed out
 * has neither control characters nor more than MAILBOX_ADDRESS_MAX octets.
 */
#include "common/sender/mailbox.h"

#include "common/sender/encoded_word.h"
#include "common/sender/octet.h"
#include "common/sender/token.h"
#include "common/utf8.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Octets of a local part or a domain, while they are collected. */
struct part {
    char bytes[MAILBOX_ADDRESS_MAX];
    size_t length;
    bool valid;
    bool after_word; /* a dot must come before the next word */
};

/* Words, dots and comments: a phrase, a local part, or (in front of "@") not known yet which. */
struct words {
    const char *start;            /* of the first word or dot */
    struct mailbox_text *comment; /* where the last comment that is not blank goes */
    struct part local;
    bool any;     /* there is a word */
    bool visible; /* and it is not blank */
    bool phrase;  /* it would do as one: starts with a word */
    bool encoded; /* a TOKEN_ENCODED among them */
};

/* A mailbox while it is read. */
struct element {
    struct mailbox_text text;
    struct mailbox_text name;
    struct mailbox_text comment;
    struct part domain;
    const char *address_end; /* behind the last token of the address */
    bool obsolete;           /* a route, or a name that is not strict */
};

struct parser {
    struct lexer lexer;
    struct mailbox_list *list;
    bool in_group;
    bool groups; /* there was one */
};

static bool parse_list(struct parser *parser);
static bool parse_element(struct parser *parser);
static bool parse_angle(struct lexer *lexer, struct element *element, struct words *words);
static bool parse_route(struct lexer *lexer, struct element *element);
static bool parse_address(struct lexer *lexer, struct element *element, const struct words *local);
static bool parse_group_name(struct parser *parser, const struct words *words);
static bool parse_literal(struct lexer *lexer, struct element *element);
static bool parse_domain(struct lexer *lexer, struct element *element);
static bool element_finish(const struct element *element, const struct words *local,
                           struct mailbox *mailbox);
static void read_words(struct lexer *lexer, struct words *words);

/* is_blank - is there nothing to see between the quotes or parentheses? */
static bool is_blank(const char *at, const char *end)
{
    for (; at < end; at++) {
        if (!octet_is_space(*at) && !octet_is_control(*at) && *at != '\\')
            return false;
    }
    return true;
}

struct mailbox_text mailbox_trim(const char *bytes, size_t length)
{
    while (length > 0 && octet_is_one_of(bytes[length - 1], " \t\r\n"))
        length--;
    while (length > 0 && octet_is_one_of(bytes[0], " \t\r\n")) {
        bytes++;
        length--;
    }
    return (struct mailbox_text){bytes, length};
}

bool mailbox_is_scheme(const char *bytes, size_t length)
{
    static const char *const schemes[] = {"mailto", "smtp"};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (length == strlen(schemes[i]) && strncasecmp(bytes, schemes[i], length) == 0)
            return true;
    }
    return false;
}

/* --- lists --- */

void mailbox_list_init(struct mailbox_list *list)
{
    list->count = 0;
    list->total = 0;
    list->strict = true;
}

/* list_rollback - forget what was added since the list looked like this */
static void list_rollback(struct mailbox_list *list, size_t count, size_t total, bool strict)
{
    list->count = count;
    list->total = total;
    list->strict = strict;
}

/* list_add - append a mailbox, or count it only if the list is full */
static bool list_add(struct mailbox_list *list, const struct element *element,
                     const struct words *local)
{
    struct mailbox uncounted;
    struct mailbox *mailbox =
        list->count < MAILBOX_LIST_MAX ? &list->items[list->count] : &uncounted;
    if (!element_finish(element, local, mailbox))
        return false;
    list->total++;
    if (mailbox != &uncounted)
        list->count++;
    list->strict = list->strict && mailbox->strict;
    return true;
}

bool mailbox_list_parse(struct mailbox_list *list, const char *value, size_t length)
{
    const size_t count = list->count;
    const size_t total = list->total;
    const bool strict = list->strict;
    struct parser parser = {.list = list};

    lexer_start(&parser.lexer, value, length);
    if (parse_list(&parser) && (parser.groups || list->total > total))
        return true;
    list_rollback(list, count, total, strict);
    return false;
}

static bool parse_list(struct parser *parser)
{
    struct lexer *lexer = &parser->lexer;
    bool separated = true;

    while (lexer->token.kind != TOKEN_END) {
        bool special = lexer->token.kind == TOKEN_SPECIAL;
        if (special && *lexer->token.start == ',') {
            parser->list->strict = parser->list->strict && !separated;
            separated = true;
            lexer_advance(lexer);
        } else if (special && *lexer->token.start == ';') {
            /* The end of a group; else what people type who know Outlook. */
            parser->list->strict = false;
            parser->in_group = false;
            separated = true;
            lexer_advance(lexer);
        } else {
            size_t before = parser->list->total;
            if (!separated || !parse_element(parser))
                return false;
            separated = parser->list->total == before;
        }
    }
    if (separated)
        parser->list->strict = false;
    return !parser->in_group;
}

/* --- elements of a list --- */

static void part_add(struct part *part, char byte)
{
    if (part->length == sizeof(part->bytes) || octet_is_control(byte) || byte == '\t')
        part->valid = false;
    if (part->valid)
        part->bytes[part->length++] = byte;
}

static void part_add_dot(struct part *part)
{
    part_add(part, '.');
    part->after_word = false;
}

/* part_add_word - add an atom or the inside of a quoted string or domain literal */
static void part_add_word(struct part *part, const struct token *token)
{
    const char *at = token->start;
    const char *end = token->end;

    if (part->after_word || token->kind == TOKEN_ENCODED)
        part->valid = false;
    part->after_word = true;
    if (token->kind != TOKEN_ATOM) {
        at++;
        end--;
    }
    while (part->valid && at < end) {
        const size_t fold = octet_fold_length(at, end);
        if (fold > 0) {
            at += fold;
        } else if (token->kind == TOKEN_LITERAL && octet_is_space(*at)) {
            at++;
        } else {
            if (*at == '\\' && token->kind != TOKEN_ATOM)
                at++;
            part_add(part, *at++);
        }
    }
}

static void words_start(struct words *words, const char *start, struct mailbox_text *comment)
{
    words->start = start;
    words->comment = comment;
    words->local.length = 0;
    words->local.valid = true;
    words->local.after_word = false;
    words->any = words->visible = words->encoded = false;
    words->phrase = true;
}

static void words_add(struct words *words, const struct token *token)
{
    words->any = true;
    words->encoded = words->encoded || token->kind == TOKEN_ENCODED;
    words->visible = words->visible || token->kind != TOKEN_QUOTED ||
                     !is_blank(token->start + 1, token->end - 1);
    part_add_word(&words->local, token);
}

static void words_add_dot(struct words *words)
{
    words->phrase = words->phrase && words->any;
    part_add_dot(&words->local);
}

static void note_comment(struct mailbox_text *comment, const struct token *token)
{
    if (!is_blank(token->start + 1, token->end - 1))
        *comment = (struct mailbox_text){token->start + 1, (size_t)(token->end - token->start) - 2};
}

static void skip_comments(struct lexer *lexer, struct mailbox_text *comment)
{
    for (; lexer->token.kind == TOKEN_COMMENT; lexer_advance(lexer))
        note_comment(comment, &lexer->token);
}

/* read_words - read up to the token that tells what the words are; it is not consumed */
static void read_words(struct lexer *lexer, struct words *words)
{
    skip_comments(lexer, words->comment);
    words->start = lexer->token.start;
    for (;; lexer_advance(lexer)) {
        switch (lexer->token.kind) {
        case TOKEN_COMMENT:
            note_comment(words->comment, &lexer->token);
            break;
        case TOKEN_ATOM:
        case TOKEN_ENCODED:
        case TOKEN_QUOTED:
            words_add(words, &lexer->token);
            break;
        case TOKEN_SPECIAL:
            if (!lexer_at(lexer, '.'))
                return;
            words_add_dot(words);
            break;
        case TOKEN_END:
        case TOKEN_LITERAL:
        case TOKEN_BROKEN:
            return;
        }
    }
}

static struct mailbox_text text_between(const char *start, const char *end)
{
    return (struct mailbox_text){start, (size_t)(end - start)};
}

/* ends_in_dot - is there a dot right in front of the "<"? Some parsers choke on that, Python's
 * among them, though not on dots elsewhere in a phrase. */
static bool ends_in_dot(const struct lexer *lexer, const struct words *words)
{
    return words->any && lexer->previous_end == lexer->token.start &&
           lexer->previous_end[-1] == '.';
}

/* skip_scheme - step over the words if they are the scheme of a URI and their colon: what programs
 * leave in front of an address. The words behind it are read in their place. */
static void skip_scheme(struct lexer *lexer, struct element *element, struct words *words)
{
    if (!lexer_at(lexer, ':') ||
        !mailbox_is_scheme(words->start, (size_t)(lexer->previous_end - words->start)))
        return;
    lexer_advance(lexer);
    element->obsolete = true;
    words_start(words, lexer->token.start, &element->comment);
    read_words(lexer, words);
}

static bool parse_element(struct parser *parser)
{
    struct lexer *lexer = &parser->lexer;
    const char *start = lexer->token.start;
    struct element element = {.comment = {start, 0}, .name = {start, 0}};
    struct words words;
    bool complete = false;

    words_start(&words, start, &element.comment);
    read_words(lexer, &words);
    skip_scheme(lexer, &element, &words);
    if (element.obsolete)
        start = words.start;
    if (lexer_at(lexer, ':'))
        return parse_group_name(parser, &words);
    if (lexer_at(lexer, '@')) {
        complete = parse_address(lexer, &element, &words);
    } else if (lexer_at(lexer, '<')) {
        if (words.visible)
            element.name = text_between(start, lexer->previous_end);
        element.obsolete = element.obsolete || words.encoded || ends_in_dot(lexer, &words);
        complete = words.phrase && parse_angle(lexer, &element, &words);
    } else if (!words.any && words.phrase) {
        /* Comments alone are an empty element. */
        return lexer->token.kind == TOKEN_END || lexer_at(lexer, ',') || lexer_at(lexer, ';');
    }
    if (!complete)
        return false;
    skip_comments(lexer, &element.comment);
    element.text = text_between(start, lexer->previous_end);
    return list_add(parser->list, &element, &words);
}

/* parse_group_name - at the colon behind it; the members follow as elements of the list */
static bool parse_group_name(struct parser *parser, const struct words *words)
{
    if (parser->in_group || !words->any || !words->phrase)
        return false;
    parser->in_group = parser->groups = true;
    parser->list->strict = false;
    lexer_advance(&parser->lexer);
    return true;
}

/* parse_angle - at "<"; words receives the local part */
static bool parse_angle(struct lexer *lexer, struct element *element, struct words *words)
{
    lexer_advance(lexer);
    skip_comments(lexer, &element->comment);
    if (lexer_at(lexer, '@') && !parse_route(lexer, element))
        return false;
    words_start(words, lexer->token.start, &element->comment);
    read_words(lexer, words);
    skip_scheme(lexer, element, words);
    if (!lexer_at(lexer, '@') || !parse_address(lexer, element, words))
        return false;
    skip_comments(lexer, &element->comment);
    if (!lexer_at(lexer, '>'))
        return false;
    lexer_advance(lexer);
    return true;
}

/* parse_route - at the first "@" of @a,@b:local@domain (RFC 5322, 4.4); it is read and forgotten */
static bool parse_route(struct lexer *lexer, struct element *element)
{
    element->obsolete = true;
    while (!lexer_at(lexer, ':')) {
        if (lexer_at(lexer, '@')) {
            lexer_advance(lexer);
            if (!parse_domain(lexer, element))
                return false;
        } else if (!lexer_at(lexer, ',')) {
            return false;
        } else {
            lexer_advance(lexer);
        }
        skip_comments(lexer, &element->comment);
    }
    lexer_advance(lexer);
    return true;
}

/* parse_address - at the "@" behind the local part */
static bool parse_address(struct lexer *lexer, struct element *element, const struct words *local)
{
    lexer_advance(lexer);
    return local->any && local->local.valid && !local->encoded && parse_domain(lexer, element);
}

/* parse_domain - atoms with dots between them, or a literal, and the comments behind. A dot at the
 * end, which names the root, is dropped. */
static bool parse_domain(struct lexer *lexer, struct element *element)
{
    element->domain.length = 0;
    element->domain.valid = true;
    element->domain.after_word = false;
    skip_comments(lexer, &element->comment);
    if (lexer->token.kind == TOKEN_LITERAL)
        return parse_literal(lexer, element);
    while (lexer->token.kind == TOKEN_ATOM) {
        part_add_word(&element->domain, &lexer->token);
        lexer_advance(lexer);
        element->address_end = lexer->previous_end;
        skip_comments(lexer, &element->comment);
        if (!lexer_at(lexer, '.'))
            return true;
        lexer_advance(lexer);
        element->address_end = lexer->previous_end;
        skip_comments(lexer, &element->comment);
        if (lexer->token.kind != TOKEN_ATOM)
            return true;
        part_add_dot(&element->domain);
    }
    return false;
}

static bool parse_literal(struct lexer *lexer, struct element *element)
{
    struct part *domain = &element->domain;

    part_add_word(domain, &lexer->token);
    for (size_t i = 0; i < domain->length; i++) {
        if (octet_is_high(domain->bytes[i]) || octet_is_one_of(domain->bytes[i], " []\\"))
            return false;
    }
    lexer_advance(lexer);
    element->address_end = lexer->previous_end;
    skip_comments(lexer, &element->comment);
    return true;
}

/* is_domain - no "?" in it: no host has one, and an address with one could read as an encoded-word
 */
static bool is_domain(const struct part *domain)
{
    return domain->valid && domain->length > 0 &&
           memchr(domain->bytes, '?', domain->length) == NULL;
}

/* is_dot_atom - may the local part stand without quotes? */
static bool is_dot_atom(const struct part *local)
{
    bool after_dot = true;

    for (size_t i = 0; i < local->length; i++) {
        bool dot = local->bytes[i] == '.';
        if (dot ? after_dot : !octet_is_atext(local->bytes[i]))
            return false;
        after_dot = dot;
    }
    return !after_dot;
}

/* compose_address - write local part and domain as they are spelled today; false if that is too
 * long */
static bool compose_address(char address[MAILBOX_ADDRESS_MAX + 1], const struct part *local,
                            const struct part *domain, bool literal)
{
    char text[2 * MAILBOX_ADDRESS_MAX + MAILBOX_ADDRESS_MAX + 6];
    const bool quote = !is_dot_atom(local);
    size_t length = 0;

    if (quote)
        text[length++] = '"';
    for (size_t i = 0; i < local->length; i++) {
        if (quote && octet_is_one_of(local->bytes[i], "\"\\"))
            text[length++] = '\\';
        text[length++] = local->bytes[i];
    }
    if (quote)
        text[length++] = '"';
    int rest = snprintf(text + length, sizeof(text) - length, literal ? "@[%.*s]" : "@%.*s",
                        (int)domain->length, domain->bytes);
    length += (size_t)rest;
    if (length > MAILBOX_ADDRESS_MAX || !utf8_is_valid(text, length))
        return false;
    memcpy(address, text, length + 1);
    return true;
}

/* strip_apostrophes - take away those around the whole address; no domain ends in one */
static void strip_apostrophes(struct part *local, struct part *domain)
{
    if (local->length == 0 || local->bytes[0] != '\'' || domain->length == 0 ||
        domain->bytes[domain->length - 1] != '\'')
        return;
    domain->length--;
    local->length--;
    memmove(local->bytes, local->bytes + 1, local->length);
}

/* element_finish - turn what was read into a mailbox; false if the address is none */
static bool element_finish(const struct element *element, const struct words *local,
                           struct mailbox *mailbox)
{
    const bool literal = element->address_end[-1] == ']';
    struct part user = local->local;
    struct part host = element->domain;

    strip_apostrophes(&user, &host);
    if (user.length == 0 || !is_domain(&host) ||
        !compose_address(mailbox->address, &user, &host, literal))
        return false;
    const size_t spelled = (size_t)(element->address_end - local->start);
    mailbox->text = element->text;
    mailbox->name = element->name;
    mailbox->name_is_text = false;
    mailbox->comment = element->comment;
    mailbox->strict = !element->obsolete && strlen(mailbox->address) == spelled &&
                      memcmp(mailbox->address, local->start, spelled) == 0;
    return true;
}

bool mailbox_address_parse(const char *bytes, size_t length, char address[MAILBOX_ADDRESS_MAX + 1])
{
    struct lexer lexer;
    struct element element = {.comment = {bytes, 0}};
    struct words local;
    struct mailbox mailbox;

    lexer_start(&lexer, bytes, length);
    words_start(&local, bytes, &element.comment);
    read_words(&lexer, &local);
    if (!lexer_at(&lexer, '@') || !parse_address(&lexer, &element, &local) ||
        lexer.token.kind != TOKEN_END || !element_finish(&element, &local, &mailbox))
        return false;
    memcpy(address, mailbox.address, sizeof(mailbox.address));
    return true;
}

/* --- phrases --- */

void mailbox_append_phrase(struct buffer *out, struct mailbox_text phrase)
{
    const char *done = phrase.bytes;
    struct lexer lexer;

    lexer_start(&lexer, phrase.bytes, phrase.length);
    for (; lexer.token.kind != TOKEN_END && lexer.token.kind != TOKEN_BROKEN;
         lexer_advance(&lexer)) {
        if (lexer.token.kind != TOKEN_ENCODED)
            continue;
        buffer_append(out, done, (size_t)(lexer.token.start - done));
        encoded_word_append(out, lexer.token.start, (size_t)(lexer.token.end - lexer.token.start));
        done = lexer.token.end;
    }
    buffer_append(out, done, (size_t)(phrase.bytes + phrase.length - done));
}

bool mailbox_is_phrase(struct mailbox_text text)
{
    struct lexer lexer;
    struct mailbox_text comment;
    struct words words;

    lexer_start(&lexer, text.bytes, text.length);
    words_start(&words, text.bytes, &comment);
    read_words(&lexer, &words);
    return lexer.token.kind == TOKEN_END && words.phrase && words.visible;
}
