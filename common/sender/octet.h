/* octet.h - kinds of octets in header values, by the grammar of RFC 5322 alone, not by a locale */
#ifndef POST365_COMMON_SENDER_OCTET_H
#define POST365_COMMON_SENDER_OCTET_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool octet_is_space(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* All but the tab, which is white space. */
static inline bool octet_is_control(char byte)
{
    return ((unsigned char)byte < ' ' && byte != '\t') || byte == 0x7f;
}

static inline bool octet_is_high(char byte)
{
    return (unsigned char)byte >= 0x80;
}

static inline bool octet_is_alphanumeric(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9');
}

static inline bool octet_is_one_of(char byte, const char *set)
{
    return byte != '\0' && strchr(set, byte) != NULL;
}

/* What atoms are made of (RFC 5322, 3.2.3), with the octets that RFC 6532 adds. */
static inline bool octet_is_atext(char byte)
{
    return octet_is_alphanumeric(byte) || octet_is_high(byte) ||
           octet_is_one_of(byte, "!#$%&'*+-/=?^_`{|}~");
}

/* Octets of the line break (LF or CR LF) of a fold that starts here, or 0. */
static inline size_t octet_fold_length(const char *at, const char *end)
{
    const size_t left = (size_t)(end - at);
    const size_t length = left > 1 && at[0] == '\r' && at[1] == '\n' ? 2 : 1;

    return left > length && at[length - 1] == '\n' && octet_is_space(at[length]) ? length : 0;
}

#endif
