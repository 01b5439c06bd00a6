/* xtext.c - xtext, the form that parameters of DSN have in commands */
#include "common/xtext.h"

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

void xtext_append(struct buffer *xtext, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char octet = (unsigned char)*text;
        if (octet > ' ' && octet < 0x7f && octet != '+' && octet != '=')
            buffer_append_char(xtext, *text);
        else
            buffer_format(xtext, "+%02X", octet);
    }
}

bool xtext_decode(struct buffer *text, const char *xtext)
{
    for (; *xtext != '\0'; xtext++) {
        if (*xtext != '+') {
            buffer_append_char(text, *xtext);
            continue;
        }
        int high = digit_value(xtext[1]);
        int low = high >= 0 ? digit_value(xtext[2]) : -1;
        if (low < 0 || (high == 0 && low == 0))
            return false;
        buffer_append_char(text, (char)(high * 16 + low));
        xtext += 2;
    }
    return true;
}
