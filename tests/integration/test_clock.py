"""A wall clock that is set, is ahead for a moment, or is wrong at a start: the ledger counts real time.

The programs see a clock of the tests' own (tests/crash/clock.c); CLOCK_BOOTTIME is the machine's.
"""

import os
import time

import pytest
from test_control import Control
from test_policyd import Policyd

from harness import processes
from harness.clock import Clock
from harness.office365 import Office365
from harness.relay import Relay

UPN = "relay@contoso.com"
HOUR = 3600
DAY = 24 * HOUR


@pytest.fixture
def clock(place):
    return Clock(place.directory / "clock")


@pytest.fixture
def policyd(place, clock):
    policyd = Policyd(place.directory / "policyd", post365_meter="delivery", post365_recipient_quota="50/1d",
                      post365_message_quota="30/1m")
    policyd.environment = {**os.environ, **(policyd.environment or {}), **clock.environment()}
    return place.add(policyd).start()


def send(policyd, recipients):
    with Control(policyd) as control:
        reservation = control.reserve(recipients, UPN)["reservation"]
        assert control.ask("settle", reservation=reservation, recipients=recipients)["result"] == "done"


def status(policyd):
    with Control(policyd) as control:
        return control.ask("status", account=UPN)


def used(policyd):
    return int(status(policyd)["recipients_used"])


def earliest(policyd):
    """Seconds since the epoch."""
    return int(status(policyd)["earliest"]) / 1e6


@pytest.mark.parametrize("ahead", [HOUR, DAY + HOUR, -HOUR, 400 * DAY])
def test_a_clock_that_is_set_empties_no_window(policyd, clock, ahead):
    send(policyd, 50)
    room = earliest(policyd)
    assert abs(room - clock.now() - DAY) < 60
    clock.set(ahead)
    assert used(policyd) == 50
    # What is shown follows the clock.
    assert abs(earliest(policyd) - room - ahead) < 2
    assert abs(int(status(policyd)["now"]) / 1e6 - clock.now()) < 5
    way = "forward" if ahead > 0 else "back"
    assert processes.wait_until(lambda: f"clock was set {way} by {abs(ahead)} s" in policyd.log(), 30), policyd.log()
    clock.set(0)
    assert used(policyd) == 50
    assert abs(earliest(policyd) - room) < 2


def test_a_clock_that_is_ahead_for_a_moment_forgets_nothing(policyd, clock):
    """Not in the store either: the background work runs meanwhile."""
    send(policyd, 50)
    clock.set(3 * DAY)
    assert processes.wait_until(lambda: "clock was set forward" in policyd.log(), 30)
    assert used(policyd) == 50
    clock.set(0)
    assert processes.wait_until(lambda: "clock was set back" in policyd.log(), 30)
    policyd.stop()
    policyd.start()
    assert used(policyd) == 50


@pytest.mark.parametrize("ahead", [3 * DAY, -3 * DAY])
def test_a_clock_that_is_wrong_at_one_start_forgets_nothing(policyd, clock, ahead):
    send(policyd, 50)
    policyd.stop()
    clock.set(ahead)
    policyd.start()
    assert used(policyd) == 50
    policyd.stop()
    clock.set(0)
    policyd.start()
    assert used(policyd) == 50
    assert abs(earliest(policyd) - clock.now() - DAY) < 60


def test_after_a_crash_the_time_goes_on(policyd, clock):
    send(policyd, 50)
    clock.set(2 * DAY)
    assert processes.wait_until(lambda: "clock was set forward" in policyd.log(), 30)
    policyd.kill()
    policyd.start()
    assert used(policyd) == 50
    assert abs(earliest(policyd) - clock.now() - DAY) < 60


def test_a_pause_lasts_as_long_as_was_said(policyd, clock):
    with Control(policyd) as control:
        until = int((clock.now() + HOUR) * 1e6)
        assert control.ask("pause", account=UPN, until=until, cause="holiday")["result"] == "done"
    clock.set(2 * HOUR)
    shown = int(status(policyd)["pause_until"]) / 1e6
    assert abs(shown - clock.now() - HOUR) < 60
    with Control(policyd) as control:
        again = control.ask("pause", account=UPN, until=int((clock.now() + HOUR) * 1e6), cause="holiday")
    assert abs(int(again["until"]) / 1e6 - clock.now() - HOUR) < 5


def test_history_is_told_by_the_wall_clock(policyd, clock):
    send(policyd, 7)
    clock.set(5 * HOUR)
    with Control(policyd) as control:
        told = dict(control.pairs("history", account=UPN, per="minute"))
    begin, recipients, _ = (int(number) for number in told["slot"].split())
    assert recipients == 7 and begin % 60_000_000 == 0 and abs(begin / 1e6 - clock.now()) < 120


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_waiting_mail_leaves_when_there_is_room_whatever_is_set(place, clock, ahead):
    """Neither an hour late, nor so early that Microsoft refuses it and the account is paused."""
    limits = {"messages": {"limit": 2, "period": 12}}
    office365 = place.add(Office365(place.directory / "office365", limits=limits,
                                    mailboxes={UPN: {"password": "well"}})).start()
    relay = place.add(Relay(place.directory / "relay", office365, transport=[UPN], passwords={UPN: f"{UPN}:well"}, post365={
        "post365_upn": UPN, "post365_meter": "delivery", "post365_message_quota": "2/12s", "post365_max_wait": "1s"},
        parameters={"minimal_backoff_time": "4000s", "maximal_backoff_time": "4000s", "queue_run_delay": "1000s"}))
    for daemon in (relay.policyd, relay.transport):
        daemon.environment = {**os.environ, **(daemon.environment or {}), **clock.environment()}
    relay.start()
    sent = [relay.submit(UPN, [f"r{number}@dest.example"], f"From: {UPN}\r\nSubject: {number}\r\n".encode())[1]
            for number in range(5)]
    assert processes.wait_until(lambda: len(relay.accepted()) == 2, 30, 0.2)
    assert processes.wait_until(lambda: len([entry for entry in relay.postfix.queue()
                                             if entry["queue_name"] == "deferred"]) == 3, 30, 0.2), relay.postfix.queue()
    clock.set(ahead)
    began = time.monotonic()
    for message_id in sent:
        relay.arrival(message_id, timeout=90)
    assert time.monotonic() - began >= 12, "room was given before its time"
    assert not office365.journal("refused"), office365.journal("refused")
    assert "is paused" not in relay.transport.log()
