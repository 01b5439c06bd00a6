"""post365_transport_metrics_listen: what the transport says of itself, while mail goes, waits and fails."""

import contextlib
import http.client
import signal
import smtplib
import socket
import time

import pytest
from test_metrics import leave_descriptors, starve
from test_transport import lmtp, send

from harness import processes
from harness.exposition import read_exposition
from harness.office365 import Office365
from harness.postfix import free_ports
from harness.relay import PASSWORD, UPN, Relay

HEADER = f"From: {UPN}\r\nTo: a@dest.example\r\nSubject: x\r\n".encode()
MESSAGE = HEADER + b"\r\nhello\r\n"
OUTCOMES = {"accepted", "refused", "deferred", "no_room", "not_attempted", "unknown", "abandoned"}
STATES = {"ledger", "connecting", "envelope", "body", "held", "final", "settling"}


class Measured:
    """A relay whose transport has metrics."""

    def __init__(self, place, **parameters):
        self.port = free_ports(1)[0]
        self.office365 = place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}})).start()
        self.relay = place.add(Relay(
            place.directory / "relay", self.office365, transport=(UPN,),
            post365={"post365_transport_metrics_listen": f"127.0.0.1:{self.port}", **parameters})).start()

    def raw(self):
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def get(self, path):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def value(self, name, **labels):
        status, text = self.get("/metrics")
        assert status == 200
        return read_exposition(text)["post365_transport_" + name][frozenset(labels.items())]

    def family(self, name, label):
        """{label's value: figure}"""
        found = read_exposition(self.get("/metrics")[1]).get("post365_transport_" + name, {})
        return {dict(labels)[label]: value for labels, value in found.items()}

    def family_becomes(self, wanted, name, label):
        """Whether this is all that is not 0."""
        return processes.wait_until(
            lambda: {key: value for key, value in self.family(name, label).items() if value} == wanted, 10, 0.1)

    def becomes(self, wanted, name, **labels):
        """Pages are made once a second."""
        return processes.wait_until(lambda: self.value(name, **labels) == wanted, 10, 0.1)


@pytest.fixture
def measure(place):
    return lambda **parameters: Measured(place, **parameters)


def test_messages_recipients_and_connections_are_counted(measure):
    measured = measure()
    measured.relay.deliver(UPN, ["a@dest.example", "b@dest.example"], HEADER)
    measured.relay.deliver(UPN, ["a@dest.example"], HEADER)
    assert measured.becomes(2, "messages_total", outcome="accepted")
    assert measured.value("recipients_total", outcome="accepted") == 3
    assert measured.value("connections_opened_total", tls_session="new") == 1
    assert measured.value("connections") == 1
    assert measured.family("messages_under_way", "state") == dict.fromkeys(STATES, 0)
    assert measured.family("account_connections", "account") == {UPN: 1}
    assert measured.family("account_connections_limit", "account") == {UPN: 3}
    assert measured.value("message_duration_seconds_count") == 2
    assert measured.value("room_duration_seconds_count") == 2
    assert measured.value("ledger_up") == 1
    assert measured.value("sessions_limit") == 1000
    assert measured.get("/healthz") == (200, "ok\n")


def test_a_login_that_fails_shows(measure):
    measured = measure()
    measured.office365.set_mailbox(UPN, password="changed")
    measured.relay.submit(UPN, ["a@dest.example"], HEADER)
    assert measured.becomes(1, "accounts_troubled")
    assert measured.value("messages_total", outcome="deferred") == 1
    assert measured.family_becomes({"login_refused": 1}, "connections_failed_total", "reason")
    assert measured.becomes(1, "wakeups_waiting")
    [(cause, number)] = [(cause, number) for cause, number in measured.family("pauses_total", "cause").items() if number]
    assert number == 1 and f"cause {cause}:" in measured.relay.transport.log()
    before = measured.value("turned_away_total")
    with pytest.raises(smtplib.SMTPConnectError, match="paused"):
        lmtp(measured.relay, f"accounts/{UPN}")
    assert measured.becomes(before + 1, "turned_away_total")


def test_the_age_of_the_oldest_message_that_waits(measure):
    measured = measure()
    relay = measured.relay

    def oldest_after_a_start():
        """The queue is looked at soon after a start."""
        relay.transport.stop()
        relay.transport.start()
        found = []

        def look():
            page = read_exposition(measured.get("/metrics")[1])
            found[:] = page.get("post365_transport_queue_oldest_seconds", {}).values()
            return found
        assert processes.wait_until(look, 20, 0.2), relay.transport.log()
        return found[0]
    measured.office365.set_mailbox(UPN, password="changed")
    relay.submit(UPN, ["a@dest.example"], HEADER)
    assert measured.becomes(1, "accounts_troubled")
    [message] = relay.postfix.queue()
    age = oldest_after_a_start()
    assert 3 <= age <= time.time() - message["arrival_time"]
    assert processes.wait_until(lambda: measured.value("queue_oldest_seconds") > age, 30, 0.2)
    relay.postfix.command("postsuper", "-h", message["queue_id"])
    assert oldest_after_a_start() == 0


def begin(client):
    """Up to the middle of a message."""
    ask(client)
    assert client.getreply()[0] == 354
    client.send(MESSAGE)


def ask(client):
    """Whether a message may come; the answer is not awaited."""
    client.ehlo_or_helo_if_needed()
    assert client.docmd("MAIL", f"FROM:<{UPN}>")[0] == 250
    assert client.docmd("RCPT", "TO:<a@dest.example>")[0] == 250
    client.putcmd("DATA")


def test_outcomes_are_told_apart(measure):
    measured = measure(post365_message_quota="6/1h", post365_recipients_per_message="3")
    office365 = measured.office365
    office365.set(unknown_recipients={"unknown-recipient": ["nobody@dest.example"]})
    with contextlib.closing(lmtp(measured.relay)) as client:
        # One is refused, and one is one too many.
        recipients = [f"{name}@dest.example" for name in ("a", "nobody", "b", "c")]
        assert [code for code, _ in send(client, UPN, recipients, MESSAGE)] == [250, 550, 250, 452]
        measured.relay.policyd.stop()
        assert send(client, UPN, ["a@dest.example"], MESSAGE)[0][0] == 451
        answers = measured.relay.transport.log().count("the ledger answers")
        measured.relay.policyd.start()
        assert processes.wait_until(lambda: measured.relay.transport.log().count("the ledger answers") > answers, 20)
        office365.add_fault(stage="dot", reply="554 5.6.0 no such thing", times=1)
        assert send(client, UPN, ["a@dest.example", "b@dest.example"], MESSAGE)[0][0] == 554
        office365.add_fault(stage="dot", reply="451 4.3.0 later", times=1)
        assert send(client, UPN, ["a@dest.example"], MESSAGE)[0][0] == 451
        office365.add_fault(stage="dot", action="drop", times=1)
        assert b"may have been delivered" in send(client, UPN, ["a@dest.example"], MESSAGE)[0][1]
        begin(client)
    assert measured.family_becomes({"accepted": 1, "refused": 1, "deferred": 1, "not_attempted": 1, "unknown": 1,
                                    "abandoned": 1}, "messages_total", "outcome")
    assert measured.family("recipients_total", "outcome") == {"accepted": 2, "deferred": 4, "refused": 3}
    assert measured.value("message_duration_seconds_count") == 5
    assert set(measured.family("messages_total", "outcome")) == OUTCOMES


def test_octets_that_were_sent_are_those_of_the_messages(measure):
    measured = measure()
    large = MESSAGE + b"x" * 998 + b"\r\n" + b"..y\r\n" * 100_000
    with lmtp(measured.relay) as client:
        assert send(client, UPN, ["a@dest.example"], MESSAGE)[0][0] == 250
        assert send(client, UPN, ["a@dest.example"], large)[0][0] == 250
    assert measured.becomes(len(MESSAGE) + len(large), "sent_bytes_total")


def test_what_a_message_waits_for_shows(measure):
    measured = measure(post365_message_quota="3/4s", post365_quota_guard="100ms", post365_connection_limit="2")
    clients = [lmtp(measured.relay) for _ in range(4)]
    for client in clients[:2]:
        begin(client)
    for client in clients[2:]:
        ask(client)
    assert measured.family_becomes({"body": 2, "connecting": 1, "ledger": 1}, "messages_under_way", "state")
    assert measured.value("sessions") == 4
    assert measured.family("account_connections", "account") == {UPN: 2}
    assert measured.family("account_connections_limit", "account") == {UPN: 2}
    assert measured.family("account_waiting", "account") == {UPN: 1}
    for client in clients[:2]:
        assert client.docmd(".")[0] == 250
    for client in clients[2:]:
        assert client.getreply()[0] == 354
        client.send(MESSAGE)
        assert client.docmd(".")[0] == 250
        assert client.quit()[0] == 221
    assert measured.family_becomes({}, "messages_under_way", "state")
    assert 1 < measured.value("room_duration_seconds_sum") < measured.value("message_duration_seconds_sum")
    for client in clients[:2]:
        assert client.quit()[0] == 221
    assert measured.becomes(0, "sessions")


def test_connections_that_fail_are_counted_by_reason(measure):
    measured = measure()
    with lmtp(measured.relay) as client:
        for fault in ({"stage": "connect", "action": "drop"}, {"stage": "tls", "certificate": "name"},
                      {"stage": "auth", "action": "drop"}):
            measured.office365.add_fault(**fault, times=1)
            assert send(client, UPN, ["a@dest.example"], MESSAGE)[0][0] == 451
    assert measured.family_becomes({"connection": 1, "tls": 1, "login": 1}, "connections_failed_total", "reason")


def test_accounts_that_have_credentials_are_shown(measure):
    measured = measure()
    where = f"[localhost]:{measured.office365.port}"
    credentials = {where: f"{UPN}:{PASSWORD}"}
    assert measured.family("account_connections", "account") == {UPN: 0}
    assert measured.family("account_connections_limit", "account") == {}
    with lmtp(measured.relay) as client:
        assert send(client, UPN, ["a@dest.example"], MESSAGE)[0][0] == 250
    many = {f"u{number:04}@example.com": f"u{number:04}@example.com:secret" for number in range(1004)}
    measured.relay.postfix.table("sasl_passwd", {**credentials, **many}, mode=0o644)
    assert processes.wait_until(lambda: measured.value("accounts") == 1005, 20, 0.2)
    assert measured.value("accounts_omitted") == 5
    assert sorted(measured.family("account_connections", "account")) == sorted([UPN, *many])[:1000]
    assert measured.family("account_connections_limit", "account") == {UPN: 3}
    measured.relay.postfix.table("sasl_passwd", credentials, mode=0o644)
    assert processes.wait_until(lambda: measured.family("account_waiting", "account") == {UPN: 0}, 20, 0.2)
    assert measured.value("accounts_omitted") == 0
    assert PASSWORD not in measured.get("/metrics")[1]


def test_a_tls_session_is_taken_up_again_after_its_connection_has_ended(measure):
    measured = measure()
    measured.relay.deliver(UPN, ["a@dest.example"], HEADER)
    measured.office365.add_fault(stage="after-reply", action="drop", times=1)
    measured.relay.deliver(UPN, ["a@dest.example"], HEADER)
    assert measured.becomes(0, "connections")
    measured.relay.deliver(UPN, ["a@dest.example"], HEADER)
    assert measured.becomes(1, "connections_opened_total", tls_session="resumed")
    assert measured.value("connections_opened_total", tls_session="new") == 1


def test_what_has_no_room_and_is_woken_up_shows(measure):
    measured = measure(post365_message_quota="1/3s", post365_max_wait="1s")
    for recipient in ("a", "b"):
        measured.relay.submit(UPN, [f"{recipient}@dest.example"], HEADER)
    assert measured.becomes(1, "messages_total", outcome="no_room")
    assert measured.becomes(2, "messages_total", outcome="accepted")
    assert measured.value("wakeups_total") >= 1


def test_without_the_ledger_the_transport_is_not_well(measure):
    measured = measure()
    measured.relay.policyd.kill()
    assert measured.becomes(0, "ledger_up")
    status, text = measured.get("/healthz")
    assert status == 503 and "post365-policyd" in text
    measured.relay.submit(UPN, ["a@dest.example"], HEADER)
    assert measured.becomes(1, "messages_total", outcome="not_attempted")
    measured.relay.policyd.start()
    assert measured.becomes(1, "ledger_up")
    assert measured.get("/healthz")[0] == 200


def health_becomes(measured, status, words):
    def answer():
        found, text = measured.get("/healthz")
        return found == status and words in text
    return processes.wait_until(answer, 15, 0.1)


def test_a_ledger_that_hangs_or_cannot_be_used_is_none(measure):
    measured = measure()
    policyd = measured.relay.policyd
    policyd.signal(signal.SIGSTOP)
    try:
        assert health_becomes(measured, 503, "the ledger does not answer: post365-policyd has said nothing for")
        assert measured.becomes(0, "ledger_up")
    finally:
        policyd.signal(signal.SIGCONT)
    assert health_becomes(measured, 200, "ok")
    policyd.stop()
    turns = measured.relay.postfix.directory / "ledger" / "turns.db"
    turns.write_bytes(b"x" * len(turns.read_bytes()))
    policyd.start()
    assert health_becomes(measured, 503, "the ledger cannot be used: ")
    assert measured.value("ledger_up") == 0


def test_reloads_are_counted(measure):
    measured = measure()
    measured.relay.transport.reload()
    assert measured.becomes(1, "reloads_total", result="ok")
    measured.relay.postfix.configure({"post365_message_quota": "junk"})
    measured.relay.transport.reload()
    assert measured.becomes(1, "reloads_total", result="failed")


def test_no_descriptor_for_a_client_is_no_end(measure):
    measured = measure()
    limit = leave_descriptors(measured.relay.transport, 8)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            starve(stack, measured.relay.transport, measured.port, measured.raw, limit)
    measured.relay.deliver(UPN, ["a@dest.example"], HEADER)


def test_an_address_in_use_is_refused_with_the_parameter(measure):
    measured = measure()
    measured.relay.transport.stop()
    with pytest.raises(processes.Died):
        measured.relay.postfix.configure({"post365_transport_metrics_listen": f"127.0.0.1:{measured.relay.postfix.smtp_port}"})
        measured.relay.transport.start()
    assert "post365_transport_metrics_listen = 127.0.0.1:" in measured.relay.transport.log()
