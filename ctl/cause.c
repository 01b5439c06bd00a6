/* cause.c - why a message waits: the reason in Postfix's queue, in plain words, with the remedy */
#include "ctl/cause.h"

#include "common/reply.h"

#include <string.h>

#define ROWS_MAX 100

/* --- what is not an answer of Office 365's --------------------------------------- */

enum own {
    /* of post365-transport, common/room.h */
    RECIPIENTS_USED,
    MESSAGES_USED,
    TURN,
    PAUSED_BY_HAND,
    LEDGER_DOWN,
    NOT_THE_ACCOUNT,
    NO_ACCOUNT,
    NO_CREDENTIALS,
    NO_LOGIN_OFFERED,
    NO_PATIENCE,
    MAYBE_DELIVERED,
    WRONG_SETTING,
    /* on the way to the server */
    CERTIFICATE_NAME,
    CERTIFICATE_TIME,
    CERTIFICATE_TRUST,
    NO_STARTTLS,
    TLS_FAILED,
    NAME_UNKNOWN,
    SERVER_DOWN,
    CONNECTION_LOST,
    NOT_SMTP,
    /* on this host */
    TRANSPORT_DOWN,
    MILTER_DOWN,
    NO_SERVICE,
    UNDELIVERABLE_YET,
    NOT_TRIED,
    OTHER,
    OWN_CAUSES,
};

static const struct cause own[OWN_CAUSES] = {
    [RECIPIENTS_USED] = {.name = "recipients-used",
                         .meaning = "The account has sent to as many recipients as it may in a "
                                    "rolling period.",
                         .remedy = "Nothing: it goes when the oldest of them leave the period. If "
                                   "it happens often, spread the mail over more accounts.",
                         .wait = CAUSE_ROOM},
    [MESSAGES_USED] = {.name = "messages-used",
                       .meaning = "The account has sent as many messages as it may in a rolling "
                                  "period.",
                       .remedy = "Nothing: the mail leaves at the speed that is allowed.",
                       .wait = CAUSE_ROOM},
    [TURN] = {.name = "waits-its-turn",
              .meaning = "Other mail of the account came first and waits for room.",
              .remedy = "Nothing: it goes when its turn comes.",
              .wait = CAUSE_ROOM},
    [PAUSED_BY_HAND] = {.name = "paused-by-hand",
                        .meaning = "Somebody has paused the account.",
                        .remedy = "`post365 resume <UPN>` lets its mail go.",
                        .wait = CAUSE_PAUSE},
    [LEDGER_DOWN] =
        {.name = "ledger-unavailable",
         .meaning = "post365-policyd could not be asked whether the account has room.",
         .remedy = "`systemctl status post365-policyd` and `journalctl -u post365-policyd` say "
                   "why; start it, and the mail goes by itself.",
         .wait = CAUSE_SOMEBODY},
    [NOT_THE_ACCOUNT] = {.name = "sender-not-account",
                         .meaning = "The envelope sender is neither the account nor an address "
                                    "that it may send as, so that Office 365 would refuse it.",
                         .remedy = "Let the milter rewrite such mail (`smtpd_milters` and "
                                   "`non_smtpd_milters`), or name the address in "
                                   "`post365_send_as_maps`. For what is queued already: `postsuper "
                                   "-r` with the queue id puts it through the milter again.",
                         .wait = CAUSE_SOMEBODY},
    [NO_ACCOUNT] = {.name = "no-account",
                    .meaning = "No account is known for the envelope sender.",
                    .remedy = "Set `post365_upn` in main.cf, or give `post365_sender_upn_maps` a "
                              "line for the sender.",
                    .wait = CAUSE_SOMEBODY},
    [NO_CREDENTIALS] = {.name = "no-credentials",
                        .meaning = "There is no password and no token for the account.",
                        .remedy = "Add the line `<UPN> <UPN>:password` to the table that "
                                  "`post365_password_maps` names, and run postmap on it.",
                        .wait = CAUSE_SOMEBODY},
    [NO_LOGIN_OFFERED] = {.name = "login-not-offered",
                          .meaning = "The server does not offer the way to log in that the account "
                                     "needs.",
                          .remedy = "Check that `relayhost` is [smtp.office365.com]:587 and that "
                                    "nothing stands between.",
                          .wait = CAUSE_SOMEBODY},
    [NO_PATIENCE] = {.name = "no-answer-in-time",
                     .meaning = "There was no room, connection or answer within the time that "
                                "Postfix waits.",
                     .remedy = "Nothing: it is tried again.",
                     .wait = CAUSE_SCHEDULE},
    [MAYBE_DELIVERED] = {.name = "maybe-delivered",
                         .meaning = "The connection ended after the whole message was sent and "
                                    "before the reply: it may have been delivered.",
                         .remedy = "Nothing: it is sent again, rather twice than not at all. To "
                                   "prevent that look into the account's Sent Items, and delete it "
                                   "here if it is there.",
                         .wait = CAUSE_SCHEDULE},
    [WRONG_SETTING] = {.name = "wrong-setting",
                       .meaning = "A setting or a table of post365 cannot be used.",
                       .remedy = "The reason names file, parameter and value; `post365-transport "
                                 "-t` checks them.",
                       .wait = CAUSE_SOMEBODY},
    [CERTIFICATE_NAME] = {.name = "certificate-name",
                          .meaning = "The server's certificate is for another name.",
                          .remedy = "Check that `relayhost` is [smtp.office365.com]:587, spelled "
                                    "like the certificate. If it is, somebody stands between: a "
                                    "proxy, a firewall, a changed hosts file or DNS.",
                          .wait = CAUSE_SOMEBODY},
    [CERTIFICATE_TIME] = {.name = "certificate-expired",
                          .meaning = "The server's certificate is not valid at this time.",
                          .remedy = "Check this machine's clock (`timedatectl`). If it is right, "
                                    "somebody stands between.",
                          .wait = CAUSE_SOMEBODY},
    [CERTIFICATE_TRUST] = {.name = "certificate-untrusted",
                           .meaning = "No authority that is known here vouches for the server's "
                                      "certificate.",
                           .remedy = "Install ca-certificates, and let `post365_tls_CAfile` (or "
                                     "`smtp_tls_CAfile`) be /etc/ssl/certs/ca-certificates.crt. "
                                     "If it is, somebody stands between.",
                           .wait = CAUSE_SOMEBODY},
    [NO_STARTTLS] = {.name = "starttls-not-offered",
                     .meaning = "The server does not offer encryption.",
                     .remedy = "Something between here and Microsoft removes STARTTLS, such as a "
                               "firewall that inspects SMTP: let it leave port 587 alone.",
                     .wait = CAUSE_SOMEBODY},
    [TLS_FAILED] = {.name = "tls-failed",
                    .meaning = "An encrypted connection could not be made.",
                    .remedy = "`post365 doctor` shows what the server says. Often something "
                              "stands between, such as a firewall.",
                    .wait = CAUSE_SCHEDULE},
    [NAME_UNKNOWN] = {.name = "name-unresolved",
                      .meaning = "The server's name has no address.",
                      .remedy = "Check `relayhost` and this machine's DNS (`getent hosts "
                                "smtp.office365.com`).",
                      .wait = CAUSE_SCHEDULE},
    [SERVER_DOWN] = {.name = "server-unreachable",
                     .meaning = "The server does not accept connections from here.",
                     .remedy = "Check the line and that a firewall lets port 587 out; `post365 "
                               "doctor` tries it.",
                     .wait = CAUSE_SCHEDULE},
    [CONNECTION_LOST] = {.name = "connection-lost",
                         .meaning = "The connection ended, or nothing more came over it, in the "
                                    "middle of the dialogue.",
                         .remedy = "Nothing: it is tried again. If it lasts, look for a firewall "
                                   "that cuts connections, or an MTU that is too large.",
                         .wait = CAUSE_SCHEDULE},
    [NOT_SMTP] = {.name = "not-smtp",
                  .meaning = "What answers does not speak SMTP as it should.",
                  .remedy = "Check that `relayhost` is [smtp.office365.com]:587 and that nothing "
                            "between changes the dialogue.",
                  .wait = CAUSE_SOMEBODY},
    [TRANSPORT_DOWN] =
        {.name = "transport-down",
         .meaning = "post365-transport does not answer.",
         .remedy = "`systemctl status post365-transport` and `journalctl -u post365-transport` "
                   "say why; start it, and the mail goes by itself.",
         .wait = CAUSE_SOMEBODY},
    [MILTER_DOWN] =
        {.name = "milter-down",
         .meaning = "post365-milter does not answer: Postfix leaves this machine's mail in the "
                    "maildrop, and tells clients to come again later.",
         .remedy = "`systemctl status post365-milter` and `journalctl -u post365-milter` say why; "
                   "start it, and the mail goes by itself.",
         .wait = CAUSE_SOMEBODY},
    [NO_SERVICE] = {.name = "service-missing",
                    .meaning = "main.cf names a transport that master.cf does not have.",
                    .remedy = "Put the post365 service into master.cf (`post365 setup` shows it), "
                              "then `postfix reload`.",
                    .wait = CAUSE_SOMEBODY},
    [UNDELIVERABLE_YET] = {.name = "postfix-trouble",
                           .meaning = "Postfix itself could not work on the message.",
                           .remedy = "Postfix's lines in its log at that time say why (mail.log, "
                                     "or `journalctl --facility=mail`).",
                           .wait = CAUSE_SOMEBODY},
    [NOT_TRIED] = {.name = "on-its-way",
                   .meaning =
                       "No attempt has failed: it is on its way, or waits for room within the "
                       "account's limits.",
                   .remedy = "Nothing: `post365 status` shows the room.",
                   .wait = CAUSE_SCHEDULE},
    [OTHER] = {.name = "other",
               .meaning = "The reason says it.",
               .remedy = "Read the reason; `post365 queue explain` shows it whole.",
               .wait = CAUSE_SCHEDULE},
};

/* Words that make a cause; the first row that fits counts. `also` may be NULL. */
static const struct {
    const char *words, *also;
    enum own cause;
} signs[] = {
    {" has used ", " recipients per ", RECIPIENTS_USED},
    {" has used ", " messages per ", MESSAGES_USED},
    {" waits its turn; room at ", NULL, TURN},
    {"the sending quota cannot be checked now", NULL, LEDGER_DOWN},
    {" is not the account ", NULL, NOT_THE_ACCOUNT},
    {"no account for sender <", NULL, NO_ACCOUNT},
    {"no credentials for account ", NULL, NO_CREDENTIALS},
    {" is not offered; without it no password is sent", NULL, NO_STARTTLS},
    {": AUTH ", " is not offered", NO_LOGIN_OFFERED},
    {"no mechanism available", NULL, NO_LOGIN_OFFERED},
    {"within Postfix's patience", NULL, NO_PATIENCE},
    {"it may have been delivered", NULL, MAYBE_DELIVERED},
    {"message may be sent more than once", NULL, MAYBE_DELIVERED},
    {"main.cf: post365_", NULL, WRONG_SETTING},
    {"the certificate is for another name", NULL, CERTIFICATE_NAME},
    {"Server certificate not verified", NULL, CERTIFICATE_NAME},
    {"the certificate of ", " is not valid now", CERTIFICATE_TIME},
    {"the certificate of ", " is not trusted", CERTIFICATE_TRUST},
    {"Server certificate not trusted", NULL, CERTIFICATE_TRUST},
    {"TLS is required, but was not offered", NULL, NO_STARTTLS},
    {"TLS with ", " failed", TLS_FAILED},
    {"TLS cannot be begun", NULL, TLS_FAILED},
    {"Cannot start TLS", NULL, TLS_FAILED},
    {"the name cannot be resolved", NULL, NAME_UNKNOWN},
    {"Host or domain name not found", NULL, NAME_UNKNOWN},
    {"Host not found", NULL, NAME_UNKNOWN},
    {"no address answers", NULL, SERVER_DOWN},
    {"does not speak SMTP", NULL, NOT_SMTP},
    {"spoke before its turn", NULL, NOT_SMTP},
    {"in plain text behind STARTTLS's reply", NULL, NOT_SMTP},
    {"[post365/", "connect to ", TRANSPORT_DOWN},
    {"[post365/", "lost connection with ", TRANSPORT_DOWN},
    {"[post365/", "conversation with ", TRANSPORT_DOWN},
    {"post365-transport is closing", NULL, TRANSPORT_DOWN},
    {"Service is closing", "[post365/", TRANSPORT_DOWN},
    {"the connection was lost", NULL, CONNECTION_LOST},
    {" does not answer", NULL, CONNECTION_LOST},
    {"does not take the message", NULL, CONNECTION_LOST},
    {"lost connection with ", NULL, CONNECTION_LOST},
    {"conversation with ", " timed out", CONNECTION_LOST},
    {"connect to ", NULL, SERVER_DOWN},
    {"mail transport unavailable", NULL, NO_SERVICE},
    {"unknown mail transport error", NULL, UNDELIVERABLE_YET},
};

/* --- of Office 365 ---------------------------------------------------------------- */

/* Filled when it is first needed; then constant. */
static struct cause of_rows[ROWS_MAX];

static enum cause_wait wait_of(const struct office365_row *row)
{
    if (row->needs_admin)
        return CAUSE_SOMEBODY;
    return row->account == OFFICE365_ACCOUNT_NOTHING ? CAUSE_SCHEDULE : CAUSE_PAUSE;
}

const struct cause *cause_of_row(const struct office365_row *row)
{
    struct cause *cause = &of_rows[office365_row_number(row)];
    if (cause->name == NULL)
        *cause = (struct cause){.name = row->name,
                                .meaning = row->meaning,
                                .remedy = row->remedy,
                                .wait = wait_of(row),
                                .row = row};
    return cause;
}

static const struct office365_row *row_named(const char *name, size_t length)
{
    size_t count;
    const struct office365_row *rows = office365_rows(&count);
    for (size_t i = 0; i < count; i++)
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, name, length) == 0)
            return &rows[i];
    return NULL;
}

/* The name in "NAME: ...", as the transport writes it. */
static const struct office365_row *row_written(const char *text)
{
    return row_named(text, strcspn(text, ": "));
}

/* What stands behind `words` in `text`, the last time; or NULL. */
static const char *behind_last(const char *text, const char *words)
{
    const char *found = NULL;
    for (const char *at = text; (at = strstr(at, words)) != NULL;)
        found = at += strlen(words);
    return found;
}

/* Where a stage stands as the transport writes it, "AUTH) ...". */
static enum reply_stage stage_written(const char *words)
{
    for (int stage = REPLY_STAGE_CONNECT; words != NULL && stage < REPLY_STAGES; stage++) {
        const char *name = office365_stage_words((enum reply_stage)stage);
        if (strncmp(words, name, strlen(name)) == 0 && words[strlen(name)] == ')')
            return (enum reply_stage)stage;
    }
    return REPLY_STAGE_UNKNOWN;
}

/* "...said: 435 4.7.3 host H said: 535 5.7.3 text (in reply to AUTH); credentials-refused: remedy
 * (in reply to end of DATA command)": the transport's own word for it counts, else the reply. */
static const struct cause *find_answer(const char *reason)
{
    static const char stage_before[] = "(in reply to ";
    const struct office365_row *row = NULL;
    const char *told = strstr(reason, "); ");
    for (; told != NULL && row == NULL; told = strstr(told, "); "))
        row = row_written(told += 3);
    if (row != NULL)
        return cause_of_row(row);
    struct reply reply;
    if (!reply_find(&reply, reason, strlen(reason), NULL) || reply.code == 0)
        return NULL;
    enum reply_stage at = reply.stage;
    const char *inner = behind_last(reason, " said: ");
    const char *stage = inner != NULL ? strstr(inner, stage_before) : NULL;
    if (inner != NULL && inner[0] >= '2' && inner[0] <= '5')
        reply_find(&reply, inner, strlen(inner), NULL);
    if (stage != NULL && stage_written(stage + strlen(stage_before)) != REPLY_STAGE_UNKNOWN)
        at = stage_written(stage + strlen(stage_before));
    return cause_of_row(office365_explain(&reply, at));
}

/* --- both -------------------------------------------------------------------------- */

/* "X is paused until 14:05:00 (in 61 s): security-defaults: 435 ...": see common/room.h and the
 * transport, which puts the name before its cause. */
static const struct cause *find_pause(const char *reason)
{
    const char *at = strstr(reason, " is paused until ");
    const char *cause = at != NULL ? strstr(at, " s): ") : NULL;
    if (at == NULL)
        return NULL;
    if (cause != NULL)
        cause += strlen(" s): ");
    else if ((cause = strstr(at, " resumes it: ")) != NULL)
        cause += strlen(" resumes it: ");
    const struct office365_row *row = cause != NULL ? row_written(cause) : NULL;
    return row != NULL ? cause_of_row(row) : &own[PAUSED_BY_HAND];
}

/* How much of a reason is ours and Postfix's: up to where a server's reply begins, other than
 * post365-transport's own. */
static size_t length_before_answer(const char *reason)
{
    static const char said[] = " said: ", ours[] = "[post365/";
    for (const char *at = reason; (at = strstr(at, said)) != NULL; at += strlen(said)) {
        size_t length = (size_t)(at - reason);
        const char *host = memrchr(reason, '[', length);
        if (host == NULL || at[-1] != ']' || strncmp(host, ours, strlen(ours)) != 0)
            return length;
    }
    return strlen(reason);
}

static bool has_words(const char *text, size_t length, const char *words)
{
    return words == NULL || memmem(text, length, words, strlen(words)) != NULL;
}

static const struct cause *find_own(const char *reason)
{
    size_t length = length_before_answer(reason);
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (has_words(reason, length, signs[i].words) && has_words(reason, length, signs[i].also))
            return &own[signs[i].cause];
    return NULL;
}

const struct cause *cause_find(const char *reason)
{
    if (reason == NULL || reason[0] == '\0')
        return &own[NOT_TRIED];
    const struct cause *cause = find_pause(reason);
    if (cause == NULL)
        cause = find_own(reason);
    if (cause == NULL)
        cause = find_answer(reason);
    return cause != NULL ? cause : &own[OTHER];
}

bool cause_is_general(const struct cause *cause)
{
    return cause == &own[NOT_TRIED] || cause == &own[OTHER];
}

size_t cause_count(void)
{
    size_t rows;
    office365_rows(&rows);
    return OWN_CAUSES + rows;
}

const struct cause *cause_at(size_t number)
{
    size_t rows;
    return number < OWN_CAUSES ? &own[number]
                               : cause_of_row(&office365_rows(&rows)[number - OWN_CAUSES]);
}

const struct cause *cause_named(const char *name)
{
    for (size_t i = 0; i < cause_count(); i++)
        if (strcmp(cause_at(i)->name, name) == 0)
            return cause_at(i);
    return NULL;
}
