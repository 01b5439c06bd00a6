"""What happens while post365 is set up, and taken out again: nobody is refused, nothing bounces."""

import contextlib
import hashlib
import re
import threading

import pytest
from setup_shapes import RECIPE, Shape, applied, make, run_setup, undone

from harness import client, message, processes, programs
from harness.arrivals import Arrival
from harness.office365 import Office365
from harness.relay import PASSWORD, UPN

ROOMY = {"recipients": {"limit": 100000, "period": 86400}, "messages": {"limit": 100000, "period": 60},
         "recipients_per_message": 500, "connections": 100}
NO_QUOTAS = ("-o", "post365_message_quota=none", "-o", "post365_recipient_quota=none")
OURS = f"From: Relay <{UPN}>\r\nSubject: x\r\n".encode()
FOREIGN = b"From: App <app@intern.example>\r\nSubject: x\r\n"
LOGINS = f"post365_login_upn_maps = inline:{{ {{ joe = {UPN} }} }}\n"


@pytest.fixture(scope="module")
def office365(module_place):
    return module_place.add(Office365(module_place.directory / "office365", limits=ROOMY,
                                      mailboxes={UPN: {"password": PASSWORD}})).start()


@pytest.fixture
def relay_of(place, office365):
    """A relay as somebody has it, running, and the daemons, which are not."""
    def make_it(main="", tables=None):
        postfix = make(place, Shape(RECIPE + main, tables=tables or {}), port=office365.port, ca_file=office365.ca_file)
        postfix.start()
        (postfix.queue_directory / "public").chmod(0o755)
        return postfix, [place.add(daemon(postfix, *NO_QUOTAS))
                         for daemon in (programs.Policyd, programs.Milter, programs.Transport)]
    return make_it


def start(daemons):
    for daemon in daemons:
        daemon.start()


def set_up(postfix, daemons):
    """Up to where new mail passes the milter: an smtpd(8) of before may have taken a connection still."""
    start(daemons)
    applied(postfix)
    postfix.reload()

    def passes():
        send(postfix, UPN, OURS)
        return "account=" in daemons[1].log()
    assert processes.wait_until(passes, 20, 0.2), daemons[1].log()
    assert postfix.wait_empty(20) == []


class Clients:
    """Somebody sends all the time, each message over a connection of its own."""

    def __init__(self, postfix):
        self.port = postfix.smtp_port
        self.sent, self.refused = [], []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._ends.is_set():
            message_id, data = message.compose(OURS, b"hello\n")
            outcome = client.send(self.port, UPN, ["a@dest.example"], data)
            (self.sent if outcome.accepted else self.refused).append((message_id, outcome))
            self._ends.wait(0.02)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join(30)

    def more(self, count=5):
        """Waits until so many more were taken, or one was refused."""
        wanted = len(self.sent) + count
        assert processes.wait_until(lambda: len(self.sent) >= wanted or self.refused, 60)


def send(postfix, sender, header, recipients=("a@dest.example",)):
    message_id, data = message.compose(header, b"hello\n")
    outcome = client.send(postfix.smtp_port, sender, list(recipients), data)
    assert outcome.accepted, outcome
    return message_id


def sendmail(postfix, sender, header=b"Subject: cron\n"):
    message_id, data = message.compose(header, b"hello\n")
    postfix.sendmail(data, "-f", sender, "b@dest.example")
    return message_id


def arrived(office365, wanted):
    return {arrival.message_id: arrival for arrival in map(Arrival, office365.journal("accepted"))
            if arrival.message_id in wanted}


def all_arrive(postfix, office365, wanted, seconds=60):
    def flushed():
        with contextlib.suppress(RuntimeError):
            postfix.command("postqueue", "-f")
        return len(arrived(office365, wanted)) == len(wanted)
    assert processes.wait_until(flushed, seconds, 1), postfix.log()[-4000:]
    assert "status=bounced" not in postfix.log()
    return arrived(office365, wanted)


# --- it is set up ---

@pytest.mark.parametrize("main", ["", LOGINS])
def test_no_client_is_refused_while_it_is_set_up(relay_of, office365, main):
    """The steps of the README, in their order."""
    postfix, daemons = relay_of(main)
    with Clients(postfix) as clients:
        clients.more()
        start(daemons)
        clients.more()
        assert "does not answer" not in applied(postfix).stdout
        clients.more()
        postfix.reload()
        clients.more(20)
    assert not clients.refused
    all_arrive(postfix, office365, {message_id for message_id, _ in clients.sent})
    assert "post365/accounts/" in postfix.log()


def test_no_client_is_refused_where_the_daemons_come_last(relay_of, office365):
    postfix, daemons = relay_of()
    with Clients(postfix) as clients:
        clients.more()
        assert "does not answer" in applied(postfix).stdout
        postfix.reload()
        clients.more(20)
        foreign = send(postfix, "app@intern.example", FOREIGN)
        start(daemons)
        clients.more()
    assert not clients.refused
    found = all_arrive(postfix, office365, {foreign, *(message_id for message_id, _ in clients.sent)})
    assert found[foreign].sender == UPN


def test_where_logins_decide_setup_says_that_clients_will_be_put_off(relay_of):
    postfix, _ = relay_of(LOGINS)
    said = " ".join(applied(postfix).stdout.split())
    assert "tells clients to come again (451)" in said and "systemctl enable --now" in said


def test_mail_comes_in_while_the_milter_is_down(relay_of, office365):
    postfix, daemons = relay_of()
    set_up(postfix, daemons)
    before = send(postfix, "app@intern.example", FOREIGN)
    daemons[1].stop()
    meanwhile = {send(postfix, "app@intern.example", FOREIGN), send(postfix, "", FOREIGN), sendmail(postfix, "root"),
                 send(postfix, "print@intern.example", b"Subject: nobody\r\n")}
    found = all_arrive(postfix, office365, {before, *meanwhile})
    assert {arrival.sender for arrival in found.values()} == {UPN}


def test_a_parameter_that_setup_names_reaches_the_daemons(relay_of, office365):
    """What it says to do next is enough: the milter that runs does not know the parameter yet."""
    postfix, daemons = relay_of()
    set_up(postfix, daemons)
    with (postfix.config_directory / "main.cf").open("a") as main:
        main.write(f"post365_sender_upn_maps = inline:{{ {{ print@intern.example = {UPN} }} }}\n")
    said = applied(postfix).stdout
    assert re.search(r"^ +systemctl reload post365-policyd post365-milter post365-transport\n +postfix reload$", said, re.M), said
    for daemon in daemons:
        daemon.reload()
    postfix.reload()
    found = send(postfix, "print@intern.example", b"Subject: known\r\n")
    all_arrive(postfix, office365, {found})
    assert "account=" + UPN + " (sender map)" in daemons[1].log()


def test_a_backlog_from_before_leaves(relay_of, office365):
    postfix, daemons = relay_of("defer_transports = smtp\n")
    waiting = {send(postfix, f"app{number}@intern.example", FOREIGN) for number in range(20)}
    assert processes.wait_until(lambda: len(postfix.queue()) == 20, 20)
    said = " ".join(run_setup(postfix).stdout.split())
    assert "20 messages wait in the queue. Nothing is to be done" in said
    start(daemons)
    assert "post365 queue flush" in applied(postfix).stdout
    postfix.reload()
    found = all_arrive(postfix, office365, waiting)
    assert {arrival.sender for arrival in found.values()} == {UPN}


def test_a_newsletter_goes_in_messages_of_500(relay_of, office365):
    postfix, daemons = relay_of()
    set_up(postfix, daemons)
    before = len(list(office365.journal("accepted")))
    send(postfix, UPN, OURS, [f"reader{number}@dest.example" for number in range(1000)])
    assert postfix.wait_empty(60) == []
    sizes = [len(Arrival(entry).recipients) for entry in list(office365.journal("accepted"))[before:]]
    assert sizes == [500, 500]


# --- smtp(8)'s tables ---

def test_recipients_are_rewritten_as_before(relay_of, office365):
    postfix, daemons = relay_of("smtp_generic_maps = texthash:{etc}/generic\n",
                                {"generic": ("texthash", "root@relay.example.com boss@dest.example\n"
                                             "web@relay.example.com sales@dest.example\n")})
    set_up(postfix, daemons)
    message_id, data = message.compose(b"From: web@relay.example.com\r\nSubject: x\r\n", b"hello\n")
    assert client.send(postfix.smtp_port, "web@relay.example.com", ["root@relay.example.com"], data).accepted
    found = all_arrive(postfix, office365, {message_id})[message_id]
    assert set(found.recipients) == {"boss@dest.example"} and found.sender == UPN
    assert found.fields("Reply-To") == [b"sales@dest.example"]


def test_headers_are_checked_as_before(relay_of, office365):
    postfix, daemons = relay_of("smtp_header_checks = regexp:{etc}/checks\nsmtp_body_checks = regexp:{etc}/body\n",
                                {"checks": ("regexp", "/^X-Secret:/ IGNORE\n/^Subject: (.*)/ REPLACE Subject: [relay] $1\n"),
                                 "body": ("regexp", "/^password/ REPLACE (taken out)\n")})
    set_up(postfix, daemons)
    message_id, data = message.compose(FOREIGN + b"X-Secret: 1\r\n", b"hello\npassword 123\n")
    assert client.send(postfix.smtp_port, "app@intern.example", ["a@dest.example"], data).accepted
    found = all_arrive(postfix, office365, {message_id})[message_id]
    assert found.fields("Subject") == [b"[relay] x"]
    assert found.body_sha256 == hashlib.sha256(b"hello\r\n(taken out)\r\n").hexdigest()


# --- it is taken out ---

RECIPES = {
    "anywhere": ("smtp_header_checks = regexp:{etc}/checks\n", f"/From:.*/ REPLACE From: {UPN}\n"),
    "at-the-beginning": ("smtp_header_checks = regexp:{etc}/checks\n", f"/^From:/ REPLACE From: <{UPN}>\n"),
    "static": (f"sender_canonical_classes = envelope_sender, header_sender\nsender_canonical_maps = static:{UPN}\n", ""),
    "regexp": ("sender_canonical_classes = envelope_sender, header_sender\nsender_canonical_maps = regexp:{etc}/checks\n",
               f"/.+/ {UPN}\n"),
    "generic": ("smtp_generic_maps = texthash:{etc}/checks\n",
                f"@intern.example {UPN}\n@relay.example.com {UPN}\n"),
    "on-arrival": (f"sender_canonical_maps = static:{UPN}\nsender_canonical_classes = envelope_sender\n"
                   "header_checks = regexp:{etc}/checks\n", f"/^From:.*/ REPLACE From: {UPN}\n"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_nothing_bounces_when_it_is_taken_out(relay_of, office365, name):
    main, checks = RECIPES[name]
    postfix, daemons = relay_of(main, {"checks": ("regexp", checks)})
    before = postfix.contents()
    set_up(postfix, daemons)
    daemons[2].stop()
    waiting = {send(postfix, "app@intern.example", FOREIGN), sendmail(postfix, "root", b"From: cron <root>\nSubject: x\n"),
               send(postfix, "joe@intern.example", b"From: Joe <joe@intern.example>, Ann <ann@intern.example>\r\nSubject: x\r\n"),
               send(postfix, "web@intern.example", b"From: broken address\r\nSubject: x\r\n"),
               send(postfix, "scan@intern.example", b"From: Scan <scan@intern.example>\r\nReply-To: it@intern.example\r\n"),
               send(postfix, UPN, OURS)}
    assert processes.wait_until(lambda: len(postfix.queue()) == len(waiting), 20)
    said = " ".join(undone(postfix).stdout.split())
    assert f"{len(waiting)} messages wait in the queue" in said
    assert postfix.contents() == before
    for daemon in daemons[:2]:
        daemon.stop()
    postfix.reload()
    found = all_arrive(postfix, office365, waiting)
    assert {arrival.sender for arrival in found.values()} == {UPN}
