/* address.c - mail addresses as Postfix's tables and Microsoft's mailboxes see them
 *
 * Nothing here rewrites an address for the wire; this is for keys, comparisons and checks.
 */
#include "common/address.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "common/utf8.h"

#include <ctype.h>
#include <locale.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#define DOMAIN_MAX 255 /* octets, RFC 5321 section 4.5.3.1.2 */
#define UPN_MAX    320 /* octets, those of local part and domain there; Microsoft allows 113 */

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* --- form --- */

static const char *trim(const char *text, size_t *length)
{
    while (*length > 0 && is_blank(text[*length - 1]))
        (*length)--;
    while (*length > 0 && is_blank(*text)) {
        text++;
        (*length)--;
    }
    return text;
}

char *address_strip(const char *text)
{
    size_t length = strlen(text);
    text = trim(text, &length);
    if (length >= 2 && text[0] == '<' && text[length - 1] == '>') {
        text++;
        length -= 2;
        text = trim(text, &length);
    }
    return memory_copy_bytes(text, length);
}

/* The closing quote of the quoted string that begins at `quote`; NULL if it has none. */
static const char *closing_quote(const char *quote)
{
    for (const char *byte = quote + 1; *byte != '\0'; byte++) {
        if (*byte == '"')
            return byte;
        if (*byte == '\\' && *++byte == '\0')
            return NULL;
    }
    return NULL;
}

const char *address_domain(const char *address)
{
    const char *rest = address;
    if (address[0] == '"') {
        rest = closing_quote(address);
        if (rest == NULL)
            return NULL;
    }
    const char *at = strrchr(rest, '@');
    return at != NULL ? at + 1 : NULL;
}

static size_t local_part_length(const char *address)
{
    const char *domain = address_domain(address);
    return domain != NULL ? (size_t)(domain - address) - 1 : strlen(address);
}

/* Whether the local part begins or ends with `part`; both have other characters besides. */
static bool begins_with(const char *local, size_t length, const char *part)
{
    return length > strlen(part) && strncasecmp(local, part, strlen(part)) == 0;
}

static bool ends_with(const char *local, size_t length, const char *part)
{
    return length > strlen(part) &&
           strncasecmp(local + length - strlen(part), part, strlen(part)) == 0;
}

static bool is_word(const char *local, size_t length, const char *word)
{
    return length == strlen(word) && strncasecmp(local, word, length) == 0;
}

static bool has_no_extension(const char *local, size_t length, const char *delimiters)
{
    if (is_word(local, length, "mailer-daemon") || is_word(local, length, "double-bounce"))
        return true;
    return strchr(delimiters, '-') != NULL &&
           (begins_with(local, length, "owner-") || ends_with(local, length, "-request"));
}

char *address_without_extension(const char *address, const char *delimiters)
{
    size_t length = local_part_length(address);
    const char *local = address;
    bool quoted = length >= 2 && local[0] == '"' && local[length - 1] == '"';
    if (quoted) {
        local++;
        length -= 2;
    }
    if (has_no_extension(local, length, delimiters))
        return NULL;
    size_t kept = strcspn(local, delimiters);
    if (kept == 0 || kept >= length)
        return NULL;
    /* What follows the extension is the closing quote and the domain. */
    return memory_format("%.*s%s", (int)(local + kept - address), address, local + length);
}

char *address_unquoted(const char *address)
{
    size_t length = local_part_length(address);
    if (length < 2 || address[0] != '"' || closing_quote(address) != address + length - 1)
        return NULL;
    struct buffer plain = {0};
    for (size_t i = 1; i < length - 1; i++) {
        if (address[i] == '\\')
            i++;
        buffer_append_char(&plain, address[i]);
    }
    buffer_append_string(&plain, address + length);
    return buffer_take(&plain);
}

static bool is_control(char byte)
{
    return (unsigned char)byte < ' ' || byte == 0x7f;
}

static bool is_valid_local_part(const char *local, size_t length)
{
    if (length > 0 && local[0] == '"')
        return closing_quote(local) == local + length - 1;
    char before = '.';
    for (size_t i = 0; i < length; i++) {
        if (strchr(" ()<>[]:;,\\\"@", local[i]) != NULL)
            return false;
        if (local[i] == '.' && before == '.')
            return false;
        before = local[i];
    }
    return before != '.';
}

static bool is_valid_literal(const char *domain, size_t length)
{
    if (length < 3 || domain[length - 1] != ']')
        return false;
    return strspn(domain + 1, "0123456789abcdefABCDEFIPvipV.:") == length - 2;
}

static bool is_valid_domain(const char *domain)
{
    size_t length = strlen(domain);
    if (length > DOMAIN_MAX)
        return false;
    if (domain[0] == '[')
        return is_valid_literal(domain, length);
    char before = '.';
    for (; *domain != '\0'; domain++) {
        bool letter = isalnum((unsigned char)*domain) || (unsigned char)*domain >= 0x80 ||
                      *domain == '_' || (*domain == '-' && before != '.');
        if (!letter && (*domain != '.' || before == '.'))
            return false;
        before = *domain;
    }
    return before != '.';
}

bool address_is_valid(const char *address)
{
    const char *domain = address_domain(address);
    if (domain == NULL || strlen(address) > ADDRESS_MAX || !utf8_is_valid(address, strlen(address)))
        return false;
    for (const char *byte = address; *byte != '\0'; byte++)
        if (is_control(*byte))
            return false;
    return is_valid_local_part(address, local_part_length(address)) && is_valid_domain(domain);
}

bool address_is_upn(const char *address)
{
    return address[0] != '"' && strlen(address) <= UPN_MAX && address_is_valid(address) &&
           address_domain(address)[0] != '[';
}

bool address_equal(const char *one, const char *other)
{
    char *folded_one = address_fold(one), *folded_other = address_fold(other);
    bool equal = strcmp(folded_one, folded_other) == 0;
    free(folded_one);
    free(folded_other);
    return equal;
}

/* --- letters --- */

static void encode(struct buffer *buffer, uint32_t code)
{
    char bytes[4];
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(length == 1 ? code : ((0xf00U >> length) & 0xff) | code);
    buffer_append(buffer, bytes, length);
}

/* Unicode's full case folding (CaseFolding.txt, status F) of letters in use today, where it is not
 * the small letter; postmap writes keys so. The dotless i stays what it is. */
static const struct {
    uint32_t code;
    const char *folded;
} special_letters[] = {
    {0x00df, "ss"},
    {0x0130, "i\u0307"},
    {0x0131, "\u0131"},
    {0x0149, "\u02bcn"},
    {0x01f0, "j\u030c"},
    {0x0390, "\u03b9\u0308\u0301"},
    {0x03b0, "\u03c5\u0308\u0301"},
    {0x0587, "\u0565\u0582"},
    {0x1e9e, "ss"},
};

static locale_t unicode_locale;

static void open_unicode_locale(void)
{
    unicode_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* The locale that knows Unicode's letters; made once, never released. */
static locale_t unicode(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_unicode_locale);
    return unicode_locale;
}

static void fold_letter(struct buffer *folded, uint32_t code, locale_t locale)
{
    for (size_t i = 0; i < sizeof(special_letters) / sizeof(special_letters[0]); i++)
        if (special_letters[i].code == code) {
            buffer_append_string(folded, special_letters[i].folded);
            return;
        }
    /* By way of the capital: a letter with two small forms (a final sigma) has one folding. */
    encode(folded, (uint32_t)towlower_l(towupper_l((wint_t)code, locale), locale));
}

/* tolower(3) of the C locale, whatever the process's is. */
static char fold_byte(char byte)
{
    if (byte < 'A' || byte > 'Z')
        return byte;
    return (char)(byte - 'A' + 'a');
}

static char *fold_letters(const char *address, size_t length)
{
    locale_t locale = unicode();
    bool letters = locale != (locale_t)0 && utf8_is_valid(address, length);
    struct buffer folded = {0};
    uint32_t code;
    for (const char *byte = address; byte < address + length; byte++) {
        if ((unsigned char)*byte >= 0x80 && letters) {
            byte += utf8_decode(byte, (size_t)(address + length - byte), &code) - 1;
            fold_letter(&folded, code, locale);
        } else {
            buffer_append_char(&folded, fold_byte(*byte));
        }
    }
    return buffer_take(&folded);
}

/* Nearly all addresses are ASCII. */
char *address_fold(const char *address)
{
    size_t length = strlen(address);
    char *folded = memory_copy_bytes(address, length);
    unsigned char seen = 0;
    for (size_t i = 0; i < length; i++) {
        seen |= (unsigned char)folded[i];
        folded[i] = fold_byte(folded[i]);
    }
    if (seen < 0x80)
        return folded;
    free(folded);
    return fold_letters(address, length);
}
