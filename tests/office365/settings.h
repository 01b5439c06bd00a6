/*
 * settings.h - what config.json says
 *
 * All names are in one table (settings.c), which also serves the control command "set". A name that
 * is unknown, or a value of the wrong kind, is an error: a test that is spelled wrong must not
 * pass.
 */
#ifndef OFFICE365_SETTINGS_H
#define OFFICE365_SETTINGS_H

#include "bearer.h"
#include "limits.h"
#include "list.h"
#include "problem.h"
#include "replies.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* recipients that do not exist, and how that is said */
struct unknown_recipients {
    struct list patterns[REPLY_ROWS];
};

struct settings {
    /* only at the start */
    struct list listen;    /* "127.0.0.1:0", "[::1]:2587" */
    struct list hostnames; /* in the certificate; the first is its common name */
    char *state_directory; /* ca.pem, ca.key, server.pem */
    char *journal;
    char *control_socket; /* NULL: no control */
    char *ready_file;     /* NULL: the ready line goes to standard output only */
    char *save_directory; /* NULL: messages are not kept */
    int64_t seed;         /* of everything random */
    bool legacy_tls;      /* TLS 1.0 and 1.1 get through the handshake and are refused at AUTH */

    /* at any time */
    double late_answer;      /* seconds until failed AUTH and unauthenticated MAIL are answered */
    double idle_timeout;     /* seconds without a byte from the client; 0: for ever */
    int64_t receive_buffer;  /* bytes that the kernel keeps of what is sent; 0: as it likes */
    int64_t message_size;    /* bytes, as SIZE announces them */
    bool null_sender_passes; /* "null_sender": "accept" */
    enum reply_row unauthenticated;
    enum reply_row wrong_password;
    enum reply_row send_as_denied;
    enum reply_row recipients_over;
    enum reply_row messages_over;
    enum reply_row connections_over;
    bool security_defaults;     /* gate 1 is closed */
    bool tenant_switch;         /* gate 2 is closed */
    bool basic_disabled;        /* basic authentication is off for the tenant */
    bool basic_retired;         /* basic authentication is gone for good */
    struct list app_tokens;     /* literal tokens: they open every mailbox */
    struct bearer_rules bearer; /* what becomes of those of Entra ID */
    double token_clock;         /* seconds that the endpoint's clock is ahead of ours */
    double token_margin; /* seconds that a token must have left, as High Volume Email wants */
    enum reply_row token_refused;
    struct list refuse_notes; /* notes on a message (message.h) that refuse it */
    struct unknown_recipients unknown_recipients;
    struct limits limits;
};

/* settings_create - the defaults, which are those of the real service */
struct settings *settings_create(void);

void settings_free(struct settings *settings);

/*
 * settings_apply - take all names of a JSON object but "mailboxes" and "faults", which belong to
 * others. While running (starting is false) only those that may change are taken; on failure
 * nothing has changed then.
 */
bool settings_apply(struct settings *settings, const json_t *object, bool starting,
                    struct problem *problem);

/* settings_complete - is there all that the program cannot do without? */
bool settings_complete(const struct settings *settings, struct problem *problem);

#endif
