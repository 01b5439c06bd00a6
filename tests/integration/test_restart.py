"""Restarts and crashes of the daemons while clients send all the time: nobody is told to come again later, nothing is
lost, nothing comes twice.

POST365_RESTART_SECONDS    how long each daemon is restarted in a loop; a few seconds if it is not set. `make restarts`
                           takes a minute each
"""

import collections
import os
import signal
import smtplib
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOMY

from harness import message, processes
from harness.manager import Manager
from harness.office365 import Office365
from harness.relay import PASSWORD, UPN, Relay

SECONDS = float(os.environ.get("POST365_RESTART_SECONDS") or 6)
HEADER = f"From: {UPN}\r\nTo: a@dest.example\r\nSubject: x\r\n".encode()
UNLIMITED = {"post365_recipient_quota": "none", "post365_message_quota": "none"}


class Sender(threading.Thread):
    """A client that sends one message after the other until it is told to end. `session` is how many messages it sends
    over one connection; `pause` passes in the midst of each."""

    def __init__(self, port, session, pause):
        super().__init__(daemon=True)
        self.port, self.session, self.pause = port, session, pause
        self.accepted, self.refused = [], []  # Message-IDs; (when, stage, code, text)
        self.longest = 0.0
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.example.com", timeout=60) as smtp:
                    smtp.ehlo()
                    for _ in range(self.session):
                        if self.over.is_set() or not self.send(smtp):
                            break
            except (smtplib.SMTPException, OSError) as error:
                self.refused.append((time.monotonic(), "connection", getattr(error, "smtp_code", 0), str(error)))

    def send(self, smtp):
        message_id, data = message.compose(HEADER, b"hello\n")
        begun = time.monotonic()
        for stage, step in (("mail", lambda: smtp.mail(UPN)), ("rcpt", lambda: smtp.rcpt("a@dest.example")),
                            ("data", lambda: smtp.data(data))):
            code, text = step()
            if code // 100 != 2:
                self.refused.append((time.monotonic(), stage, code, text.decode()))
                return False
            time.sleep(self.pause)
        self.longest = max(self.longest, time.monotonic() - begun - 3 * self.pause)
        self.accepted.append(message_id)
        return True


class Traffic:
    """Clients of all habits."""

    def __init__(self, relay):
        self.relay = relay
        self.senders = [Sender(relay.postfix.smtp_port, session, pause)
                        for session, pause in ((1, 0), (1, 0.1), (5, 0.02), (10 ** 9, 0.05), (10 ** 9, 0.3))]

    def __enter__(self):
        for sender in self.senders:
            sender.start()
        return self

    def __exit__(self, *_):
        for sender in self.senders:
            sender.over.set()
        for sender in self.senders:
            sender.join(90)

    @property
    def refused(self):
        return [one for sender in self.senders for one in sender.refused]

    @property
    def accepted(self):
        return [one for sender in self.senders for one in sender.accepted]

    @property
    def longest(self):
        return max(sender.longest for sender in self.senders)

    def arrived(self, timeout=120):
        """How often each message arrived, once all are there."""
        wanted = set(self.accepted)
        seen = collections.Counter()
        processes.wait_until(lambda: wanted <= {one.message_id for one in self.relay.accepted()}, timeout, 0.2)
        seen.update(one.message_id for one in self.relay.accepted())
        return seen


@pytest.fixture
def managed(place):
    """A relay, and {name: Manager} of its daemons."""
    office365 = place.add(Office365(place.directory / "office365", limits=ROOMY,
                                    mailboxes={UPN: {"password": PASSWORD}})).start()
    relay = place.add(Relay(place.directory / "relay", office365, transport=(UPN,), post365=UNLIMITED))
    managers = {name: place.add(Manager(getattr(relay, name))) for name in ("policyd", "milter", "transport")}
    for manager in managers.values():
        manager.start()
    relay.postfix.start()
    (relay.postfix.queue_directory / "public").chmod(0o755)
    relay.managers = managers
    return relay


def workers(manager):
    """Processes of the milter other than its keeper, the drained ones too."""
    name = Path(os.readlink(f"/proc/{manager.program.pid}/exe"))
    return [pid for pid, _ in running(name) if pid != manager.program.pid]


def running(exe):
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/exe") == str(exe):
                found.append((int(entry), processes.start_time(int(entry))))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("name", ["milter", "policyd", "transport"])
def test_nobody_sees_a_restart(managed, name, capsys):
    manager = managed.managers[name]
    with Traffic(managed) as traffic:
        end = time.monotonic() + SECONDS
        restarts = 0
        while time.monotonic() < end:
            before = len(traffic.accepted)
            manager.restart()
            restarts += 1
            assert processes.wait_until(lambda: len(traffic.accepted) > before + 3, 30)
    seen = traffic.arrived()
    with capsys.disabled():
        print(f"\n{name}: {restarts} restarts, {len(traffic.accepted)} messages, {len(traffic.refused)} refused, "
              f"{sum(seen[one] == 0 for one in traffic.accepted)} lost, {sum(count > 1 for count in seen.values())} "
              f"doubled, the longest took {traffic.longest:.2f} s")
    assert traffic.refused == [] and restarts > 2
    assert {seen[one] for one in traffic.accepted} == {1}
