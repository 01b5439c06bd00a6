/* salvage.h - what can be made of a From: that does not parse */
#ifndef POST365_COMMON_SENDER_SALVAGE_H
#define POST365_COMMON_SENDER_SALVAGE_H

#include "common/sender/mailbox.h"

#include <stdbool.h>
#include <stddef.h>

/* salvage_mailbox - find the only address of a value that mailbox_list_parse refuses, and append it
 *
 * That is the only address between "<" and ">", where each other pair of angles is without "@"; or,
 * with no "@" in angles, the only bare one in a value with a single "@". Quoted strings, comments
 * and encoded-words are left out of the search, but for quotes around the whole value. The text in
 * front of the address is the name.
 *
 * Half an address is none, since it may be somebody else's: nothing but it stands between its
 * angles, of which none is missing, and beside a bare one there are only separators, or in front of
 * it, on the same line, what can only be a name. Returns false and leaves the list as it was if
 * there is no such address, or more than one. Linear time; the list points into value. */
bool salvage_mailbox(struct mailbox_list *list, const char *value, size_t length);

/* salvage_hints_at_address - is there something that looks like an address, whole or not, outside
 * of quoted strings and comments? */
bool salvage_hints_at_address(const char *value, size_t length);

/* salvage_name - what a value without a usable address says about a name
 *
 * The text in front of "<", or the whole if it holds neither "<" nor "@"; empty if there are no
 * letters or digits in it. *is_text tells, as struct mailbox does, that it is no phrase and must be
 * quoted. */
struct mailbox_text salvage_name(const char *value, size_t length, bool *is_text);

#endif
