/* address_standard.h - an address in the form that Postfix gives all addresses
 *
 * A client may spell an envelope sender in many ways. trivial-rewrite(8) makes one form of them,
 * which is what the queue, the log and the tables that Postfix looks senders up in have. A milter
 * and a policy service see the spelling: the macro {mail_addr} would tell the milter how the sender
 * was resolved as if it were a recipient (user%host@here becomes user@host, domains lose their
 * capitals), which is again another form.
 */
#ifndef POST365_COMMON_ADDRESS_STANDARD_H
#define POST365_COMMON_ADDRESS_STANDARD_H

#include <stdbool.h>

/* The parameters of Postfix that decide (trivial-rewrite(8)); all zero: nothing is completed. */
struct address_rules {
    const char *origin; /* myorigin if append_at_myorigin; NULL or "": no domain is appended */
    const char *domain; /* mydomain if append_dot_mydomain; NULL or "": nothing is appended */
    bool swap_bangpath;
    bool allow_percent_hack;
};

/* address_standard - the address that Postfix takes a text for
 *
 * text is as in SMTP, with angle brackets or without: quotes around a local part that needs them,
 * white space and comments between words, a source route (ignored: RFC 5321, appendix C). The
 * result is without all that, complete, without the root's dot at the end, with quotes where the
 * local part needs them, upper and lower case as written; "" for the null sender. Doing it twice is
 * doing it once. The caller's to free(). Thread-safe. */
char *address_standard(const char *text, const struct address_rules *rules);

/* address_quoted - an address that has lost its quotes, as the policy protocol gives it, as in SMTP
 *
 * The local part is all in front of the last "@", or the whole. The caller's to free().
 * Thread-safe.
 */
char *address_quoted(const char *plain);

#endif
