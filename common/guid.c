/* guid.c - the form of Microsoft's ids */
#include "common/guid.h"

#include <string.h>

bool guid_is(const char *text, size_t length)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    if (length != GUID_LENGTH)
        return false;
    for (size_t i = 0; i < GUID_LENGTH; i++) {
        bool is_hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_hyphen ? text[i] != '-' : memchr(digits, text[i], sizeof(digits) - 1) == NULL)
            return false;
    }
    return true;
}
