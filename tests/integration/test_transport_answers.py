"""What Microsoft says about an account: the mail waits with Microsoft's words and the remedy, that account alone is
paused, and its mail goes by itself when the account is well again.

POST365_HEAL_ALL=1 (make heal) waits for the end of every pause, five minutes; else for the short ones alone.
"""

import json
import os

import pytest

from harness import command, processes
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


# Name -> where it is said, what, and the cause; of those without a cause the message goes back.
SAID = {
    "spam": ("dot", "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message due to a "
             "permanent exception", "outbound-spam"),
    "domain": ("dot", "550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains",
               "domain-not-registered"),
    "onmicrosoft": ("dot", "550 5.7.236 Your message can't be sent because your tenant exceeded its daily limit for sending "
                    "email from onmicrosoft.com domain", "tenant-recipients"),
    "unheard": ("dot", "554 5.2.0 STOREDRV.Submission.Exception:InventedTomorrowException; Failed to process message",
                "submission-exception"),
    "family": ("mail", "550 5.7.731 Access denied, a text of tomorrow", "sender-not-accepted"),
    "anonymous": ("mail", "530 5.7.1 Client was not authenticated", "not-authenticated"),
    "quoted": ("mail", "530 5.7.57 Client not authenticated to send mail. Error: 535 5.7.139 Authentication unsuccessful, "
               "basic authentication is disabled.", "basic-auth-disabled"),
    "step": ("rcpt", "503 5.5.1 Bad sequence of commands", "out-of-step"),
    "damaged": ("dot", "554 5.2.0 STOREDRV.Submission.Exception:CorruptDataException; Failed to process message", None),
    "their-full": ("dot", "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", None),
    "group": ("rcpt", "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required", None),
    "blocked-there": ("rcpt", "550 5.7.513 Client host blocked by dest.example using Customer Block list", None),
}


@pytest.fixture
def answered(place):
    """Each reply has an account of its own."""
    mailboxes = {upn_of(name): {"password": name} for name in SAID} | {UPN: {"password": "well"}}
    faults = [{"stage": stage, "sender": upn_of(name), "reply": text} for name, (stage, text, _) in SAID.items()]
    office365 = place.add(Office365(place.directory / "office365", mailboxes=mailboxes, faults=faults)).start()
    passwords = {upn_of(name): f"{upn_of(name)}:{name}" for name in SAID} | {UPN: f"{UPN}:well"}
    relay = Relay(place.directory / "relay", office365, post365={"post365_upn": UPN}, transport=list(mailboxes),
                  passwords=passwords, parameters=SLOW)
    return place.add(relay).start()


def test_what_does_not_end_with_the_message_waits_and_the_rest_goes_back(answered):
    """And explain says of each what has happened."""
    relay = answered
    for name in SAID:
        submit(relay, upn_of(name), "a@dest.example")
    kept = {name: cause for name, (_, _, cause) in SAID.items() if cause is not None}
    assert processes.wait_until(lambda: {upn_of(name) for name in kept} <= set(reasons(relay)), 60, 0.3), relay.postfix.queue()
    waiting = reasons(relay)
    for name, cause in kept.items():
        assert f"said: {SAID[name][1][:60]}" in waiting[upn_of(name)], waiting[upn_of(name)]
        told = json.loads(command.run(relay.postfix.config_directory, "explain", "--json", waiting[upn_of(name)]).stdout)
        assert (told["cause"], told["temporary"]) == (cause, True), (name, told)
    for name in set(SAID) - set(kept):
        assert upn_of(name) not in waiting
        text = SAID[name][1]
        bounced = [line for line in relay.postfix.log().splitlines() if "status=bounced" in line and text[:60] in line]
        assert bounced, (name, relay.postfix.log()[-3000:])
        told = json.loads(command.run(relay.postfix.config_directory, "explain", "--json", bounced[0]).stdout)
        assert told["temporary"] is False, (name, told)


def test_a_name_that_microsoft_does_not_take_keeps_the_mail(place):
    """The reply to EHLO is about the relay."""
    office365 = place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": "well"}}, faults=[
        {"stage": "ehlo", "reply": "501 5.5.4 Invalid domain name"}])).start()
    relay = place.add(Relay(place.directory / "relay", office365, post365={"post365_upn": UPN}, transport=[UPN],
                            passwords={UPN: f"{UPN}:well"}, parameters=SLOW)).start()
    submit(relay, UPN, "a@dest.example")
    assert processes.wait_until(lambda: UPN in reasons(relay), 30, 0.3), relay.postfix.queue()
    assert "helo-refused: Give `myhostname`" in reasons(relay)[UPN]
