"""Somebody takes the final dot and closes, time after time: each attempt may be a copy and is counted, so there are few of them,
the account is paused with the cause, and mail goes by itself when that is over."""

import json
import os
import time

import pytest

from harness import command, processes
from harness.office365 import Office365
from harness.relay import PASSWORD, UPN, Relay

FULL = bool(os.environ.get("POST365_HEAL_ALL"))
RECIPIENTS = [f"r{number}@dest.example" for number in range(500)]
CAUSE = "maybe-delivered"


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


def submit(relay, recipients=("a@dest.example",)):
    outcome, message_id = relay.submit(UPN, list(recipients), f"From: {UPN}\r\nSubject: x\r\n".encode())
    assert outcome.accepted, outcome
    return message_id


def attempts(office365):
    """Messages that were sent up to the final dot."""
    return [entry for entry in office365.journal() if entry["event"] in ("accepted", "refused")]


def post365(relay, *words):
    return command.run(relay.postfix.config_directory, *words)


def status(relay):
    return json.loads(post365(relay, "status", "--json", UPN).stdout)


def pause_cause(relay):
    pause = status(relay)["pause"]
    return pause["cause"] if pause else ""


QUICK = {"minimal_backoff_time": "2s", "queue_run_delay": "1s"}
ROUNDS = 8  # seconds, four times the back-off


def test_one_message_that_is_never_answered_is_sent_twice_and_then_its_account_is_paused(start, office365):
    office365.add_fault(stage="dot", action="drop")
    relay = start(QUICK)
    submit(relay, RECIPIENTS)
    assert processes.wait_until(lambda: CAUSE in pause_cause(relay), 60, 0.5), relay.transport.log()[-3000:]
    time.sleep(ROUNDS)  # in which nothing may happen
    assert len(attempts(office365)) <= 2, relay.transport.log()[-5000:]
    queue = post365(relay, "queue").stdout
    assert CAUSE in queue and "antivirus" in queue, queue


def test_ten_parts_of_a_message_that_are_never_answered_are_few_copies(start, office365):
    """Where Postfix hands on 50 recipients at a time, as it does by itself."""
    office365.add_fault(stage="dot", action="drop")
    relay = start({**QUICK, "post365_destination_recipient_limit": "50"})
    submit(relay, RECIPIENTS)
    assert processes.wait_until(lambda: CAUSE in pause_cause(relay), 60, 0.5), relay.transport.log()[-3000:]
    time.sleep(ROUNDS)
    assert len(attempts(office365)) <= 3, relay.transport.log()[-5000:]


def test_ten_messages_that_are_never_answered_are_few_copies(start, office365):
    office365.add_fault(stage="dot", action="drop")
    relay = start(QUICK)
    for number in range(10):
        submit(relay, [f"r{number}@dest.example"])
    assert processes.wait_until(lambda: CAUSE in pause_cause(relay), 60, 0.5), relay.transport.log()[-3000:]
    time.sleep(ROUNDS)
    assert len(attempts(office365)) <= 3, relay.transport.log()[-5000:]


def test_a_single_end_without_a_reply_pauses_nobody_and_is_left_to_postfix(start, office365):
    office365.add_fault(stage="dot", action="drop", times=1)
    relay = start({"minimal_backoff_time": "300s", "queue_run_delay": "300s"})
    doubtful = submit(relay)
    assert processes.wait_until(lambda: "may have been delivered" in str(relay.postfix.queue()), 20, 0.1)
    others = [submit(relay) for _ in range(5)]
    assert processes.wait_until(
        lambda: {arrival.message_id for arrival in relay.accepted()} >= set(others), 30, 0.1), relay.transport.log()[-3000:]
    time.sleep(12)  # longer than after other ends, where another attempt follows
    assert len([arrival for arrival in relay.accepted() if arrival.message_id == doubtful]) == 1
    assert pause_cause(relay) == ""


def test_when_it_answers_again_another_message_is_tried_first_and_then_the_rest(start, office365):
    fault = office365.add_fault(stage="dot", action="drop")
    relay = start({"minimal_backoff_time": "300s", "queue_run_delay": "300s"})
    for number in range(4):
        submit(relay, [f"r{number}@dest.example"])
    assert processes.wait_until(lambda: CAUSE in pause_cause(relay), 60, 0.5), relay.transport.log()[-3000:]
    before = {entry["message"] for entry in attempts(office365)}
    office365.control({"command": "remove_fault", "id": fault})
    assert post365(relay, "resume", UPN).returncode == 0
    expected = 4 - len(before)
    assert processes.wait_until(lambda: len(attempts(office365)) >= len(before) + expected, 60, 0.2), \
        relay.transport.log()[-3000:]
    assert sorted(len(message["recipients"]) for message in relay.postfix.queue()) == [1] * len(before)


@pytest.mark.skipif(not FULL, reason="takes half an hour: make heal")
def test_half_an_hour_of_ends_without_a_reply_is_at_most_four_copies(start, office365):
    office365.add_fault(stage="dot", action="drop")
    relay = start()
    submit(relay, RECIPIENTS)
    end = time.monotonic() + 30 * 60
    while time.monotonic() < end:
        time.sleep(10)
        assert len(attempts(office365)) <= 4, relay.transport.log()[-5000:]
    print(f"{len(attempts(office365))} attempts in half an hour; {pause_cause(relay)}")
    assert CAUSE in relay.transport.log()
