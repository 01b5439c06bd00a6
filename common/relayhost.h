/* relayhost.h - where smtp(8) looks for the credentials for $relayhost
 *
 * Sources: smtp_sasl_password_maps and relayhost in postconf(5), smtp_sasl_glue.c.
 */
#ifndef POST365_COMMON_RELAYHOST_H
#define POST365_COMMON_RELAYHOST_H

/* The keys of password tables in the order in which they are tried, NULL behind the last: for each
 * destination of the list its host's name, then the destination as written ("[host]:port"). Release
 * with relayhost_keys_free(). */
char **relayhost_keys(const char *relayhost);
/* `keys` may be NULL. */
void relayhost_keys_free(char **keys);

#endif
