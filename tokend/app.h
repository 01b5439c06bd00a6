/* app.h - a registration, as its file has it now, and what proves it
 *
 * The file is read again when it changes. One that can no longer be read, or makes no sense, leaves
 * what there was in use, with a warning.
 */
#ifndef POST365_TOKEND_APP_H
#define POST365_TOKEND_APP_H

#include "common/dictionary.h"
#include "common/entra/cause.h"
#include "common/error.h"
#include "common/file_state.h"
#include "common/oauth2/registration.h"
#include "common/oauth2/tokens.h"
#include "tokend/proof.h"

#include <stdbool.h>
#include <stdint.h>

struct subject;

struct app {
    char *path;
    struct registration *registration; /* NULL: see trouble */
    struct proof *proof;               /* NULL with registration */
    struct registration *replaced;     /* those before, until app_settle() */
    struct proof *replaced_proof;
    const struct entra_row *trouble; /* of the file as it is; NULL: none */
    struct error reason;
    struct file_state state;
    bool is_listed;              /* the settings still name it */
    struct subject *first;       /* whose tokens are for it */
    struct dictionary *subjects; /* the same by account, "" for the registration\'s own */
    unsigned under_way;          /* attempts */
    int64_t paused_until;        /* the endpoint wants that; steady time */
    /* Why the endpoint does not take what proves the application, which all users' grants share;
     * NULL: it does, as far as is known. None of them is tried before that time; steady time. */
    const struct entra_row *refusal;
    char refusal_reason[TOKENS_REASON_MAX + 1];
    int64_t refused_until;
    bool told_refusal_end; /* the log knows that a token has ended for it */
    bool has_skew;
    int64_t skew; /* seconds, the endpoint's clock minus ours */
    int64_t told; /* seconds before the credential's end of which a warning was given; 0: none */
};

enum app_change {
    APP_SAME,
    APP_PROOF,   /* secret, key or certificate */
    APP_REPLACED /* what stands in the file: whoever uses the old one has to be brought in line */
};

/* Reads the file and those that it names. Release with app_free(). */
struct app *app_new(const char *path);
void app_free(struct app *app);

/* Looks whether files have changed. */
enum app_change app_refresh(struct app *app);
/* Forgets what was in force before APP_REPLACED. */
void app_settle(struct app *app);

/* Why no token can be asked for, or NULL; `*reason` gets the reason. */
const struct entra_row *app_trouble(const struct app *app, const char **reason);

/* The refusal is over, or may be. */
void app_forget_refusal(struct app *app);

/* Whether each account has a grant of its own. */
bool app_is_users(const struct app *app);

/* Warns where the credential ends within `warn_time` microseconds, and again 14, 7, 1 days before,
 * and behind its end. `now` in seconds since the epoch. */
void app_warn(struct app *app, int64_t warn_time, int64_t now);

#endif
