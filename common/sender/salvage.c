/* salvage.c - what can be made of a From: that does not parse
 *
 * People write "Doe, John <john@example.com>" without quotes, or "[Tracker] <bot@example.com>", and
 * mail programs show them as they are meant. One bounded attempt to do so, too: an address is taken
 * only if it is the only one, so that nobody's text decides between two, and only if nothing says
 * that it is half of one, for the other half may be what makes it somebody else's.
 */
#include "common/sender/salvage.h"

#include "common/sender/encoded_word.h"
#include "common/sender/octet.h"
#include "common/sender/token.h"

#include <string.h>
#include <strings.h>

/* What HTML makes of the angles. */
#define ESCAPED_OPEN  "&lt"
#define ESCAPED_CLOSE "&gt"

/* The way through text that does not parse: quoted strings, comments and encoded-words are stepped
 * over as long as they end. */
struct scan {
    const char *at;
    const char *end;
    const char *stepped; /* the end of the last of these */
    bool no_more_quotes;
    bool no_more_comments;
};

static bool has_letters(struct mailbox_text text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (octet_is_alphanumeric(text.bytes[i]) || octet_is_high(text.bytes[i]))
            return true;
    }
    return false;
}

/* scan_next - the next octet out of set that is not stepped over, or NULL */
static const char *scan_next(struct scan *scan, const char *set)
{
    while (scan->at < scan->end) {
        const char *at = scan->at;
        const char *stop = NULL;
        if (*at == '"' && !scan->no_more_quotes) {
            stop = token_quoted_end(at, scan->end, '"');
            scan->no_more_quotes = stop == NULL;
        } else if (*at == '(' && !scan->no_more_comments) {
            stop = token_comment_end(at, scan->end, (size_t)(scan->end - at));
            scan->no_more_comments = stop == NULL;
        } else if (*at == '=') {
            const size_t length = encoded_word_length(at, (size_t)(scan->end - at));
            stop = length == 0 ? NULL : at + length;
        }
        scan->at = stop == NULL ? at + 1 : stop;
        if (stop != NULL)
            scan->stepped = stop;
        else if (octet_is_one_of(*at, set))
            return at;
    }
    return NULL;
}

static bool ends_with(struct mailbox_text text, const char *end)
{
    const size_t length = strlen(end);

    return text.length >= length &&
           strncasecmp(text.bytes + text.length - length, end, length) == 0;
}

/* without_scheme - without a URI's scheme at the end, whose colon is gone already */
static struct mailbox_text without_scheme(struct mailbox_text text)
{
    size_t start = text.length;

    while (start > 0 && octet_is_alphanumeric(text.bytes[start - 1]))
        start--;
    return mailbox_is_scheme(text.bytes + start, text.length - start)
               ? mailbox_trim(text.bytes, start)
               : text;
}

/* name_before - the text in front of an address, without the punctuation that led to it */
static struct mailbox_text name_before(const char *start, const char *end)
{
    struct mailbox_text name = mailbox_trim(start, (size_t)(end - start));

    while (name.length > 0 && (octet_is_one_of(name.bytes[name.length - 1], ",;:<[") ||
                               ends_with(name, ESCAPED_OPEN))) {
        const bool colon = name.bytes[name.length - 1] == ':';
        name = mailbox_trim(
            name.bytes, name.length - (ends_with(name, ESCAPED_OPEN) ? strlen(ESCAPED_OPEN) : 1));
        if (colon)
            name = without_scheme(name);
    }
    if (!has_letters(name))
        name.length = 0;
    return name;
}

/* parse_angles - the address that all between two angles is, but for a URI's scheme, and what that
 * has behind a "?" (RFC 6068, section 2) */
static bool parse_angles(const char *open, const char *close, char address[MAILBOX_ADDRESS_MAX + 1])
{
    const struct mailbox_text text = mailbox_trim(open + 1, (size_t)(close - open) - 1);
    const char *colon = memchr(text.bytes, ':', text.length);
    const size_t scheme = colon == NULL ? 0 : (size_t)(colon - text.bytes);
    const size_t skipped = mailbox_is_scheme(text.bytes, scheme) ? scheme + 1 : 0;
    const char *query = skipped == 0 ? NULL : memchr(text.bytes, '?', text.length);
    const size_t end = query == NULL ? text.length : (size_t)(query - text.bytes);

    return end > skipped && mailbox_address_parse(text.bytes + skipped, end - skipped, address);
}

/* What a search for an address came to. */
enum finding { FOUND_NONE, FOUND_ONE, FOUND_UNCLEAR };

/* find_in_angles - the only address in pairs of angles, and where the first of these starts.
 * FOUND_UNCLEAR if there are several, or an "@" in angles that hold something else or do not end.
 */
static enum finding find_in_angles(struct mailbox_text value, const char **start,
                                   char address[MAILBOX_ADDRESS_MAX + 1])
{
    struct scan scan = {.at = value.bytes, .end = value.bytes + value.length};
    char other[MAILBOX_ADDRESS_MAX + 1];
    const char *open = NULL;
    bool has_at = false;
    enum finding finding = FOUND_NONE;

    for (bool more = true; more;) {
        const char *found = scan_next(&scan, "<>@");
        if (found != NULL && *found == '@') {
            has_at = true;
            continue;
        }
        if (open != NULL && has_at) {
            const bool first = finding == FOUND_NONE;
            if (found == NULL || *found != '>' ||
                !parse_angles(open, found, first ? address : other) ||
                (!first && strcasecmp(address, other) != 0))
                return FOUND_UNCLEAR;
            finding = FOUND_ONE;
            *start = first ? open : *start;
        }
        open = found != NULL && *found == '<' ? found : NULL;
        has_at = false;
        more = found != NULL;
    }
    return finding;
}

static bool is_separator(char byte)
{
    return octet_is_one_of(byte, "<>()[]\",;:");
}

static bool is_local(char byte)
{
    return octet_is_atext(byte) || byte == '.';
}

static bool is_domain(char byte)
{
    return octet_is_alphanumeric(byte) || octet_is_high(byte) || octet_is_one_of(byte, ".-_");
}

/* is_capital - does a name, rather than an address, start with this? */
static bool is_capital(char byte)
{
    return (byte >= 'A' && byte <= 'Z') || octet_is_high(byte);
}

/* is_name - is what ends here a name, and not the first half of the address that starts behind it?
 * That is what people write without angles: a name with a capital, an address without, on one line.
 * "Lobby Scanner@host" and "joe smith@host" are addresses that somebody has put together. */
static bool is_name(const char *value, const char *end, const char *start)
{
    const char *word = end;

    while (word > value && !octet_is_space(word[-1]) && !is_separator(word[-1]))
        word--;
    for (const char *at = end; at < start; at++) {
        if (!octet_is_space(*at))
            return false;
    }
    return end < start && is_capital(*word) && !is_capital(*start);
}

/* may_start - may a bare address start here, behind what is in front of it? stepped is the end of
 * the last quoted string, comment or encoded-word there. */
static bool may_start(const char *value, const char *start, const char *stepped)
{
    const struct mailbox_text before = mailbox_trim(value, (size_t)(start - value));
    const char *end = before.bytes + before.length;

    return before.length == 0 || is_separator(end[-1]) || (end == stepped && end < start) ||
           is_name(before.bytes, end, start);
}

/* may_end - may a bare address end here, in front of what is behind it? */
static bool may_end(const char *at, const char *end, bool escaped)
{
    const struct mailbox_text rest = mailbox_trim(at, (size_t)(end - at));

    if (escaped)
        return rest.length >= strlen(ESCAPED_CLOSE) &&
               strncasecmp(rest.bytes, ESCAPED_CLOSE, strlen(ESCAPED_CLOSE)) == 0;
    return rest.length == 0 || is_separator(rest.bytes[0]);
}

/* find_bare - the address around the only "@", which is not in angles, and where it starts */
static enum finding find_bare(struct mailbox_text value, const char **start,
                              char address[MAILBOX_ADDRESS_MAX + 1])
{
    struct scan scan = {
        .at = value.bytes, .end = value.bytes + value.length, .stepped = value.bytes};
    const char *at = scan_next(&scan, "@");
    const char *floor = scan.stepped;

    if (at == NULL || scan_next(&scan, "@") != NULL)
        return at == NULL ? FOUND_NONE : FOUND_UNCLEAR;
    const char *end = at + 1;
    *start = at;
    while (*start > floor && is_local((*start)[-1]))
        (*start)--;
    while (end < scan.end && is_domain(*end))
        end++;
    const struct mailbox_text before = {value.bytes, (size_t)(*start - value.bytes)};
    const bool escaped = ends_with(before, ESCAPED_OPEN ";");
    if (!may_start(value.bytes, *start, floor) || !may_end(end, scan.end, escaped) ||
        !mailbox_address_parse(*start, (size_t)(end - *start), address))
        return FOUND_UNCLEAR;
    return FOUND_ONE;
}

/* unquoted - the inside of quotes around all of a value, as it is left of a setting, or the value
 */
static struct mailbox_text unquoted(const char *value, size_t length)
{
    const struct mailbox_text text = mailbox_trim(value, length);
    const char *end = text.bytes + text.length;

    if (text.length < 2 || *text.bytes != '"' || token_quoted_end(text.bytes, end, '"') != end ||
        memchr(text.bytes, '\\', text.length) != NULL)
        return text;
    return (struct mailbox_text){text.bytes + 1, text.length - 2};
}

bool salvage_mailbox(struct mailbox_list *list, const char *value, size_t length)
{
    const struct mailbox_text text = unquoted(value, length);
    struct mailbox found = {.strict = false};
    const char *start = NULL;
    enum finding finding = find_in_angles(text, &start, found.address);

    if (finding == FOUND_NONE)
        finding = find_bare(text, &start, found.address);
    if (finding != FOUND_ONE)
        return false;
    found.text = text;
    found.name = name_before(text.bytes, start);
    found.name_is_text = !mailbox_is_phrase(found.name);
    found.comment = (struct mailbox_text){value, 0};
    list->strict = false;
    list->total++;
    if (list->count < MAILBOX_LIST_MAX)
        list->items[list->count++] = found;
    return true;
}

bool salvage_hints_at_address(const char *value, size_t length)
{
    struct scan scan = {.at = value, .end = value + length};
    const char *at;

    while ((at = scan_next(&scan, "@")) != NULL) {
        const struct mailbox_text before = mailbox_trim(value, (size_t)(at - value));
        const struct mailbox_text behind = mailbox_trim(at + 1, (size_t)(scan.end - at) - 1);
        const char last = before.length == 0 ? '\0' : before.bytes[before.length - 1];
        if ((is_local(last) || last == '"') && behind.length > 0 &&
            (is_domain(behind.bytes[0]) || behind.bytes[0] == '['))
            return true;
    }
    return false;
}

struct mailbox_text salvage_name(const char *value, size_t length, bool *is_text)
{
    struct scan scan = {.at = value, .end = value + length};
    const char *angle = scan_next(&scan, "<");
    struct mailbox_text name = {value, 0};

    scan = (struct scan){.at = value, .end = value + length};
    if (angle != NULL)
        name = name_before(value, angle);
    else if (scan_next(&scan, "@") == NULL)
        name = name_before(value, value + length);
    *is_text = !mailbox_is_phrase(name);
    return name;
}
