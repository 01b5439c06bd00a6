/* fuzz_claims.c - a token into what reads its claims
 *
 * libFuzzer (clang -fsanitize=fuzzer). The input is a token; and, in base64url, what a token says.
 */
#include "common/buffer.h"
#include "common/utf8.h"
#include "tokend/claims.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
    if (memchr(text, '\0', CLAIMS_TEXT_SIZE) == NULL || !utf8_is_valid(text, strlen(text)) ||
        strpbrk(text, "\r\n\x1b\x7f") != NULL)
        abort();
}

static void read_token(const char *bytes, size_t length)
{
    struct claims claims;
    struct error error = {""};
    struct secret *token = secret_copy(bytes, length);
    if (!claims_read(token, &claims, &error) && error.text[0] == '\0')
        abort();
    check_text(claims.audience);
    check_text(claims.tenant);
    check_text(claims.app);
    check_text(claims.roles);
    check_text(claims.scopes);
    check_text(claims.user);
    check_text(claims.object_id);
    if (claims_model_name(claims.model) == NULL)
        abort();
    secret_free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_token((const char *)data, size);
    unsigned char *base64 = malloc((size + 2) / 3 * 4 + 1);
    struct buffer token = {0};
    EVP_EncodeBlock(base64, data, (int)size);
    buffer_append_string(&token, "a.");
    for (const unsigned char *byte = base64; *byte != '\0' && *byte != '='; byte++)
        buffer_append_char(&token, *byte == '+' ? '-' : *byte == '/' ? '_' : (char)*byte);
    buffer_append_string(&token, ".c");
    read_token(token.data, token.length);
    buffer_free(&token);
    free(base64);
    return 0;
}
