/* assertion.c - a JWT by which an application proves who it is, signed with its certificate's key
 */
#include "tokend/assertion.h"

#include "common/buffer.h"
#include "common/memory.h"

#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JTI_SIZE 37 /* of a UUID, with the NUL */

/* Appends base64url without padding (RFC 7515, section 2). */
static void append_base64url(struct buffer *text, const unsigned char *octets, size_t length)
{
    size_t size = (length + 2) / 3 * 4 + 1;
    unsigned char *encoded = memory_alloc(size);
    int written = EVP_EncodeBlock(encoded, octets, (int)length);
    for (int i = 0; i < written && encoded[i] != '='; i++) {
        if (encoded[i] == '+')
            encoded[i] = '-';
        else if (encoded[i] == '/')
            encoded[i] = '_';
        buffer_append_char(text, (char)encoded[i]);
    }
    free(encoded);
}

static void append_part(struct buffer *jwt, const struct buffer *json)
{
    append_base64url(jwt, (const unsigned char *)json->data, json->length);
}

/* A random UUID (RFC 9562, section 5.4). */
static void make_jti(const unsigned char random[ASSERTION_RANDOM], char jti[JTI_SIZE])
{
    char *at = jti;
    for (size_t i = 0; i < ASSERTION_RANDOM; i++) {
        unsigned octet = random[i];
        if (i == 6)
            octet = (octet & 0x0f) | 0x40;
        if (i == 8)
            octet = (octet & 0x3f) | 0x80;
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        at += sprintf(at, "%02x", octet);
    }
}

/* Audience and client id are a registration's, where no character needs to be escaped. */
static void append_claims(struct buffer *jwt, const struct assertion *assertion)
{
    char jti[JTI_SIZE];
    struct buffer json = {0};
    make_jti(assertion->random, jti);
    buffer_format(&json,
                  "{\"aud\":\"%s\",\"iss\":\"%s\",\"sub\":\"%s\",\"jti\":\"%s\",\"nbf\":%" PRId64
                  ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}",
                  assertion->audience, assertion->client_id, assertion->client_id, jti,
                  assertion->now, assertion->now, assertion->now + ASSERTION_LIFE);
    append_part(jwt, &json);
    buffer_free(&json);
}

static void append_header(struct buffer *jwt, const struct key_pair *pair)
{
    struct buffer json = {0};
    buffer_append_string(&json, "{\"alg\":\"PS256\",\"typ\":\"JWT\",\"x5t#S256\":\"");
    append_base64url(&json, key_pair_sha256(pair), KEY_PAIR_SHA256);
    buffer_append_string(&json, "\"}");
    append_part(jwt, &json);
    buffer_free(&json);
}

static bool begin_signing(EVP_MD_CTX *context, EVP_PKEY *key)
{
    EVP_PKEY_CTX *with = NULL;
    return EVP_DigestSignInit(context, &with, EVP_sha256(), NULL, key) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(with, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(with, RSA_PSS_SALTLEN_DIGEST) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(with, EVP_sha256()) == 1;
}

/* "text.signature", or NULL. */
static struct secret *sign(const struct buffer *text, EVP_PKEY *key)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t length = key != NULL ? (size_t)EVP_PKEY_get_size(key) : 0;
    unsigned char *signature = memory_alloc(length + 1);
    struct buffer encoded = {0};
    struct secret *signed_text = NULL;
    if (context != NULL && key != NULL && begin_signing(context, key) &&
        EVP_DigestSign(context, signature, &length, (const unsigned char *)text->data,
                       text->length) == 1) {
        append_base64url(&encoded, signature, length);
        signed_text = secret_new(text->length + 1 + encoded.length);
        secret_append(signed_text, text->data, text->length);
        secret_append(signed_text, ".", 1);
        secret_append(signed_text, encoded.data, encoded.length);
    }
    free(signature);
    buffer_free(&encoded);
    EVP_MD_CTX_free(context);
    return signed_text;
}

struct secret *assertion_make(const struct assertion *assertion, const struct key_pair *pair,
                              struct error *error)
{
    char reason[256] = "there is no key";
    struct buffer text = {0};
    append_header(&text, pair);
    buffer_append_char(&text, '.');
    append_claims(&text, assertion);
    struct secret *result = sign(&text, key_pair_key(pair));
    buffer_free(&text);
    unsigned long code = ERR_get_error();
    if (code != 0)
        ERR_error_string_n(code, reason, sizeof(reason));
    ERR_clear_error();
    if (result == NULL)
        error_set(error, "nothing can be signed with the certificate's key: %s", reason);
    return result;
}
