/* blanks.c - text as it was before a terminal, a report or a web page broke it into lines */
#include "common/blanks.h"

#include "common/utf8.h"

#include <stdbool.h>
#include <stdint.h>

static bool is_blank(uint32_t code)
{
    return code == ' ' || (code >= '\t' && code <= '\r') || code == 0x85 || code == 0xa0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

/* What web pages put where a word may be broken. */
static bool is_nothing(uint32_t code)
{
    return code == 0xad || code == 0x200b || code == 0x2060 || code == 0xfeff;
}

void blanks_fold(struct buffer *folded, const char *text, size_t length)
{
    size_t begin = folded->length;
    bool is_apart = false;
    for (size_t at = 0; at < length;) {
        uint32_t code = 0;
        size_t octets = utf8_decode(text + at, length - at, &code);
        if (octets > 0 && is_blank(code)) {
            is_apart = folded->length > begin;
        } else if (octets == 0 || !is_nothing(code)) {
            if (is_apart)
                buffer_append_char(folded, ' ');
            is_apart = false;
            buffer_append(folded, text + at, octets > 0 ? octets : 1);
        }
        at += octets > 0 ? octets : 1;
    }
    buffer_append(folded, "", 0);
}
