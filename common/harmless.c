/* harmless.c - text of others, on its way to people */
#include "common/harmless.h"

#include "common/utf8.h"

#include <string.h>

bool harmless_is(uint32_t code)
{
    bool is_control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    bool ends_line = code == 0x2028 || code == 0x2029;
    bool turns = code == 0x61c || code == 0x200e || code == 0x200f ||
                 (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    return !is_control && !ends_line && !turns;
}

size_t harmless_make(char *text, char instead)
{
    const char *next = text;
    char *kept = text;
    for (size_t left = strlen(text), step; left > 0; next += step, left -= step) {
        uint32_t code = 0;
        step = utf8_decode(next, left, &code);
        const bool is_shown = step > 0 && harmless_is(code);
        if (step == 0)
            step = 1;
        if (is_shown)
            kept = (char *)memmove(kept, next, step) + step;
        else
            *kept++ = instead;
    }
    *kept = '\0';
    return (size_t)(kept - text);
}
