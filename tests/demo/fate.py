"""What became of each message, for each recipient.

What arrived is what the stand-in's journal says; Postfix's log and queue tell about the rest.
"""

import re
from dataclasses import dataclass
from enum import Enum

from harness import maillog


class Fate(Enum):
    DELIVERED = "delivered"
    RETURNED = "returned"  # refused, and the sender has Postfix's report
    DEFERRED = "deferred"  # in Postfix's queue
    KEPT = "kept"  # not accepted by Postfix: the sender still has it, and knows
    LOST = "lost"  # nobody has it, and nobody was told


@dataclass(frozen=True)
class Record:
    mail: object  # traffic.Mail
    recipient: str
    fate: Fate
    reply: str  # the last answer that was no success, "" if there was none


@dataclass(frozen=True)
class Report:
    """One of Postfix's own reports to a sender whose mail it could not deliver."""
    queue_id: str
    fate: Fate


def reports(run):
    """{queue id of the undeliverable message: Report}."""
    made = dict(re.findall(r"/bounce\[\d+\]: (\w+): sender non-delivery notification: (\w+)",
                           run.log()))
    last = {delivery.queue_id: delivery for delivery in run.deliveries()}
    queued = {message["queue_id"] for message in run.queue}
    found = {}
    for origin, queue_id in made.items():
        delivery = last.get(queue_id)
        if queue_id in queued:
            fate = Fate.DEFERRED
        elif delivery is not None and delivery.status == "sent":
            fate = Fate.DELIVERED
        else:
            fate = Fate.LOST
        found[origin] = Report(queue_id, fate)
    return found


def records(run):
    """A Record for each message and recipient of the run."""
    arrived = {(arrival.message_id, recipient)
               for arrival in run.relay.accepted() for recipient in arrival.recipients}
    attempts = _attempts(run)
    told = reports(run)
    queued = {message["queue_id"] for message in run.queue}
    return [_record(run, mail, recipient, arrived, attempts, told, queued)
            for mail in run.mails for recipient in mail.recipients]


def _attempts(run):
    """{(Message-ID, recipient): [Delivery, ...]}."""
    ids = maillog.message_ids(run.log())
    found = {}
    for delivery in run.deliveries():
        found.setdefault((ids.get(delivery.queue_id), delivery.recipient), []).append(delivery)
    return found


def _record(run, mail, recipient, arrived, attempts, told, queued):
    tried = attempts.get((mail.message_id, recipient), [])
    failed = [delivery.reply for delivery in tried if delivery.status != "sent"]
    outcome = run.outcomes[mail.id]
    reply = failed[-1] if failed else outcome.earlier
    if (mail.message_id, recipient) in arrived:
        return Record(mail, recipient, Fate.DELIVERED, reply)
    if not outcome.accepted:
        return Record(mail, recipient, Fate.KEPT, f"{outcome.code} {outcome.text}")
    if not tried or tried[-1].queue_id in queued:
        return Record(mail, recipient, Fate.DEFERRED, reply)
    report = told.get(tried[-1].queue_id)
    if report is not None and report.fate is Fate.DELIVERED:
        return Record(mail, recipient, Fate.RETURNED, reply)
    if report is not None and report.fate is Fate.DEFERRED:
        return Record(mail, recipient, Fate.DEFERRED, reply)
    return Record(mail, recipient, Fate.LOST, reply)
