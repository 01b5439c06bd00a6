"""What post365 setup makes of a relay delivers mail: on each of the relays of setup_shapes.py."""

import socket
import threading

import pytest
from demo import traffic
from setup_shapes import SECOND, SHAPES, applied, make, undone

from harness import client, message, processes, programs
from harness.arrivals import Arrival
from harness.office365 import Office365
from harness.postfix import free_ports
from harness.relay import PASSWORD, UPN

FROM = b"From: App <%s>\r\nSubject: x\r\n"


@pytest.fixture(scope="module")
def office365(module_place):
    roomy = {"recipients": {"limit": 100000, "period": 86400}, "messages": {"limit": 100000, "period": 60},
             "recipients_per_message": 1000, "connections": 100}
    return module_place.add(Office365(module_place.directory / "office365", limits=roomy, mailboxes={
        UPN: {"password": PASSWORD}, SECOND: {"password": "second secret"}},
        unknown_recipients={"unknown-user": [traffic.NOBODY]})).start()


def milter_port(place):
    """A milter that is there and says goodbye: with default_action=accept mail goes on without it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return
    threading.Thread(target=serve, daemon=True).start()
    place.add(type("Listener", (), {"stop": staticmethod(lambda: listener.shutdown(socket.SHUT_RDWR))})())
    return listener.getsockname()[1]


def start(place, postfix):
    """Without limits, so that nobody has to wait."""
    for daemon in (programs.Policyd, programs.Milter, programs.Transport):
        place.add(daemon(postfix, "-o", "post365_message_quota=none", "-o", "post365_recipient_quota=none")).start()
    postfix.start()
    (postfix.queue_directory / "public").chmod(0o755)
    return postfix


def send(postfix, ports):
    """One message of each kind. Returns their Message-IDs."""
    ids = []
    for port in ports:
        for sender in ("app@intern.example", ""):
            message_id, data = message.compose(FROM % (sender.encode() or b"MAILER-DAEMON@intern.example"), b"hello\n")
            outcome = client.send(port, sender, ["a@dest.example"], data)
            assert outcome.accepted, outcome
            ids.append(message_id)
    for sender in ("root", SECOND):
        message_id, data = message.compose(b"From: cron <root>\nSubject: x\n", b"hello\n")
        postfix.sendmail(data, "-f", sender, "b@dest.example")
        ids.append(message_id)
    return ids


def send_as_the_demo_does(postfix):
    """The demo's traffic, but that a relay of these may know no logins. Returns {Message-ID: recipients}."""
    mails = [*traffic.mixed(), *traffic.late_cron(), *traffic.burst(), traffic.newsletter()]
    for mail in mails:
        if mail.channel == traffic.SENDMAIL:
            postfix.sendmail(mail.data.replace(b"\r\n", b"\n"), "-i", "-f", mail.sender, *mail.recipients)
        else:
            outcome = client.send(postfix.smtp_port, mail.sender, list(mail.recipients), mail.data)
            assert outcome.accepted, (mail.id, outcome)
    return {mail.message_id: set(mail.recipients) for mail in mails if mail.kind is not traffic.UNDELIVERABLE}


def check_demo(postfix, office365):
    before = len(list(office365.journal("accepted")))
    wanted = send_as_the_demo_does(postfix)

    def arrived():
        found = {}
        for arrival in list(map(Arrival, office365.journal("accepted")))[before:]:
            found.setdefault(arrival.message_id, set()).update(arrival.recipients)
        return found
    assert processes.wait_until(lambda: all(arrived().get(name) == to for name, to in wanted.items()), 60, 0.3), (
        {name for name, to in wanted.items() if arrived().get(name) != to}, postfix.log()[-4000:])
    assert {entry["sender"] for entry in list(office365.journal("accepted"))[before:]} <= {UPN, SECOND}
    assert postfix.wait_empty(20) == []
    # Nobody was refused but the address that does not exist, whose sender was told.
    assert not list(office365.journal("refused"))
    assert {entry["recipient"]["address"] for entry in office365.journal("rcpt-refused")} == {traffic.NOBODY}
    assert len(arrived()) == len(wanted) + 1


@pytest.mark.parametrize("name", SHAPES)
def test_mail_goes_through(place, office365, name):
    shape = SHAPES[name]
    third, fourth = free_ports(2)
    postfix = make(place, shape, port=office365.port, ca_file=office365.ca_file, extra_ports=(milter_port(place), third, fourth))
    before = postfix.contents()
    applied(postfix)
    assert postfix.check() == "" and postfix.command("postconf", "-n").stderr == ""
    start(place, postfix)
    ports = [postfix.smtp_port, postfix.submission_port, *([third] if name == "milters" else [])]
    wanted = set(send(postfix, ports))

    def arrived():
        return {arrival.message_id: arrival.sender for arrival in map(Arrival, office365.journal("accepted"))
                if arrival.message_id in wanted}
    assert processes.wait_until(lambda: len(arrived()) == len(wanted), 30, 0.1), postfix.log()[-4000:]
    assert set(arrived().values()) <= {UPN, SECOND}
    assert postfix.wait_empty(10) == [] and "status=bounced" not in postfix.log()
    relays = {delivery.relay for delivery in postfix.deliveries()}
    assert all("post365/" in relay for relay in relays), relays
    assert any(f"post365/accounts/{account}" in postfix.log() for account in shape.accounts)
    check_demo(postfix, office365)
    undone(postfix)
    assert postfix.contents() == before
