"""conf/office365_replies.regexp, asked as Postfix's smtp client asks it: line by line, with postmap -q.

Each reply is pasted as Office 365 gives it and compared with what Postfix must get to see; nothing here is taken from
the table that the filter is generated from.
"""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILTER = ROOT / "conf" / "office365_replies.regexp"
DOCUMENTATION = ROOT / "docs" / "OFFICE365_REPLIES.md"

STAMPS = [
    "",
    " [SY4P300CA0001.AUSP300.PROD.OUTLOOK.COM 2023-09-12T20:59:57.214Z 08DBB276B7E699C4]",
    " [Hostname=AM6PR0732BE0065.eurprd07.prod.outlook.com]",
]

# cause, reply, what Postfix gets (None: the reply as it is)
REPLIES = [
    ("not-authenticated", "530 5.7.57 Client not authenticated to send mail.",
     "430 4.7.57 Client not authenticated to send mail."),
    ("not-authenticated", "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM",
     "430 4.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM"),
    ("not-authenticated", "530 5.5.1 Authentication Required", "430 4.5.1 Authentication Required"),
    ("send-as", "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
     "450 4.7.60 SMTP; Client does not have permissions to send as this sender"),
    ("send-as", "554 5.2.252 SendAsDenied; a@example.com not allowed to send as b@example.com; "
     "STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied",
     "454 4.2.252 SendAsDenied; a@example.com not allowed to send as b@example.com; "
     "STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied"),
    ("send-as", "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed",
     "454 4.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed"),
    ("submission-quota", "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process "
     "message due to a permanent exception with message The message can't be submitted because the sender's "
     "submission quota was exceeded.",
     "454 4.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process "
     "message due to a permanent exception with message The message can't be submitted because the sender's "
     "submission quota was exceeded."),
    ("submission-quota", "554 5.2.0 The sender's submission quota was exceeded.",
     "454 4.2.0 The sender's submission quota was exceeded."),
    ("rate-or-recipient-cap", "554 5.4.1 Recipient address rejected: Access denied",
     "454 4.4.1 Recipient address rejected: Access denied"),
    ("mailbox-full", "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException."
     "MapiExceptionShutoffQuotaExceeded",
     "454 4.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException."
     "MapiExceptionShutoffQuotaExceeded"),
    ("sender-blocked", "550 5.1.8 Access denied, bad outbound sender", "450 4.1.8 Access denied, bad outbound sender"),
    ("sender-banned", "550 5.7.501 Access denied, spam abuse detected",
     "450 4.7.501 Access denied, spam abuse detected"),
    ("sender-banned", "550 5.7.502 Access denied, banned sender", "450 4.7.502 Access denied, banned sender"),
    ("sender-banned", "554 5.7.503 Access denied, banned sender", "454 4.7.503 Access denied, banned sender"),
    ("tenant-blocked", "550 5.7.705 Access denied, tenant has exceeded threshold",
     "450 4.7.705 Access denied, tenant has exceeded threshold"),
    ("address-not-accepted", "550 5.7.708 Access denied, traffic not accepted from this IP",
     "450 4.7.708 Access denied, traffic not accepted from this IP"),
    ("daily-recipients", "550 5.1.90 Your message can't be sent because you've reached your daily limit",
     "450 4.1.90 Your message can't be sent because you've reached your daily limit"),
    ("tenant-recipients", "550 5.7.232 Your message can't be sent because your trial tenant has exceeded",
     "450 4.7.232 Your message can't be sent because your trial tenant has exceeded"),
    ("tenant-recipients", "550 5.7.233 Your message can't be sent because your tenant exceeded",
     "450 4.7.233 Your message can't be sent because your tenant exceeded"),
    ("sender-throttled", "550 5.2.251 Sender throttled due to continuous mailbox full errors.",
     "450 4.2.251 Sender throttled due to continuous mailbox full errors."),
    ("sender-throttled", "550 5.2.252 Sender throttled due to continuous send as denied errors.",
     "450 4.2.252 Sender throttled due to continuous send as denied errors."),
    ("sender-throttled", "550 5.2.255 Sender throttled due to continuous invalid recipients errors.",
     "450 4.2.255 Sender throttled due to continuous invalid recipients errors."),
    # Failed logins: Postfix defers them by itself, and must see the 535 to remember it.
    ("security-defaults", "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security "
     "defaults policy. Contact your administrator.", None),
    ("tenant-switch", "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. "
     "Visit https://aka.ms/smtp_auth_disabled for more information.", None),
    ("mailbox-switch", "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. "
     "Visit https://aka.ms/smtp_auth_disabled for more information.", None),
    ("basic-auth-disabled", "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", None),
    ("conditional-access", "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be "
     "authenticated successfully. Contact your administrator.", None),
    ("password-incorrect", "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.", None),
    ("federation-unreachable", "535 5.7.139 Authentication unsuccessful, federated STS service was unreachable.", None),
    ("authentication-refused", "535 5.7.139 Authentication unsuccessful, for a reason invented tomorrow.", None),
    ("credentials-refused", "535 5.7.3 Authentication unsuccessful", None),
    ("token-refused", "535 5.7.3 Authentication unsuccessful", None),
    ("token-ends-soon", "501 5.5.127 Token will expire soon", None),
    ("token-ends-soon", "535 5.7.143 Token has expired", None),
    ("token-malformed", "501 5.5.121 Malformed token", None),
    ("token-permission", "535 5.7.144 Invalid API permissions", None),
    ("application-not-listed", "550 5.7.240 Application not authorized for this account", None),
    ("basic-auth-retired", "550 5.7.30 Basic authentication is not supported for Client Submission.", None),
    ("mailbox-disabled", "550 5.2.1 Mailbox cannot be accessed", None),
    # Temporary already.
    ("starttls-required", "451 5.7.3 STARTTLS is required to send mail", None),
    ("tls-too-old", "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client", None),
    ("authentication-trouble", "454 4.7.0 Temporary authentication failure", None),
    ("authentication-trouble", "451 4.7.3 Temporary authentication failure", None),
    ("connection-limit", "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending",
     None),
    ("connection-limit", "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", None),
    ("submission-rate", "421 4.4.2 Message submission rate for this client has exceeded the configured limit", None),
    ("mailbox-logon", "430 4.2.0 STOREDRV; mailbox logon failure; MapiExceptionLogonFailed", None),
    ("recipients-per-message", "452 4.5.3 Too many recipients", None),
    ("server-busy", "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)", None),
    ("server-error", "451 4.7.0 Temporary server error. Please try again later. PRX2", None),
    ("service-unavailable", "421 4.3.2 Service not available", None),
    ("connection-timeout", "421 4.4.1 Connection timed out", None),
    ("other-temporary", "450 4.0.0 anything", None),
    # Permanent, and stays so.
    ("unknown-recipient", "550 5.4.1 Recipient address rejected: Access denied", None),
    ("unknown-recipient", "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", None),
    ("external-recipient", "550 5.5.105 External recipients are not supported", None),
    ("from-invalid", "550 5.1.20 Multiple From addresses are not allowed without Sender address", None),
    ("from-invalid", "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant and include a valid "
     "From address", None),
    ("message-too-large", "552 5.3.4 Message size exceeds fixed maximum message size", None),
    ("recipients-rejected", "550 5.5.3 RESOLVER.ADR.RecipLimit; too many recipients", None),
    ("connection-refused", "554 5.7.1 Service unavailable, client host blocked", None),
    ("other-permanent", "550 5.1.1 User unknown", None),
    ("message-damaged", "554 5.2.0 STOREDRV.Submission.Exception:CorruptDataException; Failed", None),
    ("unknown-recipient", "554 5.2.0 STOREDRV.Submission.Exception:InvalidRecipientsException; Failed", None),
    ("message-too-large", "554 5.2.0 STOREDRV.Submission.Exception:MessageSubmissionExceededException."
     "MapiExceptionMaxSubmissionExceeded; Failed", None),
    ("recipient-mailbox-full", "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException."
     "MapiExceptionShutoffQuotaExceeded", None),
    ("other-permanent", "554 5.2.0 STOREDRV.Deliver.Exception:ObjectNotFoundException.MapiExceptionNotFound", None),
    ("other-permanent", "550 5.7.504 Access denied", None),
    ("other-permanent", "550 5.7.513 Client host blocked using Customer Block list", None),
    ("other-permanent", "550 5.7.515 Access denied, sending domain does not meet the required authentication", None),
    ("other-permanent", "550 5.7.703 one or more recipients are blocked", None),
    ("other-permanent", "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required", None),
    ("other-permanent", "550 5.7.5010 Access denied", None),
    ("other-permanent", "550 5.7.499 below the family", None),
    ("other-permanent", "550 5.7.800 above the family", None),
    # Families.
    ("sender-not-accepted", "550 5.7.500 Access denied", "450 4.7.500 Access denied"),
    ("sender-not-accepted", "550 5.7.509 Access denied, DMARC", "450 4.7.509 Access denied, DMARC"),
    ("sender-not-accepted", "554 5.7.600 as in 5.7.60", "454 4.7.600 as in 5.7.60"),
    ("sender-not-accepted", "550 5.7.702 unheard of", "450 4.7.702 unheard of"),
    ("sender-not-accepted", "550 5.7.799 unheard of", "450 4.7.799 unheard of"),
    ("submission-exception", "554 5.2.0 STOREDRV.Submission.Exception:InventedTomorrowException; Failed",
     "454 4.2.0 STOREDRV.Submission.Exception:InventedTomorrowException; Failed"),
    ("outbound-spam", "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed",
     "454 4.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed"),
    ("domain-not-registered", "550 5.7.750 Client blocked from sending from unregistered domains",
     "450 4.7.750 Client blocked from sending from unregistered domains"),
    ("address-not-accepted", "550 5.7.606 Access denied, banned sending IP [192.0.2.1]",
     "450 4.7.606 Access denied, banned sending IP [192.0.2.1]"),
    ("way-refused", "550 5.7.64 TenantAttribution; Relay Access Denied",
     "450 4.7.64 TenantAttribution; Relay Access Denied"),
    ("ipv6-refused", "550 5.7.25 the sending IPv6 address must have a reverse DNS record",
     "450 4.7.25 the sending IPv6 address must have a reverse DNS record"),
    ("helo-refused", "501 5.5.4 Invalid domain name", "401 4.5.4 Invalid domain name"),
    ("out-of-step", "503 5.5.1 Bad sequence of commands", "403 4.5.1 Bad sequence of commands"),
    ("starttls-required", "530 5.7.0 Must issue a STARTTLS command first",
     "430 4.7.0 Must issue a STARTTLS command first"),
    ("not-authenticated", "530 5.7.1 Client was not authenticated", "430 4.7.1 Client was not authenticated"),
    ("send-as", "550 5.7.1 Client does not have permissions to send as this sender",
     "450 4.7.1 Client does not have permissions to send as this sender"),
    ("other-permanent", "550 5.1.1 said: 550 5.7.60 SMTP; Client does not have permissions", None),
    ("other-permanent", "550 SubmissionQuotaExceeded without an enhanced code", None),
    ("accepted", "235 2.7.0 Authentication successful", None),
    ("accepted", "250 2.0.0 OK <554 5.4.1 Access denied@example.com>", None),
    ("accepted", "250-SIZE 157286400", None),
    ("accepted", "354 Start mail input; end with <CRLF>.<CRLF>", None),
    ("unintelligible", "no code at all", None),
]


@pytest.fixture(scope="module")
def configuration(tmp_path_factory):
    directory = tmp_path_factory.mktemp("postfix")
    (directory / "main.cf").write_text("compatibility_level = 3.6\n")
    return directory


def ask(configuration, line):
    """What Postfix gets for a line of a reply: the filter's answer, or the line."""
    result = subprocess.run(["postmap", "-c", configuration, "-q", line, f"regexp:{FILTER}"],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert result.stderr == "", "postmap must not complain about the filter"
    assert result.returncode in (0, 1)
    return result.stdout.removesuffix("\n") if result.returncode == 0 else line


def changed_of(configuration, lines):
    """The same for many lines at once: a dict of the lines that the filter changes. A rule may leave a line as it is."""
    result = subprocess.run(["postmap", "-c", configuration, "-q", "-", f"regexp:{FILTER}"],
                            input="".join(f"{line}\n" for line in lines), text=True, capture_output=True, timeout=30)
    assert result.stderr == "", "postmap must not complain about the filter"
    answers = dict(answer.split("\t", 1) for answer in result.stdout.splitlines())
    return {line: answer for line, answer in answers.items() if answer != line}


@pytest.mark.parametrize("stamp", STAMPS, ids=["bare", "stamped", "hostname"])
def test_each_reply_comes_out_right(configuration, stamp):
    got = changed_of(configuration, [reply + stamp for _, reply, _ in REPLIES])
    want = {reply + stamp: changed + stamp for _, reply, changed in REPLIES if changed is not None}
    assert got == want


def test_lines_of_a_longer_reply_keep_their_separator(configuration):
    def continued(reply):
        return reply[:3] + "-" + reply[4:]

    got = changed_of(configuration, [continued(reply) for _, reply, _ in REPLIES])
    want = {continued(reply): continued(changed) for _, reply, changed in REPLIES if changed is not None}
    assert got == want


def test_upper_and_lower_case_are_the_same(configuration):
    got = changed_of(configuration, [reply.upper() for _, reply, _ in REPLIES])
    want = {reply.upper(): changed.upper() for _, reply, changed in REPLIES if changed is not None}
    assert got == want


@pytest.mark.parametrize("text", [
    "costs $1 and ${2} and $$",
    "back\\slash /slash/ [bracket] (group) a|b *+?^",
    "caf\u00e9 \u2014 \u65e5\u672c",
    "x" * 1900,
], ids=["dollars", "specials", "utf-8", "long"])
def test_the_text_comes_through_unchanged(configuration, text):
    quota = "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; "
    assert ask(configuration, f"554 {quota}{text}") == f"454 4{quota[1:]}{text}"
    assert ask(configuration, f"550 5.7.60 {text}") == f"450 4.7.60 {text}"


def test_no_cause_is_left_out():
    """Every cause that the documentation lists is tested above; both are generated from one table."""
    documented = set(re.findall(r"^### (\S+)$", DOCUMENTATION.read_text(), re.MULTILINE))
    assert documented == {cause for cause, _, _ in REPLIES}


def test_generated_files_are_those_in_the_tree():
    result = subprocess.run(["make", "-s", "check-generated"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
