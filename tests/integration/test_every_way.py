"""Whatever way mail comes, it leaves right: all of a company's ways at once, through one relay.

Beside the demo's traffic: logins with addresses that their account holds Send As for, receipts and vacation notices with
the null sender, lists with an owner, VERP, a canonical address, a content filter that knows no milter, the postmaster's
notices, and a milter that is gone for a while. Each message must arrive, by the right account, with a From: that
Microsoft takes and a way to answer; none may be refused for its sender, and none may be left.
"""

import os
import time

import pytest
from demo import traffic
from setup_shapes import SHAPES, applied, make

from harness import client, message, processes, programs
from harness.arrivals import Arrival
from harness.office365 import Office365
from harness.postfix import free_ports
from harness.relay import PASSWORD, UPN, Relay

JOE = "joe@example.com"
SALES = "sales@example.com"  # joe@ holds Send As for it
MASKED = "relay@mail.masked.example"
LOGIN = ("joe", "geheim")
TO = "customer@example.net"
POSTMASTER = "admin@example.net"
ROOMY = {"recipients": {"limit": 100000, "period": 86400}, "messages": {"limit": 100000, "period": 60},
         "recipients_per_message": 1000, "connections": 100}
# So long the milter is gone; 60 by hand.
GONE = float(os.environ.get("POST365_MILTER_GONE_SECONDS", "5"))
QUICK = {"queue_run_delay": "1s", "minimal_backoff_time": "2s", "maximal_backoff_time": "2s"}
NO_LIMITS = {"post365_message_quota": "none", "post365_recipient_quota": "none"}


@pytest.fixture(scope="module")
def office365(module_place):
    return module_place.add(Office365(module_place.directory / "office365", limits=ROOMY, mailboxes={
        UPN: {"password": PASSWORD, "send_as": list(traffic.SEND_AS)},
        JOE: {"password": "second secret", "send_as": [SALES]},
        MASKED: {"password": "third secret"},
    }, unknown_recipients={"unknown-user": [traffic.NOBODY]})).start()


@pytest.fixture
def start(place, office365):
    """A relay with the accounts UPN, which is the default, and JOE, whose login is "joe"."""
    def start_one(parameters=None, services="", upn=UPN, started=True, **post365):
        before = len(office365.journal())
        relay = Relay(
            place.directory / "relay", office365, transport=[UPN, JOE], services=services,
            parameters={**QUICK, "local_header_rewrite_clients": "", **(parameters or {})},
            logins={LOGIN[0]: LOGIN[1], traffic.PERSON[0]: traffic.PERSON[1]},
            passwords={UPN: f"{UPN}:{PASSWORD}", JOE: f"{JOE}:second secret", MASKED: f"{MASKED}:third secret"},
            post365={**NO_LIMITS, "post365_upn": upn, "post365_login_upn_maps": {LOGIN[0]: JOE},
                     "post365_send_as_maps": {UPN: ", ".join(traffic.SEND_AS), JOE: SALES}, **post365})
        place.add(relay)
        relay.since = before
        return relay.start() if started else relay
    return start_one


class Expected:
    """What is to arrive: {Message-ID: (recipients, account, From:, Reply-To:)}. `answers` are the values of Reply-To:,
    of which each stands for "any" if it is None."""

    def __init__(self):
        self.messages = {}

    def add(self, message_id, recipients, account, from_, answers):
        self.messages[message_id] = (set(recipients), account, from_, answers)

    def check(self, relay, patience=60):
        arrived = {}

        def all_there():
            arrived.clear()
            for entry in relay.office365.journal()[relay.since:]:
                if entry["event"] == "accepted":
                    arrived.setdefault(Arrival(entry).message_id, []).append(Arrival(entry))
            return all(recipients <= {to for part in arrived.get(name, []) for to in part.recipients}
                       for name, (recipients, *_) in self.messages.items())
        there = processes.wait_until(all_there, patience, 0.2)
        missing = {name for name in self.messages if name not in arrived}
        assert there, (missing, relay.postfix.queue(), relay.postfix.log()[-3000:])
        for name, (recipients, account, from_, answers) in self.messages.items():
            assert sorted(to for part in arrived[name] for to in part.recipients) == sorted(recipients), name
            for part in arrived[name]:
                assert part.entry["mailbox"] == account, (name, part.entry)
                assert [from_] == part.fields("From"), name
                assert answers is None or part.fields("Reply-To") == answers, (name, part.fields("Reply-To"))
        return arrived


def nobody_was_refused(relay):
    """Nothing was said no to but the address that does not exist, and nothing is left."""
    assert relay.postfix.wait_empty(20) == []
    refused = [entry for entry in relay.office365.journal()[relay.since:] if entry["event"] in ("refused", "rcpt-refused")]
    assert {entry["recipient"]["address"] for entry in refused if entry["event"] == "rcpt-refused"} <= {traffic.NOBODY}
    assert [entry for entry in refused if entry["event"] == "refused"] == []
    log = relay.postfix.log()
    bounced = [line for line in log.splitlines() if "status=bounced" in line]
    assert all(traffic.NOBODY in line for line in bounced), bounced
    assert "5.7.60" not in log and "5.2.252" not in log


def submit(relay, expected, sender, recipients, header, *, account, from_, answers, arrives=None, **options):
    outcome, message_id = relay.submit(sender, recipients, header, **options)
    assert outcome.accepted, outcome
    expected.add(message_id, arrives or recipients, account, from_, answers)


def send_demo(relay, expected):
    for mail in [*traffic.mixed(), *traffic.late_cron(), *traffic.burst(), traffic.newsletter()]:
        if mail.channel == traffic.SENDMAIL:
            relay.postfix.sendmail(mail.data.replace(b"\r\n", b"\n"), "-i", "-f", mail.sender, *mail.recipients)
        else:
            login = {"login": traffic.PERSON} if mail.channel == traffic.SUBMISSION else {}
            port = relay.postfix.submission_port if login else relay.postfix.smtp_port
            outcome = client.send(port, mail.sender, list(mail.recipients), mail.data, **login)
            assert outcome.accepted, (mail.id, outcome)
        if mail.kind is not traffic.UNDELIVERABLE:
            answers = [] if mail.replies_to is None else [mail.replies_to]
            expected.add(mail.message_id, mail.recipients, UPN, mail.arrives_from, answers)


def send_as_a_login(relay, expected):
    """joe@ as himself, as an address that he may use, and without a sender."""
    submit(relay, expected, SALES, [TO], b"From: Sales <sales@example.com>\nSubject: offer\n",
           account=JOE, from_=b"Sales <sales@example.com>", answers=[], login=LOGIN)
    submit(relay, expected, "joe@corp.example", [TO], b"From: Joe <joe@corp.example>\nSubject: hello\n",
           account=JOE, from_=b"Joe <joe@example.com>", answers=[b"Joe <joe@corp.example>"], login=LOGIN)
    submit(relay, expected, "", [TO], b"From: Joe <joe@example.com>\nSubject: Read: offer\n"
           b"Content-Type: multipart/report; report-type=disposition-notification; boundary=x\n",
           account=JOE, from_=b"Joe <joe@example.com>", answers=[], login=LOGIN)
    submit(relay, expected, "", [TO], b"From: Sales <sales@example.com>\nSubject: Out of office\nAuto-Submitted: auto-replied\n",
           account=JOE, from_=b"Sales <sales@example.com>", answers=[], login=LOGIN)


def send_with_changed_senders(relay, expected):
    """Postfix itself makes the sender another one, behind the milter."""
    rewritten = {"account": UPN, "from_": b"App <relay@example.com>", "answers": [b"App <app@intern.example>"]}
    header = b"From: App <app@intern.example>\nSubject: x\n"
    submit(relay, expected, "app@intern.example", ["ops@relay.example.com"], header, **rewritten,
           arrives=["first@example.net", "second@example.net"])
    submit(relay, expected, "app@intern.example", [TO], header, options=["XVERP=+="], **rewritten)
    submit(relay, expected, "erp@intern.example", [TO], b"From: ERP <erp@intern.example>\nSubject: x\n", account=UPN,
           from_=b"ERP <relay@example.com>", answers=None)


def reenter(relay, expected, port):
    """What a content filter sends, at a port without milters: somebody's mail, and a notice of its own."""
    for sender, from_, name in (("app@intern.example", b"app@intern.example", b"App"),
                                ("virusalert@relay.example.com", b"virusalert@relay.example.com", b"Content-filter"),
                                ("", b"postmaster@relay.example.com", b"Content-filter")):
        message_id, data = message.compose(b"From: " + name + b" <" + from_ + b">\nSubject: x\n", b"hello\n")
        outcome = client.send(port, sender, [POSTMASTER], data)
        assert outcome.accepted, outcome
        expected.add(message_id, [POSTMASTER], UPN, name + b" <relay@example.com>", [name + b" <" + from_ + b">"])


ALIASES = ("inline:{ { ops = first@example.net, second@example.net }, "
           "{ owner-ops = nobody-in-particular@relay.example.com }, { postmaster = %s } }" % POSTMASTER)


def test_all_ways_at_once(start):
    (reentry,) = free_ports(1)
    relay = start(services=f"127.0.0.1:{reentry} inet n - n - - smtpd\n  -o smtpd_milters=\n"
                           "  -o receive_override_options=no_unknown_recipient_checks,no_milters\n", parameters={
        "mydestination": "$myhostname", "alias_maps": ALIASES,
        "smtpd_authorized_verp_clients": "127.0.0.1",
        "sender_canonical_maps": "inline:{erp@intern.example=relay@example.com}",
    })
    expected = Expected()
    send_as_a_login(relay, expected)
    send_with_changed_senders(relay, expected)
    reenter(relay, expected, reentry)
    send_demo(relay, expected)
    expected.check(relay)
    nobody_was_refused(relay)


def test_a_masqueraded_account(start):
    """cleanup(8) takes the sub-domain off the account that the milter has set."""
    relay = start({"masquerade_domains": "masked.example"}, upn=MASKED)
    expected = Expected()
    submit(relay, expected, "app@intern.example", [TO], b"From: App <app@intern.example>\nSubject: x\n", account=MASKED,
           from_=b"App <relay@mail.masked.example>", answers=[b"App <app@intern.example>"])
    expected.check(relay)
    nobody_was_refused(relay)


def test_the_postmaster_hears_that_the_disk_is_full(start):
    relay = start({"mydestination": "$myhostname", "alias_maps": ALIASES,
                   "queue_minfree": "100000000000000", "internal_mail_filter_classes": None})
    outcome, _ = relay.submit("app@intern.example", [TO], b"From: app@intern.example\nSubject: x\n")
    assert outcome.temporary, outcome
    entry = relay.office365.wait_for(lambda entry: entry["event"] == "accepted" and POSTMASTER in entry["recipients"]
                                     and b"Postfix SMTP server" in b"".join(Arrival(entry).fields("Subject")), 30)
    assert entry["mailbox"] == UPN and b"<relay@example.com>" in Arrival(entry).fields("From")[0]
    nobody_was_refused(relay)


def test_the_milter_is_gone_for_a_while(start):
    """With milter_default_action = accept nothing is turned away, and the transport does what the milter did not."""
    relay = start({"milter_default_action": "accept"})
    expected = Expected()
    relay.milter.stop()
    until = time.monotonic() + GONE
    sent = 0
    while time.monotonic() < until or sent < 20:
        submit(relay, expected, "app@intern.example", [TO], b"From: App <app@intern.example>\nSubject: x\n", account=UPN,
               from_=b"App <relay@example.com>", answers=[b"App <app@intern.example>"])
        sent += 1
        time.sleep(0.1)
    relay.milter.start()
    send_as_a_login(relay, expected)
    expected.check(relay)
    nobody_was_refused(relay)


@pytest.mark.parametrize("name", ["debian", "from-recipe"])
def test_mail_that_waited_before_post365_was_set_up(place, office365, name):
    """200 messages of many senders wait since the relay's old way fails; then post365 is set up."""
    before = len(office365.journal())
    postfix = make(place, SHAPES[name], port=office365.port, ca_file=office365.ca_file)
    main = postfix.config_directory / "main.cf"
    main.write_text(main.read_text() + "defer_transports = smtp\nqueue_run_delay = 1s\nminimal_backoff_time = 2s\n"
                    "maximal_backoff_time = 2s\nlocal_header_rewrite_clients =\n")
    postfix.start()
    ids = {}
    for number in range(200):
        sender = f"app{number % 7}@intern.example" if number % 5 else ""
        address = sender or "mailer-daemon@intern.example"
        message_id, data = message.compose(f"From: App <{address}>\nSubject: {number}\n".encode(), b"hello\n")
        outcome = client.send(postfix.smtp_port, sender, [TO], data)
        assert outcome.accepted, outcome
        ids[message_id] = address
    assert processes.wait_until(lambda: len(postfix.queue()) == 200, 30)
    applied(postfix)
    for daemon in (programs.Policyd, programs.Milter, programs.Transport):
        place.add(daemon(postfix, "-o", "post365_message_quota=none", "-o", "post365_recipient_quota=none")).start()
    (postfix.queue_directory / "public").chmod(0o755)
    postfix.reload()

    def arrivals():
        return {arrival.message_id: arrival for arrival in map(Arrival, office365.journal("accepted"))
                if arrival.message_id in ids}
    processes.wait_until(lambda: len(arrivals()) == 200, 90, 0.5)
    arrived = arrivals()
    assert len(arrived) == 200, (len(arrived), postfix.queue()[:3], postfix.log()[-3000:])
    assert {arrival.entry["mailbox"] for arrival in arrived.values()} == {UPN}
    for message_id, arrival in arrived.items():
        (from_,) = arrival.fields("From")
        assert from_.endswith(b"<relay@example.com>"), from_
        # The web's recipe has taken the person away from what it has seen before.
        assert name != "debian" or arrival.fields("Reply-To") == [f"App <{ids[message_id]}>".encode()]
    assert postfix.wait_empty(10) == []
    assert not [entry for entry in office365.journal()[before:] if entry["event"] in ("refused", "rcpt-refused")]
