"""The phone rings: what the admin types, and what he sees, when mail waits.

In the middle of the second run status and queue are looked at. After it somebody switches SMTP AUTH off for the
organisation, an application's mail stops, and post365 says why; then it is switched on again.
"""

import contextlib
import os

from harness import processes
from harness.command import login_stamp
from harness.command import run as run_command

from . import traffic

_APPLICATION = (b"From: Shop <shop@example.com>\nTo: customer%d@example.net\nSubject: Your order %d\nMessage-ID: <%s>\n\n"
                b"Thank you.\n")
_PATIENCE = 60
_HELD_BACK = 5  # messages


def look(run, *words):
    """A screen: (what is typed, what is seen)."""
    done = run_command(run.relay.postfix.config_directory, *words)
    return " ".join(("post365", *words)), (done.stdout + done.stderr).rstrip("\n")


def look_at_burst(run):
    """When the limits hold mail back: what has been used, and what waits."""
    processes.wait_until(lambda: len(run.relay.postfix.queue()) >= _HELD_BACK, 10, 0.1)
    run.screens += [look(run, "status"), look(run, "queue", "--summary")]


def close_gate(run):
    """The organisation's switch is turned, mail waits, and the admin looks. Returns the Message-IDs."""
    run.office365.set(tenant_switch=True)
    run.office365.control({"command": "drop_connections"})
    sent = [f"order-{number}@demo.example.com" for number in range(3)]
    for number, message_id in enumerate(sent):
        run.relay.postfix.sendmail(_APPLICATION % (number, number, message_id.encode()), "-i", "-f", "shop@example.com",
                                   f"customer{number}@example.net")

    def waits():
        return [message for message in run.relay.postfix.queue() if message["queue_name"] == "deferred"]
    processes.wait_until(lambda: len(waits()) == len(sent), _PATIENCE, 0.2)
    run.screens += [look(run, "queue"), look(run, "doctor")]
    with contextlib.suppress(FileNotFoundError):  # nothing stays outside of the demo's directory
        os.unlink(login_stamp(run.office365.port, traffic.UPN))
    return sent


def use_real_day(run):
    """Microsoft's own limit of a day: what was sent counts in it."""
    run.relay.postfix.configure({"post365_recipient_quota": "10000/1d"})
    for daemon in (run.relay.policyd, run.relay.transport):
        daemon.reload()


def open_gate(run, sent):
    """It is turned back. Returns whether all of it has arrived."""
    run.office365.set(tenant_switch=False)
    run.screens.append(look(run, "resume", traffic.UPN))

    def arrived():
        return {arrival.message_id for arrival in run.relay.accepted()} >= {f"<{message_id}>" for message_id in sent}
    came = processes.wait_until(arrived, _PATIENCE, 0.2)
    use_real_day(run)
    run.screens.append(look(run, "history", traffic.UPN))
    return came
