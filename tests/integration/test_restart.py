"""Restarts and crashes of the daemons while clients send all the time: nobody is told to come again later, nothing is
lost, nothing comes twice.

POST365_RESTART_SECONDS    how long each daemon is restarted in a loop; a few seconds if it is not set. `make restarts`
                           takes a minute each
"""

import collections
import contextlib
import os
import pwd
import signal
import smtplib
import subprocess
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOMY

from harness import message, processes, programs, workplace
from harness.manager import Manager
from harness.office365 import Office365
from harness.postfix import free_ports
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


class Managed(Relay):
    """A relay whose daemons somebody manages: {name: Manager} in `managers`."""

    def __init__(self, place, *names, **options):
        self.office365 = place.add(Office365(place.directory / "office365", limits=ROOMY,
                                             mailboxes={UPN: {"password": PASSWORD}})).start()
        super().__init__(place.directory / "relay", self.office365, post365=UNLIMITED, **options)
        place.add(self)
        self.managers = {name: place.add(Manager(getattr(self, name))) for name in names}
        for manager in self.managers.values():
            manager.start()
        self.postfix.start()
        (self.postfix.queue_directory / "public").chmod(0o755)


@pytest.fixture
def delivery(place):
    return Managed(place, "policyd", "milter", "transport", transport=(UPN,))


def uid_of(pid):
    """Whose it is by now: /proc/<pid> is root's where a program forbids core files."""
    return int(Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()[0])


def workers(manager):
    """The pids of the milter's processes that are neither the keeper nor a helper, which stay root's: its worker, and
    earlier ones."""
    wanted = b"".join(os.fsencode(argument) + b"\0" for argument in manager.program.arguments)
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if (entry.isdigit() and Path(f"/proc/{entry}/cmdline").read_bytes() == wanted
                    and uid_of(entry) != 0):
                found.append(int(entry))
    found = [pid for pid in found if pid != manager.program.pid]
    # Each has a helper, which reads the tables.
    return [pid for pid in found if parent_of(pid) not in found]


def parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def report(name, count, traffic, seen, capsys):
    with capsys.disabled():
        print(f"\n{name}: {count}, {len(traffic.accepted)} messages, {len(traffic.refused)} refused, "
              f"{sum(seen[one] == 0 for one in traffic.accepted)} lost, {sum(times > 1 for times in seen.values())} "
              f"doubled, the longest took {traffic.longest:.2f} s")


def restart_in_a_loop(manager, traffic, apart=0):
    """`apart`: seconds between two of them at least."""
    restarts, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end or restarts < 3:
        before = len(traffic.accepted)
        manager.restart()
        restarts += 1
        again = time.monotonic() + apart
        assert processes.wait_until(lambda: len(traffic.accepted) > before + 3 and time.monotonic() > again, 30)
    return restarts


@pytest.mark.parametrize("name", ["milter", "policyd", "transport"])
def test_nobody_sees_a_restart(delivery, name, capsys):
    with Traffic(delivery) as traffic:
        restarts = restart_in_a_loop(delivery.managers[name], traffic)
    seen = traffic.arrived()
    report(name, f"{restarts} restarts", traffic, seen, capsys)
    assert traffic.refused == [] and restarts > 2
    assert {seen[one] for one in traffic.accepted} == {1}
    assert "quota cannot be checked now" not in delivery.postfix.log()  # nor does mail wait in the queue


def test_nobody_sees_a_restart_of_the_policy_service_that_is_asked_by_smtpd(place, capsys):
    relay = Managed(place, "policyd", "milter")
    with Traffic(relay) as traffic:
        # smtpd(8) tries twice, with a second in between (smtpd_policy_service_retry_delay), and complains when both meet a restart.
        restarts = restart_in_a_loop(relay.managers["policyd"], traffic, apart=2)
    seen = traffic.arrived()
    report("policyd, submission meter", f"{restarts} restarts", traffic, seen, capsys)
    assert traffic.refused == [] and restarts > 2
    assert {seen[one] for one in traffic.accepted} == {1}
    assert "problem" not in relay.postfix.log()


@pytest.mark.parametrize("victim", ["worker", "keeper", "both"])
def test_a_crash_of_the_milter_costs_open_sessions_alone(delivery, victim, capsys):
    """kill -9 under load. A client whose session was open may be told 451; who connects is served."""
    manager = delivery.managers["milter"]
    manager.watch()
    kills, end = 0, time.monotonic() + SECONDS
    with Traffic(delivery) as traffic:
        while time.monotonic() < end:
            before = len(traffic.accepted)
            pids = workers(manager) if victim != "keeper" else []
            for pid in pids + ([manager.program.pid] if victim != "worker" else []):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            kills += 1
            assert processes.wait_until(lambda: len(traffic.accepted) > before + 10, 30)
    seen = traffic.arrived()
    report(f"milter, {victim}", f"{kills} times killed", traffic, seen, capsys)
    assert {seen[one] for one in traffic.accepted} == {1}
    assert all(code == 451 for _, _, code, _ in traffic.refused), traffic.refused
    assert len(traffic.refused) <= (0 if victim == "keeper" else kills * len(traffic.senders))
    assert traffic.longest < 5


def test_a_session_is_served_by_the_worker_that_it_began_with(delivery):
    manager = delivery.managers["milter"]
    [first] = workers(manager)
    with smtplib.SMTP("127.0.0.1", delivery.postfix.smtp_port, timeout=60) as smtp:
        smtp.ehlo()
        assert smtp.mail(UPN)[0] == 250
        for _ in range(3):
            manager.restart()
        assert processes.wait_until(lambda: len(workers(manager)) == 2, 20) and first in workers(manager)
        assert smtp.rcpt("a@dest.example")[0] == 250
        assert smtp.data(message.compose(HEADER, b"hello\n")[1])[0] == 250
        manager.restart()
        assert smtp.mail(UPN)[0] == 250
        assert first in workers(manager)
    assert processes.wait_until(lambda: first not in workers(manager), 20)
    assert processes.wait_until(lambda: len(workers(manager)) == 1, 20)


def test_the_worker_has_no_privilege_and_the_keeper_no_secret(delivery):
    manager = delivery.managers["milter"]
    user = pwd.getpwnam(workplace.USER)
    [worker] = workers(manager)
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines())
    assert status["Uid"].split() == [str(user.pw_uid)] * 4 and int(status["CapEff"], 16) == 0
    for pid in (worker, manager.program.pid):
        assert PASSWORD.encode() not in memory_of(pid)


def memory_of(pid):
    """All that a process can write to."""
    found = b""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, rights, *_, name = (line.split() + [""])[:6] if len(line.split()) < 6 else line.split()[:6]
            if rights.startswith("rw") and not name.startswith("[v"):
                begin, end = (int(number, 16) for number in place.split("-"))
                memory.seek(begin)
                found += memory.read(end - begin) or b""
    return found


def test_a_reload_reaches_the_worker_and_what_is_wrong_ends_nothing(delivery):
    milter = delivery.milter
    assert "reloaded" in milter.reload()
    delivery.postfix.configure({"post365_message_quota": "junk"})
    assert "the old settings stay in force" in milter.reload()
    [worker] = workers(delivery.managers["milter"])
    os.kill(worker, signal.SIGKILL)
    assert processes.wait_until(lambda: workers(delivery.managers["milter"]) not in ([], [worker]), 30)
    assert processes.wait_until(lambda: "cannot be read, the old ones stay in force" in milter.log(), 30)
    delivery.deliver(UPN, ["a@dest.example"], HEADER)


def test_wrong_settings_end_the_start_with_their_status(delivery):
    delivery.postfix.configure({"post365_message_quota": "junk"})
    for name, manager in delivery.managers.items():
        manager.program.process.terminate()
        assert manager.program.process.wait(40) == 0
        with pytest.raises(AssertionError):
            manager.start(timeout=3)
        assert manager.program.process.wait(10) == 78, name


def listens(place, postfix):
    try:
        programs.connect(place, postfix.queue_directory).close()
    except OSError:
        return False
    return True


def names_of(manager):
    return sorted(name for name, _ in manager.store)


def test_sockets_that_are_not_wanted_any_more_are_let_go(delivery):
    manager = delivery.managers["milter"]
    old, name = delivery.postfix.queue_directory / "post365" / "milter", names_of(manager)
    assert len(name) == 1
    inode = old.stat().st_ino
    manager.restart()
    assert old.stat().st_ino == inode and names_of(manager) == name
    delivery.postfix.configure({"post365_milter_socket": "unix:post365/other"})
    manager.restart()
    assert processes.wait_until(lambda: len(names_of(manager)) == 1 and names_of(manager) != name, 30)
    # libmilter looks at a socket for five seconds, even if it has another by then.
    assert processes.wait_until(lambda: not listens("unix:post365/milter", delivery.postfix), 30)
    programs.connect("unix:post365/other", delivery.postfix.queue_directory).close()


def test_a_socket_whose_name_has_gone_is_made_anew(delivery):
    for name, manager in delivery.managers.items():
        path = delivery.postfix.queue_directory / "post365" / {"policyd": "control"}.get(name, name)
        path.unlink()
        manager.restart()
        assert path.is_socket(), name
    delivery.deliver(UPN, ["a@dest.example"], HEADER)


def test_the_test_of_the_settings_does_not_mind_the_one_that_runs(delivery):
    for manager in delivery.managers.values():
        manager.restart()
        done = subprocess.run([*manager.program.arguments, "-t"], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr


def test_an_inet_socket_is_kept_too(place):
    port = free_ports(1)[0]
    relay = Managed(place, "policyd", "milter", "transport", transport=(UPN,),
                    parameters={"post365_milter_socket": f"inet:127.0.0.1:{port}"})
    with Traffic(relay) as traffic:
        for _ in range(5):
            before = len(traffic.accepted)
            relay.managers["milter"].restart()
            assert processes.wait_until(lambda: len(traffic.accepted) > before + 3, 30)
    assert traffic.refused == [] and {traffic.arrived()[one] for one in traffic.accepted} == {1}
