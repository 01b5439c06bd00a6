/* takeover.h - accounts that go over to OAuth2: which, and what is to be written for them
 *
 * Unasked, accounts whose line in the password table is for sasl-xoauth2 (it names a file of
 * tokens, so that no password is there), and those of a relayhost that is email-oauth2-proxy on
 * this host. With a file that the admin names, what that file says: the configuration of either
 * program, or a registration (post365_oauth2(5)) for all accounts that have none.
 *
 * Refresh tokens are not taken over: whoever has logged in logs in once more, `post365 login`.
 */
#ifndef POST365_CTL_SETUP_TAKEOVER_H
#define POST365_CTL_SETUP_TAKEOVER_H

#include "common/error.h"
#include "common/secret.h"
#include "ctl/setup/relay.h"

#include <stdbool.h>
#include <stddef.h>

/* A file that is to be made. */
struct takeover_file {
    char *path;
    bool
        is_secret; /* for post365_oauth2_user alone; else it is root's, and everybody may read it */
    struct secret *content;
};

struct takeover_account {
    char *account;
    char *registration; /* the path of the file */
    bool is_user;       /* he must log in */
};

struct takeover {
    const char *source; /* "sasl-xoauth2"; NULL: a registration of the admin's */
    struct takeover_account *accounts;
    size_t account_count;
    struct takeover_file *files;
    size_t file_count;
    char *relayhost; /* in place of the proxy's; NULL: it stays */
    char *former;    /* relayhost as it was, with `relayhost` */
    char *upn;       /* post365_upn, where that would no longer follow from relayhost; NULL: none */
    char *maps;      /* the lines of an inline: table for post365_oauth2_maps */
    /* What says the same to postconf(1), "name=value", ended by NULL; of use to the relay. */
    char *overrides[4];
    char **obstacles; /* why something is not taken over, a sentence each */
    size_t obstacle_count;
};

/* Reads the relay, looks for what goes over, and reads the relay as it will be with that. `file` is
 * what the admin has named, an absolute path, or NULL. False with the reason. Release both, the
 * relay first, also after a failure. */
bool takeover_read(const char *config_directory, const char *file, struct relay *relay,
                   struct takeover *takeover, struct error *error);
void takeover_free(struct takeover *takeover);

#endif
