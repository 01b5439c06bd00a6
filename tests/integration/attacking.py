"""What the tests of attacks share: a transport between clients of ours and a server of ours, and what every attack must
leave as it was.

POST365_ATTACK_SEED    the seed that a failing test named: the same random octets again
POST365_ATTACK_FULL    1: also wait for the transport's own deadlines, about a quarter of an hour (`make attacks`)
"""

import itertools
import os
import random
import re
import threading

import pytest

from harness import processes, workplace
from harness.hostile import Hostile
from harness.lmtp import Lmtp
from harness.office365 import Office365
from harness.relay import PASSWORD, Relay

SEED = int(os.environ.get("POST365_ATTACK_SEED") or random.SystemRandom().randrange(1, 1 << 32))
FULL = os.environ.get("POST365_ATTACK_FULL") == "1"
ACCOUNTS = [f"account{number}@example.com" for number in range(100)]
BYSTANDER = "bystander@example.com"
TO = "a@dest.example"
HEADER = b"From: <anybody@brand.example>\r\nTo: <a@dest.example>\r\nSubject: x\r\n\r\n"
MEMORY = 32 * 1024  # kB; more than the transport may ever have held, whatever it was sent
LIMITS = {"recipients": None, "messages": None, "recipients_per_message": 1000, "connections": 100}
_LOG_LINE = re.compile(r"post365/transport\[\d+\]: [^\x00-\x1f\x7f-\x9f]*")


class Rig:
    """A stand-in, a hostile server in front of it, policyd and the transport. Postfix is not running: its place is the
    tests'. Each account is used by one test, so that no pause of one hinders the next."""

    def __init__(self, place):
        self.random = random.Random(SEED)
        everybody = [BYSTANDER, *ACCOUNTS]
        self.office365 = place.add(Office365(
            place.directory / "office365", limits=LIMITS,
            mailboxes={upn: {"password": PASSWORD, "send_as": ["@brand.example"]} for upn in everybody})).start()
        self.front = place.add(Hostile(self.office365)).start()
        self.relay = place.add(Relay(
            place.directory / "relay", self.office365, transport=(),
            post365={"post365_message_quota": "none", "post365_recipient_quota": "none",
                     "post365_send_as_maps": {upn: "@brand.example" for upn in everybody}},
            parameters={"relayhost": f"[localhost]:{self.front.port}"},
            passwords={upn: f"{upn}:{PASSWORD}" for upn in everybody}))
        self.relay.policyd.start()
        self._accounts = iter(ACCOUNTS)
        self._numbers = itertools.count(1)

    @property
    def transport(self):
        return self.relay.transport

    def start(self):
        """A transport that has seen nothing yet, with a log of its own."""
        self.transport.log_path.unlink(missing_ok=True)
        self.transport.start()

    def account(self):
        return next(self._accounts)

    def client(self, **options):
        return Lmtp(self.relay, **options)

    def log(self):
        return self.transport.log()

    def wait_log(self, text, timeout=20):
        found = processes.wait_until(lambda: text in self.log(), timeout)
        assert found, f"the log does not say {text!r}:\n{self.log()[-3000:]}"

    def accepted(self, account):
        """What the stand-in has accepted of an account."""
        return [entry for entry in self.office365.journal("accepted") if entry["mailbox"] == account]

    def logged_in(self, account):
        return [entry for entry in self.office365.journal("auth") if entry["mailbox"] == account]

    def bystander_sends(self):
        """Another account's message, by another client, goes through as if nothing were the matter."""
        subject = f"{next(self._numbers)}"
        with self.client() as client:
            replies = client.send(BYSTANDER, [TO], HEADER.replace(b": x", b": " + subject.encode()) + b"hello\r\n")
        assert replies[0].startswith("250 "), replies
        assert [entry for entry in self.accepted(BYSTANDER) if entry["headers"]["Subject"] == [f" {subject}"]]

    def attack(self, account, *plays, data=HEADER + b"hello\r\n", recipients=(TO,)):
        """A message of `account` whose connections get these plays, and the bystander's meanwhile. Returns the last
        reply to the message."""
        self.front.arm(*plays)
        replies = []

        def send():
            with self.client() as client:
                replies.extend(client.send(account, list(recipients), data))
        sending = threading.Thread(target=send, daemon=True)
        sending.start()
        processes.wait_until(lambda: not plays or len(self.front.armed()) == 0, 10)
        self.bystander_sends()
        sending.join()
        assert replies, self.log()[-3000:]
        return replies[-1]

    def peak(self):
        """The most that the transport has had resident, in kB."""
        with open(f"/proc/{self.transport.pid}/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

    def check(self):
        """What holds after every attack."""
        assert self.transport.alive(), self.log()[-3000:]
        self.bystander_sends()
        if "sanitize" not in str(workplace.BUILD):  # sanitizers keep what was freed
            assert self.peak() < MEMORY
        odd = [line for line in self.log().split("\n")[:-1] if not _LOG_LINE.fullmatch(line)]
        assert not odd, odd[:3]
        assert not self.front.problems, self.front.problems


@pytest.fixture(scope="module")
def _rig(module_place):
    print(f"POST365_ATTACK_SEED={SEED}")
    return Rig(module_place)


@pytest.fixture
def rig(_rig):
    """A Rig with a fresh transport, which must be none the worse for the test at its end."""
    _rig.start()
    try:
        yield _rig
        _rig.check()
    finally:
        status = _rig.transport.stop()
    assert status == 0
