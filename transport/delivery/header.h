/* header.h - a message's header, held back until it can be judged
 *
 * Takes the octets of a message as they come until its header is whole, asks rewrite_headers() what
 * has to change in it, and gives everything that was taken out again, with these changes and no
 * other: where nothing has to change not one octet does. Whatever is no header passes as it is:
 *
 * - The header ends with an empty line, or before a line that is no field and none's continuation,
 *   since there every reader takes the body to begin. A first line of mbox format (`From x Sat
 * ...`) is passed over.
 * - Where a message without any field gets one, an empty line is put behind it.
 * - At most HEADER_MAX octets are held. Of a longer header all passes in pieces but the fields that
 *   are judged: these are held until it ends and stand in its last piece, in their order, unless
 * those that came first are right as they are and go with the rest. A signature does not see that.
 * - Where that does not help, since these fields, or one that has not ended, fill half of what may
 *   be held, those are judged that have come whole by then.
 *
 * The octets are those of SMTP's DATA: lines end with CRLF, and a dot that begins one is doubled.
 * Values that change begin with no dot, and their LF folds become CRLF.
 *
 * Pure but for the evbuffer. Linear in the header's length. RFC 5322, 2.2 and 4.5.8; RFC 5321,
 * 4.5.2.
 */
#ifndef POST365_TRANSPORT_DELIVERY_HEADER_H
#define POST365_TRANSPORT_DELIVERY_HEADER_H

#include "common/sender/rewrite.h"

#include <event2/buffer.h>
#include <stdbool.h>
#include <stddef.h>

/* Octets; Postfix holds a single field to 102,400 (header_size_limit). */
#define HEADER_MAX ((size_t)128 * 1024)

struct header;

/* Release with header_free(); NULL is allowed. */
struct header *header_new(void);
void header_free(struct header *header);

/* Takes the octets that come next; the header is neither whole nor full. Returns how many: fewer
 * than `length` only if it is full with them. What is taken may reach beyond the header's end. */
size_t header_take(struct header *header, const char *octets, size_t length);

/* Whether nothing more is to be taken. */
bool header_is_whole(const struct header *header);

/* Whether it holds as much as it may and has not ended: header_pass() is next. */
bool header_is_full(const struct header *header);

/* Appends to `out` what need not be held. `is_right`: header_judge() wants no edit so far. The
 * header is full before, and either has room or is whole afterwards. */
void header_pass(struct header *header, bool is_right, struct evbuffer *out);

/* The message has ended: what was taken is all there is. */
void header_end(struct header *header);

/* rewrite_headers() for what was taken. The header is whole or full. */
enum rewrite_status header_judge(const struct header *header, const struct rewrite_rules *rules,
                                 struct rewrite_edits *edits);

/* Appends all that is held to `out`, with these edits made, and leaves nothing in the header. */
void header_write(struct header *header, const struct rewrite_edits *edits, struct evbuffer *out);

#endif
