"""Postfix's log, as records.

A line is "Nov 22 04:19:02 host postfix/smtp[123]: 4XYZ: to=<a@b>, relay=..., dsn=2.0.0, status=sent
(250 2.0.0 OK)".
"""

import re
from dataclasses import dataclass

_LINE = re.compile(r"^\w{3} [ \d]\d [\d:]{8} \S+ (?P<program>[^\[:]+)\[(?P<pid>\d+)\]: (?P<text>.*)$")
_DELIVERY = re.compile(r"^(?P<queue_id>\w+): to=<(?P<recipient>.*?)>, (?:orig_to=<.*?>, )?relay=(?P<relay>.*?), .*?"
                       r"dsn=(?P<dsn>[\d.]+), status=(?P<status>\S+) \((?P<reply>.*)\)$")


@dataclass(frozen=True)
class Record:
    program: str
    pid: int
    text: str


@dataclass(frozen=True)
class Delivery:
    """What happened to one recipient in one attempt: status is sent, deferred, bounced or expired;
    `reply` what the log gives as the reason."""
    program: str
    queue_id: str
    recipient: str
    relay: str
    dsn: str
    status: str
    reply: str


def records(text):
    """All lines of a log that are log lines."""
    matches = map(_LINE.match, text.splitlines())
    return [Record(m["program"], int(m["pid"]), m["text"]) for m in matches if m]


def deliveries(text):
    """All delivery attempts that a log tells of, in order."""
    found = []
    for record in records(text):
        match = _DELIVERY.match(record.text)
        if match:
            found.append(Delivery(record.program, **match.groupdict()))
    return found


def message_ids(text):
    """{queue id: Message-ID} of what cleanup has seen."""
    found = {}
    for record in records(text):
        match = re.match(r"^(\w+): (?:resent-)?message-id=(.*)$", record.text)
        if match and record.program.endswith("/cleanup"):
            found[match[1]] = match[2].strip()
    return found
