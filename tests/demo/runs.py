"""One run: a fresh stand-in for Office 365, a relay in front of it, and the company's mail."""

import contextlib
import threading
import time
from dataclasses import dataclass, field

from harness import client, maillog
from harness.office365 import Office365
from harness.relay import PASSWORD, Relay

from . import phone, traffic

# A "minute" of 4 s and a "day" of 12 s, and a daily limit that the newsletter and the burst
# together exceed.
MESSAGES, MINUTE = 30, 4
RECIPIENTS, DAY = 720, 12

_LIMITS = {
    "recipients": {"limit": RECIPIENTS, "period": DAY},
    "messages": {"limit": MESSAGES, "period": MINUTE},
    "recipients_per_message": 500,
    "connections": 3,
}

# The same in both runs.
_PARAMETERS = {
    # Postfix folds longer lines at 998 bytes by default, which would change bodies; Office 365
    # takes them.
    "smtp_line_length_limit": "0",
    "lmtp_line_length_limit": "0",
    # The programs that submit stand for other hosts: Postfix shall not complete their headers.
    "local_header_rewrite_clients": "",
    # Retries as the short "minute" needs them.
    "queue_run_delay": "1s",
    "minimal_backoff_time": "2s",
    "maximal_backoff_time": "2s",
}

_POST365 = {
    "post365_recipient_quota": f"{RECIPIENTS}/{DAY}s",
    "post365_message_quota": f"{MESSAGES}/{MINUTE}s",
    "post365_quota_guard": "500ms",
    "post365_send_as_maps": {traffic.UPN: ", ".join(traffic.SEND_AS)},
}


@dataclass
class Run:
    name: str
    relay: Relay
    office365: Office365
    mails: list = field(default_factory=list)
    outcomes: dict = field(default_factory=dict)  # mail id -> client.Outcome, as the sender saw it
    longest_queue: list = field(default_factory=list)  # postqueue -j when most was deferred
    queue: list = field(default_factory=list)  # what is left at the end
    seconds: float = 0.0
    screens: list = field(default_factory=list)  # (what is typed, what is seen), see phone

    def log(self):
        return self.relay.postfix.log()

    def deliveries(self):
        return maillog.deliveries(self.log())


def office365_settings():
    """A tenant with one mailbox that relays."""
    return {
        "mailboxes": {traffic.UPN: {"password": PASSWORD, "send_as": list(traffic.SEND_AS)}},
        "limits": _LIMITS,
        "unknown_recipients": {"unknown-user": [traffic.NOBODY]},
    }


def prepare(place, name, with_post365):
    """Starts a stand-in and a relay for a run called `name`."""
    office365 = place.add(Office365(place.directory / f"{name}-office365", **office365_settings()))
    office365.start()
    relay = place.add(Relay(place.directory / name, office365, post365=_POST365 if with_post365 else None,
                            transport=[traffic.UPN] if with_post365 else None, parameters=_PARAMETERS,
                            logins=dict([traffic.PERSON])))
    relay.start()
    return Run(name, relay, office365)


def send_all(run, tell, patience):
    """Sends everything and waits until it has gone or `patience` seconds have passed since the last
    was sent. `tell(text)` is called with progress."""
    began = time.monotonic()
    with _watched_queue(run):
        tell("cron, monitoring, people, aliases ...")
        _submit_all(run, traffic.mixed(), patience)
        tell("a burst of 60 from an application")
        application = threading.Thread(target=_submit_all, args=(run, traffic.burst(), patience))
        application.start()
        time.sleep(1)
        _submit_all(run, traffic.late_cron(), patience)
        if run.relay.transport:
            phone.look_at_burst(run)
        time.sleep(MINUTE - 0.5)
        tell("a newsletter to 700")
        _submit(run, traffic.newsletter(), patience)
        application.join()
        tell("waiting for the queue")
        run.queue = run.relay.postfix.wait_empty(patience)
    run.seconds = time.monotonic() - began


def _submit_all(run, mails, patience):
    for mail in mails:
        _submit(run, mail, patience)


def _submit(run, mail, patience):
    run.mails.append(mail)
    postfix = run.relay.postfix
    if mail.channel == traffic.SENDMAIL:
        text = mail.data.replace(b"\r\n", b"\n")
        result = postfix.command("sendmail", "-i", "-f", mail.sender, *mail.recipients,
                                 check=False, stdin=text)
        outcome = client.Outcome(250 if result.returncode == 0 else 450, str(result.stderr), "dot")
    else:
        port, login = postfix.smtp_port, None
        if mail.channel == traffic.SUBMISSION:
            port, login = postfix.submission_port, traffic.PERSON
        outcome = client.send_with_patience(port, mail.sender, mail.recipients, mail.data, login=login,
                                            until=time.monotonic() + patience)
    run.outcomes[mail.id] = outcome


@contextlib.contextmanager
def _watched_queue(run):
    """Remembers the queue as it was when most recipients were deferred."""
    done = threading.Event()

    def deferred(queue):
        return sum(len(message["recipients"]) for message in queue if message["queue_name"] == "deferred")

    def watch():
        while not done.wait(0.3):
            queue = run.relay.postfix.queue()
            if deferred(queue) > deferred(run.longest_queue):
                run.longest_queue = queue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
