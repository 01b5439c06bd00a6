/* address_standard.c - an address in the form that Postfix gives all addresses
 *
 * First the quotes come off, then what is left is completed, then the local part gets quotes again
 * if it needs them: in this order Postfix's smtpd(8), trivial-rewrite(8) and cleanup(8) do it, so
 * that quotes do not protect what stands in them ("corp!joe" without a domain is joe@corp).
 */
#include "common/address_standard.h"

#include "common/address.h"
#include "common/buffer.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* --- what stands there ------------------------------------------------------- */

/* The octet behind a comment, or the end of the text. */
static const char *comment_end(const char *at)
{
    unsigned depth = 0;
    do {
        if (*at == '(')
            depth++;
        else if (*at == ')')
            depth--;
        else if (*at == '\\' && at[1] != '\0')
            at++;
        at++;
    } while (depth > 0 && *at != '\0');
    return at;
}

/* Appends the inside of a quoted string; the octet behind it. */
static const char *read_quoted(struct buffer *plain, const char *at)
{
    for (at++; *at != '\0' && *at != '"'; at++) {
        if (*at == '\\' && at[1] != '\0')
            at++;
        buffer_append_char(plain, *at);
    }
    return *at == '"' ? at + 1 : at;
}

/* Appends a domain literal; the octet behind it. */
static const char *read_literal(struct buffer *plain, const char *at)
{
    size_t length = strcspn(at, "]");
    length += at[length] == ']';
    buffer_append(plain, at, length);
    return at + length;
}

/* The words of a text in SMTP's form, without quotes, white space, comments and source route. */
static char *read_plain(const char *text)
{
    struct buffer plain = {0};
    bool is_first = true;
    bool is_route = false;
    buffer_append_string(&plain, "");
    for (const char *at = text; *at != '\0';) {
        if (*at == '(') {
            at = comment_end(at);
            continue;
        }
        if (*at == ' ' || *at == '\t') {
            at++;
            continue;
        }
        is_route = is_route || (is_first && *at == '@');
        is_first = false;
        if (*at == '"') {
            at = read_quoted(&plain, at);
        } else if (*at == '[') {
            at = read_literal(&plain, at);
        } else if (*at == ':' && is_route && at[1] != '\0') {
            is_route = false;
            buffer_clear(&plain);
            buffer_append_string(&plain, "");
            at++;
        } else {
            buffer_append_char(&plain, *at++);
        }
    }
    return buffer_take(&plain);
}

/* --- what is missing --------------------------------------------------------- */

/* An address without "@" in another form: host!user, user%host. NULL: it is none of these. */
static char *swap_forms(const char *plain, const struct address_rules *rules)
{
    const char *bang = strchr(plain, '!');
    const char *percent = strrchr(plain, '%');
    if (rules->swap_bangpath && bang != NULL)
        return memory_format("%s@%.*s", bang + 1, (int)(bang - plain), plain);
    if (rules->allow_percent_hack && percent != NULL)
        return memory_format("%.*s@%s", (int)(percent - plain), plain, percent + 1);
    return NULL;
}

static char *complete(char *plain, const struct address_rules *rules)
{
    if (plain[0] == '\0' || strchr(plain, '@') != NULL)
        return plain;
    char *whole = swap_forms(plain, rules);
    if (whole == NULL && is_given(rules->origin))
        whole = memory_format("%s@%s", plain, rules->origin);
    if (whole == NULL)
        return plain;
    free(plain);
    return whole;
}

/* --- putting it together ----------------------------------------------------- */

static bool needs_quotes(const char *local, size_t length)
{
    char before = '.';
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)local[i];
        if (byte <= ' ' || byte == 0x7f || strchr("<>()[]\\,;:@\"", local[i]) != NULL)
            return true;
        if (local[i] == '.' && before == '.')
            return true;
        before = local[i];
    }
    return before == '.';
}

static void append_local(struct buffer *address, const char *local, size_t length)
{
    if (!needs_quotes(local, length)) {
        buffer_append(address, local, length);
        return;
    }
    buffer_append_char(address, '"');
    for (size_t i = 0; i < length; i++) {
        if (strchr("\"\\\r", local[i]) != NULL)
            buffer_append_char(address, '\\');
        buffer_append_char(address, local[i]);
    }
    buffer_append_char(address, '"');
}

static void append_domain(struct buffer *address, const char *domain,
                          const struct address_rules *rules)
{
    size_t length = strlen(domain);
    if (length > 1 && domain[length - 1] == '.' && domain[length - 2] != '.')
        length--;
    buffer_append_char(address, '@');
    buffer_append(address, domain, length);
    if (is_given(rules->domain) && length > 0 && domain[0] != '[' && strchr(domain, '.') == NULL)
        buffer_format(address, ".%s", rules->domain);
}

static char *compose(const char *plain, const struct address_rules *rules)
{
    struct buffer address = {0};
    const char *at = strrchr(plain, '@');
    append_local(&address, plain, at != NULL ? (size_t)(at - plain) : strlen(plain));
    if (at != NULL)
        append_domain(&address, at + 1, rules);
    return buffer_take(&address);
}

char *address_standard(const char *text, const struct address_rules *rules)
{
    char *stripped = address_strip(text);
    char *plain = complete(read_plain(stripped), rules);
    char *address = plain[0] != '\0' ? compose(plain, rules) : memory_copy("");
    free(stripped);
    free(plain);
    return address;
}

char *address_quoted(const char *plain)
{
    static const struct address_rules none = {.origin = NULL};
    return plain[0] != '\0' ? compose(plain, &none) : memory_copy("");
}
