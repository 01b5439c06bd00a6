"""Whatever way mail comes, it leaves by the right account, with MAIL FROM, From: and the way to answer right.

The milter's decision goes along in ENVID; what comes without it is judged by the transport. On a real Postfix."""

import contextlib
import json
import os
import shutil
import smtplib
import socket
import time

import pytest

from harness import command, message, processes
from harness.office365 import Office365
from harness.postfix import free_ports
from harness.relay import PASSWORD, UPN, Relay
from harness.workplace import USER

JOE, SALES = "joe@example.com", "sales@example.com"
LOGIN = ("joe", "pw")
APP = "app@intern.example"
FROM_APP = b"From: App <app@intern.example>\r\nSubject: x\r\n"
LONG = "0123456789abcdef" * 16
REPLY_TO = [b"App <app@intern.example>"]


@pytest.fixture
def office365(place):
    return place.add(Office365(place.directory / "office365", mailboxes={
        UPN: {"password": PASSWORD}, JOE: {"password": "joe's", "send_as": [SALES]}})).start()


@pytest.fixture
def saved(office365, place):
    """The messages that came to their end at the stand-in, in their order."""
    directory = place.directory / "saved"
    directory.mkdir()
    office365.settings["save_directory"] = str(directory)
    office365.stop()
    office365.start()

    def read():
        return [path.read_bytes() for path in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime_ns)]
    return read


@pytest.fixture
def start(place, office365):
    """A relay with two accounts: of the login joe, and the default."""
    def start_one(parameters=None, services="", begin=True, **post365):
        relay = Relay(
            place.directory / "relay", office365, transport=(UPN, JOE), logins={"joe": "pw"}, services=services,
            passwords={f"[localhost]:{office365.port}": f"{UPN}:{PASSWORD}", UPN: f"{UPN}:{PASSWORD}", JOE: f"{JOE}:joe's"},
            parameters={"minimal_backoff_time": "3s", "queue_run_delay": "3s", "notify_classes": "", **(parameters or {})},
            post365={"post365_message_quota": "none", "post365_upn": UPN, "post365_login_upn_maps": {"joe": JOE},
                     "post365_send_as_maps": {JOE: SALES}, **post365})
        place.add(relay)
        return relay.start() if begin else relay
    return start_one


def send(port, sender, recipients, data, mail=(), rcpt=(), login=None):
    """One message, with parameters of MAIL and of each RCPT; it must be taken."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.ehlo("client.example.com")
        if login:
            client.user, client.password = login
            client.auth("PLAIN", client.auth_plain)
        for reply in [client.mail(sender, list(mail)), *(client.rcpt(to, list(rcpt)) for to in recipients), client.data(data)]:
            assert reply[0] in (250, 251), reply


def submit(relay, sender, header, recipients=("a@dest.example",), **options):
    """Returns the Message-ID."""
    message_id, data = message.compose(header, b"hello\r\n")
    port = relay.postfix.submission_port if options.get("login") else options.pop("port", relay.postfix.smtp_port)
    send(port, sender, list(recipients), data, **options)
    return message_id


def arrive(relay, *arguments, **options):
    return relay.arrival(submit(relay, *arguments, **options))


def account(arrival):
    return arrival.entry["mailbox"]


def wishes(arrival):
    """What of RFC 3461 stood behind MAIL FROM and RCPT TO: a dictionary, and one for each recipient."""
    def of_dsn(parameters):
        return {name: value for name, value in parameters.items() if name in ("RET", "ENVID", "NOTIFY", "ORCPT")}
    return of_dsn(arrival.entry["parameters"]), [of_dsn(rcpt["parameters"]) for rcpt in arrival.entry["rcpt"]]


def is_right(relay, arrival, reply_to=None, upn=UPN):
    assert (account(arrival), arrival.sender) == (upn, upn)
    assert arrival.fields("From")[0].strip(b"<>").endswith(upn.encode())
    if reply_to is not None:
        assert arrival.fields("Reply-To") == reply_to
    assert not relay.refused()
    assert relay.postfix.wait_empty(10) == []


def deferred(relay, text, timeout=20):
    """The reason with this text, when something is deferred for it."""
    def reasons():
        return [recipient.get("delay_reason", "") for entry in relay.postfix.queue() for recipient in entry["recipients"]]
    found = processes.wait_until(lambda: [reason for reason in reasons() if text in reason], timeout, 0.1)
    assert found, f"{reasons()}\n{relay.transport.log()[-3000:]}"
    return found[0]


def aliases(relay, text):
    return {"mydestination": "relay.example.com", "alias_maps": relay.postfix.table("aliases", text)}


# --- the login is known ---

def test_a_login_sends_as_what_it_holds_send_as_for(start):
    relay = start()
    arrival = arrive(relay, SALES, b"From: Sales <sales@example.com>\r\n", login=LOGIN)
    assert (account(arrival), arrival.sender) == (JOE, SALES)
    assert arrival.fields("From") == [b"Sales <sales@example.com>"]
    assert relay.postfix.wait_empty(10) == []


@pytest.mark.parametrize("header", [b"From: Joe <joe@example.com>\r\nAuto-Submitted: auto-replied\r\n", b"From: Joe <joe@home.example>\r\n"])
def test_a_receipt_or_vacation_of_a_login_goes_by_the_login_s_account(start, header):
    relay = start()
    arrival = arrive(relay, "", header, login=LOGIN)
    is_right(relay, arrival, upn=JOE)
    assert wishes(arrival) == ({}, [{"NOTIFY": "NEVER", "ORCPT": "rfc822;a@dest.example"}])
    assert arrival.fields("Auto-Submitted")[0] in (b"auto-replied", b"auto-generated")


def test_the_login_counts_through_an_alias_and_a_forward_file(start, place):
    relay = start(begin=False)
    forward = place.directory / "forward"
    forward.mkdir(mode=0o755)
    (forward / "daemon").write_text("b@dest.example\n")
    shutil.chown(forward / "daemon", USER)
    relay.postfix.configure({**aliases(relay, "ops a@dest.example\n"), "forward_path": f"{forward}/$user"})
    relay.start()
    message_id = submit(relay, SALES, b"From: Sales <sales@example.com>\r\n", login=LOGIN,
                        recipients=["ops@relay.example.com", "daemon@relay.example.com"])
    assert processes.wait_until(lambda: len(relay.accepted()) == 2, 20, 0.1), relay.postfix.log()[-3000:]
    for arrival in relay.accepted():
        assert (account(arrival), arrival.sender, arrival.message_id) == (JOE, SALES, message_id)


def test_the_login_counts_when_mail_is_requeued_or_tried_again(start, office365):
    relay = start()
    office365.add_fault(stage="mail", reply="451 4.3.2 later", times=1)
    message_id = submit(relay, SALES, b"From: Sales <sales@example.com>\r\n", login=LOGIN)
    deferred(relay, "later")
    relay.postfix.command("postsuper", "-r", "ALL")
    relay.postfix.flush()
    assert account(relay.arrival(message_id)) == JOE


def test_the_login_counts_in_reasons_and_for_wake_ups(start, office365):
    office365.set_mailbox(JOE, password="changed")
    relay = start(parameters={"minimal_backoff_time": "300s", "queue_run_delay": "300s"})
    message_id = submit(relay, SALES, b"From: Sales <sales@example.com>\r\n", login=LOGIN)
    assert f"(account <{JOE}>)" in deferred(relay, "535 5.7.3")
    office365.set_mailbox(JOE, password="joe's")
    relay.postfix.table("sasl_passwd", {f"[localhost]:{office365.port}": f"{UPN}:{PASSWORD}", UPN: f"{UPN}:{PASSWORD}",
                                        JOE: f"{JOE}:joe's", "x@example.com": "x@example.com:x"}, mode=0o644)
    assert account(relay.arrival(message_id, 40)) == JOE  # Postfix's own next attempt is five minutes away


def queued_accounts(relay, *words):
    """{account: causes} of what waits, as `post365 queue` has it."""
    done = command.run(relay.postfix.config_directory, "queue", "--json", *words)
    found = {}
    for line in done.stdout.splitlines():
        entry = json.loads(line)
        found.setdefault(entry["account"], []).extend(cause["cause"] for cause in entry["causes"])
    return found


def test_the_command_names_the_account_that_the_transport_names(start):
    relay = start({"minimal_backoff_time": "300s", "queue_run_delay": "300s"}, begin=False)
    relay.postfix.configure(aliases(relay, "ops a@dest.example\nowner-ops root@intern.example\n"))
    relay.start()
    for upn in (JOE, UPN):
        assert command.run(relay.postfix.config_directory, "pause", upn).returncode == 0
    ids = [submit(relay, SALES, b"From: Sales <sales@example.com>\r\n", login=LOGIN),  # all on the socket of all accounts
           submit(relay, "", b"From: Joe <joe@example.com>\r\n", login=LOGIN)]
    deferred(relay, f"(account <{JOE}>)")
    assert processes.wait_until(lambda: queued_accounts(relay) == {JOE: ["paused-by-hand"] * 2}, 20, 0.2)
    other = submit(relay, APP, FROM_APP, recipients=["ops@relay.example.com"])
    assert processes.wait_until(lambda: queued_accounts(relay) == {JOE: ["paused-by-hand"] * 2, UPN: ["paused-by-hand"]}, 20, 0.2)
    assert queued_accounts(relay, "--account", UPN) == {UPN: ["paused-by-hand"]}
    assert command.run(relay.postfix.config_directory, "resume", JOE).returncode == 0
    for message_id in ids:  # woken up: Postfix's own next attempt is five minutes away
        assert account(relay.arrival(message_id, 40)) == JOE
    assert len(relay.accepted()) == 2
    assert command.run(relay.postfix.config_directory, "resume", UPN).returncode == 0
    assert account(relay.arrival(other, 40)) == UPN


# --- the sender changes behind the milter ---

def test_an_alias_with_an_owner_goes_with_the_account_as_its_sender(start):
    relay = start(begin=False)
    relay.postfix.configure(aliases(relay, "ops a@dest.example, b@dest.example\nowner-ops root@intern.example\n"))
    relay.start()
    is_right(relay, arrive(relay, APP, FROM_APP, recipients=["ops@relay.example.com"]), REPLY_TO)


@pytest.mark.parametrize("sender, header", [(APP, FROM_APP), (SALES, b"From: Sales <sales@example.com>\r\n")])
def test_verp_goes_with_the_account_as_its_sender(start, sender, header):
    relay = start({"smtpd_authorized_verp_clients": "127.0.0.1"})
    is_right(relay, arrive(relay, sender, header, mail=["XVERP=+="]))


@pytest.mark.parametrize("changed", [
    {"masquerade_domains": "example.com", "post365_upn": "relay@mail.example.com",
     "sender_dependent_default_transport_maps": ""},
    {"sender_canonical_maps": "static:somebody@else.example"},
    {"canonical_maps": "inline:{ { relay@example.com = root@web.intern.example } }"},
    {"sender_canonical_maps": f"static:{UPN}"}])
def test_what_postfix_makes_of_the_sender_is_the_account_on_the_wire(start, office365, changed):
    upn = changed.pop("post365_upn", UPN)
    office365.set_mailbox(upn, password=PASSWORD)
    relay = start(changed, begin=False, post365_upn=upn)
    relay.postfix.table("sasl_passwd", {f"[localhost]:{office365.port}": f"{upn}:{PASSWORD}"}, mode=0o600)
    is_right(relay, arrive(relay.start(), APP, FROM_APP), upn=upn)


# --- what no milter has seen ---

def reentry(port):
    return f"""127.0.0.1:{port} inet n - n - - smtpd
  -o syslog_name=postfix/reentry
  -o smtpd_milters=
  -o receive_override_options=no_header_body_checks,no_unknown_recipient_checks,no_milters
"""


@pytest.mark.parametrize("sender, header, reply_to", [
    (APP, FROM_APP, REPLY_TO),
    ("virusalert@relay.example.com", b"From: \"Filter\" <virusalert@relay.example.com>\r\n", None),
    ("", b"From: MAILER-DAEMON (Filter)\r\n", None),
    (APP, b"Subject: no From\r\n", [b"app@intern.example"]),
    (UPN, FROM_APP, REPLY_TO)])
def test_a_port_without_milters_is_made_right(start, sender, header, reply_to):
    (port,) = free_ports(1)
    relay = start(services=reentry(port))
    is_right(relay, arrive(relay, sender, header, port=port), reply_to)


def test_the_decision_goes_through_a_port_without_milters(start):
    """As a content filter does that keeps the parameters of MAIL."""
    (port,) = free_ports(1)
    relay = start({"defer_transports": "post365"}, services=reentry(port))
    submit(relay, SALES, b"From: Sales <sales@example.com>\r\n", login=LOGIN)
    envid = queued_envid(relay)
    relay.postfix.command("postsuper", "-d", "ALL")
    relay.postfix.configure({"defer_transports": ""})
    relay.postfix.reload()
    arrival = arrive(relay, SALES, b"From: Sales <sales@example.com>\r\n", port=port, mail=[f"ENVID={envid}"])
    assert (account(arrival), arrival.sender) == (JOE, SALES)


def queued_envid(relay):
    """The ENVID of the only message in the queue, as Postfix keeps it; in these tests it needs no xtext."""
    assert processes.wait_until(relay.postfix.queue, 30, 0.1)
    records = relay.postfix.command("postcat", "-eq", relay.postfix.queue()[0]["queue_id"]).stdout
    found = [line.partition("envelope_id=")[2] for line in records.splitlines() if "envelope_id=" in line]
    return found[-1]


def test_mail_that_was_queued_before_leaves_right(start):
    relay = start({"smtpd_milters": "", "non_smtpd_milters": "", "defer_transports": "post365"})
    ids = [submit(relay, APP, FROM_APP) for _ in range(5)]
    relay.postfix.sendmail(b"From: root\nTo: a\nMessage-ID: <cron@test>\n\nhello\n", "-f", "root@intern.example", "a@dest.example")
    relay.postfix.configure({"defer_transports": "", "smtpd_milters": "unix:post365/milter"})
    relay.postfix.reload()
    relay.postfix.flush()
    for message_id in [*ids, "<cron@test>"]:
        is_right(relay, relay.arrival(message_id))


def test_the_milter_may_be_gone_for_a_while(start):
    relay = start({"milter_default_action": "accept"})
    relay.milter.stop()
    is_right(relay, arrive(relay, APP, FROM_APP), REPLY_TO)
    relay.milter.start()
    is_right(relay, arrive(relay, APP, FROM_APP), REPLY_TO)


def test_the_notice_of_a_full_disk_arrives(start):
    relay = start(begin=False)
    relay.postfix.configure({**aliases(relay, "postmaster admin@dest.example\n"), "notify_classes": "resource",
                             "queue_minfree": "100000000000000"})
    relay.start()
    with smtplib.SMTP("127.0.0.1", relay.postfix.smtp_port) as client:
        client.ehlo("client.example.com")
        assert client.mail(APP)[0] == 452
    assert processes.wait_until(relay.accepted, 20, 0.1), relay.postfix.log()[-3000:]
    notice = relay.accepted()[0]
    assert notice.recipients == ["admin@dest.example"]
    is_right(relay, notice)


def test_a_bounce_reaches_the_sender_and_cannot_bounce(start, office365):
    relay = start({"internal_mail_filter_classes": ""})
    office365.set(unknown_recipients={"unknown-user": ["nobody@dest.example"]})
    send(relay.postfix.smtp_port, "", ["nobody@dest.example", "a@dest.example"], message.compose(b"From: <>\r\n", b"x\r\n")[1])
    assert processes.wait_until(relay.accepted, 20, 0.1)
    arrival = relay.accepted()[0]
    assert {rcpt.get("NOTIFY") for rcpt in wishes(arrival)[1]} == {"NEVER"}
    assert arrival.fields("Auto-Submitted") == [b"auto-generated"]
    assert relay.postfix.wait_empty(10) == []  # Postfix knows the null sender still


# --- what is wanted reported ---

@pytest.mark.parametrize("envid", ["QQ314159", "a+2Bb+3Dc", LONG, "x" * 1800], ids=lambda text: str(len(text)))
def test_the_client_s_own_envid_is_what_microsoft_is_told(start, envid):
    relay = start()
    arrival = arrive(relay, APP, FROM_APP, mail=[f"ENVID={envid}", "RET=HDRS"])
    refused = [entry["reply"] for entry in relay.office365.journal("mail-refused")]
    if len(envid) <= 100:
        assert (wishes(arrival)[0], refused) == ({"ENVID": envid, "RET": "HDRS"}, [])
    else:  # the stand-in goes by RFC 3461
        assert (wishes(arrival)[0], len(refused)) == ({}, 1)


def test_without_an_envid_of_the_client_s_microsoft_is_told_none(start):
    relay = start()
    assert "ENVID" not in str(arrive(relay, APP, FROM_APP).entry["parameters"])
    assert "ENVID" not in str(arrive(relay, "", FROM_APP, login=LOGIN).entry["parameters"])
    relay.postfix.sendmail(b"From: root\nMessage-ID: <cron@test>\n\nhello\n", "-f", APP, "a@dest.example")
    assert "ENVID" not in str(relay.arrival("<cron@test>").entry["parameters"])


@pytest.mark.parametrize("orcpt", ["rfc822;" + "a" * 600 + "@dest.example", "x400;/C=de/A=+3D/", "rfc822;" + "+2B" * 600,
                                   "unknown_type;a@dest.example", "utf-8;\\x{FC}@dest.example"], ids=lambda text: str(len(text)))
def test_an_orcpt_of_any_length_and_type_loses_no_mail(start, orcpt):
    relay = start()
    arrival = arrive(relay, APP, FROM_APP, rcpt=["NOTIFY=SUCCESS,FAILURE", f"ORCPT={orcpt}"])
    assert wishes(arrival)[1][0]["NOTIFY"] == "SUCCESS,FAILURE"
    assert "bounced" not in relay.postfix.log()


@pytest.mark.parametrize("stage, reply", [("mail", "501 5.5.4 Invalid arguments"), ("mail", "555 5.5.4 Unsupported"),
                                          ("mail", "500 5.5.2 Line too long"), ("rcpt", "501 5.5.4 Invalid arguments")])
def test_what_microsoft_refuses_to_report_goes_without(start, office365, stage, reply):
    relay = start()
    office365.add_fault(stage=stage, reply=reply, times=1)
    arrival = arrive(relay, APP, FROM_APP, mail=["ENVID=QQ314159"], rcpt=["NOTIFY=SUCCESS"])
    assert wishes(arrival) == ({}, [{}])
    assert "bounced" not in relay.postfix.log()


def test_of_several_recipients_the_one_that_was_refused_goes_without(start, office365):
    relay = start(parameters={"minimal_backoff_time": "300s", "queue_run_delay": "300s"})
    office365.add_fault(stage="rcpt", recipient="b@*", reply="501 5.5.4 Invalid arguments", times=2)
    submit(relay, APP, FROM_APP, recipients=["a@dest.example", "b@dest.example", "c@dest.example"], rcpt=["NOTIFY=SUCCESS"])
    assert processes.wait_until(lambda: len(relay.accepted()) == 2, 30, 0.1), relay.postfix.log()[-3000:]
    first, second = relay.accepted()
    assert (first.recipients, second.recipients) == (["a@dest.example", "c@dest.example"], ["b@dest.example"])
    assert (wishes(first)[1][0]["NOTIFY"], wishes(second)[1][0]) == ("SUCCESS", {})
    assert "bounced" not in relay.postfix.log()


def test_a_sender_that_is_refused_for_good_is_no_endless_loop(start, office365):
    relay = start()
    office365.add_fault(stage="mail", reply="501 5.1.7 Invalid address", times=2)
    submit(relay, APP, FROM_APP, mail=["ENVID=QQ1"])
    assert relay.postfix.wait_log("status=bounced")
    assert len([entry for entry in office365.journal("mail-refused")]) == 2


def test_a_bounce_s_envelope_id_begins_with_the_client_s(start, office365, saved):
    relay = start()
    office365.set(unknown_recipients={"unknown-user": ["nobody@dest.example"]})
    submit(relay, APP, FROM_APP, recipients=["nobody@dest.example"], mail=["ENVID=QQ314159"])
    assert processes.wait_until(relay.accepted, 20, 0.1), relay.postfix.log()[-3000:]
    assert b"Original-Envelope-Id: QQ314159;365;" in saved()[0]


# --- the seal ---

def sealed(relay):
    """An ENVID that names joe, from a message of his."""
    submit(relay, SALES, b"From: Sales <sales@example.com>\r\n", login=LOGIN)
    envid = queued_envid(relay)
    relay.postfix.command("postsuper", "-d", "ALL")
    return envid


@pytest.fixture
def past(start):
    """A relay that holds its mail back, with a port that no milter looks at. Returns (relay, port)."""
    (port,) = free_ports(1)
    return start({"defer_transports": "post365"}, services=reentry(port)), port


def let_go(relay):
    relay.postfix.configure({"defer_transports": ""})
    relay.postfix.reload()


@pytest.mark.parametrize("change", [lambda text: text.replace(JOE, "boss@example.com"), lambda text: text[:-1] + "x",
                                    lambda text: "y" + text, lambda text: text[1:]])
def test_a_client_cannot_name_an_account(past, change):
    relay, port = past
    envid = change(sealed(relay))
    let_go(relay)
    arrival = arrive(relay, SALES, b"From: Sales <sales@example.com>\r\n", port=port, mail=[f"ENVID={envid}"])
    assert (account(arrival), arrival.sender) == (UPN, UPN)
    assert wishes(arrival)[0] == {"ENVID": envid}  # it is just his own


def test_a_seal_that_comes_through_the_milter_says_nothing(past):
    relay, _ = past
    envid = sealed(relay)
    let_go(relay)
    arrival = arrive(relay, APP, FROM_APP, mail=[f"ENVID={envid}"])
    is_right(relay, arrival)
    assert wishes(arrival)[0] == {"ENVID": envid}


def replace_key(relay, octets):
    key = relay.postfix.directory / "ledger" / "handover.key"
    temporary = key.with_suffix(".new")
    temporary.write_bytes(octets)
    temporary.chmod(0o600)
    shutil.chown(temporary, USER)
    temporary.rename(key)


def test_another_key_means_another_host(past):
    relay, port = past
    envid = sealed(relay)
    replace_key(relay, os.urandom(32))
    time.sleep(11)  # a key is looked for every ten seconds
    let_go(relay)
    arrival = arrive(relay, SALES, b"From: Sales <sales@example.com>\r\n", port=port, mail=[f"ENVID={envid}"])
    assert account(arrival) == UPN
    assert account(arrive(relay, SALES, b"From: Sales <sales@example.com>\r\n", login=LOGIN)) == JOE


def test_the_key_survives_restarts(start):
    relay = start({"defer_transports": "post365"})
    message_id = submit(relay, SALES, b"From: Sales <sales@example.com>\r\n", login=LOGIN)
    for daemon in (relay.milter, relay.transport, relay.policyd):
        daemon.stop()
    for daemon in (relay.transport, relay.milter, relay.policyd):
        daemon.start()
    let_go(relay)
    relay.postfix.flush()
    assert account(relay.arrival(message_id)) == JOE


def test_a_key_that_was_removed_is_made_anew_by_whoever_starts_first(start):
    relay = start()
    (relay.postfix.directory / "ledger" / "handover.key").unlink()
    relay.transport.stop()
    relay.transport.start()
    processes.wait_until(lambda: False, 11)  # the milter looks again every ten seconds
    assert account(arrive(relay, SALES, b"From: Sales <sales@example.com>\r\n", login=LOGIN)) == JOE


def test_without_a_key_mail_goes_by_what_the_transport_knows(start):
    relay = start(begin=False)
    ledger = relay.postfix.directory / "ledger"
    relay.policyd.start()
    (ledger / "handover.key").mkdir()
    relay.milter.start()
    relay.transport.start()
    relay.postfix.start()
    (relay.postfix.queue_directory / "public").chmod(0o755)
    is_right(relay, arrive(relay, APP, FROM_APP), REPLY_TO)
    is_right(relay, arrive(relay, JOE, b"From: joe@example.com\r\n"), upn=JOE)
    assert relay.milter.log().count("handover.key") == relay.transport.log().count("handover.key") == 1


# --- Postfix's own doings ---

def test_who_gets_a_copy_of_a_sender_s_mail_gets_one(start):
    relay = start({"sender_bcc_maps": "static:archive@dest.example"})
    message_id = submit(relay, SALES, b"From: Sales <sales@example.com>\r\n", login=LOGIN)
    relay.arrival(message_id)
    assert relay.postfix.wait_empty(20) == []
    recipients = [to for arrival in relay.accepted() for to in arrival.recipients]
    assert sorted(recipients) == ["a@dest.example", "archive@dest.example"]


@pytest.mark.parametrize("sender, want", [
    ("@relay.example.com:sales@brand.example", "sales@brand.example"), ('"a b"@brand.example', '"a b"@brand.example'),
    ("sales@brand.example.", "sales@brand.example"), ("Sales+x=y@BRAND.example", "Sales+x=y@BRAND.example"),
    ('"quo\\"ted"@brand.example', '"quo\\"ted"@brand.example'), ("o'neil@brand.example", "o'neil@brand.example")])
def test_a_sender_that_stays_is_what_postfix_makes_of_it(start, office365, sender, want):
    office365.set_mailbox(JOE, send_as=["@brand.example"])
    relay = start(post365_send_as_maps={JOE: "@brand.example"})
    message_id, data = message.compose(b"From: joe@example.com\r\n", b"hello\r\n")
    with smtplib.SMTP("127.0.0.1", relay.postfix.submission_port) as client:
        client.ehlo("client.example.com")
        client.user, client.password = LOGIN
        client.auth("PLAIN", client.auth_plain)
        assert client.docmd("MAIL", f"FROM:<{sender}>")[0] == 250
        assert client.rcpt("a@dest.example")[0] == 250
        assert client.data(data)[0] == 250
    arrival = relay.arrival(message_id)
    assert (account(arrival), arrival.sender) == (JOE, want)


def test_an_address_with_other_letters_keeps_smtputf8(start):
    relay = start(post365_send_as_maps={JOE: "b\u00fcro@example.com"})
    message_id, data = message.compose("From: b\u00fcro@example.com\r\n".encode(), b"hello\r\n")
    with smtplib.SMTP("127.0.0.1", relay.postfix.submission_port) as client:
        client.ehlo("client.example.com")
        client.user, client.password = LOGIN
        client.auth("PLAIN", client.auth_plain)
        client.command_encoding = "utf-8"
        assert client.mail("b\u00fcro@example.com", ["SMTPUTF8", "BODY=8BITMIME"])[0] == 250
        assert client.rcpt("a@dest.example")[0] == 250
        assert client.data(data)[0] == 250
    def seen():
        return [entry for entry in relay.office365.journal() if entry["event"] in ("accepted", "refused")]
    assert processes.wait_until(seen, 20, 0.1), relay.transport.log()[-2000:]
    assert "SMTPUTF8" in str(seen()[0]["parameters"]) and seen()[0]["mailbox"] == JOE
    assert message_id


def lmtp(relay):
    directory = os.open(relay.postfix.queue_directory, os.O_PATH)
    try:
        return smtplib.LMTP(f"/proc/self/fd/{directory}/post365/transport", timeout=30)
    finally:
        os.close(directory)


# Senders that nobody could write to, and what is wanted reported in a way that is none.
ODD_SENDERS = ["< a@b.c>", "<a b@b.c>", "<\u00e4@b.c>", "<double-bounce>", '<"a"@>', "<a@b.c;DATA>", '<a"b>"@b.c>']
ODD_WISHES = ["NOTIFY=NEVER,NEVER", "ORCPT=rfc822;x+0", "ORCPT=rfc822;x=y", "ORCPT=;x", "ORCPT=rf(c;x", "ORCPT=utf-8;\u00e4@b"]


def test_an_odd_sender_or_wish_never_reaches_the_wire(start):
    relay = start()
    with lmtp(relay) as client:
        client.command_encoding = "utf-8"
        client.ehlo_or_helo_if_needed()
        for sender in ODD_SENDERS:
            assert client.docmd("MAIL", f"FROM:{sender} ENVID=x+ RET=ALL SIZE=x")[0] == 250, sender
            for wish in ODD_WISHES:
                assert client.docmd("RCPT", f"TO:<a@dest.example> {wish}")[0] == 250, wish
            assert client.docmd("DATA")[0] == 354
            client.send(FROM_APP + b"\r\nhello\r\n.\r\n")
            assert {client.getreply()[0] for _ in ODD_WISHES} == {250}
    assert len(relay.accepted()) == len(ODD_SENDERS)
    for arrival in relay.accepted():
        assert (arrival.sender, wishes(arrival)) == (UPN, ({}, [{}] * len(ODD_WISHES)))


def test_where_the_login_alone_counts_a_port_without_milters_names_no_account(start):
    (port,) = free_ports(1)
    relay = start(services=reentry(port), post365_login_only="yes")
    is_right(relay, arrive(relay, JOE, b"From: joe@example.com\r\n", port=port))
    is_right(relay, arrive(relay, JOE, b"From: joe@example.com\r\n"))
    assert account(arrive(relay, SALES, b"From: Sales <sales@example.com>\r\n", login=LOGIN)) == JOE


# --- the header ---

def say(relay, data, sender=APP):
    """A message to the transport itself, octet for octet. Its reply."""
    with lmtp(relay) as client:
        client.ehlo_or_helo_if_needed()
        assert client.docmd("MAIL", f"FROM:<{sender}>")[0] == 250
        assert client.docmd("RCPT", "TO:<a@dest.example>")[0] == 250
        assert client.docmd("DATA")[0] == 354
        client.send(data + b".\r\n")
        return client.getreply()


@pytest.mark.parametrize("data", [
    b"Subject: no From, no end\r\n", b"\r\nhello\r\n", b"hello at once\r\n", b"", b" folded: first\r\n\r\n",
    b"From joe@x Sat Nov 28\r\nFrom: Joe <joe@corp.example>\r\n\r\nhello\r\n", b"\xff\xfe\x00: x\r\n\r\n\x00\r\n",
    b"From: " + b"x" * 200000 + b"\r\n\r\nhello\r\n", b"X: " + b"y" * 200000 + b"\r\n\r\n",
    b"From: a\x00b <joe@corp.example>\r\n\r\n", b"From: joe@corp.example\r\nno field\r\n", b"..\r\nFrom: x\r\n",
    b"Subject: x\nFrom: a@b\n\n\r\n\r\nhello\r\n"], ids=lambda data: str(len(data)))
def test_what_is_no_proper_message_leaves_in_the_end(start, data):
    relay = start()
    code, text = say(relay, data)
    assert code in (250, 550, 554), text  # Microsoft's answer, and not ours
    assert b"said:" in text


@pytest.mark.parametrize("size", [1000, 60000, 130000, 200000])
def test_headers_of_any_length_stream_through(start, saved, size):
    relay = start()
    filler = b"".join(b"X-Filler-%d: %s\r\n" % (number, b"0123456789" * 7) for number in range(size // 86))
    body = b"hello\r\n..dots\r\n\xff\r\n" + b"z" * 100000 + b"\r\n"
    right = b"From: Relay <%s>\r\nDKIM-Signature: v=1;\r\n b=\r\n%s\r\n%s" % (UPN.encode(), filler, body)
    assert say(relay, right)[0] == 250
    wrong = b"From: App <app@intern.example>\r\n%s\r\n%s" % (filler, body)
    assert say(relay, wrong)[0] == 250
    first, second = (text.replace(b"\r\n.", b"\r\n..") for text in saved())
    assert first.endswith(right)
    written = (b"From: App <%s>\r\n" % UPN.encode(), b"Reply-To: App <app@intern.example>\r\n",
               b"X-Post365-Original: App <app@intern.example>\r\n")
    assert all((b"\r\n" + second).count(b"\r\n" + one) == 1 for one in written)
    for one in written:
        second = second.replace(one, b"")
    assert second.endswith(b"%s\r\n%s" % (filler, body))


@pytest.mark.parametrize("milters", ["unix:post365/milter", ""], ids=["milter", "past-the-milter"])
@pytest.mark.parametrize("first, last", [
    (b"", FROM_APP), (FROM_APP, b"Sender: kim@intern.example\r\n"), (FROM_APP, b"Reply-To: App <app@intern.example>\r\n"),
    (b"From: Relay <%s>\r\n" % UPN.encode(), FROM_APP)], ids=["From", "Sender", "Reply-To", "two-From"])
def test_what_is_judged_may_stand_behind_a_header_of_any_length(start, milters, first, last):
    relay = start(parameters={"smtpd_milters": milters})
    filler = b"".join(b"X-Filler-%d: %s\r\n" % (number, b"0123456789" * 7) for number in range(3000))
    arrival = arrive(relay, APP, first + filler + last)
    is_right(relay, arrival)
    assert len(arrival.fields("From")) == 1 and not arrival.fields("Sender")
    assert any(b"app@intern.example" in reply for reply in arrival.fields("Reply-To"))


def test_memory_stays_small_with_a_header_without_end(start):
    relay = start()
    code, text = say(relay, FROM_APP + b"X-Filler: 0123456789\r\n" * 2000000 + b"\r\nhello\r\n")
    assert code == 552 and b"Header size" in text  # Microsoft's answer, to all of it
    with open(f"/proc/{relay.transport.pid}/status", encoding="ascii") as lines:
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    assert peak < 64 * 1024


def test_a_lookup_that_fails_at_the_header_sends_nothing(start, office365, place):
    relay = start(post365_send_as_maps=f"regexp:{place.directory}/send_as", begin=False)
    (place.directory / "send_as").write_text("/nothing/ x@example.com\n")
    relay.start()
    assert say(relay, FROM_APP + b"\r\nhello\r\n", UPN)[0] == 250
    with contextlib.suppress(FileNotFoundError):
        (place.directory / "send_as").unlink()
    code, text = say(relay, b"From: other@intern.example\r\n\r\nhello\r\n", UPN)
    assert (code, len(relay.accepted())) == (451, 1), text
    assert f"(account <{UPN}>)".encode() in text
    (place.directory / "send_as").write_text("/nothing/ x@example.com\n")
    assert processes.wait_until(lambda: say(relay, FROM_APP + b"\r\nhello\r\n", UPN)[0] == 250, 20, 0.5)


def test_header_settings_hold_in_the_transport_too(start):
    relay = start(post365_reply_to="no", post365_rewrite_from="yes")
    assert say(relay, FROM_APP + b"\r\nhello\r\n")[0] == 250
    arrival = relay.accepted()[0]
    assert arrival.fields("Reply-To") == [] and arrival.fields("From") == [b"App <%s>" % UPN.encode()]


def test_a_client_that_goes_within_the_header_leaves_nothing_behind(start):
    relay = start()
    for end in (b"From: App", b"From: App <app@intern.example>\r\n", FROM_APP + b"\r\nhello"):
        with lmtp(relay) as client:
            client.ehlo_or_helo_if_needed()
            for command in (f"MAIL FROM:<{APP}>", "RCPT TO:<a@dest.example>", "DATA"):
                assert client.docmd(command)[0] in (250, 354)
            client.send(end)
            client.sock.shutdown(socket.SHUT_RDWR)
            client.close()
    assert say(relay, FROM_APP + b"\r\nhello\r\n")[0] == 250
    assert len(relay.accepted()) == 1
