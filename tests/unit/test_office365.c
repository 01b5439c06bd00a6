/* test_office365.c - each reply of Office 365, pasted as it comes, gets its cause */
#include "common/office365.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CONNECT  REPLY_STAGE_CONNECT
#define STARTTLS REPLY_STAGE_STARTTLS
#define AUTH     REPLY_STAGE_AUTH
#define MAIL     REPLY_STAGE_MAIL
#define RCPT     REPLY_STAGE_RCPT
#define DATA     REPLY_STAGE_DATA
#define END      REPLY_STAGE_END_OF_DATA
#define REPORT   REPLY_STAGE_REPORT
#define UNKNOWN  REPLY_STAGE_UNKNOWN

enum outcome {
    STAYS,  /* Postfix gets the reply as it is */
    SOFTENS /* Postfix gets 4xx for 5xx */
};

static const struct {
    enum reply_stage stage;
    const char *reply;
    const char *row;
    enum outcome outcome;
    enum office365_account account;
} cases[] = {
#define NOTHING     OFFICE365_ACCOUNT_NOTHING
#define SOON        OFFICE365_ACCOUNT_RETRY_SOON
#define SHORT       OFFICE365_ACCOUNT_PAUSE_SHORT
#define ROOM        OFFICE365_ACCOUNT_PAUSE_FOR_ROOM
#define UNTIL_FIXED OFFICE365_ACCOUNT_PAUSE_UNTIL_FIXED
    {MAIL, "530 5.7.57 Client not authenticated to send mail.", "not-authenticated", SOFTENS,
     UNTIL_FIXED},
    {MAIL, "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM",
     "not-authenticated", SOFTENS, UNTIL_FIXED},
    {MAIL, "530 5.5.1 Authentication Required", "not-authenticated", SOFTENS, UNTIL_FIXED},
    {MAIL, "451 5.7.3 STARTTLS is required to send mail", "starttls-required", SOFTENS,
     UNTIL_FIXED},
    {MAIL, "530 5.7.0 Must issue a STARTTLS command first", "starttls-required", SOFTENS,
     UNTIL_FIXED},
    {MAIL, "530 5.7.1 Client was not authenticated", "not-authenticated", SOFTENS, UNTIL_FIXED},
    {RCPT, "550 5.7.1 Client was not authenticated", "not-authenticated", SOFTENS, UNTIL_FIXED},
    {CONNECT, "501 5.5.4 Invalid domain name", "helo-refused", SOFTENS, UNTIL_FIXED},
    {CONNECT, "504 5.5.2 <web_01>: Helo command rejected: need fully-qualified hostname",
     "helo-refused", SOFTENS, UNTIL_FIXED},
    {CONNECT, "550 5.7.506 Access Denied, Bad HELO", "helo-refused", SOFTENS, UNTIL_FIXED},
    {RCPT, "550 5.7.64 TenantAttribution; Relay Access Denied", "way-refused", SOFTENS,
     UNTIL_FIXED},
    {MAIL, "550 5.7.68 TenantInboundAttribution; Direct Send not allowed for this organization",
     "way-refused", SOFTENS, UNTIL_FIXED},
    {RCPT,
     "550 5.7.51 TenantInboundAttribution; There is a partner connector configured that "
     "matched the message's recipient domain. The connector had either the "
     "RestrictDomainsToIPAddresses or RestrictDomainsToCertificate set",
     "way-refused", SOFTENS, UNTIL_FIXED},
    {RCPT, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", "way-refused",
     SOFTENS, UNTIL_FIXED},
    {END,
     "550 5.7.25 Access denied, the sending IPv6 address [2001:db8::25] must have a reverse DNS "
     "record",
     "ipv6-refused", SOFTENS, NOTHING},
    {END,
     "450 4.7.26 Service does not accept messages sent over IPv6 [2001:db8::25] unless they "
     "pass either SPF or DKIM validation",
     "ipv6-refused", SOFTENS, NOTHING},
    {RCPT, "550 5.7.510 Access denied, fabrikam.com does not accept email over IPv6",
     "ipv6-refused", SOFTENS, NOTHING},
    {AUTH, "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client",
     "tls-too-old", STAYS, UNTIL_FIXED},
    {AUTH, "535 5.7.3 Authentication unsuccessful", "credentials-refused", SOFTENS, UNTIL_FIXED},
    {AUTH,
     "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security "
     "defaults policy. Contact your administrator.",
     "security-defaults", SOFTENS, UNTIL_FIXED},
    {AUTH,
     "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
     "Tenant. Visit https://aka.ms/smtp_auth_disabled for more information.",
     "tenant-switch", SOFTENS, UNTIL_FIXED},
    {AUTH,
     "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
     "Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.",
     "mailbox-switch", SOFTENS, UNTIL_FIXED},
    {AUTH, "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
     "basic-auth-disabled", SOFTENS, UNTIL_FIXED},
    {AUTH,
     "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be "
     "authenticated successfully. Contact your administrator.",
     "conditional-access", SOFTENS, UNTIL_FIXED},
    {AUTH, "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
     "password-incorrect", SOFTENS, UNTIL_FIXED},
    {AUTH, "535 5.7.139 Authentication unsuccessful, federated STS service was unreachable.",
     "federation-unreachable", SOFTENS, UNTIL_FIXED},
    {AUTH, "535 5.7.139 Authentication unsuccessful, for a reason invented tomorrow.",
     "authentication-refused", SOFTENS, UNTIL_FIXED},
    {AUTH, "501 5.5.123 Malformed authentication token", "token-malformed", SOFTENS, UNTIL_FIXED},
    {AUTH, "501 5.5.127 Token will expire soon", "token-ends-soon", SOFTENS, SHORT},
    {AUTH, "535 5.7.142 Token will expire soon", "token-ends-soon", SOFTENS, SHORT},
    {AUTH, "535 5.7.143 Token has expired", "token-ends-soon", SOFTENS, SHORT},
    {AUTH, "535 5.7.144 Invalid API permissions", "token-permission", SOFTENS, UNTIL_FIXED},
    {AUTH, "550 5.7.240 The application is not in the list of this account",
     "application-not-listed", SOFTENS, UNTIL_FIXED},
    {RCPT, "550 5.5.105 Recipient is not internal", "external-recipient", STAYS, NOTHING},
    {AUTH, "550 5.7.30 Basic authentication is not supported for Client Submission.",
     "basic-auth-retired", SOFTENS, UNTIL_FIXED},
    {AUTH, "454 4.7.0 Temporary authentication failure", "authentication-trouble", STAYS, SHORT},
    {AUTH, "451 4.7.3 Temporary authentication failure", "authentication-trouble", STAYS, SHORT},
    {AUTH, "550 5.2.1 Account disabled. Mailbox cannot be accessed", "mailbox-disabled", SOFTENS,
     UNTIL_FIXED},
    {END, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "send-as",
     SOFTENS, NOTHING},
    {END,
     "554 5.2.252 SendAsDenied; a@example.com not allowed to send as b@example.com; "
     "STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to "
     "process message due to a permanent exception with message Cannot submit message.",
     "send-as", SOFTENS, NOTHING},
    {END,
     "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; "
     "Failed to process message due to a permanent exception with message Cannot submit message.",
     "send-as", SOFTENS, NOTHING},
    {END,
     "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process "
     "message due to a permanent exception with message The message can't be submitted because "
     "the sender's submission quota was exceeded.",
     "submission-quota", SOFTENS, ROOM},
    {END, "554 5.2.0 The message can't be submitted; the sender's submission quota was exceeded.",
     "submission-quota", SOFTENS, ROOM},
    {END, "550 5.7.1 Client does not have permissions to send as this sender", "send-as", SOFTENS,
     NOTHING},
    {END, "554 5.2.0 STOREDRV.Submission.Exception:SendOnBehalfOfDeniedException; Failed",
     "send-as", SOFTENS, NOTHING},
    {END, "550 5.2.2 Submission quota exceeded", "submission-quota", SOFTENS, ROOM},
    {END, "432 4.3.2 STOREDRV.ClientSubmit; exceeded the message limit per account",
     "submission-rate", STAYS, SHORT},
    /* Of the store driver's exceptions the name counts. */
    {END, "554 5.2.0 STOREDRV.Submission.Exception:CorruptDataException; Failed to process",
     "message-damaged", STAYS, NOTHING},
    {END, "554 5.6.0 STOREDRV.Submission.Exception:ConversionFailedException; Failed to process",
     "message-damaged", STAYS, NOTHING},
    {END, "554 5.2.0 STOREDRV.Submission.Exception:InvalidRecipientsException; Failed to process",
     "unknown-recipient", STAYS, NOTHING},
    {END,
     "554 5.2.0 STOREDRV.Submission.Exception:MessageSubmissionExceededException."
     "MapiExceptionMaxSubmissionExceeded; Failed to process",
     "message-too-large", STAYS, NOTHING},
    {END,
     "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message "
     "due to a permanent exception with message WASCL UserAction verdict is not None.",
     "outbound-spam", SOFTENS, UNTIL_FIXED},
    {END, "550 5.2.0 WASCL UserAction verdict is not None. Actual verdict is Suspend",
     "outbound-spam", SOFTENS, UNTIL_FIXED},
    {END,
     "554 5.2.0 STOREDRV.Submission.Exception:QuotaExceededException."
     "MapiExceptionQuotaExceeded; Failed to process",
     "mailbox-full", SOFTENS, UNTIL_FIXED},
    {END,
     "554 5.2.0 STOREDRV.Submission.Exception:AccountDisabledException.MapiExceptionUnknownUser; "
     "Failed to process",
     "submission-exception", SOFTENS, NOTHING},
    {END, "554 5.2.0 STOREDRV.Submission.Exception:StorageTransientException; Failed to process",
     "submission-exception", SOFTENS, NOTHING},
    {END, "550 5.6.1 STOREDRV.Submission.Exception:InventedTomorrowException; Failed to process",
     "submission-exception", SOFTENS, NOTHING},
    /* Deliver is about the recipient's mailbox. */
    {END,
     "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException."
     "MapiExceptionShutoffQuotaExceeded",
     "recipient-mailbox-full", STAYS, NOTHING},
    {RCPT, "550 5.2.2 <bob@fabrikam.com>: user is over quota", "recipient-mailbox-full", STAYS,
     NOTHING},
    {END,
     "554 5.2.0 STOREDRV.Deliver.Exception:ObjectNotFoundException.MapiExceptionNotFound; "
     "Failed to process",
     "other-permanent", STAYS, NOTHING},
    {END, "550 5.2.0 STOREDRV.Deliver.Exception:QuotaExceededException; Failed to process",
     "other-permanent", STAYS, NOTHING},
    {END, "552 5.2.2 Mailbox full. Visit https://aka.ms/mailboxfull for more information.",
     "mailbox-full", SOFTENS, UNTIL_FIXED},
    {END, "554 5.4.1 Recipient address rejected: Access denied", "rate-or-recipient-cap", SOFTENS,
     ROOM},
    {RCPT, "554 5.4.1 Recipient address rejected: Access denied", "rate-or-recipient-cap", SOFTENS,
     ROOM},
    {RCPT, "550 5.4.1 Recipient address rejected: Access denied", "unknown-recipient", STAYS,
     NOTHING},
    {RCPT, "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)",
     "unknown-recipient", STAYS, NOTHING},
    {END,
     "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending "
     "for more information.",
     "connection-limit", STAYS, SOON},
    {END, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", "connection-limit",
     STAYS, SOON},
    {MAIL, "421 4.4.2 Message submission rate for this client has exceeded the configured limit",
     "submission-rate", STAYS, SHORT},
    {END,
     "430 4.2.0 STOREDRV; mailbox logon failure; STOREDRV.Submission.Exception:"
     "ConnectionFailedPermanentException.MapiExceptionLogonFailed",
     "mailbox-logon", SOFTENS, UNTIL_FIXED},
    {END,
     "554 5.2.0 STOREDRV.Submission.Exception:ConnectionFailedPermanentException."
     "MapiExceptionLogonFailed; Failed to process",
     "mailbox-logon", SOFTENS, UNTIL_FIXED},
    {END,
     "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException."
     "MapiExceptionShutoffQuotaExceeded",
     "mailbox-full", SOFTENS, UNTIL_FIXED},
    {END,
     "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException."
     "MapiExceptionQuotaExceeded",
     "mailbox-full", SOFTENS, UNTIL_FIXED},
    {RCPT, "452 4.5.3 Too many recipients", "recipients-per-message", STAYS, NOTHING},
    {END, "550 5.1.20 Multiple From addresses are not allowed without Sender address",
     "from-invalid", STAYS, NOTHING},
    {END,
     "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant and include a "
     "valid From address",
     "from-invalid", STAYS, NOTHING},
    {MAIL, "552 5.3.4 Message size exceeds fixed maximum message size", "message-too-large", STAYS,
     NOTHING},
    {END, "552 5.3.4 Message size exceeds fixed maximum message size", "message-too-large", STAYS,
     NOTHING},
    {END, "451 4.7.0 Temporary server error. Please try again later. PRX2", "server-error", STAYS,
     SOON},
    {MAIL, "451 4.7.0 Temporary server error. Please try again later. PRX5 NextHop:",
     "server-error", STAYS, SOON},
    {CONNECT, "421 4.3.2 Service not available", "service-unavailable", STAYS, SOON},
    {END, "421 4.3.2 Service not available", "service-unavailable", STAYS, SOON},
    {MAIL, "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)",
     "server-busy", STAYS, SHORT},
    {DATA, "421 4.4.1 Connection timed out", "connection-timeout", STAYS, SOON},
    {END, "550 5.1.8 Access denied, bad outbound sender", "sender-blocked", SOFTENS, UNTIL_FIXED},
    {END, "550 5.7.501 Access denied, spam abuse detected", "sender-banned", SOFTENS, UNTIL_FIXED},
    {END, "550 5.7.502 Access denied, banned sender", "sender-banned", SOFTENS, UNTIL_FIXED},
    {END, "554 5.7.503 Access denied, banned sender", "sender-banned", SOFTENS, UNTIL_FIXED},
    {END, "550 5.7.500 Access denied, something else", "sender-not-accepted", SOFTENS, SHORT},
    {END,
     "550 5.7.509 Access denied, sending domain contoso.com does not pass DMARC verification "
     "and has a DMARC policy of reject.",
     "sender-not-accepted", SOFTENS, SHORT},
    {RCPT, "550 5.7.514 unheard of", "sender-not-accepted", SOFTENS, SHORT},
    {END, "550 5.7.519 unheard of", "sender-not-accepted", SOFTENS, SHORT},
    {MAIL, "550 5.7.521 unheard of", "sender-not-accepted", SOFTENS, SHORT},
    {END, "554 5.7.700 unheard of", "sender-not-accepted", SOFTENS, SHORT},
    {END, "550 5.7.723 unheard of", "sender-not-accepted", SOFTENS, SHORT},
    {END, "550 5.7.799 unheard of", "sender-not-accepted", SOFTENS, SHORT},
    {MAIL,
     "550 5.7.508 Access denied, 2001:db8::25 has exceeded permitted limits within ::/64 range",
     "address-not-accepted", SOFTENS, UNTIL_FIXED},
    {MAIL, "550 5.7.511 Access denied, banned sender 192.0.2.10", "address-not-accepted", SOFTENS,
     UNTIL_FIXED},
    {MAIL, "550 5.7.606 Access denied, banned sending IP 192.0.2.10", "address-not-accepted",
     SOFTENS, UNTIL_FIXED},
    {MAIL, "550 5.7.649 Access denied, banned sending IP 192.0.2.10", "address-not-accepted",
     SOFTENS, UNTIL_FIXED},
    {END, "550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains",
     "domain-not-registered", SOFTENS, UNTIL_FIXED},
    /* What the recipient or his organisation does not want is none of the sender's trouble. */
    {RCPT, "550 5.7.504 [bob@fabrikam.com]: Recipient address rejected: Access denied",
     "other-permanent", STAYS, NOTHING},
    {RCPT, "550 5.7.505 Access denied, banned recipient", "other-permanent", STAYS, NOTHING},
    {RCPT, "550 5.7.507 Access denied, rejected by recipient", "other-permanent", STAYS, NOTHING},
    {RCPT,
     "550 5.7.513 Service unavailable, Client host 192.0.2.10 blocked by fabrikam.com using "
     "Customer Block list",
     "other-permanent", STAYS, NOTHING},
    {END,
     "550 5.7.515 Access denied, sending domain CONTOSO.COM doesn't meet the required "
     "authentication level.",
     "other-permanent", STAYS, NOTHING},
    {REPORT, "550 5.7.520 Access denied, Your organization does not allow external forwarding.",
     "other-permanent", STAYS, NOTHING},
    {REPORT,
     "550 5.7.703 Your message can't be delivered because one or more recipients are blocked "
     "by your organization's tenant recipient block policy",
     "other-permanent", STAYS, NOTHING},
    {RCPT, "550 5.7.12 Sender was not authenticated by organization", "other-permanent", STAYS,
     NOTHING},
    {RCPT, "550 5.7.136 Sender was not authenticated", "other-permanent", STAYS, NOTHING},
    {RCPT, "550 5.7.124 Sender not in allowed-senders list", "other-permanent", STAYS, NOTHING},
    {RCPT, "550 5.7.193 UnifiedGroupAgent; Delivery failed because the sender isn't a group member",
     "other-permanent", STAYS, NOTHING},
    {END,
     "550 5.7.1 TRANSPORT.RULES.RejectMessage; the message was rejected by organization policy",
     "other-permanent", STAYS, NOTHING},
    {REPORT, "550 5.7.323 tlsa-invalid: The domain failed DANE validation.", "other-permanent",
     STAYS, NOTHING},
    {END, "503 5.5.1 Bad sequence of commands", "out-of-step", SOFTENS, NOTHING},
    {RCPT, "503 5.5.2 Need mail command", "out-of-step", SOFTENS, NOTHING},
    {END, "550 5.7.705 Access denied, tenant has exceeded threshold", "tenant-blocked", SOFTENS,
     UNTIL_FIXED},
    {REPORT, "550 5.7.708 Access denied, traffic not accepted from this IP", "address-not-accepted",
     SOFTENS, UNTIL_FIXED},
    {REPORT, "550 5.1.90 Your message can't be sent because you've reached your daily limit",
     "daily-recipients", SOFTENS, ROOM},
    {REPORT, "550 5.7.232 Your message can't be sent because your trial tenant has exceeded",
     "tenant-recipients", SOFTENS, ROOM},
    {REPORT, "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit",
     "tenant-recipients", SOFTENS, ROOM},
    {END,
     "550 5.7.236 Your message can't be sent because your tenant exceeded its daily limit for "
     "sending email from onmicrosoft.com domain",
     "tenant-recipients", SOFTENS, ROOM},
    {END, "550 5.1.92 Your message can't be sent because you've reached your sending limit",
     "daily-recipients", SOFTENS, ROOM},
    {MAIL, "450 4.7.850 Access denied, please try again later", "server-busy", STAYS, SHORT},
    {MAIL, "450 4.7.650 Access denied, please try again later", "server-busy", STAYS, SHORT},
    {REPORT, "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient",
     "message-too-large", STAYS, NOTHING},
    {REPORT, "550 5.5.3 RESOLVER.ADR.RecipLimit; too many recipients", "recipients-rejected", STAYS,
     NOTHING},
    {END, "550 5.2.251 Sender throttled due to continuous mailbox full errors.", "sender-throttled",
     SOFTENS, UNTIL_FIXED},
    {END, "550 5.2.252 Sender throttled due to continuous send as denied errors.",
     "sender-throttled", SOFTENS, UNTIL_FIXED},
    {END, "550 5.2.255 Sender throttled due to continuous invalid recipients errors.",
     "sender-throttled", SOFTENS, UNTIL_FIXED},
    /* A real permanent refusal stays permanent. */
    {RCPT, "550 5.1.1 User unknown", "other-permanent", STAYS, NOTHING},
    {RCPT, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", "other-permanent",
     STAYS, NOTHING},
    {RCPT, "550 5.2.1 Mailbox cannot be accessed", "other-permanent", STAYS, NOTHING},
    {MAIL, "501 5.1.7 Invalid address", "other-permanent", STAYS, NOTHING},
    {END, "554 5.6.0 Corrupt message content", "other-permanent", STAYS, NOTHING},
    {END, "550 no enhanced code", "other-permanent", STAYS, NOTHING},
    {RCPT, "554 5.4.14 Hop count exceeded", "other-permanent", STAYS, NOTHING},
    {END, "554 5.4.1 No such route", "other-permanent", STAYS, NOTHING},
    {RCPT, "450 4.2.1 Mailbox busy", "other-temporary", STAYS, NOTHING},
    {END, "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", "other-temporary", STAYS,
     NOTHING},
    {END, "452 no enhanced code", "other-temporary", STAYS, NOTHING},
    {AUTH, "421 4.7.9 later", "other-temporary", STAYS, NOTHING},
    {AUTH, "504 5.7.4 Unrecognized authentication type", "authentication-refused", SOFTENS,
     UNTIL_FIXED},
    {CONNECT, "554 5.7.1 Service unavailable, client host blocked", "connection-refused", SOFTENS,
     UNTIL_FIXED},
    {STARTTLS, "502 5.5.1 Command not implemented", "connection-refused", SOFTENS, UNTIL_FIXED},
    {AUTH, "235 2.7.0 Authentication successful", "accepted", STAYS, NOTHING},
    {DATA, "354 Start mail input; end with <CRLF>.<CRLF>", "accepted", STAYS, NOTHING},
    {END, "250 2.0.0 OK <id@example.com> [Hostname=X.prod.outlook.com]", "accepted", STAYS,
     NOTHING},
};

static const char *const suffixes[] = {
    "",
    " [SY4P300CA0001.AUSP300.PROD.OUTLOOK.COM 2023-09-12T20:59:57.214Z 08DBB276B7E699C4]",
    " [Hostname=AM6PR0732BE0065.eurprd07.prod.outlook.com]",
};

static void expect(const struct reply *reply, enum reply_stage stage, const char *row,
                   const char *shown)
{
    const struct office365_row *got = office365_explain(reply, stage);
    assert_non_null(got);
    if (strcmp(got->name, row) != 0)
        fail_msg("\"%s\" at %s: got %s, want %s", shown, office365_stage_words(stage), got->name,
                 row);
}

static void each_reply_gets_its_cause(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t j = 0; j < COUNT(suffixes); j++) {
            char line[1024];
            int length = snprintf(line, sizeof(line), "%s%s\r\n", cases[i].reply, suffixes[j]);
            struct reply reply;
            assert_true(reply_parse(&reply, line, (size_t)length, NULL));
            expect(&reply, cases[i].stage, cases[i].row, line);
        }
    }
}

static void each_cause_has_its_consequence(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reply reply;
        assert_true(reply_parse(&reply, cases[i].reply, strlen(cases[i].reply), NULL));
        const struct office365_row *row = office365_explain(&reply, cases[i].stage);
        bool softens = row->told == OFFICE365_TEMPORARY;
        if (softens != (cases[i].outcome == SOFTENS) || row->account != cases[i].account)
            fail_msg("\"%s\": got %s, %s, want %s, %s", cases[i].reply,
                     softens ? "temporary" : "as is", office365_account_words(row->account),
                     cases[i].outcome == SOFTENS ? "temporary" : "as is",
                     office365_account_words(cases[i].account));
    }
}

static void case_does_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char line[1024];
        snprintf(line, sizeof(line), "%s", cases[i].reply);
        for (char *byte = line; *byte != '\0'; byte++)
            *byte = (char)toupper((unsigned char)*byte);
        struct reply reply;
        assert_true(reply_parse(&reply, line, strlen(line), NULL));
        expect(&reply, cases[i].stage, cases[i].row, line);
    }
}

static void several_lines_are_one_reply(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char line[1024];
        int length = snprintf(line, sizeof(line), "%.3s-%s\r\n%.3s [Hostname=X]\r\n",
                              cases[i].reply, cases[i].reply + 4, cases[i].reply);
        struct reply reply;
        assert_true(reply_parse(&reply, line, (size_t)length, NULL));
        expect(&reply, cases[i].stage, cases[i].row, line);
    }
}

/* As it stands in the log of Postfix's smtp client, which knows the stage by other words. */
static bool log_line(char *line, size_t size, enum reply_stage stage, const char *reply)
{
    static const char *const commands[REPLY_STAGES] = {
        [MAIL] = "MAIL FROM", [RCPT] = "RCPT TO", [DATA] = "DATA", [END] = "end of DATA"};
    const char *host = "smtp.office365.com[52.98.151.66]";
    const char *head =
        "2026-01-15T13:08:20.5+00:00 relay postfix/smtp[4242]: 4cZ: to=<b@example.org>, "
        "relay=smtp.office365.com[52.98.151.66]:587, delay=5.4, delays=0.1/0/5/0, "
        "dsn=4.0.0, status=deferred";
    if (stage == AUTH)
        snprintf(line, size, "%s (SASL authentication failed; server %s said: %s)", head, host,
                 reply);
    else if (stage == CONNECT)
        snprintf(line, size, "%s (host %s refused to talk to me: %s)", head, host, reply);
    else if (stage == STARTTLS)
        snprintf(line, size, "%s (TLS is required, but host %s refused to start TLS: %s)", head,
                 host, reply);
    else if (commands[stage] != NULL)
        snprintf(line, size, "%s (host %s said: %s (in reply to %s command))", head, host, reply,
                 commands[stage]);
    return stage == AUTH || stage == CONNECT || stage == STARTTLS || commands[stage] != NULL;
}

static void a_log_line_tells_reply_and_stage(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t j = 0; j < COUNT(suffixes); j++) {
            char text[1024];
            char line[2048];
            snprintf(text, sizeof(text), "%s%s", cases[i].reply, suffixes[j]);
            if (!log_line(line, sizeof(line), cases[i].stage, text))
                continue;
            struct reply reply;
            assert_true(reply_find(&reply, line, strlen(line), NULL));
            assert_int_equal(reply.stage, cases[i].stage);
            expect(&reply, UNKNOWN, cases[i].row, line);
            /* The reason alone, as postqueue shows it. */
            const char *reason = strchr(line, '(') + 1;
            assert_true(reply_find(&reply, reason, strlen(reason) - 1, NULL));
            expect(&reply, UNKNOWN, cases[i].row, reason);
        }
    }
}

/* The transport and the reply filter change the codes, and Postfix logs the changed reply at the
 * stage of its own dialogue. */
static void a_changed_reply_keeps_its_cause(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reply reply;
        assert_true(reply_parse(&reply, cases[i].reply, strlen(cases[i].reply), NULL));
        const struct office365_row *row = office365_explain(&reply, cases[i].stage);
        if (row->told != OFFICE365_TEMPORARY || cases[i].stage == CONNECT ||
            cases[i].stage == STARTTLS || strncmp(cases[i].reply, "504", 3) == 0)
            continue; /* general rows of a class and a stage cannot be known again */
        reply_make_temporary(&reply.code, &reply.enhanced);
        assert_int_equal(reply.code / 100, 4);
        for (enum reply_stage stage = UNKNOWN; stage < REPLY_STAGES; stage++)
            expect(&reply, stage, cases[i].row, cases[i].reply);
    }
}

static void an_enhanced_code_alone_is_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *row;
    } bare[] = {
        {"5.7.705 Access denied, tenant has exceeded threshold", "tenant-blocked"},
        {"5.1.90", "daily-recipients"},
        {"5.7.233 limit", "tenant-recipients"},
        {"5.7.502", "sender-banned"},
        {"5.7.60", "send-as"},
        {"5.7.3 Authentication unsuccessful", "credentials-refused"},
        {"5.7.3 STARTTLS is required to send mail", "starttls-required"},
        {"4.7.705 Access denied, tenant has exceeded threshold", "tenant-blocked"},
        {"4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", "connection-limit"},
        {"5.9.9 unheard of", "other-permanent"},
        {"4.9.9 unheard of", "other-temporary"},
        {"2.0.0 fine", "accepted"},
        {"535", "authentication-refused"},
        {"550", "other-permanent"},
        {"450", "other-temporary"},
    };
    for (size_t i = 0; i < COUNT(bare); i++) {
        struct reply reply;
        assert_true(reply_find(&reply, bare[i].text, strlen(bare[i].text), NULL));
        expect(&reply, UNKNOWN, bare[i].row, bare[i].text);
    }
}

static void there_is_always_an_answer(void **state)
{
    (void)state;
    struct reply reply;
    reply_begin(&reply);
    expect(&reply, UNKNOWN, "unintelligible", "");
    for (reply.code = 0; reply.code < 1000; reply.code++)
        for (enum reply_stage stage = UNKNOWN; stage < REPLY_STAGES; stage++)
            assert_non_null(office365_explain(&reply, stage));
}

static void the_table_is_whole(void **state)
{
    (void)state;
    size_t count;
    const struct office365_row *rows = office365_rows(&count);
    for (size_t i = 0; i < count; i++) {
        const struct office365_row *row = &rows[i];
        assert_int_equal(office365_row_number(row), i);
        assert_true(strspn(row->name, "abcdefghijklmnopqrstuvwxyz0123456789-") ==
                    strlen(row->name));
        assert_true(strlen(row->name) > 0 && strlen(row->meaning) > 0 && strlen(row->remedy) > 0);
        assert_int_equal(row->meaning[strlen(row->meaning) - 1], '.');
        assert_int_equal(row->remedy[strlen(row->remedy) - 1], '.');
        if (row->with_token != NULL)
            assert_ptr_not_equal(office365_of_token(row), row);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(row->name, rows[j].name);
        bool tested = strcmp(row->name, "unintelligible") == 0;
        for (size_t j = 0; row->patterns[0].example == NULL && j < count; j++)
            tested = tested || (j != i && office365_of_token(&rows[j]) == row);
        for (size_t j = 0; j < COUNT(cases); j++)
            tested = tested || strcmp(cases[j].row, row->name) == 0;
        if (!tested)
            fail_msg("row %s: no reply above leads to it", row->name);
    }
}

static void no_row_hides_another(void **state)
{
    (void)state;
    size_t count;
    const struct office365_row *rows = office365_rows(&count);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < OFFICE365_PATTERNS_MAX && rows[i].patterns[j].example != NULL; j++) {
            const struct office365_pattern *pattern = &rows[i].patterns[j];
            struct reply reply;
            reply_begin(&reply);
            bool found = reply_find(&reply, pattern->example, strlen(pattern->example), NULL);
            assert_int_equal(found, pattern->code != 0 || pattern->enhanced.class != 0);
            if (pattern->place != OFFICE365_SURELY_AT)
                expect(&reply, UNKNOWN, rows[i].name, pattern->example);
            for (enum reply_stage stage = CONNECT; stage < REPLY_STAGES; stage++) {
                if ((pattern->stages & OFFICE365_AT(stage)) != 0)
                    expect(&reply, stage, rows[i].name, pattern->example);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reply_gets_its_cause),
        cmocka_unit_test(each_cause_has_its_consequence),
        cmocka_unit_test(case_does_not_matter),
        cmocka_unit_test(several_lines_are_one_reply),
        cmocka_unit_test(a_log_line_tells_reply_and_stage),
        cmocka_unit_test(a_changed_reply_keeps_its_cause),
        cmocka_unit_test(an_enhanced_code_alone_is_understood),
        cmocka_unit_test(there_is_always_an_answer),
        cmocka_unit_test(the_table_is_whole),
        cmocka_unit_test(no_row_hides_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
