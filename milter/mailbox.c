/* mailbox.c - read the mailboxes of a From:, Sender: or Reply-To: header
 *
 * A tokenizer and a parser without look-ahead beyond one token. What stands in front of "@" or "<"
 * is read once, as a phrase and as a local part at the same time; the next token decides which it
 * was.
 *
 * Security: the text comes from whoever wrote the message. There is no recursion, nothing is
 * allocated, each byte is looked at a constant number of times, and an address that is handed out
 * has neither control characters nor more than MAILBOX_ADDRESS_MAX octets.
 */
#include "milter/mailbox.h"

#include <stdio.h>
#include <string.h>

enum token_kind {
    TOKEN_END,
    TOKEN_ATOM,
    TOKEN_ENCODED, /* an encoded-word with characters that no atom may have */
    TOKEN_QUOTED,
    TOKEN_LITERAL, /* a domain literal */
    TOKEN_COMMENT,
    TOKEN_SPECIAL, /* one of <>:;@,. */
    TOKEN_BROKEN   /* a control character, or something that does not end */
};

struct token {
    enum token_kind kind;
    const char *start;
    const char *end;
};

struct lexer {
    const char *end;
    struct token token;
    const char *previous_end; /* of the token before */
};

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

/* The salvage's way through text that does not parse: quoted strings, comments and encoded-words
 * are stepped over as long as they end. */
struct scan {
    const char *at;
    const char *end;
    bool no_more_quotes;
    bool no_more_comments;
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
static bool at_special(const struct lexer *lexer, char byte);
static void lexer_start(struct lexer *lexer, const char *bytes, size_t length);
static void lexer_advance(struct lexer *lexer);

/* Characters */

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t';
}

static bool is_control(char byte)
{
    return ((unsigned char)byte < ' ' && byte != '\t') || byte == 0x7f;
}

static bool is_high(char byte)
{
    return (unsigned char)byte >= 0x80;
}

static bool is_alphanumeric(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9');
}

static bool is_one_of(char byte, const char *set)
{
    return byte != '\0' && strchr(set, byte) != NULL;
}

/* RFC 5322, 3.2.3, with RFC 6532's octets. */
static bool is_atext(char byte)
{
    return is_alphanumeric(byte) || is_high(byte) || is_one_of(byte, "!#$%&'*+-/=?^_`{|}~");
}

/* What ends an atom where a decoder of encoded-words does not expect it. A dot is not among them:
 * it is common in encoded names, and a phrase with dots still is one to everybody. */
static bool is_splitting(char byte)
{
    return is_one_of(byte, "()<>[]:;@\\,\"");
}

/* blank_length - octets of a space, a tab or the line break of a fold, or 0 */
static size_t blank_length(const char *at, const char *end)
{
    if (at == end)
        return 0;
    if (is_space(*at))
        return 1;
    size_t break_length = *at == '\r' && end - at > 1 && at[1] == '\n' ? 2 : 1;
    if (at[break_length - 1] != '\n' || (size_t)(end - at) <= break_length)
        return 0;
    return is_space(at[break_length]) ? break_length : 0;
}

/* is_blank - is there nothing to see between the quotes or parentheses? */
static bool is_blank(const char *at, const char *end)
{
    for (; at < end; at++) {
        if (!is_space(*at) && !is_control(*at) && *at != '\\')
            return false;
    }
    return true;
}

static bool has_letters(struct mailbox_text text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (is_alphanumeric(text.bytes[i]) || is_high(text.bytes[i]))
            return true;
    }
    return false;
}

struct mailbox_text mailbox_trim(const char *bytes, size_t length)
{
    while (length > 0 && is_one_of(bytes[length - 1], " \t\r\n"))
        length--;
    while (length > 0 && is_one_of(bytes[0], " \t\r\n")) {
        bytes++;
        length--;
    }
    return (struct mailbox_text){bytes, length};
}

/* utf8_length - octets of the well-formed character (RFC 3629) that starts here, or 0 */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    if (at[0] < 0x80)
        return 1;
    size_t length = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || left < length)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    /* overlong forms, surrogates, beyond U+10FFFF */
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
        (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return length;
}

static bool is_utf8(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t step = utf8_length((const unsigned char *)bytes + i, length - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

/* Lists */

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

/* Elements of a list */

static void part_add(struct part *part, char byte)
{
    if (part->length == sizeof(part->bytes) || is_control(byte) || byte == '\t')
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
        size_t blank = blank_length(at, end);
        if (blank > 0 && !is_space(*at)) {
            at += blank;
        } else if (token->kind == TOKEN_LITERAL && is_space(*at)) {
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
            if (!at_special(lexer, '.'))
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

static bool at_special(const struct lexer *lexer, char byte)
{
    return lexer->token.kind == TOKEN_SPECIAL && *lexer->token.start == byte;
}

static struct mailbox_text text_between(const char *start, const char *end)
{
    return (struct mailbox_text){start, (size_t)(end - start)};
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
    if (at_special(lexer, ':'))
        return parse_group_name(parser, &words);
    if (at_special(lexer, '@')) {
        complete = parse_address(lexer, &element, &words);
    } else if (at_special(lexer, '<')) {
        if (words.visible)
            element.name = text_between(start, lexer->previous_end);
        element.obsolete = words.encoded;
        complete = words.phrase && parse_angle(lexer, &element, &words);
    } else if (!words.any && words.phrase) {
        /* Comments alone are an empty element. */
        return lexer->token.kind == TOKEN_END || at_special(lexer, ',') || at_special(lexer, ';');
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
    if (at_special(lexer, '@') && !parse_route(lexer, element))
        return false;
    words_start(words, lexer->token.start, &element->comment);
    read_words(lexer, words);
    if (!at_special(lexer, '@') || !parse_address(lexer, element, words))
        return false;
    skip_comments(lexer, &element->comment);
    if (!at_special(lexer, '>'))
        return false;
    lexer_advance(lexer);
    return true;
}

/* parse_route - at the first "@" of @a,@b:local@domain (RFC 5322, 4.4); it is read and forgotten */
static bool parse_route(struct lexer *lexer, struct element *element)
{
    element->obsolete = true;
    while (!at_special(lexer, ':')) {
        if (at_special(lexer, '@')) {
            lexer_advance(lexer);
            if (!parse_domain(lexer, element))
                return false;
        } else if (!at_special(lexer, ',')) {
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

/* parse_domain - atoms with dots between them, or a literal, and the comments behind */
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
        if (!at_special(lexer, '.'))
            return element->domain.valid;
        part_add_dot(&element->domain);
        lexer_advance(lexer);
        skip_comments(lexer, &element->comment);
    }
    return false;
}

static bool parse_literal(struct lexer *lexer, struct element *element)
{
    struct part *domain = &element->domain;

    part_add_word(domain, &lexer->token);
    for (size_t i = 0; i < domain->length; i++) {
        if (is_high(domain->bytes[i]) || is_one_of(domain->bytes[i], " []\\"))
            return false;
    }
    lexer_advance(lexer);
    element->address_end = lexer->previous_end;
    skip_comments(lexer, &element->comment);
    return domain->valid && domain->length > 0;
}

/* is_dot_atom - may the local part stand without quotes? */
static bool is_dot_atom(const struct part *local)
{
    bool after_dot = true;

    for (size_t i = 0; i < local->length; i++) {
        bool dot = local->bytes[i] == '.';
        if (dot ? after_dot : !is_atext(local->bytes[i]))
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
        if (quote && is_one_of(local->bytes[i], "\"\\"))
            text[length++] = '\\';
        text[length++] = local->bytes[i];
    }
    if (quote)
        text[length++] = '"';
    int rest = snprintf(text + length, sizeof(text) - length, literal ? "@[%.*s]" : "@%.*s",
                        (int)domain->length, domain->bytes);
    length += (size_t)rest;
    if (length > MAILBOX_ADDRESS_MAX || !is_utf8(text, length))
        return false;
    memcpy(address, text, length + 1);
    return true;
}

/* element_finish - turn what was read into a mailbox; false if the address is none */
static bool element_finish(const struct element *element, const struct words *local,
                           struct mailbox *mailbox)
{
    const bool literal = element->address_end[-1] == ']';

    if (local->local.length == 0 ||
        !compose_address(mailbox->address, &local->local, &element->domain, literal))
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
    if (!at_special(&lexer, '@') || !parse_address(&lexer, &element, &local) ||
        lexer.token.kind != TOKEN_END || !element_finish(&element, &local, &mailbox))
        return false;
    memcpy(address, mailbox.address, sizeof(mailbox.address));
    return true;
}

/* Tokens */

static void lexer_start(struct lexer *lexer, const char *bytes, size_t length)
{
    lexer->end = bytes + length;
    lexer->token = (struct token){TOKEN_END, bytes, bytes};
    lexer_advance(lexer);
}

/* quoted_end - the octet behind the quote that ends what starts at open, or NULL */
static const char *quoted_end(const char *open, const char *end, char close)
{
    for (const char *at = open + 1; at < end; at++) {
        if (*at == close)
            return at + 1;
        if (*at == '\\')
            at++;
    }
    return NULL;
}

/* comment_end - the octet behind the parenthesis that ends a comment, or NULL */
static const char *comment_end(const char *open, const char *end, size_t nesting_max)
{
    size_t depth = 0;

    for (const char *at = open; at < end; at++) {
        if (*at == '\\')
            at++;
        else if (*at == '(' && ++depth > nesting_max)
            return NULL;
        else if (*at == ')' && --depth == 0)
            return at + 1;
    }
    return NULL;
}

/* has_splitting - is there anything in an encoded-word that would end an atom? */
static bool has_splitting(const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (is_splitting(word[i]))
            return true;
    }
    return false;
}

/* atom_end - the end of an atom, before the first encoded-word with splitting characters */
static const char *atom_end(const char *start, const char *end)
{
    const char *at = start;

    while (at < end && is_atext(*at)) {
        size_t length = *at == '=' ? mailbox_encoded_word(at, (size_t)(end - at)) : 0;
        if (length > 0 && has_splitting(at, length))
            break;
        at++;
    }
    return at;
}

static struct token token_to(enum token_kind kind, const char *start, const char *end)
{
    if (end == NULL)
        return (struct token){TOKEN_BROKEN, start, start};
    return (struct token){kind, start, end};
}

/* lexer_advance - read the next token; white space is skipped */
static void lexer_advance(struct lexer *lexer)
{
    const char *end = lexer->end;
    const char *at = lexer->token.end;
    size_t blank;

    lexer->previous_end = at;
    while ((blank = blank_length(at, end)) > 0)
        at += blank;
    if (at == end) {
        lexer->token = token_to(TOKEN_END, at, at);
    } else if (*at == '"') {
        lexer->token = token_to(TOKEN_QUOTED, at, quoted_end(at, end, '"'));
    } else if (*at == '[') {
        lexer->token = token_to(TOKEN_LITERAL, at, quoted_end(at, end, ']'));
    } else if (*at == '(') {
        lexer->token = token_to(TOKEN_COMMENT, at, comment_end(at, end, MAILBOX_NESTING_MAX));
    } else if (is_one_of(*at, "<>:;@,.")) {
        lexer->token = token_to(TOKEN_SPECIAL, at, at + 1);
    } else if (!is_atext(*at)) {
        lexer->token = token_to(TOKEN_BROKEN, at, NULL);
    } else {
        const char *stop = atom_end(at, end);
        if (stop > at)
            lexer->token = token_to(TOKEN_ATOM, at, stop);
        else
            lexer->token =
                token_to(TOKEN_ENCODED, at, at + mailbox_encoded_word(at, (size_t)(end - at)));
    }
}

/* Encoded-words and phrases */

/* encoded_text_length - octets of the text of an encoded-word, up to its "?=" */
static size_t encoded_text_length(const char *text, size_t length, bool base64)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '?')
            return i + 1 < length && text[i + 1] == '=' ? i : 0;
        if (text[i] == ' ' || text[i] == '\t' || is_control(text[i]) ||
            (base64 && !is_alphanumeric(text[i]) && !is_one_of(text[i], "+/=")))
            return 0;
    }
    return 0;
}

size_t mailbox_encoded_word(const char *bytes, size_t length)
{
    size_t at = 2;

    if (length < 8 || bytes[0] != '=' || bytes[1] != '?')
        return 0;
    while (at < length && (is_alphanumeric(bytes[at]) || is_one_of(bytes[at], "!#$%&'*+-^_`{|}~")))
        at++;
    if (at == 2 || length - at < 3 || bytes[at] != '?' || !is_one_of(bytes[at + 1], "bBqQ") ||
        bytes[at + 2] != '?')
        return 0;
    size_t text =
        encoded_text_length(bytes + at + 3, length - at - 3, is_one_of(bytes[at + 1], "bB"));
    return text == 0 ? 0 : at + 3 + text + 2;
}

void mailbox_append_encoded_word(struct buffer *out, const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (is_splitting(word[i]))
            buffer_format(out, "=%02X", (unsigned int)(unsigned char)word[i]);
        else
            buffer_append_char(out, word[i]);
    }
}

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
        mailbox_append_encoded_word(out, lexer.token.start,
                                    (size_t)(lexer.token.end - lexer.token.start));
        done = lexer.token.end;
    }
    buffer_append(out, done, (size_t)(phrase.bytes + phrase.length - done));
}

static bool is_phrase(struct mailbox_text text)
{
    struct lexer lexer;
    struct mailbox_text comment;
    struct words words;

    lexer_start(&lexer, text.bytes, text.length);
    words_start(&words, text.bytes, &comment);
    read_words(&lexer, &words);
    return lexer.token.kind == TOKEN_END && words.phrase && words.visible;
}

/* Salvage */

/* scan_next - the next octet out of set that is not stepped over, or NULL */
static const char *scan_next(struct scan *scan, const char *set)
{
    while (scan->at < scan->end) {
        const char *at = scan->at;
        const char *stop = NULL;
        if (*at == '"' && !scan->no_more_quotes) {
            stop = quoted_end(at, scan->end, '"');
            scan->no_more_quotes = stop == NULL;
        } else if (*at == '(' && !scan->no_more_comments) {
            stop = comment_end(at, scan->end, (size_t)(scan->end - at));
            scan->no_more_comments = stop == NULL;
        } else if (*at == '=') {
            const size_t length = mailbox_encoded_word(at, (size_t)(scan->end - at));
            stop = length == 0 ? NULL : at + length;
        }
        scan->at = stop == NULL ? at + 1 : stop;
        if (stop == NULL && is_one_of(*at, set))
            return at;
    }
    return NULL;
}

/* name_before - the text in front of an address, without the punctuation that led to it */
static struct mailbox_text name_before(const char *start, const char *end)
{
    struct mailbox_text name = mailbox_trim(start, (size_t)(end - start));

    while (name.length > 0 && is_one_of(name.bytes[name.length - 1], ",;:<"))
        name = mailbox_trim(name.bytes, name.length - 1);
    if (!has_letters(name))
        name.length = 0;
    return name;
}

/* find_in_angles - the only address between "<" and the next angle; where it starts, or NULL */
static const char *find_in_angles(const char *value, size_t length,
                                  char address[MAILBOX_ADDRESS_MAX + 1])
{
    struct scan scan = {.at = value, .end = value + length};
    const char *open = NULL;
    const char *found = NULL;

    for (bool more = true; more;) {
        const char *angle = scan_next(&scan, "<>");
        const char *stop = angle == NULL ? scan.end : angle;
        char candidate[MAILBOX_ADDRESS_MAX + 1];
        if (open != NULL && mailbox_address_parse(open + 1, (size_t)(stop - open) - 1, candidate)) {
            if (found != NULL)
                return NULL;
            found = open;
            memcpy(address, candidate, sizeof(candidate));
        }
        open = angle != NULL && *angle == '<' ? angle : NULL;
        more = angle != NULL;
    }
    return found;
}

/* is_boundary - may a bare address end or start beside what lies between these two pointers? */
static bool is_boundary(const char *at, const char *end)
{
    return at == end || blank_length(at, end) > 0 || is_one_of(*at, "<>()[]\",;:");
}

/* only_at_sign - the "@" of a value that has one; *angle is the open angle in front of it, or NULL
 */
static const char *only_at_sign(const char *value, size_t length, const char **angle)
{
    struct scan scan = {.at = value, .end = value + length};
    const char *at;

    *angle = NULL;
    while ((at = scan_next(&scan, "<>@")) != NULL && *at != '@')
        *angle = *at == '<' ? at : NULL;
    return at == NULL || scan_next(&scan, "@") != NULL ? NULL : at;
}

/* find_bare - the address around the only "@", in angles at their start; where it starts, or NULL
 */
static const char *find_bare(const char *value, size_t length,
                             char address[MAILBOX_ADDRESS_MAX + 1])
{
    const char *value_end = value + length;
    const char *angle;
    const char *at = only_at_sign(value, length, &angle);

    if (at == NULL)
        return NULL;
    const char *start = at;
    const char *end = at + 1;
    while (start > value && (is_atext(start[-1]) || start[-1] == '.'))
        start--;
    while (end < value_end && (is_atext(*end) || *end == '.'))
        end++;
    if ((start > value && !is_boundary(start - 1, value_end)) || !is_boundary(end, value_end) ||
        (angle != NULL && mailbox_trim(angle + 1, (size_t)(start - angle) - 1).length > 0) ||
        !mailbox_address_parse(start, (size_t)(end - start), address))
        return NULL;
    return start;
}

bool mailbox_list_salvage(struct mailbox_list *list, const char *value, size_t length)
{
    struct mailbox found = {.strict = false};
    const char *start = find_in_angles(value, length, found.address);

    if (start == NULL)
        start = find_bare(value, length, found.address);
    if (start == NULL)
        return false;
    found.text = mailbox_trim(value, length);
    found.name = name_before(value, start);
    found.name_is_text = !is_phrase(found.name);
    found.comment = (struct mailbox_text){value, 0};
    list->strict = false;
    list->total++;
    if (list->count < MAILBOX_LIST_MAX)
        list->items[list->count++] = found;
    return true;
}

struct mailbox_text mailbox_name_hint(const char *value, size_t length, bool *is_text)
{
    struct scan scan = {.at = value, .end = value + length};
    const char *angle = scan_next(&scan, "<");
    struct mailbox_text name = {value, 0};

    scan = (struct scan){.at = value, .end = value + length};
    if (angle != NULL)
        name = name_before(value, angle);
    else if (scan_next(&scan, "@") == NULL)
        name = name_before(value, value + length);
    *is_text = !is_phrase(name);
    return name;
}
