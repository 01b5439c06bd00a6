/* domains.h - the domains in a list such as mydestination
 *
 * The list is read once, since every look-up of an address asks. Thread-safe once it is made.
 */
#ifndef POST365_COMMON_DOMAINS_H
#define POST365_COMMON_DOMAINS_H

#include <stdbool.h>

struct domains;

/* Reads a list as in mydestination: names and address literals count, `!name` is not in it, /file
 * and type:table are passed over; of two entries for one name the first counts. Release with
 * domains_free(). */
struct domains *domains_new(const char *list);
/* `domains` may be NULL. */
void domains_free(struct domains *domains);

/* Whether a domain, folded with address_fold(), is in it. */
bool domains_have(const struct domains *domains, const char *domain);

#endif
