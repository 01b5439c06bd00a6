/* token.c - the tokens of a structured header value (RFC 5322, 3.2) */
#include "common/sender/token.h"

#include "common/sender/encoded_word.h"
#include "common/sender/octet.h"

static const char *skip_space(const char *at, const char *end)
{
    while (at < end) {
        const size_t fold = octet_fold_length(at, end);
        if (fold == 0 && !octet_is_space(*at))
            break;
        at += fold == 0 ? 1 : fold;
    }
    return at;
}

void lexer_start(struct lexer *lexer, const char *bytes, size_t length)
{
    lexer->end = bytes + length;
    lexer->encoded_end = bytes;
    lexer->token = (struct token){TOKEN_END, bytes, bytes};
    lexer_advance(lexer);
}

const char *token_quoted_end(const char *open, const char *end, char close)
{
    for (const char *at = open + 1; at < end; at++) {
        if (*at == close)
            return at + 1;
        if (*at == '\\')
            at++;
    }
    return NULL;
}

const char *token_comment_end(const char *open, const char *end, size_t nesting_max)
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

/* atom_end - the end of an atom, before the first encoded-word with splitting characters
 *
 * Encoded-words are told from left to right and do not overlap: whether what stands behind one is
 * another must not depend on what is in the first, since that changes when it is made legal. */
static const char *atom_end(struct lexer *lexer, const char *start)
{
    const char *at = start;

    for (; at < lexer->end && octet_is_atext(*at); at++) {
        if (*at != '=' || at < lexer->encoded_end)
            continue;
        const size_t length = encoded_word_length(at, (size_t)(lexer->end - at));
        const bool splits = encoded_word_splits(at, length);
        if (splits && at > start)
            break; /* it is the next token */
        if (length > 0)
            lexer->encoded_end = at + length;
        if (splits)
            break;
    }
    return at;
}

static struct token token_to(enum token_kind kind, const char *start, const char *end)
{
    if (end == NULL)
        return (struct token){TOKEN_BROKEN, start, start};
    return (struct token){kind, start, end};
}

void lexer_advance(struct lexer *lexer)
{
    const char *end = lexer->end;
    const char *at = lexer->token.end;

    lexer->previous_end = at;
    at = skip_space(at, end);
    if (at == end) {
        lexer->token = token_to(TOKEN_END, at, at);
    } else if (*at == '"') {
        lexer->token = token_to(TOKEN_QUOTED, at, token_quoted_end(at, end, '"'));
    } else if (*at == '[') {
        lexer->token = token_to(TOKEN_LITERAL, at, token_quoted_end(at, end, ']'));
    } else if (*at == '(') {
        lexer->token = token_to(TOKEN_COMMENT, at, token_comment_end(at, end, TOKEN_NESTING_MAX));
    } else if (octet_is_one_of(*at, "<>:;@,.")) {
        lexer->token = token_to(TOKEN_SPECIAL, at, at + 1);
    } else if (!octet_is_atext(*at)) {
        lexer->token = token_to(TOKEN_BROKEN, at, NULL);
    } else {
        const char *stop = atom_end(lexer, at);
        lexer->token = stop > at ? token_to(TOKEN_ATOM, at, stop)
                                 : token_to(TOKEN_ENCODED, at, lexer->encoded_end);
    }
}

bool lexer_at(const struct lexer *lexer, char special)
{
    return lexer->token.kind == TOKEN_SPECIAL && *lexer->token.start == special;
}
