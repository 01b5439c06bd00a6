/* sasl.c - the client's side of AUTH LOGIN and AUTH XOAUTH2 */
#include "common/upstream/sasl.h"

#include <string.h>

#define SEPARATOR "\x01"

/* --- base64 (RFC 4648, section 4) --- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t encoded_length(size_t length)
{
    return (length + 2) / 3 * 4;
}

static void append_encoded(struct secret *line, const char *bytes, size_t length)
{
    const unsigned char *in = (const unsigned char *)bytes;
    char four[4];
    for (size_t i = 0; i < length; i += 3) {
        unsigned second = i + 1 < length ? in[i + 1] : 0, third = i + 2 < length ? in[i + 2] : 0;
        four[0] = alphabet[in[i] >> 2];
        four[1] = alphabet[(in[i] & 3U) << 4 | second >> 4];
        four[2] = alphabet[(second & 15U) << 2 | third >> 6];
        four[3] = alphabet[third & 63U];
        size_t whole = length - i < 3 ? length - i + 1 : 4;
        secret_append(line, four, whole);
        secret_append(line, "==", 4 - whole);
    }
    explicit_bzero(four, sizeof(four));
}

/* Decodes what is base64 at the start of `text`, as far as there is room, for people to read: bytes
 * that are no printable ASCII become '?'. */
static void decode_for_people(const char *text, char *result, size_t size)
{
    unsigned bits = 0, value = 0;
    size_t length = 0;
    const char *digit;
    for (; *text != '\0' && (digit = strchr(alphabet, *text)) != NULL && length + 1 < size;
         text++) {
        value = (value << 6 | (unsigned)(digit - alphabet)) & 0xfff;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        char byte = (char)(value >> bits & 0xff);
        if (byte < ' ' || byte > '~')
            byte = '?';
        result[length++] = byte;
    }
    result[length] = '\0';
}

/* --- the exchange --- */

static struct secret *line_of(const char *text)
{
    return secret_copy(text, strlen(text));
}

static struct secret *encode(const char *prefix, const char *bytes, size_t length)
{
    struct secret *line = secret_new(strlen(prefix) + encoded_length(length));
    secret_append(line, prefix, strlen(prefix));
    append_encoded(line, bytes, length);
    return line;
}

/* user=<user>^Aauth=Bearer <token>^A^A */
static struct secret *bearer(const struct sasl *sasl)
{
    const char *const parts[] = {"user=", sasl->user, SEPARATOR "auth=Bearer ",
                                 secret_reveal(sasl->secret), SEPARATOR SEPARATOR};
    size_t length = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        length += strlen(parts[i]);
    struct secret *response = secret_new(length);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        secret_append(response, parts[i], strlen(parts[i]));
    return response;
}

static struct secret *encode_bearer(const struct sasl *sasl, const char *prefix)
{
    struct secret *response = bearer(sasl);
    struct secret *line = encode(prefix, secret_reveal(response), secret_length(response));
    secret_free(response);
    return line;
}

void sasl_start(struct sasl *sasl, enum sasl_mechanism mechanism, const char *user,
                const struct secret *secret)
{
    *sasl =
        (struct sasl){.mechanism = mechanism, .state = SASL_IDLE, .user = user, .secret = secret};
}

struct secret *sasl_first(struct sasl *sasl, size_t line_max)
{
    if (sasl->mechanism == SASL_LOGIN) {
        sasl->state = SASL_USER_WANTED;
        return line_of("AUTH LOGIN");
    }
    struct secret *line = encode_bearer(sasl, "AUTH XOAUTH2 ");
    if (secret_length(line) + strlen("\r\n") <= line_max) {
        sasl->state = SASL_OUTCOME_WANTED;
        return line;
    }
    secret_free(line);
    sasl->state = SASL_SECRET_WANTED;
    return line_of("AUTH XOAUTH2");
}

/* After everything was sent: XOAUTH2 servers may give reasons before they refuse. */
static struct secret *answer_refusal(struct sasl *sasl, const char *text)
{
    if (sasl->mechanism == SASL_LOGIN) {
        sasl->state = SASL_CANCELLED;
        return line_of("*");
    }
    decode_for_people(text, sasl->problem, sizeof(sasl->problem));
    sasl->state = SASL_REFUSED;
    return line_of("");
}

struct secret *sasl_next(struct sasl *sasl, const char *text, struct error *error)
{
    switch (sasl->state) {
    case SASL_USER_WANTED:
        sasl->state = SASL_SECRET_WANTED;
        return encode("", sasl->user, strlen(sasl->user));
    case SASL_SECRET_WANTED:
        sasl->state = SASL_OUTCOME_WANTED;
        if (sasl->mechanism == SASL_XOAUTH2)
            return encode_bearer(sasl, "");
        return encode("", secret_reveal(sasl->secret), secret_length(sasl->secret));
    case SASL_OUTCOME_WANTED:
        return answer_refusal(sasl, text);
    case SASL_REFUSED:
        sasl->state = SASL_CANCELLED;
        return line_of("*");
    case SASL_IDLE:
    case SASL_CANCELLED:
        break;
    }
    error_set(error,
              "AUTH %s: the server goes on asking (334) where it must accept or refuse; find out "
              "with `openssl s_client -starttls smtp` what answers there",
              sasl_mechanism_name(sasl->mechanism));
    return NULL;
}

const char *sasl_mechanism_name(enum sasl_mechanism mechanism)
{
    return mechanism == SASL_LOGIN ? "LOGIN" : "XOAUTH2";
}
