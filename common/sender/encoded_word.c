/* encoded_word.c - RFC 2047's encoded-words, as octets: found and made legal, never decoded */
#include "common/sender/encoded_word.h"

#include "common/sender/octet.h"

/* A dot is not among them: it is common in encoded names, and a phrase with dots still is one to
 * everybody. */
static bool is_splitting(char byte)
{
    return octet_is_one_of(byte, "()<>[]:;@\\,\"");
}

/* encoded_text_length - octets of the text of an encoded-word, up to its "?=" */
static size_t encoded_text_length(const char *text, size_t length, bool base64)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '?')
            return i + 1 < length && text[i + 1] == '=' ? i : 0;
        if (text[i] == ' ' || text[i] == '\t' || octet_is_control(text[i]) ||
            (base64 && !octet_is_alphanumeric(text[i]) && !octet_is_one_of(text[i], "+/=")))
            return 0;
    }
    return 0;
}

size_t encoded_word_length(const char *bytes, size_t length)
{
    size_t at = 2;

    if (length < 8 || bytes[0] != '=' || bytes[1] != '?')
        return 0;
    while (at < length &&
           (octet_is_alphanumeric(bytes[at]) || octet_is_one_of(bytes[at], "!#$%&'*+-^_`{|}~")))
        at++;
    if (at == 2 || length - at < 3 || bytes[at] != '?' || !octet_is_one_of(bytes[at + 1], "bBqQ") ||
        bytes[at + 2] != '?')
        return 0;
    size_t text =
        encoded_text_length(bytes + at + 3, length - at - 3, octet_is_one_of(bytes[at + 1], "bB"));
    return text == 0 ? 0 : at + 3 + text + 2;
}

bool encoded_word_splits(const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (is_splitting(word[i]))
            return true;
    }
    return false;
}

void encoded_word_append(struct buffer *out, const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (is_splitting(word[i]))
            buffer_format(out, "=%02X", (unsigned int)(unsigned char)word[i]);
        else
            buffer_append_char(out, word[i]);
    }
}
