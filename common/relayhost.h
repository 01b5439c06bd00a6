/* relayhost.h - where smtp(8) looks for the credentials for $relayhost
 *
 * Sources: smtp_sasl_password_maps and relayhost in postconf(5), smtp_sasl_glue.c.
 */
#ifndef POST365_COMMON_RELAYHOST_H
#define POST365_COMMON_RELAYHOST_H

#include "common/error.h"

#include <stdbool.h>

/* The keys of password tables in the order in which they are tried, NULL behind the last: for each
 * destination of the list its host's name, then the destination as written ("[host]:port"). Release
 * with relayhost_keys_free(). */
char **relayhost_keys(const char *relayhost);
/* `keys` may be NULL. */
void relayhost_keys_free(char **keys);

/* Whether no destination of the list is a tenant's mail exchanger; else false, with what that means
 * and what to write. */
bool relayhost_takes_logins(const char *relayhost, struct error *error);

#endif
