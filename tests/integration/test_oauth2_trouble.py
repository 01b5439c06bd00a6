"""Mail of accounts that get no access token: every error that Entra ID is known to answer, and every trouble on the way, at once in
one queue. A real Postfix, ledger, transport and tokend; stand-ins for Microsoft's token endpoint and for its SMTP server.

Each trouble has an account and a registration of its own, all messages wait at the same time, and two accounts that are well send
meanwhile. Then all is mended, and each message arrives: by itself where the trouble passes by itself, else after what the remedy
says.
"""

import collections
import dataclasses
import json
import re
import time
from pathlib import Path

import pytest
from conftest import ROOMY
from entra.errors import ERRORS
from test_tokend_errors import GOOD, rows

from harness import command, detour, processes, workplace
from harness.entra import NAMED, Entra
from harness.office365 import Office365
from harness.relay import PASSWORD, Relay
from harness.tokens import Tokens

TO = "joe@customer.example"
WELL, PASSWORD_ONLY = "well@example.com", "password@example.com"
TIMEOUT = "2s"  # post365_oauth2_timeout
RETRY_AFTER = 8  # seconds
LOGINS = 16  # at once
GROWTH = 8_000  # kB that troubles may add to a daemon's memory, however often they are met
MOST = 60_000  # kB
ROWS = set(re.findall("^### ([a-z0-9-]+)$", (workplace.PROJECT / "docs/ENTRA_ERRORS.md").read_text(), re.M))
PLACES = re.compile(r"<(UPN|client id|tenant|registration)>")

# What has to be said of the stand-in's named faults and of the detours' troubles; of the others there is more than one right word.
CAUSES = {
    **dict.fromkeys(("plain-408", "plain-500", "plain-502", "plain-503", "plain-504"), "endpoint-trouble"),
    **dict.fromkeys(("plain-429", "seconds", "date"), "endpoint-throttled"),
    **dict.fromkeys(("plain-401", "plain-403", "plain-404", "html", "empty", "empty-400", "half", "cut", "duplicate", "nul", "array",
                     "endless"), "answer-unintelligible"),
    **dict.fromkeys(("redirect", "redirect-307"), "endpoint-redirect"),
    **dict.fromkeys(("expires-negative", "expires-zero", "expires-word", "expires-object"), "token-life-unusable"),
    **dict.fromkeys(("token-crlf", "token-blank", "token-control", "token-not-ascii", "token-empty", "type-mac"),
                    "token-unusable"),
    **dict.fromkeys(("error-unknown-number", "error-unknown-word", "error-alone"), "request-refused"),
    **dict.fromkeys(("trickle", "silence", "way-silence"), "endpoint-timeout"),
    **dict.fromkeys(("way-expired", "way-future"), "endpoint-expired"),
    **dict.fromkeys(("way-self-signed", "way-untrusted", "way-inspection"), "endpoint-untrusted"),
    "way-name": "endpoint-name",
    "way-refused": "endpoint-unreachable",
}


@dataclasses.dataclass
class Case:
    """One trouble, and the account that has it."""
    name: str
    causes: set  # the rows one of which is to be named; empty: any
    fault: dict = None  # of the stand-in
    way: str = None  # a trouble of a detour
    is_user: bool = False  # somebody has logged in, and it is the renewal that fails

    @property
    def account(self):
        return f"{self.name}@example.com"


def _cases():
    known = rows()

    def named(name):
        return {CAUSES[name]} if name in CAUSES else set()

    found = [Case(f"e{number}", known.get(number, set()), {"error": number}) for number in ERRORS]
    # What is about a person comes with a person's grant.
    found += [Case(f"u{number}", known.get(number, set()), {"error": number, "kind": "refresh"}, is_user=True)
              for number, (_, error, _) in ERRORS.items() if error in ("invalid_grant", "interaction_required", "access_denied")]
    found += [Case(name, named(name), {"named": name}) for name, fault in NAMED.items()
              if fault.get("stage", "answer") == "answer" and "certificate" not in fault and name not in GOOD]
    found += [Case("seconds", named("seconds"), {"named": "plain-429", "retry_after": RETRY_AFTER}),
              Case("date", named("date"), {"named": "plain-429", "retry_after": f"date:{RETRY_AFTER}"})]
    found += [Case(f"way-{way}", named(f"way-{way}"), way=way) for way in detour.TROUBLES]
    return found


CASES = _cases()
# What is odd, or slow, and gives a token all the same.
BORNE = {**{f"{name}@example.com": {"named": name} for name in GOOD if name.startswith("expires-")}, "slow@example.com": {"delay": 1}}
by_name = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def post365(relay, *words):
    return command.run(relay.postfix.config_directory, *words)


def lines_of(relay, *words):
    """What a command with --json says, one object a line."""
    return [json.loads(line) for line in post365(relay, *words, "--json").stdout.splitlines()]


def submit(relay, account, to=TO):
    outcome, message_id = relay.submit(account, [to], f"From: <{account}>\r\nTo: <{to}>\r\nSubject: x\r\n".encode())
    assert outcome.accepted, outcome
    return message_id


def memory(daemon, name="VmRSS"):
    """Of a running daemon, in kB."""
    return int(re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{daemon.pid}/status").read_text())[1])


def is_sanitized():
    return "sanitize" in str(workplace.BUILD)


class Rig:
    """All of it, with the troubles as they are set."""

    def __init__(self, place):
        accounts = [WELL, PASSWORD_ONLY, *BORNE, *[case.account for case in CASES]]
        office365 = Office365(place.directory / "office365", limits=ROOMY,
                              mailboxes={account: {"password": PASSWORD} for account in accounts})
        self.office365 = place.add(office365).start()
        self.entra = place.add(Entra(place.directory / "entra", office365, device_interval=1)).start()
        self.begun = None  # when post365-tokend met the troubles
        self.ways = {}
        self.apps = {}
        self._make_apps(place)
        maps = {WELL: self.entra.app(accounts=[WELL], name="well").file, **{name: app.file for name, app in self.apps.items()}}
        self.relay = place.add(Relay(
            place.directory / "relay", office365, transport=accounts, passwords={PASSWORD_ONLY: f"{PASSWORD_ONLY}:{PASSWORD}"},
            post365={**self.entra.parameters(post365_oauth2_timeout=TIMEOUT), "post365_upn": WELL, "post365_oauth2_maps": maps,
                     "post365_message_quota": "none", "post365_recipient_quota": "none"})).start()
        self.daemons = {daemon: daemon.pid for daemon in (self.relay.tokend, self.relay.transport, self.relay.policyd)}

    def _make_apps(self, place):
        for account in BORNE:
            self.apps[account] = self.entra.app(name=account.partition("@")[0], accounts=[account])
        certificates = detour.certificates(self.entra, place.directory / "wrong")
        for case in CASES:
            app = self.entra.app("device" if case.is_user else "secret", name=case.name, accounts=[case.account])
            self.apps[case.account] = app
            if case.way:
                self.ways[case.name] = place.add(detour.Detour(self.entra, case.way, certificates))
                app.write(authority=self.ways[case.name].authority)

    def log_in(self, accounts):
        """They themselves, by device code."""
        for begin in range(0, len(accounts), LOGINS):
            with Tokens(self.relay.tokend, timeout=60) as tokens:
                waiting = set(accounts[begin:begin + LOGINS])
                for account in waiting:
                    tokens.send("login", tag=account, account=account)
                while waiting:
                    reply = tokens.reply()
                    if reply["result"] == "code":
                        self.entra.type_code(reply["user_code"], reply["tag"])
                    elif reply["result"] != "waiting":
                        assert reply["result"] == "done", reply
                        waiting.remove(reply["tag"])

    def forget_tokens(self):
        """A new post365-tokend has the grants alone."""
        self.relay.tokend.stop()
        self.begun = time.time()
        self.relay.tokend.start()
        self.daemons[self.relay.tokend] = self.relay.tokend.pid

    def break_all(self):
        faults = {**BORNE, **{case.account: case.fault for case in CASES if case.fault}}
        for account, fault in faults.items():
            self.entra.fault(client_id=self.apps[account].client_id, **fault)

    def mend_all(self):
        self.entra.clear_faults()
        for way in self.ways.values():
            way.mend()

    def queued(self):
        """{account: (cause, its remedy, the reason)} as `post365 queue` has it."""
        return {message["account"]: (message["causes"][0]["cause"], message["causes"][0]["remedy"], message["recipients"][0]["reason"])
                for message in lines_of(self.relay, "queue") if message["account"]}

    def tokens(self):
        """{account: what `post365 token` says}."""
        names = {app.file: account for account, app in self.apps.items()}
        return {told["account"] or names.get(told["registration"], WELL): told for told in lines_of(self.relay, "token")}

    def are_alive(self):
        return all(daemon.pid == pid and processes.start_time(pid) for daemon, pid in self.daemons.items())


@dataclasses.dataclass
class Seen:
    """What was to be seen while all was in trouble, and afterwards."""
    rig: Rig
    sent: dict  # {account: Message-ID}
    queued: dict
    tokens: dict
    memory: list  # of tokend and the transport, when each trouble had been met once, and later
    seconds: float = None
    arrived: dict = None  # {Message-ID: how often}


@pytest.fixture(scope="module")
def troubled(module_place):
    """All wait, and what is told of them."""
    rig = Rig(module_place)
    rig.log_in([case.account for case in CASES if case.is_user])
    rig.break_all()
    rig.forget_tokens()
    sent = {case.account: submit(rig.relay, case.account) for case in CASES}
    queued, tokens = {}, {}

    def are_all_told():
        queued.update(rig.queued())
        tokens.update(rig.tokens())
        return all(case.account in queued and queued[case.account][0] in ROWS and tokens[case.account]["failure"] and
                   (not case.causes or {queued[case.account][0], tokens[case.account]["failure"]["cause"]} <= case.causes)
                   for case in CASES)
    processes.wait_until(are_all_told, 40, 0.5)
    return Seen(rig, sent, queued, tokens, [memory(rig.relay.tokend), memory(rig.relay.transport)])


@pytest.fixture(scope="module")
def mended(troubled):
    """All is mended. Of what waits for somebody, half is resumed, of the other half the secret is a new one, or somebody logs in."""
    rig = troubled.rig
    troubled.memory += [memory(rig.relay.tokend), memory(rig.relay.transport)]
    rig.mend_all()
    begun = time.monotonic()
    stopped = [case for case in CASES if troubled.tokens[case.account]["state"] == "stopped"]
    for case in stopped[::2]:
        post365(rig.relay, "resume", case.account)
    for case in stopped[1::2]:
        if not case.is_user:
            rig.apps[case.account].new_secret()
    rig.log_in([case.account for case in stopped[1::2] if case.is_user])

    sent = set(troubled.sent.values())
    processes.wait_until(lambda: sent <= {arrival.message_id for arrival in rig.relay.accepted()}, 120, 0.5)
    troubled.seconds = time.monotonic() - begun
    troubled.arrived = {}
    for arrival in rig.relay.accepted():
        troubled.arrived[arrival.message_id] = troubled.arrived.get(arrival.message_id, 0) + 1
    print(f"{len(CASES)} troubles, {len(stopped)} of them stopped; all delivered {troubled.seconds:.0f} s after they were mended")
    return troubled


# --- while it lasts ---

@by_name
def test_the_message_waits_and_cause_and_remedy_are_told(troubled, case):
    cause, remedy, reason = troubled.queued[case.account]
    failure = troubled.tokens[case.account]["failure"]
    assert cause in ROWS, (cause, reason)
    assert not case.causes or (cause in case.causes and failure["cause"] in case.causes), (cause, failure)
    # A registration may have any number of accounts: of whom it speaks is not known.
    told = failure["remedy"] if case.is_user else failure["remedy"].replace("<UPN>", case.account)
    assert remedy and not PLACES.search(remedy + told), (remedy, told)
    assert failure["reason"].isprintable() and failure["meaning"]
    if case.is_user and "post365 login" in remedy:
        assert f"post365 login {case.account}" in remedy
    assert cause in reason and "451 4.7.0" in reason or "is paused until" in reason, reason


def test_others_are_not_held_up(troubled):
    for account in (WELL, PASSWORD_ONLY, *BORNE):
        arrived = troubled.rig.relay.deliver(account, [TO], f"From: <{account}>\r\nSubject: x\r\n".encode(), timeout=60)
        assert arrived.sender == account


def test_nothing_is_returned_and_nobody_is_somebody_else(troubled):
    relay = troubled.rig.relay
    assert {delivery.status for delivery in relay.postfix.deliveries() if delivery.relay != "none"} <= {"deferred", "sent"}
    waiting = [message for message in relay.postfix.queue() if message["sender"] in troubled.sent]
    assert len(waiting) == len(CASES)
    assert {arrival.sender for arrival in relay.accepted()} <= {WELL, PASSWORD_ONLY, *BORNE}
    # Nobody without a token has tried to log in.
    assert {entry["login"]["username"] for entry in troubled.rig.office365.journal("auth")} <= {WELL, PASSWORD_ONLY, *BORNE}
    assert not troubled.rig.office365.journal("auth-refused")


def test_no_message_is_tried_for_each_attempt_of_tokend(troubled):
    """That there is a token is told; an account is asked about once a minute, if at all."""
    tries = collections.Counter(delivery.queue_id for delivery in troubled.rig.relay.postfix.deliveries()
                                if delivery.status == "deferred")
    # Now and then somebody has asked before the pause was there.
    often = len(tries) * (1 + (time.time() - troubled.rig.begun) // 60)
    assert sum(tries.values()) <= 1.05 * often, tries.most_common(5)


def test_no_secret_is_told(troubled):
    rig = troubled.rig
    logs = rig.relay.tokend.log() + rig.relay.transport.log() + rig.relay.postfix.log() + str(troubled.queued) + str(troubled.tokens)
    assert "eyJ0" not in logs
    assert not [account for account, app in rig.apps.items() if app.secret and app.secret in logs]


# --- afterwards ---

@by_name
def test_the_message_arrives_when_it_is_over(mended, case):
    assert mended.arrived.get(mended.sent[case.account]) == 1, (
        mended.rig.queued().get(case.account), mended.rig.tokens().get(case.account))


def test_nothing_is_left_behind(mended):
    rig = mended.rig
    assert not rig.relay.postfix.wait_empty(10)
    assert {delivery.status for delivery in rig.relay.postfix.deliveries() if delivery.relay != "none"} == {"deferred", "sent"}
    assert post365(rig.relay, "status").returncode == 0
    assert {told["state"] for told in rig.tokens().values() if told["token"]} == {"fresh"}


def test_a_wait_that_was_asked_for_is_kept(mended):
    rig = mended.rig
    for name in ("seconds", "date"):
        arrived = [entry["arrived"] for entry in rig.entra.requests(client_id=rig.apps[f"{name}@example.com"].client_id)
                   if entry["arrived"] > rig.begun]
        assert len(arrived) >= 2 and min(b - a for a, b in zip(arrived, arrived[1:])) > RETRY_AFTER - 1.1, arrived


def test_the_daemons_have_lived_and_stayed_small(mended):
    rig = mended.rig
    assert rig.are_alive()
    now = [memory(rig.relay.tokend), memory(rig.relay.transport)]
    most = [memory(rig.relay.tokend, "VmHWM"), memory(rig.relay.transport, "VmHWM")]
    print(f"kB of tokend and transport: {mended.memory} then {now}, at most {most}")
    if not is_sanitized():
        assert max(most) < MOST
        assert all(after - before < GROWTH for before, after in zip(mended.memory[:2], now))


# --- what concerns all registrations ---

LIFE = 12  # seconds, of which a quarter is kept back
LIVES = 3


@pytest.fixture
def office365(place):
    return place.add(Office365(place.directory / "office365", limits=ROOMY,
                               mailboxes={account: {"password": PASSWORD} for account in (WELL, PASSWORD_ONLY)})).start()


@pytest.fixture
def entra(place, office365):
    return place.add(Entra(place.directory / "entra", office365)).start()


def start(place, office365, app, parameters):
    """A relay for the two accounts, each of whose messages needs a login."""
    relay = Relay(place.directory / "relay", office365, transport=[WELL, PASSWORD_ONLY],
                  passwords={PASSWORD_ONLY: f"{PASSWORD_ONLY}:{PASSWORD}"},
                  post365={**parameters, "post365_upn": WELL, "post365_oauth2_maps": {WELL: app.file},
                           "post365_message_quota": "none", "post365_recipient_quota": "none"})
    relay.transport.environment = {**relay.transport.environment, "POST365_TEST_CONNECTION_AGE": "1"}
    return place.add(relay).start()


def wait_deferred(relay, cause, timeout=60):
    """Until Postfix has been told it. Returns when that was seen."""
    def look():
        return [delivery for delivery in relay.postfix.deliveries() if delivery.status == "deferred" and cause in delivery.reply]
    assert processes.wait_until(look, timeout, 0.1), relay.transport.log()[-3000:]
    return time.time()


def cause_in_queue(relay):
    return {message["causes"][0]["cause"] for message in lines_of(relay, "queue")}


def test_an_outage_of_several_lives_of_a_token(place, office365, entra):
    """Mail goes as long as the token lives, waits then, and goes by itself when the endpoint is back."""
    app = entra.app(accounts=[WELL], lifetime=LIFE)
    relay = start(place, office365, app, entra.parameters())
    began = entra.wait_for_request(kind="app", status=200)["arrived"]
    entra.down()
    end = time.time() + LIVES * LIFE
    sent = {account: [] for account in (WELL, PASSWORD_ONLY)}
    stopped = None
    while time.time() < end:
        for account, messages in sent.items():
            messages.append(submit(relay, account))
        stopped = stopped or (time.time() if any(delivery.status == "deferred" for delivery in relay.postfix.deliveries()) else None)
        time.sleep(0.5)
    seen = wait_deferred(relay, "endpoint-unreachable: ")
    while_down = relay.accepted()
    assert cause_in_queue(relay) == {"endpoint-unreachable"}
    told = lines_of(relay, "token")[0]
    assert (told["state"], told["failure"]["cause"], told["token"]) == ("waiting", "endpoint-unreachable", None), told
    assert (stopped or seen) - began > LIFE * 3 / 4, "mail waited while the token was good"
    assert {WELL, PASSWORD_ONLY} == {arrival.sender for arrival in while_down}
    # With a password, all goes at once.
    for message_id in sent[PASSWORD_ONLY]:
        relay.arrival(message_id, timeout=60)
    entra.up()
    begun = time.monotonic()
    every = {message_id for messages in sent.values() for message_id in messages}
    assert processes.wait_until(lambda: every <= {arrival.message_id for arrival in relay.accepted()}, 90, 0.2), \
        relay.transport.log()[-3000:]
    print(f"{len(sent[WELL])} messages, {len([arrival for arrival in while_down if arrival.sender == WELL])} of them while the token "
          f"lived; the rest {time.monotonic() - begun:.0f} s after the endpoint was back")
    assert len(relay.accepted()) == len(every)
    assert not [delivery for delivery in relay.postfix.deliveries() if delivery.status not in ("sent", "deferred")]
    log = relay.tokend.log()
    assert log.count("not renewed: endpoint-unreachable") == log.count("the token has ended and there is no other") == 1, log
    assert "all is well again" in log and not office365.journal("auth-refused")


def test_a_proxy_that_wants_a_login(place, office365, entra):
    """The way out is everybody's: what logs in with a password goes all the same."""
    entra.set(proxy_login="somebody:else")
    app = entra.app(accounts=[WELL])
    relay = start(place, office365, app, entra.parameters(post365_oauth2_proxy=entra.proxy))
    message_id = submit(relay, WELL)
    wait_deferred(relay, "proxy-refused: ")
    relay.deliver(PASSWORD_ONLY, [TO], f"From: <{PASSWORD_ONLY}>\r\nSubject: x\r\n".encode())
    assert cause_in_queue(relay) == {"proxy-refused"}
    failure = lines_of(relay, "token")[0]["failure"]
    assert "407" in failure["reason"] and "407" in failure["remedy"] and not PLACES.search(failure["remedy"]), failure
    assert not entra.requests(kind="app")
    entra.set(proxy_login=None)
    assert post365(relay, "resume", WELL).returncode == 0
    relay.arrival(message_id, timeout=60)
    assert {entry["method"] for entry in entra.journal("proxy")} == {"CONNECT"}
