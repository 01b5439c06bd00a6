"""Tables that only root may read are read as long as the daemons run, whatever their type: by a helper that stays root."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from harness import processes, programs, workplace
from harness.office365 import Office365
from harness.relay import PASSWORD, UPN, Relay

CAP_DAC_READ_SEARCH = 1 << 2
NEW = "another geheim"


@pytest.fixture
def office365(place):
    return place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}})).start()


class Secret:
    """A password table in a directory that only root may enter."""

    def __init__(self, postfix, type_):
        self.postfix, self.type_ = postfix, type_
        self.directory = postfix.config_directory / "secret"
        self.directory.mkdir(mode=0o700)
        self.path = self.directory / "passwd"

    @property
    def maps(self):
        return f"{self.type_}:{self.path}"

    def write(self, port, password):
        line = f"[localhost]:{port} {UPN}:{password}\n"
        if self.type_ == "regexp":
            line = f"/^\\[localhost\\]:{port}$/ {UPN}:{password}\n"
        fresh = self.path.with_suffix(".new")
        fresh.write_text(line)
        fresh.chmod(0o600)
        fresh.rename(self.path)
        if self.type_ not in ("texthash", "regexp"):
            self.postfix.command("postmap", self.maps)
            for path in self.directory.iterdir():
                path.chmod(0o600)


def make(place, office365, type_, **post365):
    relay = Relay(place.directory / "relay", office365, post365={"post365_upn": UPN, **post365}, transport=[UPN])
    if type_ not in relay.postfix.command("postconf", "-m").stdout.split():
        pytest.skip(f"this Postfix has no {type_}:")
    secret = Secret(relay.postfix, type_)
    secret.write(office365.port, PASSWORD)
    relay.postfix.configure({"post365_password_maps": secret.maps})
    place.add(relay).start()
    return relay, secret


def daemons(relay):
    return relay.policyd, relay.milter, relay.transport


def send(relay):
    relay.deliver("app@intern.example", ["a@dest.example"], b"From: App <app@intern.example>\r\nSubject: x\r\n")


def helper_of(daemon):
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    found = [int(pid) for pid in children if os.readlink(f"/proc/{pid}/exe") == os.readlink(f"/proc/{daemon.pid}/exe")]
    assert len(found) == 1, children
    return found[0]


def status_of(pid):
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


@pytest.mark.parametrize("type_", ["hash", "btree", "texthash", "regexp", "lmdb", "cdb"])
def test_a_password_changes(place, office365, type_):
    relay, secret = make(place, office365, type_)
    send(relay)
    office365.set_mailbox(UPN, password=NEW)
    secret.write(office365.port, NEW)
    before = len(list(office365.journal("auth")))

    def logged_in_again():
        send(relay)
        return len(list(office365.journal("auth"))) > before
    assert processes.wait_until(logged_in_again, 30, 0.5)
    assert not list(office365.journal("auth-refused"))
    log = "".join(daemon.log() for daemon in daemons(relay))
    assert "Permission denied" not in log and "old contents" not in log, log


def test_the_helper_can_do_little_and_goes_with_its_daemon(place, office365):
    relay, _ = make(place, office365, "hash")
    for daemon in daemons(relay):
        helper = helper_of(daemon)
        status = status_of(helper)
        assert status["Uid"].split() == ["0"] * 4 and status_of(daemon.pid)["Uid"].split()[0] != "0"
        assert {int(status[name], 16) for name in ("CapPrm", "CapEff")} == {CAP_DAC_READ_SEARCH} and int(status["CapInh"], 16) == 0
        assert status["NoNewPrivs"].strip() == "1"
        descriptors = {name: os.readlink(f"/proc/{helper}/fd/{name}") for name in os.listdir(f"/proc/{helper}/fd")}
        assert set(descriptors) == {"0", "1", "2", "3"} and descriptors["3"].startswith("socket:"), descriptors
        os.kill(helper, signal.SIGTERM)  # systemd stops all at once
        assert status_of(helper)["State"][0] in "SR"
        daemon.signal(signal.SIGKILL)
        assert processes.wait_until(lambda pid=helper: not Path(f"/proc/{pid}").exists() or status_of(pid)["State"][0] == "Z", 30)


def test_a_helper_that_has_ended_is_missed_once(place, office365):
    relay, secret = make(place, office365, "hash")
    transport = relay.transport
    os.kill(helper_of(transport), signal.SIGKILL)
    secret.write(office365.port, NEW)
    send(relay)
    assert processes.wait_until(lambda: "the helper that reads tables of root's has ended" in transport.log(), 30)
    send(relay)
    assert transport.log().count("the helper that reads tables of root's has ended") == 1
    assert "restart post365-transport" in transport.log()


def test_a_table_comes_with_a_reload(place, office365):
    relay, secret = make(place, office365, "texthash")
    other = secret.directory / "senders"
    other.write_text("other@intern.example second@example.com\n")
    other.chmod(0o600)
    relay.postfix.configure({"post365_sender_upn_maps": f"texthash:{other}"})
    for daemon in daemons(relay):
        daemon.signal(signal.SIGUSR1)
        assert processes.wait_until(lambda each=daemon: "reloaded" in each.log(), 30), daemon.log()


def test_others_are_told_who_may_read_it(place, office365):
    relay, _ = make(place, office365, "regexp")
    done = subprocess.run(["/usr/bin/setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", workplace.BUILD / programs.Transport.program,
                           "-c", relay.postfix.config_directory, "-t"], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 78 and "(re)start post365-transport as root, who may read it" in done.stderr, done
    assert "postmap -q" not in done.stderr


# A /dev of its own, with a way to syslog.
_SYSLOG = """set -e
mount -t tmpfs -o mode=755 dev "$1"
for name in null zero full random urandom; do touch "$1/$name"; mount --bind "/dev/$name" "$1/$name"; done
touch "$1/log"; mount --bind "$2" "$1/log"
mount --move "$1" /dev
shift 2; exec "$@"
"""


class Syslog:
    """A syslog daemon for programs of ours: what they say, into each one's own log."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        self.path = directory / "log"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.fspath(self.path))
        self.path.chmod(0o666)
        self.logs = {}
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def take(self, daemon):
        """From its next start on it logs here."""
        device = self.directory / daemon.name
        device.mkdir()
        daemon.arguments.remove("-e")
        daemon.launch = lambda arguments, **options: subprocess.Popen(
            ["unshare", "-m", "sh", "-c", _SYSLOG, "sh", device, self.path, *arguments], **options)
        self.logs[daemon.name.replace("post365-", "post365/")] = daemon.log_path

    def listen(self):
        with contextlib.suppress(OSError):
            while data := self.socket.recv(65536):
                for name, path in self.logs.items():
                    if name.encode() in data:
                        with open(path, "ab") as log:
                            log.write(data.rstrip(b"\n") + b"\n")

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        self.socket.close()


@pytest.fixture
def by_syslog(place, office365):
    """A relay whose daemons log as they do with systemd: not to stderr."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare")
    relay, secret = make(place, office365, "hash")
    syslog = Syslog(place.directory / "syslog")
    for daemon in daemons(relay):
        daemon.stop()
        syslog.take(daemon)
        daemon.start()
    yield relay, secret
    syslog.close()


def test_the_helper_serves_a_daemon_that_logs_by_syslog(by_syslog, office365):
    relay, secret = by_syslog
    for daemon in daemons(relay):
        assert "reloaded" in daemon.reload(), daemon.log()
    office365.set_mailbox(UPN, password=NEW)
    secret.write(office365.port, NEW)
    before = len(list(office365.journal("auth")))

    def logged_in_again():
        send(relay)
        return len(list(office365.journal("auth"))) > before
    assert processes.wait_until(logged_in_again, 30, 0.5)
    log = "".join(daemon.log() for daemon in daemons(relay))
    assert "helper that reads" not in log and "Permission denied" not in log and "old contents" not in log, log


def test_the_helper_of_a_daemon_that_logs_by_syslog_goes_with_it(by_syslog):
    relay, _ = by_syslog
    for daemon in daemons(relay):
        helper = helper_of(daemon)
        daemon.stop()
        assert processes.wait_until(lambda pid=helper: not Path(f"/proc/{pid}").exists() or status_of(pid)["State"][0] == "Z", 30), daemon.name
