/* cause.c - why there is no access token, in plain words, with the remedy
 *
 * First the table, then the few lines that look into it. To teach post365 a number, add it to a row
 * or a row to the table, then run `make generate`. A number that means two things stands in two
 * rows, of which one has the `error` that goes with it. The way of permitting it in Exchange that
 * is said first is the one that Microsoft advises, RBAC for Applications.
 */
#include "common/entra/cause.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const struct entra_row rows[] = {
    /* --- the application's credential --- */
    {
        .name = "secret-wrong",
        .meaning = "The client secret is wrong; often it is the secret's ID that was pasted, in "
                   "place of its value.",
        .remedy = "Microsoft Entra admin centre, App registrations, the application `<client id>`, "
                  "Certificates & secrets: the column Value, not Secret ID, belongs into the file "
                  "that `client_secret_file` in <registration> names. A value is shown once only: "
                  "make a new secret if it is lost. The file is read again by itself.",
        .class = ENTRA_ADMIN,
        .numbers = {7000215},
    },
    {
        .name = "secret-expired",
        .meaning = "The client secret has expired.",
        .remedy = "Make a new one (Microsoft Entra admin centre, App registrations, the "
                  "application `<client id>`, Certificates & secrets) and put its value into the "
                  "file that `client_secret_file` in <registration> names, which is read again by "
                  "itself; let `client_secret_expires` there say when it ends. A certificate, "
                  "which `post365 oauth2 certificate` makes, is better.",
        .class = ENTRA_ADMIN,
        .numbers = {7000222},
    },
    {
        .name = "certificate-unknown",
        .meaning = "Microsoft Entra does not know the certificate for this application, or the "
                   "certificate has expired there.",
        .remedy = "Upload the file that `certificate_file` in <registration> names: Microsoft "
                  "Entra admin centre, App registrations, the application `<client id>`, "
                  "Certificates & secrets, Certificates; its thumbprint must be the one that "
                  "`post365 doctor` shows. If it was uploaded just now, wait ten minutes: it is "
                  "tried again by itself.",
        .class = ENTRA_ADMIN,
        .numbers = {700027},
    },
    {
        .name = "assertion-wrong",
        .meaning = "Microsoft Entra cannot make sense of what was signed with the certificate.",
        .remedy = "Check that `certificate_file` and `key_file` in <registration> belong together "
                  "and are the pair that was uploaded for the application `<client id>`; `post365 "
                  "doctor` shows the thumbprint.",
        .class = ENTRA_ADMIN,
        .numbers = {50012, 50027, 50048, 700021, 700023, 700030},
    },
    {
        .name = ENTRA_CLOCK_WRONG,
        .meaning = "What was signed with the certificate, or a foreign token, is not valid at this "
                   "time by Microsoft's clock: this machine's clock is off, or the foreign token "
                   "is old.",
        .remedy = "Set the clock: `timedatectl` shows whether it is synchronised. If the clock is "
                  "right and <registration> has `federated_token_file`, whatever writes that file "
                  "has stopped to renew it.",
        .class = ENTRA_ADMIN,
        .numbers = {700024, 500133},
    },
    {
        .name = "federation-mismatch",
        .meaning = "No federated credential of the application fits the foreign token.",
        .remedy = "Microsoft Entra admin centre, App registrations, the application `<client id>`, "
                  "Certificates & secrets, Federated credentials: issuer and subject must be those "
                  "of the token in `federated_token_file`, capitals included, and the audience "
                  "`api://AzureADTokenExchange`.",
        .class = ENTRA_ADMIN,
        .numbers = {700211, 700212, 700213, 70021, 7002137, 7002138},
    },
    {
        .name = "client-public",
        .meaning = "The application is a public client, which must show no secret and no "
                   "certificate.",
        .remedy = "Take `client_secret_file`, `certificate_file`, `key_file` and "
                  "`federated_token_file` out of <registration>.",
        .class = ENTRA_ADMIN,
        .numbers = {700025},
    },
    {
        .name = "client-confidential",
        .meaning = "The application must show a secret or a certificate, and showed none.",
        .remedy = "For logins by device code: Microsoft Entra admin centre, App registrations, the "
                  "application `<client id>`, Authentication, \"Allow public client flows\": Yes. "
                  "Otherwise give <registration> `certificate_file` and `key_file`, or "
                  "`client_secret_file`.",
        .class = ENTRA_ADMIN,
        .numbers = {7000218},
    },
    /* --- the application and the organisation --- */
    {
        .name = "client-unknown",
        .meaning = "The organisation has no application with this client id.",
        .remedy = "Compare `client_id` (<client id>) and `tenant` (<tenant>) in <registration> "
                  "with the application's Overview in the Microsoft Entra admin centre: "
                  "Application (client) ID, not the object id, and Directory (tenant) ID. An "
                  "application of another organisation must be consented to here first.",
        .class = ENTRA_ADMIN,
        .numbers = {700016},
    },
    {
        .name = "principal-missing",
        .meaning = "The application is registered, but has no service principal in the "
                   "organisation.",
        .remedy = "Let an administrator of the organisation `<tenant>` consent to it, or create "
                  "the principal: `New-MgServicePrincipal -AppId <client id>`.",
        .class = ENTRA_ADMIN,
        .numbers = {7000229},
    },
    {
        .name = "application-disabled",
        .meaning = "The application is disabled in the organisation.",
        .remedy = "Microsoft Entra admin centre, Enterprise applications, the application `<client "
                  "id>`, Properties, \"Enabled for users to sign in\": Yes.",
        .class = ENTRA_ADMIN,
        .numbers = {7000112, 70001},
    },
    {
        .name = "tenant-unknown",
        .meaning = "There is no such organisation in this cloud.",
        .remedy = "Let `tenant` in <registration> (now <tenant>) be the Directory (tenant) ID that "
                  "the Overview in the Microsoft Entra admin centre shows; a domain may be "
                  "mistyped, or have been removed. If it is right, check `cloud`.",
        .class = ENTRA_ADMIN,
        .numbers = {90002},
    },
    {
        .name = "cloud-wrong",
        .meaning = "The organisation lives in another of Microsoft's clouds.",
        .remedy = "Set `cloud` in <registration>: global, usgov (GCC High), usgov-dod or china "
                  "(21Vianet); and let `relayhost` be that cloud's server.",
        .class = ENTRA_ADMIN,
        .numbers = {900439, 90038, 900382, 900432},
    },
    {
        .name = "tenant-common",
        .meaning = "The request was not for one organisation, but for any (`common`, "
                   "`organizations` or `consumers`).",
        .remedy = "Let `tenant` in <registration> be the organisation's own Directory (tenant) ID.",
        .class = ENTRA_ADMIN,
        .numbers = {9001023, 50194, 90130},
    },
    {
        .name = "exchange-missing",
        .meaning = "The organisation does not have Exchange Online, or the resource is another "
                   "cloud's.",
        .remedy = "Give it a licence that has Exchange Online. If it has one, check `tenant` "
                  "(<tenant>) and `cloud` in <registration>.",
        .class = ENTRA_ADMIN,
        .numbers = {500011, 50001},
    },
    {
        .name = "assignment-required",
        .meaning = "The application may be used by those alone who are assigned to it.",
        .remedy = "Microsoft Entra admin centre, Enterprise applications, the application `<client "
                  "id>`: Properties, \"Assignment required\": No; or assign the account under "
                  "Users and groups.",
        .class = ENTRA_ADMIN,
        .numbers = {501051, 50105},
    },
    {
        .name = "consent-missing",
        .meaning = "Nobody has consented to what the application asks for.",
        .remedy = "For an application of its own right RBAC for Applications needs no consent: "
                  "`New-ManagementRoleAssignment -Role 'Application SMTP.SendAsApp' -App <client "
                  "id> -CustomResourceScope <scope>` in Exchange Online PowerShell, and remove "
                  "what stands under API permissions. Otherwise, and for logins by device code: "
                  "Microsoft Entra admin centre, App registrations, the application, API "
                  "permissions: add Office 365 Exchange Online, SMTP.SendAsApp (an application's) "
                  "or SMTP.Send (delegated), then \"Grant admin consent\".",
        .class = ENTRA_ADMIN,
        .numbers = {65001, 90094, 650056, 650052},
        .errors = {"consent_required"},
    },
    {
        .name = "scope-wrong",
        .meaning = "The scope is not one of this cloud, or of two resources at once.",
        .remedy = "Take `scope` out of <registration>, so that post365's own is asked for, and "
                  "check `cloud`.",
        .class = ENTRA_ADMIN,
        .numbers = {70011, 28002, 700022, 700023},
        .errors = {"invalid_scope"},
    },
    {
        .name = "request-incomplete",
        .meaning = "The request lacks something that Microsoft Entra wants to have.",
        .remedy = "Take `authority` and `scope` out of <registration> if they are there. If they "
                  "are not, it is a fault of post365: please report it with the text that "
                  "`post365 token` shows.",
        .class = ENTRA_ADMIN,
        .numbers = {900144, 90014, 900561, 70003},
        .errors = {"unsupported_grant_type"},
    },
    {
        .name = "sign-in-forbidden",
        .meaning = "Conditional Access, the security defaults or a risk that Microsoft sees forbid "
                   "the login.",
        .remedy = "Microsoft Entra admin centre, Monitoring & health, Sign-in logs (for an "
                  "application: Service principal sign-ins) name the policy. Allow the address "
                  "with which this relay goes out; for an application it is a policy for workload "
                  "identities. With grant = user, `post365 login <UPN>` afterwards.",
        .class = ENTRA_ADMIN,
        .numbers = {53003, 530032, 530035, 53011, 50131, 53000, 53001, 53002, 53004},
        .errors = {"access_denied"},
    },
    /* --- the user's grant --- */
    {
        .name = ENTRA_LOGIN_NEEDED,
        .meaning = "Nobody has logged in for this account yet.",
        .remedy = "Run `post365 login <UPN>` and log in as the account with the code that it "
                  "shows.",
        .class = ENTRA_LOGIN,
    },
    {
        .name = "mfa-wanted",
        .meaning = "Microsoft wants the user to prove once more who it is (multi-factor "
                   "authentication).",
        .remedy = "Run `post365 login <UPN>`. An application with a certificate (`grant = app`), "
                  "which nobody has to log in for, is better.",
        .class = ENTRA_LOGIN,
        .numbers = {50076, 50079, 50074, 50072, 50078},
        .errors = {"basic_action", "additional_action"},
    },
    {
        .name = "sign-in-frequency",
        .meaning = "Conditional Access lets a login live for so long only (sign-in frequency), and "
                   "this one is over.",
        .remedy = "Run `post365 login <UPN>`. So that it does not happen again, exclude the "
                  "account from the policy (Microsoft Entra admin centre, Conditional Access, "
                  "Session, Sign-in frequency), or use an application with a certificate (`grant = "
                  "app`).",
        .class = ENTRA_LOGIN,
        .numbers = {70043},
        .errors = {"token_expired"},
    },
    {
        .name = "grant-idle",
        .meaning = "The login was not used for so long (90 days) that it has ended.",
        .remedy = "Run `post365 login <UPN>`. post365-tokend renews a login each day while it "
                  "runs: see that it does.",
        .class = ENTRA_LOGIN,
        .numbers = {700082, 70008},
    },
    {
        .name = "grant-revoked",
        .meaning = "The login was revoked: by a new password, or by an administrator.",
        .remedy = "Run `post365 login <UPN>`.",
        .class = ENTRA_LOGIN,
        .numbers = {50173, 50133, 50132, 50089},
    },
    {
        .name = "grant-unusable",
        .meaning = "The stored login is another application's, user's or scope's, or damaged.",
        .remedy = "Check `client_id` (<client id>) and `scope` in <registration>, then run "
                  "`post365 login <UPN>`.",
        .class = ENTRA_LOGIN,
        .numbers = {70000},
        .errors = {"bad_token", "client_mismatch"},
    },
    {
        .name = "grant-of-another-tenant",
        .meaning = "The stored login is another organisation's.",
        .remedy = "Check `tenant` (<tenant>) in <registration>, then run `post365 login <UPN>`.",
        .class = ENTRA_LOGIN,
        .numbers = {7000012, 700005},
    },
    {
        .name = ENTRA_GRANT_OF_ANOTHER,
        .meaning = "Somebody else than the account has logged in.",
        .remedy = "Run `post365 login <UPN>` and log in as the account itself, in a private window "
                  "of the browser, so that it does not choose another user.",
        .class = ENTRA_LOGIN,
    },
    {
        .name = ENTRA_GRANT_LOST,
        .meaning = "The stored login cannot be read any more, or was used up before its successor "
                   "was stored.",
        .remedy = "Run `post365 login <UPN>`.",
        .class = ENTRA_LOGIN,
    },
    {
        .name = "user-unknown",
        .meaning = "The organisation has no such user.",
        .remedy = "Log in with the account's UPN, which the Microsoft 365 admin centre shows under "
                  "Users, Active users: `post365 login <UPN>`.",
        .class = ENTRA_LOGIN,
        .numbers = {50034},
    },
    {
        .name = "user-disabled",
        .meaning = "The user may not log in: the account is disabled.",
        .remedy = "Microsoft 365 admin centre, Users, Active users, the account: \"Allow this user "
                  "to sign in\"; then `post365 login <UPN>`.",
        .class = ENTRA_LOGIN,
        .numbers = {50057},
    },
    {
        .name = "user-locked",
        .meaning = "The user is locked for too many wrong passwords, or this relay's address has a "
                   "bad reputation.",
        .remedy = "Wait, and see in the Microsoft Entra admin centre's sign-in log who tries "
                  "passwords; then `post365 login <UPN>`.",
        .class = ENTRA_LOGIN,
        .numbers = {50053},
    },
    {
        .name = "user-password",
        .meaning = "The user's password is wrong, or has expired.",
        .remedy = "Set a new one at https://myaccount.microsoft.com, then run `post365 login "
                  "<UPN>`.",
        .class = ENTRA_LOGIN,
        .numbers = {50055, 50126},
        .errors = {"user_password_expired"},
    },
    /* --- a login by device code --- */
    {
        .name = ENTRA_LOGIN_PENDING,
        .meaning = "The code was not entered yet.",
        .remedy = "Open the address that `post365 login` shows, and enter the code.",
        .class = ENTRA_PENDING,
        .numbers = {70016},
        .errors = {"authorization_pending", "slow_down"},
    },
    {
        .name = "login-declined",
        .meaning = "The user has declined the login.",
        .remedy = "Run `post365 login <UPN>` again, and accept.",
        .class = ENTRA_LOGIN,
        .errors = {"authorization_declined"},
    },
    {
        .name = "login-code-wrong",
        .meaning = "The code was mistyped, or is empty.",
        .remedy = "Run `post365 login <UPN>` again, and enter the new code as it is shown.",
        .class = ENTRA_LOGIN,
        .numbers = {70018, 90119},
        .errors = {"bad_verification_code"},
    },
    {
        .name = "login-code-expired",
        .meaning = "Nobody entered the code in time.",
        .remedy = "Run `post365 login <UPN>` again, and enter the new code within a quarter of an "
                  "hour.",
        .class = ENTRA_LOGIN,
        .numbers = {70019},
        .errors = {"expired_token", "code_expired"},
    },
    {
        .name = "login-code-used",
        .meaning = "The code was used already.",
        .remedy = "Run `post365 login <UPN>` again for a new one.",
        .class = ENTRA_LOGIN,
        .numbers = {90120},
    },
    {
        .name = "login-elsewhere",
        .meaning = "The code was entered in another region's data centre than the one that gave "
                   "it.",
        .remedy = "Run `post365 login <UPN>` again, and enter the code in a browser near this "
                  "relay, without a VPN.",
        .class = ENTRA_LOGIN,
        .numbers = {50134},
    },
    {
        .name = ENTRA_REFRESH_TOKEN_MISSING,
        .meaning = "The login gave nothing that could be renewed: it would have ended within an "
                   "hour, and was not stored.",
        .remedy = "Let `scope` in <registration> have offline_access, or take it out, so that "
                  "post365's own is asked for; then `post365 login <UPN>`.",
        .class = ENTRA_ADMIN,
    },
    /* --- their trouble --- */
    {
        .name = ENTRA_ENDPOINT_TROUBLE,
        .meaning = "Microsoft Entra has trouble of its own.",
        .remedy = "Nothing: it is tried again by itself. If it lasts, look at Service health in "
                  "the Microsoft 365 admin centre.",
        .class = ENTRA_RETRY,
        .numbers = {50033, 50087, 90006, 90012, 90024, 90033, 90090},
        .errors = {"temporarily_unavailable", "server_error"},
    },
    {
        .name = ENTRA_ENDPOINT_THROTTLED,
        .meaning = "Microsoft Entra is asked too often.",
        .remedy = "Nothing: post365 waits as long as it is told. If it lasts, look what else asks "
                  "for tokens of the application `<client id>`.",
        .class = ENTRA_RETRY,
    },
    {
        .name = "tenant-throttled",
        .meaning = "Microsoft Entra is asked too often by the organisation as a whole.",
        .remedy = "Nothing: it is tried again by itself. If it lasts, look what in the "
                  "organisation `<tenant>` asks for so many tokens.",
        .class = ENTRA_RETRY,
        .numbers = {90055},
    },
    {
        .name = "request-loop",
        .meaning = "Microsoft Entra got the same request so often that it takes it for a loop.",
        .remedy = "Look what else asks for tokens of the application `<client id>`: post365 asks "
                  "once a token's life. It is tried again by itself.",
        .class = ENTRA_ADMIN,
        .numbers = {50196},
    },
    /* --- the way to the endpoint --- */
    {
        .name = ENTRA_ENDPOINT_UNRESOLVED,
        .meaning = "The token endpoint's name has no address.",
        .remedy = "Check this machine's DNS (`getent hosts login.microsoftonline.com`). If only a "
                  "proxy leads out, set `post365_oauth2_proxy`.",
        .class = ENTRA_RETRY,
    },
    {
        .name = ENTRA_ENDPOINT_UNREACHABLE,
        .meaning = "The token endpoint does not accept connections from here.",
        .remedy = "Let a firewall let port 443 out to login.microsoftonline.com (or the cloud's "
                  "own). If only a proxy leads out, set `post365_oauth2_proxy`.",
        .class = ENTRA_RETRY,
    },
    {
        .name = ENTRA_ENDPOINT_TIMEOUT,
        .meaning = "The token endpoint did not answer within `post365_oauth2_timeout`.",
        .remedy = "Nothing: it is tried again by itself. If it lasts, look for a firewall that "
                  "drops connections, a proxy that is slow, or an MTU that is too large.",
        .class = ENTRA_RETRY,
    },
    {
        .name = ENTRA_ENDPOINT_UNTRUSTED,
        .meaning = "No authority that is known here vouches for the token endpoint's certificate: "
                   "something between inspects TLS, or the authorities are missing here.",
        .remedy = "Let whatever inspects TLS leave Microsoft Entra's addresses alone, as Microsoft "
                  "asks for; or put its authority's certificate, beside the public ones, into the "
                  "file that `post365_oauth2_CAfile` names. `post365 doctor` shows the issuer. If "
                  "nothing inspects: `apt install ca-certificates`.",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_ENDPOINT_NAME,
        .meaning = "What answers in the token endpoint's place has a certificate for another name.",
        .remedy = "Look for a proxy, a firewall, a changed /etc/hosts or DNS between here and "
                  "Microsoft; `getent hosts login.microsoftonline.com` shows the address.",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_ENDPOINT_EXPIRED,
        .meaning = "The token endpoint's certificate is not valid at this time.",
        .remedy = "Check this machine's clock (`timedatectl`). If it is right, something stands "
                  "between.",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_ENDPOINT_TLS,
        .meaning = "An encrypted connection to the token endpoint could not be made.",
        .remedy = "`post365 doctor` shows what was said. Often something stands between, such as a "
                  "firewall.",
        .class = ENTRA_RETRY,
    },
    {
        .name = ENTRA_PROXY_UNREACHABLE,
        .meaning = "The proxy does not accept connections from here.",
        .remedy = "Check `post365_oauth2_proxy`, and that the proxy runs.",
        .class = ENTRA_RETRY,
    },
    {
        .name = ENTRA_PROXY_REFUSED,
        .meaning = "The proxy refuses to connect to the token endpoint.",
        .remedy = "Let the proxy allow this relay to connect to login.microsoftonline.com:443 (or "
                  "the cloud's own) without a user name (407 means that it wants one).",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_ENDPOINT_REDIRECT,
        .meaning = "What answers in the token endpoint's place sends to another address, which "
                   "Microsoft does not do: a captive portal, or a proxy with a page of its own.",
        .remedy = "Let the proxy or firewall leave the cloud's login address alone, or set "
                  "`post365_oauth2_proxy`. A redirection is never followed.",
        .class = ENTRA_RETRY,
    },
    {
        .name = ENTRA_ANSWER_UNINTELLIGIBLE,
        .meaning = "What came is no answer of Microsoft Entra's: a page, nothing at all, or a part "
                   "of an answer.",
        .remedy = "If it lasts, look for a captive portal, a proxy or a firewall that answers in "
                  "Microsoft's place; `post365 doctor` shows the way. It is tried again by itself.",
        .class = ENTRA_RETRY,
    },
    {
        .name = ENTRA_TOKEN_UNUSABLE,
        .meaning = "The access token that came cannot be used for a login: it is too long, of "
                   "another kind than Bearer, or has characters that no token has.",
        .remedy = "Check `authority` and `scope` in <registration>, and whether something between "
                  "changes answers. It is tried again by itself.",
        .class = ENTRA_RETRY,
    },
    {
        .name = ENTRA_LIFE_UNUSABLE,
        .meaning = "The answer says of the access token's life what cannot be.",
        .remedy = "Check whether something between changes answers. It is tried again by itself.",
        .class = ENTRA_RETRY,
    },
    /* --- files here --- */
    {
        .name = ENTRA_REGISTRATION_MISSING,
        .meaning = "A registration file that `post365_oauth2_maps` names is not there, or cannot "
                   "be read.",
        .remedy = "Check the path in the table, and that everybody may read <registration> (`chmod "
                  "644`): no secret stands in it.",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_REGISTRATION_WRONG,
        .meaning = "A registration file that `post365_oauth2_maps` names cannot be used.",
        .remedy = "The reason names the line; post365_oauth2(5) says what may stand there. The "
                  "file is read again by itself.",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_SECRET_FILE_MISSING,
        .meaning = "A file that <registration> names, with a secret, a key, a certificate or a "
                   "foreign token, is not there.",
        .remedy =
            "Put it where <registration> says, for the account alone that `post365_oauth2_user` "
            "names (`chown post365-token:`, unless it is another, and `chmod 600`). It is read by "
            "itself as soon as it is there.",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_SECRET_FILE_UNREADABLE,
        .meaning = "post365-tokend may not read a file that <registration> names.",
        .remedy = "Let it belong to the account that `post365_oauth2_user` names (`chown "
                  "post365-token:`, unless it is another, and `chmod 600`), and let that one pass "
                  "the directories above (`namei -l` shows them).",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_SECRET_FILE_OPEN,
        .meaning = "A file with a secret that <registration> names can be read or written by other "
                   "users of this host, and is not used.",
        .remedy = "Run `chmod 600` on it. If others could read it, make a new secret or key as "
                  "well.",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_SECRET_FILE_WRONG,
        .meaning = "A file that <registration> names does not hold what it should: it is empty, "
                   "too long, or no regular file.",
        .remedy = "Put the secret's value, or the foreign token, alone into it, in one line.",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_CERTIFICATE_WRONG,
        .meaning = "Certificate or key cannot be used: no PEM, a key with a passphrase, not RSA, "
                   "or fewer than 2048 bits.",
        .remedy = "Make a pair with `post365 oauth2 certificate <NAME>` and upload the certificate "
                  "for the application `<client id>`.",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_KEY_MISMATCH,
        .meaning = "The key is not the certificate's.",
        .remedy = "Let `certificate_file` and `key_file` in <registration> name a pair that was "
                  "made together.",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_CERTIFICATE_EXPIRED,
        .meaning = "The application's certificate is not valid at this time: it has expired, or is "
                   "not valid yet.",
        .remedy = "Make a new pair with `post365 oauth2 certificate <NAME>`, upload the "
                  "certificate for the application `<client id>`, and name both files in "
                  "<registration>. If it is said to be not valid yet, check the clock "
                  "(`timedatectl`).",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_IDENTITY_MISSING,
        .meaning = "This machine has no managed identity, or its metadata service does not give "
                   "it.",
        .remedy = "Azure portal, the virtual machine, Identity: switch the system-assigned one on, "
                  "or let `client_id` in <registration> be that of a user-assigned one. With Arc: "
                  "see whether its service himdsd runs.",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_IDENTITY_KEY,
        .meaning = "Azure Arc's agent wants a proof from a file that cannot be read, or is not "
                   "where such files are.",
        .remedy = "Put post365-tokend's user into the group himds: `usermod -aG himds "
                  "post365-token`, then `systemctl restart post365-tokend`.",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_DAEMON_DOWN,
        .meaning = "post365-tokend does not answer.",
        .remedy = "`systemctl status post365-tokend` and `journalctl -u post365-tokend` say why; "
                  "start it, and the mail goes by itself.",
        .class = ENTRA_ADMIN,
    },
    {
        .name = ENTRA_DAEMON_UNAWARE,
        .meaning = "post365-tokend does not know the account: it has not read the settings that "
                   "name it.",
        .remedy = "`systemctl reload post365-tokend`. If it still does not know it then, "
                  "`journalctl -u post365-tokend` says why.",
        .class = ENTRA_ADMIN,
    },
    /* --- general: what no row above knows --- */
    {
        .name = ENTRA_LOGIN_REFUSED,
        .meaning = "Microsoft Entra does not take the login that is stored any more.",
        .remedy = "Read Microsoft's text, and run `post365 login <UPN>`.",
        .class = ENTRA_LOGIN,
        .errors = {"interaction_required", "login_required"},
    },
    {
        .name = ENTRA_REQUEST_REFUSED,
        .meaning = "Microsoft Entra refuses to give a token, with a text that post365 does not "
                   "know.",
        .remedy = "Read Microsoft's text; https://login.microsoftonline.com/error explains its "
                  "number, and the Microsoft Entra admin centre's sign-in log (Service principal "
                  "sign-ins) has the attempt.",
        .class = ENTRA_ADMIN,
    },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

const struct entra_row *entra_rows(size_t *count)
{
    *count = ROWS;
    return rows;
}

static const struct entra_row *named(const char *name, size_t length)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, name, length) == 0)
            return &rows[i];
    return NULL;
}

const struct entra_row *entra_named(const char *name)
{
    return named(name, strlen(name));
}

const char *entra_class_words(enum entra_class class)
{
    static const char *const words[] = {
        [ENTRA_RETRY] = "tried again by itself",
        [ENTRA_ADMIN] = "an administrator must act",
        [ENTRA_LOGIN] = "somebody must log in again",
        [ENTRA_PENDING] = "the login goes on",
    };
    return words[class];
}

/* --- classes ---------------------------------------------------------------------------------- */

/* What each `error` asks for; of a user's grant, and of an application's own. Those of a login by
 * device code say all there is to be said, whatever number goes with them. */
static const struct {
    const char *error;
    enum entra_class of_user, of_app;
    bool says_all;
} errors[] = {
    {"temporarily_unavailable", ENTRA_RETRY, ENTRA_RETRY, false},
    {"server_error", ENTRA_RETRY, ENTRA_RETRY, false},
    {"authorization_pending", ENTRA_PENDING, ENTRA_PENDING, true},
    {"slow_down", ENTRA_PENDING, ENTRA_PENDING, true},
    {"authorization_declined", ENTRA_LOGIN, ENTRA_LOGIN, true},
    {"bad_verification_code", ENTRA_LOGIN, ENTRA_LOGIN, true},
    {"expired_token", ENTRA_LOGIN, ENTRA_LOGIN, true},
    {"code_expired", ENTRA_LOGIN, ENTRA_LOGIN, true},
    {"invalid_grant", ENTRA_LOGIN, ENTRA_ADMIN, false},
    {"interaction_required", ENTRA_LOGIN, ENTRA_ADMIN, false},
    {"login_required", ENTRA_LOGIN, ENTRA_ADMIN, false},
    {"consent_required", ENTRA_LOGIN, ENTRA_ADMIN, false},
    {"access_denied", ENTRA_ADMIN, ENTRA_ADMIN, false},
    {"invalid_client", ENTRA_ADMIN, ENTRA_ADMIN, false},
    {"invalid_request", ENTRA_ADMIN, ENTRA_ADMIN, false},
    {"invalid_resource", ENTRA_ADMIN, ENTRA_ADMIN, false},
    {"invalid_scope", ENTRA_ADMIN, ENTRA_ADMIN, false},
    {"unauthorized_client", ENTRA_ADMIN, ENTRA_ADMIN, false},
    {"unsupported_grant_type", ENTRA_ADMIN, ENTRA_ADMIN, false},
};

#define ERRORS (sizeof(errors) / sizeof(errors[0]))

/* Those of HTTP that pass by themselves. Of the metadata service 404 and 410 do, too: it is not
 * ready yet, or is being changed. */
static bool is_passing(const struct entra_answer *answer)
{
    unsigned status = answer->status;
    return status >= 500 || status == 408 || status == 429 ||
           (answer->is_managed && (status == 404 || status == 410));
}

/* Where it stands in the table; ERRORS: nowhere. */
static size_t find_known(const char *error)
{
    size_t i = 0;
    while (i < ERRORS && (error == NULL || strcmp(errors[i].error, error) != 0))
        i++;
    return i;
}

enum entra_class entra_class_of_answer(const struct entra_answer *answer)
{
    size_t known = find_known(answer->error);
    if (answer->error == NULL || is_passing(answer))
        return ENTRA_RETRY;
    if (known == ERRORS)
        return ENTRA_ADMIN;
    return answer->is_user ? errors[known].of_user : errors[known].of_app;
}

/* --- rows ------------------------------------------------------------------------------------- */

static bool has_number(const struct entra_row *row, unsigned number)
{
    for (size_t i = 0; i < ENTRA_NUMBERS_MAX && row->numbers[i] != 0; i++)
        if (row->numbers[i] == number)
            return true;
    return false;
}

static bool has_error(const struct entra_row *row, const char *error)
{
    for (size_t i = 0; error != NULL && i < ENTRA_ERRORS_MAX && row->errors[i] != NULL; i++)
        if (strcmp(row->errors[i], error) == 0)
            return true;
    return false;
}

/* Of two with the same number the one that has the `error` as well, else the first. */
static const struct entra_row *of_number(unsigned number, const char *error)
{
    const struct entra_row *found = NULL;
    for (size_t i = 0; i < ROWS; i++)
        if (has_number(&rows[i], number) && (found == NULL || has_error(&rows[i], error)))
            found = &rows[i];
    return found;
}

static const struct entra_row *of_error(const char *error)
{
    for (size_t i = 0; i < ROWS; i++)
        if (has_error(&rows[i], error))
            return &rows[i];
    return NULL;
}

/* What is not said by OAuth2, but by HTTP. */
static const struct entra_row *of_status(const struct entra_answer *answer)
{
    if (answer->status == 429)
        return entra_named(ENTRA_ENDPOINT_THROTTLED);
    if (answer->status == 407)
        return entra_named(ENTRA_PROXY_REFUSED);
    if (answer->status >= 500 || answer->status == 408)
        return entra_named(ENTRA_ENDPOINT_TROUBLE);
    if (answer->is_managed && answer->status >= 400)
        return entra_named(ENTRA_IDENTITY_MISSING);
    if (answer->error != NULL)
        return NULL;
    return entra_named(answer->status / 100 == 3 ? ENTRA_ENDPOINT_REDIRECT
                                                 : ENTRA_ANSWER_UNINTELLIGIBLE);
}

static const struct entra_row *of_class(enum entra_class class)
{
    static const char *const names[] = {
        [ENTRA_RETRY] = ENTRA_ENDPOINT_TROUBLE,
        [ENTRA_ADMIN] = ENTRA_REQUEST_REFUSED,
        [ENTRA_LOGIN] = ENTRA_LOGIN_REFUSED,
        [ENTRA_PENDING] = ENTRA_LOGIN_PENDING,
    };
    return entra_named(names[class]);
}

const struct entra_row *entra_of_answer(const struct entra_answer *answer)
{
    size_t known = find_known(answer->error);
    const struct entra_row *row = NULL;
    if (known < ERRORS && errors[known].says_all)
        row = of_error(answer->error);
    for (size_t i = 0; i < answer->number_count && row == NULL; i++)
        row = of_number(answer->numbers[i], answer->error);
    if (row == NULL)
        row = of_error(answer->suberror);
    if (row == NULL)
        row = of_error(answer->error);
    if (row == NULL)
        row = of_status(answer);
    return row != NULL ? row : of_class(entra_class_of_answer(answer));
}

/* --- texts ------------------------------------------------------------------------------------ */

#define NUMBER_PREFIX "AADSTS"
#define NUMBERS_SEEN  8
#define DIGITS_MAX    8 /* of a number; the longest known has seven */

struct text {
    const char *at;
    const char *end;
};

/* "secret-expired: ...", where a word begins. */
static const struct entra_row *name_in(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t end = at;
        while (end < length && (islower((unsigned char)text[end]) || text[end] == '-'))
            end++;
        bool begins = at == 0 || strchr(" \t\n(;", text[at - 1]) != NULL;
        const struct entra_row *row = NULL;
        if (begins && end < length && text[end] == ':')
            row = named(text + at, end - at);
        if (row != NULL)
            return row;
        at = end + 1;
    }
    return NULL;
}

/* The digits at text->at as a number; 0 if there are none, or too many. */
static unsigned read_number(struct text *text)
{
    unsigned number = 0, digits = 0;
    for (; text->at < text->end && isdigit((unsigned char)*text->at); text->at++)
        if (++digits <= DIGITS_MAX)
            number = number * 10 + (unsigned)(*text->at - '0');
    return digits <= DIGITS_MAX ? number : 0;
}

static size_t find_numbers(const char *bytes, size_t length, unsigned numbers[NUMBERS_SEEN])
{
    static const size_t prefix = sizeof(NUMBER_PREFIX) - 1;
    struct text text = {bytes, bytes + length};
    size_t count = 0;
    while (count < NUMBERS_SEEN && (size_t)(text.end - text.at) > prefix) {
        /* Queues are long: most octets are passed by without a call. */
        if ((*text.at != 'A' && *text.at != 'a') ||
            strncasecmp(text.at, NUMBER_PREFIX, prefix) != 0) {
            text.at++;
            continue;
        }
        text.at += prefix;
        unsigned number = read_number(&text);
        if (number > 0)
            numbers[count++] = number;
    }
    return count;
}

/* Goes over blanks, and over backslashes, where JSON was quoted in JSON. */
static void skip_blanks(struct text *text)
{
    while (text->at < text->end && strchr(" \t\r\n\\", *text->at) != NULL && *text->at != '\0')
        text->at++;
}

static bool take(struct text *text, char byte)
{
    skip_blanks(text);
    if (text->at == text->end || *text->at != byte)
        return false;
    text->at++;
    return true;
}

/* One of the known values of "error": "..." in JSON, or NULL. */
static const char *find_error(const char *bytes, size_t length)
{
    static const char name[] = "\"error";
    const char *end = bytes + length, *at = bytes;
    while ((at = memmem(at, (size_t)(end - at), name, sizeof(name) - 1)) != NULL) {
        struct text text = {at += sizeof(name) - 1, end};
        if (!take(&text, '"') || !take(&text, ':') || !take(&text, '"'))
            continue;
        for (size_t i = 0; i < ERRORS; i++) {
            size_t want = strlen(errors[i].error);
            if ((size_t)(end - text.at) > want && memcmp(text.at, errors[i].error, want) == 0 &&
                strchr("\"\\", text.at[want]) != NULL)
                return errors[i].error;
        }
    }
    return NULL;
}

const struct entra_row *entra_of_text(const char *text, size_t length)
{
    unsigned numbers[NUMBERS_SEEN];
    struct entra_answer answer = {.status = 400, .numbers = numbers, .is_user = true};
    const struct entra_row *row = name_in(text, length);
    if (row != NULL)
        return row;
    answer.number_count = find_numbers(text, length, numbers);
    answer.error = find_error(text, length);
    if (answer.number_count == 0 && answer.error == NULL)
        return NULL;
    if (answer.error == NULL)
        answer.error = "invalid_request";
    return entra_of_answer(&answer);
}
