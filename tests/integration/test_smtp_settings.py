"""The settings of smtp(8) in main.cf, as the transport keeps them, and as setup and the doctor tell what has no effect."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from doctoring import examine, forget
from setup_shapes import DEBIAN_MAIN, RECIPE, Shape, make, run_setup

from harness import processes
from harness.hostile import Hostile
from harness.office365 import Office365
from harness.relay import PASSWORD, UPN, Relay

HEADER = f"From: {UPN}\r\nSubject: x\r\n".encode()
TO = ["a@dest.example"]


@pytest.fixture
def office365(place):
    return place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}})).start()


@pytest.fixture
def front(place, office365):
    made = place.add(Hostile(office365)).start()
    yield made
    assert made.problems == []


@pytest.fixture
def public():
    """A directory that everybody may read."""
    directory = Path(tempfile.mkdtemp(prefix="post365-public-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def start(place, office365):
    def start_one(server=None, **parameters):
        port = (server or office365).port
        relay = place.add(Relay(place.directory / "relay", office365, post365={}, transport=[UPN], passwords={
            f"[localhost]:{port}": f"{UPN}:{PASSWORD}"}, parameters={"relayhost": f"[localhost]:{port}", **parameters}))
        return relay.start()
    return start_one


def reason(relay, text, timeout=20):
    """Waits until something is deferred for a reason with this text; returns the reason."""
    def find():
        return [recipient.get("delay_reason", "") for message in relay.postfix.queue() for recipient in message["recipients"]
                if text in recipient.get("delay_reason", "")]
    found = processes.wait_until(find, timeout, 0.1)
    assert found, f"nothing is deferred for {text!r}: {relay.postfix.queue()}\n{relay.transport.log()[-2000:]}"
    return found[0]


def taking(*ends):
    """A server that takes a message on a connection for each end, which is called with the peer behind it."""
    def play(peer):
        peer.message()
        peer.say("250 2.0.0 OK <x@example.com> Queued mail for delivery")
        for end in ends:
            end(peer)
    return play


# --- how the transport greets, and from where ---

def test_it_greets_with_smtp_helo_name(start, front):
    relay = start(front, myhostname="shop_relay.shop_default", smtp_helo_name="relay.contoso.example")
    front.arm(taking(lambda peer: peer.wait_until_gone()))
    relay.submit(UPN, TO, HEADER)
    assert processes.wait_until(lambda: front.peers and b"EHLO relay.contoso.example" in front.peers[0].heard, 20)
    greetings = [line for line in front.peers[0].heard if line.startswith(b"EHLO")]
    assert set(greetings) == {b"EHLO relay.contoso.example"}


def test_a_new_name_is_taken_at_a_reload(start, front):
    relay = start(front)
    relay.postfix.configure({"smtp_helo_name": "[192.0.2.1]"})
    relay.transport.reload()
    front.arm(taking(lambda peer: peer.wait_until_gone()))
    relay.submit(UPN, TO, HEADER)
    assert processes.wait_until(lambda: front.peers and b"EHLO [192.0.2.1]" in front.peers[0].heard, 20)


@pytest.mark.parametrize("address", ["127.0.0.3", "[127.0.0.4]"])
def test_it_comes_from_smtp_bind_address(start, office365, address):
    relay = start(smtp_bind_address=address)
    relay.deliver(UPN, TO, HEADER)
    assert {entry["peer"] for entry in office365.journal("connect")} == {address.strip("[]")}
    found = examine(relay, "--force")
    forget(relay, UPN)
    assert found.verdict("connect") == "ok"
    assert {entry["peer"] for entry in office365.journal("connect")} == {address.strip("[]")}


def test_an_address_that_the_machine_does_not_have_is_told_and_mail_goes(start, office365):
    relay = start(smtp_bind_address="192.0.2.99")
    relay.deliver(UPN, TO, HEADER)
    assert "smtp_bind_address: 192.0.2.99: Cannot assign requested address" in relay.transport.log()
    found = examine(relay, "--force")
    forget(relay, UPN)
    assert found.verdict("smtp-settings") == "warning" and "192.0.2.99" in found["smtp-settings"]["seen"]


def test_with_enforce_no_connection_comes_from_elsewhere(start, office365):
    relay = start(smtp_bind_address="192.0.2.99", smtp_bind_address_enforce="yes")
    relay.submit(UPN, TO, HEADER)
    reason(relay, "smtp_bind_address")
    assert not office365.journal("connect")


def test_discarded_keywords_are_not_used(start, front):
    relay = start(front, smtp_discard_ehlo_keywords="size, 8bitmime, starttls")
    heard = []

    def play(peer):
        peer.log_in("SIZE 157286400", "8BITMIME")
        heard.append(peer.expect(b"MAIL"))
    front.arm(play)
    relay.submit(UPN, TO, HEADER)
    assert processes.wait_until(lambda: heard, 20)
    assert b"SIZE" not in heard[0].upper() and b"BODY" not in heard[0].upper()
    assert "STARTTLS and AUTH are used all the same" in relay.transport.log()


# --- time ---

def silent(peer):
    peer.wait_until_gone()


def test_a_greeting_that_does_not_come_is_waited_for_as_long_as_main_cf_says(start, front):
    relay = start(front, smtp_helo_timeout="2s")
    front.arm(silent, silent, silent)
    began = time.monotonic()
    relay.submit(UPN, TO, HEADER)
    reason(relay, "does not answer (connect)")
    assert 2 <= time.monotonic() - began < 15


def test_a_handshake_that_does_not_end_is_waited_for_as_long_as_main_cf_says(start, front):
    def play(peer):
        peer.greet()
        peer.expect(b"STARTTLS")
        peer.say("220 2.0.0 SMTP server ready")
        peer.wait_until_gone()
    relay = start(front, smtp_starttls_timeout="2s")
    front.arm(play, play, play)
    relay.submit(UPN, TO, HEADER)
    reason(relay, "does not answer (STARTTLS)", 15)


def test_a_connection_that_swallows_everything_is_replaced_by_a_fresh_one(start, front, office365):
    """A firewall has forgotten it: nobody answers, and nobody closes it."""
    relay = start(front, smtp_mail_timeout="2s")
    front.arm(taking(lambda peer: peer.wait_until_gone()))
    relay.submit(UPN, TO, HEADER)
    assert processes.wait_until(lambda: not relay.postfix.queue(), 20, 0.1)
    assert not relay.accepted()
    began = time.monotonic()
    relay.deliver(UPN, TO, HEADER)  # by the stand-in, on a second connection
    assert 2 <= time.monotonic() - began < 15
    assert len([line for line in front.peers[0].heard if line.startswith(b"MAIL")]) == 1


def test_a_time_that_is_none_stops_nothing(start):
    relay = start(smtp_rcpt_timeout="for ever")
    relay.deliver(UPN, TO, HEADER)
    assert "smtp_rcpt_timeout = for ever: is no time" in relay.transport.log()


# --- TLS ---

def authority(directory, name):
    """A certificate that vouches for nobody."""
    made = directory / f"{name}.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-keyout", "/dev/null", "-out", made], check=True, capture_output=True)
    return made


@pytest.mark.parametrize("way", ["contents of a file", "another file", "a directory"])
def test_a_reload_takes_an_authority_away_and_gives_it_back(start, office365, public, way):
    trusted, other = public / "trusted.pem", authority(public, "stranger")
    shutil.copy(office365.ca_file, trusted)
    if way == "a directory":
        (public / "in").mkdir()
        (public / "none").mkdir()
        shutil.copy(trusted, public / "in" / "ca.pem")
        subprocess.run(["openssl", "rehash", public / "in"], check=True)
        relay = start(smtp_tls_CAfile="", smtp_tls_CApath=str(public / "in"))
    else:
        relay = start(smtp_tls_CAfile=str(trusted))

    def trust(is_trusted):
        if way == "contents of a file":
            shutil.copy(office365.ca_file if is_trusted else other, trusted)
        elif way == "another file":
            relay.postfix.configure({"smtp_tls_CAfile": str(trusted if is_trusted else other)})
        else:
            relay.postfix.configure({"smtp_tls_CApath": str(public / ("in" if is_trusted else "none"))})
        assert "reloaded" in relay.transport.reload()
    relay.deliver(UPN, TO, HEADER)  # leaves a connection, and a session that could be resumed
    trust(False)
    logins = len(office365.journal("auth"))
    relay.submit(UPN, ["b@dest.example"], HEADER)
    assert "not trusted" in reason(relay, "certificate")
    assert len(office365.journal("auth")) == logins
    trust(True)
    relay.deliver(UPN, ["c@dest.example"], HEADER)


def test_an_authority_that_cannot_be_read_any_more_fails_the_reload(start, office365, public):
    trusted = public / "trusted.pem"
    shutil.copy(office365.ca_file, trusted)
    relay = start(smtp_tls_CAfile=str(trusted))
    trusted.unlink()
    assert "reload failed, the old settings stay in force" in relay.transport.reload()
    relay.deliver(UPN, TO, HEADER)
    trusted.write_text("no certificate\n")
    assert "reload failed" in relay.transport.reload()
    relay.deliver(UPN, TO, HEADER)


@pytest.mark.parametrize("parameters, version", [({"smtp_tls_mandatory_protocols": "!TLSv1.3"}, "TLSv1.2"),
                                                 ({"smtp_tls_mandatory_protocols": ">=TLSv1.3"}, "TLSv1.3"),
                                                 ({"smtp_tls_security_level": "may", "smtp_tls_protocols": "TLSv1.2"}, "TLSv1.2"),
                                                 ({"smtp_tls_mandatory_protocols": "TLSv1"}, "TLSv1.3")])
def test_versions_of_tls(start, front, parameters, version):
    relay = start(front, **parameters)
    spoken = []

    def play(peer):
        peer.encrypt()
        spoken.append(peer.connection.version())
    front.arm(play)
    relay.submit(UPN, TO, HEADER)
    assert processes.wait_until(lambda: spoken, 20)
    assert spoken[0] == version
    assert ("leaves neither TLS 1.2 nor TLS 1.3" in relay.transport.log()) == (parameters.get("smtp_tls_mandatory_protocols") == "TLSv1")


def test_a_reset_in_the_handshake_has_a_reason(start, front):
    def play(peer):
        peer.greet()
        peer.expect(b"STARTTLS")
        peer.say("220 2.0.0 SMTP server ready")
        peer.connection.recv(1)
        peer.connection.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SO_LINGER: a reset
    relay = start(front)
    front.arm(play, play, play)
    relay.submit(UPN, TO, HEADER)
    assert "(null)" not in reason(relay, "STARTTLS")
    assert "(null)" not in relay.transport.log()


# --- what has no effect is told ---

@pytest.mark.parametrize("line, told", [
    ("smtp_fallback_relay = [mx.corp.example]", "goes to no other server"),
    ("smtp_tls_security_level = encrypt", "The transport is stricter"),
    ("smtp_tls_policy_maps = inline:{{[smtp.office365.com]:587=may}}", "whatever the table says"),
    ("smtp_body_checks = static:IGNORE", "lmtp_body_checks"),
    ("smtp_tls_cert_file = /etc/ssl/certs/relay.pem", "No client certificate is shown"),
    ("smtp_tls_wrappermode = yes", "STARTTLS"),
    ("smtp_inet_something = 1", None),
    ("smtp_tls_secure_cert_match = .outlook.com", "must have the name in"),
    ("smtp_tls_loglevel = 1", None),
    ("smtp_helo_name = $myhostname", None),
    ("smtp_tls_servername = hostname", None),
    ("smtp_fallback_relay =", None),
    ("smtp_connect_timeout = now", "is no time"),
])
def test_setup_tells_what_has_no_effect(place, line, told):
    postfix = make(place, Shape(DEBIAN_MAIN + RECIPE + line + "\n"))
    done = run_setup(postfix)
    remarks = " ".join(done.stdout.partition("Left as it is")[2].split())
    name = line.split()[0]
    assert (name in remarks) == (told is not None), remarks
    assert told is None or told in remarks


@pytest.mark.parametrize("option", ["-o smtp_sasl_password_maps=hash:/etc/x", "-osmtp_sasl_password_maps=static:a@b.example:geheim"])
def test_setup_says_where_passwords_stand_that_it_does_not_read(place, option):
    postfix = make(place, Shape(DEBIAN_MAIN + RECIPE.replace("smtp_sasl_password_maps", "# smtp_sasl_password_maps"),
                                master=f"relaying unix - - n - - smtp\n  {option}\n"))
    done = run_setup(postfix)
    assert done.returncode == 78
    assert "in master.cf, for the service relaying/unix alone" in done.stderr and "geheim" not in done.stderr


@pytest.mark.parametrize("dash", ["-o ", "-o"])
@pytest.mark.parametrize("option, told", [("smtp_helo_name=other.example", "The transport reads main.cf alone"),
                                          ("smtp_bind_address=127.0.0.9", "The transport reads main.cf alone"),
                                          ("{ inet_protocols = ipv6 }", "The transport reads main.cf alone"),
                                          ("smtp_fallback_relay=[x.example]", "goes to no other server"),
                                          ("smtp_generic_maps=hash:/etc/postfix/generic", "lmtp_generic_maps"),
                                          ("smtp_header_checks=regexp:/etc/postfix/checks", "lmtp_header_checks"),
                                          ("smtp_tls_loglevel=2", None)])
def test_setup_tells_what_master_cf_loses(place, dash, option, told):
    postfix = make(place, Shape(DEBIAN_MAIN + RECIPE))
    master = postfix.config_directory / "master.cf"
    lines = master.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("smtp ") and line.split()[1] == "unix")
    master.write_text("\n".join([*lines[:at + 1], f"  {dash}{option}", *lines[at + 1:]]) + "\n")
    remarks = " ".join(run_setup(postfix).stdout.partition("Left as it is")[2].split())
    assert ("smtp/unix in master.cf" in remarks) == (told is not None), remarks
    assert told is None or told in remarks


def test_the_doctor_warns_of_what_leads_mail_astray_and_only_mentions_the_rest(start):
    relay = start(smtp_fallback_relay="[mx.corp.example]", smtp_tls_policy_maps="static:may", smtp_body_checks="static:IGNORE",
                  lmtp_body_checks="static:IGNORE")
    found = examine(relay, "--force")
    forget(relay, UPN)
    verdicts = {finding["tried"].split()[0]: finding["verdict"] for finding in found.all("smtp-settings")}
    assert verdicts["smtp_fallback_relay"] == "warning"
    assert verdicts["smtp_tls_policy_maps"] == "ok"
    assert "smtp_body_checks" not in verdicts


# --- a tenant's mail exchanger ---

EXCHANGERS = ["contoso-com.mail.protection.outlook.com", "[contoso-com.mail.protection.outlook.com]:25",
              "[contoso-com.o-v1.mx.microsoft]", "contoso-us.mail.protection.office365.us:25"]


@pytest.mark.parametrize("relayhost", EXCHANGERS)
@pytest.mark.parametrize("has_line", [True, False])
def test_setup_does_not_log_in_where_nobody_can(place, relayhost, has_line):
    postfix = make(place, Shape(DEBIAN_MAIN + RECIPE + f"relayhost = {relayhost}\n",
                                passwords={relayhost: f"{UPN}:{PASSWORD}"} if has_line else {}))
    before = postfix.contents()
    for words in ([], ["--apply", "--yes"]):
        done = run_setup(postfix, *words)
        assert (done.returncode, done.stderr) == (1, "")
        assert "direct send" in done.stdout and "set up already" not in done.stdout and "\n+relayhost" not in done.stdout
    assert postfix.contents() == before


def test_daemons_and_doctor_name_it(start):
    relay = start()
    options = ["-o", "relayhost=[contoso-com.mail.protection.outlook.com]:25"]
    for daemon in (relay.transport, relay.milter):
        done = subprocess.run([daemon.arguments[0], *daemon.arguments[1:3], *options, "-t"], capture_output=True, text=True,
                              check=False, env=relay.postfix.environment(), timeout=30)
        assert done.returncode == 0 and "direct send" in done.stdout + done.stderr, done
    found = examine(relay, options=[*options, "-o", "smtp_connect_timeout=1s"])
    assert found.verdict("relayhost") == "wrong" and "direct send" in found["relayhost"]["meaning"]
