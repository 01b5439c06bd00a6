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

/* A copy folded to lower case, as Postfix folds keys: ASCII always, other letters if the text is
 * valid UTF-8. Independent of the process's locale. Caller frees. Thread-safe. */
char *address_fold(const char *address);

/* Where the domain begins (behind the last '@' that is not inside a quoted local part), or NULL if
 * there is none. */
const char *address_domain(const char *address);

/* A copy without the extension that starts at the first of `delimiters` in the local part, or NULL
 * if there is none. As in Postfix (recipient_delimiter in postconf(5)), the delimiter is no
 * delimiter at the first position; double-bounce and mailer-daemon have no extension, nor, where
 * `-` delimits, have owner-list and list-request. A quoted local part stays quoted. Caller frees.
 */
char *address_without_extension(const char *address, const char *delimiters);

/* A copy whose local part has neither quotes nor backslashes, the form that Postfix uses inside and
 * looks up second; NULL if the local part is not quoted. Caller frees. */
char *address_unquoted(const char *address);

/* Whether it could be a mailbox's address (RFC 5321 section 4.1.2, RFC 6531 section 3.3): a local
 * part, quoted or made of words with single dots between, and a domain of letters, digits, hyphens
 * and underscores, or an address literal; no control characters; valid UTF-8; within ADDRESS_MAX.
 */
bool address_is_valid(const char *address);

/* Whether it could be a UPN, the address of a mailbox in Microsoft 365 that can stand in From: as
 * it is: a valid address without quotes and with a domain's name. */
bool address_is_upn(const char *address);

/* Same address for the field's purposes: equal after folding. */
bool address_equal(const char *one, const char *other);

#endif
