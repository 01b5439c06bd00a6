/* foreign.h - registrations as other programs write them down
 *
 * sasl-xoauth2, a plugin of Postfix's smtp(8), and email-oauth2-proxy, to which a relayhost on this
 * host may lead. Pure: the files are read by whoever asks.
 *
 * Sources: the manual sasl-xoauth2.conf(5) (https://github.com/tarickb/sasl-xoauth2), the comments
 * in emailproxy.config (https://github.com/simonrob/email-oauth2-proxy).
 */
#ifndef POST365_CTL_SETUP_FOREIGN_H
#define POST365_CTL_SETUP_FOREIGN_H

#include "common/entra/cloud.h"
#include "common/error.h"
#include "common/secret.h"

#include <stdbool.h>
#include <stddef.h>

struct foreign {
    char *tenant;
    char *client_id;
    const struct cloud *cloud;
    bool is_user; /* somebody has logged in: there is a refresh token, which is not taken over */
    struct secret *secret; /* NULL: none */
    char *certificate;     /* the path of a file; NULL: none */
    char *key;             /* likewise */
};

/* Of sasl-xoauth2: its configuration, and the account's token file, which may have the same names
 * and comes first. `configuration` may be NULL. False with the reason. Release with foreign_free()
 * in both cases. */
bool foreign_read_plugin(const char *configuration, size_t configuration_length, const char *tokens,
                         size_t tokens_length, struct foreign *foreign, struct error *error);

/* Of emailproxy.config: the section of the account, else of its domain, else of everybody. The same
 * else. */
bool foreign_read_proxy(const char *text, size_t length, const char *account,
                        struct foreign *foreign, struct error *error);

/* The server to which emailproxy.config has the mail go that comes to `port` of this host, as
 * relayhost names it; the caller's to free(). NULL with the reason: no such section, or no server
 * of Microsoft's. */
char *foreign_proxy_server(const char *text, size_t length, const char *port, struct error *error);

void foreign_free(struct foreign *foreign);

/* Whether both are one application that proves in one way who it is. */
bool foreign_equal(const struct foreign *one, const struct foreign *other);

#endif
