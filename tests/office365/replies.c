/* replies.c - every refusal of Office 365 as one table */
#include "replies.h"

#include "allocate.h"
#include "clock.h"
#include "encoding.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST         "SY4P300CA0001.AUSP300.PROD.OUTLOOK.COM"
#define STORE_HOST   "SY4P300MB0001.AUSP300.PROD.OUTLOOK.COM"
#define BANNER_HOST  "SY4P300CA0001.outlook.office365.com"
#define LONGEST_NAME 200 /* of an address that a reply repeats: the line stays below 512 bytes */
#define GATE         "535 5.7.139 Authentication unsuccessful, "

enum suffix {
    SUFFIX_NONE,
    SUFFIX_STAMP,   /* [host time number], by the front end */
    SUFFIX_HOSTNAME /* [Hostname=host], by the mailbox server */
};

struct row {
    const char *name;
    enum stage stage;
    enum suffix suffix;
    const char *text; /* {login} and {other} are filled in */
};

static const struct row rows[REPLY_ROWS] = {
    [REPLY_NONE] = {"ok", STAGE_DOT, SUFFIX_NONE, "250 2.0.0 OK"},
    [REPLY_UNAUTHENTICATED] = {"unauthenticated", STAGE_MAIL, SUFFIX_STAMP,
                               "530 5.7.57 Client not authenticated to send mail."},
    [REPLY_UNAUTHENTICATED_OLD] = {"unauthenticated-old", STAGE_MAIL, SUFFIX_STAMP,
                                   "530 5.7.57 SMTP; Client was not authenticated to send "
                                   "anonymous mail during MAIL FROM"},
    [REPLY_AUTHENTICATION_REQUIRED] = {"authentication-required", STAGE_MAIL, SUFFIX_NONE,
                                       "530 5.5.1 Authentication Required"},
    [REPLY_STARTTLS_REQUIRED] = {"starttls-required", STAGE_MAIL, SUFFIX_STAMP,
                                 "451 5.7.3 STARTTLS is required to send mail"},
    [REPLY_OLD_TLS] = {"old-tls", STAGE_AUTH, SUFFIX_STAMP,
                       "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your "
                       "client to support TLS 1.2. Visit https://aka.ms/smtp_auth_tls."},
    [REPLY_WRONG_PASSWORD] = {"wrong-password", STAGE_AUTH, SUFFIX_STAMP,
                              "535 5.7.3 Authentication unsuccessful"},
    [REPLY_SECURITY_DEFAULTS] = {"security-defaults", STAGE_AUTH, SUFFIX_STAMP,
                                 GATE "user is locked by your organization's security defaults "
                                      "policy. Contact your administrator."},
    [REPLY_TENANT_SWITCH] = {"tenant-switch", STAGE_AUTH, SUFFIX_STAMP,
                             GATE "SmtpClientAuthentication is disabled for the Tenant. Visit "
                                  "https://aka.ms/smtp_auth_disabled for more information."},
    [REPLY_MAILBOX_SWITCH] = {"mailbox-switch", STAGE_AUTH, SUFFIX_STAMP,
                              GATE "SmtpClientAuthentication is disabled for the Mailbox. Visit "
                                   "https://aka.ms/smtp_auth_disabled for more information."},
    [REPLY_BASIC_DISABLED] = {"basic-disabled", STAGE_AUTH, SUFFIX_STAMP,
                              GATE "basic authentication is disabled."},
    [REPLY_CONDITIONAL_ACCESS] = {"conditional-access", STAGE_AUTH, SUFFIX_STAMP,
                                  GATE "the request did not meet the criteria to be authenticated "
                                       "successfully. Contact your administrator."},
    [REPLY_CREDENTIALS_INCORRECT] = {"credentials-incorrect", STAGE_AUTH, SUFFIX_STAMP,
                                     GATE "the user credentials were incorrect."},
    [REPLY_FEDERATION] = {"federation", STAGE_AUTH, SUFFIX_STAMP,
                          GATE "federated STS service was unreachable."},
    [REPLY_BASIC_RETIRED] = {"basic-retired", STAGE_AUTH, SUFFIX_STAMP,
                             "550 5.7.30 Basic authentication is not supported for Client "
                             "Submission."},
    /* High Volume Email */
    [REPLY_TOKEN_ENDS_SOON] = {"token-ends-soon", STAGE_AUTH, SUFFIX_STAMP,
                               "535 5.7.142 Token will expire soon"},
    [REPLY_TOKEN_EXPIRED] = {"token-expired", STAGE_AUTH, SUFFIX_STAMP,
                             "535 5.7.143 Token expired"},
    [REPLY_TOKEN_PERMISSION] = {"token-permission", STAGE_AUTH, SUFFIX_STAMP,
                                "535 5.7.144 Invalid API permissions"},
    [REPLY_APP_NOT_LISTED] = {"app-not-listed", STAGE_AUTH, SUFFIX_STAMP,
                              "550 5.7.240 Application not authorized for this account"},
    [REPLY_AUTH_TROUBLE_454] = {"auth-trouble-454", STAGE_AUTH, SUFFIX_STAMP,
                                "454 4.7.0 Temporary authentication failure"},
    [REPLY_AUTH_TROUBLE_451] = {"auth-trouble-451", STAGE_AUTH, SUFFIX_STAMP,
                                "451 4.7.3 Authentication temporarily unavailable"},
    [REPLY_MAILBOX_DISABLED] = {"mailbox-disabled", STAGE_AUTH, SUFFIX_STAMP,
                                "550 5.2.1 Mailbox disabled; Mailbox cannot be accessed"},
    [REPLY_NOT_THIS_SENDER] = {"not-this-sender", STAGE_DOT, SUFFIX_STAMP,
                               "550 5.7.60 SMTP; Client does not have permissions to send as this "
                               "sender"},
    [REPLY_SEND_AS_DENIED] = {"send-as-denied", STAGE_DOT, SUFFIX_HOSTNAME,
                              "554 5.2.252 SendAsDenied; {login} not allowed to send as {other}; "
                              "STOREDRV.Submission.Exception:SendAsDeniedException."
                              "MapiExceptionSendAsDenied; Failed to process message due to a "
                              "permanent exception with message Cannot submit message."},
    [REPLY_SEND_AS_DENIED_OLD] = {"send-as-denied-old", STAGE_DOT, SUFFIX_HOSTNAME,
                                  "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException."
                                  "MapiExceptionSendAsDenied; Failed to process message due to a "
                                  "permanent exception with message Cannot submit message."},
    [REPLY_RECIPIENT_QUOTA] = {"recipient-quota", STAGE_DOT, SUFFIX_HOSTNAME,
                               "554 5.2.0 STOREDRV.Submission.Exception:"
                               "SubmissionQuotaExceededException; Failed to process message due to "
                               "a permanent exception with message The message can't be submitted "
                               "because the sender's submission quota was exceeded."},
    [REPLY_ACCESS_DENIED] = {"access-denied", STAGE_DOT, SUFFIX_STAMP,
                             "554 5.4.1 Recipient address rejected: Access denied"},
    [REPLY_UNKNOWN_RECIPIENT] = {"unknown-recipient", STAGE_RCPT, SUFFIX_STAMP,
                                 "550 5.4.1 Recipient address rejected: Access denied"},
    [REPLY_UNKNOWN_USER] = {"unknown-user", STAGE_RCPT, SUFFIX_STAMP,
                            "550 5.1.1 User unknown; Recipient not found"},
    [REPLY_CONCURRENT] = {"concurrent", STAGE_DOT, SUFFIX_HOSTNAME,
                          "432 4.3.2 Concurrent connections limit exceeded. Visit "
                          "https://aka.ms/concurrent_sending for more information."},
    [REPLY_CONCURRENT_OLD] = {"concurrent-old", STAGE_DOT, SUFFIX_HOSTNAME,
                              "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded"},
    [REPLY_RATE] = {"rate", STAGE_MAIL, SUFFIX_STAMP,
                    "421 4.4.2 Message submission rate for this client has exceeded the "
                    "configured limit"},
    [REPLY_LOGON_FAILURE] = {"logon-failure", STAGE_DOT, SUFFIX_HOSTNAME,
                             "430 4.2.0 STOREDRV; mailbox logon failure; Failed to process message "
                             "due to a transient exception with message Cannot open mailbox. "
                             "MapiExceptionLogonFailed"},
    [REPLY_MAILBOX_FULL] = {"mailbox-full", STAGE_DOT, SUFFIX_HOSTNAME,
                            "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:"
                            "QuotaExceededException.MapiExceptionShutoffQuotaExceeded; Failed to "
                            "process message due to a permanent exception"},
    [REPLY_TOO_MANY_RECIPIENTS] = {"too-many-recipients", STAGE_RCPT, SUFFIX_STAMP,
                                   "452 4.5.3 Too many recipients"},
    [REPLY_MULTIPLE_FROM] = {"multiple-from", STAGE_DOT, SUFFIX_STAMP,
                             "550 5.1.20 Multiple From addresses are not allowed without Sender "
                             "address"},
    [REPLY_INVALID_FROM] = {"invalid-from", STAGE_DOT, SUFFIX_STAMP,
                            "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 "
                            "compliant and include a valid From address"},
    [REPLY_TOO_LARGE] = {"too-large", STAGE_DOT, SUFFIX_STAMP,
                         "552 5.3.4 Message size exceeds fixed maximum message size"},
    [REPLY_HEADER_TOO_LARGE] = {"header-too-large", STAGE_DOT, SUFFIX_STAMP,
                                "552 5.3.4 Header size exceeds fixed maximum size"},
    [REPLY_TEMPORARY] = {"temporary", STAGE_DOT, SUFFIX_STAMP,
                         "451 4.7.0 Temporary server error. Please try again later. PRX2"},
    [REPLY_UNAVAILABLE] = {"unavailable", STAGE_DOT, SUFFIX_STAMP,
                           "421 4.3.2 Service not available"},
    [REPLY_BUSY] = {"busy", STAGE_DOT, SUFFIX_STAMP,
                    "451 4.7.500 Server busy. Please try again later"},
    [REPLY_TIMED_OUT] = {"timed-out", STAGE_DOT, SUFFIX_STAMP, "421 4.4.1 Connection timed out"},
    [REPLY_BAD_SENDER] = {"bad-sender", STAGE_DOT, SUFFIX_STAMP,
                          "550 5.1.8 Access denied, bad outbound sender"},
    [REPLY_BANNED_501] = {"banned-501", STAGE_DOT, SUFFIX_STAMP,
                          "550 5.7.501 Access denied, spam abuse detected from {login}"},
    [REPLY_BANNED_502] = {"banned-502", STAGE_DOT, SUFFIX_STAMP,
                          "550 5.7.502 Access denied, banned sender {login}"},
    [REPLY_BANNED_503] = {"banned-503", STAGE_DOT, SUFFIX_STAMP,
                          "550 5.7.503 Access denied, banned sender {login}"},
    [REPLY_TENANT_THRESHOLD] = {"tenant-threshold", STAGE_DOT, SUFFIX_STAMP,
                                "550 5.7.705 Access denied, tenant has exceeded threshold"},
    [REPLY_TRAFFIC_REFUSED] = {"traffic-refused", STAGE_DOT, SUFFIX_STAMP,
                               "550 5.7.708 Access denied, traffic not accepted from this IP"},
    [REPLY_DAILY_RECIPIENTS] = {"daily-recipients", STAGE_DOT, SUFFIX_STAMP,
                                "550 5.1.90 Your message can't be sent because you've reached your "
                                "daily limit for message recipients"},
    [REPLY_TENANT_TRIAL] = {"tenant-trial", STAGE_DOT, SUFFIX_STAMP,
                            "550 5.7.232 Your message can't be sent because your trial tenant has "
                            "exceeded its daily limit for sending email to external recipients"},
    [REPLY_TENANT_RECIPIENTS] = {"tenant-recipients", STAGE_DOT, SUFFIX_STAMP,
                                 "550 5.7.233 Your message can't be sent because your tenant "
                                 "exceeded its daily limit for sending email to external "
                                 "recipients"},
    [REPLY_RECIPIENT_LIMIT] = {"recipient-limit", STAGE_DOT, SUFFIX_STAMP,
                               "550 5.5.3 RESOLVER.ADR.RecipLimit; too many recipients"},
};

const char *reply_name(enum reply_row row)
{
    return rows[row].name;
}

bool reply_find(const char *name, enum reply_row *row)
{
    for (int i = 0; i < REPLY_ROWS; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            *row = (enum reply_row)i;
            return true;
        }
    }
    return false;
}

enum stage reply_stage(enum reply_row row)
{
    return rows[row].stage;
}

const char *reply_host(void)
{
    return STORE_HOST;
}

const char *reply_banner_host(void)
{
    return BANNER_HOST;
}

uint64_t reply_stamp(void)
{
    /* 100 ns since the year 1, with the top bit pattern (08DB...) that real stamps show */
    return (uint64_t)clock_real() / 100 + UINT64_C(621355968000000000);
}

/* put_name - an address from outside, as one printable word of bounded length */
static void put_name(FILE *stream, const char *name)
{
    size_t count = 0;

    if (name == NULL || *name == '\0')
        name = "-";
    for (; *name != '\0' && count < LONGEST_NAME; name++, count++)
        fputc(*name > ' ' && *name < 0x7f ? *name : '?', stream);
}

static void put_suffix(FILE *stream, enum suffix suffix, uint64_t stamp)
{
    char now[32];

    switch (suffix) {
    case SUFFIX_NONE:
        break;
    case SUFFIX_STAMP:
        clock_iso(clock_real(), now, sizeof now);
        fprintf(stream, " [%s %s %016llX]", HOST, now, (unsigned long long)stamp);
        break;
    case SUFFIX_HOSTNAME:
        fprintf(stream, " [Hostname=%s]", STORE_HOST);
        break;
    }
}

char *reply_text(enum reply_row row, const char *login, const char *other, uint64_t stamp)
{
    static const char login_place[] = "{login}", other_place[] = "{other}";
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (stream == NULL)
        abort();
    for (const char *from = rows[row].text; *from != '\0';) {
        if (strncmp(from, login_place, sizeof login_place - 1) == 0) {
            put_name(stream, login);
            from += sizeof login_place - 1;
        } else if (strncmp(from, other_place, sizeof other_place - 1) == 0) {
            put_name(stream, other);
            from += sizeof other_place - 1;
        } else {
            fputc(*from++, stream);
        }
    }
    put_suffix(stream, rows[row].suffix, stamp);
    if (fclose(stream) != 0)
        abort();
    return text;
}

json_t *reply_table(void)
{
    json_t *table = json_array();

    for (int i = REPLY_NONE + 1; i < REPLY_ROWS; i++) {
        json_t *row = json_object();
        char *text = reply_text((enum reply_row)i, NULL, NULL, reply_stamp());
        encoding_set(row, "name", json_string(rows[i].name));
        encoding_set(row, "stage", json_string(stage_name(rows[i].stage)));
        encoding_set(row, "text", json_string(text));
        encoding_append(table, row);
        free(text);
    }
    return table;
}

char *reply_key(const char *text)
{
    size_t code = strspn(text, "0123456789");
    size_t enhanced = 0;

    if (text[code] == ' ' || text[code] == '-')
        enhanced = strspn(text + code + 1, "0123456789.");
    if (enhanced < 5)
        return duplicate_bytes(text, code);
    return format("%.*s %.*s", (int)code, text, (int)enhanced, text + code + 1);
}

bool reply_positive(const char *text)
{
    return (text[0] == '2' || text[0] == '3') && isdigit((unsigned char)text[1]);
}
