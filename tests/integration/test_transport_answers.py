"""What Microsoft says about an account: the mail waits with Microsoft's words and the remedy, that account alone is
paused, and its mail goes by itself when the account is well again.

POST365_HEAL_ALL=1 (make heal) waits for the end of every pause, five minutes; else for the short ones alone.
"""

import os

import pytest

from harness import processes
from harness.office365 import Office365
from harness.relay import UPN, Relay

# The stand-in's row -> what the reason must have, besides Microsoft's words: a cause of common/office365.
CAUSES = {
    "recipient-quota": "submission-quota",
    "access-denied": "rate-or-recipient-cap",
    "concurrent": "connection-limit",
    "security-defaults": "security-defaults",
    "tenant-switch": "tenant-switch",
    "mailbox-switch": "mailbox-switch",
    "basic-disabled": "basic-auth-disabled",
    "basic-retired": "basic-auth-retired",
    "wrong-password": "credentials-refused",
}
SHORT = ("concurrent",)
# Postfix by itself would not try again before more than an hour has passed.
SLOW = {"minimal_backoff_time": "4000s", "maximal_backoff_time": "4000s", "queue_run_delay": "1000s"}


def upn_of(row):
    return f"{row}@example.com"


@pytest.fixture
def relay(place):
    """Each row has an account of its own, whose mailbox is in that state."""
    mailboxes = {upn_of(row): {"password": row, "state": row} for row in CAUSES} | {UPN: {"password": "well"}}
    office365 = place.add(Office365(place.directory / "office365", mailboxes=mailboxes)).start()
    passwords = {upn_of(row): f"{upn_of(row)}:{row}" for row in CAUSES} | {UPN: f"{UPN}:well"}
    relay = Relay(place.directory / "relay", office365, post365={"post365_upn": UPN}, transport=list(mailboxes),
                  passwords=passwords, parameters=SLOW)
    return place.add(relay).start()


def submit(relay, upn, recipient):
    outcome, message_id = relay.submit(upn, [recipient], f"From: {upn}\r\nTo: {recipient}\r\nSubject: x\r\n".encode())
    assert outcome.accepted
    return message_id


def reasons(relay):
    """{envelope sender: reason} of what is deferred."""
    return {entry["sender"]: recipient["delay_reason"] for entry in relay.postfix.queue()
            if entry["queue_name"] == "deferred" for recipient in entry["recipients"] if "delay_reason" in recipient}


def test_an_account_in_trouble_waits_alone_and_goes_by_itself_when_it_is_well(relay):
    office365 = relay.office365
    sent = {row: submit(relay, upn_of(row), "a@dest.example") for row in CAUSES}
    assert processes.wait_until(lambda: len(reasons(relay)) == len(CAUSES), 30, 0.2), reasons(relay)
    relay.arrival(submit(relay, UPN, "b@dest.example"))  # nobody else is held up

    texts = office365.replies()
    for row, cause in CAUSES.items():
        reason = reasons(relay)[upn_of(row)]
        words = texts[row]["text"].partition(" [")[0][:80]
        assert f"said: {words}" in reason, (row, reason)
        assert f"; {cause}: " in reason, (row, reason)
        assert f"account <{upn_of(row)}> is paused, cause {cause}" in relay.transport.log()

    for row in CAUSES:
        office365.set_mailbox(upn_of(row), state="ok")
    waited = CAUSES if "POST365_HEAL_ALL" in os.environ else SHORT
    for row in waited:
        relay.arrival(sent[row], timeout=420)
        assert f"account <{upn_of(row)}> works again" in relay.transport.log()
    assert len(relay.accepted()) <= len(CAUSES) + 1  # nothing goes twice


def test_a_second_message_of_a_paused_account_does_not_reach_microsoft(relay):
    upn = upn_of("wrong-password")
    submit(relay, upn, "a@dest.example")
    assert processes.wait_until(lambda: upn in reasons(relay), 30, 0.2), relay.transport.log()[-2000:]
    logins = len(relay.office365.journal("auth-refused"))
    submit(relay, upn, "b@dest.example")

    def both():
        return [recipient for entry in relay.postfix.queue() if entry["queue_name"] == "deferred"
                for recipient in entry["recipients"] if "is paused until" in recipient.get("delay_reason", "")]
    assert processes.wait_until(both, 30, 0.2), relay.postfix.queue()
    assert len(relay.office365.journal("auth-refused")) == logins
