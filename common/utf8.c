/* utf8.c - characters of UTF-8 (RFC 3629) */
#include "common/utf8.h"

#include <string.h>

size_t utf8_decode(const char *bytes, size_t length, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char first = (unsigned char)bytes[0];
    if (first < 0x80) {
        *code = first;
        return 1;
    }
    const size_t wanted = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || length < wanted)
        return 0;
    uint32_t point = first & (0x7fU >> wanted);
    for (size_t i = 1; i < wanted; i++) {
        if (((unsigned char)bytes[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | ((unsigned char)bytes[i] & 0x3f);
    }
    const bool surrogate = point >= 0xd800 && point <= 0xdfff;
    if (point < smallest[wanted] || point > 0x10ffff || surrogate)
        return 0;
    *code = point;
    return wanted;
}

bool utf8_is_valid(const char *bytes, size_t length)
{
    uint32_t code;
    for (size_t at = 0; at < length;) {
        const size_t step = utf8_decode(bytes + at, length - at, &code);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

size_t utf8_mark_length(const char *bytes, size_t length)
{
    static const char mark[] = "\xef\xbb\xbf";
    size_t size = sizeof(mark) - 1;
    return length >= size && memcmp(bytes, mark, size) == 0 ? size : 0;
}
