"""No secret, key or refresh token is where it need not be: not in the memory of a daemon that only logs in with tokens, nor in a
log at any verbosity, a check, metrics, arguments, environment, a page of the command, a core file, or the hands of another account.

A real Postfix and all daemons, each at its most talkative, after deliveries with every source of credentials.
"""

import base64
import contextlib
import os
import pwd
import re
import resource
import signal
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
from conftest import ROOMY
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from harness import command, workplace
from harness.entra import DOMAIN, USER, Entra
from harness.office365 import Office365
from harness.relay import PASSWORD, Relay
from harness.tokens import Tokens

TO = "joe@customer.example"
KINDS = ("secret", "certificate", "federated", "device")
SOURCES = (*KINDS, "file", "password")

pytestmark = pytest.mark.skipif(workplace.why_not() is not None, reason=str(workplace.why_not()))


def account(name):
    return f"{name}@{DOMAIN}"


def encodings(text):
    """A secret as it is, in a form, and inside base64, wherever in there it begins; without the ends, which depend on what is beside."""
    raw = text.encode()
    inside = {base64.b64encode(b"\0" * shift + raw)[4 * bool(shift):-4] for shift in range(3)}
    return {raw, urllib.parse.quote(text, safe="").encode(), *inside}


def parts_of_key(path):
    """Lines of the PEM file, and the numbers as OpenSSL's big numbers have them."""
    pem = Path(path).read_bytes()
    numbers = load_pem_private_key(pem, None).private_numbers()
    parts = set(pem.splitlines()[1:-2])
    for number in (numbers.p, numbers.q, numbers.d, numbers.dmp1, numbers.dmq1):
        length = (number.bit_length() + 7) // 8
        parts |= {number.to_bytes(length, order)[:64] for order in ("big", "little")}
    return parts


def found_in(data, needles):
    return {name for name, forms in needles.items() if any(form in data for form in forms)}


def memory(pid):
    """What can be read of the memory of a process, mapping by mapping."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as pages:
        for line in maps:
            bounds, access = line.split()[:2]
            if "r" not in access or "[v" in line:
                continue
            begin, end = (int(bound, 16) for bound in bounds.split("-"))
            pages.seek(begin)
            with contextlib.suppress(OSError):
                yield pages.read(end - begin)


def found_in_memory(pid, needles):
    return set().union(*(found_in(data, needles) for data in memory(pid)))


class World:
    """All sources, each with an account of its own; what is secret of each."""

    def __init__(self, place):
        place.directory.chmod(0o755)
        self.office365 = place.add(Office365(place.directory / "office365", limits=ROOMY,
                                             mailboxes={account(name): {"password": PASSWORD} for name in SOURCES})).start()
        self.entra = place.add(Entra(place.directory / "entra", self.office365)).start()
        self.entra.set(device_interval=1)
        self.apps = {kind: self.entra.app(kind, accounts=[account(kind)]) for kind in KINDS}
        self.apps["secret"].allow(account("secret"), account("file"))
        token = self.entra.make_token(self.apps["secret"].client_id)
        self.token_file = place.directory / "token"
        self.token_file.write_text(token)
        self.token_file.chmod(0o600)
        os.chown(self.token_file, pwd.getpwnam(workplace.USER).pw_uid, -1)
        self.relay = Relay(place.directory / "relay", self.office365, transport=[account(name) for name in SOURCES], post365={
            **self.entra.parameters(), "post365_upn": account("secret"), "post365_message_quota": "none",
            "post365_recipient_quota": "none",
            "post365_oauth2_maps": {account(kind): app.file for kind, app in self.apps.items()},
            "post365_token_maps": {account("file"): str(self.token_file)}},
            passwords={account("password"): f"{account('password')}:{PASSWORD}"})
        for daemon in self.daemons.values():
            daemon.arguments += ["-v", "-v"]
        place.add(self.relay).start()
        self.refresh_tokens = []
        self.log_in()
        for name in SOURCES:
            self.relay.deliver(account(name), [TO], f"From: <{account(name)}>\r\nTo: <{TO}>\r\nSubject: x\r\n".encode())
        self.access_tokens = [token]
        with Tokens(self.relay.tokend) as tokens:
            for kind in KINDS:
                self.access_tokens.append(tokens.ask("token", account=account(kind))["token"])
        self.needles = self.lasting() | {"an access token": {form for text in self.access_tokens for form in encodings(text[-60:])},
                                         "the password": encodings(PASSWORD)}

    @property
    def daemons(self):
        return {name: getattr(self.relay, name) for name in ("milter", "policyd", "transport", "tokend")}

    @property
    def grants(self):
        return self.relay.postfix.directory / "grants"

    def log_in(self):
        upn = account("device")
        with Tokens(self.relay.tokend) as tokens:
            reply = tokens.ask("login", account=upn)
            self.entra.type_code(reply["user_code"], upn)
            while reply["result"] in ("code", "waiting"):
                reply = tokens.reply()
        assert reply["result"] == "done", (reply, self.relay.tokend.log())
        self.note_refresh_tokens()

    def note_refresh_tokens(self):
        """All that were ever on the disk; the last one is in use."""
        for path in sorted(self.grants.iterdir(), reverse=True):
            found = re.search(r"^refresh_token=(\S+)$", path.read_text(), re.MULTILINE)[1]
            if found not in self.refresh_tokens:
                self.refresh_tokens.append(found)

    def lasting(self):
        """What outlives an hour."""
        federated = (self.apps["federated"].directory / "federated").read_text()
        return {"the client secret": encodings(self.apps["secret"].secret),
                "the key": parts_of_key(self.apps["certificate"].directory / "key.pem"),
                "a refresh token": {form for token in self.refresh_tokens for form in encodings(token)},
                "the federated token": encodings(federated.strip()[-60:]),
                "an assertion": {base64.urlsafe_b64encode(b'{"alg":"PS256"')[:18]}}


@pytest.fixture(scope="module")
def world():
    with workplace.Workplace("secrets", unique=True) as place:
        yield World(place)


# --- what is written -----------------------------------------------------------------------------------------------


def logs_of(world):
    logs = {name: daemon.log() for name, daemon in world.daemons.items()}
    return logs | {"Postfix": world.relay.postfix.log()}


def test_no_log_at_any_verbosity(world):
    """With an endpoint that says again what it was sent, too."""
    for kind, said in (("secret", world.apps["secret"].secret), ("device", world.refresh_tokens[-1])):
        world.entra.fault(status=401, error="invalid_client", text=f"AADSTS7000215: Invalid client secret {said} is provided.",
                          client_id=world.apps[kind].client_id, times=1)
        with Tokens(world.relay.tokend) as tokens:
            assert "cause" in tokens.ask("renew", account=account(kind))
            told = str(tokens.ask("status", account=account(kind)))
        assert "Invalid client secret ***" in told and not found_in(told.encode(), world.needles), told
    for name, log in logs_of(world).items():
        assert log and not found_in(log.encode(), world.needles), name
        # A token of any kind, a login, a form.
        assert not re.search(r"eyJ[A-Za-z0-9_-]{10}|Bearer |client_secret=|client_assertion=|refresh_token=", log), name


def test_no_page_check_argument_or_environment(world):
    directory = world.relay.postfix.config_directory
    told = {" ".join(words): command.run(directory, *words) for words in (
        ["status"], ["status", "--json"], ["token"], ["token", "--json"], ["token", account("device"), "--json"],
        ["queue"], ["doctor", "--json"], ["doctor"])}
    for name, daemon in world.daemons.items():
        program = Path(daemon.arguments[0])
        told[f"{name} -t"] = subprocess.run([program, "-c", directory, "-v", "-v", "-t"], capture_output=True, text=True,
                                            timeout=60, check=False)
        for what in ("cmdline", "environ"):
            assert not found_in(Path(f"/proc/{daemon.pid}/{what}").read_bytes(), world.needles), (name, what)
    for what, done in told.items():
        assert done.stdout and not found_in((done.stdout + done.stderr).encode(), world.needles), (what, done.stdout, done.stderr)


# --- memory --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif("sanitize" in str(workplace.BUILD), reason="what was released stays in memory there")
def test_who_only_logs_in_has_nothing_left_in_memory(world):
    """Passwords alone are the transport's: it reads them as root, once."""
    for name in ("transport", "milter", "policyd"):
        pid = world.daemons[name].pid
        assert found_in_memory(pid, {"itself": {f"post365-{name}".encode()}}), name
        assert found_in_memory(pid, world.needles) <= ({"the password"} if name == "transport" else set()), name


@pytest.mark.skipif("sanitize" in str(workplace.BUILD), reason="what was released stays in memory there")
def test_what_is_over_is_gone(world):
    """Assertions and forms once they are sent, numbers of the key once they have signed, refresh tokens once they are on disk."""
    pid, upn = world.relay.tokend.pid, account("device")
    secret = world.apps["secret"].secret
    key = {part for part in parts_of_key(world.apps["certificate"].directory / "key.pem") if not part.isascii()}
    with Tokens(world.relay.tokend) as tokens:
        assert tokens.ask("renew", account=account("certificate"))["result"] == "done"
        world.log_in()
        assert len(world.refresh_tokens) > 1, "the endpoint gives another one each time"
        lasting = world.lasting()
        over = {name: lasting[name] for name in ("a refresh token", "the federated token", "an assertion")}
        over |= {"the key at work": key, "the secret in a form": {urllib.parse.quote(secret, safe="").encode()}}
        assert not found_in_memory(pid, over)
        assert found_in_memory(pid, lasting) == {"the client secret", "the key"}, "they are looked for rightly"
        token = tokens.ask("token", account=upn)["token"][-60:]
        assert tokens.ask("logout", account=upn)["result"] == "done"
        gone = {"a refresh token": lasting["a refresh token"], "its access token": encodings(token)}
        assert not found_in_memory(pid, gone) and not list(world.grants.iterdir())
    world.log_in()


# --- other accounts ------------------------------------------------------------------------------------------------

TRY = """
import os, socket, sys
uid, gid, groups = int(sys.argv[1]), int(sys.argv[2]), eval(sys.argv[3])
os.setgroups(groups); os.setgid(gid); os.setuid(uid)
for what in sys.argv[4:]:
    kind, _, path = what.partition(":")
    try:
        if kind == "list":
            os.listdir(path)
        elif kind == "connect":
            socket.socket(socket.AF_UNIX).connect(path)
        else:
            open(path, "rb" if kind == "read" else "r+b", 0).read(1)
        print("done", what)
    except OSError as error:
        print("refused", what)
"""


def test_another_account_gets_nothing(world):
    """Neither a stranger nor, of what outlives an hour, the transport's account."""
    tokend = world.relay.tokend
    private = [f"list:{world.grants}", *(f"read:{path}" for path in world.grants.iterdir()), f"read:/proc/{tokend.pid}/mem",
               f"read:/proc/{tokend.pid}/environ", f"list:/proc/{tokend.pid}/fd", f"write:/proc/{tokend.pid}/mem"]
    private += [f"read:{app.directory / name}" for app in world.apps.values() for name in ("secret", "key.pem", "federated")
                if (app.directory / name).exists()]
    link = world.relay.postfix.directory / "s"
    link.symlink_to(world.relay.postfix.queue_directory / "post365/oauth2")
    socket_path = f"connect:{link}/tokens"
    nobody, transport = pwd.getpwnam("nobody"), pwd.getpwnam(workplace.USER)

    def refused(user, groups, what):
        done = subprocess.run([sys.executable, "-c", TRY, str(user.pw_uid), str(user.pw_gid), str(groups), *what],
                              capture_output=True, text=True, check=True)
        return [line.split(" ", 1)[1] for line in done.stdout.splitlines() if line.startswith("refused")]

    assert len(private) >= 9
    of_transport = [f"read:/proc/{world.relay.transport.pid}/mem", f"read:{world.token_file}"]
    assert refused(nobody, [], [socket_path, *private, *of_transport]) == [socket_path, *private, *of_transport]
    assert refused(nobody, [transport.pw_gid], [socket_path, *private, *of_transport]) == [*private, *of_transport]
    assert refused(transport, [], [socket_path, *private]) == private
    # The files can be reached, and are refused for what they are.
    assert refused(pwd.getpwnam(USER), [], private[:2]) == []


# --- core files; they end the daemons ------------------------------------------------------------------------------


def end_by(pid, number):
    """Whether it left a core file, which, where this machine lets us, might have been as large as it likes."""
    with contextlib.suppress(PermissionError):
        resource.prlimit(pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    os.kill(pid, number)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    return os.WCOREDUMP(status)


@pytest.mark.skipif("sanitize" in str(workplace.BUILD), reason="these signals are reports there")
def test_no_core_file(world, tmp_path):
    ordinary = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
    assert end_by(ordinary.pid, signal.SIGSEGV), "this machine writes no core files: the test would show nothing"
    ordinary.returncode = -signal.SIGSEGV
    for name, daemon in world.daemons.items():
        for number in (signal.SIGSEGV, signal.SIGABRT):
            if daemon.pid is None:
                daemon.start()
            children = [int(pid) for task in Path(f"/proc/{daemon.pid}/task").iterdir() for pid in (task / "children").read_text().split()]
            for pid in (daemon.pid, *children):
                assert os.stat(f"/proc/{pid}/mem").st_uid == 0, f"{name} can be looked into by its own account"
            assert not end_by(daemon.pid, number), name
            daemon.process.returncode = -number
            daemon.process = None
