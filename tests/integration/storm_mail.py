"""The mail of a storm: what is to be sent, and how it is submitted by somebody who does not give up.

Each attempt to submit a message has recipients and a Message-ID that no other has: an address says at once which
message it was of, and whether that was submitted once or, since the answer got lost, perhaps twice.
"""

import hashlib
import subprocess
import threading
import time
from dataclasses import dataclass

from harness import client, message

PATIENCE = 120  # seconds until a submission is a failure
LINE = 76
LARGEST = 25_000_000


@dataclass(frozen=True)
class Mail:
    number: int
    account: str
    sender: str
    recipients: int
    unknown: int  # how many of them nobody knows
    size: int  # bytes of the body
    by_sendmail: bool
    gone: str  # the domain of the unknown

    def addresses(self, attempt):
        known = [f"r{number}.{self.number}.{attempt}@dest.example" for number in range(self.recipients - self.unknown)]
        return known + [f"r{number}.{self.number}.{attempt}@{self.gone}" for number in range(self.unknown)]


@dataclass(frozen=True)
class Attempt:
    """`is_sure`: it was taken. Otherwise nobody knows: it may have been."""
    mail: Mail
    message_id: str
    recipients: tuple
    body_sha256: str
    is_sure: bool


class Plan:
    """`count` messages: most small, some of MB, a handful of 25 MB if there are many; mostly to one or a few, some to
    up to 7/5 of what one message may have, 700 of 500."""

    def __init__(self, random, count, accounts, gone, per_message):
        self.block = random.randbytes(57 * 1000)
        sizes = [self._size(random, count) for _ in range(count)]
        recipients = [max(1, self._recipients(random) * per_message // 500) for _ in range(count)]
        if count >= 1000:
            for place in random.sample(range(count), 5):
                sizes[place] = LARGEST
        # More than one message may have, for sure.
        recipients[random.randrange(count)] = per_message * 7 // 5
        self.mails = [self._mail(random, number, sizes[number], recipients[number], accounts, gone)
                      for number in range(count)]

    @staticmethod
    def _size(random, count):
        low, high = random.choices([(1_000, 10_000), (10_000, 200_000), (200_000, 3_000_000), (3_000_000, 10_000_000)],
                                   [70, 20, 9, 1 if count >= 1000 else 0])[0]
        return random.randint(low, high)

    @staticmethod
    def _recipients(random):
        low, high = random.choices([(1, 3), (4, 50), (51, 300), (301, 700)], [80, 15, 4, 1])[0]
        return random.randint(low, high)

    @staticmethod
    def _mail(random, number, size, recipients, accounts, gone):
        place = random.randrange(len(accounts))
        sender = random.choice([accounts[place], f"job{number}@app{place}.intern.example"])
        unknown = random.choice([0] * 15 + [1])
        return Mail(number, accounts[place], sender, recipients, min(unknown, recipients), size,
                    random.random() < 0.15, gone)

    def share(self, number, of):
        return Share(self.block, self.mails[number::of])


@dataclass
class Share:
    block: bytes
    mails: list

    def body(self, mail):
        """Lines that no other message has in this order."""
        text = hashlib.sha256(str(mail.number).encode()).hexdigest().encode() + b"\r\n"
        lines = self.block.hex().encode()
        wire = b"\r\n".join(lines[place:place + LINE] for place in range(0, len(lines), LINE)) + b"\r\n"
        return text + wire * (mail.size // len(wire)) + wire[:mail.size % len(wire) // (LINE + 2) * (LINE + 2)]


class Submitter(threading.Thread):
    """Submits its share, one message after the other, and not many more than go out."""

    def __init__(self, storm, share):
        super().__init__()
        self.storm = storm
        self.share = share
        self.ending = False
        self.failure = None

    def run(self):
        try:
            for mail in self.share.mails:
                while self.storm.is_full() and not self.ending:
                    time.sleep(0.02)
                if self.ending:
                    return
                self._submit(mail)
        except Exception as error:  # told by the main thread
            self.failure = error

    def _submit(self, mail):
        end = time.monotonic() + PATIENCE
        for attempt in range(1000):
            if self._try(mail, attempt):
                return
            assert time.monotonic() < end and not self.ending, f"message {mail.number} is not taken"
            time.sleep(0.2)

    def _try(self, mail, attempt):
        """Whether it was taken. What was not, and surely so, is forgotten."""
        recipients = mail.addresses(attempt)
        header = f"From: {mail.sender}\r\nTo: many:;\r\nSubject: message {mail.number}\r\n".encode()
        message_id, data = message.compose(header, self.share.body(mail))
        postfix = self.storm.relay.postfix
        if mail.by_sendmail:
            result = subprocess.run(["/usr/sbin/sendmail", "-i", "-f", mail.sender, *recipients], check=False, cwd="/",
                                    env=postfix.environment(), input=data.replace(b"\r\n", b"\n"), capture_output=True)
            taken, known = result.returncode == 0, result.returncode in (0, 75)
        else:
            outcome = client.send(postfix.smtp_port, mail.sender, recipients, data, timeout=PATIENCE)
            taken = outcome.accepted and not outcome.refused_recipients
            known = taken or outcome.stage == "connect" or not outcome.text.startswith("connection lost")
            assert not outcome.refused_recipients or not outcome.accepted, outcome
        if taken or not known:
            self.storm.attempts.append(Attempt(mail, message_id, tuple(recipients), message.body_hash(data), taken))
        return taken
