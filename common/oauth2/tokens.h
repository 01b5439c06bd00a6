/* tokens.h - what is spoken on post365_oauth2_socket
 *
 * The name=value protocol of attr.h on a UNIX socket, as on post365_control_socket: requests and
 * replies are lines `name=value`, ended by an empty line; any number of requests may be under way
 * on a connection; a `tag` is repeated first in each reply; unknown attributes are ignored. Times
 * are seconds since the epoch, UTC; durations are seconds.
 *
 * A registration is the absolute path of its file. Who shares one shares its token, unless it is
 * `grant = user`, where each account has its own grant. What has a token, a state and a next
 * attempt of its own is a *subject*: a registration, or an account of one with `grant = user`.
 * Replies name it by `registration`, and for the latter `account` as well.
 *
 *   request=token account
 *       result=done token id left registration    `left` seconds, after what is kept back of its
 *         end; `id` is a fingerprint of 8 hexadecimal digits. The reply comes when there is one,
 *         or when it is known that there is none: the caller bounds the time.
 *       result=later cause reason until registration    the endpoint is in trouble
 *       result=stopped cause reason until registration  somebody must act; tried again at `until`
 *         all the same
 *         `cause` is the name of an entra_row; `reason` is one line without the remedy
 *       result=none reason                        post365_oauth2_maps does not know the account
 *   request=verdict account id [reply]            an AUTH with that token was accepted, or refused
 *     with this reply
 *       result=done again=0|1                     1: ask for a token once more, it is a new one
 *   request=watch
 *       result=done, then for each subject, at once and whenever it changes, a reply with the same
 *       tag: result=subject and the attributes of `status` without claims; result=gone with its
 *       names where the settings have it no longer. What is told at once comes before the reply to
 *       any request made after this one on the connection, however many subjects there are: who
 *       asks for a list behind it knows by the reply that he was told all
 *   request=list [after]
 *       result=done, then for each registration registration=PATH, at most 100 a reply, then, if
 *       there is more, after=PATH for the next request
 *   request=status registration | account
 *       result=done registration [account] state grant credential tenant client_id cloud
 *         [left id issued] [renewed] [next] [cause reason failed_since failures]
 *         [credential_ends] [credential_cause credential_reason] [grant_since] requests refused
 * accounts [accepted_for accepted_at] [skew] [claim_NAME ...] [model] state: empty, asking, fresh,
 * renewing, waiting, stopped; grant: app, user; credential: secret, certificate, federated,
 * managed, none; model: rbac, classic, delegated; `accounts` were given a token within a day;
 * `accepted_for`: the account that logged in last with the token that there is; `skew`: the
 * endpoint's clock minus ours; `credential_cause`: why what the files of the credential have now is
 * not used, where something older may be result=none reason request=renew registration | account
 * now, but at most once a minute as `token`, without the token itself request=check registration
 * the way to the endpoint, for the doctor result=done, then for each step in order step=NAME RESULT
 * TEXT; NAME: file, resolve, connect, tls, tenant, clock; RESULT: ok, wrong, unknown request=login
 * account result=code user_code verification_uri expires    to be shown; then every few seconds
 *       result=waiting expires                            then one of
 *       result=done user registration                     who logged in; stored, and used once
 *       result=stopped cause reason
 *   request=logout account
 *       result=done, result=none
 *   to any
 *       result=refused reason                     the peer may not
 *       result=error reason                       not understood, or not possible now
 *
 * Root and post365_user may ask for everything; the group of post365_user for watch, list and
 * status. A login ends with its connection.
 */
#ifndef POST365_COMMON_OAUTH2_TOKENS_H
#define POST365_COMMON_OAUTH2_TOKENS_H

#define TOKENS_PARAMETER "post365_oauth2_socket"

#define TOKENS_REQUEST "request"
#define TOKENS_TOKEN   "token" /* also the attribute */
#define TOKENS_VERDICT "verdict"
#define TOKENS_WATCH   "watch"
#define TOKENS_LIST    "list"
#define TOKENS_STATUS  "status"
#define TOKENS_RENEW   "renew"
#define TOKENS_CHECK   "check"
#define TOKENS_LOGIN   "login"
#define TOKENS_LOGOUT  "logout"

#define TOKENS_TAG          "tag"
#define TOKENS_ACCOUNT      "account"
#define TOKENS_REGISTRATION "registration"
#define TOKENS_ID           "id"
#define TOKENS_REPLY        "reply"
#define TOKENS_AFTER        "after"

#define TOKENS_RESULT  "result"
#define TOKENS_DONE    "done"
#define TOKENS_LATER   "later"
#define TOKENS_STOPPED "stopped"
#define TOKENS_NONE    "none"
#define TOKENS_SUBJECT "subject"
#define TOKENS_GONE    "gone"
#define TOKENS_CODE    "code"
#define TOKENS_WAITING "waiting"
#define TOKENS_REFUSED "refused"
#define TOKENS_ERROR   "error"

#define TOKENS_LEFT              "left"
#define TOKENS_CAUSE             "cause"
#define TOKENS_REASON            "reason"
#define TOKENS_UNTIL             "until"
#define TOKENS_AGAIN             "again"
#define TOKENS_STATE             "state"
#define TOKENS_GRANT             "grant"
#define TOKENS_CREDENTIAL        "credential"
#define TOKENS_TENANT            "tenant"
#define TOKENS_CLIENT_ID         "client_id"
#define TOKENS_CLOUD             "cloud"
#define TOKENS_ISSUED            "issued"
#define TOKENS_RENEWED           "renewed"
#define TOKENS_NEXT              "next"
#define TOKENS_FAILED_SINCE      "failed_since"
#define TOKENS_FAILURES          "failures"
#define TOKENS_CREDENTIAL_ENDS   "credential_ends"
#define TOKENS_CREDENTIAL_CAUSE  "credential_cause" /* what the files have is not in use */
#define TOKENS_CREDENTIAL_REASON "credential_reason"
#define TOKENS_GRANT_SINCE       "grant_since"
#define TOKENS_REQUESTS          "requests" /* to the endpoint since the start */
#define TOKENS_REQUESTS_REFUSED  "refused"  /* of these */
#define TOKENS_ACCOUNTS          "accounts"
#define TOKENS_ACCEPTED_FOR      "accepted_for"
#define TOKENS_ACCEPTED_AT       "accepted_at"
#define TOKENS_SKEW              "skew"
#define TOKENS_CLAIM             "claim_" /* aud, tid, app, roles, scp, user, oid, exp */
#define TOKENS_MODEL             "model"
#define TOKENS_STEP              "step"
#define TOKENS_USER_CODE         "user_code"
#define TOKENS_VERIFICATION_URI  "verification_uri"
#define TOKENS_EXPIRES           "expires"
#define TOKENS_USER              "user"

/* `reason` is never longer, in octets; nor is a token, which has to fit into a line of attr.h. */
#define TOKENS_REASON_MAX 400
#define TOKENS_TOKEN_MAX  8000
/* Registrations in one reply to `list`. */
#define TOKENS_LIST_MAX 100

#endif
