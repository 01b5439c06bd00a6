/* rewrite.h - headers in, edits out: the From: that Microsoft 365 accepts
 *
 * Pure: no libmilter, no input or output, no globals. Everything that a message's author may
 * have written is accepted; nothing in it can make a header of its own.
 */
#ifndef POST365_COMMON_SENDER_REWRITE_H
#define POST365_COMMON_SENDER_REWRITE_H

#include <stdbool.h>
#include <stddef.h>

/* Octets of display name that are kept; a longer one gives way to the address. */
#define REWRITE_NAME_MAX 2048

/* Where the text of a From: that was rewritten is kept. There is no "From:" in it, nor the name of
 * any other header that recipes for header_checks(5) replace: many of these are not anchored, and
 * would make a second From: of this header. */
#define REWRITE_ORIGINAL "X-Post365-Original"

/* Octets of the original From: that it holds; " ..." marks what was cut off. */
#define REWRITE_ORIGINAL_MAX 8000

/* Octets after which no further mailbox is put into Reply-To:. */
#define REWRITE_REPLY_TO_MAX 8000

/* Sender: headers that are looked at; those after them are removed without a question. */
#define REWRITE_SENDERS_MAX 16

/* A header of the message. value is what libmilter's header callback gives: without the name, the
 * colon and the white space after it, unfolded or folded with LF; it need not end with a NUL and
 * may contain any byte. */
struct rewrite_header {
    const char *name;
    const char *value;
    size_t value_length;
};

/* May the account send as an address (Send As, or an alias with SendFromAliasEnabled)? */
enum rewrite_coverage {
    REWRITE_NOT_COVERED,
    REWRITE_COVERED,
    REWRITE_COVERAGE_UNKNOWN /* the lookup failed: the message must wait */
};

/* What the rewriting depends on. Nothing in it is changed or kept.
 *
 * covered is asked with the address alone: no display name, no comments, no white space around
 * the dots, quotes only where the local part needs them, case as written, a NUL at
 * address[length]. It is not asked about the UPN, which is compared without regard to ASCII case.
 */
struct rewrite_rules {
    const char *upn;             /* the account's UPN, as it shall appear in From: */
    const char *envelope_sender; /* as submitted, with or without <>; "" for the null sender */
    bool rewrite_from;           /* post365_rewrite_from; false: no header is touched */
    bool add_reply_to;           /* post365_reply_to = add */
    bool replaces_null_sender;   /* the account takes the null sender's place on the wire */
    enum rewrite_coverage (*covered)(void *context, const char *address, size_t length);
    void *context;
};

enum rewrite_action { REWRITE_CHANGE, REWRITE_DELETE, REWRITE_ADD };

/* One edit, as smfi_chgheader and smfi_addheader take it. index counts the headers of that name
 * from 1 and is 0 for REWRITE_ADD; value is NULL for REWRITE_DELETE. value has no leading
 * space, folds with LF and has no other control characters than these LF and tabs. */
struct rewrite_edit {
    enum rewrite_action action;
    const char *name; /* static */
    int index;
    char *value;
};

/* The edits, in the order in which they must be applied: the change of the first header, deletions
 * by descending index, additions. An empty list means that the message stays as it is. */
struct rewrite_edits {
    struct rewrite_edit *items;
    size_t count;
};

enum rewrite_status {
    REWRITE_OK,
    REWRITE_LOOKUP_FAILED, /* covered answered REWRITE_COVERAGE_UNKNOWN: defer the message */
    REWRITE_INVALID_UPN    /* rules->upn is not an address that could stand in a header */
};

/* rewrite_reads - does rewrite_headers want to see the headers of this name? */
bool rewrite_reads(const char *name);

/* rewrite_headers - say which edits make the message one that the account may send
 *
 * headers are those of the message in its order. Those that rewrite_reads does not name are
 * ignored, of the others there must be all. Afterwards there is exactly one From: with exactly one
 * mailbox, the UPN or an address that the account covers, and at most one Sender:, the same. The
 * rest is as little change as that allows:
 *
 * - where From: is right already, neither it nor Reply-To: is touched, byte for byte.
 * - the display name keeps its bytes. Where there is none, the old style's comment, else the
 *   address, becomes a quoted one. It is given up only where it is longer than REWRITE_NAME_MAX or
 *   has no white space to fold at within FOLD_LINE_MAX.
 * - the first mailbox counts; all that From: named go to Reply-To:, at most MAILBOX_LIST_MAX of
 *   them and each address once, unless a Reply-To: says already where replies go.
 * - a Reply-To: without an address (blank, "<>", an empty group, words) says nothing: replies would
 *   have gone to From:. It is replaced, or deleted where another one has an address. Several that
 *   have become one. A single one stays as it is, also where its address can only be guessed at.
 * - a From: that does not parse is searched for its only address; without one the text that looks
 *   like a name is kept as the name, else the envelope sender is, and replies go to the latter.
 * - the raw text goes to a REWRITE_ORIGINAL of its own, unless it is blank. One that is there
 * already is another text's: a message that was rewritten before has a From: that is right, or one
 * that was right for another account.
 *
 * Where the account takes the null sender's place, nobody may answer as nobody could before: the
 * message gets what it lacks of Auto-Submitted: (RFC 3834, 5; auto-generated, since what it answers
 * to, if anything, is not known here) and X-Auto-Response-Suppress: (Microsoft's), whatever
 * rewrite_from is.
 *
 * Applying the edits and asking again gives no edits. Time and memory are linear in the headers.
 *
 * On REWRITE_OK *edits is the caller's, to be released with rewrite_edits_free; otherwise it is
 * empty. Thread-safe as far as covered is. RFC 5322, 3.4, 3.6.2 and 4.4; RFC 2047, 5; RFC 6532. */
enum rewrite_status rewrite_headers(const struct rewrite_header *headers, size_t count,
                                    const struct rewrite_rules *rules, struct rewrite_edits *edits);

/* rewrite_edits_free - release the edits' memory and leave an empty list */
void rewrite_edits_free(struct rewrite_edits *edits);

#endif
