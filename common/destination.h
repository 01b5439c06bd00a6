/* destination.h - a server that mail goes to, as Postfix's next hops name it
 *
 * "[host]:port", "[host]", "host:port", "host", "[ipv6:address]:port"; of a list the first counts.
 *
 * Sources: relayhost in postconf(5), transport(5), smtp(8).
 */
#ifndef POST365_COMMON_DESTINATION_H
#define POST365_COMMON_DESTINATION_H

#include "common/error.h"
#include "common/settings.h"

#include <stdbool.h>
#include <stddef.h>

#define DESTINATION_SIZE 300

struct destination {
    char host[256]; /* a name or an address: without brackets, "ipv6:" and a dot at its end */
    char port[8];   /* a number; 587 where none is named */
    bool has_port;  /* one is named */
    char written[DESTINATION_SIZE]; /* the whole as it is written, under which smtp(8) looks for
                                       credentials */
};

#define DESTINATIONS_MAX 8

/* Where Postfix tries in turn; of more than that are written the first count. */
struct destination_list {
    struct destination items[DESTINATIONS_MAX];
    size_t count;
};

/* Reads all that the text lists; those that make no sense are passed over. */
void destination_read_list(const char *text, struct destination_list *list);

/* Reads one out of the text. NULL, or why it is none, in which case nothing is set. */
const char *destination_read(const char *text, struct destination *destination);

/* That of relayhost. False with the reason: it is empty, has no host, or a port that is none. */
bool destination_parse(const struct settings *settings, struct destination *destination,
                       struct error *error);

/* Whether two name one server: the same host, upper or lower case, at the same port; a port that is
 * not named is any. */
bool destination_equal(const struct destination *one, const struct destination *other);

/* Whether a key of a password table is a host's and no sender's: a single word is a local user. */
bool destination_is_host(const char *key);

#endif
