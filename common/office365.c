/* office365.c - what each reply of Office 365 means, and the remedy
 *
 * First the table, then the few lines that look into it. To teach post365 a reply, add a pattern to
 * a row or a row to the table, then run `make generate`; the order matters: the first row that fits
 * wins, so the more specific one stands first, and where two causes share a code (554 5.2.0) the
 * text decides. Never match the end of a text: Office 365 puts a host stamp there. A text for which
 * the account is paused stands with the subject of its enhanced code: senders choose the addresses
 * that other replies quote.
 *
 * Sources: Microsoft's pages on SMTP AUTH client submission, on its limits, on non-delivery reports
 * in Exchange Online and on continuous error throttling; replies in published logs.
 */
#include "common/office365.h"

#include <ctype.h>
#include <string.h>

#define AT_CONNECT     OFFICE365_AT(REPLY_STAGE_CONNECT)
#define AT_STARTTLS    OFFICE365_AT(REPLY_STAGE_STARTTLS)
#define AT_AUTH        OFFICE365_AT(REPLY_STAGE_AUTH)
#define AT_MAIL        OFFICE365_AT(REPLY_STAGE_MAIL)
#define AT_RCPT        OFFICE365_AT(REPLY_STAGE_RCPT)
#define AT_END_OF_DATA OFFICE365_AT(REPLY_STAGE_END_OF_DATA)
#define AT_REPORT      OFFICE365_AT(REPLY_STAGE_REPORT)

#define UNTIL_FIXED OFFICE365_ACCOUNT_PAUSE_UNTIL_FIXED

static const struct office365_row rows[] = {
    /* --- the three gates, and what else closes AUTH --- */
    {
        .name = "security-defaults",
        .meaning =
            "Gate 1 is closed: the organisation's security defaults forbid logging in with a "
            "password.",
        .remedy = "Microsoft Entra admin centre, Identity, Overview, Properties, Manage security "
                  "defaults: Disabled, and put Conditional Access in its place that allows SMTP "
                  "AUTH for this account. Or use OAuth2, which passes this gate. A change takes "
                  "from minutes to a day.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 535,
                      .enhanced = {5, 7, 139},
                      .text = "security defaults policy",
                      .example = "535 5.7.139 Authentication unsuccessful, user is locked by your "
                                 "organization's security defaults policy. Contact your "
                                 "administrator."}},
    },
    {
        .name = "tenant-switch",
        .meaning = "Gate 2 is closed: SMTP AUTH is switched off for the whole organisation.",
        .remedy = "Exchange admin centre, Settings, Mail flow: take the tick from \"Turn off SMTP "
                  "AUTH protocol for your organization\". Or in PowerShell: "
                  "`Set-TransportConfig -SmtpClientAuthenticationDisabled $false`; check with "
                  "`Get-TransportConfig | Format-List SmtpClientAuthenticationDisabled`. The "
                  "mailbox's own switch overrides it: `Set-CASMailbox -Identity <UPN> "
                  "-SmtpClientAuthenticationDisabled $false` opens it for this account alone. A "
                  "change takes from minutes to a day.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 535,
                      .enhanced = {5, 7, 139},
                      .text = "SmtpClientAuthentication is disabled for the Tenant",
                      .example = "535 5.7.139 Authentication unsuccessful, "
                                 "SmtpClientAuthentication is disabled for the Tenant. Visit "
                                 "https://aka.ms/smtp_auth_disabled for more information."}},
    },
    {
        .name = "mailbox-switch",
        .meaning = "Gate 3 is closed: SMTP AUTH is switched off for this mailbox.",
        .remedy =
            "Microsoft 365 admin centre, Users, Active users, the mailbox, Mail, Manage email "
            "apps: tick Authenticated SMTP. Or in PowerShell: `Set-CASMailbox -Identity "
            "<UPN> -SmtpClientAuthenticationDisabled $false`; check with `Get-CASMailbox "
            "-Identity <UPN> | Format-List SmtpClientAuthenticationDisabled`. A change takes "
            "from minutes to a day.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 535,
                      .enhanced = {5, 7, 139},
                      .text = "SmtpClientAuthentication is disabled for the Mailbox",
                      .example = "535 5.7.139 Authentication unsuccessful, "
                                 "SmtpClientAuthentication is disabled for the Mailbox. Visit "
                                 "https://aka.ms/smtp_auth_disabled for more information."}},
    },
    {
        .name = "basic-auth-disabled",
        .meaning = "Logging in with a password is switched off for this account, by an "
                   "authentication policy or because Microsoft has switched it off for the "
                   "organisation.",
        .remedy = "Let this account log in with OAuth2: /usr/share/doc/post365/ADMIN.md, "
                  "\"Moving to OAuth2\". Or allow basic authentication for SMTP where the "
                  "organisation still may: `Get-User -Identity <UPN> | Format-List "
                  "AuthenticationPolicy` names the policy, `Set-AuthenticationPolicy -Identity "
                  "<policy> -AllowBasicAuthSmtp` opens it.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 535,
                      .enhanced = {5, 7, 139},
                      .text = "basic authentication is disabled",
                      .example = "535 5.7.139 Authentication unsuccessful, basic authentication is "
                                 "disabled."}},
    },
    {
        .name = "conditional-access",
        .meaning = "A Conditional Access policy, or the multi-factor authentication it asks for, "
                   "keeps this account from logging in with its password.",
        .remedy =
            "Microsoft Entra admin centre, the account's sign-in log, names the policy: exempt "
            "the account or the relay's address from it. With multi-factor authentication "
            "use an app password (the user's Security info, Add sign-in method, App "
            "password) or OAuth2.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 535,
                      .enhanced = {5, 7, 139},
                      .text = "did not meet the criteria to be authenticated",
                      .example =
                          "535 5.7.139 Authentication unsuccessful, the request did not meet "
                          "the criteria to be authenticated successfully. Contact your "
                          "administrator."}},
    },
    {
        .name = "password-incorrect",
        .meaning = "The password, or the user name, is wrong.",
        .remedy =
            "Put the right password into the table that `post365_password_maps` names (unless it "
            "is set, `smtp_sasl_password_maps`), and run postmap if it is an indexed one: the "
            "account is then tried again by itself. Where the table is no file (ldap: and the "
            "like), `post365 resume <UPN>`. The user name is the account's UPN, not an alias; with "
            "multi-factor authentication the password is an app password.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 535,
                      .enhanced = {5, 7, 139},
                      .text = "user credentials were incorrect",
                      .example =
                          "535 5.7.139 Authentication unsuccessful, the user credentials were "
                          "incorrect."}},
    },
    {
        .name = "federation-unreachable",
        .meaning = "The organisation checks passwords on a server of its own (federation, AD FS), "
                   "and Microsoft could not reach it.",
        .remedy = "Bring the federation server back, or make the account a cloud account (in the "
                  "onmicrosoft.com domain), which needs no federation; from such an address "
                  "Microsoft takes mail for 100 external recipients a day and organisation.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 535,
                      .enhanced = {5, 7, 139},
                      .text = "federated STS",
                      .example =
                          "535 5.7.139 Authentication unsuccessful, federated STS service was "
                          "unreachable."}},
    },
    {
        .name = "starttls-required",
        .meaning = "The message was offered without encryption.",
        .remedy =
            "Set `smtp_tls_security_level = secure` (or at least `encrypt`) for the transport "
            "that talks to Office 365; post365's own transport always encrypts.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_MAIL,
                      .code = 451,
                      .enhanced = {5, 7, 3},
                      .text = "STARTTLS",
                      .example = "451 5.7.3 STARTTLS is required to send mail"},
                     {.stages = AT_MAIL,
                      .code = 4,
                      .enhanced = {4, 7, 3},
                      .text = "STARTTLS",
                      .example = "451 4.7.3 STARTTLS is required to send mail"},
                     {.stages = AT_MAIL,
                      .code = 530,
                      .enhanced = {5, 7, 0},
                      .text = "STARTTLS",
                      .example = "530 5.7.0 Must issue a STARTTLS command first"},
                     {.stages = AT_MAIL,
                      .code = 530,
                      .text = "STARTTLS",
                      .example = "530 Must issue a STARTTLS command first"}},
    },
    {
        .name = "credentials-refused",
        .meaning = "The user name, the password or the OAuth2 token is not accepted.",
        .remedy =
            "Password: put the right one into the table that `post365_password_maps` names (unless "
            "it is set, `smtp_sasl_password_maps`), and run postmap if it is an indexed one: the "
            "account is then tried again by itself. Where the table is no file (ldap: and the "
            "like), `post365 resume <UPN>`. The user name is the account's UPN, not an alias, and "
            "with multi-factor authentication the password is an app password. OAuth2: permit the "
            "application by RBAC for Applications, with the role Application SMTP.SendAsApp, or "
            "the classic way, with the API permission SMTP.SendAsApp and FullAccess; its service "
            "principal must have been made with the object id of the Enterprise application, and "
            "changes take up to two hours: see the cause token-refused.",
        .with_token = "token-refused",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 535,
                      .enhanced = {5, 7, 3},
                      .example = "535 5.7.3 Authentication unsuccessful"}},
    },
    {
        .name = "token-refused",
        .meaning = "The access token is good for Microsoft Entra, and Exchange does not take it "
                   "for this mailbox.",
        .remedy =
            "`post365 doctor <UPN>` looks for the reason. After a change of permissions wait two "
            "hours: until then a refusal says nothing. If it stays, in Exchange Online PowerShell: "
            "`New-ServicePrincipal -AppId <client id> -ObjectId <object id>` wants the object id "
            "that the Enterprise application shows, not the app registration's. Then permit it by "
            "RBAC for Applications: `New-ManagementRoleAssignment -Role 'Application "
            "SMTP.SendAsApp' -App <client id> -CustomResourceScope <scope>`, with the mailbox in "
            "the scope, which `Test-ServicePrincipalAuthorization -Identity <client id> -Resource "
            "<UPN>` shows (InScope True). Or the classic way: API permission Office 365 Exchange "
            "Online, SMTP.SendAsApp (not Microsoft Graph's Mail.Send) with admin consent, and "
            "`Add-MailboxPermission -Identity <UPN> -User <service principal> -AccessRights "
            "FullAccess`. With a login by device code the account itself must have logged in.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
    },
    /* High Volume Email has replies of its own for tokens. */
    {
        .name = "token-ends-soon",
        .meaning = "High Volume Email does not take an access token that ends within minutes, or "
                   "has ended.",
        .remedy = "Nothing: a new token is got, and the mail goes by itself. If it lasts and "
                  "`post365_token_maps` names the token, renew its file ten minutes earlier.",
        .told = OFFICE365_TEMPORARY,
        .account = OFFICE365_ACCOUNT_PAUSE_SHORT,
        .patterns = {{.stages = AT_AUTH,
                      .code = 501,
                      .enhanced = {5, 5, 127},
                      .example = "501 5.5.127 Token will expire soon"},
                     {.stages = AT_AUTH,
                      .code = 535,
                      .enhanced = {5, 7, 142},
                      .detail_last = 143,
                      .example = "535 5.7.142 Token will expire soon"}},
    },
    {
        .name = "token-malformed",
        .meaning = "High Volume Email cannot read the access token.",
        .remedy = "If `post365_token_maps` names the token, its file must have the token alone. "
                  "`post365 doctor <UPN>` looks at it.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 501,
                      .enhanced = {5, 5, 121},
                      .detail_last = 126,
                      .example = "501 5.5.121 Malformed token"}},
    },
    {
        .name = "token-permission",
        .meaning = "The access token does not have the permission that High Volume Email wants.",
        .remedy = "Microsoft Entra admin centre, App registrations, the application, API "
                  "permissions: Office 365 Exchange Online, Mail.Send, with admin consent.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 535,
                      .enhanced = {5, 7, 144},
                      .example = "535 5.7.144 Invalid API permissions"}},
    },
    {
        .name = "application-not-listed",
        .meaning = "The application is not among those that may send as this account of High "
                   "Volume Email.",
        .remedy = "Exchange Online PowerShell: `Add-HVEAppAccess -Identity <UPN> -AppIds <object "
                  "id>` with the object id that the Enterprise application shows; it takes some "
                  "minutes.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 550,
                      .enhanced = {5, 7, 240},
                      .example = "550 5.7.240 Application not authorized for this account"}},
    },
    {
        .name = "basic-auth-retired",
        .meaning = "Microsoft has retired logging in with a password for SMTP AUTH.",
        .remedy =
            "Let this account log in with OAuth2: /usr/share/doc/post365/ADMIN.md, \"Moving to "
            "OAuth2\". For mail within the organisation High Volume Email takes passwords "
            "until September 2028.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 550,
                      .enhanced = {5, 7, 30},
                      .example = "550 5.7.30 Basic authentication is not supported for Client "
                                 "Submission."}},
    },
    {
        .name = "mailbox-disabled",
        .meaning = "The account's mailbox is disabled.",
        .remedy =
            "Microsoft 365 admin centre, Users, Active users: allow the account to sign in and "
            "give it a licence with a mailbox. Or send with another account.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.place = OFFICE365_ONLY_AT,
                      .stages = AT_AUTH,
                      .code = 550,
                      .enhanced = {5, 2, 1},
                      .text = "Mailbox cannot be accessed",
                      .example = "550 5.2.1 Mailbox cannot be accessed"}},
    },
    {
        .name = "authentication-trouble",
        .meaning = "Microsoft cannot check logins at the moment.",
        .remedy = "Nothing: it passes, and the mail goes by itself. If it lasts, look at Service "
                  "health in the Microsoft 365 admin centre.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_PAUSE_SHORT,
        .patterns = {{.place = OFFICE365_SURELY_AT,
                      .stages = AT_AUTH,
                      .code = 454,
                      .enhanced = {4, 7, 0},
                      .example = "454 4.7.0 Try again later"},
                     {.place = OFFICE365_ONLY_AT,
                      .stages = AT_AUTH,
                      .code = 454,
                      .enhanced = {4, 7, 0},
                      .text = "authentication",
                      .example = "454 4.7.0 Temporary authentication failure"},
                     {.stages = AT_AUTH,
                      .code = 451,
                      .enhanced = {4, 7, 3},
                      .example = "451 4.7.3 Temporary authentication failure"}},
    },
    {
        .name = "tls-too-old",
        .meaning = "The connection used TLS 1.0 or 1.1, which Microsoft no longer takes.",
        .remedy = "post365's transport uses TLS 1.2 or later whatever is set: if it is the one "
                  "that got this, "
                  "something stands between, such as a proxy that inspects TLS. Postfix's own smtp "
                  "client: "
                  "`smtp_tls_mandatory_protocols = >=TLSv1.2`. A client "
                  "that knows nothing newer: smtp-legacy.office365.com after "
                  "`Set-TransportConfig -AllowLegacyTLSClients $true`.",
        .told = OFFICE365_AS_IS,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 421,
                      .enhanced = {4, 7, 66},
                      .example = "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/"
                                 "update your client to support TLS 1.2."}},
    },
    {
        .name = "not-authenticated",
        .meaning = "The message was offered without a login.",
        .remedy = "Give the account credentials in `post365_password_maps` or "
                  "`smtp_sasl_password_maps` (Postfix's own smtp "
                  "client: `smtp_sasl_auth_enable = yes`, and a line for the relayhost, spelled as "
                  "in `relayhost`, in `smtp_sasl_password_maps`). With "
                  "`smtp_sender_dependent_authentication` the null sender of bounces finds its "
                  "credentials only by the relayhost.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .may_quote_login = true,
        .patterns = {{.stages = AT_MAIL,
                      .code = 530,
                      .enhanced = {5, 7, 57},
                      .text = "Client was not authenticated",
                      .example = "530 5.7.57 SMTP; Client was not authenticated to send anonymous "
                                 "mail during MAIL FROM"},
                     {.stages = AT_MAIL,
                      .code = 530,
                      .enhanced = {5, 7, 57},
                      .example = "530 5.7.57 Client not authenticated to send mail."},
                     {.stages = AT_MAIL,
                      .code = 530,
                      .enhanced = {5, 5, 1},
                      .example = "530 5.5.1 Authentication Required"},
                     {.stages = AT_MAIL,
                      .enhanced = {5, 7, 1},
                      .text = "client was not authenticated",
                      .example = "530 5.7.1 Client was not authenticated"},
                     {.stages = AT_MAIL,
                      .code = 530,
                      .is_as_sent = true,
                      .example = "530 any other text: what RFC 4954 has for it"}},
    },
    {
        .name = "authentication-refused",
        .meaning = "The login was refused, with a text that post365 does not know.",
        .remedy = "Read Microsoft's text; the account's sign-in log in the Microsoft Entra admin "
                  "centre says more. Check the three gates (security defaults, the organisation's "
                  "and the mailbox's switch for SMTP AUTH), then user name and password.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .may_quote_login = true,
        .patterns = {{.stages = AT_AUTH,
                      .code = 535,
                      .example = "535 5.7.139 Authentication unsuccessful, with any other text"},
                     {.place = OFFICE365_SURELY_AT,
                      .stages = AT_AUTH,
                      .code = 5,
                      .example = "504 5.7.4 Unrecognized authentication type"}},
    },
    /* --- who may send as whom --- */
    /* --- how this relay comes to Microsoft --- */
    {
        .name = "helo-refused",
        .meaning = "Microsoft does not take the name with which this relay greets.",
        .remedy = "Give `myhostname` (and `smtp_helo_name`, where that is set) a full host name of "
                  "letters, digits, hyphens and dots, such as relay.contoso.com: no underscore, "
                  "and not Microsoft's own. Then "
                  "`systemctl restart postfix` and `systemctl restart post365-transport`.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_CONNECT,
                      .code = 501,
                      .enhanced = {5, 5, 4},
                      .text = "domain name",
                      .example = "501 5.5.4 Invalid domain name"},
                     {.stages = AT_CONNECT,
                      .enhanced = {5, 7, 506},
                      .example = "550 5.7.506 Access Denied, Bad HELO"},
                     {.place = OFFICE365_SURELY_AT,
                      .stages = AT_CONNECT,
                      .code = 501,
                      .example = "501 any other text behind EHLO"},
                     {.place = OFFICE365_SURELY_AT,
                      .stages = AT_CONNECT,
                      .code = 5,
                      .text = "HELO",
                      .example = "550 5.7.1 HELO: need a full host name"},
                     {.place = OFFICE365_SURELY_AT,
                      .stages = AT_CONNECT,
                      .code = 5,
                      .text = "EHLO",
                      .example = "550 5.7.1 EHLO: need a full host name"}},
    },
    {
        .name = "way-refused",
        .meaning = "Microsoft took the message for direct send, or for a connector's, where nobody "
                   "logs in, and does not take it from here.",
        .remedy =
            "Let `relayhost` be [smtp.office365.com]:587, where the account logs in; "
            "`post365 setup` shows what that takes. Who means a connector: the address or the "
            "certificate that it names must be "
            "this relay's. Who means direct send: it reaches the organisation's own mailboxes "
            "alone, unless `Set-OrganizationConfig -RejectDirectSend $true` forbids it.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_MAIL | AT_RCPT | AT_END_OF_DATA,
                      .enhanced = {5, 7, 64},
                      .example = "550 5.7.64 TenantAttribution; Relay Access Denied"},
                     {.stages = AT_MAIL | AT_RCPT | AT_END_OF_DATA,
                      .enhanced = {5, 7, 68},
                      .example = "550 5.7.68 TenantInboundAttribution; Direct Send not allowed for "
                                 "this organization from unauthorized sources"},
                     {.stages = AT_MAIL | AT_RCPT | AT_END_OF_DATA,
                      .enhanced = {5, 7, 51},
                      .example =
                          "550 5.7.51 TenantInboundAttribution; There is a partner connector "
                          "configured that matched the message's recipient domain"},
                     {.stages = AT_RCPT,
                      .enhanced = {5, 7, 54},
                      .example =
                          "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain"},
                     {.stages = AT_RCPT,
                      .enhanced = {5, 7, 0},
                      .detail_last = 999,
                      .text = "TenantAttribution",
                      .example = "550 5.7.1 TenantAttribution; Relay Access Denied"},
                     {.stages = AT_RCPT,
                      .enhanced = {5, 7, 0},
                      .detail_last = 999,
                      .text = "TenantInboundAttribution",
                      .example = "550 5.7.1 TenantInboundAttribution; not allowed"},
                     {.stages = AT_RCPT,
                      .code = 550,
                      .enhanced = {5, 7, 1},
                      .text = "Unable to relay",
                      .is_as_sent = true,
                      .example = "550 5.7.1 Unable to relay"}},
    },
    {
        .name = "ipv6-refused",
        .meaning = "Microsoft, or the recipient's organisation, does not take this message over "
                   "IPv6.",
        .remedy =
            "Send over IPv4: `inet_protocols = ipv4`, then `systemctl restart postfix` and "
            "`systemctl restart post365-transport`. Or give the relay's IPv6 address a reverse DNS "
            "record, and the sender's domain an SPF record that names the address.",
        .told = OFFICE365_TEMPORARY,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .needs_admin = true,
        .patterns = {{.enhanced = {4, 7, 26},
                      .example = "450 4.7.26 Service does not accept messages sent over IPv6 "
                                 "[2001:db8::25] unless they pass either SPF or DKIM validation"},
                     {.enhanced = {5, 7, 25},
                      .detail_last = 26,
                      .example =
                          "550 5.7.25 Access denied, the sending IPv6 address [2001:db8::25] "
                          "must have a reverse DNS record"},
                     {.enhanced = {5, 7, 510},
                      .example =
                          "550 5.7.510 Access denied, contoso.com does not accept email over "
                          "IPv6"}},
    },
    {
        .name = "sender-throttled",
        .meaning = "The same error came so often for this mailbox that Microsoft stopped taking "
                   "mail from it for a while.",
        .remedy =
            "Find and mend the error that the text names (mailbox full, Send As, licence, too "
            "many or invalid recipients): its own replies are in Postfix's log before this "
            "one.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_END_OF_DATA,
                      .code = 550,
                      .enhanced = {5, 2, 251},
                      .detail_last = 255,
                      .text = "Sender throttled",
                      .example = "550 5.2.251 Sender throttled due to continuous mailbox full "
                                 "errors."}},
    },
    {
        .name = "send-as",
        .meaning = "The envelope sender or the From: header is neither the account nor an address "
                   "that it may send as.",
        .remedy = "Find out why post365's milter did not rewrite this message: `smtpd_milters` and "
                  "`non_smtpd_milters` must both name it, and an address in `post365_send_as_maps` "
                  "is left as it is although Exchange does not allow it. To allow it there: "
                  "`Add-RecipientPermission <address> -AccessRights SendAs -Trustee <UPN>`, or for "
                  "the account's own aliases `Set-OrganizationConfig -SendFromAliasEnabled $true`.",
        .told = OFFICE365_TEMPORARY,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .needs_admin = true,
        .patterns = {{.stages = AT_END_OF_DATA,
                      .enhanced = {5, 7, 60},
                      .example =
                          "550 5.7.60 SMTP; Client does not have permissions to send as this "
                          "sender"},
                     {.stages = AT_END_OF_DATA,
                      .enhanced = {5, 2, 252},
                      .example = "554 5.2.252 SendAsDenied; a@example.com not allowed to send as "
                                 "b@example.com; STOREDRV.Submission.Exception:"
                                 "SendAsDeniedException.MapiExceptionSendAsDenied"},
                     {.stages = AT_END_OF_DATA,
                      .enhanced = {5, 2, 0},
                      .detail_last = 999,
                      .text = "SendAsDenied",
                      .example = "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException."
                                 "MapiExceptionSendAsDenied; Failed to process message due to a "
                                 "permanent exception"},
                     {.stages = AT_END_OF_DATA,
                      .enhanced = {5, 2, 0},
                      .detail_last = 999,
                      .text = "SendOnBehalfOfDenied",
                      .example = "554 5.2.0 STOREDRV.Submission.Exception:"
                                 "SendOnBehalfOfDeniedException; Failed to process message"},
                     {.stages = AT_END_OF_DATA,
                      .enhanced = {5, 7, 0},
                      .detail_last = 999,
                      .text = "permissions to send as this",
                      .example =
                          "550 5.7.1 Client does not have permissions to send as this sender"}},
    },
    /* --- limits --- */
    {
        .name = "submission-quota",
        .meaning =
            "The mailbox has sent to 10,000 recipients in the last 24 hours; it is temporary "
            "although the code says permanent.",
        .remedy = "Nothing: the mail goes by itself as the window moves on. If post365 did not see "
                  "it coming, something else sends with this mailbox too, or "
                  "`post365_recipient_quota` is set too high. For more, spread the mail over "
                  "several accounts, or use High Volume Email for recipients within the "
                  "organisation.",
        .told = OFFICE365_TEMPORARY,
        .account = OFFICE365_ACCOUNT_PAUSE_FOR_ROOM,
        .patterns = {{.stages = AT_END_OF_DATA,
                      .enhanced = {5, 2, 0},
                      .detail_last = 999,
                      .text = "SubmissionQuotaExceeded",
                      .example = "554 5.2.0 STOREDRV.Submission.Exception:"
                                 "SubmissionQuotaExceededException; Failed to process message due "
                                 "to a permanent exception with message The message can't be "
                                 "submitted because the sender's submission quota was exceeded."},
                     {.stages = AT_END_OF_DATA,
                      .enhanced = {5, 2, 0},
                      .detail_last = 999,
                      .text = "submission quota",
                      .example = "554 5.2.0 The message can't be submitted because the sender's "
                                 "submission quota was exceeded."},
                     {.stages = AT_END_OF_DATA,
                      .code = 554,
                      .text = "sender's submission quota was exceeded",
                      .example = "554 The message can't be submitted because the sender's "
                                 "submission quota was exceeded."}},
    },
    {
        .name = "rate-or-recipient-cap",
        .meaning = "The mailbox has reached its cap of recipients or of messages per minute; it is "
                   "temporary although the code says permanent.",
        .remedy = "Nothing: the mail goes by itself. If post365 did not see it coming, something "
                  "else sends with this mailbox too, or `post365_recipient_quota` or "
                  "`post365_message_quota` is set too high.",
        .told = OFFICE365_TEMPORARY,
        .account = OFFICE365_ACCOUNT_PAUSE_FOR_ROOM,
        .patterns = {{.stages = AT_END_OF_DATA | AT_RCPT,
                      .code = 554,
                      .enhanced = {5, 4, 1},
                      .text = "Access denied",
                      .example = "554 5.4.1 Recipient address rejected: Access denied"}},
    },
    {
        .name = "connection-limit",
        .meaning = "More than three connections were sending with this mailbox at once, ours or "
                   "another client's.",
        .remedy = "Nothing: it is tried again with fewer connections. If it happens often, another "
                  "client uses the mailbox: lower `post365_connection_limit` (Postfix's own smtp "
                  "client: `smtp_destination_concurrency_limit`), or give each client an account.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_RETRY_SOON,
        .patterns = {{.stages = AT_END_OF_DATA,
                      .code = 432,
                      .enhanced = {4, 3, 2},
                      .text = "concurrent connection",
                      .example = "432 4.3.2 Concurrent connections limit exceeded. Visit "
                                 "https://aka.ms/concurrent_sending for more information."},
                     {.stages = AT_END_OF_DATA,
                      .code = 432,
                      .enhanced = {4, 3, 2},
                      .text = "sender thread limit",
                      .example = "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded"}},
    },
    {
        .name = "submission-rate",
        .meaning = "More than 30 messages were submitted with this mailbox within a minute.",
        .remedy = "Nothing: it goes on after a minute. If it happens often, something else sends "
                  "with this mailbox too, or `post365_message_quota` is set too high.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_PAUSE_SHORT,
        .patterns =
            {{.stages = AT_MAIL,
              .code = 421,
              .enhanced = {4, 4, 2},
              .text = "submission rate",
              .example = "421 4.4.2 Message submission rate for this client has exceeded the "
                         "configured limit"},
             {.stages = AT_END_OF_DATA,
              .code = 432,
              .enhanced = {4, 3, 2},
              .text = "message limit",
              .example =
                  "432 4.3.2 STOREDRV.ClientSubmit; exceeded the message limit per account"}},
    },
    {
        .name = "recipients-per-message",
        .meaning = "The message has more recipients than the mailbox may address at once.",
        .remedy = "Nothing: Postfix sends the rest in another message. To avoid it, set "
                  "`post365_recipients_per_message` to the mailbox's limit, or raise that one (up "
                  "to 1000): `Set-Mailbox -Identity <UPN> -RecipientLimits 1000`.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .patterns = {{.stages = AT_RCPT,
                      .code = 452,
                      .enhanced = {4, 5, 3},
                      .example = "452 4.5.3 Too many recipients"}},
    },
    {
        .name = "recipients-rejected",
        .meaning = "Microsoft took the message and then sent it back, since it had more recipients "
                   "than the mailbox may address at once.",
        .remedy = "Set `post365_recipients_per_message` to the mailbox's limit, or raise that one "
                  "(up to 1000): `Set-Mailbox -Identity <UPN> -RecipientLimits 1000`; then send "
                  "the message again.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .needs_admin = true,
        .patterns = {{.stages = AT_REPORT,
                      .enhanced = {5, 5, 3},
                      .text = "RESOLVER.ADR.RecipLimit",
                      .example = "550 5.5.3 RESOLVER.ADR.RecipLimit; too many recipients"}},
    },
    {
        .name = "daily-recipients",
        .meaning = "The mailbox has reached its daily number of recipients.",
        .remedy =
            "Nothing, as long as the message is in the queue: it goes when there is room. What "
            "came back as a report must be sent again. If post365 did not see it coming, "
            "something else sends with this mailbox too, or `post365_recipient_quota` is set "
            "too high.",
        .told = OFFICE365_TEMPORARY,
        .account = OFFICE365_ACCOUNT_PAUSE_FOR_ROOM,
        .patterns = {{.stages = AT_REPORT,
                      .enhanced = {5, 1, 90},
                      .detail_last = 92,
                      .example =
                          "550 5.1.90 Your message can't be sent because you've reached your "
                          "daily limit for message recipients"}},
    },
    {
        .name = "tenant-recipients",
        .meaning = "The organisation has reached its limit of external recipients in 24 hours, "
                   "which all of its mailboxes share; it is 100 for those who send from an "
                   "onmicrosoft.com "
                   "address.",
        .remedy =
            "Nothing, as long as the message is in the queue: it goes when there is room. What "
            "came back as a report must be sent again. Exchange admin centre, Reports, Mail "
            "flow shows who uses it up; more licences raise the limit, and so does a domain of the "
            "organisation's own in place of onmicrosoft.com.",
        .told = OFFICE365_TEMPORARY,
        .account = OFFICE365_ACCOUNT_PAUSE_FOR_ROOM,
        .patterns = {{.stages = AT_REPORT,
                      .enhanced = {5, 7, 232},
                      .detail_last = 236,
                      .example = "550 5.7.233 Your message can't be sent because your tenant "
                                 "exceeded its daily limit for sending email to external "
                                 "recipients"}},
    },
    /* --- the account's mailbox --- */
    {
        .name = "mailbox-logon",
        .meaning = "The application's OAuth2 token is good, but it may not open this mailbox; it "
                   "does not heal by itself although the code says temporary.",
        .remedy =
            "Permit the application to send as the mailbox by RBAC for Applications, in Exchange "
            "Online PowerShell: `New-ManagementRoleAssignment -Role 'Application "
            "SMTP.SendAsApp' -App <client id> -CustomResourceScope <scope>`, with the "
            "mailbox in the scope. `Test-ServicePrincipalAuthorization -Identity <client id> "
            "-Resource <UPN>` shows it (InScope True). Or, where it has the classic API "
            "permission: `Add-MailboxPermission -Identity <UPN> -User <service principal> "
            "-AccessRights FullAccess`. A change takes up to two hours; then `post365 resume "
            "<UPN>`, or wait for the next probe.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_END_OF_DATA,
                      .code = 4,
                      .text = "mailbox logon failure",
                      .example = "430 4.2.0 STOREDRV; mailbox logon failure; "
                                 "STOREDRV.Submission.Exception:LogonFailedException."
                                 "MapiExceptionLogonFailed"},
                     {.stages = AT_END_OF_DATA,
                      .code = 4,
                      .text = "MapiExceptionLogonFailed",
                      .example = "430 4.2.0 STOREDRV.Submission.Exception:LogonFailedException."
                                 "MapiExceptionLogonFailed"},
                     {.stages = AT_END_OF_DATA,
                      .enhanced = {5, 2, 0},
                      .detail_last = 999,
                      .text = "MapiExceptionLogonFailed",
                      .example = "554 5.2.0 STOREDRV.Submission.Exception:"
                                 "ConnectionFailedPermanentException.MapiExceptionLogonFailed"}},
    },
    {
        .name = "recipient-mailbox-full",
        .meaning = "The recipient's mailbox is full.",
        .remedy = "Nothing here: the recipient must make room, then the message can be sent again.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .patterns = {{.stages = AT_RCPT | AT_REPORT,
                      .enhanced = {5, 2, 2},
                      .text = "STOREDRV.Deliver",
                      .example = "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:"
                                 "QuotaExceededException.MapiExceptionShutoffQuotaExceeded"},
                     {.place = OFFICE365_SURELY_AT,
                      .stages = AT_RCPT,
                      .enhanced = {5, 2, 2},
                      .example = "552 5.2.2 mailbox full"}},
    },
    {
        .name = "mailbox-full",
        .meaning = "The account's mailbox is full: everything it sends is kept in Sent Items.",
        .remedy = "Empty Sent Items, and give it a retention policy that keeps it short; or a "
                  "larger mailbox.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_END_OF_DATA,
                      .enhanced = {5, 2, 2},
                      .example = "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:"
                                 "QuotaExceededException.MapiExceptionShutoffQuotaExceeded"},
                     {.stages = AT_END_OF_DATA,
                      .enhanced = {5, 2, 0},
                      .detail_last = 999,
                      .text = "STOREDRV.Submission.Exception:QuotaExceeded",
                      .example = "554 5.2.0 STOREDRV.Submission.Exception:"
                                 "QuotaExceededException.MapiExceptionQuotaExceeded"}},
    },
    /* --- the message itself: permanent --- */
    {
        .name = "external-recipient",
        .meaning = "The recipient is outside the organisation, and High Volume Email delivers "
                   "within it alone.",
        .remedy = "Send such mail with a mailbox: let `post365_sender_upn_maps` have another "
                  "account for its sender.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .patterns = {{.stages = AT_RCPT | AT_END_OF_DATA,
                      .code = 550,
                      .enhanced = {5, 5, 105},
                      .example = "550 5.5.105 External recipients are not supported"}},
    },
    {
        .name = "unknown-recipient",
        .meaning = "There is no such recipient in the organisation that the address belongs to, or "
                   "it is no "
                   "address.",
        .remedy = "Correct the address.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .patterns =
            {{.stages = AT_RCPT,
              .code = 550,
              .enhanced = {5, 4, 1},
              .text = "Recipient address rejected",
              .example = "550 5.4.1 Recipient address rejected: Access denied"},
             {.stages = AT_END_OF_DATA,
              .enhanced = {5, 2, 0},
              .detail_last = 999,
              .text = "InvalidRecipients",
              .example =
                  "554 5.2.0 STOREDRV.Submission.Exception:InvalidRecipientsException; Failed to "
                  "process message"}},
    },
    {
        .name = "from-invalid",
        .meaning = "The From: header is missing, holds several addresses without a Sender:, or is "
                   "not an address at all.",
        .remedy = "Find out why post365's milter did not mend this message: `smtpd_milters` and "
                  "`non_smtpd_milters` must both name it, with `post365_rewrite_from = yes`. The "
                  "message itself must be sent again.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .needs_admin = true,
        .patterns = {{.stages = AT_END_OF_DATA,
                      .enhanced = {5, 1, 20},
                      .example =
                          "550 5.1.20 Multiple From addresses are not allowed without Sender "
                          "address"},
                     {.stages = AT_END_OF_DATA,
                      .enhanced = {5, 7, 512},
                      .example =
                          "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 "
                          "compliant and include a valid From address"}},
    },
    {
        .name = "message-too-large",
        .meaning = "The message is larger than Office 365, or its recipient, takes.",
        .remedy =
            "Make it smaller; set Postfix's `message_size_limit` to at most 157286400, so that "
            "the sender hears it at once.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .patterns = {{.stages = AT_MAIL | AT_END_OF_DATA,
                      .enhanced = {5, 3, 4},
                      .example = "552 5.3.4 Message size exceeds fixed maximum message size"},
                     {.stages = AT_RCPT | AT_REPORT,
                      .enhanced = {5, 2, 3},
                      .example =
                          "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this "
                          "recipient"},
                     {.stages = AT_MAIL | AT_END_OF_DATA,
                      .code = 552,
                      .text = "size",
                      .example = "552 Message size exceeds fixed maximum message size"},
                     {.stages = AT_END_OF_DATA,
                      .code = 5,
                      .text = "MaxSubmissionExceeded",
                      .example = "554 5.2.0 STOREDRV.Submission.Exception:"
                                 "MessageSubmissionExceededException."
                                 "MapiExceptionMaxSubmissionExceeded"},
                     {.stages = AT_END_OF_DATA,
                      .code = 5,
                      .text = "MessageSubmissionExceeded",
                      .example = "554 5.2.0 STOREDRV.Submission.Exception:"
                                 "MessageSubmissionExceededException; Failed to process message"}},
    },
    {
        .name = "message-damaged",
        .meaning = "Exchange cannot read the message: something in it is damaged.",
        .remedy = "Mend the program that made it; Microsoft's text names what is wrong.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .patterns = {{.stages = AT_END_OF_DATA,
                      .code = 5,
                      .text = "CorruptData",
                      .example = "554 5.2.0 STOREDRV.Submission.Exception:CorruptDataException; "
                                 "Failed to process message"},
                     {.stages = AT_END_OF_DATA,
                      .code = 5,
                      .text = "ConversionFailed",
                      .example = "554 5.6.0 STOREDRV.Submission.Exception:"
                                 "ConversionFailedException; Failed to process message"},
                     {.stages = AT_END_OF_DATA,
                      .code = 5,
                      .text = "Exception:ExchangeDataException",
                      .example = "554 5.6.0 STOREDRV.Submission.Exception:ExchangeDataException; "
                                 "Failed to process message"}},
    },
    /* --- Microsoft has stopped somebody --- */
    {
        .name = "sender-blocked",
        .meaning = "Microsoft has blocked the account for sending spam.",
        .remedy = "Find out who sent it and change the account's password. Then Microsoft Defender "
                  "portal, Email and collaboration, Review, Restricted entities: unblock the "
                  "account.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_END_OF_DATA | AT_REPORT,
                      .enhanced = {5, 1, 8},
                      .example = "550 5.1.8 Access denied, bad outbound sender"},
                     {.stages = AT_END_OF_DATA | AT_REPORT,
                      .enhanced = {5, 7, 0},
                      .detail_last = 999,
                      .text = "bad outbound sender",
                      .example = "550 5.7.1 Access denied, bad outbound sender"}},
    },
    {
        .name = "outbound-spam",
        .meaning =
            "Microsoft takes what this account sends for spam, or wants to know first who is "
            "behind the account: new and trial ones may send little.",
        .remedy = "Find out whether somebody misuses the account, and change its password if so. "
                  "Microsoft Defender portal, Email and collaboration, Review, Restricted entities "
                  "shows whether it is blocked. An outlook.com account: log in on the web, where "
                  "Microsoft asks for what it wants.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_END_OF_DATA,
                      .enhanced = {5, 2, 0},
                      .detail_last = 999,
                      .text = "OutboundSpam",
                      .example = "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; "
                                 "Failed to process message due to a permanent exception with "
                                 "message WASCL UserAction verdict is not None."},
                     {.stages = AT_END_OF_DATA,
                      .enhanced = {5, 2, 0},
                      .detail_last = 999,
                      .text = "WASCL UserAction",
                      .example =
                          "550 5.2.0 WASCL UserAction verdict is not None. Actual verdict is "
                          "Suspend"}},
    },
    {
        .name = "sender-banned",
        .meaning = "Microsoft refuses the sender, since it saw spam or abuse from it.",
        .remedy = "Find out who sent it and change the account's password. Then Microsoft Defender "
                  "portal, Review, Restricted entities; if it is not there, Microsoft support.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_END_OF_DATA | AT_REPORT,
                      .enhanced = {5, 7, 501},
                      .detail_last = 503,
                      .example = "550 5.7.501 Access denied, spam abuse detected"}},
    },
    {
        .name = "tenant-blocked",
        .meaning = "Microsoft has stopped the whole organisation, since it sent too much spam or "
                   "bulk mail.",
        .remedy =
            "Find the compromised account, connector or server and stop it, then ask Microsoft "
            "support to lift the block. A subscription that was renewed after its end may "
            "give this for up to a day.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_END_OF_DATA | AT_REPORT,
                      .enhanced = {5, 7, 705},
                      .example = "550 5.7.705 Access denied, tenant has exceeded threshold"}},
    },
    {
        .name = "domain-not-registered",
        .meaning = "Much mail of this organisation comes from domains that it has not registered "
                   "with Microsoft.",
        .remedy =
            "Microsoft 365 admin centre, Settings, Domains: add each domain that mail is sent "
            "from and verify it. Find out who sends from others.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_END_OF_DATA | AT_REPORT,
                      .enhanced = {5, 7, 750},
                      .example =
                          "550 5.7.750 Service unavailable. Client blocked from sending from "
                          "unregistered domains"},
                     {.stages = AT_END_OF_DATA | AT_REPORT,
                      .enhanced = {5, 7, 0},
                      .detail_last = 999,
                      .text = "from unregistered domain",
                      .example = "550 5.7.1 Client blocked from sending from unregistered domain"}},
    },
    {
        .name = "address-not-accepted",
        .meaning = "Microsoft takes no mail from this IP address, or none of this organisation; "
                   "new and trial "
                   "organisations meet it most.",
        .remedy = "Find out whether something here sends spam. Ask for the address to be taken off "
                  "the list at "
                  "https://sender.office.com, or Microsoft support, or send from another address.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.stages = AT_END_OF_DATA | AT_REPORT,
                      .enhanced = {5, 7, 708},
                      .example = "550 5.7.708 Access denied, traffic not accepted from this IP"},
                     {.stages = AT_END_OF_DATA | AT_REPORT,
                      .enhanced = {5, 7, 606},
                      .detail_last = 649,
                      .example = "550 5.7.606 Access denied, banned sending IP [192.0.2.10]"},
                     {.stages = AT_END_OF_DATA | AT_REPORT,
                      .enhanced = {5, 7, 511},
                      .example = "550 5.7.511 Access denied, banned sender [192.0.2.10]"},
                     {.stages = AT_END_OF_DATA | AT_REPORT,
                      .enhanced = {5, 7, 508},
                      .example = "550 5.7.508 Access denied, [2001:db8::25] has exceeded permitted "
                                 "limits within ::/64 range"},
                     {.stages = AT_END_OF_DATA | AT_REPORT,
                      .enhanced = {5, 7, 0},
                      .detail_last = 999,
                      .text = "banned sending IP",
                      .example = "550 5.7.1 Service unavailable, banned sending IP [192.0.2.10]"}},
    },
    /* --- their trouble --- */
    {
        .name = "server-busy",
        .meaning = "Microsoft slows down this sender or this IP address.",
        .remedy = "Nothing: it passes. If it lasts for days, Microsoft support.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_PAUSE_SHORT,
        .patterns = {{.code = 451,
                      .enhanced = {4, 7, 500},
                      .detail_last = 699,
                      .example = "451 4.7.500 Server busy. Please try again later"},
                     {.enhanced = {4, 7, 500},
                      .detail_last = 699,
                      .text = "try again later",
                      .example = "450 4.7.500 Access denied, please try again later"},
                     {.enhanced = {4, 7, 850},
                      .detail_last = 899,
                      .example = "450 4.7.850 Access denied, please try again later"}},
    },
    /* --- what is known by its family: about the account, the organisation or the address, and so
     * nothing that ends with the message --- */
    {
        .name = "submission-exception",
        .meaning = "Exchange could not take the message over from this account, for a reason that "
                   "post365 does not know.",
        .remedy =
            "Read Microsoft's text: the name behind \"Exception:\" says what was wrong with the "
            "account, its mailbox or the message. If it cannot be mended, delete the message: "
            "`postsuper -d` with its queue id.",
        .told = OFFICE365_TEMPORARY,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .needs_admin = true,
        .patterns = {{.stages = AT_END_OF_DATA,
                      .code = 5,
                      .text = "STOREDRV.Submission.Exception",
                      .example =
                          "554 5.2.0 STOREDRV.Submission.Exception:UnheardOfException; Failed "
                          "to process message due to a permanent exception"},
                     {.stages = AT_END_OF_DATA,
                      .enhanced = {5, 2, 0},
                      .detail_last = 999,
                      .text = "STOREDRV.ClientSubmit",
                      .example = "550 5.2.0 STOREDRV.ClientSubmit; unheard of"}},
    },
    /* Left out of the ranges is what a recipient or his organisation does not want: 5.7.504, 505,
     * 507, 513, 515, 520 and 703. */
    {
        .name = "sender-not-accepted",
        .meaning = "Microsoft has something against the sender, the organisation or the address "
                   "that mail comes from.",
        .remedy = "Read Microsoft's text. The Microsoft 365 admin centre (Health, Message center) "
                  "and the Defender portal (Review, Restricted entities) say more, and Microsoft "
                  "support.",
        .told = OFFICE365_TEMPORARY,
        .account = OFFICE365_ACCOUNT_PAUSE_SHORT,
        .needs_admin = true,
        .patterns =
            {{.enhanced = {5, 7, 500},
              .detail_last = 503,
              .example = "550 5.7.500 Access denied, any text"},
             {.enhanced = {5, 7, 508},
              .detail_last = 512,
              .example = "550 5.7.509 Access denied, sending domain [contoso.com] does not "
                         "pass DMARC verification"},
             {.enhanced = {5, 7, 514}, .example = "550 5.7.514 any text"},
             {.enhanced = {5, 7, 516}, .detail_last = 519, .example = "550 5.7.516 any text"},
             {.enhanced = {5, 7, 521}, .detail_last = 702, .example = "550 5.7.521 any text"},
             {.enhanced = {5, 7, 704}, .detail_last = 799, .example = "550 5.7.704 any text"}},
    },
    {
        .name = "server-error",
        .meaning = "Something inside Microsoft's service failed for a moment.",
        .remedy = "Nothing: the mail goes by itself. If it lasts, look at Service health in the "
                  "Microsoft 365 admin centre.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_RETRY_SOON,
        .patterns = {{.code = 451,
                      .enhanced = {4, 7, 0},
                      .example = "451 4.7.0 Temporary server error. Please try again later. PRX2"}},
    },
    {
        .name = "service-unavailable",
        .meaning = "This server of Microsoft's does not serve at the moment.",
        .remedy = "Nothing: the mail goes by itself. If it lasts, look at Service health in the "
                  "Microsoft 365 admin centre.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_RETRY_SOON,
        .patterns = {{.code = 421,
                      .enhanced = {4, 3, 2},
                      .example = "421 4.3.2 Service not available"}},
    },
    {
        .name = "connection-timeout",
        .meaning = "Microsoft closed the connection, since nothing had come for too long.",
        .remedy =
            "Nothing: the mail goes by itself. If it happens often, look for a slow link or a "
            "firewall that drops packets.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_RETRY_SOON,
        .patterns = {{.code = 421,
                      .enhanced = {4, 4, 1},
                      .example = "421 4.4.1 Connection timed out"}},
    },
    /* --- anything else, by class --- */
    {
        .name = "connection-refused",
        .meaning = "The server does not want to talk to this relay.",
        .remedy = "Read Microsoft's text. Check that `relayhost` is [smtp.office365.com]:587 and "
                  "that the relay's address is on no block list.",
        .told = OFFICE365_TEMPORARY,
        .account = UNTIL_FIXED,
        .needs_admin = true,
        .patterns = {{.place = OFFICE365_SURELY_AT,
                      .stages = AT_CONNECT | AT_STARTTLS,
                      .code = 5,
                      .example = "554 5.7.1 any 5xx reply to the connection"}},
    },
    {
        .name = "out-of-step",
        .meaning = "The server had lost the thread of the dialogue; that says nothing about the "
                   "message.",
        .remedy = "Nothing: it is tried again over another connection.",
        .told = OFFICE365_TEMPORARY,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .patterns = {{.code = 503, .example = "503 5.5.1 Bad sequence of commands"}},
    },
    {
        .name = "other-temporary",
        .meaning = "A temporary refusal that post365 does not know.",
        .remedy = "Nothing, as a rule: Postfix tries again. If it lasts, read Microsoft's text.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .patterns = {{.code = 4, .example = "450 4.0.0 any other 4xx reply"}},
    },
    {
        .name = "other-permanent",
        .meaning = "A permanent refusal that post365 does not know.",
        .remedy = "Read Microsoft's text; the message went back to its sender.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .patterns = {{.code = 5, .example = "550 5.0.0 any other 5xx reply"}},
    },
    {
        .name = "accepted",
        .meaning = "No refusal: the server agrees.",
        .remedy = "Nothing.",
        .told = OFFICE365_AS_IS,
        .account = OFFICE365_ACCOUNT_NOTHING,
        .patterns = {{.code = 2, .example = "250 2.0.0 OK"},
                     {.code = 3, .example = "354 Start mail input; end with <CRLF>.<CRLF>"}},
    },
    /* Fits everything, so that there is always an answer. */
    {
        .name = "unintelligible",
        .meaning = "This is not a reply of an SMTP server.",
        .remedy = "Check that `relayhost` is [smtp.office365.com]:587 and that nothing between "
                  "here and there, such as a firewall, changes the dialogue.",
        .told = OFFICE365_TEMPORARY,
        .account = OFFICE365_ACCOUNT_PAUSE_SHORT,
        .needs_admin = true,
        .patterns = {{.example = "no code at all"}},
    },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static bool row_fits(const struct office365_row *row, const struct reply *reply,
                     enum reply_stage stage);

const struct office365_row *office365_explain(const struct reply *reply, enum reply_stage stage)
{
    if (stage == REPLY_STAGE_UNKNOWN)
        stage = reply->stage;
    size_t i = 0;
    while (i < ROWS - 1 && !row_fits(&rows[i], reply, stage))
        i++;
    return &rows[i];
}

const struct office365_row *office365_rows(size_t *count)
{
    *count = ROWS;
    return rows;
}

const struct office365_row *office365_of_token(const struct office365_row *row)
{
    for (size_t i = 0; row->with_token != NULL && i < ROWS; i++)
        if (strcmp(rows[i].name, row->with_token) == 0)
            return &rows[i];
    return row;
}

size_t office365_row_number(const struct office365_row *row)
{
    return (size_t)(row - rows);
}

/* What is compared of a reply besides its text. */
struct codes {
    unsigned code;
    struct reply_enhanced enhanced;
};

static bool code_fits(const struct office365_pattern *pattern, const struct codes *have)
{
    /* An enhanced code alone must be answered by a pattern that has one. */
    if (have->code == 0)
        return pattern->enhanced.class != 0 || pattern->code == have->enhanced.class;
    if (pattern->code >= 200)
        return have->code == pattern->code;
    unsigned class = pattern->code != 0 ? pattern->code : pattern->enhanced.class;
    return class == 0 || have->code / 100 == class;
}

static bool enhanced_fits(const struct office365_pattern *pattern, const struct codes *codes)
{
    const struct reply_enhanced *want = &pattern->enhanced;
    const struct reply_enhanced *have = &codes->enhanced;
    unsigned last = pattern->detail_last != 0 ? pattern->detail_last : want->detail;
    return want->class == 0 || (have->class == want->class && have->subject == want->subject &&
                                have->detail >= want->detail && have->detail <= last);
}

static bool stage_fits(const struct office365_pattern *pattern, enum reply_stage stage)
{
    if (pattern->place == OFFICE365_SEEN_AT ||
        (pattern->place == OFFICE365_ONLY_AT && stage == REPLY_STAGE_UNKNOWN))
        return true;
    return (pattern->stages & OFFICE365_AT(stage)) != 0;
}

/* Whether `words` begin at `text`. Blanks do not count on either side: texts are pasted from
 * terminals and web pages that break lines at any place, and add blanks. */
static bool words_begin(const char *text, const char *words)
{
    for (;; text++, words++) {
        text += strspn(text, " ");
        words += strspn(words, " ");
        if (*words == '\0')
            return true;
        if (tolower((unsigned char)*text) != tolower((unsigned char)*words))
            return false;
    }
}

static bool text_fits(const struct office365_pattern *pattern, const struct reply *reply)
{
    if (pattern->text == NULL)
        return true;
    for (const char *text = reply->text; *text != '\0'; text++)
        if (words_begin(text, pattern->text))
            return true;
    return false;
}

/* What the codes were before reply_make_temporary(); false if they have not been through that. */
static bool before_temporary(const struct codes *codes, struct codes *before)
{
    unsigned class = codes->code != 0 ? codes->code / 100 : codes->enhanced.class;
    bool agree = codes->enhanced.class == 0 || codes->enhanced.class == class;
    if (class != 4 || !agree)
        return false;
    *before = *codes;
    if (codes->code != 0)
        before->code += 100;
    if (codes->enhanced.class != 0)
        before->enhanced.class = 5;
    return true;
}

static bool row_fits(const struct office365_row *row, const struct reply *reply,
                     enum reply_stage stage)
{
    struct codes codes = {reply->code, reply->enhanced};
    struct codes before;
    bool changed = row->told == OFFICE365_TEMPORARY && before_temporary(&codes, &before);
    for (size_t i = 0; i < OFFICE365_PATTERNS_MAX && row->patterns[i].example != NULL; i++) {
        const struct office365_pattern *pattern = &row->patterns[i];
        if (!text_fits(pattern, reply))
            continue;
        if (code_fits(pattern, &codes) && enhanced_fits(pattern, &codes) &&
            stage_fits(pattern, stage))
            return true;
        /* We gave a changed reply to Postfix, at a stage that says nothing of Office 365. A pattern
         * of a whole class would take every real 4xx reply for a changed one. */
        if (changed && !pattern->is_as_sent && pattern->place != OFFICE365_SURELY_AT &&
            code_fits(pattern, &before) && enhanced_fits(pattern, &before))
            return true;
    }
    return false;
}

const char *office365_stage_words(enum reply_stage stage)
{
    static const char *const words[REPLY_STAGES] = {
        [REPLY_STAGE_UNKNOWN] = "any",
        [REPLY_STAGE_CONNECT] = "connect",
        [REPLY_STAGE_STARTTLS] = "STARTTLS",
        [REPLY_STAGE_AUTH] = "AUTH",
        [REPLY_STAGE_MAIL] = "MAIL",
        [REPLY_STAGE_RCPT] = "RCPT",
        [REPLY_STAGE_DATA] = "DATA",
        [REPLY_STAGE_END_OF_DATA] = "end of DATA",
        [REPLY_STAGE_REPORT] = "a report by mail",
    };
    return words[stage];
}

const char *office365_account_words(enum office365_account account)
{
    static const char *const words[] = {
        [OFFICE365_ACCOUNT_NOTHING] = "goes on",
        [OFFICE365_ACCOUNT_RETRY_SOON] = "again in seconds, with fewer connections",
        [OFFICE365_ACCOUNT_PAUSE_SHORT] = "pause of a minute",
        [OFFICE365_ACCOUNT_PAUSE_FOR_ROOM] = "pause until there is room",
        [OFFICE365_ACCOUNT_PAUSE_UNTIL_FIXED] = "pause until fixed",
    };
    return words[account];
}
