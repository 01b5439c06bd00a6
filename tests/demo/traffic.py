"""The mail of a small company, as it really comes.

Nothing here is there for post365's sake: every message is one that relays in the field see, and the
ones that break are the ones that break there.
"""

import base64
from dataclasses import dataclass

from harness.message import canonical

UPN = "relay@example.com"
BILLING = "billing@example.com"  # the account holds Send As for it
NEWSLETTER = "newsletter@example.com"  # and for this
SEND_AS = (BILLING, NEWSLETTER)
NOBODY = "left-last-year@example.net"  # no such mailbox: refused at RCPT

PERSON = ("joerg", "geheim")  # login and password at the submission port

SENDMAIL, SMTP, SUBMISSION = "sendmail", "smtp", "submission"

LONG = b"<td>" + b"0123456789abcdef" * 2000 + b"</td>"  # 32 kB without a line end, as HTML generators write it


@dataclass(frozen=True)
class Kind:
    name: str
    description: str


CRON = Kind("cron", "a cron job, by sendmail")
MONITORING = Kind("monitoring", "monitoring, bare From:")
PERSON_MAIL = Kind("person", "people, authenticated")
ALIAS = Kind("alias", "an alias with Send As")
ODD = Kind("odd", "programs, odd From:")
UNDELIVERABLE = Kind("unknown", "to an unknown address")
BURST = Kind("burst", "an application's burst")
NEWS = Kind("newsletter", "a newsletter to 700")
KINDS = (CRON, MONITORING, PERSON_MAIL, ALIAS, ODD, UNDELIVERABLE, BURST, NEWS)


@dataclass(frozen=True)
class Mail:
    """One message. `arrives_from` and `replies_to` are what the recipient shall see with post365:
    the whole value of From:, and of Reply-To: (None: there shall be none)."""
    id: str
    kind: Kind
    channel: str
    sender: str
    recipients: tuple
    header: bytes  # LF line ends, with every header but Message-ID
    body: bytes
    arrives_from: bytes
    replies_to: bytes | None

    @property
    def message_id(self):
        return f"<{self.id}@demo.example.com>"

    @property
    def data(self):
        """The message as it is on the wire, dots not doubled."""
        return canonical(b"Message-ID: " + self.message_id.encode() + b"\n" + self.header + b"\n" + self.body)


def mixed():
    """What comes first: some of each kind, but the burst and the newsletter."""
    return [*_cron(1, 3), *_monitoring(), *_person(), *_alias(), *_odd(), _undeliverable()]


def _cron(first, last):
    for number in range(first, last):
        yield Mail(
            f"cron-{number}", CRON, SENDMAIL, "root@relay.example.com", ("admin@example.net",),
            b"From: root@relay.example.com (Cron Daemon)\n"
            b"To: root@relay.example.com\n"
            b"Subject: Cron <root@relay> /usr/local/bin/backup --job %d\n"
            b"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n" % number,
            "rsync: 3 Dateien übertragen, 1 Fehler\n.\n..dots at the start of a line\n".encode(),
            b'"Cron Daemon" <relay@example.com>', b"root@relay.example.com (Cron Daemon)")


def late_cron():
    """Four more cron jobs, that report in the middle of the burst."""
    return list(_cron(3, 7))


def _monitoring():
    yield Mail(
        "monitoring-1", MONITORING, SMTP, "nagios@srv7.example.com", ("oncall@example.net",),
        b"From: nagios@srv7.example.com\nTo: oncall@example.net\n"
        b"Subject: ** PROBLEM Service Alert: srv7/Disk is CRITICAL **\n",
        b"DISK CRITICAL - free space: / 812 MB (2%)\n",
        b'"nagios@srv7.example.com" <relay@example.com>', b"nagios@srv7.example.com")
    yield Mail(
        "monitoring-2", MONITORING, SMTP, "ups@rack2.example.com", ("oncall@example.net", "facility@example.net"),
        b"From: <ups@rack2.example.com>\nTo: oncall@example.net\nReply-To: facility@example.net\n"
        b"Subject: UPS on battery\n",
        b"Runtime left: 11 min\n",
        b'"ups@rack2.example.com" <relay@example.com>', b"facility@example.net")


def _person():
    name = b"=?utf-8?b?" + base64.b64encode("Jörg Müller, Werk Süd".encode()) + b"?="
    yield Mail(
        "person-1", PERSON_MAIL, SUBMISSION, "joerg.mueller@example.com", ("kundin@example.net",),
        b"From: " + name + b" <joerg.mueller@example.com>\nTo: kundin@example.net\nSubject: Angebot\n"
        b"MIME-Version: 1.0\nContent-Type: text/html; charset=us-ascii\n",
        b"<html><table><tr>\n" + LONG + b"\n</tr></table></html>\n",
        name + b" <relay@example.com>", name + b" <joerg.mueller@example.com>")
    yield Mail(
        "person-2", PERSON_MAIL, SUBMISSION, "joerg.mueller@example.com", ("kundin@example.net", "chef@example.net"),
        b'From: "M\\"uller, J\\\\. (Werk)" <joerg.mueller@example.com>\nTo: kundin@example.net\nSubject: Re: Angebot\n'
        b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n",
        "Schöne Grüße aus München — 你好\n\n\n".encode() + b"trailing blanks  \t \n.\n.hidden\n\n",
        b'"M\\"uller, J\\\\. (Werk)" <relay@example.com>', b'"M\\"uller, J\\\\. (Werk)" <joerg.mueller@example.com>')


def _alias():
    yield Mail(
        "alias-1", ALIAS, SMTP, BILLING, ("kundin@example.net",),
        b"From: Example Billing <billing@example.com>\nTo: kundin@example.net\nSubject: Invoice 4711\n",
        b"Please find attached ...\n",
        b"Example Billing <billing@example.com>", None)


def _odd():
    yield Mail(
        "odd-1", ODD, SMTP, "scan@mfp3.example.com", ("office@example.net",),
        b"From: Scanner <scan@mfp3.example.com>, Reception <reception@example.com>\nTo: office@example.net\n"
        b"Subject: several mailboxes in From:, no Sender:\n",
        b"scan attached\n",
        b"Scanner <relay@example.com>", b"Scanner <scan@mfp3.example.com>, Reception <reception@example.com>")
    yield Mail(
        "odd-2", ODD, SMTP, "plc@line4.example.com", ("office@example.net",),
        b"To: office@example.net\nSubject: no From: at all\n",
        b"line 4 stopped\n",
        b'"plc@line4.example.com" <relay@example.com>', b"plc@line4.example.com")
    yield Mail(
        "odd-3", ODD, SMTP, UPN, ("office@example.net",),
        b"From: Ticket System <relay@example.com>\nSender: www-data@web1.example.com\nTo: office@example.net\n"
        b"Subject: a good From:, but the Sender: of another\n",
        b"ticket 12 was closed\n",
        b"Ticket System <relay@example.com>", None)
    yield Mail(
        "odd-4", ODD, SMTP, "erp@erp.example.com", ("office@example.net",),
        b"From: ERP System\nTo: office@example.net\nSubject: a From: without an address\n",
        b"month closed\n",
        b"ERP System <relay@example.com>", b"erp@erp.example.com")


def _undeliverable():
    return Mail(
        "unknown-1", UNDELIVERABLE, SUBMISSION, "joerg.mueller@example.com", (NOBODY,),
        b"From: Joerg Mueller <joerg.mueller@example.com>\nTo: left-last-year@example.net\nSubject: Hello?\n",
        b"Are you still there?\n",
        b"Joerg Mueller <relay@example.com>", b"Joerg Mueller <joerg.mueller@example.com>")


def newsletter():
    """One message to 700 recipients. Postfix delivers it in parts."""
    return Mail(
        "newsletter-1", NEWS, SMTP, NEWSLETTER, tuple(f"reader{number:03d}@example.net" for number in range(700)),
        b"From: Example News <newsletter@example.com>\nTo: readers: ;\nSubject: News of the month\n",
        b"What happened in November ...\n" * 20,
        b"Example News <newsletter@example.com>", None)


def burst():
    """60 messages of an application that is set up properly: its From: is the mailbox itself."""
    return [Mail(
        f"burst-{number:02d}", BURST, SMTP, UPN, (f"customer{number:02d}@example.net",),
        b"From: Example Shop <relay@example.com>\nTo: customer%02d@example.net\nSubject: Your order %d\n"
        % (number, 1000 + number),
        b"Thank you for your order.\n",
        b"Example Shop <relay@example.com>", None) for number in range(60)]
