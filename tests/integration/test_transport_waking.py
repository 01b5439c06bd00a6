"""No mail is forgotten in Postfix's queue: it is tried again when it may go, though Postfix's own next attempt is far away."""

import signal
import time
import urllib.request

import pytest

from harness import processes
from harness.lmtp import Lmtp
from harness.office365 import Office365
from harness.postfix import free_ports
from harness.relay import PASSWORD, UPN, Relay

ALIAS = "billing@example.com"
BUSY = "421 4.3.2 Service not available"  # the account is paused for five seconds


@pytest.fixture
def office365(place):
    return place.add(Office365(place.directory / "office365", mailboxes={
        UPN: {"password": PASSWORD, "send_as": [ALIAS]}})).start()


@pytest.fixture
def start(place, office365):
    """Starts a relay whose Postfix waits for five minutes before it tries again."""
    def start_one(parameters=None, **post365):
        relay = Relay(place.directory / "relay", office365, post365={"post365_upn": UPN, **post365}, transport=(UPN,),
                      parameters={"minimal_backoff_time": "300s", "queue_run_delay": "300s", **(parameters or {})})
        place.add(relay)
        return relay.start()
    return start_one


def submit(relay, sender=UPN, recipients=("a@dest.example",)):
    outcome, message_id = relay.submit(sender, list(recipients), f"From: {sender}\r\nSubject: x\r\n".encode())
    assert outcome.accepted, outcome
    return message_id


def deferred(relay, text):
    """Waits until something is deferred for a reason with this text."""
    def find():
        return [recipient for message in relay.postfix.queue() if message["queue_name"] == "deferred"
                for recipient in message["recipients"] if text in recipient.get("delay_reason", "")]
    assert processes.wait_until(find, 60, 0.1), f"{relay.postfix.queue()}\n{relay.transport.log()[-3000:]}"


def arrives(relay, message_id, timeout=60):
    def find():
        return [arrival for arrival in relay.accepted() if arrival.message_id == message_id]
    assert processes.wait_until(find, timeout, 0.1), \
        f"{relay.postfix.queue()}\n{relay.transport.log()[-3000:]}\n{relay.postfix.log()[-3000:]}"


def test_what_an_account_s_greeting_has_turned_away_goes_when_the_pause_is_over(start, office365):
    relay = start()
    office365.add_fault(stage="mail", reply=BUSY, times=1)
    first = submit(relay)
    deferred(relay, "Service not available")
    second = submit(relay)
    deferred(relay, "is paused until")
    arrives(relay, first)
    arrives(relay, second)


def test_the_ledger_s_return_in_a_pause_makes_nobody_forget_its_end(start, office365):
    relay = start()
    office365.add_fault(stage="mail", reply=BUSY, times=1)
    message_id = submit(relay)
    deferred(relay, "Service not available")
    relay.policyd.kill()
    relay.policyd.start()
    deferred(relay, "is paused until")
    arrives(relay, message_id)


def test_mail_of_an_address_that_the_account_may_send_as_is_not_forgotten(start, office365):
    relay = start(post365_sender_upn_maps={ALIAS: UPN}, post365_send_as_maps={UPN: ALIAS})
    office365.add_fault(stage="mail", reply=BUSY, times=1)
    message_id = submit(relay, ALIAS)
    deferred(relay, "Service not available")
    arrives(relay, message_id)


def test_recipients_beyond_what_a_message_may_have_follow_at_once(start, office365):
    relay = start(post365_recipients_per_message="2")
    submit(relay, recipients=[f"r{number}@dest.example" for number in range(5)])
    assert processes.wait_until(lambda: len(relay.accepted()) == 3, 30, 0.1), relay.transport.log()[-3000:]
    assert sorted(address for arrival in relay.accepted() for address in arrival.recipients) == \
        [f"r{number}@dest.example" for number in range(5)]


def test_a_message_of_which_a_part_is_under_way_when_its_time_comes_goes_on(start, office365):
    relay = start(parameters={"post365_destination_recipient_limit": "1"},
                  post365_message_quota="1/2s", post365_max_wait="1s")
    office365.add_fault(stage="dot", delay=6, times=1)
    submit(relay, recipients=["a@dest.example", "b@dest.example"])
    assert processes.wait_until(lambda: len(relay.accepted()) == 2, 30, 0.1), relay.transport.log()[-3000:]


def test_sigterm_puts_off_who_waits_for_room(start):
    port = free_ports(1)[0]
    relay = start(post365_message_quota="1/60s", post365_max_wait="100s",
                  post365_transport_metrics_listen=f"127.0.0.1:{port}")
    arrives(relay, submit(relay))
    submit(relay)

    def waits():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            return b'messages_under_way{state="ledger"} 1' in page.read()
    assert processes.wait_until(waits, 20, 0.2), relay.transport.log()[-3000:]
    relay.transport.signal(signal.SIGTERM)
    assert processes.wait_until(lambda: not relay.transport.alive(), 30), relay.transport.log()[-3000:]
    deferred(relay, "451 4.3.2")


def test_a_lower_connection_limit_is_kept_from_the_reload_on(start, office365):
    relay = start()
    office365.add_fault(stage="dot", delay=2)
    for number in range(3):
        submit(relay, recipients=[f"a{number}@dest.example"])
    assert processes.wait_until(lambda: len(relay.accepted()) == 3 and not relay.postfix.queue(), 20, 0.1)
    assert len(list(office365.journal("auth"))) == 3
    office365.set(limits={"connections": 1})
    relay.postfix.configure({"post365_connection_limit": "1"})
    relay.transport.reload()
    for number in range(3):
        submit(relay, recipients=[f"b{number}@dest.example"])
    assert processes.wait_until(lambda: len(relay.accepted()) == 6, 20, 0.1), relay.transport.log()[-3000:]
    assert not relay.refused()


def test_an_address_that_cannot_be_reached_at_once_is_no_accident(start):
    relay = start(parameters={"relayhost": "[255.255.255.255]:587"},
                  post365_password_maps=f"inline:{{ {{ [255.255.255.255]:587 = {UPN}:{PASSWORD} }} }}")
    submit(relay)
    deferred(relay, "no address answers")


# --- Postfix is not there ---

COMPLAINTS = ("fatal", "setgid", "postqueue -j has failed")


def test_wake_ups_wait_for_a_postfix_that_starts_later_and_nobody_complains(start, office365):
    """As after a boot: what was to be woken up is known to no process, and Postfix comes up behind the daemons."""
    relay = start(post365_message_quota="1/15s", post365_max_wait="1s")
    first = submit(relay)
    arrives(relay, first)
    second = submit(relay)
    deferred(relay, "room at")
    relay.transport.stop()
    relay.postfix.stop()
    before = len(relay.postfix.log())
    logged = len(relay.transport.log())
    relay.transport.start()
    time.sleep(8)  # it has something to ask of Postfix all the time
    relay.postfix.start()
    (relay.postfix.queue_directory / "public").chmod(0o755)
    arrives(relay, second)
    said = relay.postfix.log()[before:] + relay.transport.log()[logged:]
    assert not any(word in said for word in COMPLAINTS), said


def test_what_was_due_while_postfix_was_stopped_goes_when_it_is_back(start, office365):
    relay = start(post365_message_quota="1/10s", post365_max_wait="1s")
    first = submit(relay)
    arrives(relay, first)
    second = submit(relay)
    deferred(relay, "room at")
    relay.postfix.stop()
    before = len(relay.postfix.log())
    time.sleep(14)
    relay.postfix.start()
    (relay.postfix.queue_directory / "public").chmod(0o755)
    arrives(relay, second)
    assert not any(word in relay.postfix.log()[before:] + relay.transport.log() for word in COMPLAINTS)


# --- wider limits ---

@pytest.mark.parametrize("wider", [{"post365_message_quota": "100/300s"}, {"post365_message_quota": "1/2s"}])
def test_a_wider_limit_wakes_what_waits(start, wider):
    relay = start(post365_message_quota="1/300s", post365_max_wait="1s")
    messages = [submit(relay) for _ in range(5)]
    arrives(relay, messages[0])
    assert processes.wait_until(lambda: len([message for message in relay.postfix.queue()
                                             if message["queue_name"] == "deferred"]) == 4, 20, 0.1)
    relay.postfix.configure(wider)
    relay.policyd.reload()
    for message in messages[1:]:
        arrives(relay, message)


def test_another_table_of_quotas_wakes_what_waits(start):
    relay = start(post365_quota_maps={UPN: "messages=1/300s"}, post365_max_wait="1s")
    first = submit(relay)
    arrives(relay, first)
    second = submit(relay)
    deferred(relay, "room at")
    relay.postfix.table("quota_maps", {UPN: "messages=50/300s"})
    arrives(relay, second)


# --- the end ---

def test_a_silent_client_does_not_hold_up_sigterm(start):
    relay = start()
    with Lmtp(relay) as idle, Lmtp(relay) as silent:
        silent.announce(UPN, ["a@dest.example"])
        assert silent.ask("DATA").startswith("354")
        silent.say(b"Subject: x\r\n\r\nand then nothing")
        begun = time.monotonic()
        relay.transport.signal(signal.SIGTERM)
        assert idle.reply().startswith("421")
        assert time.monotonic() - begun < 2
        assert processes.wait_until(lambda: not relay.transport.alive(), 30), relay.transport.log()[-3000:]
        assert time.monotonic() - begun < 10
