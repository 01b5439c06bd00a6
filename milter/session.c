/* session.c - one connection of Postfix to the milter, as libmilter's callbacks see it
 *
 * MAIL decides the account, the headers that matter are collected, and end of message makes the
 * edits. Nothing is changed before that. What cannot be decided now is a temporary failure: Postfix
 * keeps the mail or makes the client keep it.
 *
 * Debian's libmilter runs the callbacks of one connection in changing threads: everything is in the
 * session, and no lock is held between two callbacks.
 */
#include "milter/session.h"

#include "common/address.h"
#include "common/buffer.h"
#include "common/identity.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/sender/coverage.h"
#include "common/sender/rewrite.h"
#include "common/sender/sealer.h"
#include "common/xtext.h"
#include "milter/configuration.h"

#include <libmilter/mfapi.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* More than any mail program writes; what a peer can make us keep for one message. */
#define HEADERS_MAX      200
#define HEADER_BYTES_MAX ((size_t)1024 * 1024)
/* Recipients of a message with the null sender, which has one in all honest use. */
#define NULL_SENDER_RECIPIENTS_MAX 1000

#define ACTIONS_NEEDED                                                                             \
    (SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_CHGFROM | SMFIF_ADDRCPT_PAR | SMFIF_DELRCPT)
#define STEPS_NOT_NEEDED                                                                           \
    (SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NODATA | SMFIP_NOEOH | SMFIP_NOBODY | SMFIP_NOUNKNOWN)
#define STEPS_NOT_ANSWERED (SMFIP_NR_RCPT | SMFIP_NR_HDR)

struct message {
    struct configuration *configuration;
    char *sender; /* as Postfix's queue has it, "" is the null sender */
    char *path;   /* the same in angle brackets, as it was given */
    char *envid;  /* the client's, decoded; "" if he gave none */
    struct identity account;
    struct rewrite_header headers[HEADERS_MAX];
    size_t header_count;
    size_t header_bytes;
    bool too_many_headers;
    char *recipients[NULL_SENDER_RECIPIENTS_MAX]; /* only of the null sender */
    size_t recipient_count;
    bool too_many_recipients;
};

struct session {
    sfsistat recipient_answer; /* SMFIS_NOREPLY where it was agreed on */
    sfsistat header_answer;
    struct message *message; /* NULL between messages */
};

/* What end of message found out and does. */
struct outcome {
    const char *queue_id;
    bool sender_changed;
    struct rewrite_edits edits;
};

static atomic_size_t sessions;

/* The session of this connection, made here for a peer that spoke without negotiating, or that goes
 * on after QUIT_NC, which ended the first one. Such a peer gets an answer to every step. */
static struct session *session_of(SMFICTX *context)
{
    struct session *session = smfi_getpriv(context);
    if (session == NULL) {
        session = memory_zero(1, sizeof(*session));
        session->recipient_answer = session->header_answer = SMFIS_CONTINUE;
        smfi_setpriv(context, session);
        atomic_fetch_add(&sessions, 1);
    }
    return session;
}

static bool wants_envelope_of_null_sender(const struct message *message)
{
    return message->sender[0] == '\0' &&
           configuration_settings(message->configuration)->meter == METER_SUBMISSION;
}

static void message_free(struct message *message)
{
    if (message == NULL)
        return;
    for (size_t i = 0; i < message->header_count; i++) {
        free((char *)message->headers[i].name);
        free((char *)message->headers[i].value);
    }
    for (size_t i = 0; i < message->recipient_count; i++)
        free(message->recipients[i]);
    free(message->account.upn);
    free(message->sender);
    free(message->path);
    free(message->envid);
    configuration_release(message->configuration);
    free(message);
}

static void end_message(struct session *session)
{
    message_free(session->message);
    session->message = NULL;
}

static const char *queue_id(SMFICTX *context)
{
    const char *id = smfi_getsymval(context, "i");
    return id != NULL ? id : "NOQUEUE";
}

/* `text` reaches the client: no detail of this host in it. The log line has the reason. */
static sfsistat fail_temporarily(SMFICTX *context, struct session *session, const char *text,
                                 const char *reason)
{
    log_warning("%s: from=<" ERROR_SHOWN ">: deferred: %s", queue_id(context),
                session->message->sender, reason);
    smfi_setreply(context, "451", "4.7.1", (char *)text);
    end_message(session);
    return SMFIS_TEMPFAIL;
}

static sfsistat negotiate(SMFICTX *context, unsigned long actions, unsigned long steps,
                          unsigned long reserved2, unsigned long reserved3,
                          unsigned long *wanted_actions, unsigned long *wanted_steps,
                          unsigned long *wanted_reserved2, unsigned long *wanted_reserved3)
{
    (void)reserved2;
    (void)reserved3;
    if ((actions & ACTIONS_NEEDED) != ACTIONS_NEEDED) {
        log_error("the mail server does not let a milter change sender, recipients and headers "
                  "(offered %#lx); set milter_protocol = 6 in main.cf",
                  actions);
        return SMFIS_REJECT;
    }
    *wanted_actions = ACTIONS_NEEDED;
    *wanted_steps = steps & (STEPS_NOT_NEEDED | STEPS_NOT_ANSWERED);
    *wanted_reserved2 = 0;
    *wanted_reserved3 = 0;
    struct session *session = session_of(context);
    session->recipient_answer = (steps & SMFIP_NR_RCPT) != 0 ? SMFIS_NOREPLY : SMFIS_CONTINUE;
    session->header_answer = (steps & SMFIP_NR_HDR) != 0 ? SMFIS_NOREPLY : SMFIS_CONTINUE;
    return SMFIS_CONTINUE;
}

/* Its mail is for another server: it goes as it came. */
static sfsistat leave_alone(struct session *session, const struct error *reason)
{
    log_info("from=<" ERROR_SHOWN ">: left as it is: %s", session->message->sender, reason->text);
    end_message(session);
    return SMFIS_ACCEPT;
}

/* Of mail from sendmail(1) Postfix tells the bare address. */
static char *path_of(const char *argument)
{
    return argument[0] == '<' ? memory_copy(argument) : memory_format("<%s>", argument);
}

/* What the client has given in MAIL; what is no xtext, or has octets that Postfix would not take
 * from a milter, is none. The ENVID of `sendmail -V` is not told to milters. */
static char *envid_of(char **parameters)
{
    static const char name[] = "ENVID=";
    for (; *parameters != NULL; parameters++) {
        struct buffer envid = {0};
        if (strncasecmp(*parameters, name, strlen(name)) != 0)
            continue;
        if (!xtext_decode(&envid, *parameters + strlen(name)))
            buffer_clear(&envid);
        for (size_t i = 0; i < envid.length; i++)
            if ((unsigned char)envid.data[i] < ' ' || (unsigned char)envid.data[i] >= 0x7f)
                buffer_clear(&envid);
        return buffer_take(&envid);
    }
    return memory_copy("");
}

static sfsistat mail(SMFICTX *context, char **arguments)
{
    struct session *session = session_of(context);
    struct error error;
    end_message(session);
    struct message *message = memory_zero(1, sizeof(*message));
    session->message = message;
    message->configuration = configuration_acquire();
    message->sender =
        identity_sender(configuration_identities(message->configuration), arguments[0]);
    message->path = path_of(arguments[0]);
    message->envid = envid_of(arguments + 1);
    const char *login = smfi_getsymval(context, "{auth_authen}");
    switch (identity_find(configuration_identities(message->configuration),
                          login != NULL ? login : "", message->sender, &message->account, &error)) {
    case TABLE_FOUND:
        return message->account.source == IDENTITY_ELSEWHERE ? leave_alone(session, &error)
                                                             : SMFIS_CONTINUE;
    case TABLE_NONE:
        return fail_temporarily(
            context, session,
            "no Microsoft 365 account for this sender; the administrator may set "
            "post365_upn",
            error.text);
    case TABLE_FAILED:
        break;
    }
    return fail_temporarily(context, session, "the sender's account cannot be looked up now",
                            error.text);
}

static sfsistat recipient(SMFICTX *context, char **arguments)
{
    struct session *session = session_of(context);
    struct message *message = session->message;
    if (message != NULL && wants_envelope_of_null_sender(message)) {
        if (message->recipient_count < NULL_SENDER_RECIPIENTS_MAX)
            message->recipients[message->recipient_count++] = memory_copy(arguments[0]);
        else
            message->too_many_recipients = true;
    }
    return session->recipient_answer;
}

static sfsistat header(SMFICTX *context, char *name, char *value)
{
    struct session *session = session_of(context);
    struct message *message = session->message;
    if (message == NULL || !rewrite_reads(name))
        return session->header_answer;
    size_t length = strlen(value);
    if (message->header_count == HEADERS_MAX || length > HEADER_BYTES_MAX - message->header_bytes) {
        message->too_many_headers = true;
        return session->header_answer;
    }
    message->header_bytes += length;
    message->headers[message->header_count++] = (struct rewrite_header){
        .name = memory_copy(name), .value = memory_copy(value), .value_length = length};
    return session->header_answer;
}

/* Everything is decided here, before the first edit is sent. False with the reason. */
static bool decide(const struct message *message, struct outcome *outcome, struct error *error)
{
    struct coverage_question question = {.identities =
                                             configuration_identities(message->configuration),
                                         .upn = message->account.upn};
    enum table_answer sender_covered = TABLE_FOUND;
    if (message->sender[0] != '\0')
        sender_covered = identity_covers(configuration_identities(message->configuration),
                                         message->account.upn, message->sender, error);
    if (sender_covered == TABLE_FAILED)
        return false;
    outcome->sender_changed =
        sender_covered == TABLE_NONE || wants_envelope_of_null_sender(message);

    const struct rewrite_rules rules =
        coverage_rules(&question, configuration_settings(message->configuration), message->sender,
                       wants_envelope_of_null_sender(message));
    return coverage_is_decided(
        rewrite_headers(message->headers, message->header_count, &rules, &outcome->edits),
        &question, error);
}

/* Says to the transport, where there is one, which account it is; the client's own ENVID goes
 * along. NULL if nobody is to be told, or there is no key. */
static char *make_arguments(const struct message *message, const char *id)
{
    if (configuration_settings(message->configuration)->meter != METER_DELIVERY)
        return NULL;
    struct buffer arguments = {0};
    char *account = address_fold(message->account.upn);
    const struct handover decision = {
        .account = account, .queue_id = (char *)id, .envid = message->envid};
    buffer_append_string(&arguments, "ENVID=");
    bool sealed = sealer_seal(configuration_sealer(), &arguments, &decision);
    free(account);
    if (sealed)
        return buffer_take(&arguments);
    buffer_free(&arguments);
    return NULL;
}

/* Also where the sender is kept: the parameter goes with it. Postfix keeps the client's RET. */
static bool set_sender(SMFICTX *context, const struct message *message,
                       const struct outcome *outcome)
{
    char *arguments = make_arguments(message, outcome->queue_id);
    char *sender = outcome->sender_changed ? memory_format("<%s>", message->account.upn)
                                           : memory_copy(message->path);
    bool fine = (arguments == NULL && !outcome->sender_changed) ||
                smfi_chgfrom(context, sender, arguments) == MI_SUCCESS;
    free(sender);
    free(arguments);
    /* With a sender that a bounce could be sent to, NOTIFY=NEVER (RFC 3461, section 4.1) keeps what
     * the null sender stood for: this message must not bounce. */
    for (size_t i = 0; fine && i < message->recipient_count; i++)
        fine = smfi_delrcpt(context, message->recipients[i]) == MI_SUCCESS &&
               smfi_addrcpt_par(context, message->recipients[i], "NOTIFY=NEVER") == MI_SUCCESS;
    return fine;
}

static bool apply_edit(SMFICTX *context, const struct rewrite_edit *edit)
{
    char *name = (char *)edit->name;
    switch (edit->action) {
    case REWRITE_CHANGE:
    case REWRITE_DELETE:
        return smfi_chgheader(context, name, edit->index, edit->value) == MI_SUCCESS;
    case REWRITE_ADD:
        return smfi_addheader(context, name, edit->value) == MI_SUCCESS;
    }
    return false;
}

static bool apply(SMFICTX *context, const struct message *message, const struct outcome *outcome)
{
    bool fine = set_sender(context, message, outcome);
    for (size_t i = 0; fine && i < outcome->edits.count; i++)
        fine = apply_edit(context, &outcome->edits.items[i]);
    return fine;
}

static const char *what_happened(const struct rewrite_edits *edits, const char *name,
                                 enum rewrite_action action)
{
    static const char *const words[] = {
        [REWRITE_CHANGE] = "rewritten", [REWRITE_DELETE] = "removed", [REWRITE_ADD] = "added"};
    for (size_t i = 0; i < edits->count; i++)
        if (edits->items[i].action == action && strcasecmp(edits->items[i].name, name) == 0)
            return words[action];
    return NULL;
}

static void log_outcome(const struct message *message, const struct outcome *outcome)
{
    const char *from = what_happened(&outcome->edits, "From", REWRITE_CHANGE);
    if (from == NULL)
        from = what_happened(&outcome->edits, "From", REWRITE_ADD);
    log_info(
        "%s: from=<" ERROR_SHOWN ">, account=" ERROR_SHOWN " (%s), sender=%s, From=%s%s%s",
        outcome->queue_id, message->sender, message->account.upn,
        identity_source_name(message->account.source),
        outcome->sender_changed ? "rewritten" : "kept", from != NULL ? from : "kept",
        what_happened(&outcome->edits, "Reply-To", REWRITE_ADD) != NULL ? ", Reply-To=added" : "",
        what_happened(&outcome->edits, "Sender", REWRITE_DELETE) != NULL ? ", Sender=removed" : "");
}

static sfsistat refuse(SMFICTX *context, struct session *session, const char *text)
{
    log_warning("%s: from=<" ERROR_SHOWN ">: rejected: %s", queue_id(context),
                session->message->sender, text);
    smfi_setreply(context, "554", "5.6.0", (char *)text);
    end_message(session);
    return SMFIS_REJECT;
}

static sfsistat end_of_message(SMFICTX *context)
{
    struct session *session = session_of(context);
    struct message *message = session->message;
    struct error error;
    if (message == NULL)
        return SMFIS_TEMPFAIL;
    if (message->too_many_headers)
        return refuse(
            context, session,
            "more From, Sender, Reply-To and Auto-Submitted headers than any message needs");
    if (message->too_many_recipients)
        return refuse(context, session, "too many recipients for a message without a sender");
    struct outcome outcome = {.queue_id = queue_id(context)};
    if (!decide(message, &outcome, &error))
        return fail_temporarily(context, session, "the sender's account cannot be looked up now",
                                error.text);
    bool applied = apply(context, message, &outcome);
    if (applied)
        log_outcome(message, &outcome);
    rewrite_edits_free(&outcome.edits);
    if (!applied)
        return fail_temporarily(context, session, "the message could not be changed now",
                                "the mail server did not take the changes");
    end_message(session);
    return SMFIS_CONTINUE;
}

static sfsistat abort_message(SMFICTX *context)
{
    struct session *session = smfi_getpriv(context);
    if (session != NULL)
        end_message(session);
    return SMFIS_CONTINUE;
}

static sfsistat close_connection(SMFICTX *context)
{
    struct session *session = smfi_getpriv(context);
    if (session == NULL)
        return SMFIS_CONTINUE;
    end_message(session);
    free(session);
    smfi_setpriv(context, NULL);
    atomic_fetch_sub(&sessions, 1);
    return SMFIS_CONTINUE;
}

bool session_register(void)
{
    struct smfiDesc description = {
        .xxfi_name = "post365-milter",
        .xxfi_version = SMFI_VERSION,
        .xxfi_flags = ACTIONS_NEEDED,
        .xxfi_envfrom = mail,
        .xxfi_envrcpt = recipient,
        .xxfi_header = header,
        .xxfi_eom = end_of_message,
        .xxfi_abort = abort_message,
        .xxfi_close = close_connection,
        .xxfi_negotiate = negotiate,
    };
    return smfi_register(description) == MI_SUCCESS;
}

size_t session_count(void)
{
    return atomic_load(&sessions);
}
