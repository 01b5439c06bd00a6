/* salvage.c - what can be made of a From: that does not parse
 *
 * People write "Doe, John <john@example.com>" without quotes, or "[Tracker] <bot@example.com>", and
 * mail programs show them as they are meant. One bounded attempt to do so, too: an address is taken
 * only if it is the only one, so that nobody's text decides between two.
 */
#include "common/sender/salvage.h"

#include "common/sender/encoded_word.h"
#include "common/sender/octet.h"
#include "common/sender/token.h"

#include <string.h>

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

/* name_before - the text in front of an address, without the punctuation that led to it */
static struct mailbox_text name_before(const char *start, const char *end)
{
    struct mailbox_text name = mailbox_trim(start, (size_t)(end - start));

    while (name.length > 0 && octet_is_one_of(name.bytes[name.length - 1], ",;:<"))
        name = mailbox_trim(name.bytes, name.length - 1);
    if (!has_letters(name))
        name.length = 0;
    return name;
}

/* find_in_angles - the only address between "<" and the next angle; where it starts, or NULL */
static const char *find_in_angles(const char *value, size_t length,
                                  char address[MAILBOX_ADDRESS_MAX + 1])
{
    struct scan scan = {.at = value, .end = value + length};
    const char *open = NULL;
    const char *found = NULL;

    for (bool more = true; more;) {
        const char *angle = scan_next(&scan, "<>");
        const char *stop = angle == NULL ? scan.end : angle;
        char candidate[MAILBOX_ADDRESS_MAX + 1];
        if (open != NULL && mailbox_address_parse(open + 1, (size_t)(stop - open) - 1, candidate)) {
            if (found != NULL)
                return NULL;
            found = open;
            memcpy(address, candidate, sizeof(candidate));
        }
        open = angle != NULL && *angle == '<' ? angle : NULL;
        more = angle != NULL;
    }
    return found;
}

/* is_boundary - may a bare address end or start beside what lies between these two pointers? */
static bool is_boundary(const char *at, const char *end)
{
    return at == end || octet_is_space(*at) || octet_fold_length(at, end) > 0 ||
           octet_is_one_of(*at, "<>()[]\",;:");
}

static bool is_local(char byte)
{
    return octet_is_atext(byte) || byte == '.';
}

static bool is_domain(char byte)
{
    return octet_is_alphanumeric(byte) || octet_is_high(byte) || octet_is_one_of(byte, ".-_");
}

/* find_bare - the address around the only "@", in angles at their start; its start, or NULL */
static const char *find_bare(const char *value, size_t length,
                             char address[MAILBOX_ADDRESS_MAX + 1])
{
    struct scan scan = {.at = value, .end = value + length, .stepped = value};
    const char *angle = NULL; /* the open one in front of the "@" */
    const char *at;

    while ((at = scan_next(&scan, "<>@")) != NULL && *at != '@')
        angle = *at == '<' ? at : NULL;
    const char *floor = scan.stepped;
    if (at == NULL || scan_next(&scan, "@") != NULL)
        return NULL;
    const char *start = at;
    const char *end = at + 1;
    while (start > floor && is_local(start[-1]))
        start--;
    while (end < scan.end && is_domain(*end))
        end++;
    if ((start > value && !is_boundary(start - 1, scan.end)) || !is_boundary(end, scan.end) ||
        (angle != NULL && mailbox_trim(angle + 1, (size_t)(start - angle) - 1).length > 0) ||
        !mailbox_address_parse(start, (size_t)(end - start), address))
        return NULL;
    return start;
}

bool salvage_mailbox(struct mailbox_list *list, const char *value, size_t length)
{
    struct mailbox found = {.strict = false};
    const char *start = find_in_angles(value, length, found.address);

    if (start == NULL)
        start = find_bare(value, length, found.address);
    if (start == NULL)
        return false;
    found.text = mailbox_trim(value, length);
    found.name = name_before(value, start);
    found.name_is_text = !mailbox_is_phrase(found.name);
    found.comment = (struct mailbox_text){value, 0};
    list->strict = false;
    list->total++;
    if (list->count < MAILBOX_LIST_MAX)
        list->items[list->count++] = found;
    return true;
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
