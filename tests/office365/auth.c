/*
 * auth.c - AUTH LOGIN and AUTH XOAUTH2, and the gates in front of them
 *
 * Credentials are compared first, then the gates: whoever does not know the password does not learn
 * which gate is closed. What the client sent as a password or token is never written anywhere.
 */
#include "auth.h"

#include "allocate.h"
#include "clock.h"
#include "dialogue.h"
#include "encoding.h"

#include <stdlib.h>
#include <string.h>

#define USERNAME_CHALLENGE "334 VXNlcm5hbWU6"
#define PASSWORD_CHALLENGE "334 UGFzc3dvcmQ6"
#define TOKEN_CHALLENGE    "334 "
#define BAD_BASE64         "501 5.5.4 Invalid arguments"

void auth_cancel(struct session *session)
{
    free(session->username);
    session->username = NULL;
    if (session->state == SESSION_AUTH_USERNAME || session->state == SESSION_AUTH_PASSWORD ||
        session->state == SESSION_AUTH_TOKEN)
        session->state = SESSION_COMMAND;
}

static void challenge(struct session *session, enum session_state state, const char *text)
{
    session->state = state;
    dialogue_reply(session, text);
}

/* ---- what the tenant says ---- */

/* basic_objection - what stands against any login with a password */
static enum reply_row basic_objection(const struct settings *settings)
{
    if (settings->basic_retired)
        return REPLY_BASIC_RETIRED;
    return settings->basic_disabled ? REPLY_BASIC_DISABLED : REPLY_NONE;
}

/* gate_objection - the three gates; OAuth2 passes the first one */
static enum reply_row gate_objection(const struct settings *settings, const struct mailbox *mailbox,
                                     bool basic)
{
    if (basic && settings->security_defaults)
        return REPLY_SECURITY_DEFAULTS;
    if (mailbox->smtp_auth == SWITCH_DISABLED)
        return REPLY_MAILBOX_SWITCH;
    if (mailbox->smtp_auth == SWITCH_TENANT && settings->tenant_switch)
        return REPLY_TENANT_SWITCH;
    if (mailbox->state != REPLY_NONE && reply_stage(mailbox->state) == STAGE_AUTH)
        return mailbox->state;
    return REPLY_NONE;
}

static enum reply_row judge_password(const struct settings *settings, const struct mailbox *mailbox,
                                     const char *password)
{
    enum reply_row row = basic_objection(settings);

    if (row != REPLY_NONE)
        return row;
    if (mailbox == NULL || mailbox->password == NULL || strcmp(mailbox->password, password) != 0)
        return settings->wrong_password;
    return gate_objection(settings, mailbox, true);
}

/* judge_token - a token that is simply listed, or one of Entra ID; the gates are behind it */
static enum reply_row judge_token(struct session *session, const struct mailbox *mailbox,
                                  const char *token)
{
    const struct settings *settings = session->server->settings;
    int64_t now = clock_real() + (int64_t)(settings->token_clock * (double)CLOCK_SECOND);

    session->bearer = (struct bearer_verdict){.objection = BEARER_FINE};
    if (mailbox == NULL)
        return settings->token_refused;
    if (!list_has(&mailbox->tokens, token) && !list_has(&settings->app_tokens, token))
        session->bearer = bearer_judge(&settings->bearer, mailbox, token, now / CLOCK_SECOND);
    if (session->bearer.objection != BEARER_FINE)
        return settings->token_refused;
    if (session->bearer.token[0] != '\0' && (double)session->bearer.left < settings->token_margin)
        return REPLY_TOKEN_ENDS_SOON;
    return gate_objection(settings, mailbox, false);
}

/* ---- the answer ---- */

static json_t *describe_login(const struct session *session, const char *username)
{
    json_t *login = json_object();

    encoding_set(login, "username", encoding_json(username, strlen(username)));
    encoding_set(login, "mechanism", json_string(session->mechanism));
    if (session->bearer.token[0] != '\0')
        encoding_set(login, "token", json_string(session->bearer.token));
    if (session->bearer.objection != BEARER_FINE)
        encoding_set(login, "objection",
                     json_string(bearer_objection_name(session->bearer.objection)));
    return login;
}

static void log_in(struct session *session, struct mailbox *mailbox, const char *username)
{
    json_t *entry;

    session->mailbox = mailbox;
    gauge_up(&mailbox->connections);
    entry = session_event(session, "auth");
    encoding_set(entry, "login", describe_login(session, username));
    encoding_set(entry, "tls", json_string(SSL_get_version(session->ssl)));
    journal_write(session->server->journal, entry);
}

/* decide - answer the exchange: late, if the answer is no */
static void decide(struct session *session, struct mailbox *mailbox, const char *username,
                   enum reply_row row)
{
    struct answer answer;

    session->state = SESSION_COMMAND;
    if (row != REPLY_NONE) {
        answer = answer_row(row, username, NULL, session->stamp);
        answer.delay = session->server->settings->late_answer;
    } else {
        answer = answer_text("235 2.7.0 Authentication successful");
        session->mailbox = mailbox; /* so that faults can see it */
    }
    if (session_disturb(session, STAGE_AUTH, NULL, &answer) && mailbox != NULL) {
        log_in(session, mailbox, username);
    } else {
        json_t *entry;
        char *line = answer_line(&answer);
        session->mailbox = NULL;
        entry = session_event(session, "auth-refused");
        encoding_set(entry, "stage", json_string(stage_name(STAGE_AUTH)));
        encoding_set(entry, "login", describe_login(session, username));
        encoding_set(entry, "reply",
                     line != NULL ? encoding_json(line, strlen(line)) : json_null());
        journal_write(session->server->journal, entry);
        if (line != NULL)
            tally_refuse(mailbox != NULL ? &mailbox->tally : &session->server->tally, line);
        free(line);
    }
    session_send(session, &answer);
}

/* ---- LOGIN ---- */

static void take_username(struct session *session, const char *base64)
{
    size_t length;

    session->username = encoding_from_base64(base64, &length);
    if (session->username == NULL || strlen(session->username) != length) {
        auth_cancel(session);
        dialogue_reply(session, BAD_BASE64);
        return;
    }
    challenge(session, SESSION_AUTH_PASSWORD, PASSWORD_CHALLENGE);
}

static void take_password(struct session *session, const char *base64)
{
    size_t length;
    char *username = session->username;
    char *password = encoding_from_base64(base64, &length);
    struct mailbox *mailbox;

    if (password == NULL || strlen(password) != length) {
        free(password);
        auth_cancel(session);
        dialogue_reply(session, BAD_BASE64);
        return;
    }
    session->username = NULL;
    mailbox = mailboxes_find(session->server->mailboxes, username);
    decide(session, mailbox, username,
           judge_password(session->server->settings, mailbox, password));
    OPENSSL_cleanse(password, length);
    free(password);
    free(username);
}

/* ---- XOAUTH2 ---- */

/* split_token - "user=" UPN ^A "auth=Bearer " token ^A ^A, cut in place; false if it is not that */
static bool split_token(char *text, size_t length, char **username, char **token)
{
    static const char user[] = "user=", bearer[] = "auth=Bearer ";
    char *separator = strchr(text, '\1');

    if (strlen(text) != length || length < 2 || separator == NULL ||
        strncasecmp(text, user, sizeof user - 1) != 0 ||
        strncasecmp(separator + 1, bearer, sizeof bearer - 1) != 0 ||
        strcmp(text + length - 2, "\1\1") != 0)
        return false;
    *separator = '\0';
    text[length - 2] = '\0';
    *username = text + sizeof user - 1;
    *token = separator + sizeof bearer;
    return strchr(*token, '\1') == NULL;
}

static void take_token(struct session *session, const char *base64)
{
    size_t length;
    char *text = encoding_from_base64(base64, &length);
    char *username, *token;

    if (text == NULL || !split_token(text, length, &username, &token)) {
        auth_cancel(session);
        dialogue_reply(session, BAD_BASE64);
    } else {
        struct mailbox *mailbox = mailboxes_find(session->server->mailboxes, username);
        decide(session, mailbox, username, judge_token(session, mailbox, token));
    }
    if (text != NULL)
        OPENSSL_cleanse(text, length);
    free(text);
}

/* ---- the exchange ---- */

/* is_offered - AUTH is there after EHLO within TLS, once, outside of a transaction */
static bool is_offered(struct session *session)
{
    if (!session->greeted)
        dialogue_reply(session, "503 5.5.2 Send hello first");
    else if (session->ssl == NULL || !session->extended)
        dialogue_reply(session, "504 5.7.4 Unrecognized authentication type");
    else if (session->mailbox != NULL || session->transaction.open)
        dialogue_reply(session, "503 5.5.1 Bad sequence of commands");
    else
        return true;
    return false;
}

static void begin_login(struct session *session, const char *initial)
{
    session->mechanism = "LOGIN";
    session->bearer = (struct bearer_verdict){.objection = BEARER_FINE};
    if (initial != NULL)
        take_username(session, initial);
    else
        challenge(session, SESSION_AUTH_USERNAME, USERNAME_CHALLENGE);
}

static void begin_xoauth2(struct session *session, const char *initial)
{
    session->mechanism = "XOAUTH2";
    if (initial != NULL)
        take_token(session, initial);
    else
        challenge(session, SESSION_AUTH_TOKEN, TOKEN_CHALLENGE);
}

static void refuse_old_tls(struct session *session)
{
    struct answer answer = answer_row(REPLY_OLD_TLS, NULL, NULL, session->stamp);

    dialogue_refuse(session, STAGE_AUTH, "auth-refused", "tls",
                    json_string(SSL_get_version(session->ssl)), &answer);
}

void auth_begin(struct session *session, const char *arguments)
{
    size_t length = strcspn(arguments, " ");
    const char *initial = arguments[length] == ' ' ? arguments + length + 1 : NULL;

    if (!is_offered(session))
        return;
    if (SSL_version(session->ssl) < TLS1_2_VERSION) {
        refuse_old_tls(session);
        return;
    }
    if (initial != NULL && strcmp(initial, "=") == 0)
        initial = "";
    if (length == 5 && strncasecmp(arguments, "LOGIN", length) == 0)
        begin_login(session, initial);
    else if (length == 7 && strncasecmp(arguments, "XOAUTH2", length) == 0)
        begin_xoauth2(session, initial);
    else
        dialogue_reply(session, "504 5.7.4 Unrecognized authentication type");
}

void auth_continue(struct session *session, const char *line)
{
    enum session_state state = session->state;

    if (strcmp(line, "*") == 0) {
        auth_cancel(session);
        dialogue_reply(session, "501 5.7.0 Authentication cancelled");
    } else if (state == SESSION_AUTH_USERNAME) {
        take_username(session, line);
    } else if (state == SESSION_AUTH_PASSWORD) {
        take_password(session, line);
    } else {
        take_token(session, line);
    }
}
