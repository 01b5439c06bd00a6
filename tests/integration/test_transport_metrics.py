"""post365_transport_metrics_listen: what the transport says of itself, while mail goes, waits and fails."""

import contextlib
import http.client
import signal

import pytest

from harness import processes
from harness.exposition import read_exposition
from harness.office365 import Office365
from harness.postfix import free_ports
from harness.relay import PASSWORD, UPN, Relay

HEADER = f"From: {UPN}\r\nTo: a@dest.example\r\nSubject: x\r\n".encode()


class Measured:
    """A relay whose transport has metrics."""

    def __init__(self, place, **parameters):
        self.port = free_ports(1)[0]
        self.office365 = place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}})).start()
        self.relay = place.add(Relay(
            place.directory / "relay", self.office365, transport=(UPN,),
            post365={"post365_transport_metrics_listen": f"127.0.0.1:{self.port}", **parameters})).start()

    def get(self, path):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def value(self, name, **labels):
        status, text = self.get("/metrics")
        assert status == 200
        return read_exposition(text)["post365_transport_" + name][frozenset(labels.items())]

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
    assert measured.value("recipients_accepted_total") == 3
    assert measured.value("connections_opened_total", tls_session="new") == 1
    assert measured.value("connections") == 1
    assert measured.value("messages_under_way") == 0
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
    assert measured.value("connections_failed_total", reason="login_refused") == 1
    assert measured.value("connections_failed_total", reason="other") == 0
    assert measured.becomes(1, "wakeups_waiting")


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
    measured = measure(post365_message_quota="1/4s", post365_max_wait="1s")
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


def test_an_address_in_use_is_refused_with_the_parameter(measure):
    measured = measure()
    measured.relay.transport.stop()
    with pytest.raises(processes.Died):
        measured.relay.postfix.configure({"post365_transport_metrics_listen": f"127.0.0.1:{measured.relay.postfix.smtp_port}"})
        measured.relay.transport.start()
    assert "post365_transport_metrics_listen = 127.0.0.1:" in measured.relay.transport.log()
