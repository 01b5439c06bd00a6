/* test_cause.c - what a reason in the queue is called */
#include "ctl/cause.h"
#include "ctl/queue/queue_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LMTP "host relay.example.com[post365/accounts/relay@contoso.com] said: "
#define HOST "host smtp.office365.com said: "

static const struct {
    const char *reason, *cause;
} known[] = {
    {NULL, "on-its-way"},
    {"", "on-its-way"},
    {"mail will be delivered tomorrow", "other"},
    {LMTP "450 4.7.1 relay@contoso.com has used 30 of 30 messages per 1m; room at 14:05:00 (in 61 "
          "s) (in reply to DATA command)",
     "messages-used"},
    {LMTP "450 4.7.1 relay@contoso.com has used 9999 of 10000 recipients per 1d, this one needs 2; "
          "room at 14:05:00 (in 61 s)",
     "recipients-used"},
    {LMTP "450 4.7.1 mail of relay@contoso.com waits its turn; room at 14:05:00 (in 3 s)",
     "waits-its-turn"},
    {LMTP "450 4.7.1 relay@contoso.com is paused until 14:05:00 (in 61 s): security-defaults: 435 "
          "4.7.139 " HOST "535 5.7.139 Authentication unsuccessful, user is locked by your org",
     "security-defaults"},
    {LMTP "450 4.7.1 relay@contoso.com is paused until 2026-11-28 14:05:00 (in 23 h 55 min): "
          "tenant-switch: 435 4.7.139 " HOST "535 5.7.139 Authentication unsuccessful",
     "tenant-switch"},
    {LMTP "450 4.7.1 relay@contoso.com is paused until 2026-11-27 14:05:00 (in 86461 s): the "
          "newsletter goes first",
     "paused-by-hand"},
    {"delivery temporarily suspended: host relay.example.com[post365/accounts/relay@contoso.com] "
     "refused to talk to me: 421 4.7.1 relay@contoso.com is paused until somebody resumes it: "
     "mailbox-full: 452",
     "mailbox-full"},
    {LMTP "451 4.3.0 the sending quota cannot be checked now: post365-policyd is down",
     "ledger-unavailable"},
    {LMTP "451 4.7.1 sender <joe@contoso.com> is not the account relay@contoso.com; let the milter",
     "sender-not-account"},
    {LMTP "435 4.7.3 " HOST "535 5.7.3 Authentication unsuccessful [X] (in reply to AUTH); "
          "credentials-refused: Password: put the right one (in reply to end of DATA command)",
     "credentials-refused"},
    {LMTP "435 4.7.3 " HOST "535 5.7.3 Authentication unsuccessful [X] (in reply to AUTH); "
          "token-refused: `post365 doctor` looks (in reply to end of DATA command)",
     "token-refused"},
    {LMTP "451 4.7.0 no access token: status 401, invalid_client: AADSTS7000222: The secret keys "
          "are expired.; secret-expired: Make a new one (account <relay@contoso.com>) (in reply to "
          "end of DATA command)",
     "secret-expired"},
    /* Of the way to the endpoint, not to the server. */
    {LMTP "451 4.7.0 no access token: TLS with login.microsoftonline.com failed: the connection "
          "was lost; endpoint-tls: look (in reply to end of DATA command)",
     "endpoint-tls"},
    /* It was cut before the name. */
    {LMTP "451 4.7.0 no access token: status 400, invalid_request: AADSTS90002: Tenant 'x' not f",
     "tenant-unknown"},
    {LMTP "450 4.7.1 relay@contoso.com is paused until 14:05:00 (in 61 s): endpoint-timeout: no "
          "answer within 30 s",
     "endpoint-timeout"},
    {LMTP "450 4.7.1 relay@contoso.com is paused until 14:05:00 (in 61 s): the newsletter; see "
          "secret-expired: mine",
     "paused-by-hand"},
    {"AADSTS700016: Application with identifier 'x' was not found in the directory",
     "client-unknown"},
    {LMTP "450 4.5.0 " HOST "450 4.5.0 no idea (in reply to RCPT) (in reply to RCPT TO command)",
     "other-temporary"},
    /* Microsoft's words for its own troubles are not ours. */
    {LMTP "450 4.7.500 " HOST
          "451 4.7.500 Server busy, lost connection with a backend (in reply to "
          "RCPT) (in reply to RCPT TO command)",
     "server-busy"},
    {"host smtp.office365.com[192.0.2.1] said: 451 4.7.500 Server busy: connect to a backend does "
     "not answer (in reply to RCPT TO command)",
     "server-busy"},
    {LMTP "450 4.1.2 " HOST "554 5.4.1 Recipient address rejected: Access denied (in reply to end "
          "of DATA)",
     "rate-or-recipient-cap"},
    {LMTP "451 4.4.1 smtp.office365.com:587: no credentials for account relay@contoso.com; to one "
          "(AUTH)",
     "no-credentials"},
    {"host relay01[post365/accounts/relay@contoso.com] said: 451 4.4.1 /etc/postfix/main.cf: "
     "post365_password_maps = hash:/etc/postfix/sasl_passwd: the password for key "
     "\"[smtp.office365.com]:587\": it is the path of a file and not sent; post365_token_maps is "
     "to "
     "name for relay@contoso.com the file that holds an access token (in reply to AUTH) (in reply "
     "to "
     "end of DATA command)",
     "credentials-unfit"},
    {"host relay01[post365/transport] said: 451 4.4.1 /etc/postfix/main.cf: post365_token_maps = "
     "inline:...: for key a@x: /etc/tok: this is JSON, and nothing of it is sent; have the access "
     "token alone (in reply to AUTH)",
     "credentials-unfit"},
    {"host relay01[post365/transport] said: 451 4.3.5 mail of sender <news@fabrikam.com> is for "
     "[smtp.mailgun.org]:587 (sender_dependent_relayhost_maps), not for Microsoft 365; in "
     "/etc/postfix/main.cf let sender_dependent_default_transport_maps have",
     "for-another-server"},
    {"host relay01[post365/accounts/old@b.example] said: 451 4.4.1 no credentials for account "
     "old@b.example: its mail is for mail.b.example (sender_dependent_relayhost_maps in "
     "/etc/postfix/main.cf), which is neither",
     "for-another-server"},
    {LMTP "451 4.4.1 smtp.office365.com:587: the name cannot be resolved: x; check (connect)",
     "name-unresolved"},
    {LMTP "451 4.4.1 smtp.office365.com:587: no address answers: Connection refused (connect)",
     "server-unreachable"},
    {LMTP "451 4.4.1 smtp.office365.com:587: no address answers: IPv6: Connection timed out; IPv4: "
          "Network is unreachable (connect)",
     "server-unreachable"},
    {LMTP "451 4.4.1 smtp.office365.com:587: no address answers: the address of smtp_bind_address "
          "is not this machine's (connect)",
     "source-address"},
    {LMTP "451 4.4.1 x.mail.protection.outlook.com:25: AUTH LOGIN is not offered: this is a "
          "tenant's MX, direct send, where nobody can log in (AUTH)",
     "mail-exchanger"},
    {LMTP
     "451 4.4.1 smtp.office365.com:587: the certificate is for another name (x), not (STARTTLS)",
     "certificate-name"},
    {LMTP
     "451 4.4.1 smtp.office365.com:587: the certificate of x is not valid now (certificate has "
     "expired)",
     "certificate-expired"},
    {LMTP "451 4.4.1 smtp.office365.com:587: the certificate of x is not trusted (self-signed)",
     "certificate-untrusted"},
    {LMTP "451 4.4.1 smtp.office365.com:587: STARTTLS is not offered; without it no password is "
          "sent (connect)",
     "starttls-not-offered"},
    {LMTP "451 4.4.1 smtp.office365.com:587: AUTH LOGIN is not offered (AUTH)",
     "login-not-offered"},
    {LMTP "451 4.4.1 smtp.office365.com:587: does not answer (MAIL)", "connection-stalled"},
    {LMTP "451 4.4.1 smtp.office365.com:587: does not take the message (DATA)",
     "connection-stalled"},
    {LMTP "451 4.4.1 smtp.office365.com:587: the connection was lost (DATA)", "connection-lost"},
    {LMTP "451 4.4.1 smtp.office365.com:587: the connection was lost (AUTH)", "login-unanswered"},
    {LMTP "451 4.4.1 smtp.office365.com:587: does not answer (AUTH)", "login-unanswered"},
    {LMTP "450 4.7.1 relay@contoso.com is paused until 14:05:00 (in 61 s): maybe-delivered: 451 "
          "4.4.2 smtp.office365.com:587: the connection was lost; between the final dot and the "
          "reply: it may have been delivered",
     "maybe-delivered"},
    {LMTP "450 4.7.1 relay@contoso.com is paused until 14:05:00 (in 61 s): login-unanswered: 451 "
          "4.4.1 smtp.office365.com:587: the connection was lost (AUTH)",
     "login-unanswered"},
    {LMTP
     "451 4.4.2 smtp.office365.com:587: the connection was lost; between the final dot and the "
     "reply: it may have been delivered",
     "maybe-delivered"},
    {LMTP "451 4.4.1 no room, connection or answer within Postfix's patience", "no-answer-in-time"},
    {"connect to relay.example.com[post365/transport]: No such file or directory",
     "transport-down"},
    {"lost connection with relay.example.com[post365/transport] while sending end of data",
     "transport-down"},
    {"mail transport unavailable", "service-missing"},
    /* of smtp(8), where that delivers */
    {"connect to smtp.office365.com[1.2.3.4]:587: Connection timed out", "server-unreachable"},
    {"Host or domain name not found. Name service error for name=smtp.office365.com",
     "name-unresolved"},
    {"Server certificate not verified", "certificate-name"},
    {"Server certificate not trusted", "certificate-untrusted"},
    {"TLS is required, but was not offered by host smtp.office365.com[1.2.3.4]",
     "starttls-not-offered"},
    {"Cannot start TLS: handshake failure", "tls-failed"},
    {"SASL authentication failed; server smtp.office365.com[1.2.3.4] said: 535 5.7.139 "
     "Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit",
     "tenant-switch"},
    {"SASL authentication failed; cannot authenticate to server smtp.office365.com[1.2.3.4]: no "
     "mechanism available",
     "login-not-offered"},
    {"host smtp.office365.com[1.2.3.4] said: 432 4.3.2 Concurrent connections limit exceeded. "
     "Visit "
     "https://aka.ms/concurrent_sending (in reply to end of DATA command)",
     "connection-limit"},
    {"lost connection with smtp.office365.com[1.2.3.4] while sending message body",
     "connection-lost"},
    {"SASL authentication failed; cannot authenticate to server smtp.office365.com[1.2.3.4]: "
     "generic "
     "failure",
     "login-not-offered"},
    {"message size 41943040 exceeds size limit 36700160 of server smtp.office365.com[1.2.3.4]",
     "message-too-large"},
    {"host smtp.office365.com[1.2.3.4] said: 535 5.7.139 Authentication\n unsuccessful, the user "
     "credentials\r\n\twere incorrect.",
     "password-incorrect"},
};

static void a_reason_has_its_cause(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const struct cause *cause = cause_find(known[i].reason, NULL);
        if (strcmp(cause->name, known[i].cause) != 0)
            fail_msg("\"%s\": %s, not %s", known[i].reason, cause->name, known[i].cause);
        assert_ptr_equal(cause_named(known[i].cause), cause);
    }
}

/* A relay of ours with the transport, and one that sends with smtp(8). */
static struct settings with_transport = {.relayhost = "[smtp.office365.com]:587",
                                         .meter = METER_DELIVERY};
static struct settings without = {.relayhost = "[relay.contoso-proxy.example]:587",
                                  .meter = METER_SUBMISSION};

static const struct {
    const char *reason, *with_transport, *without, *server;
} elsewhere[] = {
    {"connect to dead.example[127.0.0.1]:9: Connection refused", "another-server", "another-server",
     "dead.example"},
    {"connect to mx.fabrikam.com[2001:db8::1]:25: Network is unreachable", "another-server",
     "another-server", "mx.fabrikam.com"},
    {"host mx.fabrikam.com[192.0.2.1] said: 451 4.7.0 Temporary server error. Please try again "
     "later. (in reply to RCPT TO command)",
     "another-server", "another-server", "mx.fabrikam.com"},
    {"host mx.fabrikam.com[192.0.2.1] refused to talk to me: 421 4.3.2 Service not available",
     "another-server", "another-server", "mx.fabrikam.com"},
    {"delivery temporarily suspended: host mx.fabrikam.com[192.0.2.1] said: 451 4.7.500 Server "
     "busy (in reply to MAIL FROM command)",
     "another-server", "another-server", "mx.fabrikam.com"},
    {"delivery temporarily suspended: lost connection with mx.fabrikam.com[192.0.2.1] while "
     "sending "
     "RCPT TO",
     "another-server", "another-server", "mx.fabrikam.com"},
    {"conversation with mx.fabrikam.com[192.0.2.1] timed out while receiving the initial server "
     "greeting",
     "another-server", "another-server", "mx.fabrikam.com"},
    {"SASL authentication failed; server smtp.gmail.com[192.0.2.1] said: 535 5.7.8 Username and "
     "Password not accepted",
     "another-server", "another-server", "smtp.gmail.com"},
    {"TLS is required, but was not offered by host mx.fabrikam.com[192.0.2.1]", "another-server",
     "another-server", "mx.fabrikam.com"},
    {"Host or domain name not found. Name service error for name=nowhere.example type=MX: Host not "
     "found, try again",
     "another-server", "another-server", "nowhere.example"},
    /* An organisation's MX at Microsoft's is not the way that relayhost goes. */
    {"host fabrikam-com.mail.protection.outlook.com[192.0.2.1] said: 451 4.7.500 Server busy (in "
     "reply to RCPT TO command)",
     "another-server", "another-server", "fabrikam-com.mail.protection.outlook.com"},
    /* Filters and mailboxes on this machine. */
    {"connect to 127.0.0.1[127.0.0.1]:10024: Connection refused", "another-server",
     "another-server", "127.0.0.1"},
    {"connect to relay.example[private/dovecot-lmtp]: No such file or directory", "another-server",
     "another-server", "private/dovecot-lmtp"},
    {"host relay.example[private/dovecot-lmtp] said: 451 4.2.0 <bob> Internal error (in reply to "
     "end of DATA command)",
     "another-server", "another-server", "private/dovecot-lmtp"},
    {"temporary failure. Command output: procmail: connect to somewhere does not answer",
     "local-delivery", "local-delivery", ""},
    {"cannot update mailbox /var/mail/bob for user bob. unable to lock for exclusive access",
     "local-delivery", "local-delivery", ""},
    {"maildir delivery failed: create maildir file /home/bob/Maildir/tmp/1: Permission denied",
     "local-delivery", "local-delivery", ""},
    {"come back later", "other", "other", ""},
    {"host mx.fabrikam.com[192.0.2.1] said: 451 4.7.0 AADSTS7000222: expired (in reply to MAIL "
     "FROM "
     "command)",
     "another-server", "another-server", "mx.fabrikam.com"},
    /* Where our mail passes the transport, smtp(8) that names nobody speaks of another server. */
    {"Server certificate not trusted", "another-server", "certificate-untrusted", ""},
    {"Cannot start TLS: handshake failure", "another-server", "tls-failed", ""},
    /* Ours: relayhost by its name, Microsoft's for submission, the transport. */
    {"connect to smtp.office365.com[192.0.2.1]:587: Connection timed out", "server-unreachable",
     "server-unreachable", "smtp.office365.com"},
    {"connect to relay.contoso-proxy.example[192.0.2.1]:587: Connection timed out",
     "another-server", "server-unreachable", "relay.contoso-proxy.example"},
    {"host relay.contoso-proxy.example[192.0.2.1] said: 451 4.7.500 Server busy (in reply to MAIL "
     "FROM command)",
     "another-server", "server-busy", "relay.contoso-proxy.example"},
    {LMTP "451 4.7.500 " HOST "451 4.7.500 Server busy (in reply to MAIL) (in reply to end of DATA "
          "command)",
     "server-busy", "server-busy", "post365/accounts/relay@contoso.com"},
    {"mail transport unavailable", "service-missing", "service-missing", ""},
    {"", "on-its-way", "on-its-way", ""},
};

static void another_server_s_reason_is_not_microsoft_s(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
        const char *reason = elsewhere[i].reason, *name = "";
        if (strcmp(cause_find(reason, &with_transport)->name, elsewhere[i].with_transport) != 0)
            fail_msg("\"%s\": %s, not %s", reason, cause_find(reason, &with_transport)->name,
                     elsewhere[i].with_transport);
        if (strcmp(cause_find(reason, &without)->name, elsewhere[i].without) != 0)
            fail_msg("\"%s\", without the transport: %s, not %s", reason,
                     cause_find(reason, &without)->name, elsewhere[i].without);
        size_t length = cause_server(reason, &name);
        if (length != strlen(elsewhere[i].server) ||
            strncmp(name, elsewhere[i].server, length) != 0)
            fail_msg("\"%s\": server %.*s", reason, (int)length, name);
    }
}

/* What the table has as an example of each reply is found however it comes. */
static void every_row_is_found_in_what_the_transport_says(void **state)
{
    (void)state;
    size_t count;
    const struct office365_row *rows = office365_rows(&count);
    for (size_t i = 0; i < count; i++) {
        char reason[4096];
        snprintf(reason, sizeof(reason),
                 LMTP "450 4.7.1 relay@contoso.com is paused until 14:05:00 (in 61 s): %s: 435",
                 rows[i].name);
        assert_ptr_equal(cause_find(reason, NULL)->row, &rows[i]);
        snprintf(reason, sizeof(reason),
                 LMTP "435 4.7.3 " HOST "%s (in reply to end of DATA); %s: remedy (in reply to end "
                      "of DATA command)",
                 rows[i].patterns[0].example, rows[i].name);
        assert_ptr_equal(cause_find(reason, NULL)->row, &rows[i]);
    }
}

static void names_are_unique_and_all_is_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < cause_count(); i++) {
        const struct cause *cause = cause_at(i);
        assert_ptr_equal(cause_named(cause->name), cause);
        assert_int_equal(strspn(cause->name, "abcdefghijklmnopqrstuvwxyz0123456789-"),
                         strlen(cause->name));
        assert_true(strlen(cause->meaning) > 5 && strlen(cause->remedy) > 5);
    }
    assert_null(cause_named("junk"));
}

static void queue_ids_tell_microseconds(void **state)
{
    (void)state;
    assert_int_equal(queue_id_microseconds("4jZfLb0km7zBftN"), 0x19987);
    assert_int_equal(queue_id_microseconds("4jZfLb0dpYzBftM"), 0x16535);
    assert_int_equal(queue_id_microseconds("E609BA883AB"), 0xe609b);
    assert_int_equal(queue_id_microseconds(""), 0);
    assert_true(queue_id_microseconds("FFFFFFFFFFF") < 1000000);
    assert_true(queue_id_is_valid("4jZfLb0km7zBftN"));
    assert_false(queue_id_is_valid(""));
    assert_false(queue_id_is_valid("../x"));
    assert_false(queue_id_is_valid("A B"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reason_has_its_cause),
        cmocka_unit_test(another_server_s_reason_is_not_microsoft_s),
        cmocka_unit_test(every_row_is_found_in_what_the_transport_says),
        cmocka_unit_test(names_are_unique_and_all_is_said),
        cmocka_unit_test(queue_ids_tell_microseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
