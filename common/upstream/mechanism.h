/* mechanism.h - is what stands in a password table a password, and may it be sent as one?
 *
 * smtp(8) hands the right-hand side to whichever mechanism its settings leave: with sasl-xoauth2 it
 * is the path of a token file. A password that is none must not reach a server.
 *
 * Pure, but for a look at which directories there are.
 *
 * Sources: smtp_sasl_mechanism_filter in postconf(5), the manual of sasl-xoauth2, RFC 7519 (JWT),
 * Microsoft's page on password policies (256 characters at most).
 */
#ifndef POST365_COMMON_UPSTREAM_MECHANISM_H
#define POST365_COMMON_UPSTREAM_MECHANISM_H

#include "common/secret.h"

#include <stdbool.h>

/* Whether smtp_sasl_mechanism_filter leaves a mechanism that sends a password, LOGIN or PLAIN. What
 * cannot be told from here, a file of patterns or a table, is taken to leave it. */
bool mechanism_filter_allows_password(const char *filter);

/* What it looks like, "the path of a file" say, or NULL if it may be a password.
 * `queue_directory` is where a chrooted smtp(8) would look for the file. */
const char *mechanism_not_password(const struct secret *secret, const char *queue_directory);

#endif
