/* token_message.h - requests to post365-tokend and its replies, as text and as C
 *
 * The text is that of tokens.h. No connection, no memory of its own but the access token, which is
 * copied into secret memory and nowhere else. Whoever speaks on the socket, waiting
 * (token_client.h) or not (token_channel.h), writes and reads here.
 */
#ifndef POST365_COMMON_OAUTH2_TOKEN_MESSAGE_H
#define POST365_COMMON_OAUTH2_TOKEN_MESSAGE_H

#include "common/address.h"
#include "common/attr.h"
#include "common/buffer.h"
#include "common/error.h"
#include "common/oauth2/tokens.h"
#include "common/secret.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKEN_ID_LENGTH 8U    /* hexadecimal digits of a fingerprint */
#define TOKEN_NAME_MAX  63U   /* of a cause, a cloud, a claim */
#define TOKEN_VALUE_MAX 255U  /* of a tenant, a client id, a code or an address to be shown */
#define TOKEN_REPLY_MAX 1000U /* what is told of a server's reply to AUTH */
#define TOKEN_STEP_MAX  1000U /* what is told of a step of `check` */

/* --- requests --- */

enum token_command_kind {
    TOKEN_COMMAND_TOKEN,
    TOKEN_COMMAND_VERDICT,
    TOKEN_COMMAND_WATCH,
    TOKEN_COMMAND_LIST,
    TOKEN_COMMAND_STATUS,
    TOKEN_COMMAND_RENEW,
    TOKEN_COMMAND_CHECK,
    TOKEN_COMMAND_LOGIN,
    TOKEN_COMMAND_LOGOUT,
    TOKEN_COMMANDS,
};

/* What is asked; see tokens.h for what it does. A field that is not named by the kind does not
 * matter. */
struct token_command {
    enum token_command_kind kind;
    const char *account;      /* token, verdict, login, logout: the UPN; status, renew: or NULL */
    const char *registration; /* check; status, renew without an account: the absolute path */
    const char *id;           /* verdict: the token's */
    const char *reply;        /* verdict: the refusal, or NULL; cut off at TOKEN_REPLY_MAX bytes */
    const char *after;        /* list: NULL, or where the last page says that the next begins */
};

/* Appends the request. With `tag` not 0 it has this tag. False with the reason, and nothing
 * appended: an account that is no UPN, a registration that is no absolute path. */
bool token_command_write(struct buffer *text, uint64_t tag, const struct token_command *command,
                         struct error *error);

/* --- replies --- */

enum token_reply_result {
    TOKEN_REPLY_DONE,
    TOKEN_REPLY_LATER,   /* token, renew, login: the endpoint is in trouble */
    TOKEN_REPLY_STOPPED, /* token, renew, login: somebody must act */
    TOKEN_REPLY_NONE,    /* token, status, renew, check, login, logout: there is none */
    TOKEN_REPLY_SUBJECT, /* watch */
    TOKEN_REPLY_GONE,    /* watch */
    TOKEN_REPLY_CODE,    /* login: to be shown */
    TOKEN_REPLY_WAITING, /* login: for whoever was shown it */
    TOKEN_REPLY_REFUSED, /* the peer may not; nothing has happened */
    TOKEN_REPLY_ERROR,   /* not understood, or not possible now; nothing has happened */
    TOKEN_REPLY_RESULTS,
};

enum token_state {
    TOKEN_STATE_EMPTY,
    TOKEN_STATE_ASKING,
    TOKEN_STATE_FRESH,
    TOKEN_STATE_RENEWING, /* the old token is good meanwhile */
    TOKEN_STATE_WAITING,  /* for the next attempt */
    TOKEN_STATE_STOPPED,  /* somebody must act */
    TOKEN_STATES,
};

enum token_grant { TOKEN_GRANT_APP, TOKEN_GRANT_USER, TOKEN_GRANTS };

enum token_credential {
    TOKEN_CREDENTIAL_SECRET,
    TOKEN_CREDENTIAL_CERTIFICATE,
    TOKEN_CREDENTIAL_FEDERATED,
    TOKEN_CREDENTIAL_MANAGED,
    TOKEN_CREDENTIAL_NONE,
    TOKEN_CREDENTIALS,
};

/* By which permissions the app may send, as far as the token tells. */
enum token_model {
    TOKEN_MODEL_UNKNOWN,
    TOKEN_MODEL_RBAC,
    TOKEN_MODEL_CLASSIC,
    TOKEN_MODEL_DELEGATED,
    TOKEN_MODELS,
};

/* As in the protocol: "fresh", "app", "certificate", "rbac" ("" for what is unknown). */
const char *token_state_name(enum token_state state);
const char *token_grant_name(enum token_grant grant);
const char *token_credential_name(enum token_credential credential);
const char *token_model_name(enum token_model model);

/* Times are seconds since the epoch, 0 where there is none. */
struct token_subject {
    int64_t left; /* seconds; as `issued` and `id` of no use without `has_token` */
    int64_t issued;
    int64_t renewed, next;
    int64_t failed_since;
    int64_t credential_ends, grant_since;
    char credential_cause[TOKEN_NAME_MAX + 1]; /* "": what its files have now is in use */
    char credential_reason[TOKENS_REASON_MAX + 1];
    int64_t accepted_at;
    int64_t skew; /* seconds; of no use without `has_skew` */
    uint64_t requests, refused;
    uint32_t failures; /* in a row */
    uint32_t accounts;
    enum token_state state;
    enum token_grant grant;
    enum token_credential credential;
    enum token_model model;
    bool has_token, has_skew;
    char id[TOKEN_ID_LENGTH + 1];
    char registration[PATH_MAX];
    char account[ADDRESS_MAX + 1]; /* "" but with TOKEN_GRANT_USER */
    char tenant[TOKEN_VALUE_MAX + 1], client_id[TOKEN_VALUE_MAX + 1];
    char cloud[TOKEN_NAME_MAX + 1];
    char cause[TOKEN_NAME_MAX + 1]; /* "": nothing is wrong */
    char reason[TOKENS_REASON_MAX + 1];
    char accepted_for[ADDRESS_MAX + 1]; /* "": nobody yet */
};

/* Fields that are not named by result and kind of request are 0, or "". */
struct token_reply {
    enum token_reply_result result;
    /* LATER, STOPPED, REFUSED, ERROR; NONE where it was given */
    char reason[ERROR_TEXT_SIZE];
    char cause[TOKEN_NAME_MAX + 1]; /* LATER, STOPPED: an entra_row's name */
    int64_t until;                  /* LATER, STOPPED of token and renew: seconds since the epoch */

    struct secret *token; /* DONE of token; whoever takes it leaves NULL */
    char id[TOKEN_ID_LENGTH + 1];
    int64_t left;                  /* DONE of token and renew: seconds */
    char registration[PATH_MAX];   /* token, renew; DONE of login; GONE */
    char account[ADDRESS_MAX + 1]; /* GONE, where the subject has one */

    bool again; /* verdict */

    struct token_subject subject; /* SUBJECT; DONE of status */

    char user_code[TOKEN_VALUE_MAX + 1], verification_uri[TOKEN_VALUE_MAX + 1]; /* CODE */
    int64_t expires;                                                            /* CODE, WAITING */
    char user[ADDRESS_MAX + 1]; /* DONE of login: who logged in */

    /* What stands in DONE one by one: token_reply_next_*(). */
    char after[PATH_MAX]; /* list: where the next page begins; "": this is the last one */
    const char *text;
    size_t length;
};

/* The tag of a reply that attr_read() found complete. False if it has none, or one that is not
 * token_command_write()'s. */
bool token_reply_tag(const char *text, size_t length, uint64_t *tag);

/*
 * Reads a reply, which attr_read() found complete, to a request of that kind; then it has to be
 * released. `reply` keeps pointing to `text`. Attributes that are not known, or not needed for this
 * result, are ignored. False with what is wrong, which never quotes the reply: an attribute that is
 * missing, is there twice or makes no sense, a result that is no answer to such a request; there is
 * nothing to release then.
 */
bool token_reply_read(struct token_reply *reply, enum token_command_kind kind, const char *text,
                      size_t length, struct error *error);

/* Wipes the token, if it is still there. */
void token_reply_release(struct token_reply *reply);

/* Whether no further reply to this request follows. */
bool token_reply_is_last(const struct token_reply *reply, enum token_command_kind kind);

/* A step of `check`. */
enum token_step_result { TOKEN_STEP_OK, TOKEN_STEP_WRONG, TOKEN_STEP_UNKNOWN, TOKEN_STEP_RESULTS };
struct token_step {
    char name[TOKEN_NAME_MAX + 1];
    enum token_step_result result;
    char text[TOKEN_STEP_MAX + 1];
};

/* A claim of the token that there is: aud, tid, app, roles, scp, user, oid, exp. */
struct token_claim {
    char name[TOKEN_NAME_MAX + 1];
    char value[TOKEN_STEP_MAX + 1];
};

/* Gives what stands in the reply to a list, a check or a status at `*position` (0 for the first),
 * and moves on. False at the end, or at what is none. A path has room for PATH_MAX bytes. */
bool token_reply_next_registration(const struct token_reply *reply, size_t *position, char *path);
bool token_reply_next_step(const struct token_reply *reply, size_t *position,
                           struct token_step *step);
bool token_reply_next_claim(const struct token_reply *reply, size_t *position,
                            struct token_claim *claim);

#endif
