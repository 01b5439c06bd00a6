/* encoding.c - bytes as JSON, base64 and hexadecimal */
#include "encoding.h"

#include "allocate.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *encoding_json(const void *bytes, size_t length)
{
    json_t *value = json_stringn(bytes, length);

    if (value == NULL) {
        char *base64 = encoding_base64(bytes, length);
        value = json_object();
        encoding_set(value, "base64", json_string(base64));
        free(base64);
    }
    return value;
}

char *encoding_base64(const void *bytes, size_t length)
{
    char *text = allocate(length / 3 * 4 + 8);

    EVP_EncodeBlock((unsigned char *)text, bytes, (int)length);
    return text;
}

static int digit_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

char *encoding_from_base64(const char *text, size_t *length)
{
    size_t digits = strlen(text);
    size_t padding = 0;
    unsigned accumulator = 0;
    char *bytes;

    if (digits % 4 != 0)
        return NULL;
    while (padding < 2 && digits > 0 && text[digits - 1] == '=') {
        digits--;
        padding++;
    }
    bytes = allocate(digits / 4 * 3 + 4);
    *length = 0;
    for (size_t i = 0; i < digits; i++) {
        int value = digit_value(text[i]);
        if (value < 0) {
            free(bytes);
            return NULL;
        }
        accumulator = accumulator << 6 | (unsigned)value;
        if (i % 4 != 0)
            bytes[(*length)++] = (char)(accumulator >> (6 - i % 4 * 2) & 0xff);
    }
    bytes[*length] = '\0';
    return bytes;
}

void encoding_hex(const unsigned char *bytes, size_t length, char *buffer)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < length; i++) {
        buffer[2 * i] = digits[bytes[i] >> 4];
        buffer[2 * i + 1] = digits[bytes[i] & 15];
    }
    buffer[2 * length] = '\0';
}

static void require(int result)
{
    if (result != 0) {
        fputs("office365: cannot build a JSON value\n", stderr);
        abort();
    }
}

void encoding_set(json_t *object, const char *key, json_t *value)
{
    require(json_object_set_new(object, key, value));
}

void encoding_append(json_t *array, json_t *value)
{
    require(json_array_append_new(array, value));
}
