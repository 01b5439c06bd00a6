"""Mail through a real Postfix with post365, to the stand-in for smtp.office365.com."""

import concurrent.futures
import hashlib
import re
import time

import pytest

from harness import client, message, processes
from harness.office365 import Office365
from harness.relay import PASSWORD, UPN, Relay

TO = ["customer@example.net"]
JOERG = ("joerg", "geheim")


# --- the sender --------------------------------------------------------------

REWRITTEN = {
    "a bare address": (
        "nagios@srv7.example.com", b"From: nagios@srv7.example.com\n",
        b'"nagios@srv7.example.com" <relay@example.com>', [b"nagios@srv7.example.com"]),
    "a quoted display name with quotes and a comma": (
        "j@example.com", b'From: "M\\"uller, J\\\\." <j@example.com>\n',
        b'"M\\"uller, J\\\\." <relay@example.com>', [b'"M\\"uller, J\\\\." <j@example.com>']),
    "an encoded display name": (
        "j@example.com", b"From: =?iso-8859-1?q?J=F6rg?= =?utf-8?b?TcO8bGxlcg==?= <j@example.com>\n",
        b"=?iso-8859-1?q?J=F6rg?= =?utf-8?b?TcO8bGxlcg==?= <relay@example.com>",
        [b"=?iso-8859-1?q?J=F6rg?= =?utf-8?b?TcO8bGxlcg==?= <j@example.com>"]),
    "a display name in raw UTF-8": (
        "j@example.com", "From: Jörg Müller <j@example.com>\n".encode(),
        "Jörg Müller <relay@example.com>".encode(), ["Jörg Müller <j@example.com>".encode()]),
    "a Reply-To of its own": (
        "j@example.com", b"From: J <j@example.com>\nReply-To: Office <office@example.com>\n",
        b"J <relay@example.com>", [b"Office <office@example.com>"]),
    "a Reply-To without an address": (
        "app@example.com", b"From: J <j@example.com>\nReply-To: undisclosed-recipients:;\n",
        b"J <relay@example.com>", [b"J <j@example.com>"]),
    "three Reply-To, one with an address": (
        "app@example.com", b"Reply-To:\nFrom: J <j@example.com>\nReply-To: <>\nReply-To: Desk <desk@example.com>\n",
        b"J <relay@example.com>", [b"Desk <desk@example.com>"]),
    "two Reply-To": (
        "app@example.com", b"Reply-To: a@example.com\nFrom: J <j@example.com>\nReply-To: B <b@example.com>\n",
        b"J <relay@example.com>", [b"a@example.com, B <b@example.com>"]),
    "an address folded in its domain": (
        "app@example.com", b"From: J <j@intranet.exa\n mple.com>\n", b"J <relay@example.com>", [b"app@example.com"]),
    "an address cut off": (
        "app@example.com", b"From: J <j@intranet.examp\n", b"J <relay@example.com>", [b"app@example.com"]),
    "a dot at the end of the domain": (
        "app@example.com", b"From: J <j@example.org.>\n", b"J <relay@example.com>", [b"J <j@example.org>"]),
    "a link in the angles": (
        "app@example.com", b"From: J <mailto:j@example.org>\n", b"J <relay@example.com>", [b"J <j@example.org>"]),
    "several mailboxes": (
        "a@example.com", b"From: A <a@example.com>, B <b@example.com>\n",
        b"A <relay@example.com>", [b"A <a@example.com>, B <b@example.com>"]),
    "no From:": (
        "plc@line4.example.com", b"Subject: x\n",
        b'"plc@line4.example.com" <relay@example.com>', [b"plc@line4.example.com"]),
    "the account itself, in another case": (
        "Relay@Example.COM", b"From: R <RELAY@example.com>\n", b"R <RELAY@example.com>", []),
    "the null sender": (
        "", b"From: MAILER-DAEMON@relay.example.com\n",
        b'"MAILER-DAEMON@relay.example.com" <relay@example.com>', [b"MAILER-DAEMON@relay.example.com"]),
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_sender_becomes_the_account(relay, name):
    sender, header, from_, reply_to = REWRITTEN[name]
    arrival = relay.deliver(sender, TO, header + b"Sender: somebody@else.example\n")
    assert arrival.sender.lower() == UPN
    assert arrival.fields("From") == [from_]
    assert arrival.fields("Reply-To") == reply_to
    assert arrival.fields("Sender") == []


def test_the_original_is_kept_where_somebody_else_has_kept_another(relay):
    arrival = relay.deliver("app@example.com", TO, b"From: J <j@example.com>\nReply-To: list@example.com\n"
                                                   b"X-Original-From: K <k@example.com>\n")
    assert arrival.fields("Reply-To") == [b"list@example.com"]
    assert arrival.fields("X-Post365-Original") == [b"J <j@example.com>"]


@pytest.mark.parametrize("address", ["billing@example.com", "anybody@brand.example"])
def test_send_as_address_is_left_alone(relay, address):
    arrival = relay.deliver(address, TO, f"From: Shop <{address}>\nSender: {address}\n".encode())
    assert arrival.sender == address
    assert arrival.fields("From") == [f"Shop <{address}>".encode()]
    assert arrival.fields("Sender") == [address.encode()]
    assert arrival.fields("Reply-To") == arrival.fields("X-Post365-Original") == []


def test_smtputf8_sender(relay):
    arrival = relay.deliver("jörg@exämple.com", TO, "From: Jörg <jörg@exämple.com>\nSubject: Grüße\n".encode())
    assert arrival.sender == UPN
    assert arrival.fields("From") == ["Jörg <relay@example.com>".encode()]
    assert arrival.fields("Reply-To") == ["Jörg <jörg@exämple.com>".encode()]


def test_authenticated_submission(relay):
    arrival = relay.deliver("joerg@example.com", TO, b"From: Joerg <joerg@example.com>\n", login=JOERG)
    assert arrival.sender == UPN
    assert arrival.fields("From") == [b"Joerg <relay@example.com>"]


def test_mail_from_sendmail(relay):
    message_id, data = message.compose(b"From: root@relay.example.com (Cron Daemon)\nSubject: Cron\n", b"output\n")
    relay.postfix.sendmail(data.replace(b"\r\n", b"\n"), "-i", "-f", "root@relay.example.com", *TO)
    arrival = relay.arrival(message_id)
    assert arrival.sender == UPN
    assert arrival.fields("From") == [b'"Cron Daemon" <relay@example.com>']
    assert arrival.fields("Reply-To") == [b"root@relay.example.com (Cron Daemon)"]


def test_the_same_is_refused_without_post365(plain_relay):
    outcome, message_id = plain_relay.submit("nagios@srv7.example.com", TO, b"From: nagios@srv7.example.com\n")
    assert outcome.accepted
    assert plain_relay.postfix.wait_log("status=bounced")
    assert message_id not in [arrival.message_id for arrival in plain_relay.accepted()]


# --- the body ----------------------------------------------------------------

# A lone CR is not among them: Postfix itself makes it a space (cleanup_replace_stray_cr_lf), and
# rightly so.
BODIES = {
    "8-bit text": "Schöne Grüße — 你好\n".encode(),
    "bytes of no character set": bytes(range(0x80, 0x100)) * 40 + b"\n",
    "a line of 100 kB": b"x" * 100_000 + b"\n",
    "lines around the limits of RFC 5322 and Postfix": b"".join(
        b"y" * length + b"\n" for length in (996, 997, 998, 999, 1000, 1001, 2046, 2047, 2048, 2049, 4096)),
    "dots": b".\n..\n...\n.hidden\n. \n.\r\n\n.",
    "no line end at the end": b"last line",
    "blanks at line ends": b"one \ntwo\t\n \n\t\n",
    "many empty lines": b"\n" * 50,
    "nothing": b"",
    "what looks like headers": b"From: evil@example.org\nSender: x\n\nFrom me to you\n>From\n",
    "2 MB": bytes(range(32, 127)) * 20 + b"\n" + b"0123456789" * 7 * 30_000,
}


@pytest.mark.parametrize("name", BODIES)
def test_body_arrives_unchanged(relay, name):
    arrival = relay.deliver("app@example.com", TO, b"From: app@example.com\n", BODIES[name])
    wire = re.sub(rb"\r?\n", b"\r\n", BODIES[name])
    if wire and not wire.endswith(b"\r\n"):
        wire += b"\r\n"  # SMTP cannot send a last line without one
    assert arrival.body_sha256 == hashlib.sha256(wire).hexdigest()


# --- bounces -----------------------------------------------------------------

def test_postfix_own_bounce_reaches_the_account(relay):
    outcome, message_id = relay.submit("app@example.com", ["nobody@example.net"], b"From: app@example.com\n")
    assert outcome.accepted
    found = processes.wait_until(lambda: [a for a in relay.accepted() if a.recipients == [UPN]], 15)
    assert len(found) == 1
    assert found[0].sender == UPN
    assert b"relay@example.com" in found[0].fields("From")[0]


def test_a_bounce_that_is_refused_makes_no_other(relay):
    before = len(relay.postfix.log())
    outcome, message_id = relay.submit("", ["nobody@example.net"], b"From: MAILER-DAEMON@other.example\n")
    assert outcome.accepted
    def bounced():
        return "status=bounced" in relay.postfix.log()[before:]
    assert processes.wait_until(bounced, 30)
    assert relay.postfix.wait_empty(15) == []
    assert "non-delivery notification" not in relay.postfix.log()[before:]


def test_postfix_own_bounce_that_is_refused_makes_no_other(place):
    office365 = place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}},
                                    unknown_recipients={"unknown-user": ["nobody@example.net", UPN]}))
    office365.start()
    relay = place.add(Relay(place.directory / "relay", office365, post365={})).start()
    assert relay.submit("app@example.com", ["nobody@example.net"], b"From: app@example.com\n")[0].accepted
    assert processes.wait_until(lambda: len(relay.refused()) == 2, 15)  # the message, and the bounce
    assert relay.postfix.wait_empty(15) == []
    assert relay.postfix.log().count("non-delivery notification") == 1
    assert [entry["recipient"]["address"] for entry in relay.refused()] == ["nobody@example.net", UPN]


# --- several accounts --------------------------------------------------------

def test_two_accounts_on_one_relay(place):
    sales = "sales@example.com"
    office365 = place.add(Office365(place.directory / "office365", mailboxes={
        UPN: {"password": PASSWORD}, sales: {"password": "another"}}))
    office365.start()
    relay = place.add(Relay(
        place.directory / "relay", office365, logins={"joerg": "geheim", "sales@example.com": "secret"},
        passwords={sales: f"{sales}:another", f"[localhost]:{office365.port}": f"{UPN}:{PASSWORD}"},
        parameters={"smtp_sender_dependent_authentication": "yes", "smtp_connection_cache_on_demand": "no"},
        post365={"post365_login_upn_maps": {"joerg": sales},
                 "post365_sender_upn_maps": {"@shop.example.com": sales}})).start()
    header = b"From: Somebody <somebody@example.com>\n"
    for sender, options, account in (
            ("joerg@example.com", {"login": JOERG}, sales),  # login map
            ("robot@shop.example.com", {}, sales),  # sender map
            ("x@example.com", {"login": ("sales@example.com", "secret")}, sales),  # the login itself
            (sales, {}, sales),  # the sender itself
            ("other@example.com", {}, UPN)):
        arrival = relay.deliver(sender, TO, header, **options)
        assert (arrival.sender, arrival.entry["mailbox"]) == (account, account), sender
        assert arrival.fields("From") == [b"Somebody <" + account.encode() + b">"]


# --- when a daemon is down ---------------------------------------------------

@pytest.fixture
def own_relay(place):
    """A relay that the test may break; its quota is 5 messages an hour."""
    office365 = place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}}))
    office365.start()
    return place.add(Relay(place.directory / "relay", office365, post365={"post365_message_quota": "5/1h"})).start()


HEADER = b"From: app@example.com\n"


def test_milter_down_means_later_and_mail_flows_again(own_relay):
    began = time.monotonic()
    assert own_relay.milter.stop() == 0
    assert time.monotonic() - began < 2
    outcome, _ = own_relay.submit("app@example.com", TO, HEADER)
    assert (outcome.code, outcome.text[:5]) == (451, "4.7.1")
    own_relay.milter.start()
    own_relay.deliver("app@example.com", TO, HEADER)


def test_policyd_down_lets_mail_through(own_relay):
    own_relay.policyd.stop()
    own_relay.deliver("app@example.com", TO, HEADER)
    own_relay.policyd.start()
    own_relay.deliver("app@example.com", TO, HEADER)


# --- quota -------------------------------------------------------------------

def send_some(relay, count):
    return [relay.submit("app@example.com", TO, HEADER)[0].code for _ in range(count)]


def assert_says_used_limit_and_time(outcome):
    assert outcome.code == 450, outcome
    assert outcome.text.startswith("4.7.1 "), outcome
    assert re.search(r"\b5 of 5\b", outcome.text), outcome
    # Above ten minutes it is whole minutes, rounded up.
    assert client.told_wait(outcome.text) and 3500 < client.told_wait(outcome.text) <= 3660, outcome


def test_over_quota_the_client_is_told_used_limit_and_time(own_relay):
    assert send_some(own_relay, 5) == [250] * 5
    assert_says_used_limit_and_time(own_relay.submit("app@example.com", TO, HEADER)[0])


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_counts_survive(own_relay, end):
    assert send_some(own_relay, 3) == [250] * 3
    getattr(own_relay.policyd, end)()
    own_relay.policyd.start()
    assert send_some(own_relay, 2) == [250] * 2
    assert_says_used_limit_and_time(own_relay.submit("app@example.com", TO, HEADER)[0])


def test_named_at_three_stages_it_counts_once(own_relay):
    service = own_relay.postfix.parameters["smtpd_end_of_data_restrictions"]
    own_relay.postfix.configure({"smtpd_recipient_restrictions": service, "smtpd_data_restrictions": service})
    own_relay.postfix.reload()
    many = [f"r{number}@example.net" for number in range(4)]
    assert [own_relay.submit("app@example.com", many, HEADER)[0].code for _ in range(5)] == [250] * 5
    outcome = own_relay.submit("app@example.com", many, HEADER)[0]
    assert outcome.stage == "rcpt"  # asked at RCPT, it looks ahead
    assert_says_used_limit_and_time(outcome)


def test_a_hundred_connections_at_once(place):
    limit = 40
    office365 = place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}}, limits={
        "messages": {"limit": 1000, "period": 60}, "connections": 100}))
    office365.start()
    relay = place.add(Relay(place.directory / "relay", office365,
                            post365={"post365_message_quota": f"{limit}/1h"})).start()
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        outcomes = list(pool.map(lambda _: relay.submit("app@example.com", TO, HEADER)[0], range(100)))
    codes = sorted(outcome.code for outcome in outcomes)
    assert codes == [250] * limit + [450] * (100 - limit)
    assert relay.postfix.wait_empty(20) == []
    assert len(relay.accepted()) == limit
