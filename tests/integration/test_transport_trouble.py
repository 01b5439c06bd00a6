"""A server, or whoever stands between, that stalls and breaks: logins are not tried one after the other, other connections are tried
for other messages, and what holds the mail up is seen while it does."""

import json
import os
import time

import pytest

from harness import command, processes
from harness.office365 import Office365
from harness.relay import PASSWORD, UPN, Relay

FULL = bool(os.environ.get("POST365_HEAL_ALL"))
FOR_EVER = 1000  # seconds


@pytest.fixture
def office365(place):
    return place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": PASSWORD}})).start()


@pytest.fixture
def start(place, office365):
    def start_one(parameters=None, **post365):
        relay = Relay(place.directory / "relay", office365, post365={"post365_upn": UPN, **post365}, transport=(UPN,),
                      parameters=parameters)
        place.add(relay)
        return relay.start()
    return start_one


def submit(relay, recipient="a@dest.example", body=b"hello\n"):
    outcome, message_id = relay.submit(UPN, [recipient], f"From: {UPN}\r\nSubject: x\r\n".encode(), body)
    assert outcome.accepted, outcome
    return message_id


def post365(relay, *words):
    return command.run(relay.postfix.config_directory, *words)


def status(relay):
    return json.loads(post365(relay, "status", "--json", UPN).stdout)


def logins(office365):
    return [entry for entry in office365.journal("fault") if entry["stage"] == "auth"]


def attempts(relay):
    return [delivery for delivery in relay.postfix.deliveries() if delivery.status == "deferred"]


# --- logins ---

@pytest.mark.parametrize("fault, cause", [
    ({"reply": "450 4.9.9 not just now"}, "other-temporary"),
    ({"reply": "455 try the other one"}, "other-temporary"),
    ({"reply": "599 5.9.9 no"}, "authentication-refused"),
    ({"action": "drop"}, "login-unanswered"),
    ({"action": "reset"}, "login-unanswered"),
    ({"action": "garbage"}, ""),
    ({"delay": FOR_EVER}, ""),
], ids=["unknown-4yz", "no-enhanced-code", "unknown-5yz", "closed", "reset", "garbage", "silence"])
def test_a_hundred_messages_send_a_handful_of_passwords(start, office365, fault, cause):
    relay = start(post365_max_wait="1s")  # none is held until the pause is over: each gets its answer, again and again
    relay.transport.stop()
    for number in range(100):
        submit(relay, f"r{number}@dest.example")
    assert processes.wait_until(lambda: len(attempts(relay)) >= 100, 30, 0.1), relay.postfix.queue()
    office365.add_fault(stage="auth", **fault)
    relay.transport.start()
    relay.postfix.flush()
    assert processes.wait_until(lambda: logins(office365), 30, 0.1)

    def are_tried_again():
        relay.postfix.flush()
        return len(attempts(relay)) >= 300
    if "delay" in fault:  # all wait for the one login
        processes.wait_until(lambda: len(logins(office365)) > 1, 5, 0.1)
    else:
        assert processes.wait_until(are_tried_again, 60, 0.5), relay.postfix.queue()
    assert len(logins(office365)) <= 2, relay.transport.log()[-3000:]
    if cause:
        assert cause in status(relay)["pause"]["cause"], status(relay)
        assert cause in post365(relay, "queue").stdout


# --- messages ---

SIZE = 9_000_000  # more than the kernels at both ends keep, see send_twelve()
BODY = (b"x" * 76 + b"\n") * (SIZE // 77)
STALLS = [{"stage": "mail"}, {"stage": "rcpt"}, {"stage": "data"}, {"stage": "body"}, {"stage": "body", "after": 1000},
          {"stage": "body", "after": SIZE // 10}]


def send_twelve(relay, office365, body=BODY, **fault):
    office365.set(limits={"connections": 3}, receive_buffer=100_000)
    office365.add_fault(every=2, **fault)
    messages = [submit(relay, f"r{number}@dest.example", body) for number in range(12)]
    begun = time.monotonic()

    def there():
        return {arrival.message_id for arrival in relay.accepted()} >= set(messages)
    return there, begun


def names(faults):
    return ["-".join(str(value) for value in fault.values()) for fault in faults]


@pytest.mark.parametrize("fault", STALLS if FULL else STALLS[-1:], ids=names(STALLS if FULL else STALLS[-1:]))
def test_every_second_message_stalls_and_all_get_through(start, office365, fault):
    relay = start()
    there, begun = send_twelve(relay, office365, delay=FOR_EVER, **fault)
    assert processes.wait_until(lambda: "connection-stalled" in post365(relay, "queue").stdout, 30, 0.5), \
        post365(relay, "queue").stdout + relay.transport.log()[-3000:]
    trouble = status(relay)["trouble"]
    assert trouble is None or "connection-stalled" in trouble["cause"]
    assert processes.wait_until(there, 120 - (time.monotonic() - begun), 0.2), \
        post365(relay, "queue").stdout + relay.transport.log()[-5000:]
    print(f"{fault}: {time.monotonic() - begun:.0f} s")
    assert processes.wait_until(lambda: status(relay)["trouble"] is None, 200, 1), status(relay)


BREAKS = [{"stage": stage, "action": action, **where}
          for action in ("drop", "reset")
          for stage, where in (("mail", {}), ("data", {}), ("body", {}), ("body", {"after": SIZE // 2}))]


@pytest.mark.parametrize("fault", BREAKS if FULL else BREAKS[3:4], ids=names(BREAKS if FULL else BREAKS[3:4]))
def test_every_second_message_breaks_and_all_get_through(start, office365, fault):
    relay = start()
    there, begun = send_twelve(relay, office365, **fault)
    assert processes.wait_until(there, 120, 0.2), post365(relay, "queue").stdout + relay.transport.log()[-5000:]
    print(f"{fault}: {time.monotonic() - begun:.0f} s")


@pytest.mark.parametrize("action", ["drop", "reset"])
@pytest.mark.parametrize("size", [6, 30_000], ids=["tiny", "small"])
def test_every_second_small_message_breaks_and_all_get_through(start, office365, action, size):
    """The kernels take all of it, the final dot too, before the server has looked at it: the dot must not have left yet."""
    relay = start()
    there, begun = send_twelve(relay, office365, (b"x" * 59 + b"\n") * (size // 60) or b"hello\n", stage="body", action=action)
    assert processes.wait_until(there, 120, 0.2), post365(relay, "queue").stdout + relay.transport.log()[-5000:]
    print(f"{action} at {size}: {time.monotonic() - begun:.0f} s")
    assert len(relay.accepted()) == 12
    assert "may have been delivered" not in relay.transport.log()


@pytest.mark.parametrize("is_counted", [False, True], ids=["between", "at-microsoft"])
def test_stalls_behind_the_final_dot_make_no_copy(start, office365, is_counted):
    """Whoever stands between and holds connections up does not hold up one more; Microsoft counts them."""
    relay = start()
    if not is_counted:
        office365.set(limits={"connections": None})
    office365.add_fault(stage="dot", delay=40, times=3)
    first = [submit(relay) for _ in range(3)]
    assert processes.wait_until(lambda: status(relay)["trouble"], 30, 0.5), relay.transport.log()[-3000:]
    assert "end of the message" in status(relay)["trouble"]["cause"]
    assert "connection-stalled" in post365(relay, "queue").stdout
    second = [submit(relay) for _ in range(3)]

    def arrived(messages):
        return {arrival.message_id for arrival in relay.accepted()} >= set(messages)
    if not is_counted:
        assert processes.wait_until(lambda: arrived(second), 25, 0.2), relay.transport.log()[-3000:]
    assert processes.wait_until(lambda: not relay.postfix.queue(), 100, 0.5), relay.transport.log()[-3000:]
    assert arrived(first) and len(relay.accepted()) == 6
    assert status(relay)["trouble"] is None


def test_mail_that_waits_for_the_end_of_a_pause_says_so(start):
    """On the socket of all accounts it waits in DATA, where Postfix has no reason for it yet."""
    relay = start({"sender_dependent_default_transport_maps": ""}, post365_max_wait="60s")
    assert post365(relay, "pause", "--for", "25s", UPN, "the auditors are here").returncode == 0
    message_id = submit(relay)
    assert processes.wait_until(lambda: relay.postfix.queue(), 30, 0.1)
    queue = post365(relay, "queue").stdout
    assert "paused-by-hand" in queue and "on-its-way" not in queue, queue
    assert "paused-by-hand" in post365(relay, "queue", "explain", relay.postfix.queue()[0]["queue_id"]).stdout
    assert processes.wait_until(lambda: [arrival for arrival in relay.accepted() if arrival.message_id == message_id], 60, 0.2)


@pytest.mark.parametrize("words", ["\u202e\u2066gpj.exe\u2069", "one\u2028two\u2029three", "\u0085\u009b31mred", "\x1b[31mred\x07"],
                         ids=["bidirectional", "separators", "C1", "C0"])
@pytest.mark.parametrize("stage", ["banner", "auth", "mail", "rcpt", "dot"])
def test_what_a_server_says_steers_no_log(start, office365, stage, words):
    relay = start()
    office365.add_fault(stage=stage, reply=f"450 4.9.9 before {words} behind")
    submit(relay)
    assert processes.wait_until(lambda: "behind" in relay.postfix.log(), 20, 0.1), relay.transport.log()[-3000:]
    for log in (relay.postfix.log(), relay.transport.log(), post365(relay, "status").stdout):
        assert not [character for character in log if character != "\n" and (
            character < " " or "\x7f" <= character < "\xa0" or character in "\u061c\u200e\u200f\u2028\u2029" or
            "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069")], log
