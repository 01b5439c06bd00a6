/* message.c - a message as it streams by */
#include "message.h"

#include "allocate.h"
#include "encoding.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONGEST_LINE 998
#define MOST_FIELDS  64 /* of one name in the journal */

struct message {
    EVP_MD_CTX *whole;
    EVP_MD_CTX *body;
    int64_t size;
    int64_t body_size;
    unsigned notes; /* bit 1 << enum message_note */

    bool in_body;
    bool after_cr;      /* the last byte was a CR */
    size_t line_length; /* bytes of the present line, without CRLF */

    char *header;
    size_t header_length, header_room;
    bool header_too_long;

    int save;
    char *save_path;
    char whole_hash[2 * EVP_MAX_MD_SIZE + 1];
    char body_hash[2 * EVP_MAX_MD_SIZE + 1];
};

static const char *const note_names[NOTE_COUNT] = {
    [NOTE_BARE_LF] = "bare-lf",
    [NOTE_BARE_CR] = "bare-cr",
    [NOTE_NUL] = "nul",
    [NOTE_LONG_LINE] = "long-line",
    [NOTE_EIGHT_BIT] = "8bit",
    [NOTE_EIGHT_BIT_HEADER] = "8bit-header",
    [NOTE_MALFORMED_HEADER] = "malformed-header",
    [NOTE_UNFINISHED_LINE] = "unfinished-line",
    [NOTE_UNDECLARED] = "undeclared-8bit",
    [NOTE_UNDECLARED_UTF8] = "undeclared-utf8",
    [NOTE_EARLY_DATA] = "early-data",
};

static const char *const journal_fields[] = {
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Subject",
    "Message-ID",
    "X-Post365-Original",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
};

const char *message_note_name(enum message_note note)
{
    return note_names[note];
}

/* new_hash - a SHA-256 in progress; the algorithm is fetched once, for that costs more than it */
static EVP_MD_CTX *new_hash(void)
{
    static EVP_MD *sha256;
    EVP_MD_CTX *hash = EVP_MD_CTX_new();

    if (sha256 == NULL)
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (hash == NULL || sha256 == NULL || EVP_DigestInit_ex(hash, sha256, NULL) != 1)
        abort();
    return hash;
}

struct message *message_create(const char *path, struct problem *problem)
{
    struct message *message;
    int save = -1;

    if (path != NULL) {
        save = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (save < 0) {
            problem_set(problem, "cannot save a message as %s: %s", path, strerror(errno));
            return NULL;
        }
    }
    message = allocate(sizeof *message);
    message->whole = new_hash();
    message->body = new_hash();
    message->save = save;
    message->save_path = duplicate(path);
    return message;
}

void message_free(struct message *message)
{
    if (message == NULL)
        return;
    EVP_MD_CTX_free(message->whole);
    EVP_MD_CTX_free(message->body);
    if (message->save >= 0)
        close(message->save);
    free(message->save_path);
    free(message->header);
    free(message);
}

void message_note(struct message *message, enum message_note note)
{
    message->notes |= 1U << note;
}

bool message_has_note(const struct message *message, enum message_note note)
{
    return (message->notes & 1U << note) != 0;
}

/* inspect - look at one byte of header or body; only CRLF ends a line */
static void inspect(struct message *message, char byte, enum message_note eight_bit)
{
    if (byte == '\n' && message->after_cr) {
        message->line_length--; /* the CR was not part of the line */
        if (message->line_length > LONGEST_LINE)
            message_note(message, NOTE_LONG_LINE);
        message->line_length = 0;
    } else {
        if (message->after_cr)
            message_note(message, NOTE_BARE_CR);
        if (byte == '\n')
            message_note(message, NOTE_BARE_LF);
        else if (byte == '\0')
            message_note(message, NOTE_NUL);
        else if ((unsigned char)byte >= 0x80)
            message_note(message, eight_bit);
        message->line_length++;
    }
    message->after_cr = byte == '\r';
}

static void keep_header(struct message *message, const char *bytes, size_t length)
{
    if (message->header_too_long || message->header_length + length > MESSAGE_HEADER_LIMIT) {
        message->header_too_long = true;
        return;
    }
    if (message->header_length + length > message->header_room) {
        message->header_room = 2 * (message->header_length + length);
        message->header = allocate_again(message->header, message->header_room, 1);
    }
    memcpy(message->header + message->header_length, bytes, length);
    message->header_length += length;
}

/* add_header - bytes up to and including the empty line; how many they were */
static size_t add_header(struct message *message, const char *bytes, size_t length)
{
    size_t used = 0;

    while (used < length && !message->in_body) {
        char byte = bytes[used++];
        message->in_body = byte == '\n' && message->after_cr && message->line_length == 1;
        inspect(message, byte, NOTE_EIGHT_BIT_HEADER);
    }
    keep_header(message, bytes, used);
    return used;
}

static void add_body(struct message *message, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        inspect(message, bytes[i], NOTE_EIGHT_BIT);
    EVP_DigestUpdate(message->body, bytes, length);
    message->body_size += (int64_t)length;
}

static void save(struct message *message, const char *bytes, size_t length)
{
    while (message->save >= 0 && length > 0) {
        ssize_t written = write(message->save, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) { /* no file is better than half a one */
            close(message->save);
            message->save = -1;
            unlink(message->save_path);
            return;
        }
        bytes += written;
        length -= (size_t)written;
    }
}

void message_add(struct message *message, const char *bytes, size_t length)
{
    size_t header = 0;

    if (length == 0)
        return;
    message->size += (int64_t)length;
    EVP_DigestUpdate(message->whole, bytes, length);
    save(message, bytes, length);
    if (!message->in_body)
        header = add_header(message, bytes, length);
    if (header < length)
        add_body(message, bytes + header, length - header);
}

/* line_end - behind the CRLF that ends the line at this place, or the end of the header */
static const char *line_end(const char *at, const char *end)
{
    const char *newline = memmem(at, (size_t)(end - at), "\r\n", 2);

    return newline != NULL ? newline + 2 : end;
}

/* field_end - the same for a field with its continuation lines */
static const char *field_end(const char *at, const char *end)
{
    do
        at = line_end(at, end);
    while (at < end && (*at == ' ' || *at == '\t'));
    return at;
}

/* is_field - a name of printable characters, and a colon (with blanks before it, if they must be)
 */
static bool is_field(const char *at, const char *end)
{
    const char *name = at;

    while (at<end && * at> ' ' && *at < 0x7f && *at != ':')
        at++;
    if (at == name)
        return false;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at < end && *at == ':';
}

static void check_fields(struct message *message)
{
    const char *end = message->header + message->header_length;

    for (const char *at = message->header; at < end; at = field_end(at, end)) {
        if (end - at == 2 && memcmp(at, "\r\n", 2) == 0)
            return; /* the empty line */
        if (!is_field(at, end))
            message_note(message, NOTE_MALFORMED_HEADER);
    }
}

static void finish_hash(EVP_MD_CTX *hash, char *text)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;

    if (EVP_DigestFinal_ex(hash, digest, &length) != 1)
        abort();
    encoding_hex(digest, length, text);
}

void message_finish(struct message *message)
{
    if (message->after_cr)
        message_note(message, NOTE_BARE_CR);
    if (message->line_length > LONGEST_LINE)
        message_note(message, NOTE_LONG_LINE);
    if (message->line_length > 0)
        message_note(message, NOTE_UNFINISHED_LINE);
    if (message->header != NULL)
        check_fields(message);
    finish_hash(message->whole, message->whole_hash);
    finish_hash(message->body, message->body_hash);
    if (message->save >= 0)
        close(message->save);
    message->save = -1;
}

int64_t message_size(const struct message *message)
{
    return message->size;
}

bool message_header_too_long(const struct message *message)
{
    return message->header_too_long;
}

/* field_value - behind the colon if this field has this name, else NULL */
static const char *field_value(const char *at, const char *end, const char *name)
{
    size_t length = strlen(name);

    if ((size_t)(end - at) <= length || strncasecmp(at, name, length) != 0)
        return NULL;
    at += length;
    while (at < end && (*at == ' ' || *at == '\t')) /* obsolete, and still the same field */
        at++;
    return at < end && *at == ':' ? at + 1 : NULL;
}

bool message_field(const struct message *message, const char *name, size_t number,
                   struct message_field *field)
{
    const char *at = message->header;
    const char *end = message->header != NULL ? at + message->header_length : NULL;

    while (at < end) {
        const char *next = field_end(at, end);
        const char *value = field_value(at, next, name);
        if (value != NULL && number-- == 0) {
            bool terminated = next - value >= 2 && memcmp(next - 2, "\r\n", 2) == 0;
            field->value = value;
            field->length = (size_t)(next - value) - (terminated ? 2 : 0);
            return true;
        }
        at = next;
    }
    return false;
}

static json_t *describe_fields(const struct message *message)
{
    json_t *headers = json_object();
    struct message_field field;

    for (size_t i = 0; i < sizeof journal_fields / sizeof journal_fields[0]; i++) {
        json_t *values = json_array();
        for (size_t n = 0; n < MOST_FIELDS; n++) {
            if (!message_field(message, journal_fields[i], n, &field))
                break;
            encoding_append(values, encoding_json(field.value, field.length));
        }
        encoding_set(headers, journal_fields[i], values);
    }
    return headers;
}

void message_describe(const struct message *message, json_t *entry)
{
    json_t *notes = json_array();

    for (int i = 0; i < NOTE_COUNT; i++) {
        if (message_has_note(message, (enum message_note)i))
            encoding_append(notes, json_string(note_names[i]));
    }
    encoding_set(entry, "size", json_integer(message->size));
    encoding_set(entry, "body_size", json_integer(message->body_size));
    encoding_set(entry, "sha256", json_string(message->whole_hash));
    encoding_set(entry, "body_sha256", json_string(message->body_hash));
    encoding_set(entry, "notes", notes);
    encoding_set(entry, "headers", describe_fields(message));
    if (message->save_path != NULL)
        encoding_set(entry, "file", json_string(message->save_path));
}
