"""The last day of passwords: what Microsoft does at the end of December 2026, in a few seconds.

A second company has two accounts. Invoices go with OAuth2 (a certificate, no password), all else with the password that
the recipe asks for. Then basic authentication is switched off. The invoices go on; what waits for the password says
why; the account is moved over by one line, and its mail goes.
"""

from dataclasses import dataclass, field

from harness import processes
from harness.entra import Entra
from harness.office365 import Office365
from harness.relay import PASSWORD, Relay

from . import phone, traffic

INVOICES = "invoices@example.com"
CAUSE = "basic-auth-disabled"
_PATIENCE = 60
_MAIL = b"From: <%s>\nTo: customer@example.net\nSubject: %s\nMessage-ID: <%s>\n\nhello\n"


@dataclass
class Act:
    relay: Relay
    office365: Office365
    entra: Entra
    app: object  # harness.entra.App
    screens: list = field(default_factory=list)
    sent: int = 0

    def send(self, sender):
        """A message of this account; returns its Message-ID."""
        self.sent += 1
        message_id = f"last-day-{self.sent}@demo.example.com"
        self.relay.postfix.sendmail(_MAIL % (sender.encode(), b"Message %d" % self.sent, message_id.encode()),
                                    "-i", "-f", sender, "customer@example.net")
        return message_id

    def arrived(self, message_ids):
        wanted = {f"<{message_id}>" for message_id in message_ids}
        return processes.wait_until(
            lambda: {arrival.message_id for arrival in self.relay.accepted()} >= wanted, _PATIENCE, 0.1)

    def wait(self, count, cause):
        """Whether so many messages wait in Postfix's queue for this cause."""
        def waiting():
            return [message for message in self.relay.postfix.queue()
                    if any(cause in recipient.get("delay_reason", "") for recipient in message["recipients"])]
        return processes.wait_until(lambda: len(waiting()) == count, _PATIENCE, 0.1)


def prepare(place):
    """Starts both of Microsoft's stand-ins, and the company's relay."""
    office365 = place.add(Office365(place.directory / "passwords-office365",
                                    mailboxes={traffic.UPN: {"password": PASSWORD}, INVOICES: {}}))
    office365.start()
    entra = place.add(Entra(place.directory / "passwords-entra", office365)).start()
    app = entra.app("certificate", name="app", accounts=[traffic.UPN, INVOICES])
    relay = place.add(Relay(place.directory / "passwords", office365, transport=[traffic.UPN, INVOICES],
                            post365={**entra.parameters(), "post365_oauth2_maps": {INVOICES: app.file}}))
    relay.start()
    return Act(relay, office365, entra, app)


def play(place, tell):
    """All of it. Returns (screens, [(promise, holds, details)])."""
    tell("  the last day of passwords")
    act = prepare(place)
    both = (traffic.UPN, INVOICES)
    before = act.arrived([act.send(sender) for sender in both])
    tell("  basic authentication is switched off")
    act.office365.set(basic_disabled=True)
    act.office365.control({"command": "drop_connections"})
    waiting = [act.send(traffic.UPN) for _ in range(3)]
    stops = act.wait(len(waiting), CAUSE)
    goes_on = act.arrived([act.send(INVOICES) for _ in range(3)])
    act.screens += [phone.look(act, "queue"), phone.look(act, "token")]
    tell("  the other account is moved over")
    move(act)
    moved = act.arrived(waiting)
    act.screens.append(phone.look(act, "token"))
    by_token = {entry["mailbox"] for entry in act.office365.journal("accepted") if entry["mechanism"] == "XOAUTH2"}
    asked = len(act.entra.requests(kind="app", status=200))
    for started in (act.relay, act.entra, act.office365):  # nothing of it is for --keep
        started.stop()
    return act.screens, [
        ("when passwords end, the account with OAuth2 goes on", before and goes_on, "3 messages"),
        ("the account with a password waits, and is told why", stops, CAUSE),
        ("one line moves it over, and what waited has arrived", moved and by_token == set(both), f"{len(waiting)} messages"),
        ("one token serves all accounts of a registration", asked == 1, f"{asked} request{'s' * (asked != 1)}"),
    ]


def move(act):
    """A line in the table, which is seen within seconds: no password, no restart."""
    table = act.relay.postfix.config_directory / "oauth2_maps"
    line = f"{traffic.UPN} {act.app.file}"
    with open(table, "a", encoding="ascii") as file:
        file.write(f"{line}\n")
    act.screens.append((f"echo '{line}' >>{table}", ""))
