"""The envelope sender, however a client spells it: milter, policy service and the admin's command name
the account of the address that Postfix has in its queue, and a login may be believed alone."""

import json
import re
import socket
import subprocess

import pytest

from harness import message, processes, workplace
from harness.office365 import Office365
from harness.postfix import free_ports
from harness.relay import PASSWORD, UPN, Relay

NEWS = "news@example.com"
JOE = "joe@example.com"
ORIGIN = "corp.example"
TO = "customer@example.net"
MAIN = {
    "myorigin": ORIGIN, "mydomain": "corp.example",
    "mydestination": "relay01.corp.example localhost", "local_header_rewrite_clients": "",
    "smtpd_reject_unlisted_sender": "no", "defer_transports": "smtp",
}
POST365 = {"post365_message_quota": "100000/1d", "post365_recipient_quota": "100000/1d"}

# What a client writes behind MAIL FROM:, all of it the sender news@corp.example.
SPELLINGS = [
    "<news@corp.example>", "<news@corp.example.>", "<news>", "news@corp.example", "< news@corp.example >",
    "<@a.example:news@corp.example>", "<@a.example,@b.example:news@corp.example.>", "<\"news\"@corp.example>",
    "<\"ne\\ws\"@corp.example>", "<news (of the day)@corp.example>", "<corp.example!news>", "<news%corp.example>",
    "<\"news%corp.example\">",
]
# ... and of others.
OTHERS = [
    "<NEWS@CORP.example>", "<news+today@corp.example.>", "<\"two words\"@corp.example>", "<\"two words\">",
    "<\"a@b\"@corp.example>", "<\"a@b\">", "<\"quo\\\"te\"@corp.example>", "<a@news@corp.example>", "<@corp.example>",
    "<ne..ws@corp.example>", "<news.@corp.example>", "<news . @corp.example>",
    "<news@host>", "<news@host.>", "<news@[192.0.2.1]>",
    "<news@[IPv6:2001:db8::1]>", "<b.example!corp.example!news>", "<corp.example!news@x.example>",
    "<news%x.example@localhost>", "<news%x.example@relay01.corp.example>", "<mailto:news@corp.example>",
    "<jörg@corp.example.>", "<jörg>", "<>", "<\"\">", "<postmaster>", "<%x.example>", "<x!>",
]


class Wire:
    """An SMTP client that writes what it is told, octet for octet."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.stream = self.socket.makefile("rwb")
        self.reply()

    def reply(self):
        while True:
            line = self.stream.readline().decode()
            if line[3:4] != "-":
                return line

    def ask(self, line):
        self.stream.write(line.encode() + b"\r\n")
        self.stream.flush()
        return self.reply()

    def send(self, sender, header=b"Subject: x\n"):
        """The queue id."""
        data = message.compose(header, b"x\n")[1].decode()
        utf8 = "" if sender.isascii() else " SMTPUTF8"
        for line in ("EHLO client", f"MAIL FROM:{sender}{utf8}", f"RCPT TO:<{TO}>", "DATA"):
            reply = self.ask(line)
            assert reply[0] in "23", f"{line}: {reply}"
        reply = self.ask(data.rstrip("\r\n") + "\r\n.")
        assert "queued as " in reply, f"{sender}: {reply}"
        return reply.split("queued as ")[1].strip()


def office(place):
    standin = place.add(Office365(place.directory / "office365", mailboxes={
        upn: {"password": PASSWORD} for upn in (UPN, NEWS, JOE)}))
    standin.start()
    return standin


@pytest.fixture(scope="module")
def spelled(module_place):
    """A relay that keeps all mail, its port without milters as `plain_port`."""
    port, = free_ports(1)
    relay = module_place.add(Relay(
        module_place.directory / "spelled", office(module_place), parameters=MAIN,
        services=f"127.0.0.1:{port} inet n - n - - smtpd\n  -o smtpd_milters=\n  -o smtpd_end_of_data_restrictions=\n",
        post365={**POST365, "post365_sender_upn_maps": {"news@corp.example": NEWS}})).start()
    relay.plain_port = port
    return relay


def seen_by_milter(relay, queue_id):
    """(sender, account) of the milter's log line."""
    line = f"{queue_id}: from="
    processes.wait_until(lambda: line in relay.milter.log(), 10)
    return re.search(rf"{queue_id}: from=<(.*)>, account=(\S+) \(", relay.milter.log()).groups()


def queued(relay, queue_id):
    """The sender by Postfix's log, where no milter has been."""
    line = f"{queue_id}: from="
    processes.wait_until(lambda: line in relay.postfix.log(), 10)
    return re.search(rf"{queue_id}: from=<(.*)>, size", relay.postfix.log()).group(1)


def used(relay):
    """{account: recipients} by the policy service's ledger."""
    output = subprocess.run([workplace.BUILD / "post365", "-c", relay.postfix.config_directory, "status", "--json"],
                            capture_output=True, check=False, timeout=60, text=True).stdout
    return {one["account"]: one["recipients"]["used"] for one in map(json.loads, output.splitlines())}


@pytest.mark.parametrize("sender", SPELLINGS)
def test_each_spelling_of_a_sender_is_the_sender_that_postfix_has(spelled, sender):
    before = used(spelled).get(NEWS, 0)
    queue_id = Wire(spelled.postfix.smtp_port).send(sender)
    assert seen_by_milter(spelled, queue_id) == ("news@corp.example", NEWS)
    assert used(spelled)[NEWS] == before + 1
    assert queued(spelled, Wire(spelled.plain_port).send(sender)) == "news@corp.example"


@pytest.mark.parametrize("sender", OTHERS)
def test_the_milter_and_postfix_take_every_sender_for_the_same(spelled, sender):
    by_postfix = queued(spelled, Wire(spelled.plain_port).send(sender))
    by_milter, _ = seen_by_milter(spelled, Wire(spelled.postfix.smtp_port).send(sender))
    assert by_milter == by_postfix


@pytest.mark.parametrize("main", [
    {"append_at_myorigin": "no"}, {"append_dot_mydomain": "yes"}, {"swap_bangpath": "no"},
    {"allow_percent_hack": "no"}, {"myorigin": "$mydomain", "mydomain": "other.example"}])
def test_the_settings_of_postfix_decide_how_a_sender_is_completed(place, main):
    port, = free_ports(1)
    relay = place.add(Relay(
        place.directory / "relay", office(place), parameters={**MAIN, **main}, post365=POST365,
        services=f"127.0.0.1:{port} inet n - n - - smtpd\n  -o smtpd_milters=\n  -o smtpd_end_of_data_restrictions=\n",
    )).start()
    for sender in ("<news>", "<news@host>", "<news@host.>", "<corp.example!news>", "<news%corp.example>", "<b!news>",
                   "<news%host>", "<\"two words\">", "<news@[192.0.2.1]>"):
        by_postfix = queued(relay, Wire(port).send(sender))
        by_milter, _ = seen_by_milter(relay, Wire(relay.postfix.smtp_port).send(sender))
        assert by_milter == by_postfix, sender


@pytest.mark.parametrize("sender", ["news@corp.example.", "news", "@a.example:news@corp.example", "corp.example!news"])
def test_mail_of_sendmail_has_the_same_account(spelled, sender):
    before = len(spelled.milter.log())
    spelled.postfix.sendmail(b"Subject: x\n\nx\n", "-f", sender, TO)
    processes.wait_until(lambda: "account=" in spelled.milter.log()[before:], 10)
    assert f"from=<news@corp.example>, account={NEWS} (sender map)" in spelled.milter.log()[before:]


@pytest.mark.parametrize("sender, key", [
    ("<\"two words\"@corp.example>", "\"two words\"@corp.example"), ("<\"a@b\"@corp.example>", "a@b@corp.example"),
    ("<ne..ws@corp.example>", "ne..ws@corp.example"), ("<\"quo\\\"te\"@corp.example>", "\"quo\\\\\"te\"@corp.example")])
def test_a_sender_in_quotes_has_one_account_for_all_who_ask(place, sender, key):
    port, = free_ports(1)
    maps = place.directory / "senders"
    maps.write_text(f"/^{key}$/ {NEWS}\n")
    relay = place.add(Relay(
        place.directory / "relay", office(place), parameters={**MAIN, "post365_sender_upn_maps": f"regexp:{maps}"},
        post365=POST365,
        services=f"127.0.0.1:{port} inet n - n - - smtpd\n  -o smtpd_milters=\n  -o smtpd_end_of_data_restrictions=\n",
    )).start()
    _, account = seen_by_milter(relay, Wire(relay.postfix.smtp_port).send(sender))
    assert account == NEWS
    assert list(used(relay)) == [NEWS]
    waiting = Wire(port).send(sender)
    processes.wait_until(lambda: len(relay.postfix.queue()) == 2, 10)
    shown = subprocess.run([workplace.BUILD / "post365", "-c", relay.postfix.config_directory, "queue", "--json"],
                           capture_output=True, check=False, timeout=60, text=True)
    accounts = {one["id"]: one["account"] for one in map(json.loads, shown.stdout.splitlines())}
    assert accounts[waiting] == NEWS, relay.postfix.queue()


# --- where replies go -----------------------------------------------------------

def test_mail_without_from_is_answered_to_the_sender_that_postfix_has(place):
    relay = place.add(Relay(place.directory / "relay", office(place), parameters={**MAIN, "defer_transports": ""},
                            post365=POST365)).start()
    Wire(relay.postfix.smtp_port).send("<root>", b"To: x@y.example\n")
    assert processes.wait_until(relay.accepted, 20)
    arrival, = relay.accepted()
    assert arrival.fields("From") == [b'"root@corp.example" <relay@example.com>']
    assert arrival.fields("Reply-To") == [b"root@corp.example"]


# --- the login alone --------------------------------------------------------------

def believing_logins(place, value):
    """joe may log in and has an account; the sender of the same name, and news@, have theirs."""
    passwords = {NEWS: f"{NEWS}:{PASSWORD}"}
    standin = office(place)
    passwords[f"[localhost]:{standin.port}"] = f"{UPN}:{PASSWORD}"
    return place.add(Relay(
        place.directory / "relay", standin, parameters=MAIN, logins={"joe": "geheim", "eve": "geheim"},
        passwords=passwords,
        post365={**POST365, "post365_login_only": value, "post365_login_upn_maps": {"joe": JOE},
                 "post365_sender_upn_maps": {"boss@corp.example": NEWS}})).start()


@pytest.mark.parametrize("value, expected", [
    ("no", {"mapped": (NEWS, "sender map"), "own": (NEWS, "sender"), "login": (JOE, "login map")}),
    ("yes", {"mapped": (UPN, "post365_upn"), "own": (UPN, "post365_upn"), "login": (JOE, "login map")})])
def test_a_sender_that_anybody_may_write_names_no_account_where_logins_are_believed_alone(place, value, expected):
    relay = believing_logins(place, value)
    cases = [
        ("mapped", "boss@corp.example", None), ("own", NEWS, None),
        ("login", "boss@corp.example", ("joe", "geheim")), ("login", NEWS, ("joe", "geheim")),
        ("mapped", "boss@corp.example", ("eve", "geheim")), ("own", NEWS, ("eve", "geheim")),
    ]
    counted = {}
    for case, sender, login in cases:
        account, source = expected[case]
        before = len(relay.milter.log())
        outcome, _ = relay.submit(sender, [TO], b"Subject: x\n", login=login)
        assert outcome.accepted, outcome
        assert f"from=<{sender}>, account={account} ({source})" in relay.milter.log()[before:]
        counted[account] = counted.get(account, 0) + 1
        assert used(relay) == counted


def test_sendmail_names_no_account_where_logins_are_believed_alone(place):
    relay = believing_logins(place, "yes")
    relay.postfix.sendmail(b"From: Boss <boss@corp.example>\nSubject: x\n\nx\n", "-f", "boss@corp.example", TO)
    assert processes.wait_until(lambda: "account=" in relay.milter.log(), 30)
    assert f"from=<boss@corp.example>, account={UPN} (post365_upn), sender=rewritten" in relay.milter.log()


def test_a_destination_chosen_by_the_sender_is_none_where_logins_are_believed_alone(place):
    """Mail that no milter has seen, at the socket of news@'s."""
    port, = free_ports(1)
    standin = office(place)
    relay = place.add(Relay(
        place.directory / "relay", standin, parameters={**MAIN, "defer_transports": ""}, transport=[NEWS],
        passwords={NEWS: f"{NEWS}:{PASSWORD}", f"[localhost]:{standin.port}": f"{UPN}:{PASSWORD}"},
        services=f"127.0.0.1:{port} inet n - n - - smtpd\n  -o smtpd_milters=\n  -o smtpd_end_of_data_restrictions=\n",
        post365={**POST365, "post365_login_only": "yes"})).start()
    Wire(port).send(f"<{NEWS}>", f"From: News <{NEWS}>\n".encode())
    assert processes.wait_until(relay.accepted, 30), relay.postfix.log()[-2000:]
    arrival, = relay.accepted()
    assert arrival.sender == UPN
    assert arrival.fields("From") == [f"News <{UPN}>".encode()]
    assert arrival.fields("Reply-To") == [f"News <{NEWS}>".encode()]
