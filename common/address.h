/* address.h - mail addresses as Postfix's tables and Microsoft's mailboxes see them
 *
 * An envelope address is local-part@domain without angle brackets (RFC 5321 section 4.1.2; UTF-8 is
 * welcome, RFC 6531).
 */
#ifndef POST365_COMMON_ADDRESS_H
#define POST365_COMMON_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

/* Limits of RFC 5321 section 4.5.3.1 with room for UTF-8; longer ones are refused by Postfix before
 * we see them. */
#define ADDRESS_MAX 1024

/* A copy without surrounding white space and one pair of angle brackets; "<>" gives "". Caller
 * frees. */
char *address_strip(const char *text);

/* A copy folded to lower case, as Postfix folds keys: ASCII, and UTF-8 letters where the bytes are
 * valid UTF-8. Independent of the process's locale. Caller frees. Thread-safe. */
char *address_fold(const char *address);

/* Where the domain begins (behind the last '@' that is not inside a quoted local part), or NULL if
 * there is none. */
const char *address_domain(const char *address);

/* A copy without the extension that starts at the first of `delimiters` in the local part, or NULL
 * if there is none. As in Postfix, the delimiter is no delimiter at the first position, and
 * owner-/-request, double-bounce and mailer-daemon have no extension. Caller frees. */
char *address_without_extension(const char *address, const char *delimiters);

/* Whether it could be a mailbox's address: one local part, one domain with at least one label,
 * no control characters or blanks outside quotes, within ADDRESS_MAX. */
bool address_is_valid(const char *address);

/* Same address for the field's purposes: equal after folding. */
bool address_equal(const char *one, const char *other);

#endif
