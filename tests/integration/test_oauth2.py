"""Mail that goes with access tokens of post365-tokend: a real Postfix, transport, ledger and tokend, and stand-ins for Microsoft's token
endpoint and for its SMTP server."""

import collections
import json
import os
import pwd
import re
import time
import urllib.request

import pytest
from conftest import ROOMY

from harness import command, processes, workplace
from harness.entra import Entra
from harness.exposition import read_exposition
from harness.fake_tokend import FakeTokend, subject
from harness.office365 import Office365
from harness.postfix import free_ports
from harness.relay import PASSWORD, Relay
from harness.terminal import Terminal

FULL = bool(os.environ.get("POST365_OAUTH2_ALL"))
TO = "joe@customer.example"
KINDS = ("secret", "certificate", "federated")
OTHERS = ("managed", "device")


def account(name):
    return f"{name}@example.com"


MANY = [account(f"a{number}") for number in range(10)]


@pytest.fixture
def office365(place):
    mailboxes = {upn: {"password": PASSWORD} for upn in [*map(account, (*KINDS, *OTHERS, "file")), account("password"), *MANY]}
    return place.add(Office365(place.directory / "office365", limits=ROOMY, mailboxes=mailboxes)).start()


@pytest.fixture
def entra(place, office365):
    return place.add(Entra(place.directory / "entra", office365)).start()


@pytest.fixture
def start(place, office365, entra):
    def start_one(maps, *, passwords=None, parameters=None, environment=None, own_tokend=True, **post365):
        upns = [*maps, *(passwords or {})]
        # A table in main.cf itself cannot be so long that all have a socket of their own.
        relay = Relay(place.directory / "relay", office365, transport=upns if len(upns) < 100 else [],
                      post365={**entra.parameters(), "post365_upn": next(iter(maps)), "post365_oauth2_maps": maps,
                               "post365_message_quota": "none", "post365_recipient_quota": "none", **post365},
                      passwords={upn: f"{upn}:{password}" for upn, password in (passwords or {}).items()} or {"none": "none:none"},
                      parameters=parameters)
        relay.transport.environment = {**(relay.transport.environment or os.environ), **(environment or {})}
        if not own_tokend:
            relay.tokend = None
        place.add(relay)
        return relay.start()
    return start_one


def header(upn):
    return f"From: <{upn}>\r\nTo: <{TO}>\r\nSubject: x\r\n".encode()


def submit(relay, upn):
    outcome, message_id = relay.submit(upn, [TO], header(upn))
    assert outcome.accepted, outcome
    return message_id


def post365(relay, *words):
    return command.run(relay.postfix.config_directory, *words)


def status(relay, upn):
    return json.loads(post365(relay, "status", "--json", upn).stdout.splitlines()[0])


def logins(office365, event="auth"):
    """How often each account has logged in, or was refused."""
    return collections.Counter(entry["login"]["username"] for entry in office365.journal(event))


def deliveries(relay, status):
    return [delivery for delivery in relay.postfix.deliveries() if delivery.status == status]


# --- sources ---

def test_each_source_delivers_as_its_account(start, office365, entra):
    """None but the last has a password line."""
    entra.set(device_interval=1)
    apps = {kind: entra.app(kind, accounts=[account(kind)]) for kind in (*KINDS, *OTHERS)}
    file = entra.directory / "token"
    file.write_text(entra.make_token(entra.app(accounts=[account("file")]).client_id))
    file.chmod(0o600)
    os.chown(file, pwd.getpwnam(workplace.USER).pw_uid, -1)
    relay = start({account(kind): app.file for kind, app in apps.items()}, passwords={account("password"): PASSWORD},
                  post365_token_maps={account("file"): str(file)})
    with Terminal([command.PROGRAM, "-c", relay.postfix.config_directory, "login", account("device")]) as terminal:
        entra.type_code(entra.wait_for_code(), account("device"))
        assert terminal.wait_end(60) == 0, terminal.shown()

    def deliver(kind):
        arrived = relay.deliver(account(kind), [TO], header("root@relay.example"))
        assert arrived.sender == account(kind)
        assert arrived.fields("From")[0].endswith(f"<{account(kind)}>".encode())
    for kind in (*KINDS, *OTHERS, "file", "password"):
        deliver(kind)
    arrived = relay.deliver("", [TO], header("MAILER-DAEMON@relay.example"))
    assert arrived.sender == account("secret")
    assert set(logins(office365)) == {account(kind) for kind in (*KINDS, *OTHERS, "file", "password")}
    assert not deliveries(relay, "deferred")
    # Nobody logs in again for a grant that is kept.
    relay.transport.stop()
    relay.tokend.stop()
    refreshed = len(entra.requests(kind="refresh"))
    relay.tokend.start()
    relay.transport.start()
    deliver("device")
    assert len(entra.requests(kind="refresh")) > refreshed


# --- renewal ---

@pytest.mark.parametrize("accounts, life, messages, seconds",
                         [(10, 20, 300, 45), (1000, 20, 2000, 200)] if FULL else [(10, 16, 60, 20)])
def test_tokens_end_while_mail_goes_and_nothing_waits(start, office365, entra, accounts, life, messages, seconds):
    """Messages of all accounts need logins again and again, each login a token; one request to the endpoint serves all accounts until the
    next is due."""
    upns = [account(f"n{number}") for number in range(accounts)]
    for upn in upns:
        office365.set_mailbox(upn)
    app = entra.app(accounts=upns, lifetime=life)
    relay = start({upn: app.file for upn in upns}, environment={"POST365_TEST_CONNECTION_AGE": "2"})
    begun = time.monotonic()
    sent = []
    for number in range(messages):
        sent.append(submit(relay, upns[number % accounts]))
        time.sleep(max(0, begun + seconds * (number + 1) / messages - time.monotonic()))
    assert processes.wait_until(lambda: len(relay.accepted()) == messages, 90, messages / 1000), relay.postfix.queue()
    assert {arrival.message_id for arrival in relay.accepted()} == set(sent)
    assert not deliveries(relay, "deferred"), deliveries(relay, "deferred")[0]
    requests = entra.requests(kind="app")
    tokens = {entry["login"]["token"] for entry in office365.journal("auth")}
    passed = time.monotonic() - begun
    print(f"{messages} messages of {accounts} accounts in {passed:.0f} s: {sum(logins(office365).values())} logins with {len(tokens)} "
          f"tokens, {len(requests)} requests to the endpoint")
    assert all(entry["status"] == 200 for entry in requests)
    assert len(tokens) >= 2
    # Half of a life, ten per cent earlier at most.
    assert len(requests) <= passed / (life / 2 * 0.9) + 1
    assert not office365.journal("auth-refused")


# --- no token ---

def hold(relay, count, upns=MANY):
    """Messages that wait in Postfix's queue, since the transport is away."""
    relay.transport.stop()
    for number in range(count):
        submit(relay, upns[number % len(upns)])
    assert processes.wait_until(lambda: len(deliveries(relay, "deferred")) >= count, 30 + count / 20, 0.2)


def paused(relay, upns=MANY):
    """{account: cause}"""
    found = {upn: status(relay, upn)["pause"] for upn in upns}
    return {upn: pause["cause"] for upn, pause in found.items() if pause}


def set_aside(relay):
    """Of what was held: starts the transport and gives each message a try. Returns how long it takes until every account is paused."""
    relay.transport.start()
    begun = time.monotonic()
    relay.postfix.flush()
    assert processes.wait_until(lambda: len(re.findall("account <[^>]*> is paused", relay.transport.log())) >= len(MANY), 60, 0.05), \
        relay.transport.log()[-3000:]
    return time.monotonic() - begun


def test_an_expired_secret_sets_all_accounts_aside_at_once(start, office365, entra):
    count = int(os.environ.get("POST365_OAUTH2_QUEUE", "20"))
    app = entra.app(accounts=MANY)
    app.expire_secrets()
    relay = start({upn: app.file for upn in MANY})
    hold(relay, count)
    seconds = set_aside(relay)
    asked = entra.requests(kind="app")
    log = relay.transport.log()
    told = [line for line in relay.tokend.log().splitlines() if "secret-expired" in line]
    print(f"{count} messages: {seconds:.1f} s until all {len(MANY)} accounts are set aside, {len(asked)} requests to the endpoint, "
          f"{len(told)} lines of tokend's log, {len(office365.journal('connect'))} connections to Microsoft")
    assert len(asked) <= 2
    assert len(told) == 1, told
    assert not office365.journal("auth") and not office365.journal("auth-refused")
    causes = paused(relay)
    assert set(causes) == set(MANY) and all(cause.startswith("secret-expired: ") for cause in causes.values()), causes
    assert len(re.findall("account <[^>]*> is paused", log)) == len(MANY)
    assert "secret-expired" in post365(relay, "queue").stdout
    # By itself, and at once, when it is mended.
    begun = time.monotonic()
    app.new_secret(keep=False)
    assert processes.wait_until(lambda: len(relay.accepted()) == count, 60 + count / 5, 0.2 + count / 1000), \
        f"{len(relay.accepted())} accepted\n{relay.transport.log()[-3000:]}"
    print(f"{time.monotonic() - begun:.0f} s from the new secret until all is delivered")
    assert not paused(relay)


@pytest.mark.skipif(not FULL, reason="a measurement, to compare with the one before")
def test_wrong_passwords_beside_it(start, office365):
    count = int(os.environ.get("POST365_OAUTH2_QUEUE", "20"))
    relay = start({account("secret"): "/nowhere.cf"}, passwords={upn: "wrong" for upn in MANY})
    hold(relay, count)
    seconds = set_aside(relay)
    print(f"{count} messages: {seconds:.1f} s until all {len(MANY)} accounts are set aside, "
          f"{sum(logins(office365, 'auth-refused').values())} logins")
    assert set(paused(relay)) == set(MANY)


def test_what_was_paused_by_hand_stays_so(start, office365, entra):
    app = entra.app(accounts=MANY)
    app.expire_secrets()
    relay = start({upn: app.file for upn in MANY})
    hold(relay, len(MANY))
    set_aside(relay)
    assert post365(relay, "pause", MANY[0], "the mailbox moves").returncode == 0
    app.new_secret(keep=False)
    assert processes.wait_until(lambda: len(relay.accepted()) == len(MANY) - 1, 60, 0.2), relay.transport.log()[-3000:]
    assert paused(relay) == {MANY[0]: "the mailbox moves"}
    assert post365(relay, "resume", MANY[0]).returncode == 0
    assert processes.wait_until(lambda: len(relay.accepted()) == len(MANY), 60, 0.2)


def test_an_endpoint_in_trouble_is_waited_out(start, office365, entra):
    upn = MANY[0]
    app = entra.app(accounts=[upn])
    entra.fault("plain-503")
    relay = start({upn: app.file})
    submit(relay, upn)
    assert processes.wait_until(lambda: paused(relay, [upn]), 60, 0.1), relay.transport.log()[-3000:]
    assert paused(relay, [upn])[upn].startswith("endpoint-trouble: ")
    assert f"said: 451 4.7.0 no access token for {upn}: " in deliveries(relay, "deferred")[0].reply
    entra.clear_faults()
    assert processes.wait_until(relay.accepted, 60, 0.2), relay.transport.log()[-3000:]


def test_without_tokend_mail_waits_and_no_account_is_paused(start, office365, entra):
    upn = MANY[0]
    app = entra.app(accounts=[upn])
    relay = start({upn: app.file})
    relay.tokend.stop()
    submit(relay, upn)
    assert processes.wait_until(lambda: deliveries(relay, "deferred"), 60, 0.1)
    assert "token-daemon-down: " in deliveries(relay, "deferred")[0].reply
    assert not paused(relay, [upn])
    begun = time.monotonic()
    relay.tokend.start()
    assert processes.wait_until(relay.accepted, 90, 0.1), relay.transport.log()[-3000:]
    print(f"{time.monotonic() - begun:.1f} s from the start of tokend to the delivery")


# --- what Microsoft says to a token ---

def test_a_mailbox_outside_the_scope_is_refused_once_a_probe(start, office365, entra):
    inside, outside = MANY[:2]
    app = entra.app(accounts=[inside])
    relay = start({upn: app.file for upn in (inside, outside)})
    relay.deliver(inside, [TO], header(inside))
    submit(relay, outside)
    assert processes.wait_until(lambda: paused(relay, [outside]), 60, 0.1), relay.transport.log()[-3000:]
    assert "(in reply to AUTH)" in paused(relay, [outside])[outside]
    assert logins(office365, "auth-refused") == {outside: 1}
    assert len(entra.requests(kind="app")) == 1
    relay.deliver(inside, [TO], header(inside))
    # A new start brings a new token: worth one try more.
    app.allow(inside, outside)
    relay.tokend.stop()
    relay.tokend.start()
    assert processes.wait_until(lambda: len(relay.accepted()) == 3, 90, 0.1), relay.transport.log()[-3000:]
    assert not paused(relay, [outside])


class Tokens:
    """A tokend that gives out these tokens, one after the other, the last one for ever, and says `again` to every refusal."""

    def __init__(self, relay, again, tokens):
        self.fake = FakeTokend(relay.postfix.queue_directory / "tokens", mode=0o666)
        self.fake.subjects.append(subject(registration="/r.cf"))
        self.fake.answers.update(token=self._give, verdict=lambda peer, _request: peer.say(result="done", again=again))
        self.tokens = tokens
        self.given = 0

    def _give(self, peer, _request):
        token = self.tokens[min(self.given, len(self.tokens) - 1)]
        self.given += 1
        peer.say(result="done", token=token, id=f"{self.given:08x}", left=3000, registration="/r.cf")

    def asked(self, kind):
        return [request for request in self.fake.requests if request["request"] == kind]

    def stop(self):
        self.fake.stop()


@pytest.fixture
def start_with(place, start, entra):
    """A relay whose tokens are made by the test: `good` of them are true, the others for somebody else."""
    def start_one(again, good):
        app = entra.app(accounts=[MANY[0]])
        relay = start({MANY[0]: app.file}, own_tokend=False, post365_oauth2_socket="unix:tokens")
        tokens = place.add(Tokens(relay, again, [
            entra.make_token(app.client_id, **({} if is_good else {"audience": "https://graph.microsoft.com"})) for is_good in good]))
        return relay, tokens
    return start_one


def test_another_token_is_tried_once_where_tokend_says_so(start_with, office365):
    relay, tokens = start_with(again=1, good=[False, True])
    relay.deliver(MANY[0], [TO], header(MANY[0]))
    assert logins(office365, "auth-refused") == logins(office365) == {MANY[0]: 1}
    assert processes.wait_until(lambda: len(tokens.asked("verdict")) == 2, 60, 0.1)
    refused, accepted = tokens.asked("verdict")
    assert refused["id"] == "00000001" and refused["reply"].startswith("535 5.7.3 ")
    assert accepted == {"request": "verdict", "account": MANY[0], "id": "00000002"}
    assert not deliveries(relay, "deferred") or "token-daemon-down" in deliveries(relay, "deferred")[0].reply


@pytest.mark.parametrize("again, attempts", [(1, 2), (0, 1)])
def test_there_is_no_third_login(start_with, office365, again, attempts):
    relay, tokens = start_with(again=again, good=[False])
    submit(relay, MANY[0])
    assert processes.wait_until(lambda: paused(relay, MANY[:1]), 90, 0.1), relay.transport.log()[-3000:]
    assert logins(office365, "auth-refused") == {MANY[0]: attempts}
    assert tokens.given == attempts
    assert "(in reply to AUTH)" in paused(relay, MANY[:1])[MANY[0]]


# --- metrics ---

def test_metrics_tell_of_each_registration(start, entra):
    port = free_ports(1)[0]
    fine, broken = entra.app(accounts=[MANY[0]]), entra.app(accounts=[MANY[1]])
    broken.expire_secrets()
    relay = start({MANY[0]: fine.file, MANY[1]: broken.file}, post365_transport_metrics_listen=f"127.0.0.1:{port}")
    relay.deliver(MANY[0], [TO], header(MANY[0]))
    submit(relay, MANY[1])

    def read():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            return read_exposition(answer.read().decode())

    def states():
        return {(dict(labels)["registration"], dict(labels)["state"]) for labels in read().get("post365_oauth2_state", {})}
    assert processes.wait_until(lambda: {(fine.file, "fresh"), (broken.file, "stopped")} <= states(), 60, 0.2), states()
    assert processes.wait_until(lambda: paused(relay, MANY[1:2]), 60, 0.2)
    time.sleep(1.1)  # they are published once a second
    told = read()

    def value(name, app):
        return told[f"post365_oauth2_{name}"].get(frozenset({("registration", app.file), ("account", "")}))
    assert 3000 < value("token_expiry_time_seconds", fine) - time.time() < 3600
    assert value("failing_since_time_seconds", fine) is None
    assert abs(value("failing_since_time_seconds", broken) - time.time()) < 60
    assert value("requests_total", fine) == 1 and value("requests_refused_total", fine) == 0
    assert value("requests_refused_total", broken) >= 1
    assert told["post365_transport_tokend_up"][frozenset()] == 1
    assert told["post365_transport_pauses_total"][frozenset({("cause", "secret-expired")})] == 1
    assert told["post365_transport_connections_failed_total"][frozenset({("reason", "token")})] >= 1


# --- secrets ---

def memory_of(pid, needles):
    """Which of them are somewhere in the memory of a process."""
    found = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            bounds, access = line.split()[:2]
            if not access.startswith("r") or "[vvar" in line or "[vsyscall" in line:
                continue
            begin, end = (int(bound, 16) for bound in bounds.split("-"))
            memory.seek(begin)
            try:
                data = memory.read(end - begin)
            except OSError:
                continue
            found |= {needle for needle in needles if needle in data}
    return found


def test_the_transport_never_holds_what_outlives_an_hour(start, office365, entra):
    kinds = ("secret", "certificate")
    apps = {kind: entra.app(kind, accounts=[account(kind)]) for kind in kinds}
    relay = start({account(kind): app.file for kind, app in apps.items()})
    for kind in kinds:
        relay.deliver(account(kind), [TO], header(account(kind)))
    key = (apps["certificate"].directory / "key.pem").read_text().splitlines()[1].encode()
    secrets = {apps["secret"].secret.encode(), key}
    assert memory_of(relay.transport.pid, {account("secret").encode()})
    assert not memory_of(relay.transport.pid, secrets | {b"eyJ0"})
    for log in (relay.transport.log(), relay.tokend.log(), relay.postfix.log()):
        assert not any(secret.decode() in log for secret in secrets)
        assert "eyJ0" not in log
