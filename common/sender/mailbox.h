/* mailbox.h - read the mailboxes of a From:, Sender: or Reply-To: header */
#ifndef POST365_COMMON_SENDER_MAILBOX_H
#define POST365_COMMON_SENDER_MAILBOX_H

#include "common/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* Octets of an address: local part 64, "@", domain 255 (RFC 5321, 4.5.3.1). A longer local part is
 * fine as long as the whole fits; an address that is longer does not parse. */
#define MAILBOX_ADDRESS_MAX 320

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
    /* Not a phrase but any text, found by salvage_mailbox: it must be quoted. */
    bool name_is_text;
    /* Inside of the last comment that is not blank, raw; empty if there is none. */
    struct mailbox_text comment;
    /* The address alone: no comments, no white space around dots, no route, quotes only around a
     * local part that needs them, case as written, valid UTF-8, no control characters. */
    char address[MAILBOX_ADDRESS_MAX + 1];
    /* Written in the way that RFC 5322, section 3 wants: the address is spelled as in .address
     * (no obsolete forms), no encoded-word holds characters that split a list, no dot before "<".
     */
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
 * anywhere, nested up to TOKEN_NESTING_MAX, routes, dots in phrases, empty elements, white space
 * around dots. Beyond that: raw UTF-8 in addresses (RFC 6532) and any bytes in names, ";" as a
 * separator, dots anywhere in local parts, a dot at the end of a domain, a URI's scheme in front of
 * an address and apostrophes around it, control characters in quoted strings and comments,
 * encoded-words (RFC 2047) with any printable characters. Folds are LF or CR LF and white space;
 * other control characters outside of quotes and comments do not parse.
 *
 * Returns false and leaves the list as it was if the value does not parse or is blank. True with
 * no mailbox added means an empty group. The list points into value. One pass, no recursion. */
bool mailbox_list_parse(struct mailbox_list *list, const char *value, size_t length);

/* mailbox_address_parse - read one address, alone, without "<>"
 *
 * The result is as struct mailbox has it in .address. False if it does not parse. */
bool mailbox_address_parse(const char *bytes, size_t length, char address[MAILBOX_ADDRESS_MAX + 1]);

/* mailbox_is_scheme - is it a URI's scheme that stands in front of addresses? "mailto" does in what
 * was copied from a link, "SMTP" in what was copied from Exchange's lists of addresses. */
bool mailbox_is_scheme(const char *bytes, size_t length);

/* mailbox_append_phrase - append a phrase with the encoded-words in it made legal */
void mailbox_append_phrase(struct buffer *out, struct mailbox_text phrase);

/* mailbox_is_phrase - can a text be a display name as it is, and is there anything to see in it? */
bool mailbox_is_phrase(struct mailbox_text text);

/* mailbox_trim - without the white space (space, tab, CR, LF) at both ends */
struct mailbox_text mailbox_trim(const char *bytes, size_t length);

#endif
