"""What is measured: relays that deliver a backlog to the stand-in, with Postfix's own smtp(8) or through the transport.

A backlog is put into the queue and held there; then it is let go, and what counts is the time from the first acceptance
to the last one, as the stand-in's journal has them. How fast mail came into the queue does not matter.
"""

import json
import os
import subprocess
from pathlib import Path

from bench.report import WrongAnswers
from harness import processes, workplace
from harness.office365 import Office365
from harness.relay import Relay

SMTP_SOURCE = "/usr/sbin/smtp-source"
DELIVER = workplace.BUILD / "bench" / "deliver"
PASSWORD = "correct horse battery staple"
RECIPIENT = "r@dest.example"
MESSAGE_SIZE = 2000
PATIENCE = 600
HOLD = {"smtpd_client_restrictions": "check_client_access static:HOLD"}
# Real limits that nothing here comes near: the ledger has its whole work to do.
QUOTA = {"post365_message_quota": "100000000/1m", "post365_recipient_quota": "100000000/1d"}
_TICK = os.sysconf("SC_CLK_TCK")
# master.cf of Debian has it, the harness' one not: what smtp_tls_connection_reuse needs.
TLSPROXY = "tlsproxy  unix  -       -       n       -       0       tlsproxy\n"


def accounts(count):
    return [f"user{number:02}@example.com" for number in range(count)]


def standin(directory, upns, **settings):
    """A stand-in that refuses nobody."""
    return Office365(directory, mailboxes={upn: {"password": PASSWORD} for upn in upns}, limits={
        "recipients": None, "messages": None, "recipients_per_message": None, "connections": None}, **settings)


def by_postfix(directory, office365, host, upns, services="", **parameters):
    """A relay as the usual recipe sets it up: one account, or the sender's."""
    relayhost = f"[{host}]:{office365.port}"
    if len(upns) > 1:
        passwords = {upn: f"{upn}:{PASSWORD}" for upn in upns}
        relayhosts = ", ".join(f"{{ {upn} = {relayhost} }}" for upn in upns)
        parameters = {"smtp_sender_dependent_authentication": "yes",
                      "sender_dependent_relayhost_maps": f"inline:{{ {relayhosts} }}", **parameters}
    else:
        passwords = {relayhost: f"{upns[0]}:{PASSWORD}"}
    return Relay(directory, office365, passwords=passwords, services=TLSPROXY + services,
                 parameters={**HOLD, "relayhost": relayhost, **parameters})


def service_each(office365, host, upns, connections):
    """Options of by_postfix(): a service in master.cf for every account, which thereby is a destination of its own, with
    so many connections."""
    names = {upn: upn.partition("@")[0] for upn in upns}
    transports = ", ".join(f"{{ {upn} = {name}:[{host}]:{office365.port} }}" for upn, name in names.items())
    return {"services": "".join(f"{name}  unix  -  -  n  -  {connections}  smtp\n" for name in names.values()),
            "sender_dependent_default_transport_maps": f"inline:{{ {transports} }}",
            **{f"{name}_destination_concurrency_limit": str(connections) for name in names.values()}}


def by_transport(directory, office365, host, upns, **post365):
    """A relay with post365 whole: milter, policyd with its ledger on disk, transport."""
    passwords = {upn: f"{upn}:{PASSWORD}" for upn in upns}
    return Relay(directory, office365, passwords=passwords, transport=upns,
                 parameters={**HOLD, "relayhost": f"[{host}]:{office365.port}"},
                 post365={"post365_upn": upns[0], **QUOTA, **post365})


class Journal:
    """What the stand-in has written since this was made. Looking often costs little: it would disturb what is
    measured."""

    def __init__(self, office365):
        self.path = Path(office365.journal_path)
        self.begin = self.at = self.path.stat().st_size
        self.accepted = 0
        self.rest = b""

    def count(self):
        """How many messages were accepted so far."""
        with open(self.path, "rb") as file:
            file.seek(self.at)
            new = file.read()
        self.at += len(new)
        *lines, self.rest = (self.rest + new).split(b"\n")
        self.accepted += sum(b'"event":"accepted"' in line for line in lines)
        return self.accepted

    def entries(self):
        with open(self.path, "rb") as file:
            file.seek(self.begin)
            return [json.loads(line) for line in file.read().split(b"\n")[:-1]]


def processor_time(pid):
    """Seconds of processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def machine_time():
    """(busy, all) processor time of the machine in seconds."""
    fields = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICK, sum(fields) / _TICK


class Usage:
    """Processor time since it was made: of the machine, and of programs by their names."""

    def __init__(self, programs):
        self.programs = programs
        self.before = self._now()

    def _now(self):
        return [*machine_time(), *(processor_time(program.pid) for program in self.programs)]

    def figures(self, messages):
        busy, whole, *each = (after - before for after, before in zip(self._now(), self.before, strict=True))
        return {"machine_busy": round(busy / whole, 2) if whole else 0, "machine_us": round(busy / messages * 1e6),
                **{f"{program.name}_us": round(seconds / messages * 1e6)
                   for program, seconds in zip(self.programs, each, strict=True)}}


class Mailer:
    """One relay under measurement."""

    def __init__(self, name, relay, upns):
        self.name = name
        self.relay = relay
        self.upns = upns

    def start(self):
        self.relay.start()
        return self

    def stop(self):
        self.relay.stop()

    def programs(self):
        ours = (self.relay.transport, self.relay.policyd)
        return [self.relay.office365, *(program for program in ours if program)]

    def fill(self, messages):
        """Puts so many messages into the queue, on hold, then where the queue manager looks for what is due."""
        each = messages // len(self.upns)
        for upn in self.upns:
            subprocess.run([SMTP_SOURCE, "-d", "-s", "10", "-m", str(each), "-l", str(MESSAGE_SIZE), "-f", upn, "-t",
                            RECIPIENT, f"127.0.0.1:{self.relay.postfix.smtp_port}"], check=True)
        self.relay.postfix.command("postsuper", "-H", "ALL")
        return each * len(self.upns)

    def drain(self, messages):
        """Lets them go. Returns the figures once the stand-in has all."""
        journal, usage = Journal(self.relay.office365), Usage(self.programs())
        self.relay.office365.reset()
        self.relay.postfix.flush()
        processes.wait_until(lambda: journal.count() >= messages, PATIENCE, 0.1)
        used = usage.figures(messages)
        left = self.relay.postfix.wait_empty(30)
        entries = journal.entries()
        times = [entry["mono"] for entry in entries if entry["event"] == "accepted"]
        if len(times) != messages or left or any(entry["event"] == "refused" for entry in entries):
            raise WrongAnswers(f"{self.name}: {len(times)} of {messages} messages were accepted, {len(left)} are queued\n"
                               f"{self.relay.postfix.log()[-2000:]}")
        return {"messages": messages, "seconds": round(times[-1] - times[0], 3),
                "per_second": round((len(times) - 1) / (times[-1] - times[0]), 1),
                "logins": sum(entry["event"] == "auth" for entry in entries),
                "sending_per_account": self._most_sending(), **used}

    def _most_sending(self):
        """Transactions that an account had at once: Microsoft allows three."""
        mailboxes = self.relay.office365.stats()["mailboxes"]
        return max(mailboxes[upn]["sending"]["max"] for upn in self.upns)


def deliver(places, *, connections, messages, size=MESSAGE_SIZE, header=None, submission=False):
    """Messages straight to a server, see deliver.c. `places` are (place, sender). Returns its figures."""
    command = [DELIVER, "-c", connections, "-n", messages, "-s", size, *(["-H", header] if header else []),
               *(["-w", PASSWORD] if submission else []),
               *(word for pair in places for word in pair)]
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode != 0:
        raise WrongAnswers(done.stderr)
    return json.loads(done.stdout)


def account_places(relay, upns):
    """The transport's sockets of these accounts, and who sends there."""
    return [(f"unix:{relay.postfix.queue_directory}/post365/accounts/{upn}", upn) for upn in upns]


def status(pid, name):
    """Bytes that the kernel gives in /proc/<pid>/status: VmRSS, VmHWM."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise KeyError(name)
