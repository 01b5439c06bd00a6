"""A relay in bad weather: mail from several senders at once, a Microsoft that misbehaves, programs that are killed.

    storm = Storm(place, messages, limits)
    storm.start()
    storm.break_out(WEATHER)                  # connections break, answers come late
    storm.run(rows=[...], kills=12)           # until all is submitted, answered and killed
    storm.drain()                             # all is well again
    storm.books()                             # what became of each recipient: storm_books.Books

POST365_STORM_MESSAGES    how many messages; a few if it is not set. `make storm` sends 2000
POST365_STORM_SEED        the seed that a run named: the same mail, weather and kills again
"""

import itertools
import os
import random
import re
import shutil
import signal
import threading
import time
from collections import deque
from types import SimpleNamespace

from harness import processes, workplace
from harness.office365 import Office365
from harness.relay import Relay
from storm_books import Books, Kill
from storm_mail import Plan, Submitter
from test_control import Control

ACCOUNTS = [f"office{number}@example.com" for number in range(5)]
GONE = "gone.example"  # nobody lives there: refused at RCPT, for good
SEED = int(os.environ.get("POST365_STORM_SEED") or random.SystemRandom().randrange(1, 1 << 32))
UNDER_WAY = 120  # messages that are submitted before others have arrived
SUBMITTERS = 4
PATIENCE = 60  # seconds for whatever takes a moment

# What connections suffer, everywhere at random; how often is a factor of the test's.
WEATHER = [
    *({"stage": stage, "action": action, "probability": 0.01}
      for stage in ("connect", "banner", "ehlo", "starttls", "tls", "auth", "mail", "data", "after-reply")
      for action in ("drop", "reset")),
    {"stage": "rcpt", "action": "drop", "probability": 0.0003},
    {"stage": "body", "after": 600, "action": "drop", "probability": 0.01},
    {"stage": "body", "after": 200_000, "action": "reset", "probability": 0.05},
    {"stage": "dot", "action": "drop", "probability": 0.01},
    {"stage": "dot", "action": "reset", "commit": "never", "probability": 0.005},
    {"stage": "dot", "action": "garbage", "bytes": 300, "close": True, "probability": 0.003},
    {"stage": "dot", "action": "endless", "bytes": 100_000, "probability": 0.003},
    {"stage": "dot", "action": "trickle", "interval": 0.01, "probability": 0.01},
    {"stage": "dot", "delay": 1.5, "action": "drop", "probability": 0.003},
    {"stage": "dot", "delay": 1.0, "commit": "after", "probability": 0.02},
    {"stage": "dot", "delay": 0.7, "probability": 0.03},
    *({"stage": stage, "delay": 0.4, "probability": 0.02} for stage in ("banner", "ehlo", "auth", "mail", "data")),
]

_UNDONE = re.compile(rb"R(.)(r\d+\.\d+\.\d+@[a-z.]+\.example)", re.S)


def messages(few):
    return int(os.environ.get("POST365_STORM_MESSAGES") or few)


class Weather:
    """The faults of the stand-in that concern everybody."""

    def __init__(self, office365):
        self.office365 = office365

    def begin(self, faults, factor=1.0):
        """Returns the numbers of those that make a message go away that would have been accepted."""
        numbers = [self.office365.add_fault(**{**fault, "probability": min(1.0, fault["probability"] * factor)})
                   for fault in faults]
        return [number for number, fault in zip(numbers, faults) if fault.get("commit") == "never"]

    def out_of_reach(self):
        """No connection, until that is over: returns its number."""
        number = self.office365.add_fault(stage="connect", action="drop")
        self.office365.control({"command": "drop_connections"})
        return number

    def end(self, number):
        self.office365.control({"command": "remove_fault", "id": number})

    def clear(self):
        self.office365.clear_faults()


class Outage:
    """Microsoft is out of reach for so many seconds, when a part of the mail has been accepted. To be called again and
    again; true when it is over."""

    def __init__(self, part, seconds):
        self.part = part
        self.seconds = seconds
        self.begun = self.number = None
        self.backlog = 0  # messages that waited when it ended

    def __call__(self, storm):
        if self.begun is None:
            if storm.progress.accepted >= self.part * len(storm.plan.mails):
                self.number = storm.weather.out_of_reach()
                self.begun = time.monotonic()
            return False
        if self.number is not None and time.monotonic() >= self.begun + self.seconds:
            self.backlog = len(storm.relay.postfix.queue())
            storm.weather.end(self.number)
            self.number = None
        return self.number is None


class Progress:
    """Counts what the stand-in has accepted, as it accepts it."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.rest = b""
        self.accepted = 0

    def look(self):
        *lines, self.rest = (self.rest + self.file.read()).split(b"\n")
        self.accepted += sum(b'"event":"accepted"' in line for line in lines)
        return self.accepted

    def close(self):
        self.file.close()


class Storm:
    """`limits` are those of the stand-in, and post365's quotas are the same numbers."""

    def __init__(self, place, count, limits, accounts=ACCOUNTS, **post365):
        print(f"POST365_STORM_SEED={SEED}")
        self.random = random.Random(SEED)
        self.limits = limits
        self.accounts = accounts
        self.office365 = place.add(Office365(
            place.directory / "office365", seed=SEED, limits=limits,
            mailboxes={upn: {"password": upn} for upn in accounts},
            unknown_recipients={"unknown-user": [f"@{GONE}"]})).start()
        self.weather = Weather(self.office365)
        self.relay = place.add(Relay(
            place.directory / "relay", self.office365, transport=accounts,
            passwords={upn: f"{upn}:{upn}" for upn in accounts},
            parameters=self._parameters(place.directory),
            post365={**quotas(limits), "post365_upn": accounts[0],
                     "post365_sender_upn_maps": {f"@app{number}.intern.example": upn
                                                 for number, upn in enumerate(accounts)}, **post365}))
        self.plan = Plan(self.random, count, accounts, GONE, limits["recipients_per_message"])
        self.attempts = deque()  # storm_mail.Attempt, by all submitters
        self.kills = []
        self.rows = {}  # of the faults that refuse what would have been accepted: number: name of the row, or "lost"
        self.progress = self.admin = None
        self.most_under_way = UNDER_WAY

    def _parameters(self, directory):
        reports = directory / "reports"
        reports.mkdir(mode=0o755)
        shutil.chown(reports, workplace.USER, workplace.USER)
        commands = directory / "commands"
        commands.mkdir()
        # Debian's postqueue is setgid, and then takes no configuration directory that the system's main.cf does not
        # name.
        shutil.copyfile("/usr/sbin/postqueue", commands / "postqueue")
        (commands / "postqueue").chmod(0o755)
        self.commands, self.reports = commands, reports
        return {
            "minimal_backoff_time": "2s", "maximal_backoff_time": "4s", "queue_run_delay": "1s",
            "message_size_limit": "40000000",
            # All recipients of a message at once: the transport says what is too many.
            "post365_destination_recipient_limit": "1000",
            # Reports of what could not be delivered are read here: the storm shall not get at them.
            "virtual_mailbox_domains": "example.com", "virtual_mailbox_base": str(reports),
            "virtual_mailbox_maps": "static:all/", "virtual_mailbox_limit": "0", "virtual_minimum_uid": "1",
            "virtual_uid_maps": f"static:{reports.stat().st_uid}",
            "virtual_gid_maps": f"static:{reports.stat().st_gid}",
            "notify_classes": "",
        }

    def start(self):
        self.relay.transport.arguments += ["-o", f"command_directory={self.commands}"]
        self.relay.start()
        self.open_queue()
        self.progress = Progress(self.office365.journal_path)
        return self

    def open_queue(self):
        """What the group postdrop may do, everybody may."""
        (self.relay.postfix.queue_directory / "public").chmod(0o755)

    def break_out(self, faults, factor=1.0):
        self.rows |= dict.fromkeys(self.weather.begin(faults, factor), "lost")

    # --- mail ---

    def run(self, rows=(), kills=0, also=None):
        """Submits all mail, has each of `rows` answered once, and ends the programs in turn, `kills` times in all.
        `also(storm)` is called now and then, and is done when it returns true."""
        submitters = [Submitter(self, self.plan.share(number, SUBMITTERS)) for number in range(SUBMITTERS)]
        killer = Killer(self, kills)
        admin = self.admin = Administrator(self, rows)
        for submitter in submitters:
            submitter.start()
        try:
            done = also is None
            while not (done and self.is_over(submitters, killer, admin)):
                self.check(submitters)
                self.progress.look()
                killer.step()
                admin.step()
                done = done or also(self)
                time.sleep(0.005)
        finally:
            for submitter in submitters:
                submitter.ending = True
            for submitter in submitters:
                submitter.join()
        self.check(submitters)

    def is_over(self, submitters, killer, admin):
        """All that was to happen has, or there is no more mail for it to happen to."""
        if any(each.is_alive() for each in submitters):
            return False
        return (killer.is_done and admin.is_done) or not self.relay.postfix.queue()

    def check(self, submitters):
        """Nobody has failed, and no program has ended but those that were killed."""
        for submitter in submitters:
            if submitter.failure:
                raise submitter.failure
        for program in (self.relay.transport, self.relay.policyd, self.relay.milter):
            assert program.alive(), (f"POST365_STORM_SEED={SEED}: {program.name} has ended with status "
                                     f"{program.process.returncode}\n{program.log()[-5000:]}")

    def is_full(self):
        """More is under way, roughly, than needs to be."""
        return len(self.attempts) - self.progress.accepted > self.most_under_way

    # --- the end ---

    def drain(self, timeout):
        """Nothing is wrong any more: the queue empties."""
        self.weather.clear()
        end = time.monotonic() + timeout
        while left := self.relay.postfix.queue():
            assert time.monotonic() < end, f"does not drain, POST365_STORM_SEED={SEED}: {left[:3]}"
            self.admin.resume_all()
            self.progress.look()
            time.sleep(0.3)

    def kills_told(self):
        return ", ".join(f"{kill.name} killed at {kill.begun:.3f}, back at {kill.restarted:.3f}" for kill in self.kills)

    def books(self):
        """What became of each recipient. Everything has to be over."""
        return Books(self.attempts, self.office365.journal(), self.relay.postfix.log(),
                     self.relay.transport.log(), self.kills, self.reports, self.rows)


def quotas(limits):
    """post365's parameters for the limits of a stand-in."""
    def rate(name):
        return f"{limits[name]['limit']}/{limits[name]['period']}s"
    return {
        "post365_recipient_quota": rate("recipients"), "post365_message_quota": rate("messages"),
        "post365_recipients_per_message": str(limits["recipients_per_message"]),
        "post365_connection_limit": str(limits["connections"]),
    }


class Killer:
    """Ends transport, policyd and Postfix in turn, with -9, each time after some more messages have been accepted, and
    starts them again a moment later."""

    def __init__(self, storm, kills):
        self.storm = storm
        self.left = kills
        self.turns = itertools.cycle(["transport", "policyd", "postfix"])
        # All of them before the last message is accepted.
        self.step_width = max(2, int(len(storm.plan.mails) * 0.6 / kills)) if kills else 0
        self.next = self._draw(0)

    def _draw(self, now):
        return now + self.storm.random.randint(self.step_width // 2, self.step_width * 3 // 2)

    @property
    def is_done(self):
        return self.left == 0

    def step(self):
        if self.left == 0 or self.storm.progress.accepted < self.next:
            return
        name = next(self.turns)
        time.sleep(self.storm.random.uniform(0, 0.03))
        self.end(name, self.storm.random.choice([0, 0, 0.3, 1.0]))
        self.left -= 1
        self.next = self._draw(self.storm.progress.look())

    def end(self, name, pause):
        relay = self.storm.relay
        log = relay.postfix.log_path
        logged, begun = log.stat().st_size, time.time()
        if name == "postfix":
            kill_all(relay.postfix)
        else:
            getattr(relay, name).kill()
        ended = time.time()
        undone = undone_recipients(relay.postfix.queue_directory) if name == "postfix" else frozenset()
        time.sleep(pause)
        restarted = time.time()
        getattr(relay, name).start()
        self.storm.open_queue()
        self.storm.kills.append(Kill(name, begun, ended, restarted, logged, undone))


def kill_all(postfix):
    """kill -9 to every process of this Postfix, the master first."""
    def kill():
        found = sorted(postfix._processes())
        for pid, started in found:
            if processes.start_time(pid) == started:
                os.kill(pid, signal.SIGKILL)
        return not found
    assert processes.wait_until(kill, PATIENCE), "Postfix does not end"


def undone_recipients(queue_directory):
    """Those that queue files name as still to be done: a record of type R (D when done), its length, the address."""
    found = set()
    for name in ("incoming", "active", "deferred"):
        for path in (queue_directory / name).glob("**/*"):
            if path.is_file():
                found.update(address.decode() for length, address in _UNDONE.findall(path.read_bytes())
                             if length[0] == len(address))
    return frozenset(found)


class Administrator:
    """Has each row of the stand-in's replies said once, to one account after the other, and resumes what it paused:
    else a run would take as long as real pauses do."""

    def __init__(self, storm, rows):
        self.storm = storm
        known = storm.office365.replies()
        self.waiting = {upn: deque(rows[number::len(storm.accounts)]) for number, upn in enumerate(storm.accounts)}
        self.stages = {name: row["stage"] for name, row in known.items()}
        self.active = {}  # account: number of the fault
        self.paused = set()  # accounts seen so at the last look
        self.said = []
        self.looked = 0.0
        self.causes = set()

    @property
    def is_done(self):
        return not self.active and not any(self.waiting.values())

    def step(self):
        if time.monotonic() < self.looked + 0.25:
            return
        self.looked = time.monotonic()
        hits = {fault["id"]: fault["hits"] for fault in self.storm.office365.control({"command": "faults"})["faults"]}
        for upn, rows in self.waiting.items():
            if upn in self.active and hits[self.active[upn]] > 0:
                self.said.append(self.storm.rows[self.active.pop(upn)])
            if upn not in self.active and rows:
                self._say(upn, rows.popleft())
        self.resume_all()

    def _say(self, upn, row):
        stage = self.stages[row]
        self.active[upn] = self.storm.office365.add_fault(stage=stage, mailbox=upn, row=row, times=1)
        self.storm.rows[self.active[upn]] = row
        if stage == "auth":  # it needs a new login
            self.storm.office365.control({"command": "drop_connections", "mailbox": upn})

    def resume_all(self):
        """Accounts that were paused at the last look, too. policyd may be down."""
        relay = self.storm.relay
        place = SimpleNamespace(parameters=relay.postfix.parameters, queue=relay.postfix.queue_directory)
        try:
            with Control(place) as control:
                for upn in self.storm.accounts:
                    status = control.ask("status", account=upn)
                    if "pause_cause" not in status:
                        self.paused.discard(upn)
                    elif upn in self.paused:
                        self.causes.add(status["pause_cause"])
                        control.ask("resume", account=upn)
                        self.paused.discard(upn)
                    else:
                        self.paused.add(upn)
        except (OSError, TypeError):
            pass
