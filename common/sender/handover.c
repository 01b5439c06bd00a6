/* handover.c - the milter's decision travels with the message
 *
 * Read from its end: a client may write anything before it, a seal of before included.
 *
 * Security: who can make a seal can send as any account. It is compared in constant time. In the
 * account nothing is left that could be taken for a separator, so that no two decisions have one
 * text.
 */
#include "common/sender/handover.h"

#include "common/log.h"
#include "common/memory.h"
#include "common/xtext.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define MARK        ";365;"
#define SEAL_OCTETS 16
#define SEAL_LENGTH 22 /* of its base64url, without padding */
#define BASE64_SIZE 25 /* with padding and NUL */

static void make_seal(const char *text, size_t length, const char key[HANDOVER_KEY_SIZE],
                      char seal[BASE64_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (HMAC(EVP_sha256(), key, HANDOVER_KEY_SIZE, (const unsigned char *)text, length, digest,
             NULL) == NULL)
        log_fatal(EX_SOFTWARE, "OpenSSL cannot compute HMAC-SHA-256");
    EVP_EncodeBlock((unsigned char *)seal, digest, SEAL_OCTETS);
    seal[SEAL_LENGTH] = '\0';
    for (char *letter = seal; *letter != '\0'; letter++)
        *letter = *letter == '+' ? '-' : *letter == '/' ? '_' : *letter;
}

/* --- the account ----------------------------------------------------------------- */

/* What stands for itself: no separator, and nothing that xtext or Postfix has another form for. */
static bool stands_for_itself(unsigned char octet)
{
    return octet > ' ' && octet < 0x7f && octet != ';' && octet != '%' && octet != '+' &&
           octet != '=';
}

static void append_account(struct buffer *text, const char *account)
{
    for (; *account != '\0'; account++) {
        if (stands_for_itself((unsigned char)*account))
            buffer_append_char(text, *account);
        else
            buffer_format(text, "%%%02X", (unsigned char)*account);
    }
}

static char *read_account(const char *text, size_t length)
{
    struct buffer account = {0};
    char digits[3] = "";
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '%' || i + 2 >= length) {
            buffer_append_char(&account, text[i]);
            continue;
        }
        memcpy(digits, text + i + 1, 2);
        buffer_append_char(&account, (char)strtoul(digits, NULL, 16));
        i += 2;
    }
    return buffer_take(&account);
}

/* --- sealing ---------------------------------------------------------------------- */

void handover_seal(struct buffer *xtext, const char key[HANDOVER_KEY_SIZE],
                   const struct handover *decision)
{
    struct buffer text = {0};
    char seal[BASE64_SIZE];
    buffer_format(&text, "%s" MARK "%s;", decision->envid, decision->queue_id);
    append_account(&text, decision->account);
    make_seal(text.data, text.length, key, seal);
    buffer_format(&text, ";%s", seal);
    xtext_append(xtext, text.data);
    buffer_free(&text);
}

/* --- opening ---------------------------------------------------------------------- */

/* Where the parts of a sealed text begin. */
struct parts {
    const char *mark, *queue_id, *account, *seal;
};

static const char *last_separator(const char *text, const char *end)
{
    return memrchr(text, ';', (size_t)(end - text));
}

static bool take_apart(const struct buffer *text, struct parts *parts)
{
    static const size_t mark_length = sizeof(MARK) - 1;
    if (text->length < mark_length + SEAL_LENGTH + 2)
        return false;
    const char *before_seal = text->data + text->length - SEAL_LENGTH - 1;
    const char *before_account =
        *before_seal == ';' ? last_separator(text->data, before_seal) : NULL;
    const char *before_id =
        before_account != NULL ? last_separator(text->data, before_account) : NULL;
    if (before_id == NULL || (size_t)(before_id + 1 - text->data) < mark_length ||
        memcmp(before_id + 1 - mark_length, MARK, mark_length) != 0)
        return false;
    *parts = (struct parts){before_id + 1 - mark_length, before_id + 1, before_account + 1,
                            before_seal + 1};
    return true;
}

static bool read_parts(const char *xtext, struct buffer *text, struct parts *parts)
{
    return xtext_decode(text, xtext) && take_apart(text, parts);
}

bool handover_open(const char *xtext, const char key[HANDOVER_KEY_SIZE], struct handover *decision)
{
    struct buffer text = {0};
    struct parts parts;
    char seal[BASE64_SIZE];
    *decision = (struct handover){0};
    bool is_sealed = read_parts(xtext, &text, &parts);
    if (is_sealed) {
        make_seal(text.data, (size_t)(parts.seal - 1 - text.data), key, seal);
        is_sealed = CRYPTO_memcmp(seal, parts.seal, SEAL_LENGTH) == 0;
    }
    if (is_sealed) {
        decision->envid = memory_copy_bytes(text.data, (size_t)(parts.mark - text.data));
        decision->queue_id =
            memory_copy_bytes(parts.queue_id, (size_t)(parts.account - 1 - parts.queue_id));
        decision->account = read_account(parts.account, (size_t)(parts.seal - 1 - parts.account));
    }
    buffer_free(&text);
    return is_sealed;
}

bool handover_is_sealed(const char *xtext)
{
    struct buffer text = {0};
    struct parts parts;
    bool is_sealed = read_parts(xtext, &text, &parts);
    buffer_free(&text);
    return is_sealed;
}

void handover_free(struct handover *decision)
{
    free(decision->account);
    free(decision->queue_id);
    free(decision->envid);
    *decision = (struct handover){0};
}
