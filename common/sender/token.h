/* token.h - the tokens of a structured header value (RFC 5322, 3.2)
 *
 * Tokens are parts of the text, which must stay. Nothing is allocated and nothing can fail: what is
 * no token is TOKEN_BROKEN. All tokens of a text take time that is linear in its length.
 */
#ifndef POST365_COMMON_SENDER_TOKEN_H
#define POST365_COMMON_SENDER_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

/* Comments within comments; deeper ones are broken. */
#define TOKEN_NESTING_MAX 16

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

/* Quotes, brackets and parentheses belong to the token. */
struct token {
    enum token_kind kind;
    const char *start;
    const char *end;
};

struct lexer {
    const char *end;
    struct token token;       /* the current one */
    const char *previous_end; /* of the one before; the start of the text at the first */
    const char *encoded_end;  /* of the last encoded-word seen, in front of which none starts */
};

/* lexer_start - make the first token the current one */
void lexer_start(struct lexer *lexer, const char *bytes, size_t length);

/* lexer_advance - make the next token the current one; not to be called at TOKEN_BROKEN
 *
 * White space and folds (LF or CR LF and white space) are skipped. */
void lexer_advance(struct lexer *lexer);

/* lexer_at - is the current token this special? */
bool lexer_at(const struct lexer *lexer, char special);

/* token_quoted_end - the octet behind the one that closes what starts at open; NULL if none does */
const char *token_quoted_end(const char *open, const char *end, char close);

/* token_comment_end - the octet behind a comment; NULL if it does not end or is nested too deep */
const char *token_comment_end(const char *open, const char *end, size_t nesting_max);

#endif
