/* mailbox.h - read the mailboxes of a From:, Sender: or Reply-To: header */
#ifndef POST365_MILTER_MAILBOX_H
#define POST365_MILTER_MAILBOX_H

#include "common/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* Octets of an address: local part 64, "@", domain 255 (RFC 5321, 4.5.3.1). A longer local part is
 * fine as long as the whole fits; an address that is longer does not parse. */
#define MAILBOX_ADDRESS_MAX 320

/* Comments within comments; a value with deeper ones does not parse. */
#define MAILBOX_NESTING_MAX 16

/* Mailboxes that are remembered. Those after them are checked and counted, no more. */
#define MAILBOX_LIST_MAX 100

/* A part of the text that was parsed; lives as long as that text. */
struct mailbox_text {
    const char *bytes;
    size_t length;
};

struct mailbox {
    /* From the first word to the last comment, as written. */
    struct mailbox_text text;
    /* The display name: all in front of "<", comments included, without the white space around.
     * Empty if it has no words, or only blank ones such as "". */
    struct mailbox_text name;
    /* Not a phrase but any text, found by mailbox_list_salvage: it must be quoted. */
    bool name_is_text;
    /* Inside of the last comment that is not blank, raw; empty if there is none. */
    struct mailbox_text comment;
    /* The address alone: no comments, no white space around dots, no route, quotes only around a
     * local part that needs them, case as written, valid UTF-8, no control characters. */
    char address[MAILBOX_ADDRESS_MAX + 1];
    /* Written in the way that RFC 5322, section 3 wants: the address is spelled as in .address
     * (no obsolete forms), no encoded-word holds characters that split a list. */
    bool strict;
};

struct mailbox_list {
    struct mailbox items[MAILBOX_LIST_MAX];
    size_t count; /* of items */
    size_t total; /* of mailboxes, those that are not remembered included */
    /* The values were strict: mailboxes that are, one comma between two of them, no groups. */
    bool strict;
};

/* mailbox_list_init - an empty list */
void mailbox_list_init(struct mailbox_list *list);

/* mailbox_list_parse - append the mailboxes of a header's value to the list
 *
 * Reads RFC 5322's mailbox-list and address-list (3.4) with the obsolete syntax (4.4): comments
 * anywhere, routes, dots in phrases, empty elements, white space around dots. Beyond that: raw
 * UTF-8 in addresses (RFC 6532) and any bytes in names, ";" as a separator, dots anywhere in local
 * parts, control characters in quoted strings and comments, encoded-words (RFC 2047) with any
 * printable characters. Folds are LF or CR LF and white space; other control characters outside of
 * quotes and comments do not parse.
 *
 * Returns false and leaves the list as it was if the value does not parse or is blank. True with
 * no mailbox added means an empty group. The list points into value. One pass, no recursion. */
bool mailbox_list_parse(struct mailbox_list *list, const char *value, size_t length);

/* mailbox_list_salvage - find the only address of a value that does not parse, and append it
 *
 * That is the only address between "<" and ">" (which may be missing at the end), or else the only
 * bare one in a value with a single "@"; quoted strings and comments are left out of the search.
 * The text in front of it is the name. Returns false and leaves the list as it was if there is no
 * such address, or more than one. One pass over the value for each of the two. */
bool mailbox_list_salvage(struct mailbox_list *list, const char *value, size_t length);

/* mailbox_name_hint - what a value without a usable address says about a name
 *
 * The text in front of "<", or the whole if it holds neither "<" nor "@"; empty if there are no
 * letters or digits in it. *is_text tells, as in struct mailbox, that it is no phrase and must be
 * quoted. */
struct mailbox_text mailbox_name_hint(const char *value, size_t length, bool *is_text);

/* mailbox_address_parse - read one address, alone, without "<>"
 *
 * The result is as struct mailbox has it in .address. False if it does not parse. */
bool mailbox_address_parse(const char *bytes, size_t length, char address[MAILBOX_ADDRESS_MAX + 1]);

/* mailbox_encoded_word - octets of the encoded-word (RFC 2047, 2) that bytes begin with, or 0
 *
 * Longer ones than 75 octets count, too, and any printable characters but "?" in the encoded text.
 */
size_t mailbox_encoded_word(const char *bytes, size_t length);

/* mailbox_append_encoded_word - append an encoded-word so that it may stand in a phrase
 *
 * Characters that would split a list or end a phrase ("," or "@", say) become =XX in Q encoded
 * text, so that the word decodes to the same text; all else is copied. */
void mailbox_append_encoded_word(struct buffer *out, const char *word, size_t length);

/* mailbox_append_phrase - append a phrase with the encoded-words in it made legal */
void mailbox_append_phrase(struct buffer *out, struct mailbox_text phrase);

/* mailbox_trim - without the white space (space, tab, CR, LF) at both ends */
struct mailbox_text mailbox_trim(const char *bytes, size_t length);

#endif
