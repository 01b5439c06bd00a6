/* reply.c - an SMTP reply: code, enhanced status code, text
 *
 * One strict reader of a single line, reply_add_line(); everything else finds lines and hands them
 * to it. Not here: what a reply of Office 365 means (office365.c), and reading from a socket.
 *
 * Security: the bytes come from the network, from a log that strangers can write to, or from an
 * admin's clipboard. Nothing is allocated, every loop is bounded by the length given, and the text
 * that is kept holds no control bytes.
 */
#include "common/reply.h"

#include <stdint.h>
#include <string.h>

#define EXCERPT_SIZE 48

/* A stretch of somebody else's bytes. */
struct slice {
    const char *start;
    size_t length;
};

static bool read_code(struct slice line, unsigned *code);
static size_t read_enhanced(struct slice text, struct reply_enhanced *enhanced);
static void add_text(struct reply *reply, struct slice text);
static enum reply_progress malformed(struct error *error, const char *reason, struct slice line);

static bool find_opening(struct slice text, struct slice *rest);
static bool find_marker(struct slice text, struct slice *rest, enum reply_stage *stage);
static bool find_codes(struct slice text, struct slice *rest);
static bool find_enhanced(struct slice text, struct reply *reply);
static bool read_joined(struct reply *reply, struct slice text, struct error *error);
static struct slice without_tail(struct slice text, enum reply_stage *stage);

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_word(char byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static struct slice slice_from(struct slice slice, size_t offset)
{
    return (struct slice){slice.start + offset, slice.length - offset};
}

static struct slice trimmed(struct slice text)
{
    while (text.length > 0 && is_space(text.start[text.length - 1]))
        text.length--;
    while (text.length > 0 && is_space(*text.start))
        text = slice_from(text, 1);
    return text;
}

/* --- over the wire --- */

void reply_begin(struct reply *reply)
{
    reply->code = 0;
    reply->enhanced = (struct reply_enhanced){0};
    reply->stage = REPLY_STAGE_UNKNOWN;
    reply->lines = 0;
    reply->cut = false;
    reply->length = 0;
    reply->text[0] = '\0';
}

enum reply_progress reply_add_line(struct reply *reply, const char *line, size_t length,
                                   struct error *error)
{
    struct slice whole = {line, length};
    unsigned code;
    if (!read_code(whole, &code))
        return malformed(error, "does not begin with a reply code from 200 to 599", whole);
    if (length > 3 && line[3] != ' ' && line[3] != '-')
        return malformed(error, "has neither a space nor `-` behind its code", whole);
    if (reply->lines > 0 && code != reply->code)
        return malformed(error, "has another code than the lines before it", whole);
    if (reply->lines >= REPLY_LINES_MAX)
        return malformed(error, "is one line too many for a reply", whole);

    reply->code = code;
    reply->lines++;
    struct slice text = slice_from(whole, length > 3 ? 4 : 3);
    size_t skip = read_enhanced(text, &reply->enhanced);
    add_text(reply, slice_from(text, skip));
    return length > 3 && line[3] == '-' ? REPLY_MORE : REPLY_COMPLETE;
}

bool reply_parse(struct reply *reply, const char *bytes, size_t length, struct error *error)
{
    struct slice whole = {length > 0 ? bytes : "", length};
    struct slice rest = whole;
    reply_begin(reply);
    enum reply_progress progress = REPLY_MORE;
    while (progress == REPLY_MORE && rest.length > 0) {
        const char *end = memchr(rest.start, '\n', rest.length);
        size_t line = end != NULL ? (size_t)(end - rest.start) : rest.length;
        size_t next = end != NULL ? line + 1 : line;
        if (end != NULL && line > 0 && rest.start[line - 1] == '\r')
            line--;
        progress = reply_add_line(reply, rest.start, line, error);
        rest = slice_from(rest, next);
    }
    if (progress == REPLY_MORE)
        malformed(error, "is not complete: its last line is missing",
                  (struct slice){bytes, length});
    if (progress == REPLY_COMPLETE && rest.length > 0)
        malformed(error, "is behind the end of the reply", rest);
    return progress == REPLY_COMPLETE && rest.length == 0;
}

void reply_make_temporary(unsigned *code, struct reply_enhanced *enhanced)
{
    if (*code / 100 == 5)
        *code -= 100;
    if (enhanced->class == 5)
        enhanced->class = 4;
}

static bool read_code(struct slice line, unsigned *code)
{
    if (line.length < 3 || !is_digit(line.start[0]) || !is_digit(line.start[1]) ||
        !is_digit(line.start[2]))
        return false;
    *code = (unsigned)(line.start[0] - '0') * 100 + (unsigned)(line.start[1] - '0') * 10 +
            (unsigned)(line.start[2] - '0');
    return *code >= 200 && *code <= 599;
}

/* Up to three digits; the number of bytes, 0 if there is none or there are more. */
static size_t read_number(struct slice text, unsigned *number)
{
    size_t length = 0;
    unsigned value = 0;
    while (length < text.length && is_digit(text.start[length])) {
        if (length == 3)
            return 0;
        value = value * 10 + (unsigned)(text.start[length++] - '0');
    }
    *number = value;
    return length;
}

/* Sets the enhanced code that opens `text`; the bytes it takes up with the space behind it. 0 and
 * nothing set where there is none: it must be followed by a space or the end (RFC 2034). */
static size_t read_enhanced(struct slice text, struct reply_enhanced *enhanced)
{
    struct reply_enhanced read;
    unsigned *parts[] = {&read.class, &read.subject, &read.detail};
    size_t used = 0;
    for (size_t i = 0; i < 3; i++) {
        if (i > 0 && (used >= text.length || text.start[used++] != '.'))
            return 0;
        size_t digits = read_number(slice_from(text, used), parts[i]);
        if (digits == 0 || (i == 0 && digits != 1))
            return 0;
        used += digits;
    }
    if (read.class != 2 && read.class != 4 && read.class != 5)
        return 0;
    if (used < text.length && text.start[used] != ' ')
        return 0;
    *enhanced = read;
    return used < text.length ? used + 1 : used;
}

static char shown(char byte)
{
    if (byte == '\t')
        return ' ';
    if ((unsigned char)byte < 0x20 || byte == 0x7f)
        return '?';
    return byte;
}

static void add_text(struct reply *reply, struct slice text)
{
    if (text.length == 0)
        return;
    size_t room = sizeof(reply->text) - 1;
    if (reply->length > 0 && reply->length < room)
        reply->text[reply->length++] = ' ';
    size_t take = text.length;
    if (take > room - reply->length) {
        take = room - reply->length;
        reply->cut = true;
    }
    for (size_t i = 0; i < take; i++)
        reply->text[reply->length++] = shown(text.start[i]);
    reply->text[reply->length] = '\0';
}

static enum reply_progress malformed(struct error *error, const char *reason, struct slice line)
{
    char excerpt[EXCERPT_SIZE + 1];
    size_t length = line.length < EXCERPT_SIZE ? line.length : EXCERPT_SIZE;
    for (size_t i = 0; i < length; i++) {
        excerpt[i] = shown(line.start[i]);
        if ((unsigned char)excerpt[i] > 0x7e)
            excerpt[i] = '?';
    }
    excerpt[length] = '\0';
    error_set(error, "SMTP reply \"%s%s\" %s", excerpt, line.length > EXCERPT_SIZE ? "..." : "",
              reason);
    return REPLY_MALFORMED;
}

/* --- in text --- */

bool reply_find(struct reply *reply, const char *text, size_t length, struct error *error)
{
    struct slice whole = trimmed((struct slice){length > 0 ? text : "", length});
    struct slice rest;
    enum reply_stage stage = REPLY_STAGE_UNKNOWN;
    reply_begin(reply);
    if (find_opening(whole, &rest) || find_marker(whole, &rest, &stage) ||
        find_codes(whole, &rest)) {
        rest = without_tail(rest, &stage);
        bool found = read_joined(reply, rest, error);
        reply->stage = stage;
        return found;
    }
    if (find_enhanced(whole, reply))
        return true;
    return malformed(error, "holds no reply code", whole) != REPLY_MALFORMED;
}

/* A code with what may stand behind it. */
static bool begins_line(struct slice text)
{
    unsigned code;
    return read_code(text, &code) &&
           (text.length == 3 || text.start[3] == ' ' || text.start[3] == '-');
}

/* Text that opens with a code is all reply, whatever words are in it. */
static bool find_opening(struct slice text, struct slice *rest)
{
    *rest = text;
    return begins_line(text);
}

/* The first place where `word` stands in `text`; its offset, or SIZE_MAX. */
static size_t offset_of(struct slice text, const char *word)
{
    const char *place = memmem(text.start, text.length, word, strlen(word));
    return place != NULL ? (size_t)(place - text.start) : SIZE_MAX;
}

/* Postfix's own words in front of a reply. The first in the text counts, whatever the server says
 * behind it. `rest` begins with a code if this returns true. */
static bool find_marker(struct slice text, struct slice *rest, enum reply_stage *stage)
{
    static const struct {
        const char *words;
        enum reply_stage stage;
    } markers[] = {
        {" refused to talk to me: ", REPLY_STAGE_CONNECT},
        {" refused to start TLS: ", REPLY_STAGE_STARTTLS},
        {" said: ", REPLY_STAGE_UNKNOWN},
    };
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++) {
        size_t offset = offset_of(text, markers[i].words);
        if (offset >= first)
            continue;
        first = offset;
        *rest = slice_from(text, offset + strlen(markers[i].words));
        *stage = markers[i].stage;
    }
    if (first == SIZE_MAX || !begins_line(*rest)) {
        *stage = REPLY_STAGE_UNKNOWN;
        return false;
    }
    size_t login = offset_of((struct slice){text.start, first}, "authentication failed; server ");
    if (login != SIZE_MAX)
        *stage = REPLY_STAGE_AUTH;
    return true;
}

/* True if a word begins at `offset`: no letter, digit, or dot in front of it. */
static bool begins_word(struct slice text, size_t offset)
{
    return offset == 0 || !(is_word(text.start[offset - 1]) || text.start[offset - 1] == '.');
}

/* A code with an enhanced code anywhere. */
static bool find_codes(struct slice text, struct slice *rest)
{
    struct reply_enhanced ignored;
    for (size_t i = 0; i < text.length; i++) {
        *rest = slice_from(text, i);
        if (begins_word(text, i) && begins_line(*rest) && rest->length > 4 &&
            read_enhanced(slice_from(*rest, 4), &ignored) > 0)
            return true;
    }
    return false;
}

/* An enhanced code alone; what follows it is the text. */
static bool find_enhanced(struct slice text, struct reply *reply)
{
    for (size_t i = 0; i < text.length; i++) {
        struct slice here = slice_from(text, i);
        size_t used = begins_word(text, i) ? read_enhanced(here, &reply->enhanced) : 0;
        if (used == 0)
            continue;
        reply->lines = 1;
        add_text(reply, slice_from(here, used));
        return true;
    }
    return false;
}

static bool begins_with(struct slice text, const char *words)
{
    size_t length = strlen(words);
    return text.length >= length && memcmp(text.start, words, length) == 0;
}

/* The stage that Postfix names behind "(in reply to "; `stage` stays if it is none of these. */
static void read_stage(struct slice words, enum reply_stage *stage)
{
    static const struct {
        const char *words;
        enum reply_stage stage;
    } names[] = {
        {"EHLO", REPLY_STAGE_CONNECT},
        {"HELO", REPLY_STAGE_CONNECT},
        {"LHLO", REPLY_STAGE_CONNECT},
        {"MAIL FROM command", REPLY_STAGE_MAIL},
        {"RCPT TO command", REPLY_STAGE_RCPT},
        {"DATA command", REPLY_STAGE_DATA},
        {"end of DATA command", REPLY_STAGE_END_OF_DATA},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (begins_with(words, names[i].words))
            *stage = names[i].stage;
    }
}

/* Without the parenthesis that closes Postfix's `status=deferred (...)`. */
static struct slice without_closing(struct slice text)
{
    size_t opened = 0;
    size_t closed = 0;
    for (size_t i = 0; i < text.length; i++) {
        opened += text.start[i] == '(';
        closed += text.start[i] == ')';
    }
    if (closed > opened && text.start[text.length - 1] == ')')
        text.length--;
    return text;
}

/* Cuts off what Postfix puts behind a reply, and learns the stage from it. The last such words
 * count: those in front of them are the server's. */
static struct slice without_tail(struct slice text, enum reply_stage *stage)
{
    static const char before[] = "(in reply to ";
    size_t end = SIZE_MAX;
    struct slice rest = text;
    for (size_t offset; (offset = offset_of(rest, before)) != SIZE_MAX;) {
        end = (size_t)(rest.start - text.start) + offset;
        rest = slice_from(rest, offset + strlen(before));
    }
    if (end != SIZE_MAX) {
        read_stage(rest, stage);
        text.length = end;
    } else {
        text = without_closing(text);
    }
    return trimmed(text);
}

/* Where the next line begins in lines that were joined with one byte each; the text's length if
 * there is none. Postfix keeps the code of each line. */
static size_t next_line(struct slice text, unsigned code)
{
    unsigned other;
    for (size_t i = 4; i < text.length; i++) {
        struct slice here = slice_from(text, i);
        if (begins_word(text, i) && begins_line(here) && read_code(here, &other) && other == code)
            return i;
    }
    return text.length;
}

/* Reads the lines of `text`, which begins with a code. What there is of them counts: a reason may
 * have been cut anywhere. */
static bool read_joined(struct reply *reply, struct slice text, struct error *error)
{
    enum reply_progress progress = REPLY_MORE;
    while (progress == REPLY_MORE && text.length > 0 && reply->lines < REPLY_LINES_MAX) {
        unsigned code;
        bool more = text.length > 3 && text.start[3] == '-' && read_code(text, &code);
        size_t next = more ? next_line(text, code) : text.length;
        struct slice line = {text.start, next};
        while (more && line.length > 4 && is_space(line.start[line.length - 1]))
            line.length--;
        progress = reply_add_line(reply, line.start, line.length, error);
        text = slice_from(text, next);
    }
    return progress != REPLY_MALFORMED;
}
