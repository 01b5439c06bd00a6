"""post365-transport between a real Postfix and the stand-in: mail goes, waits, is refused, survives."""

import contextlib
import os
import pwd
import signal
import smtplib

import pytest

from harness import processes
from harness.office365 import Office365
from harness.relay import PASSWORD, UPN, Relay
from harness.workplace import USER

OTHER = "other@example.com"
HEADER = f"From: {UPN}\r\nTo: a@dest.example\r\nSubject: x\r\n"


@pytest.fixture
def office365(place):
    return place.add(Office365(place.directory / "office365", mailboxes={
        UPN: {"password": PASSWORD}, OTHER: {"password": "other"}})).start()


@pytest.fixture
def start(place, office365):
    """Starts a relay that delivers through the transport."""
    def start_one(accounts=(UPN,), parameters=None, passwords=None, **post365):
        relay = Relay(place.directory / "relay", office365, post365=post365, transport=accounts,
                      parameters={"minimal_backoff_time": "3s", "queue_run_delay": "3s", **(parameters or {})},
                      passwords=passwords)
        place.add(relay)
        return relay.start()
    return start_one


def status(relay):
    """{recipient: reason} of what is deferred."""
    return {recipient["address"]: recipient.get("delay_reason", "")
            for message in relay.postfix.queue() if message["queue_name"] == "deferred"
            for recipient in message["recipients"]}


def deferred(relay, text, timeout=20):
    """Waits until something is deferred for a reason with this text; returns the reason."""
    def find():
        return [reason for reason in status(relay).values() if text in reason]
    found = processes.wait_until(find, timeout, 0.1)
    assert found, f"nothing is deferred for {text!r}: {status(relay)}\n{relay.transport.log()[-3000:]}"
    return found[0]


def lmtp(relay, name="transport"):
    """A client of the transport's own socket."""
    directory = os.open(relay.postfix.queue_directory, os.O_PATH)
    try:
        return smtplib.LMTP(f"/proc/self/fd/{directory}/post365/{name}", timeout=30)
    finally:
        os.close(directory)


def send(client, sender, recipients, data):
    """One message. The replies to each recipient, which smtplib does not read."""
    client.ehlo_or_helo_if_needed()
    assert client.docmd("MAIL", f"FROM:<{sender}>")[0] == 250
    for recipient in recipients:
        assert client.docmd("RCPT", f"TO:<{recipient}>")[0] == 250
    code, text = client.docmd("DATA")
    if code != 354:
        return [(code, text)] * len(recipients)
    client.send(data + b".\r\n")
    return [client.getreply() for _ in recipients]


# --- mail goes ---

def test_mail_of_an_application_arrives_with_the_account_as_its_sender(start):
    relay = start()
    arrival = relay.deliver("app@intern.example", ["a@dest.example", "b@dest.example"],
                            b"From: App <app@intern.example>\r\nSubject: x\r\n", b"hello\r\n.\r\n..two\r\n")
    assert arrival.sender == UPN
    assert set(arrival.recipients) == {"a@dest.example", "b@dest.example"}
    assert not relay.refused()


def test_a_connection_carries_message_after_message(start, office365):
    relay = start()
    for _ in range(5):
        relay.deliver(UPN, ["a@dest.example"], HEADER.encode())
    assert len(list(office365.journal("auth"))) == 1


def test_a_bounce_goes_out_with_the_account(start):
    relay = start()
    with lmtp(relay) as client:
        assert client.sendmail("", ["a@dest.example"], HEADER + "\r\nhello\r\n") == {}
    assert relay.accepted()[0].sender == UPN


def test_each_account_logs_in_as_itself(start, office365):
    relay = start(accounts=(UPN, OTHER), passwords={UPN: f"{UPN}:{PASSWORD}", OTHER: f"{OTHER}:other"},
                  post365_upn=UPN)
    relay.deliver(UPN, ["a@dest.example"], HEADER.encode())
    relay.deliver(OTHER, ["a@dest.example"], f"From: {OTHER}\r\nSubject: x\r\n".encode())
    assert {entry["mailbox"] for entry in office365.journal("accepted")} == {UPN, OTHER}


def token_file(place):
    token = place.directory / "token"
    token.write_text("eyJ0b2tlbg\n")
    token.chmod(0o600)
    user = pwd.getpwnam(USER)
    os.chown(token, user.pw_uid, user.pw_gid)
    return str(token)


def test_an_account_with_a_token_logs_in_with_it(start, office365, place):
    office365.set_mailbox(UPN, tokens=["eyJ0b2tlbg"])
    relay = start(post365_token_maps={UPN: token_file(place)})
    relay.deliver(UPN, ["a@dest.example"], HEADER.encode())
    assert [entry["mechanism"] for entry in office365.journal("accepted")] == ["XOAUTH2"]
    assert "eyJ0b2tlbg" not in relay.transport.log()


def test_a_refused_token_is_told_from_a_wrong_password(start, office365, place):
    office365.set_mailbox(UPN, tokens=["another"])
    relay = start(post365_token_maps={UPN: token_file(place)})
    with lmtp(relay) as client:
        code, text = send(client, UPN, ["a@dest.example"], HEADER.encode() + b"\r\nhello\r\n")[0]
    assert code // 100 == 4 and b"(in reply to AUTH); token-refused: " in text and b"eyJ0b2tlbg" not in text, text


@pytest.mark.parametrize("sender", ["stranger@else.example", "double-bounce", "owner-ops@relay.example.com", "a b@c..d"])
def test_a_sender_that_is_no_account_gives_way_to_the_account(start, sender):
    relay = start()
    with lmtp(relay) as client:
        assert send(client, sender, ["a@dest.example"], HEADER.encode() + b"\r\nhello\r\n")[0][0] == 250
    assert relay.accepted()[0].sender == UPN


def test_without_any_account_mail_is_put_off_with_the_parameter_to_set(start):
    relay = start(post365_upn="", passwords={OTHER: f"{OTHER}:other"}, accounts=())
    with lmtp(relay) as client:
        code, text = send(client, "stranger@else.example", ["a@dest.example"], HEADER.encode() + b"\r\nhello\r\n")[0]
    assert (code, b"post365_upn" in text) == (451, True), text


# --- what Microsoft says ---

def test_a_recipient_that_is_refused_does_not_hold_up_the_others(start, office365):
    relay = start()
    office365.set(unknown_recipients={"unknown-recipient": ["nobody@dest.example"]})
    with lmtp(relay) as client:
        replies = send(client, UPN, ["a@dest.example", "nobody@dest.example"], HEADER.encode() + b"\r\nhello\r\n")
    assert [code for code, _ in replies] == [250, 550]
    assert relay.accepted()[0].recipients == ["a@dest.example"]


def test_many_recipients_that_are_refused_for_one_reason_pause_the_account_once(start, office365):
    relay = start()
    office365.set(unknown_recipients={"access-denied": ["@dest.example"]})
    with lmtp(relay) as client:
        replies = send(client, UPN, [f"r{number}@dest.example" for number in range(20)], HEADER.encode() + b"\r\nhello\r\n")
    assert {code for code, _ in replies} == {454}
    assert relay.transport.log().count("is paused, cause rate-or-recipient-cap") == 1


def test_a_quota_answer_waits_with_microsoft_s_words_and_the_account_is_paused(start, office365):
    relay = start()
    office365.set_mailbox(UPN, state="recipient-quota")
    relay.submit(UPN, ["a@dest.example"], HEADER.encode())
    reason = deferred(relay, "SubmissionQuotaExceeded")
    assert "554 5.2.0" in reason and "said: " in reason
    relay.submit(UPN, ["b@dest.example"], HEADER.encode())
    assert "is paused until" in deferred(relay, "is paused until")


@pytest.mark.parametrize("gate, words", [
    ({"security_defaults": True}, "security defaults policy"), ({"tenant_switch": True}, "disabled for the Tenant"),
    ({"basic_disabled": True}, "basic authentication is disabled")])
def test_a_closed_gate_leaves_mail_in_the_queue_with_the_remedy(start, office365, gate, words):
    office365.set(**gate)
    relay = start()
    relay.submit(UPN, ["a@dest.example"], HEADER.encode())
    reason = deferred(relay, words)
    assert "535 5.7.139" in reason


def test_mail_flows_again_when_the_password_is_mended(start, office365):
    office365.set_mailbox(UPN, password="changed")
    relay = start()
    _, message_id = relay.submit(UPN, ["a@dest.example"], HEADER.encode())
    deferred(relay, "535 5.7.3")
    relay.postfix.table("sasl_passwd", {f"[localhost]:{office365.port}": f"{UPN}:changed"}, mode=0o644)
    relay.arrival(message_id, timeout=40)


def test_mended_credentials_end_a_pause_that_began_before_a_restart(start, office365):
    office365.set_mailbox(UPN, password="changed")
    relay = start(post365_max_wait="1s")
    _, message_id = relay.submit(UPN, ["a@dest.example"], HEADER.encode())
    deferred(relay, "535 5.7.3")
    relay.transport.stop()
    relay.transport.start()
    relay.postfix.flush()
    deferred(relay, "is paused until")
    relay.postfix.table("sasl_passwd", {f"[localhost]:{office365.port}": f"{UPN}:changed"}, mode=0o644)
    relay.arrival(message_id, timeout=40)


def test_an_account_that_gets_credentials_later_gets_its_socket(start, office365):
    office365.set_mailbox(OTHER, password="other")
    relay = start(post365_upn=UPN)
    socket = relay.postfix.queue_directory / "post365" / "accounts" / OTHER
    assert not socket.exists()
    relay.postfix.table("sasl_passwd", {f"[localhost]:{office365.port}": f"{UPN}:{PASSWORD}", OTHER: f"{OTHER}:other"},
                        mode=0o644)
    assert processes.wait_until(socket.exists, 20, 0.1), relay.transport.log()[-2000:]
    status_of = socket.stat()
    assert status_of.st_mode & 0o777 == 0o660
    assert status_of.st_gid == pwd.getpwnam("postfix").pw_gid
    with lmtp(relay, f"accounts/{OTHER}") as client:
        assert client.sendmail("", ["a@dest.example"], f"From: {OTHER}\r\n\r\nhello\r\n") == {}
    assert relay.accepted()[0].sender == OTHER


# --- room ---

def test_a_message_waits_for_its_turn_and_goes_when_there_is_room(start, office365):
    office365.set(limits={"messages": {"limit": 2, "period": 3}})
    relay = start(post365_message_quota="2/3s", post365_quota_guard="200ms")
    for number in range(6):
        relay.submit(UPN, [f"r{number}@dest.example"], HEADER.encode())
    assert processes.wait_until(lambda: len(relay.accepted()) == 6, 40, 0.1), relay.transport.log()[-3000:]
    assert not relay.refused()


@pytest.mark.parametrize("submit", ["smtp", "sendmail"])
def test_what_has_no_room_in_time_is_woken_up_when_it_has(start, submit):
    relay = start(post365_message_quota="1/6s", post365_max_wait="1s",
                  parameters={"minimal_backoff_time": "300s", "queue_run_delay": "300s"})
    relay.deliver(UPN, ["a@dest.example"], HEADER.encode())
    if submit == "smtp":
        relay.submit(UPN, ["b@dest.example"], HEADER.encode())
    else:
        relay.postfix.command("sendmail", "-f", UPN, "b@dest.example", stdin=HEADER + "\nhello\n")
    assert "room at" in deferred(relay, "has used 1 of 1 messages per 6s")
    # Postfix's own next attempt is five minutes away.
    assert processes.wait_until(lambda: len(relay.accepted()) == 2, 40, 0.1), relay.transport.log()[-3000:]


# --- accidents ---

def test_without_the_ledger_mail_waits_and_goes_when_it_is_back(start):
    relay = start()
    relay.policyd.kill()
    _, message_id = relay.submit(UPN, ["a@dest.example"], HEADER.encode())
    deferred(relay, "quota cannot be checked now")
    relay.policyd.start()
    relay.arrival(message_id, timeout=40)


def test_a_restart_of_the_ledger_is_waited_out(start):
    relay = start(post365_recipient_quota="none", post365_message_quota="none")
    relay.deliver(UPN, ["a@dest.example"], HEADER.encode())
    relay.policyd.kill()
    assert processes.wait_until(lambda: "post365-policyd" in relay.transport.log(), 30, 0.02)
    messages = [relay.submit(UPN, [f"r{number}@dest.example"], HEADER.encode())[1] for number in range(5)]
    relay.policyd.start()
    for message_id in messages:
        relay.arrival(message_id, timeout=20)
    assert "status=deferred" not in relay.postfix.log(), relay.postfix.log()[-3000:]


def test_mail_goes_by_itself_when_microsoft_or_the_ledger_is_back(start, office365):
    relay = start(parameters={"minimal_backoff_time": "300s", "queue_run_delay": "300s"})
    relay.policyd.kill()
    _, message_id = relay.submit(UPN, ["a@dest.example"], HEADER.encode())
    deferred(relay, "quota cannot be checked now")
    relay.policyd.start()
    relay.arrival(message_id, timeout=20)
    office365.stop()
    _, message_id = relay.submit(UPN, ["b@dest.example"], HEADER.encode())
    deferred(relay, "Connection refused")
    office365.start()
    relay.arrival(message_id, timeout=40)  # tried ten seconds later; Postfix's own next attempt is five minutes away


def test_after_a_reload_new_connections_are_opened_and_another_relayhost_counts(start, office365):
    relay = start(post365_upn=UPN)
    relay.deliver(UPN, ["a@dest.example"], HEADER.encode())
    relay.transport.reload()
    office365.control({"command": "drop_connections"})
    relay.deliver(UPN, ["b@dest.example"], HEADER.encode())
    # The line in the password table is for the server before.
    former = relay.postfix.parameters["relayhost"]
    relay.postfix.configure({"relayhost": "[elsewhere.example]:587"})
    relay.transport.reload()
    relay.submit(UPN, ["c@dest.example"], HEADER.encode())
    assert "no credentials for account" in deferred(relay, UPN)
    relay.postfix.configure({"relayhost": former})
    relay.transport.reload()
    relay.deliver(UPN, ["d@dest.example"], HEADER.encode())


def test_a_connection_that_went_stale_is_replaced_unseen(start, office365):
    relay = start()
    relay.deliver(UPN, ["a@dest.example"], HEADER.encode())
    office365.control({"command": "drop_connections"})
    relay.deliver(UPN, ["b@dest.example"], HEADER.encode())
    assert status(relay) == {}


def test_a_certificate_for_another_name_stops_everything_before_the_password(start, office365):
    office365.add_fault(stage="tls", certificate="name")
    relay = start()
    relay.submit(UPN, ["a@dest.example"], HEADER.encode())
    assert "another name" in deferred(relay, "certificate")
    assert not list(office365.journal("auth"))


def test_plain_text_behind_starttls_is_never_believed(start, office365):
    office365.add_fault(stage="starttls", inject="250 injected")
    relay = start()
    relay.submit(UPN, ["a@dest.example"], HEADER.encode())
    deferred(relay, "plain text")
    assert not list(office365.journal("auth"))


def test_an_outcome_that_is_unknown_is_counted_and_tried_again(start, office365):
    relay = start()
    office365.add_fault(stage="dot", action="drop", times=1)
    _, message_id = relay.submit(UPN, ["a@dest.example"], HEADER.encode())
    assert "may have been delivered" in deferred(relay, "may have been delivered")
    assert processes.wait_until(lambda: len([a for a in relay.accepted() if a.message_id == message_id]) == 2, 30, 0.1)


def test_an_end_in_the_middle_of_a_message_loses_nothing(start, office365):
    relay = start()
    office365.add_fault(stage="dot", delay=2, times=1)
    _, message_id = relay.submit(UPN, ["a@dest.example"], HEADER.encode())
    assert processes.wait_until(lambda: any(entry["event"] == "accepted" for entry in office365.journal()), 20, 0.05)
    relay.transport.signal(signal.SIGTERM)  # its reply is still to come
    assert processes.wait_until(lambda: not relay.transport.alive(), 20)
    assert processes.wait_until(lambda: not relay.postfix.queue(), 20), status(relay)
    assert len([a for a in relay.accepted() if a.message_id == message_id]) == 1


def test_memory_stays_small_with_large_messages(start):
    relay = start()
    body = b"x" * 998 + b"\r\n"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(lmtp(relay)) for _ in range(3)]
        for client in clients:
            assert client.sendmail(UPN, ["a@dest.example"], HEADER.encode() + b"\r\n" + body * 20000) == {}
        with open(f"/proc/{relay.transport.pid}/status", encoding="ascii") as lines:
            peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    assert peak < 64 * 1024
