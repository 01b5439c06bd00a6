/*
 * address.h - addresses in envelopes and in header fields
 *
 * A parser of its own, written from RFC 5321 and RFC 5322, because it judges the one of the program
 * under test. Addresses come out in one form: a local part that needs no quotes has none, comments
 * and blanks are gone. Case is kept.
 */
#ifndef OFFICE365_ADDRESS_H
#define OFFICE365_ADDRESS_H

#include "list.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * address_list_parse - the addresses of a From: or Sender: field, given as the raw bytes after the
 * colon (RFC 5322 section 3.4 with the obsolete forms of section 4.4; groups count by their
 * members; encoded-words are left alone; bytes above 127 are letters). They are appended to list.
 * False if the field is not a list of addresses: NUL, a bare CR or LF, and anything the grammar
 * does not allow. An empty list is true: it is for the caller to mind.
 */
bool address_list_parse(const char *value, size_t length, struct list *list);

/*
 * address_path_parse - a path of MAIL or RCPT (RFC 5321 section 4.1.2) from its "<" on. On success
 * *address is a new string ("" for "<>"), and *end points behind the ">". A source route is
 * skipped.
 */
bool address_path_parse(const char *text, char **address, const char **end);

#endif
