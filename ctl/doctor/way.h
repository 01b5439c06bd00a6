/* way.h - the way to a server of Microsoft's, step by step, up to the login
 *
 * The same way as the transport's: all addresses side by side (dial.h), STARTTLS, TLS 1.2 or later
 * with chain and name verified. Nothing secret is sent.
 */
#ifndef POST365_CTL_DOCTOR_WAY_H
#define POST365_CTL_DOCTOR_WAY_H

#include "common/error.h"
#include "common/settings.h"
#include "ctl/doctor/dialogue.h"
#include "ctl/doctor/finding.h"
#include "ctl/doctor/reach.h"

#include <openssl/ssl.h>
#include <stdbool.h>

struct way {
    bool is_known; /* host and port are set */
    char host[256];
    char port[8];
    bool is_fine; /* all steps were ok */
    struct reach reach;
    SSL_CTX *context; /* or NULL */
    bool offers_starttls, offers_login, offers_xoauth2;
};

/* Goes the way and reports each step; those behind one that fails are not tried. Sets `is_fine`. */
void way_check(struct way *way, const struct settings *settings, struct report *report);

/* Goes the way again, without a word. False with the step that failed and the reason. The dialogue
 * is the caller's to close in either case. */
bool way_dial(struct way *way, const struct settings *settings, struct dialogue *dialogue,
              struct error *error);

void way_free(struct way *way);

#endif
