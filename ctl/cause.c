/* cause.c - why a message waits: the reason in Postfix's queue, in plain words, with the remedy */
#include "ctl/cause.h"

#include "common/blanks.h"
#include "common/memory.h"
#include "common/relayhost.h"

#include <stdlib.h>
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
    UNFIT_CREDENTIALS,
    FOR_ANOTHER_SERVER,
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
    SOURCE_ADDRESS,
    DIRECT_SEND,
    CONNECTION_LOST,
    CONNECTION_STALLED,
    LOGIN_UNANSWERED,
    NOT_SMTP,
    /* on this host */
    TRANSPORT_DOWN,
    MILTER_DOWN,
    NO_SERVICE,
    UNDELIVERABLE_YET,
    LOCAL_DELIVERY,
    /* elsewhere */
    ANOTHER_SERVER,
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
    [LEDGER_DOWN] = {.name = "ledger-unavailable",
                     .meaning = "post365-policyd could not be asked whether the account has room.",
                     .remedy = "`systemctl status post365-policyd` and `journalctl -u "
                               "post365-policyd` say why; start it, and the mail goes by itself.",
                     .wait = CAUSE_SOMEBODY},
    /* No more given; it may stand in a queue from before. */
    [NOT_THE_ACCOUNT] = {.name = "sender-not-account",
                         .meaning = "The envelope sender is not the account, and the "
                                    "post365-transport that tried it did not send such mail.",
                         .remedy =
                             "Nothing, or `post365 queue flush`: it goes at the next attempt, "
                             "with the account as its sender. If it does not, restart "
                             "post365-transport: it is of an earlier version.",
                         .wait = CAUSE_SCHEDULE},
    [NO_ACCOUNT] = {.name = "no-account",
                    .meaning = "No account is known for the envelope sender.",
                    .remedy = "Set `post365_upn` in main.cf, or give `post365_sender_upn_maps` a "
                              "line for the sender.",
                    .wait = CAUSE_SOMEBODY},
    [NO_CREDENTIALS] =
        {.name = "no-credentials",
         .meaning = "There is no password and no token for the account.",
         .remedy =
             "Add the line `<UPN> <UPN>:password` to the table that "
             "`post365_password_maps` names (unless it is set, "
             "`smtp_sasl_password_maps`), and run postmap on it if it is an indexed one. With "
             "OAuth2: a line for the account in `post365_oauth2_maps`.",
         .wait = CAUSE_SOMEBODY},
    [UNFIT_CREDENTIALS] = {.name = "credentials-unfit",
                           .meaning = "What the table has for the account is no password, or the "
                                      "file no access token: it is not sent.",
                           .remedy = "The reason says what stands there and what belongs there. An "
                                     "access token goes into a file of its own, which "
                                     "`post365_token_maps` names.",
                           .wait = CAUSE_SOMEBODY},
    [FOR_ANOTHER_SERVER] =
        {.name = "for-another-server",
         .meaning = "`sender_dependent_relayhost_maps` has the sender's mail for another server "
                    "than Microsoft's, and Postfix has handed it to post365-transport.",
         .remedy = "Let `sender_dependent_default_transport_maps` have `smtp:` for the sender, as "
                   "the reason shows; `post365 setup` does it. Then `postfix reload`.",
         .wait = CAUSE_SOMEBODY},
    [NO_LOGIN_OFFERED] =
        {.name = "login-not-offered",
         .meaning = "The server and this relay have no way to log in in common.",
         .remedy = "Check that `relayhost` is [smtp.office365.com]:587 and that "
                   "nothing stands between. Where Postfix's own smtp client logs in: `apt "
                   "install libsasl2-modules`, and `smtp_sasl_security_options = noanonymous`.",
         .wait = CAUSE_SOMEBODY},
    [NO_PATIENCE] = {.name = "no-answer-in-time",
                     .meaning = "There was no room, connection or answer within the time that "
                                "Postfix waits.",
                     .remedy = "Nothing: it is tried again.",
                     .wait = CAUSE_SCHEDULE},
    [MAYBE_DELIVERED] = {.name = "maybe-delivered",
                         .meaning = "The connection ended after the whole message was sent and "
                                    "before the reply: it may have been delivered, and each "
                                    "further attempt may make a copy.",
                         .remedy = "Once: nothing. It is sent again at Postfix's next attempt, "
                                   "rather twice than not at all; to prevent that look into the "
                                   "account's Sent Items, and delete it here if it is there. Again "
                                   "and again: something between here and Microsoft closes "
                                   "connections, such as an antivirus, an SMTP proxy or a firewall "
                                   "that inspects SMTP: let it leave port 587 alone; or Microsoft "
                                   "has trouble (Service health in the Microsoft 365 admin "
                                   "centre). The account is paused then, and tried now and then.",
                         .wait = CAUSE_SCHEDULE},
    [WRONG_SETTING] = {.name = "wrong-setting",
                       .meaning = "A setting or a table of post365 cannot be used.",
                       .remedy = "The reason names file, parameter and value; `post365-transport "
                                 "-t` checks them.",
                       .wait = CAUSE_SOMEBODY},
    [CERTIFICATE_NAME] = {.name = "certificate-name",
                          .meaning = "The server's certificate is for another name.",
                          .remedy = "Check that `relayhost` is [smtp.office365.com]:587, spelled "
                                    "like the certificate. If it is, something stands between: a "
                                    "proxy, a firewall, a changed hosts file or DNS.",
                          .wait = CAUSE_SOMEBODY},
    [CERTIFICATE_TIME] = {.name = "certificate-expired",
                          .meaning = "The server's certificate is not valid at this time.",
                          .remedy = "Check this machine's clock (`timedatectl`). If it is right, "
                                    "something stands between.",
                          .wait = CAUSE_SOMEBODY},
    [CERTIFICATE_TRUST] = {.name = "certificate-untrusted",
                           .meaning = "No authority that is known here vouches for the server's "
                                      "certificate.",
                           .remedy = "Install ca-certificates, and let `post365_tls_CAfile` (or "
                                     "`smtp_tls_CAfile`) be /etc/ssl/certs/ca-certificates.crt. "
                                     "If it is, something stands between.",
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
    [SOURCE_ADDRESS] = {.name = "source-address",
                        .meaning = "Connections may come from one address alone, and this machine "
                                   "does not have it.",
                        .remedy = "Correct `smtp_bind_address`, `smtp_bind_address6` or "
                                  "`inet_interfaces` (`ip address` shows what the machine has), "
                                  "or set `smtp_bind_address_enforce = no`; then `systemctl "
                                  "reload post365-transport`.",
                        .wait = CAUSE_SOMEBODY},
    [DIRECT_SEND] = {.name = "mail-exchanger",
                     .meaning = "`relayhost` is a tenant's mail exchanger (MX): that is direct "
                                "send, where nobody can log in.",
                     .remedy = "Set `relayhost = [smtp.office365.com]:587`, and a line for that in "
                               "the password table.",
                     .wait = CAUSE_SOMEBODY},
    [CONNECTION_LOST] = {.name = "connection-lost",
                         .meaning = "The connection ended in the middle of the dialogue.",
                         .remedy = "Nothing: it is tried again. If it lasts, look for a firewall "
                                   "that cuts connections, or an MTU that is too large.",
                         .wait = CAUSE_SCHEDULE},
    [CONNECTION_STALLED] = {.name = "connection-stalled",
                            .meaning = "A connection is there, but nothing comes, or goes, over it "
                                       "any more.",
                            .remedy =
                                "Nothing: other connections are tried, and the mail is sent "
                                "again. If it lasts, look for a firewall or an antivirus that "
                                "holds mail back, for a line that loses packets, or an MTU "
                                "that is too large.",
                            .wait = CAUSE_SCHEDULE},
    [LOGIN_UNANSWERED] = {.name = "login-unanswered",
                          .meaning = "The server has neither accepted nor refused the login: it "
                                     "closed the connection, said nothing, or what is no answer.",
                          .remedy = "Nothing, if it is Microsoft's trouble (Service health in the "
                                    "Microsoft 365 admin centre). If it lasts, something between "
                                    "here and Microsoft may change the dialogue; `post365 doctor` "
                                    "shows what is said. The account is paused meanwhile, so that "
                                    "not one password after the other is sent.",
                          .wait = CAUSE_SCHEDULE},
    [NOT_SMTP] = {.name = "not-smtp",
                  .meaning = "What answers does not speak SMTP as it should.",
                  .remedy = "Check that `relayhost` is [smtp.office365.com]:587 and that nothing "
                            "between changes the dialogue.",
                  .wait = CAUSE_SOMEBODY},
    [TRANSPORT_DOWN] =
        {.name = "transport-down",
         .meaning = "post365-transport does not answer.",
         .remedy = "`systemctl status post365-transport` and `journalctl -u "
                   "post365-transport` say why; start it, and the mail goes by itself. If it runs "
                   "and has no socket for the account, `post365 doctor` says what the "
                   "account lacks.",
         .wait = CAUSE_SOMEBODY},
    [MILTER_DOWN] =
        {.name = "milter-down",
         .meaning = "post365-milter does not answer, and Postfix leaves this machine's mail in the "
                    "maildrop.",
         .remedy = "`systemctl status post365-milter` and `journalctl -u post365-milter` say why; "
                   "start it, and the mail goes by itself.",
         .wait = CAUSE_SOMEBODY},
    [NO_SERVICE] =
        {.name = "service-missing",
         .meaning = "main.cf names a transport that master.cf does not have.",
         .remedy = "Postfix's log names the transport (`journalctl -t postfix/qmgr`). If it is "
                   "post365's, `post365 setup` shows the service that master.cf needs; then "
                   "`postfix reload`.",
         .wait = CAUSE_SOMEBODY},
    [UNDELIVERABLE_YET] =
        {.name = "postfix-trouble",
         .meaning = "Postfix itself could not work on the message.",
         .remedy = "Postfix's lines in its log at that time (`journalctl -t postfix/qmgr`) "
                   "say why.",
         .wait = CAUSE_SOMEBODY},
    [LOCAL_DELIVERY] = {.name = "local-delivery",
                        .meaning = "This machine delivers it by itself, to a mailbox or a program, "
                                   "and that failed.",
                        .remedy = "Nothing of post365's: the reason names the mailbox or the "
                                  "program.",
                        .wait = CAUSE_SCHEDULE},
    [ANOTHER_SERVER] =
        {.name = "another-server",
         .meaning = "It does not go to Microsoft: Postfix's own tables "
                    "(transport_maps, sender_dependent_relayhost_maps, content_filter "
                    "and the like) send it to "
                    "another server, and it has not been taken there yet.",
         .remedy = "Read the reason: a reply is that server's (look there, or ask who runs "
                   "it); a name that is not found, or a connection that fails, is the "
                   "way from this relay to it.",
         .wait = CAUSE_SCHEDULE},
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

/* Whose words they are. */
enum whose {
    OURS,  /* post365's, and what Postfix says of its sockets */
    SMTP,  /* of Postfix's smtp client, about whatever server */
    LOCAL, /* of Postfix, about no server */
};

/* Words that make a cause; the first row that fits counts. `also` may be NULL. */
static const struct {
    const char *words, *also;
    enum own cause;
    enum whose whose;
} signs[] = {
    {" has used ", " recipients per ", RECIPIENTS_USED, OURS},
    {" has used ", " messages per ", MESSAGES_USED, OURS},
    {" waits its turn; room at ", NULL, TURN, OURS},
    {"the sending quota cannot be checked now", NULL, LEDGER_DOWN, OURS},
    {" is not the account ", NULL, NOT_THE_ACCOUNT, OURS},
    {" is for ", " (sender_dependent_relayhost_maps", FOR_ANOTHER_SERVER, OURS},
    {"no account for sender <", NULL, NO_ACCOUNT, OURS},
    {"no credentials for account ", NULL, NO_CREDENTIALS, OURS},
    {" is not offered; without it no password is sent", NULL, NO_STARTTLS, OURS},
    {"a tenant's MX, direct send", NULL, DIRECT_SEND, OURS},
    {": AUTH ", " is not offered", NO_LOGIN_OFFERED, OURS},
    {"no mechanism available", NULL, NO_LOGIN_OFFERED, SMTP},
    {"cannot authenticate to server ", NULL, NO_LOGIN_OFFERED, SMTP},
    {"within Postfix's patience", NULL, NO_PATIENCE, OURS},
    {"it may have been delivered", NULL, MAYBE_DELIVERED, OURS},
    {"message may be sent more than once", NULL, MAYBE_DELIVERED, SMTP},
    {"the password for key ", " not sent", UNFIT_CREDENTIALS, OURS},
    {"nothing of it is sent; ", NULL, UNFIT_CREDENTIALS, OURS},
    {"the first line is no access token; ", NULL, UNFIT_CREDENTIALS, OURS},
    {"main.cf: post365_", NULL, WRONG_SETTING, OURS},
    {"the certificate is for another name", NULL, CERTIFICATE_NAME, OURS},
    {"Server certificate not verified", NULL, CERTIFICATE_NAME, SMTP},
    {"the certificate of ", " is not valid now", CERTIFICATE_TIME, OURS},
    {"the certificate of ", " is not trusted", CERTIFICATE_TRUST, OURS},
    {"Server certificate not trusted", NULL, CERTIFICATE_TRUST, SMTP},
    {"TLS is required, but was not offered", NULL, NO_STARTTLS, SMTP},
    {"TLS with ", " failed", TLS_FAILED, OURS},
    {"TLS cannot be begun", NULL, TLS_FAILED, OURS},
    {"Cannot start TLS", NULL, TLS_FAILED, SMTP},
    {"the name cannot be resolved", NULL, NAME_UNKNOWN, OURS},
    {"Host or domain name not found", NULL, NAME_UNKNOWN, SMTP},
    {"Host not found", NULL, NAME_UNKNOWN, SMTP},
    {"no address answers: ", "smtp_bind_address", SOURCE_ADDRESS, OURS},
    {"no address answers", NULL, SERVER_DOWN, OURS},
    {"does not speak SMTP", NULL, NOT_SMTP, OURS},
    {"spoke before its turn", NULL, NOT_SMTP, OURS},
    {"in plain text behind STARTTLS's reply", NULL, NOT_SMTP, OURS},
    {"[post365/", "connect to ", TRANSPORT_DOWN, OURS},
    {"[post365/", "lost connection with ", TRANSPORT_DOWN, OURS},
    {"[post365/", "conversation with ", TRANSPORT_DOWN, OURS},
    {"post365-transport is closing", NULL, TRANSPORT_DOWN, OURS},
    {"Service is closing", "[post365/", TRANSPORT_DOWN, OURS},
    {"(AUTH)", "451 4.4.1 ", LOGIN_UNANSWERED, OURS},
    {"the connection was lost", NULL, CONNECTION_LOST, OURS},
    {" does not answer", NULL, CONNECTION_STALLED, OURS},
    {"does not take the message", NULL, CONNECTION_STALLED, OURS},
    {"lost connection with ", NULL, CONNECTION_LOST, SMTP},
    {"conversation with ", " timed out", CONNECTION_LOST, SMTP},
    {"connect to ", NULL, SERVER_DOWN, SMTP},
    {"mail transport unavailable", NULL, NO_SERVICE, LOCAL},
    {"unknown mail transport error", NULL, UNDELIVERABLE_YET, LOCAL},
};

/* How local(8), virtual(8) and pipe(8) begin what they say. */
static const char *const local_beginnings[] = {
    "temporary failure",
    "Command time limit exceeded",
    "Command died with",
    "cannot update mailbox",
    "cannot access mailbox",
    "cannot open mailbox",
    "cannot create",
    "maildir delivery failed",
    "mailbox delivery failed",
    "error writing message",
    "error reading forward file",
    "unable to look up user",
    "user lookup error",
    "alias database",
    "virtual mailbox",
    "recipient address must not be",
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

static const struct cause *cause_of_row(const struct office365_row *row)
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

/* --- of the token endpoint, and the way to it -------------------------------------- */

/* As above. */
static struct cause of_entra[ROWS_MAX];

static const struct cause *cause_of_entra(const struct entra_row *row)
{
    size_t count;
    struct cause *cause = &of_entra[row - entra_rows(&count)];
    if (cause->name == NULL)
        *cause = (struct cause){.name = row->name,
                                .meaning = row->meaning,
                                .remedy = row->remedy,
                                .wait = row->class == ENTRA_RETRY ? CAUSE_PAUSE : CAUSE_SOMEBODY,
                                .entra = row};
    return cause;
}

/* The name in "NAME: ...". */
static const struct cause *entra_written(const char *text)
{
    char *name = memory_copy_bytes(text, strcspn(text, ": "));
    const struct entra_row *row = entra_named(name);
    free(name);
    return row != NULL ? cause_of_entra(row) : NULL;
}

/* "...; secret-expired: remedy", as the transport writes it, or Microsoft's own number. */
static const struct cause *find_entra(const char *text)
{
    const struct entra_row *row = entra_of_text(text, strlen(text));
    return row != NULL ? cause_of_entra(row) : NULL;
}

/* The name in "NAME: ...", as the transport writes it. */
static const struct office365_row *row_written(const char *text)
{
    return row_named(text, strcspn(text, ": "));
}

/* "...said: 435 4.7.3 host H said: 535 5.7.3 text (in reply to AUTH); credentials-refused: remedy
 * (in reply to end of DATA command)": the transport's own word for it counts, else the reply. */
static const struct cause *find_answer(const char *reason)
{
    const struct office365_row *row = NULL;
    const char *told = strstr(reason, "); ");
    for (; told != NULL && row == NULL; told = strstr(told, "); "))
        row = row_written(told += 3);
    if (row != NULL)
        return cause_of_row(row);
    struct reply reply;
    struct judgement judgement;
    if (strstr(reason, " exceeds size limit ") != NULL && strstr(reason, " of server ") != NULL)
        return cause_named("message-too-large"); /* smtp(8), before it asks */
    if (!judgement_of_text(reason, strlen(reason), &reply, &judgement, NULL) || reply.code == 0)
        return NULL;
    return cause_of_row(judgement.row);
}

bool cause_judge(const struct cause *cause, const char *reason, struct reply *reply,
                 struct judgement *judgement, struct error *error)
{
    if (!judgement_of_text(reason, strlen(reason), reply, judgement, error))
        return false;
    if (cause->row != NULL)
        judgement_take_row(judgement, cause->row);
    return true;
}

/* --- whose it is --------------------------------------------------------------------- */

#define SOCKETS "post365/"

/* What Postfix says in front of "NAME[ADDRESS]", or "name=" and the name alone. */
static const char *const before_server[] = {
    "connect to ", "lost connection with ",        "conversation with ", "by host ", "host ",
    "server ",     "Name service error for name=",
};

/* The name and the address in brackets behind it; their lengths are 0 where there is none. */
struct server {
    const char *name, *address;
    size_t name_length, address_length;
};

static bool read_server(const char *text, bool is_alone, struct server *server)
{
    size_t length = strcspn(text, "[ ");
    *server = (struct server){.name = text, .name_length = length};
    if (is_alone || text[length] != '[')
        return is_alone && length > 0;
    server->address = text + length + 1;
    server->address_length = strcspn(server->address, "] ");
    return length > 0 && server->address[server->address_length] == ']';
}

/* The first that Postfix names: behind it are the words of others. */
static bool find_server(const char *reason, struct server *server)
{
    const char *first = NULL;
    for (size_t i = 0; i < sizeof(before_server) / sizeof(before_server[0]); i++) {
        const char *words = before_server[i];
        size_t length = strlen(words);
        for (const char *at = reason; (at = strstr(at, words)) != NULL; at += length) {
            struct server found;
            bool begins = at == reason || strchr(" (,;:", at[-1]) != NULL;
            if (!begins || !read_server(at + length, words[length - 1] == '=', &found))
                continue;
            if (first == NULL || at < first) {
                first = at;
                *server = found;
            }
            break;
        }
    }
    return first != NULL;
}

size_t cause_server(const char *reason, const char **name)
{
    struct server server;
    if (reason == NULL || !find_server(reason, &server))
        return 0;
    bool is_socket =
        memchr(server.address_length > 0 ? server.address : "", '/', server.address_length) != NULL;
    *name = is_socket ? server.address : server.name;
    return is_socket ? server.address_length : server.name_length;
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), want = strlen(end);
    return length >= want && strcasecmp(name + length - want, end) == 0;
}

static bool is_of_microsoft(const char *name)
{
    static const char *const ends[] = {
        ".office365.com", ".office365.us",     ".outlook.com", ".outlook.cn",
        ".microsoft",     ".exchangelabs.com", ".outlook.us",
    };
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (ends_with(name, ends[i]))
            return true;
    return false;
}

/* Whether the host is relayhost, or one to which mail is submitted at Microsoft's; the MX of an
 * organisation there is another server, unless relayhost names it. */
static bool is_our_server(const char *name, const struct settings *settings)
{
    if (settings == NULL)
        return is_of_microsoft(name);
    bool is_ours = is_of_microsoft(name) && strcasestr(name, ".protection.") == NULL;
    char **keys = relayhost_keys(settings->relayhost);
    for (size_t i = 0; keys[i] != NULL; i++)
        is_ours = is_ours || strcasecmp(keys[i], name) == 0;
    relayhost_keys_free(keys);
    return is_ours;
}

enum meant { MEANT_OURS, MEANT_ANOTHER, MEANT_UNKNOWN };

static enum meant whose_is(const char *reason, const struct settings *settings)
{
    struct server server;
    if (!find_server(reason, &server))
        return MEANT_UNKNOWN;
    if (server.address_length > 0 && strncmp(server.address, SOCKETS, strlen(SOCKETS)) == 0)
        return MEANT_OURS;
    char *name = memory_copy_bytes(server.name, server.name_length);
    bool is_ours = is_our_server(name, settings);
    free(name);
    return is_ours ? MEANT_OURS : MEANT_ANOTHER;
}

/* Whether our own mail passes post365-transport, so that a reason of smtp(8) is none of ours. */
static bool has_transport(const struct settings *settings)
{
    return settings != NULL && settings->meter == METER_DELIVERY;
}

static bool is_local(const char *reason)
{
    for (size_t i = 0; i < sizeof(local_beginnings) / sizeof(local_beginnings[0]); i++)
        if (strncmp(reason, local_beginnings[i], strlen(local_beginnings[i])) == 0)
            return true;
    return strstr(reason, "Command output: ") != NULL;
}

/* --- both -------------------------------------------------------------------------- */

/* The name in "NAME: ...", of a cause that is no reply: see common/silence.h. */
static const struct cause *silence_written(const char *text)
{
    size_t length = strcspn(text, ": ");
    for (size_t i = 0; i < OWN_CAUSES; i++)
        if (strlen(own[i].name) == length && memcmp(own[i].name, text, length) == 0)
            return &own[i];
    return NULL;
}

const struct cause *cause_of_account(const char *text)
{
    const struct office365_row *row = row_written(text);
    const struct cause *cause = row != NULL ? cause_of_row(row) : silence_written(text);
    if (cause == NULL)
        cause = entra_written(text);
    return cause != NULL ? cause : &own[PAUSED_BY_HAND];
}

/* "X is paused until 14:05:00 (in 61 s): security-defaults: 435 ...": see common/room.h and the
 * transport, which puts the name before its cause. */
static const struct cause *find_pause(const char *reason)
{
    const char *at = strstr(reason, " is paused until ");
    const char *cause = at != NULL ? strstr(at, "): ") : NULL;
    if (at == NULL)
        return NULL;
    if (cause != NULL)
        cause += strlen("): ");
    else if ((cause = strstr(at, " resumes it: ")) != NULL)
        cause += strlen(" resumes it: ");
    return cause_of_account(cause != NULL ? cause : "");
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

static const struct cause *find_own(const char *reason, bool is_smtp_ours)
{
    size_t length = length_before_answer(reason);
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (has_words(reason, length, signs[i].words) && has_words(reason, length, signs[i].also))
            return signs[i].whose != SMTP || is_smtp_ours ? &own[signs[i].cause]
                                                          : &own[ANOTHER_SERVER];
    return NULL;
}

/* Of one line with single blanks. */
static const struct cause *find_in_line(const char *reason, const struct settings *settings)
{
    enum meant meant = whose_is(reason, settings);
    bool is_known = meant == MEANT_OURS || !has_transport(settings);
    if (reason[0] == '\0')
        return &own[NOT_TRIED];
    if (meant == MEANT_ANOTHER)
        return &own[ANOTHER_SERVER];
    if (meant == MEANT_UNKNOWN && is_local(reason))
        return &own[LOCAL_DELIVERY];
    const struct cause *cause = find_pause(reason);
    if (cause == NULL && is_known)
        cause = find_entra(reason);
    if (cause == NULL)
        cause = find_own(reason, is_known);
    if (cause == NULL && is_known)
        cause = find_answer(reason);
    return cause != NULL ? cause : &own[OTHER];
}

const struct cause *cause_find(const char *reason, const struct settings *settings)
{
    struct buffer line = {0};
    blanks_fold(&line, reason != NULL ? reason : "", reason != NULL ? strlen(reason) : 0);
    const struct cause *cause = find_in_line(line.data, settings);
    buffer_free(&line);
    return cause;
}

bool cause_is_elsewhere(const struct cause *cause)
{
    return cause == &own[ANOTHER_SERVER];
}

bool cause_is_answer(const struct cause *cause)
{
    return cause->row != NULL || cause->entra != NULL;
}

bool cause_is_general(const struct cause *cause)
{
    return cause == &own[NOT_TRIED] || cause == &own[OTHER];
}

size_t cause_count(void)
{
    size_t replies, errors;
    office365_rows(&replies);
    entra_rows(&errors);
    return OWN_CAUSES + replies + errors;
}

const struct cause *cause_at(size_t number)
{
    size_t replies, errors;
    const struct office365_row *rows = office365_rows(&replies);
    if (number < OWN_CAUSES)
        return &own[number];
    number -= OWN_CAUSES;
    return number < replies ? cause_of_row(&rows[number])
                            : cause_of_entra(&entra_rows(&errors)[number - replies]);
}

const struct cause *cause_named(const char *name)
{
    for (size_t i = 0; i < cause_count(); i++)
        if (strcmp(cause_at(i)->name, name) == 0)
            return cause_at(i);
    return NULL;
}
