"""post365-tokend against the stand-in for Entra's token endpoint: flows, renewal, trouble, changed files, logins, who may ask.

Real program, real TLS, real files; post365_oauth2_user is an account of this machine, and the daemon starts as root.
"""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from harness import processes, workplace
from harness.entra import TENANT, USER, Entra
from harness.postfix import Postfix
from harness.programs import Tokend
from harness.tokens import Tokens

UPN = "relay@example.com"
OTHER = "sales@example.com"

pytestmark = pytest.mark.skipif(workplace.why_not() is not None, reason=str(workplace.why_not()))


@pytest.fixture(scope="module")
def shared():
    with workplace.Workplace("tokend", unique=True) as place:
        place.directory.chmod(0o755)
        yield place, place.add(Entra(place.directory / "entra")).start()


class Setup:
    """A tokend of its own for each test, all at one endpoint."""

    count = 0

    def __init__(self, place, entra):
        self.place, self.entra = place, entra
        self.tokend = self.postfix = None
        self.environment = {}

    def start(self, maps, *, within=(), **parameters):
        """`within`: a program that runs it."""
        Setup.count += 1
        self.postfix = Postfix(self.place.directory / f"p{Setup.count}")
        value = maps if isinstance(maps, str) else self.postfix.table("oauth2_maps", maps)
        self.postfix.configure({"post365_user": workplace.USER, "post365_oauth2_maps": value,
                                "post365_oauth2_directory": str(self.postfix.directory / "grants"),
                                **self.entra.parameters(), **parameters})
        self.tokend = Tokend(self.postfix, USER, "-v")
        self.tokend.arguments = [*within, *self.tokend.arguments]
        self.tokend.environment = {**(self.tokend.environment or os.environ), **self.environment}
        self.tokend.start()
        return self.tokend

    def tokens(self):
        return Tokens(self.tokend)

    def wait_for_state(self, state, timeout=60, **names):
        """The status when it has this state."""
        found = {}

        def look():
            with self.tokens() as tokens:
                found.update(tokens.ask("status", **names))
            return found["state"] == state
        assert processes.wait_until(look, timeout, 0.1), found
        return found


@pytest.fixture
def setup(shared):
    place, entra = shared
    entra.clear_faults()
    entra.set(lifetime=3599, refresh_in=None, rotation="keep", rotate=True, device_interval=1, delay=0, clock=0, date=None, proxy_login=None)
    made = Setup(place, entra)
    yield made
    if made.tokend:
        assert made.tokend.stop() == 0, made.tokend.log()
        log = made.tokend.log()
        assert "Sanitizer" not in log, log


def requests(entra, app, **wanted):
    return entra.requests(client_id=app.client_id, **wanted)


# --- flows -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["secret", "certificate", "federated"])
def test_a_token_of_each_kind_of_credential(setup, kind):
    app = setup.entra.app(kind)
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        reply = tokens.ask("token", tag="7", account=UPN.upper())
        status = tokens.ask("status", account=UPN)
    assert (reply["tag"], reply["result"], reply["registration"]) == ("7", "done", app.file), (reply, setup.tokend.log())
    assert 3500 < int(reply["left"]) <= 3539 and re.fullmatch("[0-9a-f]{8}", reply["id"])
    assert reply["token"].count(".") == 2
    assert status["state"] == "fresh" and status["credential"] == kind and status["grant"] == "app"
    assert (status["tenant"], status["client_id"], status["accounts"]) == (TENANT, app.client_id, "1")
    assert status["claim_aud"] and status["claim_oid"] and status["model"] == "rbac"
    assert len(requests(setup.entra, app)) == 1
    assert reply["token"] not in setup.tokend.log()


def test_a_managed_identity_of_a_virtual_machine(setup):
    app = setup.entra.app("managed", metadata="vm")
    # Never through a proxy, which could be nobody's here.
    setup.start({UPN: app.file}, post365_oauth2_proxy="http://127.0.0.1:1")
    with setup.tokens() as tokens:
        reply = tokens.ask("token", account=UPN)
        assert reply["result"] == "done", (reply, setup.tokend.log())
        assert tokens.ask("status", account=UPN)["credential"] == "managed"
    assert len(setup.entra.requests(kind="vm")) == 1


def test_a_key_file_elsewhere_is_not_azure_arcs(setup):
    """Whoever listens on Arc's port may name any file."""
    app = setup.entra.app("managed", metadata="arc")
    setup.entra.set(arc_realm="/etc/shadow")
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        reply = tokens.ask("token", account=UPN)
    assert (reply["result"], reply["cause"]) == ("stopped", "managed-identity-key"), reply
    assert len(setup.entra.requests(kind="arc")) == 1


def test_an_account_that_is_not_known(setup):
    app = setup.entra.app()
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        assert tokens.ask("token", account="stranger@example.org")["result"] == "none"
        assert tokens.ask("status", registration="/nowhere.cf")["result"] == "none"
        assert tokens.ask("token")["result"] == "error"
        assert tokens.ask("nonsense", account=UPN)["result"] == "error"


def test_a_silent_name_server_holds_up_nobody_else(setup):
    probe = subprocess.run(["unshare", "-m", "mount", "--bind", "/etc/hosts", "/etc/resolv.conf"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no resolv.conf of our own can be mounted: {probe.stderr.strip()}")
    good, lost = setup.entra.app(), setup.entra.app()
    configuration = setup.place.directory / "resolv.conf"
    configuration.write_text("nameserver 127.0.0.77\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.77", 53))
        setup.start({UPN: good.file, OTHER: lost.write(authority="https://login.example.net")}, post365_oauth2_timeout="1s",
                    within=["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(configuration)])
        slowest, reply = 0, {}
        with setup.tokens() as tokens, setup.tokens() as others:
            others.send("token", account=OTHER)
            end = time.monotonic() + 4
            while time.monotonic() < end:
                before = time.monotonic()
                reply = tokens.ask("token", account=UPN)
                slowest = max(slowest, time.monotonic() - before)
                time.sleep(0.02)
            failure = others.reply()
    assert reply["result"] == "done" and (failure["result"], failure["cause"]) == ("later", "endpoint-timeout"), (reply, failure)
    assert slowest < 3, slowest  # the resolver itself would wait for 5 s


def test_a_thousand_accounts_need_one_request(setup):
    app = setup.entra.app()
    setup.entra.set(delay=0.5)
    setup.start({"@example.com": app.file})
    accounts = [f"user{i}@example.com" for i in range(1000)]
    with setup.tokens() as tokens:
        for i in range(5):
            for account in accounts:
                tokens.send("token", tag=f"{i}.{account}", account=account)
        replies = [tokens.reply() for _ in range(5000)]
        status = tokens.ask("status", registration=app.file)
    assert {reply["result"] for reply in replies} == {"done"}
    assert len({reply["tag"] for reply in replies}) == 5000 and len({reply["id"] for reply in replies}) == 1
    assert len(requests(setup.entra, app)) == 1
    assert status["accounts"] == "1000" and status["requests"] == "1"


def test_high_volume_email_wants_tokens_that_last(setup):
    app = setup.entra.app()
    setup.start({"@example.com": app.file}, relayhost="[smtp.office365.com]:587",
                sender_dependent_relayhost_maps=f"inline:{{ {OTHER}=[smtp-hve.office365.com]:587 }}")
    with setup.tokens() as tokens:
        assert 3530 < int(tokens.ask("token", account=UPN)["left"]) <= 3539
        assert 2990 < int(tokens.ask("token", account=OTHER)["left"]) <= 2999


def test_the_environment_counts_for_nothing(setup):
    app = setup.entra.app()
    keys = setup.place.directory / "keys"
    setup.environment = {"https_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1", "SSLKEYLOGFILE": str(keys),
                         "SSL_CERT_FILE": "/nonexistent", "CURL_CA_BUNDLE": "/nonexistent"}
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=UPN)["result"] == "done", setup.tokend.log()
    assert not keys.exists()


def test_nobody_waits_for_a_renewal(setup):
    setup.entra.set(lifetime=20)
    app = setup.entra.app()
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        first = tokens.ask("token", account=UPN)
        setup.entra.fault(client_id=app.client_id, delay=3)
        slowest, ids = 0, [first["id"]]
        end = time.monotonic() + 60
        while time.monotonic() < end and len(set(ids)) < 2:
            before = time.monotonic()
            reply = tokens.ask("token", account=UPN)
            slowest = max(slowest, time.monotonic() - before)
            assert reply["result"] == "done", reply
            ids.append(reply["id"])
            time.sleep(0.05)
    # Who waited for it would wait for nearly three seconds.
    assert len(set(ids)) == 2 and slowest < 2.5, (slowest, setup.tokend.log())


def test_each_account_logs_in_with_its_own_registration(setup):
    one, two = setup.entra.app(), setup.entra.app("certificate")
    setup.start({UPN: one.file, "@example.com": two.file})
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=UPN)["registration"] == one.file
        assert tokens.ask("token", account=OTHER)["registration"] == two.file
        listed = [value for name, value in (tokens.send("list"), tokens.pairs())[1] if name == "registration"]
    assert listed == sorted([one.file, two.file])


def test_who_waits_where_no_table_can_be_listed_gets_his_token(setup):
    """What such a table names is known by those who ask alone, and settings are read again meanwhile."""
    app = setup.entra.app()
    table = setup.place.directory / "patterns"
    table.write_text(f"/@example\\.com$/ {app.file}\n")
    fault = setup.entra.fault(client_id=app.client_id, delay=1.5)
    setup.start(f"regexp:{table}")
    with setup.tokens() as tokens:
        tokens.send("token", account=UPN)
        setup.wait_for_state("asking", account=UPN)
        setup.tokend.signal(signal.SIGUSR1)
        assert tokens.reply()["result"] == "done"
    setup.entra.clear_faults()
    assert fault and len(requests(setup.entra, app)) == 1


# --- trouble -----------------------------------------------------------------


def test_an_outage_is_survived_as_long_as_the_token_lives(setup):
    setup.entra.set(lifetime=16)
    app = setup.entra.app()
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        begin = time.monotonic()
        assert tokens.ask("token", account=UPN)["result"] == "done"
        got = time.monotonic()
        fault = setup.entra.fault("plain-503", client_id=app.client_id)
        setup.wait_for_state("waiting", account=UPN)
        assert tokens.ask("token", account=UPN)["result"] == "done"
        asked, reply = got, {"result": "done"}
        while reply["result"] == "done" and asked < got + 60:
            last, asked = asked, time.monotonic()
            reply = tokens.ask("token", account=UPN)
            time.sleep(0.1)
        # A quarter of its life is kept back, and it is counted from the request on.
        assert time.monotonic() - begin > 11.5 and last - got < 12.5, (begin, got, last)
        assert reply["result"] == "later" and reply["cause"] == "endpoint-trouble", reply
        assert time.time() - 1 < int(reply["until"]) < time.time() + 60
        assert processes.wait_until(lambda: "the token has ended" in setup.tokend.log(), 60)
        setup.entra.control({"command": "remove_fault", "id": fault})
        assert processes.wait_until(lambda: tokens.ask("token", account=UPN)["result"] == "done", 40, 0.2)
    log = setup.tokend.log()
    assert log.count("not renewed: endpoint-trouble") == 1 and log.count("the token has ended") == 1, log
    assert log.count("all is well again") == 1, log


# What goes wrong, then the cause and the result; None where either will do.
TROUBLE = [
    ({"error": 7000215}, "secret-wrong", "stopped"),
    ({"error": 7000222}, "secret-expired", "stopped"),
    ({"error": 90002}, None, "stopped"),
    ({"named": "error-unknown-number"}, None, "stopped"),
    ({"named": "error-unknown-word"}, None, None),
    ({"named": "error-alone"}, None, "stopped"),
    ({"named": "plain-429"}, "endpoint-throttled", "later"),
    ({"named": "plain-401"}, None, None),
    ({"named": "plain-503"}, "endpoint-trouble", "later"),
    ({"named": "html"}, "answer-unintelligible", "later"),
    ({"named": "empty"}, "answer-unintelligible", "later"),
    ({"named": "redirect"}, "endpoint-redirect", "later"),
    ({"named": "half"}, "answer-unintelligible", "later"),
    ({"named": "cut"}, "answer-unintelligible", "later"),
    ({"named": "duplicate"}, "answer-unintelligible", "later"),
    ({"named": "nul"}, "answer-unintelligible", "later"),
    ({"named": "endless"}, "answer-unintelligible", "later"),
    ({"named": "endless-header"}, None, "later"),
    ({"named": "garbage"}, None, "later"),
    ({"named": "expires-negative"}, "token-life-unusable", "later"),
    ({"named": "token-crlf"}, "token-unusable", "later"),
    ({"named": "token-huge"}, None, "later"),
    ({"named": "trickle"}, "endpoint-timeout", "later"),
    ({"named": "silence"}, "endpoint-timeout", "later"),
    ({"named": "drop"}, None, "later"),
    ({"named": "reset"}, None, "later"),
]


def test_trouble_is_named_and_passes(setup):
    """Each in a registration of its own, all at once, and one that is well."""
    apps = {f"user{i}@example.com": setup.entra.app() for i in range(len(TROUBLE))}
    for app, (fault, _, _) in zip(apps.values(), TROUBLE):
        setup.entra.fault(client_id=app.client_id, **fault)
    well = setup.entra.app()
    setup.start({UPN: well.file, **{account: app.file for account, app in apps.items()}}, post365_oauth2_timeout="2s")
    with setup.tokens() as tokens:
        for account in (UPN, *apps):
            tokens.send("token", tag=account, account=account)
        replies = {reply["tag"]: reply for reply in (tokens.reply() for _ in range(len(apps) + 1))}
        assert replies[UPN]["result"] == "done"
        for (account, app), (fault, cause, result) in zip(apps.items(), TROUBLE):
            reply = replies[account]
            assert reply["result"] in ("later", "stopped") and result in (None, reply["result"]), (fault, reply)
            assert cause in (None, reply["cause"]), (fault, reply)
            assert len(reply["reason"]) <= 400 and reply["registration"] == app.file
        setup.entra.clear_faults()
        for account in apps:
            tokens.send("renew", tag=account, account=account)
        assert {tokens.reply()["result"] for _ in apps} == {"done"}, setup.tokend.log()
    memory = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{setup.tokend.pid}/status").read_text())[1])
    assert memory < 60_000 or "sanitize" in str(workplace.BUILD), memory


@pytest.mark.parametrize("certificate, cause", [
    ("name", "endpoint-name"), ("expired", "endpoint-expired"), ("untrusted", "endpoint-untrusted"),
    ("inspection", "endpoint-untrusted"), ("self-signed", "endpoint-untrusted")])
def test_a_wrong_certificate(setup, certificate, cause):
    app = setup.entra.app()
    setup.entra.fault(stage="tls", certificate=certificate)
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        reply = tokens.ask("token", account=UPN)
        assert reply["cause"] == cause, reply
        if certificate == "inspection":
            assert "issued by" in reply["reason"]
        tokens.send("check", registration=app.file)
        steps = dict(value.split(" ", 1) for name, value in tokens.pairs() if name == "step")
    assert steps["connect"].startswith("ok") and steps["tls"].startswith(f"wrong {cause}"), steps
    assert not requests(setup.entra, app)


def test_retry_after_is_kept(setup):
    app = setup.entra.app()
    setup.entra.fault("plain-429", client_id=app.client_id, retry_after=4, times=1)
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=UPN)["result"] == "later"
        assert processes.wait_until(lambda: tokens.ask("token", account=UPN)["result"] == "done", 60, 0.1)
    first, second = requests(setup.entra, app)
    assert 3.5 < second["arrived"] - first["arrived"] < 10


def test_no_endpoint(setup):
    app = setup.entra.app()
    app.write(authority="https://127.0.0.1:1")
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=UPN)["cause"] == "endpoint-unreachable"
        steps = dict(value.split(" ", 1) for name, value in (tokens.send("check", registration=app.file), tokens.pairs())[1]
                     if name == "step")
    assert steps["file"].startswith("ok ") and steps["connect"].startswith("wrong endpoint-unreachable"), steps


def test_the_way_is_looked_at_for_the_doctor(setup):
    app = setup.entra.app()
    setup.start({UPN: app.file})
    setup.entra.set(date=1200)
    with setup.tokens() as tokens:
        tokens.send("check", registration=app.file)
        steps = [value.split(" ", 2) for name, value in tokens.pairs() if name == "step"]
    assert [(name, result) for name, result, _ in steps] == [
        ("file", "ok"), ("resolve", "ok"), ("connect", "ok"), ("tls", "ok"), ("tenant", "ok"), ("clock", "wrong")], steps


def test_a_clock_that_is_wrong_is_corrected_for(setup):
    app = setup.entra.app("certificate")
    setup.entra.set(clock=1200)
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=UPN)["result"] == "done", setup.tokend.log()
        assert 1190 < int(tokens.ask("status", account=UPN)["skew"]) < 1210
    assert "this host's clock is off" in setup.tokend.log()


def test_no_assertion_is_signed_for_a_day_that_is_far_away(setup):
    app = setup.entra.app("certificate")
    setup.entra.set(clock=30 * 86400)
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=UPN)["cause"] == "clock-wrong"
    assert len(requests(setup.entra, app)) == 1


def test_a_proxy_whose_answer_has_no_end_holds_up_nobody(setup):
    """libcurl reads it as long as more of it is there."""
    app = setup.entra.app()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def answer():
            with contextlib.suppress(OSError):
                while True:
                    proxied, _ = listening.accept()
                    with proxied, contextlib.suppress(OSError):
                        proxied.recv(65536)
                        proxied.sendall(b"HTTP/1.1 407 No\r\nContent-Length: 99999999999\r\n\r\n")
                        while True:
                            proxied.sendall(bytes(65536))

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            setup.start({UPN: app.file}, post365_oauth2_proxy=f"http://127.0.0.1:{listening.getsockname()[1]}")
            with setup.tokens() as tokens:
                reply = tokens.ask("token", account=UPN)
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert (reply["result"], reply["cause"]) == ("stopped", "proxy-refused") and "407" in reply["reason"], reply


def test_a_proxy(setup):
    app = setup.entra.app()
    setup.start({UPN: app.file}, post365_oauth2_proxy=setup.entra.proxy)
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=UPN)["result"] == "done", setup.tokend.log()
        assert [entry["method"] for entry in setup.entra.journal("proxy")] == ["CONNECT"]
        setup.entra.set(proxy_login="user:word")
        reply = tokens.ask("renew", account=UPN)
    assert reply["cause"] == "proxy-refused" and "407" in reply["reason"], reply


# --- verdicts ----------------------------------------------------------------


def test_a_refused_login_gets_no_new_token_while_others_log_in(setup):
    app = setup.entra.app()
    setup.start({"@example.com": app.file})
    with setup.tokens() as tokens:
        given = tokens.ask("token", account=UPN)
        assert tokens.ask("verdict", account=OTHER, id=given["id"])["again"] == "0"
        for reply in ("535 5.7.3 Authentication unsuccessful", "535 5.7.139 Authentication unsuccessful, disabled"):
            assert tokens.ask("verdict", account=UPN, id=given["id"], reply=reply)["again"] == "0"
        assert tokens.ask("status", account=UPN)["accepted_for"] == OTHER
        # High Volume Email says that the token ends.
        assert tokens.ask("verdict", account=UPN, id=given["id"], reply="535 5.7.143 Token expired")["again"] == "1"
        fresh = tokens.ask("token", account=UPN)
        assert fresh["result"] == "done" and fresh["id"] != given["id"]
        assert tokens.ask("verdict", account=UPN, id=fresh["id"], reply="535 5.7.143 Token expired")["again"] == "0"
        assert tokens.ask("verdict", account=UPN, id=given["id"], reply="535 5.7.3 No")["again"] == "1"
        assert tokens.ask("verdict", account=UPN, id=given["id"], reply="535 5.7.139 No")["again"] == "0"
    assert len(requests(setup.entra, app)) == 2


def test_a_server_that_calls_each_token_ended_makes_no_requests(setup):
    app = setup.entra.app()
    setup.start({"@example.com": app.file})
    with setup.tokens() as tokens:
        again = []
        for account in (f"user{number}@example.com" for number in range(20)):
            for _ in range(2):
                token = tokens.ask("token", account=account)
                reply = tokens.ask("verdict", account=account, id=token["id"], reply="501 5.5.127 Token will expire soon")
                again.append(reply["again"])
    assert again == ["1"] + 39 * ["0"] and len(requests(setup.entra, app)) == 2, again


# --- files -------------------------------------------------------------------


def test_a_changed_secret_is_taken_without_a_restart(setup):
    app = setup.entra.app()
    app.put("secret", "not the secret\n")
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=UPN)["cause"] == "secret-wrong"
        app.put("secret", app.secret + "\n")
        # By itself it would be tried again after a minute. Files are looked at every two seconds.
        assert processes.wait_until(lambda: tokens.ask("token", account=UPN)["result"] == "done", 10, 0.05)


def test_a_file_that_is_none_is_not_waited_for(setup):
    """A registration or secret that is a pipe, a link, a device, a directory, huge, or another user's, with a remedy; others go on."""
    import pwd
    good, app = setup.entra.app(), setup.entra.app()
    kept = Path(app.file)
    setup.start({UPN: good.file, OTHER: app.file})

    def expect(cause, word):
        with setup.tokens() as tokens:
            tokens.send("check", registration=app.file)
            step = next(value for name, value in tokens.pairs() if name == "step")
            assert cause in step and word in step, step
            assert tokens.ask("token", account=UPN)["result"] == "done"

    def put(path, make):
        path.unlink()
        make(path)

    for path, wrong, owner in ((kept, "registration-wrong", "registration-wrong"),
                               (app.directory / "secret", "secret-file-wrong", "secret-file-open")):
        data, mode, uid = path.read_bytes(), path.stat().st_mode & 0o777, path.stat().st_uid
        put(path, lambda path: os.mkfifo(path, 0o644))
        expect(wrong, "regular file")
        put(path, lambda path: path.mkdir())
        expect(wrong, "regular file")
        path.rmdir()
        path.write_bytes(b"x = " + b"y" * 3_000_000)
        os.chown(path, uid, -1)
        path.chmod(mode)
        expect(wrong, "larger than")
        path.write_bytes(data)
        os.chown(path, pwd.getpwnam("games").pw_uid, pwd.getpwnam(USER).pw_gid)
        path.chmod(mode | 0o040)
        expect(owner, "chown root")
        os.chown(path, uid, -1)
        path.chmod(mode)
        expect("file ok", "can be read")
    put(app.directory / "secret", lambda path: path.symlink_to("/dev/zero"))
    expect("secret-file-wrong", "symbolic link")


def test_the_former_secret_is_tried_once(setup):
    app = setup.entra.app()
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        tokens.ask("token", account=UPN)
        app.put("secret", "a new one that nobody knows\n")
        assert processes.wait_until(lambda: "the former one still serves" in setup.tokend.log(), 60)
        told = tokens.ask("status", account=UPN)
        assert (told["state"], told["credential_cause"]) == ("fresh", "secret-wrong")
        assert "AADSTS7000215" in told["credential_reason"]
        assert [entry["status"] for entry in requests(setup.entra, app)] == [200, 401, 200]
        app.new_secret()
        assert processes.wait_until(lambda: len(requests(setup.entra, app)) == 4, 60)
        assert processes.wait_until(lambda: "credential_cause" not in tokens.ask("status", account=UPN), 60)
    assert [entry["status"] for entry in requests(setup.entra, app)] == [200, 401, 200, 200]


@pytest.mark.parametrize("kind", ["certificate", "secret"])
def test_a_certificate_that_the_registration_names_anew(setup, kind):
    """The next one, or in place of a secret; Entra does not know it yet."""
    app = setup.entra.app(kind)
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        first = tokens.ask("token", account=UPN)
        key, certificate = app.new_certificate(upload=False, write=False)
        text = certificate.public_bytes(Encoding.PEM).decode()
        app.write(client_secret_file=None, certificate_file=app.put("next.pem", text, 0o644), key_file=app.put(
            "next.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())))
        assert processes.wait_until(lambda: "the former one still serves" in setup.tokend.log(), 60)
        told = tokens.ask("status", account=UPN)
        assert (told["state"], told["credential_cause"]) == ("fresh", "certificate-unknown")
        assert tokens.ask("token", account=UPN)["result"] == first["result"] == "done"
        app.register(certificates=[*app.settings.get("certificates", []), text])
        tokens.ask("renew", account=UPN)
        assert processes.wait_until(lambda: "credential_cause" not in tokens.ask("status", account=UPN), 60)
    assert "mail of its accounts waits" not in setup.tokend.log()


def test_a_renewed_certificate_comes_in_two_files(setup):
    app = setup.entra.app("certificate")
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        first = tokens.ask("token", account=UPN)
        ends = tokens.ask("status", account=UPN)["credential_ends"]
        app.new_certificate(days=700)
        assert processes.wait_until(lambda: tokens.ask("token", account=UPN)["id"] != first["id"], 60, 0.1), setup.tokend.log()
        assert tokens.ask("status", account=UPN)["credential_ends"] > ends


def test_files_that_come_later(setup):
    """A foreign issuer's token, and a registration."""
    app, other = setup.entra.app("federated"), setup.entra.app()
    token, registration = app.directory / "federated-token", Path(other.file)
    path = next(Path(line.split(" = ")[1]) for line in Path(app.file).read_text().splitlines() if line.startswith("federated"))
    path.rename(token)
    registration.rename(registration.with_suffix(".later"))
    setup.start({UPN: app.file, OTHER: other.file})
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=UPN)["cause"] == "secret-file-missing"
        assert tokens.ask("token", account=OTHER)["cause"] == "registration-missing"
        token.rename(path)
        registration.with_suffix(".later").rename(registration)
        for account in (UPN, OTHER):
            assert processes.wait_until(lambda: tokens.ask("token", account=account)["result"] == "done", 60, 0.1), setup.tokend.log()


def test_files_that_others_may_read_are_not_used(setup):
    app = setup.entra.app()
    path = Path(app.put("secret", app.secret, 0o644))
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        reply = tokens.ask("token", account=UPN)
        assert (reply["result"], reply["cause"]) == ("stopped", "secret-file-open"), reply
        path.chmod(0o600)
        assert processes.wait_until(lambda: tokens.ask("token", account=UPN)["result"] == "done", 60, 0.1)
        path.unlink()
        assert tokens.ask("token", account=UPN)["result"] == "done"
    assert not requests(setup.entra, app, status=401)


@pytest.mark.parametrize("written", ["\ufeff{}\r\n", " {}\t \n\n", "\n{}"])
def test_what_an_editor_puts_around_a_secret_is_no_part_of_it(setup, written):
    app = setup.entra.app()
    app.put("secret", written.format(app.secret))
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=UPN)["result"] == "done", setup.tokend.log()


def check(setup, postfix):
    return subprocess.run([*Tokend(postfix, USER).arguments, "-t"], capture_output=True, text=True, timeout=60, check=False)


def test_a_table_that_it_may_not_read_is_to_be_opened(setup):
    """It is root nowhere: to start it as root would help nobody. The command that it names does."""
    app = setup.entra.app()
    setup.start({UPN: app.file})
    for what, kind in (("oauth2_maps", "texthash"), ("by_hash", "hash"), ("closed/oauth2_maps", "texthash")):
        path = setup.postfix.config_directory / what
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{UPN} {app.file}\n")
        if kind == "hash":
            subprocess.run(["postmap", "-c", setup.postfix.config_directory, f"hash:{path}"], check=True)
            path.with_name("by_hash.db").chmod(0o600)
        path.chmod(0o600 if path.parent.name == "etc" else 0o644)
        if path.parent.name == "closed":
            path.parent.chmod(0o700)
        setup.postfix.configure({"post365_oauth2_maps": f"{kind}:{path}"})
        refused = check(setup, setup.postfix)
        command = re.search("no secret stands in it; run: (chmod .*)", refused.stderr)
        assert refused.returncode == 78 and command, refused.stderr
        subprocess.run(command[1].split(), check=True)
        assert check(setup, setup.postfix).returncode == 0, check(setup, setup.postfix).stderr


@pytest.mark.parametrize("value", ["contoso.cf", "~", '"/etc/contoso.cf"'])
def test_the_check_refuses_a_value_that_is_no_absolute_path(setup, value):
    app = setup.entra.app()
    setup.start({OTHER: app.file})
    path = setup.postfix.config_directory / "further"
    path.write_text(f"{UPN} {value}\n")
    setup.postfix.configure({"post365_oauth2_maps": f"texthash:{path}"})
    told = check(setup, setup.postfix)
    assert told.returncode == 78 and f'for key {UPN}: "{value}" is no absolute path' in told.stderr, told.stderr


def test_a_secret_of_roots(setup):
    """The command that is named makes it the daemon's."""
    app = setup.entra.app()
    os.chown(app.directory / "secret", 0, 0)
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        reply = tokens.ask("token", account=UPN)
    assert reply["cause"] == "secret-file-unreadable"
    subprocess.run(re.search("run: (chown .*)", reply["reason"])[1].split(), check=True)
    setup.wait_for_state("fresh", account=UPN)


def test_a_registration_in_a_closed_directory(setup):
    app = setup.entra.app()
    app.directory.chmod(0o700)
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        reply = tokens.ask("token", account=UPN)
        assert reply["result"] == "stopped" and reply["reason"].endswith(f"run: chmod a+x {app.directory}"), reply
    app.directory.chmod(0o755)
    setup.wait_for_state("fresh", account=UPN)


def test_a_registration_that_makes_no_sense(setup):
    app = setup.entra.app()
    good = Path(app.file).read_text()
    Path(app.file).write_text(good + "colour = blue\n")
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        reply = tokens.ask("token", account=UPN)
        assert (reply["result"], reply["cause"]) == ("stopped", "registration-wrong"), reply
        assert tokens.ask("status", account=UPN)["cause"] == "registration-wrong"
        Path(app.file).write_text(good)
        assert processes.wait_until(lambda: tokens.ask("token", account=UPN)["result"] == "done", 60, 0.1)


def test_the_end_of_a_credential_is_told(setup):
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 10 * 86400))
    app = setup.entra.app()
    app.write(client_secret_expires=day)
    setup.start({UPN: app.file})
    assert processes.wait_until(lambda: f"the secret ends on {day}" in setup.tokend.log(), 60), setup.tokend.log()
    with setup.tokens() as tokens:
        assert int(tokens.ask("status", account=UPN)["credential_ends"]) > time.time()
    time.sleep(2.5)
    assert setup.tokend.log().count("ends on") == 1


# --- watching ----------------------------------------------------------------


def test_who_watches_is_told(setup):
    app = setup.entra.app()
    setup.start({UPN: app.file})
    with setup.tokens() as watch, setup.tokens() as tokens:
        assert watch.ask("watch", tag="w")["result"] == "done"
        tokens.ask("token", account=UPN)
        seen = [watch.reply()]
        while seen[-1]["state"] != "fresh":
            seen.append(watch.reply())
        assert {reply["tag"] for reply in seen} == {"w"} and {reply["registration"] for reply in seen} == {app.file}
        assert not any(name.startswith("claim_") or name == "token" for reply in seen for name in reply)
        other = setup.entra.app()
        setup.postfix.table("oauth2_maps", {OTHER: other.file})
        told = [watch.reply() for _ in range(2)]
        while "gone" not in {reply["result"] for reply in told}:
            told.append(watch.reply())
        assert other.file in {reply["registration"] for reply in told}
        assert [reply["registration"] for reply in told if reply["result"] == "gone"] == [app.file]
        assert tokens.ask("token", account=UPN)["result"] == "none"


# --- logins ------------------------------------------------------------------


def log_in(setup, account=UPN, user=UPN):
    """All replies to a login."""
    with setup.tokens() as tokens:
        replies = [tokens.ask("login", account=account)]
        if replies[0]["result"] == "code":
            setup.entra.type_code(replies[0]["user_code"], user)
        while replies[-1]["result"] in ("code", "waiting"):
            replies.append(tokens.reply())
    return replies


def grants(setup):
    return sorted(path.name for path in (setup.postfix.directory / "grants").iterdir())


def test_somebody_logs_in_and_out(setup):
    app = setup.entra.app("device")
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        reply = tokens.ask("token", account=UPN)
        assert (reply["result"], reply["cause"], reply["account"]) == ("stopped", "login-needed", UPN)
        replies = log_in(setup)
        assert replies[-1]["result"] == "done" and replies[-1]["user"] == UPN, (replies, setup.tokend.log())
        assert int(replies[0]["expires"]) > time.time()
        assert len(requests(setup.entra, app, kind="refresh")) == 1
        assert len(grants(setup)) >= 1
        assert {(path.stat().st_mode & 0o777) for path in (setup.postfix.directory / "grants").iterdir()} == {0o600}
        assert tokens.ask("token", account=UPN)["result"] == "done"
        status = tokens.ask("status", account=UPN)
        assert status["grant"] == "user" and status["model"] == "delegated" and status["grant_since"]
        assert tokens.ask("logout", account=UPN)["result"] == "done"
        assert grants(setup) == []
        assert tokens.ask("logout", account=UPN)["result"] == "none"
        assert tokens.ask("token", account=UPN)["cause"] == "login-needed"


def test_a_secret_that_all_grants_share_is_one_trouble(setup):
    """What is wrong with the application is wrong for each of its users: few requests, one line in the log, one remedy."""
    app = setup.entra.app("secret", public_client=True)
    users = [f"user{number}@example.com" for number in range(12)]
    registration = app.write(grant="user")
    setup.start({user: registration for user in users})
    for user in users:
        assert log_in(setup, user, user)[-1]["result"] == "done", setup.tokend.log()
    assert setup.tokend.stop() == 0
    app.expire_secrets()
    before = len(requests(setup.entra, app, kind="refresh"))
    setup.tokend.start()
    with setup.tokens() as tokens:
        for user in users:
            reply = tokens.ask("token", account=user)
            assert (reply["result"], reply["cause"]) == ("stopped", "secret-expired"), reply
        # So many may be under way when the first is refused.
        assert len(requests(setup.entra, app, kind="refresh")) - before <= 4
        assert setup.tokend.log().count("no token: secret-expired") == 1
        app.new_secret()
        for user in users:
            assert processes.wait_until(lambda user=user: tokens.ask("token", account=user)["result"] == "done", 30, 0.1), user


def test_a_login_of_somebody_else_is_refused(setup):
    app = setup.entra.app("device")
    setup.start({UPN: app.file})
    replies = log_in(setup, user=OTHER)
    assert (replies[-1]["result"], replies[-1]["cause"]) == ("stopped", "grant-of-another"), replies
    assert grants(setup) == []


def test_a_login_that_cannot_be_renewed_is_refused(setup):
    app = setup.entra.app("device")
    setup.entra.fault("refresh-missing", kind="poll", client_id=app.client_id)
    setup.start({UPN: app.file})
    replies = log_in(setup)
    assert (replies[-1]["result"], replies[-1]["cause"]) == ("stopped", "refresh-token-missing"), replies
    assert grants(setup) == []


def test_a_restart_loses_no_grant(setup):
    app = setup.entra.app("device")
    setup.start({UPN: app.file})
    assert log_in(setup)[-1]["result"] == "done"
    setup.tokend.kill()
    setup.tokend.start()
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=UPN)["result"] == "done", setup.tokend.log()


def test_a_grant_that_was_revoked_is_kept_and_told(setup):
    app = setup.entra.app("device")
    setup.entra.set(lifetime=20)
    setup.start({UPN: app.file})
    assert log_in(setup)[-1]["result"] == "done"
    kept = grants(setup)
    setup.entra.revoke(UPN)
    with setup.tokens() as tokens:
        reply = tokens.ask("renew", account=UPN)
        assert (reply["result"], reply["account"]) == ("stopped", UPN), reply
    assert set(kept) <= set(grants(setup))
    assert log_in(setup)[-1]["result"] == "done"


def test_a_refresh_token_is_on_disk_before_its_access_token_is_used(setup):
    """kill -9 while they rotate: the endpoint keeps old ones, so what is stored always works. `make grants` does it 200 times."""
    rounds = int(os.environ.get("POST365_GRANT_ROUNDS", "5"))
    app = setup.entra.app("device")
    setup.entra.set(lifetime=1)
    setup.start({UPN: app.file})
    assert log_in(setup)[-1]["result"] == "done"
    random.seed(365)
    for i in range(rounds):
        end, asked = time.monotonic() + random.uniform(0, 0.8), 0
        with setup.tokens() as tokens:
            while time.monotonic() < end:  # as fast as they rotate
                assert tokens.ask("token", account=UPN)["result"] == "done", setup.tokend.log()
                asked += 1
                time.sleep(0.01)
        setup.tokend.kill()
        setup.tokend.start()
        with setup.tokens() as tokens:
            reply = tokens.ask("token", account=UPN)
            assert reply["result"] == "done", (i, reply, setup.tokend.log())
    rotations = len(requests(setup.entra, app, kind="refresh", status=200))
    print(f"{rounds} kills, {rotations} rotations, no grant lost")
    assert not requests(setup.entra, app, kind="refresh", status=400) and rotations > rounds


def test_a_grant_that_was_lost_with_an_answer_is_told(setup):
    """An endpoint that takes each refresh token once; what it answered last was lost."""
    setup.entra.set(rotation="end")
    app = setup.entra.app("device")
    setup.start({UPN: app.file})
    assert log_in(setup)[-1]["result"] == "done"
    setup.entra.fault(kind="refresh", client_id=app.client_id, action="drop", commit=True, times=1)
    with setup.tokens() as tokens:
        assert tokens.ask("renew", account=UPN)["result"] == "later"
        reply = {}
        assert processes.wait_until(lambda: reply.update(tokens.ask("status", account=UPN)) or reply["state"] == "stopped", 60)
        assert reply["cause"] and len(grants(setup)) == 2, reply
        assert tokens.ask("token", account=UPN)["result"] == "done", "the access token is good all the same"
    assert "somebody must log in again" in setup.tokend.log(), setup.tokend.log()
    assert log_in(setup)[-1]["result"] == "done"


def test_the_token_before_helps_where_the_last_one_was_lost(setup):
    app = setup.entra.app("device")
    setup.start({UPN: app.file})
    assert log_in(setup)[-1]["result"] == "done"
    setup.entra.fault(error=70000, kind="refresh", client_id=app.client_id, times=1)
    with setup.tokens() as tokens:
        assert tokens.ask("renew", account=UPN)["result"] == "done", setup.tokend.log()
    assert "the one before still served" in setup.tokend.log()


# --- who may ask -------------------------------------------------------------

ASK = """
import os, socket, sys
uid, gid, groups, path, request = int(sys.argv[1]), int(sys.argv[2]), eval(sys.argv[3]), sys.argv[4], sys.argv[5]
descriptor = os.open(os.path.dirname(path), os.O_PATH)
s = socket.socket(socket.AF_UNIX)
os.setgroups(groups); os.setgid(gid); os.setuid(uid)
try:
    s.connect(path)
except PermissionError:
    print("denied"); sys.exit()
s.sendall(request.encode())
print(dict(line.split("=", 1) for line in s.recv(65536).decode().strip().splitlines())["result"])
"""


def ask_as(setup, uid, gid, groups, request):
    path = setup.postfix.queue_directory / "post365/oauth2/tokens"
    return subprocess.run([sys.executable, "-c", ASK, str(uid), str(gid), str(groups), str(path), request],
                          capture_output=True, text=True, check=True).stdout.strip()


def test_who_may_ask(setup):
    import pwd
    app = setup.entra.app()
    setup.start({UPN: app.file})
    user, nobody = pwd.getpwnam(workplace.USER), pwd.getpwnam("nobody")
    token, status = f"request=token\naccount={UPN}\n\n", f"request=status\naccount={UPN}\n\n"
    assert ask_as(setup, user.pw_uid, user.pw_gid, [], token) == "done"
    assert ask_as(setup, nobody.pw_uid, nobody.pw_gid, [], token) == "denied"
    member = (nobody.pw_uid, nobody.pw_gid, [user.pw_gid])
    assert ask_as(setup, *member, token) == "refused"
    assert ask_as(setup, *member, status) == "done"


CROWD = """
import os, socket, sys
uid, gid, group, path, count = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
os.chdir(os.path.dirname(path))
os.setgroups([group]); os.setgid(gid); os.setuid(uid)
held = []
for i in range(count):
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].connect(os.path.basename(path))
    try:
        held[-1].sendall(b"request=watch\\n\\nrequest=status\\naccount=made.up%d@example.com\\n\\nrequest=" % i)
    except OSError:
        pass  # turned away
print("there", flush=True)
sys.stdin.read()
"""


def test_who_may_only_look_takes_nothing_from_who_sends(setup):
    """A member of the group: as many connections as he likes, which never read, and accounts that are made up."""
    import pwd
    app = setup.entra.app("device")
    setup.start({"@example.com": app.file})
    user, nobody = pwd.getpwnam(workplace.USER), pwd.getpwnam("nobody")
    path = setup.postfix.queue_directory / "post365/oauth2/tokens"
    crowd = subprocess.Popen([sys.executable, "-c", CROWD, str(nobody.pw_uid), str(nobody.pw_gid), str(user.pw_gid), str(path), "900"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert crowd.stdout.readline() == "there\n"
        status = f"request=status\naccount={UPN}\n\n"
        assert ask_as(setup, user.pw_uid, user.pw_gid, [], f"request=token\naccount={UPN}\n\n") == "stopped"
        assert ask_as(setup, user.pw_uid, user.pw_gid, [], status) == "done"
        with setup.tokens() as tokens:
            tokens.send("watch", tag="w")
            tokens.send("list", tag="l")
            told = list(iter(tokens.reply, {"tag": "l", "result": "done", "registration": app.file}))
        assert [reply.get("account") for reply in told] == [None, UPN], "nothing is made of what he asks for"
    finally:
        crowd.communicate("", timeout=60)


def test_it_is_not_root_and_leaves_no_core_file(setup):
    app = setup.entra.app()
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        tokens.ask("token", account=UPN)
    import pwd
    uid = str(pwd.getpwnam(USER).pw_uid)
    status = Path(f"/proc/{setup.tokend.pid}/status").read_text()
    assert re.search(r"Uid:\s+(.*)", status)[1].split() == [uid] * 4
    assert re.search(r"Max core file size\s+0\s+0", Path(f"/proc/{setup.tokend.pid}/limits").read_text())


# --- the program -------------------------------------------------------------


def test_nothing_to_do(setup):
    setup.postfix = Postfix(setup.place.directory / "idle")
    setup.postfix.configure({"post365_user": workplace.USER, **setup.entra.parameters()})
    done = subprocess.run([workplace.BUILD / "post365-tokend", "-c", setup.postfix.config_directory, "-e"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "nothing to do: post365_oauth2_maps is empty" in done.stderr


def test_the_check_finds_what_is_wrong(setup):
    app = setup.entra.app()
    setup.start({UPN: app.file})
    check = [workplace.BUILD / "post365-tokend", "-c", setup.postfix.config_directory, "-t"]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and f"post365_oauth2_user = {USER}" in done.stdout, done.stderr
    assert app.secret not in done.stdout + done.stderr
    app.put("secret", app.secret, 0o644)
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert done.returncode == 78 and "secret-file-open" in done.stderr and "chmod 600" in done.stderr


def test_a_reload_takes_other_tables(setup):
    one, two = setup.entra.app(), setup.entra.app()
    setup.start({UPN: one.file})
    setup.postfix.configure({**setup.postfix.parameters, "post365_oauth2_maps": f"static:{two.file}"})
    setup.tokend.signal(signal.SIGUSR1)
    assert processes.wait_until(lambda: "reloaded" in setup.tokend.log(), 60), setup.tokend.log()
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=OTHER)["registration"] == two.file


def test_a_registration_for_all_is_asked_for_before_mail_needs_it(setup):
    app = setup.entra.app(name="Mixed-Case")
    setup.start(f"static:{app.file}")
    setup.wait_for_state("fresh", registration=app.file)
    assert len(requests(setup.entra, app)) == 1
    # And no longer where it is named no longer.
    setup.postfix.configure({**setup.postfix.parameters, "post365_oauth2_maps": f"static:{setup.entra.app().file}"})
    setup.tokend.signal(signal.SIGUSR1)
    assert processes.wait_until(lambda: f"{app.file}: post365_oauth2_maps names it no longer" in setup.tokend.log(), 30)


def test_it_stops_while_requests_are_under_way(setup):
    apps = {f"user{i}@example.com": setup.entra.app() for i in range(20)}
    device = setup.entra.app("device")
    for app in apps.values():
        setup.entra.fault("silence", client_id=app.client_id)
    setup.start({UPN: device.file, **{account: app.file for account, app in apps.items()}}, post365_oauth2_timeout="30s")
    with setup.tokens() as tokens, setup.tokens() as gone:
        assert tokens.ask("login", account=UPN)["result"] == "code"
        tokens.send("watch")
        for account in apps:
            tokens.send("token", account=account)
            gone.send("token", account=account)
        tokens.send("check", registration=device.file)
        gone.close()
        # Whose files change meanwhile asks anew.
        for app in list(apps.values())[:5]:
            Path(app.file).write_text(Path(app.file).read_text() + "# changed\n")
        assert processes.wait_until(lambda: setup.tokend.log().count("read again") == 5, 60), setup.tokend.log()
        begin = time.monotonic()
        assert setup.tokend.stop() == 0, setup.tokend.log()
    assert time.monotonic() - begin < 20  # the requests would have taken 30 s
    assert "Sanitizer" not in setup.tokend.log() and "stopped" in setup.tokend.log()
    setup.tokend = None


def test_no_secret_is_shown_or_logged(setup):
    app = setup.entra.app()
    setup.start({UPN: app.file})
    with setup.tokens() as tokens:
        token = tokens.ask("token", account=UPN)["token"]
        setup.entra.fault(error=7000215, client_id=app.client_id)
        tokens.ask("renew", account=UPN)
        status = tokens.ask("status", account=UPN)
    environment = Path(f"/proc/{setup.tokend.pid}/environ").read_bytes() + Path(f"/proc/{setup.tokend.pid}/cmdline").read_bytes()
    for text in (setup.tokend.log(), str(status), environment.decode()):
        assert app.secret not in text and token not in text and token.split(".")[2] not in text


def count_in_memory(pid, needles):
    """{name: how often its bytes are in the writable memory of a process}"""
    counts = dict.fromkeys(needles, 0)
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            place, rights = line.split()[:2]
            begin, end = (int(number, 16) for number in place.split("-"))
            if "w" not in rights:
                continue
            memory.seek(begin)
            data = memory.read(end - begin)
            for name, needle in needles.items():
                counts[name] += data.count(needle)
    return counts


@pytest.mark.skipif("sanitize" in str(workplace.BUILD), reason="what was released stays in memory there")
def test_a_secret_is_in_memory_once_and_what_is_over_is_not(setup):
    app, certified, device = setup.entra.app(), setup.entra.app("certificate"), setup.entra.app("device")
    setup.start({OTHER: app.file, "c@example.com": certified.file, UPN: device.file})
    with setup.tokens() as tokens:
        old = tokens.ask("token", account=OTHER)["token"]
        assert tokens.ask("token", account="c@example.com")["result"] == "done"
        assert log_in(setup)[-1]["result"] == "done"
        assert tokens.ask("renew", account=OTHER)["result"] == "done"
        token = tokens.ask("token", account=OTHER)["token"]
    grant = (setup.postfix.directory / "grants" / grants(setup)[0]).read_text()
    refresh = re.search(r"^refresh_token=(\S+)", grant, re.MULTILINE)[1]
    needles = {"secret": app.secret, "secret in a form": urllib.parse.quote(app.secret, safe=""), "token": token[-60:],
               "old token": old[-60:], "refresh token": refresh, "refresh token in a form": urllib.parse.quote(refresh, safe=""),
               "key": (certified.directory / "key.pem").read_text().splitlines()[3]}
    found = count_in_memory(setup.tokend.pid, {name: needle.encode() for name, needle in needles.items()})
    assert found == {"secret": 1, "secret in a form": 0, "token": 1, "old token": 0, "refresh token": 0,
                     "refresh token in a form": 0, "key": 1}


def test_many_connections_that_say_nothing_harm_nobody(setup):
    app = setup.entra.app()
    setup.start({UPN: app.file})
    idle = [setup.tokend.connect() for _ in range(100)]
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=UPN)["result"] == "done"
    for connection in idle:
        connection.sendall(b"nonsense\n\n")
        connection.close()
    with setup.tokens() as tokens:
        assert tokens.ask("token", account=UPN)["result"] == "done"
