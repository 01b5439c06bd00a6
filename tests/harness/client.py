"""SMTP clients: one that sends a message once, and one that tries again as a well-behaved
application does.

Messages are bytes and go out as they are (CRLF line ends are the caller's; only dots are doubled).
"""

import contextlib
import re
import smtplib
import time
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """What the server said to one message. `code` is that of the last reply that decided it."""
    code: int
    text: str
    stage: str  # connect, auth, mail, rcpt, data, dot
    attempts: int = 1
    earlier: str = ""  # the last answer that meant "later", when there was more than one attempt
    refused_recipients: dict = field(default_factory=dict)  # address -> (code, text), others were accepted

    @property
    def accepted(self):
        return self.stage == "dot" and self.code // 100 == 2

    @property
    def temporary(self):
        return self.code // 100 == 4


def _text(reply):
    return reply.decode("utf-8", "replace").replace("\n", " ")


def send(port, sender, recipients, message, *, login=None, timeout=60, options=(), helo="client.example.com"):
    """One attempt. `login` is (user, password). Returns an Outcome, also when the connection breaks
    (code 421)."""
    stage = "connect"
    try:
        with smtplib.SMTP("127.0.0.1", port, local_hostname=helo, timeout=timeout) as smtp:
            smtp.ehlo()
            if login:
                stage = "auth"
                smtp.user, smtp.password = login
                smtp.auth("PLAIN", smtp.auth_plain)
            return _transaction(smtp, sender, recipients, message, options)
    except smtplib.SMTPResponseException as error:
        return Outcome(error.smtp_code, _text(error.smtp_error), stage)
    except (smtplib.SMTPException, OSError) as error:
        return Outcome(421, f"connection lost: {error}", stage)


def _transaction(smtp, sender, recipients, message, options):
    if any(not address.isascii() for address in [sender, *recipients]):
        options = [*options, "SMTPUTF8"]
    stage = "mail"
    try:
        code, text = smtp.mail(sender, options)
        if code != 250:
            return Outcome(code, _text(text), stage)
        stage = "rcpt"
        refused = {}
        for recipient in recipients:
            code, text = smtp.rcpt(recipient)
            if code not in (250, 251):
                refused[recipient] = (code, _text(text))
        if len(refused) == len(recipients):
            return Outcome(code, _text(text), stage, refused_recipients=refused)
        stage = "data"
        code, text = smtp.data(message)
        return Outcome(code, _text(text), "dot", refused_recipients=refused)
    except smtplib.SMTPDataError as error:
        return Outcome(error.smtp_code, _text(error.smtp_error), stage)
    except (smtplib.SMTPServerDisconnected, OSError) as error:
        return Outcome(421, f"connection lost: {error}", stage)
    finally:
        with contextlib.suppress(smtplib.SMTPException, OSError):
            smtp.quit()


def send_with_patience(port, sender, recipients, message, *, until, pause=1.0, **options):
    """Tries again on 4xx: after the "in n seconds" that the reply tells, else after `pause`
    seconds, until the monotonic time `until`. Returns the last Outcome, with the number of
    attempts."""
    attempts, earlier = 0, ""
    while True:
        attempts += 1
        outcome = send(port, sender, recipients, message, **options)
        outcome.attempts, outcome.earlier = attempts, earlier
        if not outcome.temporary:
            return outcome
        wait = told_wait(outcome.text) or pause
        if time.monotonic() + wait > until:
            return outcome
        earlier = f"{outcome.code} {outcome.text}"
        time.sleep(wait)


def told_wait(text):
    """The seconds in "... in 12 seconds ...", "in 12 s", "in 12 min" or "in 1 h 1 min", None without any."""
    number = r"(?:(\d+(?:\.\d+)?) ?"
    match = re.search(rf"\bin (?=\d){number}h\b ?)?{number}min\b ?)?{number}s(?:econds?|ec)?\b)?", text)
    if match is None or not any(match.groups()):
        return None
    return sum(float(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1)))
