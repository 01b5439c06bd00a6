/*
 * message.h - a message as it streams by
 *
 * Nothing of the body is kept. What is known at the end: size, hashes, header fields (of a header
 * of at most 256 kB), and notes about bytes that a careful sender would not have sent.
 */
#ifndef OFFICE365_MESSAGE_H
#define OFFICE365_MESSAGE_H

#include "problem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_HEADER_LIMIT ((size_t)256 * 1024)

enum message_note {
    NOTE_BARE_LF,          /* "bare-lf": LF without CR before it */
    NOTE_BARE_CR,          /* "bare-cr": CR without LF behind it */
    NOTE_NUL,              /* "nul" */
    NOTE_LONG_LINE,        /* "long-line": more than 998 bytes without the CRLF */
    NOTE_EIGHT_BIT,        /* "8bit": bytes above 127 in the body */
    NOTE_EIGHT_BIT_HEADER, /* "8bit-header": the same in the header */
    NOTE_MALFORMED_HEADER, /* "malformed-header": a header line that is no field */
    NOTE_UNFINISHED_LINE,  /* "unfinished-line": the last line has no CRLF (BDAT only) */
    NOTE_UNDECLARED,       /* "undeclared-8bit": 8bit, without BODY=8BITMIME or BINARYMIME */
    NOTE_UNDECLARED_UTF8,  /* "undeclared-utf8": 8bit-header, without SMTPUTF8 */
    NOTE_EARLY_DATA,       /* "early-data": bytes of the message came before the 354 */
    NOTE_COUNT
};

/* message_note_name - as the journal writes it */
const char *message_note_name(enum message_note note);

struct message;

/* message_create - an empty message; if path is not NULL its bytes are also written there */
struct message *message_create(const char *path, struct problem *problem);
void message_free(struct message *message);

/* message_add - the next bytes, already without dot-stuffing */
void message_add(struct message *message, const char *bytes, size_t length);

/* message_note - add a note that the message cannot see for itself */
void message_note(struct message *message, enum message_note note);

/* message_finish - no more bytes; to be called once, before all that follows */
void message_finish(struct message *message);

/* message_size - bytes so far, with CRLFs, without dot-stuffing */
int64_t message_size(const struct message *message);

/* message_header_too_long - did the header go beyond MESSAGE_HEADER_LIMIT? */
bool message_header_too_long(const struct message *message);

bool message_has_note(const struct message *message, enum message_note note);

/* a field as it came: the bytes between the colon and the last CRLF, folds and blanks included */
struct message_field {
    const char *value;
    size_t length;
};

/*
 * message_field - the field of this name (any case) with this number (from 0); false if there are
 * not so many. The bytes live as long as the message.
 */
bool message_field(const struct message *message, const char *name, size_t number,
                   struct message_field *field);

/* message_describe - put size, hashes, notes and the header fields worth knowing into an entry */
void message_describe(const struct message *message, json_t *entry);

#endif
