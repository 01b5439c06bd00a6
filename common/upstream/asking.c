/* asking.c - the credential of an account, from an event loop */
#include "common/upstream/asking.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct asking {
    struct credential credential; /* all but the token */
    int64_t patience;
    struct token_call *call;
    struct event *deadline;
    asking_done *done;
    void *context;
};

static void release(struct asking *asking)
{
    credential_release(&asking->credential);
    event_free(asking->deadline);
    free(asking);
}

/* It is over before the callback may do what it likes. */
static void fail(struct asking *asking, struct asking_failure failure)
{
    asking_done *done = asking->done;
    void *context = asking->context;
    char *registration = asking->credential.registration;
    asking->credential.registration = NULL;
    failure.registration = registration;
    release(asking);
    done(context, NULL, &failure);
    free(registration);
}

/* Nobody can give a token now, and nobody at Microsoft was asked: that says nothing of the account.
 */
static void fail_without_daemon(struct asking *asking, const char *text)
{
    fail(asking, (struct asking_failure){.text = text, .cause = entra_named(ENTRA_DAEMON_DOWN)});
}

/* --- what tokend says ---------------------------------------------------------- */

static void succeed(struct asking *asking, struct token_reply *reply)
{
    struct credential credential = asking->credential;
    asking_done *done = asking->done;
    void *context = asking->context;
    asking->credential = (struct credential){0};
    credential.secret = reply->token;
    reply->token = NULL;
    memcpy(credential.token_id, reply->id, sizeof(credential.token_id));
    credential.token_left = reply->left * CLOCK_SECOND;
    release(asking);
    done(context, &credential, NULL);
}

/* What a later version may say, and this one does not know. */
static const struct entra_row *row_of(const struct token_reply *reply)
{
    const struct entra_row *row = entra_named(reply->cause);
    if (row != NULL)
        return row;
    return entra_named(reply->result == TOKEN_REPLY_STOPPED ? ENTRA_REQUEST_REFUSED
                                                            : ENTRA_ENDPOINT_TROUBLE);
}

static void fail_for_cause(struct asking *asking, const struct token_reply *reply)
{
    struct error error;
    error_set(&error, "no access token for %s: %s", asking->credential.user, reply->reason);
    fail(asking, (struct asking_failure){.text = error.text,
                                         .cause = row_of(reply),
                                         .is_stopped = reply->result == TOKEN_REPLY_STOPPED,
                                         .until = reply->until * CLOCK_SECOND - clock_set_since()});
}

/* The two read the same tables, but not at the same moment. */
static void fail_unknown(struct asking *asking, const struct token_reply *reply)
{
    struct error error;
    error_set(&error, "no access token for %s: post365-tokend says: %s", asking->credential.user,
              reply->reason);
    fail(asking, (struct asking_failure){.text = error.text,
                                         .cause = reply->result == TOKEN_REPLY_NONE
                                                      ? entra_named(ENTRA_DAEMON_UNAWARE)
                                                      : NULL});
}

static void replied(void *context, struct token_reply *reply, const struct error *error)
{
    struct asking *asking = context;
    asking->call = NULL;
    if (reply == NULL) {
        fail_without_daemon(asking, error->text);
        return;
    }
    switch (reply->result) {
    case TOKEN_REPLY_DONE:
        succeed(asking, reply);
        return;
    case TOKEN_REPLY_LATER:
    case TOKEN_REPLY_STOPPED:
        fail_for_cause(asking, reply);
        return;
    default:
        fail_unknown(asking, reply);
        return;
    }
}

static void patience_ends(evutil_socket_t descriptor, short what, void *argument)
{
    (void)descriptor;
    (void)what;
    struct asking *asking = argument;
    struct error error;
    token_channel_cancel(asking->call);
    error_set(&error,
              "no access token for %s: post365-tokend has not answered within %" PRId64
              " s; see its log: journalctl -u post365-tokend",
              asking->credential.user, asking->patience / CLOCK_SECOND);
    fail_without_daemon(asking, error.text);
}

/* --- asking -------------------------------------------------------------------- */

static struct asking *new_asking(const struct asking_parts *parts, struct credential *credential,
                                 asking_done *done, void *context)
{
    const struct timeval patience = {.tv_sec = parts->patience / CLOCK_SECOND,
                                     .tv_usec = parts->patience % CLOCK_SECOND};
    struct asking *asking = memory_zero(1, sizeof(*asking));
    *asking = (struct asking){
        .credential = *credential, .patience = parts->patience, .done = done, .context = context};
    asking->deadline = evtimer_new(parts->base, patience_ends, asking);
    if (asking->deadline == NULL || event_add(asking->deadline, &patience) != 0)
        log_fatal(EX_OSERR, "cannot set up the event loop");
    return asking;
}

void asking_begin(const struct asking_parts *parts, struct credentials *credentials,
                  const char *upn, asking_done *done, void *context, struct asking **asking)
{
    struct credential credential;
    struct error error;
    *asking = NULL;
    if (credentials_find(credentials, upn, &credential, &error) != TABLE_FOUND) {
        done(context, NULL, &(struct asking_failure){.text = error.text});
        return;
    }
    if (credential.registration == NULL) {
        done(context, &credential, NULL);
        return;
    }
    struct asking *asked = new_asking(parts, &credential, done, context);
    const struct token_command command = {.kind = TOKEN_COMMAND_TOKEN,
                                          .account = asked->credential.user};
    asked->call = token_channel_ask(parts->channel, &command, replied, asked, &error);
    if (asked->call != NULL)
        *asking = asked;
    else
        fail_without_daemon(asked, error.text);
}

void asking_cancel(struct asking *asking)
{
    if (asking == NULL)
        return;
    token_channel_cancel(asking->call);
    release(asking);
}
