"""post365 doctor on the way to the server: what does not answer, is somebody else, or means no good."""

import itertools
import socket
import threading

import pytest
from doctoring import examine, forget, read

from harness.hostile import Hostile
from harness.office365 import Office365
from harness.relay import PASSWORD, UPN, Relay

STEPS = ["dns", "connect", "banner", "ehlo", "starttls", "tls", "certificate", "mechanisms"]


@pytest.fixture(scope="module")
def relay(module_place):
    office365 = module_place.add(Office365(module_place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}})).start()
    made = module_place.add(Relay(module_place.directory / "relay", office365, post365={"post365_upn": UPN}, transport=[UPN],
                                  passwords={UPN: f"{UPN}:{PASSWORD}"}))
    for daemon in (made.policyd, made.milter, made.transport):
        daemon.start()
    return made


@pytest.fixture
def front(relay, place):
    made = place.add(Hostile(relay.office365)).start()
    yield made
    assert made.problems == []
    forget(relay, UPN, port=made.port)


def to(port, host="localhost"):
    return ["-o", f"relayhost=[{host}]:{port}"]


def failed_at(found, step):
    """This step is the first that is wrong; those behind it were not tried, and nobody has logged in."""
    verdicts = [found.verdict(name) for name in STEPS]
    at = STEPS.index(step)
    assert verdicts == ["ok"] * at + ["wrong"] + ["not tried"] * (len(STEPS) - at - 1), found.text
    assert found.status == 1 and found.verdict("auth") == "not tried" and found.errors == ""
    assert found[step]["meaning"] and found[step]["remedy"] and "<host>" not in found.text
    return found[step]


def password_was_heard(front):
    return any(line.startswith(b"AUTH") for peer in front.peers for line in peer.heard)


# --- nobody there ---

def test_a_name_without_an_address(relay):
    assert "getent ahosts" in failed_at(examine(relay, options=to(587, "x" * 64 + ".invalid")), "dns")["remedy"]


def test_a_port_that_nobody_listens_on(relay):
    with socket.socket() as endpoint:
        endpoint.bind(("127.0.0.1", 0))
        found = examine(relay, options=to(endpoint.getsockname()[1]))
    assert "refused" in failed_at(found, "connect")["seen"]


# --- certificates ---

@pytest.mark.parametrize("kind, text", [("name", "is for another name (mail.elsewhere.example)"), ("expired", "certificate has expired"),
                                        ("self-signed", "self-signed"), ("untrusted", "not trusted")])
def test_a_certificate_that_is_not_believed(relay, kind, text):
    fault = relay.office365.add_fault(stage="tls", certificate=kind)
    try:
        found = examine(relay, options=to(relay.office365.port))
    finally:
        relay.office365.control({"command": "remove_fault", "id": fault})
    seen = failed_at(found, "certificate")["seen"]
    assert text in seen and "valid until 20" in seen and "issued by" in seen
    assert not relay.office365.journal("auth") and not relay.office365.journal("auth-refused")


def test_a_certificate_that_expires_soon(relay):
    fault = relay.office365.add_fault(stage="tls", certificate="expiring")
    try:
        found = examine(relay, "--force", options=to(relay.office365.port))
    finally:
        relay.office365.control({"command": "remove_fault", "id": fault})
        forget(relay, UPN)
    assert found.status == 1 and found.not_ok() == ["certificate"] and found.verdict("certificate") == "warning"
    assert "in 6 days" in found["certificate"]["seen"] or "in 7 days" in found["certificate"]["seen"]


def test_authorities_that_cannot_be_read(relay):
    found = examine(relay, options=["-o", "post365_tls_CAfile=/nonexistent/ca.pem"])
    assert found.verdict("server") == "wrong" and "/nonexistent/ca.pem" in found["server"]["seen"]


# --- a server that is none, or no good one ---

def garbage(peer):
    peer.say(b"\0\xff\x1b[31m garbage\r\n" * 10)


def escapes(peer):
    peer.say("554 5.7.1 \033]0;title\007\033[2J\u009b31m no service")


def endless_line(peer):
    peer.say(b"220 " + b"x" * 10_000_000)


def endless_lines(peer):
    for _ in itertools.repeat(None):
        peer.say(b"220-never\r\n" * 1000)


def goodbye(peer):
    peer.drop()


def refused_ehlo(peer):
    peer.say("220 hostile.example")
    peer.expect(b"EHLO")
    peer.say("550 5.7.1 \033[31mgo away")


def no_starttls(peer):
    peer.say("220 hostile.example")
    peer.expect(b"EHLO")
    peer.say("250-hostile.example\r\n250-STARTTLSX\r\n250 AUTH LOGIN")
    peer.wait_until_gone()


def injection(peer):
    peer.greet()
    peer.expect(b"STARTTLS")
    peer.say("220 ready\r\n250-hostile.example\r\n250 AUTH LOGIN")
    peer.wait_until_gone()


def no_tls(peer):
    peer.greet()
    peer.expect(b"STARTTLS")
    peer.say("220 ready")
    peer.connection.recv(1)  # the handshake has begun
    peer.say("500 what do you mean?")
    peer.wait_until_gone()


def only_plain(peer):
    peer.start_tls()
    peer.expect(b"EHLO")
    peer.say("250-hostile.example\r\n250 AUTH PLAIN XLOGIN")
    peer.wait_until_gone()


@pytest.mark.parametrize("play, step, text", [
    (garbage, "banner", "no reply of SMTP"), (escapes, "banner", "554 5.7.1 ?]0;title?"), (endless_line, "banner", "octets"),
    (endless_lines, "banner", "one line too many"), (goodbye, "banner", "closed the connection"), (refused_ehlo, "ehlo", "550 5.7.1 ?[31mgo away"),
    (no_starttls, "starttls", "not offered"), (injection, "starttls", "in plain text"), (no_tls, "tls", "TLS with localhost failed"),
    (only_plain, "mechanisms", "neither LOGIN nor XOAUTH2")], ids=lambda value: getattr(value, "__name__", None))
def test_a_server_that_is_none(relay, front, play, step, text):
    front.arm(play)
    found = examine(relay, options=to(front.port))
    assert text in failed_at(found, step)["seen"], found[step]
    assert not password_was_heard(front)


def log_in_with(*replies):
    """Lets the way be checked, then answers the login so."""
    def way(peer):
        peer.encrypt()
        peer.expect(b"QUIT")

    def login(peer):
        peer.encrypt()
        for reply in replies:
            peer.hear()
            peer.say(reply)
        peer.wait_until_gone()
    return way, login


@pytest.mark.parametrize("replies, text", [
    (["535 5.7.3 \033[31mno\033]0;x\007"], "535 5.7.3 ?[31mno?]0;x?"),
    (["334 " + "A" * 2000] * 20, "goes on asking"), (["junk"], "no reply of SMTP"), ([b"235-x\r\n" * 10000], "one line too many"),
    (["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", b"5" * 100000], "octets")])
def test_a_hostile_answer_to_the_login(relay, front, replies, text):
    front.arm(*log_in_with(*replies))
    found = examine(relay, options=to(front.port))
    assert found.verdict("mechanisms") == "ok" and found.verdict("auth") == "wrong" and text in found["auth"]["seen"]
    assert found.status == 1 and found.errors == ""


def test_no_login_where_it_is_not_offered(relay, front):
    def only_tokens(peer):
        peer.start_tls()
        peer.expect(b"EHLO")
        peer.say("250-hostile.example\r\n250 AUTH XOAUTH2")
        peer.wait_until_gone()
    front.arm(only_tokens)
    found = examine(relay, options=to(front.port))
    assert found["mechanisms"]["seen"] == "XOAUTH2" and found.verdict("auth") == "wrong"
    assert "does not offer LOGIN" in found["auth"]["seen"] and not password_was_heard(front)


def test_microsofts_words_are_shown_harmless_to_people_too(relay, front):
    front.arm(*log_in_with("535 5.7.139 \033[2J\u202eAuthentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."))
    found = read(relay, options=to(front.port))
    assert "closed, see above" in found.text and "(tenant-switch)" in found.text


def test_the_sender_is_refused(relay, front):
    way, _ = log_in_with()

    def login(peer):
        peer.log_in()
        assert peer.hear() == b"MAIL FROM:<relay@example.com>"
        peer.say("530 5.7.57 Client not authenticated to send mail.")
        peer.expect(b"RSET")
        peer.say("250 2.0.0 ok")
        peer.expect(b"QUIT")
        peer.drop()
    front.arm(way, login)
    found = examine(relay, options=to(front.port))
    assert found.verdict("auth") == "ok" and found.verdict("sender") == "wrong" and "(not-authenticated)" in found["sender"]["seen"]


def test_silence_and_a_trickle_have_an_end(relay, place):
    """Twenty seconds each, at once."""
    def silence(peer):
        peer.wait_until_gone()

    def trickle(peer):
        while not peer.dropped.wait(1):
            peer.say(b"2")
    fronts = {play: place.add(Hostile(relay.office365)).start() for play in (silence, trickle)}
    found = {}

    def look(play):
        fronts[play].arm(play)
        found[play] = examine(relay, options=to(fronts[play].port))
    threads = [threading.Thread(target=look, args=(play,)) for play in fronts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for examination in found.values():
        assert "no answer within 20 s" in failed_at(examination, "banner")["seen"]
