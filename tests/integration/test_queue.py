"""post365 queue: the cause of what waits, its remedy, and when it goes, on a real Postfix against the stand-in."""

import json
import re
import time

import pytest

from harness import command, processes
from harness.office365 import Office365
from harness.postfix import free_ports
from harness.relay import UPN, Relay

# Postfix by itself would not try again before more than an hour has passed.
SLOW = {"minimal_backoff_time": "4000s", "maximal_backoff_time": "4000s", "queue_run_delay": "1000s"}
# The stand-in's rows that a mailbox's state says, and the cause that is named for them.
STATES = {
    "security-defaults": "security-defaults",
    "tenant-switch": "tenant-switch",
    "mailbox-switch": "mailbox-switch",
    "basic-retired": "basic-auth-retired",
    "concurrent": "connection-limit",
    "mailbox-full": "mailbox-full",
}
# What each remedy must have.
REMEDIES = {
    "security-defaults": "Manage security defaults",
    "tenant-switch": "Set-TransportConfig -SmtpClientAuthenticationDisabled $false",
    "mailbox-switch": "Set-CASMailbox -Identity mailbox-switch@example.com -SmtpClientAuthenticationDisabled $false",
    "basic-auth-retired": "OAuth2",
    "connection-limit": "",
    "mailbox-full": "",
    "credentials-refused": "post365_password_maps",
    "send-as": "Add-RecipientPermission",
    "submission-quota": "",
    "paused-by-hand": "post365 resume hand@example.com",
    "certificate-name": "relayhost",
    "server-unreachable": "587",
    "ledger-unavailable": "systemctl status post365-policyd",
}


def upn_of(name):
    return f"{name}@example.com"


def run(relay, *words):
    return command.run(relay.postfix.config_directory, *words)


def queue(relay, *words):
    """{account: [message]} as `post365 queue --json` has it."""
    done = run(relay, "queue", "--json", *words)
    assert done.returncode in (0, 1), done
    found = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        found.setdefault(message["account"], []).append(message)
    return found


def causes_of(messages):
    """{cause: remedy}"""
    return {cause["cause"]: cause["remedy"] for message in messages for cause in message["causes"]}


def causes(relay):
    """{account: the causes of its messages}"""
    return {account: set(causes_of(messages)) for account, messages in queue(relay).items()}


def submit(relay, upn, count=1, recipients=1, sender=None):
    """Sends `count` messages; their Message-IDs."""
    sent = []
    for _ in range(count):
        addresses = [f"r{number}@dest.example" for number in range(recipients)]
        outcome, message_id = relay.submit(sender or upn, addresses,
                                           f"From: {sender or upn}\r\nTo: {addresses[0]}\r\nSubject: x\r\n".encode())
        assert outcome.accepted
        sent.append(message_id)
    return sent


def wait_causes(relay, wanted, timeout=60):
    """Waits until the queue has these causes by account, all at once: who is tried again has another at that moment. Returns
    {cause: remedy} of these accounts."""
    found = {}

    def fits():
        found.clear()
        found.update({account: causes_of(messages) for account, messages in queue(relay).items()})
        return all(set(found.get(account, ())) == {cause} for account, cause in wanted.items())
    if not processes.wait_until(fits, timeout, 0.3):
        wrong = {account: (cause, found.get(account)) for account, cause in wanted.items()
                 if set(found.get(account, ())) != {cause}}
        raise AssertionError(f"{wrong}\n{relay.postfix.queue()}\n{relay.transport.log()[-2000:]}")
    return {cause: found[account][cause] for account, cause in wanted.items()}


# --- the causes ---

@pytest.fixture
def troubled(place):
    """A relay whose accounts are each in a trouble of their own."""
    names = [*STATES, "wrong", "sendas", "quota", "hand", "certificate", "down", "ledger"]
    mailboxes = {upn_of(name): {"password": name, **({"state": name} if name in STATES else {})} for name in names}
    mailboxes[upn_of("quota")]["limits"] = {"recipients": {"limit": 1, "period": 3600}}
    mailboxes[UPN] = {"password": "well"}
    office365 = place.add(Office365(place.directory / "office365", mailboxes=mailboxes)).start()
    passwords = {upn_of(name): f"{upn_of(name)}:{name if name != 'wrong' else 'a wrong one'}" for name in names}
    relay = Relay(place.directory / "relay", office365, transport=list(mailboxes), passwords={**passwords, UPN: f"{UPN}:well"},
                  parameters=SLOW, post365={
                      "post365_upn": UPN, "post365_send_as_maps": {upn_of("sendas"): "@brand.example"},
                      "post365_sender_upn_maps": {"@brand.example": upn_of("sendas")}})
    return place.add(relay).start()


def test_each_cause_is_named_with_its_remedy(troubled):
    relay, office365 = troubled, troubled.office365
    for name in STATES:
        submit(relay, upn_of(name))
    submit(relay, upn_of("wrong"))
    submit(relay, upn_of("sendas"), sender="sales@brand.example")
    relay.arrival(submit(relay, upn_of("quota"))[0])
    submit(relay, upn_of("quota"))
    assert run(relay, "pause", upn_of("hand")).returncode == 0
    submit(relay, upn_of("hand"))
    wanted = {upn_of(name): cause for name, cause in STATES.items()} | {
        upn_of("wrong"): "credentials-refused", upn_of("sendas"): "send-as", upn_of("quota"): "submission-quota",
        upn_of("hand"): "paused-by-hand"}
    named = wait_causes(relay, wanted)

    # Those that are probed meanwhile may wait for the new trouble, too.
    office365.add_fault(stage="tls", certificate="name")
    office365.control({"command": "drop_connections"})
    submit(relay, upn_of("certificate"))
    named |= wait_causes(relay, {upn_of("certificate"): "certificate-name"})
    office365.clear_faults()
    office365.stop()
    submit(relay, upn_of("down"))
    named |= wait_causes(relay, {upn_of("down"): "server-unreachable"})
    relay.policyd.stop()
    submit(relay, upn_of("ledger"))
    named |= wait_causes(relay, {upn_of("ledger"): "ledger-unavailable"})

    assert set(named) == set(REMEDIES) and len(named) >= 12
    for cause, remedy in named.items():
        assert REMEDIES[cause] in remedy and remedy != "" and "<UPN>" not in remedy, (cause, remedy)
    done = run(relay, "queue", "--summary")
    assert done.returncode == 1
    assert "post365-policyd is not running" in done.stderr and "without its estimates" in done.stderr
    assert f"{upn_of('ledger')}  ledger-unavailable\n" in done.stdout
    assert f"{upn_of('security-defaults')}  security-defaults\n" in done.stdout  # paused for minutes: not tried again


def test_a_paused_accounts_later_mail_has_the_cause_of_the_pause(troubled):
    upn = upn_of("security-defaults")
    submit(troubled, upn)
    wait_causes(troubled, {upn: "security-defaults"})
    submit(troubled, upn, count=2)
    wait_causes(troubled, {upn: "security-defaults"})
    assert processes.wait_until(lambda: sum("is paused until" in (recipient["reason"] or "") for message in queue(troubled)[upn]
                                            for recipient in message["recipients"]) == 2, 30, 0.2), queue(troubled)
    assert causes(troubled)[upn] == {"security-defaults"}
    (message, *_) = queue(troubled)[upn]
    (cause,) = message["causes"]
    status = json.loads(run(troubled, "status", "--json", upn).stdout)
    assert cause["when"] == "mended" and cause["at"] == pytest.approx(status["pause"]["until"], abs=0.01)


# --- when it goes ---

def is_right(told, at, taken):
    """Within 2 s, or a tenth of the wait."""
    return abs(taken - at) <= max(2, (taken - told) / 10)


def check_estimates(relay, upn, sent):
    """Every message's time as it is told now, against the one at which it is accepted."""
    expected = {message["id"]: cause["at"] for message in queue(relay)[upn] for cause in message["causes"]}
    assert all(at is not None for at in expected.values()), queue(relay)[upn]
    told = time.time()
    log = relay.postfix.log()
    ids = {message_id: re.search(rf"\]: (\w+): message-id={re.escape(message_id)}", log).group(1) for message_id in sent}
    assert processes.wait_until(lambda: upn not in queue(relay), 120, 0.5), queue(relay)
    taken = {ids.get(entry["headers"]["Message-ID"][0].strip()): entry["time"] for entry in relay.office365.journal("accepted")}
    # The times are right; and so is the order, but that two that were handed over at the same moment may change places.
    times = list(zip(sorted(expected.values()), sorted(taken[queue_id] for queue_id in expected), strict=True))
    assert all(is_right(told, at, when) for at, when in times), [(at - told, when - told) for at, when in times]
    wrong = {queue_id: (at - told, taken[queue_id] - told) for queue_id, at in expected.items()
             if not is_right(told, at, taken[queue_id])}
    assert len(wrong) <= 2, wrong


@pytest.fixture
def limited(place):
    """Two accounts with short windows, so that a test need not wait for a day."""
    limits = {"rate@example.com": {"messages": {"limit": 6, "period": 6}},
              "quota@example.com": {"recipients": {"limit": 10, "period": 8}}}
    office365 = place.add(Office365(place.directory / "office365", mailboxes={
        upn: {"password": "well", "limits": {"messages": None, "recipients": None, **limit}} for upn, limit in limits.items()})).start()
    relay = Relay(place.directory / "relay", office365, transport=list(limits), passwords={upn: f"{upn}:well" for upn in limits},
                  parameters=SLOW, post365={
                      "post365_upn": "rate@example.com", "post365_max_wait": "1s", "post365_quota_maps": {
                          "rate@example.com": "messages=6/6s recipients=none", "quota@example.com": "messages=none recipients=10/8s"}})
    return place.add(relay).start()


@pytest.mark.parametrize("name, count, recipients, first", [("rate", 14, 1, 6), ("quota", 6, 4, 2)])
def test_the_time_that_is_told_is_the_time_at_which_it_goes(limited, name, count, recipients, first):
    upn = upn_of(name)
    sent = submit(limited, upn, count, recipients)

    def is_put_off():
        waiting = queue(limited).get(upn, [])
        return len(waiting) == count - first and all(
            message["queue"] == "deferred" and message["causes"][0]["when"] == "room" for message in waiting)
    assert processes.wait_until(is_put_off, 30, 0.1), (queue(limited), limited.transport.log())
    assert causes(limited)[upn] <= {"messages-used", "recipients-used", "waits-its-turn"}
    check_estimates(limited, upn, sent)
    assert not limited.refused()


def test_mail_that_goes_elsewhere_is_told_as_that_server_s(place):
    """transport_maps leads past the transport, to a server that is down, one that says no, and one on this machine."""
    office365 = place.add(Office365(place.directory / "office365", mailboxes={UPN: {"password": "well"}})).start()
    busy = place.add(Office365(place.directory / "busy", mailboxes={}, faults=[
        {"stage": "banner", "reply": "451 4.7.500 Server busy. Please try again later"}])).start()
    (dead,) = free_ports(1)
    maps = (f"inline:{{ {{ dead.example = smtp:[127.0.0.1]:{dead} }} {{ busy.example = smtp:[127.0.0.1]:{busy.port} }}"
            f" {{ here.example = lmtp:unix:private/nobody }} }}")
    relay = place.add(Relay(place.directory / "relay", office365, post365={"post365_upn": UPN}, transport=[UPN],
                            passwords={UPN: f"{UPN}:well"},
                            parameters={**SLOW, "transport_maps": maps, "smtp_tls_security_level": "may"})).start()
    for domain in ("dead", "busy", "here"):
        assert relay.submit(UPN, [f"a@{domain}.example"], f"From: {UPN}\r\nSubject: x\r\n".encode())[0].accepted

    def waiting():
        found = {message["recipients"][0]["address"]: message for message in queue(relay).get(UPN, [])}
        return found if len(found) == 3 and all(m["queue"] == "deferred" for m in found.values()) else None
    assert processes.wait_until(waiting, 30, 0.3), relay.postfix.queue()
    for address, message in waiting().items():
        assert [cause["cause"] for cause in message["causes"]] == ["another-server"], (address, message)
        assert "587" not in json.dumps(message["causes"]) and "Microsoft's service" not in json.dumps(message["causes"])
        reason = message["recipients"][0]["reason"]
        assert json.loads(run(relay, "explain", "--json", reason).stdout)["cause"] == "another-server", reason
    shown = run(relay, "queue", "--summary").stdout
    assert "server  127.0.0.1\n" in shown and "server  private/nobody\n" in shown and "587" not in shown, shown
